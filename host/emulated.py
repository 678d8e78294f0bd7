"""The accelerator in NumPy behind its own registers and memory: what a driver sees of it is what hardware shows."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.host.device import Timeout
from hardpoint.host.disassembly import bypass_of, faults_of, layer_table, network_of, shifts_of
from hardpoint.host.emulator import Emulator
from hardpoint.host.memory import Shared, SharedMemory
from hardpoint.layers import Codes
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.program import (
    HEADER_WORDS,
    LAYER_WORDS,
    LIMITS,
    MAGIC,
    Field,
    Header,
    Limits,
    Mode,
    Status,
    bypass_words,
    decode,
    encode,
    record_words,
    words_of,
)
from hardpoint.registers import CONTROL, DONE, IDLE, REGISTERS, START, offsets

__all__ = ["EmulatedDevice"]

BASE = 0x1000_0000
MOST_STRIKES = 1 << 22  # words of strikes per batch


class EmulatedDevice:
    """The accelerator built as `array`, emulated: it reads programs, weights, images and strikes from its memory.

    Nothing but the words in memory decides what it computes: the program is decoded, checked as the hardware checks it,
    and run by the emulator. Records count the core's cycles exactly. The emulator knows whether a vote disagreed, not how
    often nor in which column: the first column's counter is 1 then. A pointer outside of the memory hangs the
    block until it is reset. `memory_bytes` is the size of the memory.
    """

    name = "emulator"

    def __init__(self, array: Array, limits: Limits = LIMITS, memory_bytes: int = 64 << 20) -> None:
        self.array, self.limits = array, limits
        self.memory = SharedMemory(BASE, memory_bytes)
        self._at = offsets()
        self._outputs = {self._at[register.name] for register in REGISTERS if register.kind == "out"}
        self._program: tuple[bytes, bytes] | None = None  # what `_emulator` was decoded from
        self._emulator: Emulator | None = None
        self.reset()

    def __reduce__(self) -> tuple[Any, ...]:
        return EmulatedDevice, (self.array, self.limits, len(self.memory.bytes))

    def read(self, offset: int) -> int:
        """The register at byte `offset`; reading the control register clears done."""
        value = self._registers.get(offset, 0)
        if offset == CONTROL:
            self._registers[CONTROL] &= ~DONE
        return value

    def write(self, offset: int, value: int) -> None:
        """Write the register at byte `offset`; the start bit runs the batch before this returns."""
        if offset == CONTROL:
            if value & START and self._registers[CONTROL] & IDLE:
                self._registers[CONTROL] = IDLE | DONE if self._run() else 0
        elif offset not in self._outputs:
            self._registers[offset] = value & 0xFFFFFFFF

    def allocate(self, size: int) -> Shared:
        """A buffer of `size` bytes, aligned to 4096."""
        return self.memory.allocate(size)

    def wait(self, timeout_s: float) -> None:
        """Return if the last start finished; one that has not by now never will, so that Timeout comes at once."""
        if not self.read(CONTROL) & DONE:
            raise Timeout(f"{self.name}: no done within {timeout_s:g} s: control is {self._registers[CONTROL]:#x}")

    def reset(self, hard: bool = False) -> None:
        """Registers as after power-up; memory keeps its contents."""
        self._registers = {CONTROL: IDLE}

    def sensors(self) -> dict[str, Any]:
        """A PC measures nothing for the accelerator."""
        return {}

    def close(self) -> None:
        """Nothing is held beyond this object."""

    def _run(self) -> bool:
        """Run a batch; False where the block hangs."""
        place = {name: self._pointer(name) for name in self._at if name in _POINTERS}
        if not all(self._inside(address, 8) for address in place.values()):
            return False
        self._set("design", int(self.array.digest[:8], 16))
        self._set("done_images", 0)
        status, words = self._load(place["program"])
        if status:
            self._set("status", status)
            return True
        halves = words.view("<u4")
        weights = self._words(place["weights"], int(halves[Header.WEIGHT_WORDS]))
        if weights is None:
            return False
        listed = words[len(words) - int(halves[Header.LIST_WORDS]) :]
        checked = (weights, Header.WEIGHT_CRC, Status.WEIGHTS_CRC), (listed, Header.LIST_CRC, Status.PROGRAM_CRC)
        if self._get("mode") & Mode.CHECK:
            status = sum(wrong for part, crc, wrong in checked if zlib.crc32(part.tobytes()) != halves[crc])
        if status:
            self._set("status", status)
            return True
        try:
            emulator = self._decoded(words, weights)
        except InputError:
            self._set("status", Status.BAD_PROGRAM)
            return True
        return self._play(emulator, halves, layer_table(words, self.array), place)

    def _load(self, address: int) -> tuple[int, NDArray[np.uint64]]:
        """Status bits, and the program if there are none."""
        nothing: NDArray[np.uint64] = np.zeros(0, np.uint64)
        header = self._words(address, HEADER_WORDS)
        if header is None:
            return Status.BAD_PROGRAM, nothing
        halves = header.view("<u4")
        layers = int(halves[Header.LAYERS])
        if halves[Header.MAGIC] != MAGIC or halves[Header.DESIGN] != int(self.array.digest[:8], 16):
            return Status.BAD_PROGRAM, nothing
        size = HEADER_WORDS + bypass_words(self.array) + layers * LAYER_WORDS
        words = self._words(address, size) if 0 < layers <= self.limits.layers else None
        if words is None:
            return Status.BAD_PROGRAM, nothing
        crc = zlib.crc32(np.delete(words.view("<u4"), Header.CRC).tobytes())
        if crc != halves[Header.CRC]:
            return Status.PROGRAM_CRC, nothing
        whole = self._words(address, size + int(halves[Header.LIST_WORDS]))
        return (Status.BAD_PROGRAM, nothing) if whole is None else (0, whole)

    def _decoded(self, words: NDArray[np.uint64], weights: NDArray[np.uint64]) -> Emulator:
        """The emulator of the network in memory; kept while the memory holds the same."""
        key = (words.tobytes(), weights.tobytes())
        if self._program != key or self._emulator is None:
            array = replace(self.array, ecc=False)  # strikes are what the decoders of buffers left
            network = network_of(words, weights, array)
            shifts = shifts_of(layer_table(words, array), array)
            self._emulator = Emulator(network, array, bypass=bypass_of(words, array), shifts=shifts)
            self._program = key
        return self._emulator

    def _play(self, emulator: Emulator, halves: Any, table: Any, place: dict[str, int]) -> bool:
        """Run the images, write outputs and records; False where the block hangs."""
        network, images, first = emulator.network, self._get("images"), self._get("first")
        last = network.layers[-1].name
        source_words, result_words = int(halves[Header.SOURCE_WORDS]), int(halves[Header.RESULT_WORDS])
        source = self._words(place["source"], images * source_words)
        result = self.memory.at(place["result"], 8 * images * result_words)
        records = self.memory.at(place["records"], 8 * images * record_words(self.array))
        if source is None or result is None or records is None:
            return False
        fits = source_words >= words_of(network.input_shape, network.input_format)
        fits &= result_words >= words_of(network.shapes[last], network.formats[last])
        if not fits:
            self._set("status", Status.BAD_PROGRAM)
            return True
        if not images:
            self._set("status", 0)
            return True
        faults, given_up, status = None, np.zeros(images, bool), 0
        if self._get("mode") & Mode.STRIKES:
            try:
                faults, given_up = faults_of(self._strikes(place["strikes"]), network, self.array, images)
            except InputError:
                status = Status.BAD_STRIKES
        cycles, hung = _cycles(network, self.array, table)
        status |= Status.WATCHDOG if hung else 0
        x = _wrapped(decode(source.reshape(images, source_words), network.input_format, _size(network)), network)
        outputs, voted = emulator.observe(x, faults)
        if not status:
            words = encode(outputs, network.formats[last], result_words)
            result[:] = words.reshape(-1).view(np.uint8)
        rows = records.view("<u8").reshape(images, -1)
        each = status | np.where(given_up, int(Status.ECC), 0)
        rows[:, 0] = (first + np.arange(images, dtype=np.int64)) & 0xFFFFFFFF | each << 32
        rows[:, 1], rows[:, 2:] = cycles, 0
        rows[:, 2] = voted
        self._set("done_images", images)
        self._set("status", int(np.bitwise_or.reduce(each)))
        return True

    def _strikes(self, address: int) -> NDArray[np.uint64]:
        """The words from `address` on, as many as there are: blocks say their own lengths."""
        count = min((self.memory.base + len(self.memory.bytes) - address) // 8, MOST_STRIKES)
        words = self._words(address, count)
        return np.zeros(0, np.uint64) if words is None else words

    def _words(self, address: int, count: int) -> NDArray[np.uint64] | None:
        data = self.memory.at(address, 8 * count)
        return None if data is None else data.view("<u8")

    def _inside(self, address: int, size: int) -> bool:
        return address % 8 == 0 and self.memory.at(address, size) is not None

    def _pointer(self, name: str) -> int:
        return self._get(name) | self._registers.get(self._at[name] + 4, 0) << 32

    def _get(self, name: str) -> int:
        return self._registers.get(self._at[name], 0)

    def _set(self, name: str, value: int) -> None:
        self._registers[self._at[name]] = value


_POINTERS = {register.name for register in REGISTERS if register.kind == "pointer"}


def _size(network: Network) -> int:
    return int(np.prod(network.input_shape))


def _wrapped(codes: Codes, network: Network) -> Codes:
    """Input codes cut to the bits that the array takes, in the network's shape."""
    fmt = network.input_format
    low = codes & ((1 << fmt.bits) - 1)
    values = np.where(low > fmt.max, low - (1 << fmt.bits), low) if fmt.signed else low
    return np.asarray(values).reshape(len(codes), *network.input_shape)


def _cycles(network: Network, array: Array, table: Any) -> tuple[int, bool]:
    """Cycles of the core per image, and whether a layer's limit is shorter than what it needs.

    A layer of T tiles takes (T - 1) max(K, R) + K + R: the last tile computes, then its R rows leave. Weight-stationary:
    T (R + P). A recompute unit runs beside the array; where it takes longer, it sets the layer's time.
    """
    total, hung = 0, False
    lanes = 1 if array.recompute is None else array.recompute.lanes
    rows = [row for row in table if row[Field.LIMIT]]
    for index, row in zip(range(len(network.gemms)), rows, strict=True):
        tiling = Tiling.of(network.gemm(index), array)
        rest = tiling.period if tiling.stationary else tiling.gemm.k + array.rows
        need = (tiling.tiles - 1) * tiling.period + rest
        unit = len(network.important[index]) * (-(-tiling.gemm.k // lanes) + 1)
        hung |= max(need, unit) > int(row[Field.LIMIT])
        total += min(max(need, unit), int(row[Field.LIMIT]))
    return total, hung
