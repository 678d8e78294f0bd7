"""The accelerator on a Zynq board: pynq loads the overlay; here are its registers, buffers, clock and resets.

This module is the only one that imports pynq, and does so when a board is opened. pynq 3.0 to 4.0 will do.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.host import board
from hardpoint.host.device import DeviceError, Timeout
from hardpoint.host.handoff import read_handoff
from hardpoint.registers import CONTROL, DONE, IDLE

__all__ = ["ZynqBuffer", "ZynqDevice", "divisors"]

PAGE = 4096
DIVISOR_MAX = 63  # the PL clock's two divisors have 6 bits each (UG585 B.28 FPGA0_CLK_CTRL, UG1087 PL0_REF_CTRL)
GONE = 0xFFFFFFFF  # what a bus returns where nobody answers


class ZynqBuffer:
    """A pynq buffer: cached by the processor, invisible to it where the accelerator writes, until synchronised."""

    def __init__(self, memory: Any, release: Callable[[ZynqBuffer], None]) -> None:
        self._memory, self._release = memory, release
        self.address = int(memory.device_address)
        self.data: NDArray[np.uint8] = memory.view(np.ndarray)

    def flush(self) -> None:
        """Make what the host wrote visible to the accelerator."""
        self._memory.flush()

    def invalidate(self) -> None:
        """Make what the accelerator wrote visible to the host."""
        self._memory.invalidate()

    def free(self) -> None:
        """Return the memory; `data` is empty from then on, and earlier views of it must not be used."""
        if self._memory is not None:
            self.data = np.zeros(0, np.uint8)
            self._memory.freebuffer()
            self._memory = None
            self._release(self)


class ZynqDevice:
    """The block `block` of the overlay `bitstream` (`.bit`, its `.hwh` beside it) on the board that this runs on.

    `clock_mhz` is the fastest clock the array may run at: PL clock 0 is set to the nearest the board can make at or
    below it, and read back (`clock_mhz`); None keeps the one that the hand-off names. The hand-off is read before
    anything is touched: a block that is not there or cannot be started is an InputError. A board that cannot load
    the overlay is a DeviceError that names what is missing.
    """

    name = "zynq"

    def __init__(self, bitstream: str | Path, block: str = "hardpoint_top_0", clock_mhz: float | None = None) -> None:
        self.bitstream = Path(bitstream).resolve()
        handoff = read_handoff(self.bitstream.with_suffix(".hwh"))
        ip = handoff.ip(block)
        span = handoff.address(ip, ip.control().interface)
        if span is None:
            raise InputError(f"no processor sees the registers of {ip.path} in {self.bitstream.with_suffix('.hwh')}")
        if handoff.architecture not in _RESETS:
            raise InputError(f"boards are of {' or '.join(_RESETS)}, not {handoff.architecture!r}")
        self.architecture, self._wanted_mhz = handoff.architecture, clock_mhz
        self._size = span.high - span.base + 1
        self._buffers: list[ZynqBuffer] = []
        self._overlay = _loaded(self.bitstream, self.architecture)
        self._registers = self._window(span.base, self._size)
        self.clock_mhz = self._set_clock()

    def __reduce__(self) -> tuple[Any, ...]:
        raise InputError("a board is driven by one process: give --jobs 1")

    def read(self, offset: int) -> int:
        """The 32-bit register at byte `offset`."""
        return int(self._registers.read(self._checked(offset)))

    def write(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte `offset`."""
        if not 0 <= value <= 0xFFFFFFFF:
            raise DeviceError(f"a register takes 0 to 0xffffffff, not {value:#x}")
        self._registers.write(self._checked(offset), int(value))

    def allocate(self, size: int) -> ZynqBuffer:
        """A buffer of `size` bytes, aligned to 4096, in contiguous memory; DeviceError says how much of that is left."""
        import pynq

        if size < 1:
            raise DeviceError(f"a buffer has 1 byte or more, not {size}")
        try:
            memory = pynq.allocate((size,), "u1", target=self._overlay.device, cacheable=True)
        except (RuntimeError, MemoryError, OSError) as error:
            raise DeviceError(f"no {size:,} bytes of contiguous memory{_left()}: {error}") from None
        buffer = ZynqBuffer(memory, self._buffers.remove)
        self._buffers.append(buffer)
        if buffer.address % PAGE:
            address = buffer.address
            buffer.free()
            raise DeviceError(f"a buffer starts at a multiple of {PAGE}, not at {address:#x}")
        return buffer

    def wait(self, timeout_s: float) -> None:
        """Return once the control register says done; Timeout after `timeout_s`, DeviceError if the block has gone.

        The first millisecond is polled without pause: a batch that is that short ends on time.
        """
        begin = time.monotonic()
        while True:
            control = self.read(CONTROL)
            if control == GONE:
                raise DeviceError("the control register reads 0xffffffff: there is no block at its address")
            if control & DONE:
                return
            waited = time.monotonic() - begin
            if waited > timeout_s:
                raise Timeout(f"no done after {waited:.3f} s (limit {timeout_s:g} s): control is {control:#x}")
            if waited > 1e-3:
                time.sleep(2e-4)

    def reset(self, hard: bool = False) -> None:
        """Pulse the reset of the programmable logic, or load the overlay again if `hard`; then the block is idle.

        Either forgets every register; buffers keep their contents. DeviceError if the block is not idle afterwards.
        """
        if hard:
            _load(self._overlay, self.bitstream)
            self.clock_mhz = self._set_clock()
        else:
            _RESETS[self.architecture](self._window)
        control = self.read(CONTROL)
        if control == GONE or not control & IDLE:
            raise DeviceError(
                f"the block is not idle after {'a reload' if hard else 'a reset'}: control is {control:#x}"
            )

    def sensors(self) -> dict[str, Any]:
        """Temperatures (`..._c`), power (`..._w`), the clock as read back and the free contiguous memory."""
        measured: dict[str, Any] = {**board.sensors(), "clock_mhz": self._clocks().fclk0_mhz}
        memory = board.contiguous_memory()
        return measured if memory is None else {**measured, "contiguous_free_bytes": memory[0]}

    def close(self) -> None:
        """Free every buffer; the logic stays loaded.

        pynq's `Overlay.free` is not called: it closes XRT for the whole process, and no overlay loads after it.
        """
        for buffer in list(self._buffers):
            buffer.free()

    def _checked(self, offset: int) -> int:
        if offset % 4 or not 0 <= offset < self._size:
            raise DeviceError(f"register offsets are multiples of 4 from 0 to {self._size - 4:#x}, not {offset:#x}")
        return offset

    def _window(self, base: int, size: int) -> Any:
        from pynq import MMIO

        return MMIO(base, size, device=self._overlay.device)

    def _clocks(self) -> Any:
        from pynq.ps import Clocks

        return Clocks

    def _set_clock(self) -> float:
        """Set PL clock 0 at or below the wanted one; returns what was read back."""
        clocks = self._clocks()
        if self._wanted_mhz is not None:
            clocks.set_pl_clk(0, div0=20, div1=1)  # a divisor that is safe for any source, to learn the source
            source = 20 * clocks.fclk0_mhz
            first, second = divisors(source, self._wanted_mhz)
            clocks.set_pl_clk(0, div0=first, div1=second)
            expected, found = source / (first * second), clocks.fclk0_mhz
            if abs(found - expected) > 1e-3 * expected:
                raise DeviceError(f"PL clock 0 was set to {expected:.3f} MHz and reads back as {found:.3f} MHz")
        return float(clocks.fclk0_mhz)


