"""Runs networks on a device: loads them, streams batches through, plays fault lists, reads what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.bitstream import CORES
from hardpoint.errors import InputError
from hardpoint.faults import FaultList
from hardpoint.host.device import Buffer, Device, DeviceError
from hardpoint.injection import Strikes
from hardpoint.network import Network
from hardpoint.program import LIMITS, Limits, Mode, Program, Status, counted, decode, encode, record_words
from hardpoint.registers import CONTROL, START, offsets

__all__ = ["Driver", "Interrupted", "Loaded", "Played"]

HUNG = 1 << 16
"""Status of an image that the device never finished."""


@dataclass(frozen=True, eq=False)
class Played:
    """What a device made of images: outputs (images, outputs); status per image, 0 where all is well (bits of
    `hardpoint.program.Status`, or HUNG); cycles of the core per image; disagreeing votes (images, columns)."""

    outputs: NDArray[np.int64]
    status: NDArray[np.int64]
    cycles: NDArray[np.int64]
    votes: NDArray[np.int64]


class Interrupted(DeviceError):
    """The device failed while it played; `played` holds the images that it had finished, from the first one on.

    `unfinished` counts the images that had been started and have no record.
    """

    def __init__(self, error: DeviceError, played: Played, unfinished: int) -> None:
        super().__init__(str(error))
        self.played, self.unfinished = played, unfinished


class Driver:
    """Drives one accelerator, built as `array`, through `device`.

    `batch` images run per start (fewer where the device's buffers would not hold them); every wait ends after `timeout_s` seconds.
    `core` says what the core was made from, "hls" (C++) or "rtl" (Verilog), and so how strikes are timed; a simulated
    device says it itself.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> from hardpoint.host.emulated import EmulatedDevice
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> driver = Driver(EmulatedDevice(Array(1, 2)), Array(1, 2))
    >>> driver.run(net, np.array([[3, 4]])).tolist()
    [[11, 2]]
    """

    def __init__(
        self,
        device: Device,
        array: Array,
        *,
        limits: Limits = LIMITS,
        batch: int = 256,
        timeout_s: float = 600.0,
        core: str | None = None,
    ) -> None:
        if batch < 1:
            raise InputError(f"a batch holds 1 image or more, not {batch}")
        self.core = core if core is not None else str(getattr(device, "core", "hls"))
        if self.core not in CORES:
            raise InputError(f"a core is synthesised from {' or '.join(CORES)}, not {self.core!r}")
        self.device, self.array, self.limits = device, array, limits
        self.batch, self.timeout_s = batch, timeout_s
        self._at = offsets()

    def load(self, network: Network, bypass: Any = None) -> Loaded:
        """Write `network` into the device's memory and read it back; it stays there until the result is closed.

        PEs at which `bypass` (rows, cols) is true are bypassed.
        """
        return Loaded(self, network, bypass)

    def run(self, network: Network, x: Any, faults: FaultList | None = None) -> NDArray[np.int64]:
        """Output codes (images, outputs) of `network` for input codes `x`; see `Loaded.run`."""
        loaded = self.load(network)
        try:
            return loaded.run(x, faults)
        finally:
            loaded.close()

    def read(self, name: str) -> int:
        """A register by name."""
        return self.device.read(self._at[name])

    def point(self, name: str, buffer: Buffer) -> None:
        """Write a buffer's address to a pointer register."""
        self.device.write(self._at[name], buffer.address & 0xFFFFFFFF)
        self.device.write(self._at[name] + 4, buffer.address >> 32)

    def write(self, name: str, value: int) -> None:
        """Write a register by name."""
        self.device.write(self._at[name], value)

    def start(self) -> None:
        """Start a batch."""
        self.device.write(CONTROL, START)


@dataclass
class _Slot:
    """Buffers of one batch, two of which take turns."""

    source: Buffer
    result: Buffer
    records: Buffer
    strikes: Buffer | None = None


@dataclass(frozen=True, eq=False)
class _Struck:
    """Faults by how long they last: flips, by image, and stuck bits."""

    flips: NDArray[Any]
    stuck: NDArray[Any]

    @classmethod
    def of(cls, faults: FaultList) -> _Struck:
        lasting = faults.faults["effect"] != 0
        flips = faults.faults[~lasting]
        return cls(flips[np.argsort(flips["image"], kind="stable")], faults.faults[lasting])

    def near(self, first: int, count: int) -> NDArray[Any]:
        """What can strike images `first` .. `first` + `count` - 1."""
        begin, end = np.searchsorted(self.flips["image"], (first, first + count))
        return np.concatenate([self.flips[begin:end], self.stuck])


class Loaded:
    """A network in a device's memory, ready to run."""

    def __init__(self, driver: Driver, network: Network, bypass: Any = None) -> None:
        self.driver, self.network, self.bypass = driver, network, bypass
        self.program = Program.of(network, driver.array, driver.limits, bypass)
        self._strikes = Strikes(driver.array, network, cycles=driver.core == "rtl")
        self._buffers: list[Buffer] = []
        self._fixed = {
            name: self._filled(words)
            for name, words in (("program", self.program.words), ("weights", self.program.weights))
        }
        self._scratch = self._allocate(8 * self.program.scratch_words)
        self._record = record_words(driver.array)
        self.batch = driver.batch
        self._slots = self._slots_of(driver.batch)
        self._checked = False

    @property
    def array(self) -> Array:
        """The array that the accelerator was built as."""
        return self.driver.array

    @property
    def engine(self) -> str:
        """The device's kind, as a campaign's store calls it: of a simulation library what precedes its digest."""
        return self.driver.device.name.partition("-")[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return Loaded, (self.driver, self.network, self.bypass)  # another process loads it into a device of its own

    def run(self, x: Any, faults: FaultList | None = None) -> NDArray[np.int64]:
        """Output codes (images, outputs) for input codes `x`, `faults` struck; a DeviceError where an image did not finish."""
        played = self.play(x, faults)
        bad = np.flatnonzero(played.status)
        if len(bad):
            raise DeviceError(
                f"{self.driver.device.name}: image {bad[0]} ended with {describe(int(played.status[bad[0]]))}"
            )
        return played.outputs

    def play(self, x: Any, faults: FaultList | None = None, first: int = 0) -> Played:
        """Outputs, status and counts for input codes `x` while `faults` strike; image i of `x` is inference `first` + i.

        Where the device fails, Interrupted holds what was finished before; the device needs a reset then.
        """
        x = self.network.check_input(x)
        if faults is not None:
            faults.check(self.driver.array, self.network)
        struck = None if faults is None else _Struck.of(faults)
        parts: list[Played] = []
        waiting: tuple[int, int, _Slot] | None = None
        try:
            at, i = 0, 0
            while at < len(x):
                slot, batch = self._slots[i % 2], x[at : at + self.batch]
                mode = self._fill(slot, batch, struck, first + at)
                if mode is None and len(batch) > 1:  # so many strikes that memory holds only those of fewer images
                    self.batch = len(batch) // 2
                    continue
                if mode is None:  # of one image, and the other batch's strikes take the rest
                    if waiting is not None:
                        parts.append(self._finish(*waiting))
                        waiting = None
                    if not self._dropped(self._slots[1 - i % 2]):
                        raise DeviceError(
                            f"{self.driver.device.name}: the strikes of image {first + at} do not fit its memory"
                        )
                    continue
                if waiting is not None:
                    parts.append(self._finish(*waiting))
                waiting = (first + at, len(batch), slot)
                self._start(slot, first + at, len(batch), mode)
                at, i = at + len(batch), i + 1
            if waiting is not None:
                parts.append(self._finish(*waiting))
        except DeviceError as error:
            salvaged = [] if waiting is None else self._salvaged(*waiting)
            started = 0 if waiting is None else waiting[1]
            unfinished = started - sum(len(part.status) for part in salvaged)
            raise Interrupted(error, self._joined(parts + salvaged), unfinished) from error
        return self._joined(parts)

    def _joined(self, parts: list[Played]) -> Played:
        """Batches one after the other, outputs in the network's order."""
        nothing = np.zeros(0, np.int64)
        none = Played(
            np.zeros((0, self.program.outputs), np.int64),
            nothing,
            nothing,
            np.zeros((0, counted(self.array)), np.int64),
        )
        parts = [none, *parts]
        fields = zip(*((part.outputs, part.status, part.cycles, part.votes) for part in parts), strict=True)
        outputs, status, cycles, votes = (np.concatenate(field) for field in fields)
        return Played(self.network.ordered(outputs), status, cycles, votes)

    def _salvaged(self, first: int, count: int, slot: _Slot) -> list[Played]:
        """What a batch that failed had finished: the images before the first without its record."""
        try:
            done = min(count, self.driver.read("done_images"))
            tags = (self._records(slot, done)[:, 0] & 0xFFFFFFFF).astype(np.int64)
            done = int(np.append(tags != np.arange(first, first + done), True).argmax())
            return [self._read(slot, first, done)]
        except DeviceError:
            return []

    def suspect(self) -> None:
        """Have the device compare its weights with their CRC before the next batch, as before the first."""
        self._checked = False

    def close(self) -> None:
        """Free the network's memory on the device."""
        while self._buffers:
            self._buffers.pop().free()

    def _fill(self, slot: _Slot, x: NDArray[np.int64], struck: _Struck | None, first: int) -> Mode | int | None:
        """Write a batch's inputs and strikes; returns its mode, None where memory does not hold the strikes."""
        words = encode(x, self.program.source_format, self.program.source_words)
        _write(slot.source, words)
        mode = 0 if self._checked else Mode.CHECK
        records = None if struck is None else struck.near(first, len(x))
        if records is None or not len(records):
            return mode
        strikes = self._strikes.words(records, first, len(x))
        if not self._has_room(slot, strikes.nbytes):
            return None
        assert slot.strikes is not None
        _write(slot.strikes, strikes)
        return mode | Mode.STRIKES

    def _has_room(self, slot: _Slot, size: int) -> bool:
        """Give `slot` a buffer for `size` bytes of strikes; False where memory does not hold it."""
        if slot.strikes is not None and len(slot.strikes.data) < size:
            self._dropped(slot)
        if slot.strikes is None:
            try:
                slot.strikes = self._allocate(size)
            except InputError:
                return False
        return True

    def _dropped(self, slot: _Slot) -> bool:
        """Free a slot's buffer of strikes; False where it has none."""
        if slot.strikes is None:
            return False
        self._buffers.remove(slot.strikes)
        slot.strikes.free()
        slot.strikes = None
        return True

    def _start(self, slot: _Slot, first: int, count: int, mode: int) -> None:
        driver = self.driver
        for name, buffer in self._fixed.items():
            driver.point(name, buffer)
        for name, buffer in (("source", slot.source), ("result", slot.result), ("records", slot.records)):
            driver.point(name, buffer)
        driver.point("scratch_in", self._scratch)
        driver.point("scratch_out", self._scratch)
        driver.point("strikes", slot.strikes or slot.records)
        slot.records.data[: 8 * count * self._record] = 0xFF  # a record that is never written shows
        slot.records.flush()
        for name, value in (("images", count), ("first", first), ("mode", mode)):
            driver.write(name, value)
        driver.start()

    def _finish(self, first: int, count: int, slot: _Slot) -> Played:
        """Wait for a batch and read it."""
        driver = self.driver
        driver.device.wait(driver.timeout_s)
        status = driver.read("status")
        if status & (Status.BAD_PROGRAM | Status.PROGRAM_CRC | Status.WEIGHTS_CRC):
            raise DeviceError(f"{driver.device.name} refused the network: {describe(status)}")
        self._checked = True
        return self._read(slot, first, count)

    def _read(self, slot: _Slot, first: int, count: int) -> Played:
        """A finished batch's outputs and records."""
        slot.result.invalidate()
        words = slot.result.data.view("<u8")[: count * self.program.result_words].reshape(
            count, self.program.result_words
        )
        records = self._records(slot, count)
        tags, status = records[:, 0] & 0xFFFFFFFF, (records[:, 0] >> np.uint64(32)).astype(np.int64)
        wrong = np.flatnonzero(tags != np.arange(first, first + count))
        if len(wrong):
            found = int(tags[wrong[0]])
            raise DeviceError(f"{self.driver.device.name}: the record of image {first + wrong[0]} is tagged {found}")
        votes = np.ascontiguousarray(records[:, 2:]).view("<u4")[:, : counted(self.driver.array)].astype(np.int64)
        outputs = decode(words, self.program.result_format, self.program.outputs)
        return Played(outputs, status, records[:, 1].astype(np.int64), votes)

    def _records(self, slot: _Slot, count: int) -> NDArray[np.uint64]:
        """The first `count` records of a batch, (images, words)."""
        slot.records.invalidate()
        return slot.records.data.view("<u8")[: count * self._record].reshape(count, self._record)

    def _slots_of(self, batch: int) -> list[_Slot]:
        """Buffers of two batches of `batch` images, or of half as many until the device's memory holds them."""
        sizes = [8 * batch * words for words in (self.program.source_words, self.program.result_words, self._record)]
        before = len(self._buffers)
        try:
            self.batch = batch
            return [_Slot(*(self._allocate(size) for size in sizes)) for _ in range(2)]
        except InputError:
            while len(self._buffers) > before:
                self._buffers.pop().free()
            if batch == 1:
                raise
            return self._slots_of(batch // 2)

    def _allocate(self, size: int) -> Buffer:
        size = max(size, 8)
        buffer = self.driver.device.allocate(size)
        self._buffers.append(buffer)
        if len(buffer.data) != size:
            raise DeviceError(
                f"{self.driver.device.name}: asked for {size} bytes of memory, it gave {len(buffer.data)}"
            )
        buffer.flush()  # a line left dirty by the memory's last user could be written back over the device's results
        return buffer

    def _filled(self, words: NDArray[np.uint64]) -> Buffer:
        """A buffer with `words`, read back from the device's memory."""
        buffer = self._allocate(words.nbytes)
        _write(buffer, words)
        buffer.invalidate()
        if not np.array_equal(buffer.data[: words.nbytes], words.view(np.uint8)):
            raise DeviceError(f"{self.driver.device.name}: its memory does not hold what was written")
        return buffer


def describe(status: int) -> str:
    """A status in words.

    >>> describe(10)
    'PROGRAM_CRC, WATCHDOG'
    """
    names = [bit.name for bit in Status if status & bit] + ["HUNG"] * bool(status & HUNG)
    return ", ".join(names) or f"status {status}"


def _write(buffer: Buffer, words: NDArray[np.uint64]) -> None:
    flat = np.ascontiguousarray(words).reshape(-1).view(np.uint8)
    buffer.data[: len(flat)] = flat
    buffer.flush()
