"""An accelerator compiled for the PC: C++ core or Verilated RTL, behind the registers and memory of the real one."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.faults import FAULT
from hardpoint.host.device import DeviceError, Timeout
from hardpoint.host.memory import Shared, SharedMemory
from hardpoint.registers import CONTROL, DONE

__all__ = ["CompiledCore", "CompiledDevice", "CompiledUnit"]

_POINTER = ctypes.c_void_p
BASE = 0x1000_0000
"""Physical address of the memory: not zero, so that a pointer that nobody wrote shows."""


class CompiledDevice:
    """The accelerator of a simulation library (`hardpoint.hls.compile` or `hardpoint.hls.verilate` builds one).

    `memory_bytes` is the size of the memory that the accelerator shares with the host. A library runs a batch in the
    call that starts it; `wait` returns at once, or raises `Timeout` where the accelerator hangs.
    """

    def __init__(self, library: str | os.PathLike[str], memory_bytes: int = 64 << 20) -> None:
        self._library = _library(
            library,
            ("hp_open", _POINTER, []),
            ("hp_close", None, [_POINTER]),
            ("hp_by_cycles", ctypes.c_int, []),
            ("hp_attach", None, [_POINTER, _POINTER, ctypes.c_uint64, ctypes.c_uint64]),
            ("hp_read", ctypes.c_uint32, [_POINTER, ctypes.c_uint32]),
            ("hp_write", None, [_POINTER, ctypes.c_uint32, ctypes.c_uint32]),
        )
        self.name, self._opened = Path(library).stem, (Path(library).resolve(), memory_bytes)
        self.core = "rtl" if self._library.hp_by_cycles() else "hls"
        self.memory = SharedMemory(BASE, memory_bytes)
        self._handle: int | None = None
        self._open()

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledDevice, self._opened  # another process opens an accelerator of its own

    def read(self, offset: int) -> int:
        """The register at byte `offset`."""
        return int(self._library.hp_read(self._handle, offset))

    def write(self, offset: int, value: int) -> None:
        """Write the register at byte `offset`."""
        self._library.hp_write(self._handle, offset, value)

    def allocate(self, size: int) -> Shared:
        """A buffer of `size` bytes, aligned to 4096; a DeviceError where the memory does not hold it."""
        return self.memory.allocate(size)

    def wait(self, timeout_s: float) -> None:
        """Return if the accelerator is done; a library that is not done by now never will be."""
        if not self.read(CONTROL) & DONE:
            raise Timeout(f"{self.name}: waited {timeout_s:g} s for done")

    def reset(self, hard: bool = False) -> None:
        """Registers as after power-up; memory stays, as it does on a board."""
        self.close()
        self._open()

    def sensors(self) -> dict[str, Any]:
        """A PC measures nothing for the accelerator."""
        return {}

    def close(self) -> None:
        """Release the library's accelerator."""
        if self._handle is not None:
            self._library.hp_close(self._handle)
            self._handle = None

    def _open(self) -> None:
        self._handle = self._library.hp_open()
        memory = self.memory.bytes
        self._library.hp_attach(self._handle, memory.ctypes.data_as(_POINTER), BASE, len(memory))


class CompiledCore:
    """The core of a simulation library without its shell: streams of tiles, for comparisons of the array alone."""

    def __init__(self, library: str | os.PathLike[str]) -> None:
        long, pointer = ctypes.c_long, _POINTER
        self._library = _library(
            library,
            ("hp_gemm", long, [pointer] * 3 + [long] * 3 + [ctypes.c_int, pointer, pointer, long, pointer, pointer]),
        )
        self.name = Path(library).stem

    def gemm(
        self,
        a: Any,
        w: Any,
        signed: bool,
        faults: NDArray[Any] | None = None,
        *,
        bypass: Any = None,
        passes: int | None = None,
    ) -> tuple[NDArray[np.int64], int, int]:
        """Sums of one stream of tiles, the cycles it took, and how many votes disagreed.

        Output-stationary: operand codes `a` (tiles, K, rows) and `w` (tiles, K, cols), sums (tiles, rows, cols).
        Weight-stationary, where `passes` tiles add up to a sum: `a` (tiles, pixels, rows), `w` (tiles, rows, cols), sums
        (tiles / passes, pixels, cols). `faults` are records of dtype FAULT whose image and layer are ignored; PEs at
        which `bypass` (rows, cols) is true are bypassed.
        """
        a, w = np.ascontiguousarray(a, np.int32), np.ascontiguousarray(w, np.int32)
        (tiles, count, rows), cols = a.shape, w.shape[2]
        faults = np.zeros(0, FAULT) if faults is None else np.ascontiguousarray(faults, FAULT)
        skipped = np.ascontiguousarray(np.zeros((rows, cols)) if bypass is None else bypass, np.uint8)
        if skipped.shape != (rows, cols):
            raise InputError(f"a bypass map of this core is {rows} x {cols}, not {skipped.shape}")
        out = np.zeros((tiles, rows, cols) if passes is None else (tiles // passes, count, cols), np.int64)
        counted = np.zeros(2, np.int64)
        at = [x.ctypes.data_as(_POINTER) for x in (a, w, skipped, faults, out, counted)]
        sizes = (tiles, count, passes or 1, int(signed))
        code = self._library.hp_gemm(None, *at[:2], *sizes, *at[2:4], len(faults), *at[4:])
        if code:
            raise DeviceError(f"{self.name}: the core failed with code {code}")
        return out, int(counted[0]), int(counted[1])


class CompiledUnit:
    """The recompute unit of a simulation library without its shell, for comparisons of the unit alone."""

    def __init__(self, library: str | os.PathLike[str]) -> None:
        long, pointer = ctypes.c_long, _POINTER
        self._library = _library(
            library, ("hp_dot", long, [pointer] * 2 + [long] * 2 + [ctypes.c_int, pointer, long, pointer, pointer])
        )
        self.name = Path(library).stem

    def dot(
        self, a: Any, w: Any, signed: bool, strikes: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.int64], int, int]:
        """Sums (neurons) of operand codes `a` and `w` (neurons, steps, lanes), cycles, and how many votes disagreed.

        `strikes` (count, 2) are words of the strike buffer's list of the unit, at the times that the library goes by.
        """
        a, w = np.ascontiguousarray(a, np.int32), np.ascontiguousarray(w, np.int32)
        words = np.zeros((0, 2), np.uint64) if strikes is None else np.ascontiguousarray(strikes, np.uint64)
        out, counted = np.zeros(len(a), np.int64), np.zeros(2, np.int64)
        at = [x.ctypes.data_as(_POINTER) for x in (a, w, words, out, counted)]
        code = self._library.hp_dot(*at[:2], *a.shape[:2], int(signed), at[2], len(words), *at[3:])
        if code:
            raise DeviceError(f"{self.name}: the recompute unit failed with code {code}")
        return out, int(counted[0]), int(counted[1])


def _library(path: str | os.PathLike[str], *calls: tuple[str, Any, list[Any]]) -> ctypes.CDLL:
    """A shared library whose functions have these results and arguments."""
    try:
        library = ctypes.CDLL(str(Path(path).resolve()))
    except OSError as error:
        raise InputError(f"cannot load the compiled accelerator {path}: {error}") from None
    for name, result, arguments in calls:
        try:
            call = getattr(library, name)
        except AttributeError:
            raise InputError(f"{path} is no compiled accelerator: it has no {name}") from None
        call.restype, call.argtypes = result, arguments
    return library