def divisors(source_mhz: float, wanted_mhz: float) -> tuple[int, int]:
    """The two divisors of a PL clock for the fastest frequency at or below `wanted_mhz`.

    pynq takes the nearest one, which may be above what timing closed at: 76.9 for 76 MHz out of 1000.

    >>> divisors(1000.0, 100.0), divisors(1000.0, 76.0), divisors(1600.0, 150.0)
    ((10, 1), (14, 1), (11, 1))
    >>> divisors(1000.0, 0.2)
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: a PL clock out of 1000 MHz is 0.251953 MHz or more, not 0.2
    """
    slowest = source_mhz / DIVISOR_MAX**2
    if not wanted_mhz >= slowest * (1 - 1e-6):
        raise InputError(f"a PL clock out of {source_mhz:g} MHz is {slowest:g} MHz or more, not {wanted_mhz:g}")
    pairs = [(a, b) for b in range(1, DIVISOR_MAX + 1) for a in range(b, DIVISOR_MAX + 1)]
    fast = [pair for pair in pairs if source_mhz / (pair[0] * pair[1]) <= wanted_mhz * (1 + 1e-6)]
    return min(fast, key=lambda pair: (pair[0] * pair[1], pair[1]))


def _loaded(bitstream: Path, architecture: str) -> Any:
    """The overlay, loaded."""
    try:
        import pynq
    except ImportError as error:
        raise DeviceError(f"the zynq device needs pynq, which comes with a board's image: {error}") from None
    if architecture == "zynq" and int(pynq.__version__.split(".")[0]) >= 4:
        raise DeviceError(
            f"pynq {pynq.__version__} no longer drives Zynq-7000 boards such as the PYNQ-Z2: take the board's image 3.1"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pynq warns of what the errors below say
            overlay = pynq.Overlay(str(bitstream), download=False)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise DeviceError(f"pynq cannot open {bitstream}: {error}{_hints()}") from None
    _load(overlay, bitstream)
    return overlay


def _load(overlay: Any, bitstream: Path) -> None:
    try:
        overlay.download()
    except (RuntimeError, OSError, ValueError) as error:
        raise DeviceError(f"pynq cannot load {bitstream}: {error}{_hints()}") from None


def _hints() -> str:
    lacking = board.missing()
    return f"; it lacks {'; '.join(lacking)}" if lacking else ""


def _left() -> str:
    memory = board.contiguous_memory()
    return "" if memory is None else f" ({memory[0]:,} of {memory[1]:,} are free)"


Window = Callable[[int, int], Any]


def _reset_zynq(window: Window) -> None:
    """Zynq-7000: bit 0 of FPGA_RST_CTRL in the SLCR drives FCLK_RESET0_N (UG585 B.28)."""
    slcr = window(0xF8000000, 0x1000)
    locked = slcr.read(0x00C) & 1
    slcr.write(0x008, 0xDF0D)  # unlock
    before = slcr.read(0x240)
    slcr.write(0x240, before | 1)
    time.sleep(1e-3)
    slcr.write(0x240, before & ~1)
    if locked:
        slcr.write(0x004, 0x767B)
    time.sleep(1e-3)


def _reset_zynqmp(window: Window) -> None:
    """Zynq UltraScale+: pl_resetn0 is bit 31 of GPIO bank 5, here written alone through its mask (UG1087)."""
    gpio = window(0xFF0A0000, 0x1000)
    gpio.write(0x02C, 0x7FFF0000)
    time.sleep(1e-3)
    gpio.write(0x02C, 0x7FFF8000)
    time.sleep(1e-3)


_RESETS: dict[str, Callable[[Window], None]] = {"zynq": _reset_zynq, "zynquplus": _reset_zynqmp}
