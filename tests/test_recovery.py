"""Campaigns on devices that fail: survived or refused, and nothing is lost from the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import doubles
import numpy as np
import pytest
from accelerators import codes, plain_network, random_list
from contract import ARRAY

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import FaultList
from hardpoint.host.campaign import run_campaign
from hardpoint.host.device import DeviceError
from hardpoint.host.driver import HUNG, Driver
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.emulator import Emulator
from hardpoint.host.recovery import Lost, Surviving
from hardpoint.host.store import Store
from hardpoint.network import Network

IMAGES, BATCH = 20, 8


@pytest.fixture
def network() -> Network:
    return plain_network(np.random.default_rng(21))


@pytest.fixture
def x(network: Network) -> np.ndarray:
    return np.asarray(codes(np.random.default_rng(22), network.input_format, (IMAGES, *network.input_shape)))


@pytest.fixture
def faults(network: Network) -> FaultList:
    return random_list(np.random.default_rng(23), ARRAY, network, IMAGES, 120)


def surviving(device: Any, network: Network, x: Any, **options: Any) -> Surviving:
    return Surviving(Driver(device, ARRAY, batch=BATCH, timeout_s=0.01), network, x[:2], **options)


# Starts: 1 checks the device at power-up; 2, 3 and 4 are the batches of the first call.
@pytest.mark.parametrize(
    ("double", "lost", "resets"),
    [
        (doubles.Double, [], ""),
        (doubles.Hangs, [10], "reset "),  # the third image of the second batch
        (doubles.Stubborn, [10], "reset reload "),
        (doubles.ResetsInMidBatch, [8], "reset "),  # nothing says how far it got
        (doubles.DropsCompletion, [], "reset "),  # every record is there
        (doubles.SaysDoneTooEarly, [], "reset "),
        (doubles.AnswersLate, [], "reset "),
        (doubles.GarbledRecords, [], "reset "),
        (doubles.CorruptsWeights, [8], "reset reload "),  # the reset brings back a device with other weights
        (doubles.RefusesAccess, [], "reset "),
    ],
)
def test_survives(double: Any, lost: list[int], resets: str, network: Network, x: Any, faults: FaultList) -> None:
    device = double(EmulatedDevice(ARRAY), 3)
    engine = surviving(device, network, x)
    played = engine.play(x, faults)
    assert np.flatnonzero(played.status).tolist() == lost
    assert set(played.status[lost].tolist()) <= {HUNG}
    kept = played.status == 0
    assert np.array_equal(played.outputs[kept], Emulator(network, ARRAY).run(x, faults)[kept])
    assert device.resets == resets
    assert len(engine.recoveries) == bool(resets)
    assert np.array_equal(engine.run(x), network(x)), "and goes on"


def test_hangs_in_every_batch_are_bounded(network: Network, x: Any) -> None:
    device = doubles.Hangs(EmulatedDevice(ARRAY), *range(2, 400, 2))  # checks pass, batches hang
    device.finished = 0
    engine = surviving(device, network, x, most=5)
    played = engine.play(x)
    assert (played.status == HUNG).all(), "five were tried, the rest are given up"
    assert len(engine.recoveries) == 5
    assert len(played.outputs) == IMAGES
    with pytest.raises(DeviceError, match="20 of 20 inferences failed, the first 0"):
        engine.run(x)


@pytest.mark.parametrize(
    ("double", "bad", "message"),
    [
        (doubles.Dead, 3, r"no done within .* neither a reset nor a reload brought it back"),
        (doubles.GoesAway, 3, r"neither a reset nor a reload brought it back"),
        (doubles.ForgetsWhatItWasTold, 0, r"the record of image 0 is tagged 4294967295"),
        (doubles.NeverFlushes, 0, r"its memory does not hold what was written"),
        (doubles.NeverInvalidates, 0, r"the record of image 0 is tagged 4294967295"),
        (doubles.ShortBuffers, 0, r"asked for \d+ bytes of memory, it gave \d+"),
        (doubles.OverlappingBuffers, 0, r"refused the network: \w+|does not hold"),
        (doubles.LiesAfterReset, 3, r"after reset output 0 of check input 0 is -?\d+, not -?\d+; evidence: .*\.json"),
    ],
)
def test_stops_where_the_device_cannot_be_trusted(
    double: Any, bad: int, message: str, network: Network, x: Any, tmp_path: Path
) -> None:
    device = double(EmulatedDevice(ARRAY), bad)
    evidence = tmp_path / "evidence.json"
    with pytest.raises(Lost, match=message):
        surviving(device, network, x, evidence=evidence).play(x)
    seen = json.loads(evidence.read_text())
    assert seen["device"] == double.__name__
    assert seen["network"] == network.digest


def test_evidence_holds_both_outputs(network: Network, x: Any, tmp_path: Path) -> None:
    device = doubles.LiesAfterReset(EmulatedDevice(ARRAY), 3)
    with pytest.raises(Lost):
        surviving(device, network, x, evidence=tmp_path / "e.json").play(x)
    seen = json.loads((tmp_path / "e.json").read_text())
    assert seen["expected"] == network(x[:2]).tolist() != seen["found"]
    assert seen["check"] == x[:2].tolist()


def test_another_design_is_refused(network: Network, x: Any) -> None:
    other = Array(ARRAY.rows, ARRAY.cols, ARRAY.guards, ARRAY.classes, period_ns=9.0)
    with pytest.raises(Lost, match="refused the network: BAD_PROGRAM"):
        surviving(EmulatedDevice(other), network, x)


def test_little_memory_makes_small_batches(network: Network, x: Any, faults: FaultList) -> None:
    device = doubles.LittleMemory(EmulatedDevice(ARRAY))
    device.most = 11 * 4096
    loaded = Driver(device, ARRAY, batch=1 << 12, timeout_s=1).load(network)
    assert loaded.batch < 1 << 12
    assert np.array_equal(loaded.run(x, faults), Emulator(network, ARRAY).run(x, faults))
    loaded.close()
    assert device.used == 0
    device.most = 4096
    with pytest.raises(InputError, match="memory"):
        Driver(device, ARRAY, timeout_s=1).load(network)


def test_dense_lists_shorten_batches_to_fit_memory(network: Network, x: Any) -> None:
    faults = random_list(np.random.default_rng(5), ARRAY, network, IMAGES, 12_000, 0.0)
    device = doubles.LittleMemory(EmulatedDevice(ARRAY))
    device.most = 20 * 4096
    loaded = Driver(device, ARRAY, batch=IMAGES, timeout_s=1).load(network)
    assert np.array_equal(loaded.run(x, faults), Emulator(network, ARRAY).run(x, faults))
    assert 1 <= loaded.batch < IMAGES


@pytest.mark.parametrize(
    "double", [doubles.Hangs, doubles.GarbledRecords, doubles.ResetsInMidBatch, doubles.CorruptsWeights]
)
def test_a_campaign_loses_nothing(double: Any, network: Network, x: Any, tmp_path: Path) -> None:
    labels = network(x).argmax(axis=1)
    run: Any = {"points": [1e-4], "trials": 6, "seed": 3}
    good = run_campaign(surviving(EmulatedDevice(ARRAY), network, x), x, labels, **run)
    engine = surviving(double(EmulatedDevice(ARRAY), 9), network, x)  # in the third trial
    store = Store(tmp_path / "store.sqlite")
    result = run_campaign(engine, x, labels, store=store, **run)
    assert len(engine.recoveries) == 1
    subject = result.campaign.subject
    units = store.units(subject, repr(1e-4))
    assert sorted(units) == list(range(6))
    assert [unit.images for unit in units.values()] == [IMAGES] * 6
    due = sum(unit.due for unit in units.values())
    assert due == (double is not doubles.GarbledRecords)
    if due == 0:
        assert result.rows == good.rows


def test_what_a_board_measures_is_stored(network: Network, x: Any, tmp_path: Path) -> None:
    device, store = EmulatedDevice(ARRAY), Store(tmp_path / "store.sqlite")
    device.sensors = lambda: {"xadc_temp0_c": 41.5, "ina260_power1_w": 3.25}  # type: ignore[method-assign]
    result = run_campaign(surviving(device, network, x), x, network(x).argmax(axis=1), [1e-4], 9, store=store)
    found = [(name, value) for _, name, value in store.readings(result.campaign.subject)]
    assert found == [("xadc_temp0_c", 41.5), ("ina260_power1_w", 3.25)] * 2, "once per chunk of eight trials"


def test_a_campaign_that_stops_keeps_what_it_had(network: Network, x: Any, tmp_path: Path) -> None:
    labels, store = network(x).argmax(axis=1), Store(tmp_path / "store.sqlite")
    run: Any = {"points": [1e-4, 1e-3], "trials": 10, "seed": 3, "store": store}
    dead = surviving(doubles.Dead(EmulatedDevice(ARRAY), 44), network, x)
    with pytest.raises(Lost):
        run_campaign(dead, x, labels, **run)
    (subject,) = store.campaigns()
    kept = sum(len(store.units(subject, repr(ber))) for ber in run["points"])
    assert 8 <= kept < 20
    after = surviving(EmulatedDevice(ARRAY), network, x)
    result = run_campaign(after, x, labels, **run)
    again = run_campaign(surviving(EmulatedDevice(ARRAY), network, x), x, labels, **{**run, "store": None})
    assert result.rows == again.rows


def test_bypassed_processing_elements_stay_bypassed(network: Network, x: Any, faults: FaultList) -> None:
    """The check's outputs are those with the map, and a reload brings the map back."""
    bypass = np.zeros((ARRAY.rows, ARRAY.cols), bool)
    bypass[1, 2] = bypass[3, 0] = True
    device = doubles.Stubborn(EmulatedDevice(ARRAY), 3)
    engine = surviving(device, network, x, bypass=bypass)
    played, emulator = engine.play(x, faults), Emulator(network, ARRAY, bypass=bypass)
    kept = played.status == 0
    assert device.resets == "reset reload "
    assert kept.sum() == IMAGES - 1
    assert np.array_equal(played.outputs[kept], emulator.run(x, faults)[kept])
    assert not np.array_equal(emulator.run(x), network(x))
