"""What a driver needs of an accelerator: registers and buffers. It knows nothing of networks."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError

__all__ = ["Buffer", "Device", "DeviceError", "Timeout"]


class DeviceError(InputError):
    """The device answered what it may not, or went away."""


class Timeout(DeviceError):
    """The device did not finish in time; the message says what was waited for, and how long."""


class Buffer(Protocol):
    """Memory that host and device share without coherence, as behind a Zynq's HP ports.

    `data` is the host's view (uint8), `address` the device's. What the host wrote reaches the device after `flush`;
    what the device wrote reaches the host after `invalidate`.
    """

    address: int
    data: NDArray[np.uint8]

    def flush(self) -> None: ...

    def invalidate(self) -> None: ...

    def free(self) -> None: ...


class Device(Protocol):
    """An accelerator behind its AXI-Lite registers (32-bit words at byte offsets) and its memory.

    `read` and `write` touch one register; `allocate` gives a buffer of `size` bytes, aligned to 4096; `wait` returns once
    the control register says done, or raises `Timeout` after `timeout_s`; `reset` brings the block to its state after
    power-up (reloading the overlay if `hard`); `sensors` are what the board measures (watts, degrees), by name;
    `close` releases everything.
    """

    name: str

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, value: int) -> None: ...

    def allocate(self, size: int) -> Buffer: ...

    def wait(self, timeout_s: float) -> None: ...

    def reset(self, hard: bool = False) -> None: ...

    def sensors(self) -> dict[str, Any]: ...

    def close(self) -> None: ...
