"""A Zynq board that is not there: a pynq device whose logic is any `hardpoint.host` device, with caches in between.

pynq's own `Overlay`, `MMIO`, `allocate`, `Clocks` and metadata run on it as they do on a board.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import design
import numpy as np
from pynq.buffer import PynqBuffer
from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
from pynq.pl_server.device import Device
from pynq.pl_server.embedded_device import bit2bin
from pynq.ps import Clocks
from pynqmetadata.frontends import Metadata

GONE = b"\xff\xff\xff\xff"
LOCK, UNLOCK, LOCKED, RESET = 0xF800_0004, 0xF800_0008, 0xF800_000C, 0xF800_0240  # Zynq-7000's SLCR
GPIO_MASK = 0xFF0A_002C  # Zynq UltraScale+: upper half of GPIO bank 5
CLOCKS = {
    "zynq": {0xF800_0108: 20 << 12, 0xF800_0170: 10 << 8 | 1 << 20},  # IO PLL 20 x 50 MHz, by 10 and by 1
    "zynquplus": {0xFF5E_0020: 45 << 8, 0xFF5E_00C0: 15 << 8 | 1 << 16 | 1 << 24},  # 45 x 33.333 MHz, by 15 and by 1
}


class Board(Device):
    """One board per process, as on a board: pynq keeps it in class attributes. `insert` puts logic into it.

    `events` records what happened to the logic; `buffers` is what was allocated and not freed; `free` the bytes of
    contiguous memory that are left. What the host sees of a buffer is a cache: only flush and invalidate synchronise it.
    """

    _probe_priority_ = 1

    @classmethod
    def _probe_(cls) -> list[Board]:
        return [cls()]

    def __init__(self) -> None:
        super().__init__("board")
        self.name, self.capabilities = "board", {"REGISTER_RW": True}
        self.keys = itertools.count(1)
        self.insert(None)

    def insert(self, logic: Any, architecture: str = "zynq", memory: int = 128 << 20) -> None:
        """Power up with `logic`, a hardpoint device, as what the next bitstream will configure."""
        self.logic, self.free, self.loaded = logic, memory, False
        self.arch, self.base = {"zynq": "armv7l", "zynquplus": "aarch64"}[architecture], design.BASES[architecture]
        self.events: list[str] = []
        self.buffers: dict[int, tuple[Any, int]] = {}
        self.system = {**CLOCKS[architecture], RESET: 0, LOCKED: 1, GPIO_MASK: 0x8000}
        if "_real_instance" in vars(Clocks):  # pynq finds out once per process which clocks there are
            del Clocks._real_instance

    def read_registers(self, address: int, length: int) -> bytes:
        """What the bus answers: the logic's registers, the processor's, or ones where nobody is."""
        assert length == 4
        if self.base <= address < self.base + design.SIZE:
            return int(self.logic.read(address - self.base)).to_bytes(4, "little") if self.loaded else GONE
        return self.system.get(address, 0).to_bytes(4, "little")

    def write_registers(self, address: int, data: bytes) -> None:
        value = int.from_bytes(data, "little")
        if self.base <= address < self.base + design.SIZE:
            if self.loaded:
                self.logic.write(address - self.base, value)
        elif address in (UNLOCK, LOCK):
            self.system[LOCKED] = 0 if (address, value) == (UNLOCK, 0xDF0D) else 1
        elif address == RESET and not self.system[LOCKED]:
            self._release(self.system[RESET] & 1 and not value & 1)
            self.system[RESET] = value
        elif address == GPIO_MASK:
            mask = ~(value >> 16) & 0xFFFF
            self._release(value & mask & 0x8000 and not self.system[GPIO_MASK] & 0x8000)
            self.system[GPIO_MASK] = self.system[GPIO_MASK] & ~mask | value & mask
        elif address in self.system and address not in (LOCKED, RESET):
            self.system[address] = value

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        parser = RuntimeMetadataParser(Metadata(input=bitfile_name.replace(".bit", ".hwh")))
        parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Configure the logic, if what was handed over is a bitstream."""
        with open(bitstream.bitfile_name, "rb") as file:
            bit2bin(file.read())
        self.loaded = True
        self.events.append("load")
        self.logic.reset(hard=True)
        self.post_download(bitstream, parser, self.name)

    def allocate(self, shape: Any, dtype: Any, cacheable: bool = False, **_: Any) -> PynqBuffer:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not self.loaded:
            raise RuntimeError("Overlay is not downloaded")
        if size > self.free:
            raise RuntimeError("BO allocation failed: Cannot allocate memory")
        behind, key = self.logic.allocate(size), next(self.keys)
        self.free -= size
        self.buffers[key] = (behind, size)
        stale = np.full(size, 0xA5, np.uint8)  # whatever was there before
        buffer = PynqBuffer(
            shape, dtype, buffer=stale.data, bo=key, device=self, device_address=behind.address, coherent=False
        )
        buffer.memory, buffer.pointer, buffer.return_to = self, key, self
        return buffer

    def return_pointer(self, key: int) -> None:
        """A buffer was freed; one from before the last power-up is of no interest."""
        if key in self.buffers:
            behind, size = self.buffers.pop(key)
            behind.free()
            self.free += size

    def flush(self, bo: int, offset: int, pointer: int, size: int) -> None:
        behind = self._behind(bo, offset, size)
        behind.data[offset : offset + size] = _bytes(pointer, size)
        behind.flush()

    def invalidate(self, bo: int, offset: int, pointer: int, size: int) -> None:
        behind = self._behind(bo, offset, size)
        behind.invalidate()
        _bytes(pointer, size)[:] = behind.data[offset : offset + size]

    def _behind(self, bo: int, offset: int, size: int) -> Any:
        behind, whole = self.buffers[bo]
        assert offset + size <= whole
        return behind

    def _release(self, rising: Any) -> None:
        """The logic's reset is released."""
        if rising and self.loaded:
            self.events.append("reset")
            self.logic.reset()


def _bytes(pointer: int, size: int) -> Any:
    return np.frombuffer((ctypes.c_uint8 * size).from_address(pointer), np.uint8)
