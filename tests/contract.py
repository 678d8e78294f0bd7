"""What every device promises, whatever stands behind it: emulator, compiled C++, Verilated RTL, or a board.

A test module subclasses `DeviceContract` and gives it a fixture `device` that was built as `ARRAY`.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from accelerators import codes, depthwise_network, mixed_network, plain_network, random_list

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.faults import SITES, FaultList
from hardpoint.host.device import Device, Timeout
from hardpoint.host.driver import Driver
from hardpoint.host.emulator import Emulator
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.program import Header, Mode, Program, Status, encode, record_words
from hardpoint.registers import CONTROL, DONE, IDLE, REGISTERS, START, offsets

ARRAY = Array(4, 6, (Guard(), Guard(14, True, True)), (1, 1, 0, 0, 0, 0))
AT = offsets()
SOON = 5.0  # seconds in which any device here finishes a small batch


class Batch:
    """One network and a few images in a device's memory, register by register, without the driver."""

    def __init__(self, device: Device, network: Network, x: Any) -> None:
        self.device, self.network, self.images = device, network, len(x)
        self.program = Program.of(network, ARRAY)
        words = {
            "program": self.program.words,
            "weights": self.program.weights,
            "source": encode(x, self.program.source_format, self.program.source_words).reshape(-1),
            "result": np.zeros(len(x) * self.program.result_words, np.uint64),
            "scratch_in": np.zeros(self.program.scratch_words, np.uint64),
            "records": np.full(len(x) * record_words(ARRAY), ~np.uint64(0)),
        }
        self.buffers = {name: device.allocate(8 * max(1, len(value))) for name, value in words.items()}
        for name, value in words.items():
            self.buffers[name].data[: value.nbytes] = value.view(np.uint8)
            self.buffers[name].flush()

    def start(self, mode: int = 0, first: int = 0) -> None:
        write = self.device.write
        for register in REGISTERS:
            if register.kind == "pointer":
                name = {"scratch_out": "scratch_in", "strikes": "records"}.get(register.name, register.name)
                write(AT[register.name], self.buffers[name].address & 0xFFFFFFFF)
                write(AT[register.name] + 4, self.buffers[name].address >> 32)
        for name, value in (("images", self.images), ("first", first), ("mode", mode)):
            write(AT[name], value)
        write(CONTROL, START)

    def run(self, mode: int = 0, first: int = 0) -> int:
        """Start, wait, and return the status."""
        self.start(mode, first)
        self.device.wait(SOON)
        return self.device.read(AT["status"])

    def change(self, name: str, place: int, flip: int) -> None:
        """Flip bits of a 32-bit half-word in memory."""
        buffer = self.buffers[name]
        buffer.data[: len(buffer.data) // 4 * 4].view("<u4")[place] ^= np.uint32(flip)
        buffer.flush()


@pytest.fixture
def network() -> Network:
    return plain_network(np.random.default_rng(5))


@pytest.fixture
def x(network: Network) -> np.ndarray:
    return np.asarray(codes(np.random.default_rng(6), network.input_format, (3, *network.input_shape)))


class DeviceContract:
    """The promises. Every test gets a device of its own, as after power-up."""

    def cycles(self, network: Network) -> int:
        """Cycles of the core for one image, without the array's fill: T tiles of a layer take (T - 1) max(K, R) + K + R."""
        tilings = [Tiling.of(network.gemm(i), ARRAY) for i in range(len(network.gemms))]
        return sum((t.tiles - 1) * t.period + t.gemm.k + ARRAY.rows for t in tilings)

    def test_is_idle_after_power_up(self, device: Device) -> None:
        assert device.read(CONTROL) & (IDLE | DONE) == IDLE
        assert device.name

    def test_host_registers_hold_what_was_written(self, device: Device) -> None:
        values = {}
        for i, register in enumerate(REGISTERS):
            for half in range(2 if register.kind == "pointer" else 1):
                if register.kind != "out":
                    values[AT[register.name] + 4 * half] = 0x9E3779B1 * (2 * i + half + 1) & 0xFFFFFFFF
        for offset, value in values.items():
            device.write(offset, value)
        assert {offset: device.read(offset) for offset in values} == values

    def test_buffers_are_aligned_and_apart(self, device: Device) -> None:
        buffers = [device.allocate(size) for size in (1, 8, 4096, 4097, 100_000)]
        spans = sorted((buffer.address, buffer.address + len(buffer.data)) for buffer in buffers)
        assert all(buffer.address % 4096 == 0 for buffer in buffers)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
        assert [len(buffer.data) for buffer in buffers] == [1, 8, 4096, 4097, 100_000]
        assert all(buffer.data.dtype == np.uint8 for buffer in buffers)

    def test_memory_is_not_coherent(self, device: Device) -> None:
        buffer = device.allocate(64)
        buffer.data[:] = 1
        buffer.flush()
        buffer.data[:] = 2
        buffer.invalidate()
        assert (buffer.data == 1).all(), "what was not flushed must not reach memory"

    def test_freed_memory_comes_back(self, device: Device) -> None:
        for _ in range(100):
            device.allocate(4 << 20).free()

    def test_refuses_a_buffer_beyond_its_memory(self, device: Device) -> None:
        with pytest.raises(InputError, match="memory"):
            device.allocate(1 << 40)

    def test_wait_ends_without_a_start(self, device: Device) -> None:
        begin = time.monotonic()
        with pytest.raises(Timeout, match="done"):
            device.wait(0.05)
        assert time.monotonic() - begin < 2.0

    def test_done_is_cleared_by_reading(self, device: Device, network: Network, x: Any) -> None:
        Batch(device, network, x).start()
        deadline = time.monotonic() + SOON
        while not (control := device.read(CONTROL)) & DONE:
            assert time.monotonic() < deadline
        assert control & IDLE
        assert device.read(CONTROL) & (DONE | IDLE) == IDLE

    def test_a_batch_register_by_register(self, device: Device, network: Network, x: Any) -> None:
        batch = Batch(device, network, x)
        assert batch.run(Mode.CHECK, first=40) == 0
        assert device.read(AT["done_images"]) == len(x)
        assert device.read(AT["design"]) == int(ARRAY.digest[:8], 16)
        records = batch.buffers["records"]
        records.invalidate()
        words = records.data.view("<u8").reshape(len(x), -1)
        assert words[:, 0].tolist() == [40, 41, 42], "tags count from `first`, status 0 above them"
        assert words[:, 1].tolist() == [self.cycles(network)] * len(x)
        assert not words[:, 2:].any(), "no vote disagrees"

    def test_no_images_are_a_batch(self, device: Device, network: Network, x: Any) -> None:
        batch = Batch(device, network, x)
        batch.images = 0
        assert batch.run() == 0
        assert device.read(AT["done_images"]) == 0

    @pytest.mark.parametrize("make", [plain_network, mixed_network, depthwise_network])
    def test_computes_networks(self, device: Device, make: Any) -> None:
        rng = np.random.default_rng(8)
        network = make(rng)
        x = codes(rng, network.input_format, (7, *network.input_shape))
        assert np.array_equal(Driver(device, ARRAY, batch=3, timeout_s=SOON).run(network, x), network(x))

    def test_plays_fault_lists(self, device: Device) -> None:
        rng = np.random.default_rng(9)
        network = mixed_network(rng)
        x = codes(rng, network.input_format, (4, *network.input_shape))
        driver = Driver(device, ARRAY, batch=3, timeout_s=SOON)
        for stuck in (0.0, 0.5):
            faults = random_list(rng, ARRAY, network, len(x), 40, stuck)
            assert np.array_equal(driver.run(network, x, faults), Emulator(network, ARRAY).run(x, faults))

    def test_counts_votes_that_disagree(self, device: Device) -> None:
        """Flips inside of PEs: the emulator knows which images saw a vote disagree, the counters how often and where."""
        rng = np.random.default_rng(10)
        network = mixed_network(rng)
        x = codes(rng, network.input_format, (16, *network.input_shape))
        drawn = random_list(rng, ARRAY, network, len(x), 24, 0.0).faults
        faults = FaultList.of(drawn[drawn["site"] > SITES.index("wgt")], ARRAY, network, len(x))
        loaded = Driver(device, ARRAY, timeout_s=SOON).load(network)
        votes = loaded.play(x, faults).votes
        loaded.close()
        _, voted = Emulator(network, ARRAY).observe(x, faults)
        assert np.array_equal(votes.sum(axis=1) > 0, voted)
        assert 0 < voted.sum() < len(x)
        assert not votes[:, ARRAY.classes.count(1) :].any(), "columns without copies have no voters"

    def test_an_empty_list_changes_nothing(self, device: Device, network: Network, x: Any) -> None:
        faults = FaultList.of(
            np.zeros(0, random_list(np.random.default_rng(0), ARRAY, network, 1, 2).faults.dtype),
            ARRAY,
            network,
            len(x),
        )
        assert np.array_equal(Driver(device, ARRAY, timeout_s=SOON).run(network, x, faults), network(x))

    @pytest.mark.parametrize(
        ("place", "status"),
        [
            (Header.MAGIC, Status.BAD_PROGRAM),
            (Header.DESIGN, Status.BAD_PROGRAM),
            (Header.CRC, Status.PROGRAM_CRC),
            (Header.SOURCE_WORDS, Status.PROGRAM_CRC),
            (len(Header) + 3, Status.PROGRAM_CRC),
        ],
    )
    def test_refuses_a_corrupted_program(
        self, device: Device, network: Network, x: Any, place: int, status: Status
    ) -> None:
        batch = Batch(device, network, x)
        batch.change("program", place, 1 << 9)
        assert batch.run() == status
        assert device.read(AT["done_images"]) == 0
        batch.change("program", place, 1 << 9)
        assert batch.run() == 0

    def test_checks_weights_when_asked(self, device: Device, network: Network, x: Any) -> None:
        batch = Batch(device, network, x)
        batch.change("weights", 1, 1 << 3)
        assert batch.run(Mode.CHECK) == Status.WEIGHTS_CRC
        assert batch.run() == 0

    def test_a_wild_pointer_hangs_until_reset(self, device: Device, network: Network, x: Any) -> None:
        batch = Batch(device, network, x)
        batch.buffers["source"].address += 1 << 45
        batch.start()
        with pytest.raises(Timeout):
            device.wait(0.05)
        assert not device.read(CONTROL) & IDLE
        batch.buffers["source"].address -= 1 << 45
        for hard in (False, True):
            device.reset(hard)
            assert device.read(CONTROL) & (IDLE | DONE) == IDLE
            assert device.read(AT["images"]) == 0, "a reset forgets the registers"
            assert batch.run() == 0, "and keeps the memory"

    def test_sensors_are_numbers_by_name(self, device: Device) -> None:
        assert all(isinstance(key, str) and isinstance(value, int | float) for key, value in device.sensors().items())
