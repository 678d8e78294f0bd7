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
from hardpoint.registers import CONTROL, DONE

__all__ = ["CompiledCore", "CompiledDevice", "Memory"]

PAGE = 4096
_POINTER = ctypes.c_void_p
BASE = 0x1000_0000
"""Physical address of the memory: not zero, so that a pointer that nobody wrote shows."""


class Memory:
    """A stretch of the device's memory, seen through a cache that is not coherent.

    `data` is the host's copy: `flush` writes it to the device's memory, `invalidate` reads that back.
    """

    def __init__(self, device: CompiledDevice, offset: int, size: int) -> None:
        self.address = BASE + offset
        self.data = np.zeros(size, np.uint8)
        self._behind = device.memory[offset : offset + size]
        self._free = (offset, size)
        self._device = device

    def flush(self) -> None:
        """Let the device see what the host wrote."""
        self._behind[:] = self.data

    def invalidate(self) -> None:
        """Let the host see what the device wrote."""
        self.data[:] = self._behind

    def free(self) -> None:
        """Give the memory back."""
        self._device.release(*self._free)


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
            ("hp_attach", None, [_POINTER, _POINTER, ctypes.c_uint64, ctypes.c_uint64]),
            ("hp_read", ctypes.c_uint32, [_POINTER, ctypes.c_uint32]),
            ("hp_write", None, [_POINTER, ctypes.c_uint32, ctypes.c_uint32]),
        )
        self.name = Path(library).stem
        self.memory: NDArray[np.uint8] = np.zeros(memory_bytes, np.uint8)
        self._free = [(0, memory_bytes)]
        self._handle: int | None = None
        self._open()

    def read(self, offset: int) -> int:
        """The register at byte `offset`."""
        return int(self._library.hp_read(self._handle, offset))

    def write(self, offset: int, value: int) -> None:
        """Write the register at byte `offset`."""
        self._library.hp_write(self._handle, offset, value)

    def allocate(self, size: int) -> Memory:
        """A buffer of `size` bytes, aligned to 4096; an InputError where the memory does not hold it."""
        need = -(-max(size, 1) // PAGE) * PAGE
        for i, (offset, room) in enumerate(self._free):
            if room >= need:
                self._free[i] = (offset + need, room - need)
                return Memory(self, offset, size)
        raise InputError(f"the device's memory has no {size} bytes left of {len(self.memory)}")

    def release(self, offset: int, size: int) -> None:
        """Give memory back to `allocate`."""
        pieces = sorted([*self._free, (offset, -(-max(size, 1) // PAGE) * PAGE)])
        merged: list[tuple[int, int]] = []
        for start, room in pieces:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((start, room))
        self._free = merged

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
        self._library.hp_attach(self._handle, self.memory.ctypes.data_as(ctypes.c_void_p), BASE, len(self.memory))


class CompiledCore:
    """The core of a simulation library without its shell: streams of tiles, for comparisons of the array alone."""

    def __init__(self, library: str | os.PathLike[str]) -> None:
        long, pointer = ctypes.c_long, _POINTER
        self._library = _library(
            library, ("hp_gemm", long, [pointer, pointer, pointer, long, long, ctypes.c_int, pointer, long, pointer, pointer])
        )
        self.name = Path(library).stem

    def gemm(self, a: Any, w: Any, signed: bool, faults: NDArray[Any] | None = None) -> tuple[NDArray[np.int64], int, int]:
        """Sums (tiles, rows, cols) of one stream of tiles, the cycles it took, and how many votes disagreed.

        `a` (tiles, K, rows) and `w` (tiles, K, cols) are operand codes, `faults` records of dtype FAULT whose image
        and layer are ignored.
        """
        a, w = np.ascontiguousarray(a, np.int32), np.ascontiguousarray(w, np.int32)
        faults = np.zeros(0, FAULT) if faults is None else np.ascontiguousarray(faults, FAULT)
        out = np.zeros((a.shape[0], a.shape[2], w.shape[2]), np.int64)
        counted = np.zeros(2, np.int64)
        at = [x.ctypes.data_as(_POINTER) for x in (a, w, faults, out, counted)]
        code = self._library.hp_gemm(None, at[0], at[1], a.shape[0], a.shape[1], int(signed), at[2], len(faults), *at[3:])
        if code:
            raise DeviceError(f"{self.name}: the core failed with code {code}")
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
