"""Memory that a simulated accelerator shares with its host, without coherence, as behind a Zynq's HP ports."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hardpoint.host.device import DeviceError

__all__ = ["Shared", "SharedMemory"]

PAGE = 4096


class Shared:
    """A stretch of shared memory, seen through the host's cache: `flush` and `invalidate` copy, nothing else does."""

    def __init__(self, address: int, behind: NDArray[np.uint8], release: Callable[[], None]) -> None:
        self.address, self._behind, self._release = address, behind, release
        self.data: NDArray[np.uint8] = np.zeros(len(behind), np.uint8)

    def flush(self) -> None:
        """Let the device see what the host wrote."""
        self._behind[:] = self.data

    def invalidate(self) -> None:
        """Let the host see what the device wrote."""
        self.data[:] = self._behind

    def free(self) -> None:
        """Give the memory back; freeing twice does nothing."""
        release, self._release = self._release, _nothing
        release()


class SharedMemory:
    """`size` bytes at physical address `base`, in pages of 4096.

    >>> memory = SharedMemory(0x10000000, 8192)
    >>> buffer = memory.allocate(100)
    >>> buffer.data[0] = 7
    >>> int(memory.at(buffer.address, 1)[0]), buffer.flush(), int(memory.at(buffer.address, 1)[0])
    (0, None, 7)
    """

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.bytes: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self._taken: list[tuple[int, int]] = []  # (offset, size) in pages, in order

    def allocate(self, size: int) -> Shared:
        """A buffer of `size` bytes; a DeviceError where no gap holds it."""
        if size < 1:
            raise DeviceError(f"a buffer has 1 byte or more, not {size}")
        pages, at = -(-size // PAGE), 0
        for i, (offset, taken) in enumerate([*self._taken, (len(self.bytes) // PAGE, 0)]):
            if offset - at >= pages:
                place = (at, pages)
                self._taken.insert(i, place)
                begin = at * PAGE
                return Shared(self.base + begin, self.bytes[begin : begin + size], partial(self._taken.remove, place))
            at = offset + taken
        free = len(self.bytes) - PAGE * sum(taken for _, taken in self._taken)
        raise DeviceError(f"no {size:,} bytes of contiguous memory ({free:,} of {len(self.bytes):,} are free)")

    def at(self, address: int, size: int) -> NDArray[np.uint8] | None:
        """The bytes at a physical address, a view; None where the memory does not reach."""
        begin = address - self.base
        return self.bytes[begin : begin + size] if 0 <= begin <= begin + size <= len(self.bytes) else None


def _nothing() -> None:
    pass
