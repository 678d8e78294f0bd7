"""Retraining a fleet: the twin is the network, curves are kept, policies count every image, masked weights stay zero."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardpoint.array import Array
from hardpoint.defects import fleet, pattern
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit, masked, masks
from hardpoint.faults import FaultList
from hardpoint.fixed import Fixed
from hardpoint.host.compiled import CompiledDevice
from hardpoint.host.driver import Driver
from hardpoint.host.emulator import Emulator
from hardpoint.layers import Conv, Dense, MaxPool
from hardpoint.network import INPUT, Network
from hardpoint.training.data import DataSet, digits
from hardpoint.training.fleet import Curves, Retraining, accuracy
from hardpoint.training.fleet_compensation import Compensation
from hardpoint.training.fleet_curves import Curve, Schedule
from hardpoint.training.fleet_groups import Group, separate
from hardpoint.training.fleet_policies import amount, by_groups, fixed, selection, untrained
from hardpoint.training.fleet_twin import Adam, Twin

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"


@pytest.fixture(scope="module")
def data() -> DataSet:
    return digits()


def network(rng: np.random.Generator) -> Network:
    """A small convolutional classifier of digits with random weights."""
    w, u = Fixed(8, 7, True), Fixed(8, 6, False)
    conv = Conv("conv", INPUT, rng.integers(-60, 60, (3, 3, 1, 6)), np.zeros(6), 8, u, w, pad=(1, 1, 1, 1), relu=True)
    pool = MaxPool("pool", "conv", (2, 2), (2, 2))
    dense = Dense("dense", "pool", rng.integers(-40, 40, (96, 10)), np.zeros(10), 5, Fixed(16, 8, True), w)
    return Network((8, 8, 1), Fixed(8, 7, False), (conv, pool, dense))


@pytest.fixture(scope="module")
def trained(data: DataSet) -> Network:
    """The same, trained."""
    twin = Twin(network(np.random.default_rng(1)), Adam(3e-3, 32, teacher=0.0))
    tf = twin._tf
    twin.load(masks(twin.template, FaultMap(8, 8)))
    y = tf.constant(twin.targets(data.train.x, data.train.y))
    twin.train(tf.constant(data.train.x), y, np.tile(np.arange(len(data.train)), 12))
    return twin.network()


def test_the_twin_is_its_network(data: DataSet) -> None:
    net = network(np.random.default_rng(0))
    twin = Twin(net)
    chip = pattern("uniform", 4, 4, 5, seed=3)
    twin.load(masks(net, chip))
    assert np.array_equal(twin.outputs(data.test.x), masked(net, chip)(np.asarray(data.test.x, np.int64)))


def test_weights_of_bypassed_pes_are_zero_and_stay_zero(trained: Network, data: DataSet) -> None:
    twin = Twin(trained)
    chip = pattern("clustered", 8, 8, 12, seed=5)
    twin.load(masks(trained, chip))
    tf = twin._tf
    twin.train(
        tf.constant(data.train.x), tf.constant(Twin(trained).targets(data.train.x, data.train.y)), np.arange(600)
    )
    made = twin.network()
    for layer, before, keep in zip(made.gemms, trained.gemms, masks(trained, chip), strict=True):
        assert not layer.weight[~keep].any()
        assert (layer.weight[keep] != before.weight[keep]).any(), "the others are trained"
    assert np.array_equal(made(np.asarray(data.test.x, np.int64)), twin.outputs(data.test.x))
    assert np.array_equal(masked(made, chip)(np.asarray(data.test.x, np.int64)), twin.outputs(data.test.x))


def asked(trained: Network, data: DataSet, drop: float = 0.06) -> Retraining:
    schedule = Schedule((0, 200, 400, 800, 1600, 3200))
    return Retraining(trained, data, schedule, accuracy(trained, data) - drop, Adam(1e-3, 32))


def test_a_curve_ends_at_the_target_is_kept_and_goes_on_as_it_was(
    trained: Network, data: DataSet, tmp_path: Path
) -> None:
    ask, chip = asked(trained, data), pattern("uniform", 8, 8, 6, seed=2)
    curves = Curves(ask, tmp_path)
    curve = curves.curve(chip)
    assert curve.reached(ask.target) == curve.spent > 0
    assert accuracy(Network.load(curves.network(chip)), data) == curve.accuracy[-1], (
        "the network kept is the one looked at"
    )

    again = Curves(ask, tmp_path)
    again._retrained = None  # type: ignore[assignment, method-assign] - nothing is trained again
    assert again.curve(chip) == curve

    longer = Curves(ask, tmp_path).curve(chip, 3200)
    assert longer.accuracy[: len(curve.accuracy)] == curve.accuracy
    assert longer.spent == 3200


def test_a_folder_of_another_question_is_refused(trained: Network, data: DataSet, tmp_path: Path) -> None:
    Curves(asked(trained, data), tmp_path)
    with pytest.raises(InputError, match="another network, data set, target or schedule"):
        Curves(asked(trained, data, 0.03), tmp_path)
    (tmp_path / "fleet.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match=r"fleet\.sqlite"):
        Curves(asked(trained, data), tmp_path)


SCHEDULE = Schedule((0, 10, 20, 40, 80))
MAPS = fleet("uniform", 8, 8, 4, 0, (0.0, 0.3))
LEARNT = {
    MAPS[0].digest: (0.95, 0.95, 0.95, 0.95, 0.95),
    MAPS[1].digest: (0.5, 0.6, 0.8, 0.92, 0.92),
    MAPS[2].digest: (0.4, 0.6, 0.91, 0.89, 0.93),
    MAPS[3].digest: (0.2, 0.3, 0.4, 0.5, 0.6),
}


def learnt(chip: FaultMap) -> Curve:
    return Curve(chip.digest, chip.rate, SCHEDULE.images, LEARNT[chip.digest])


def test_policies_count_every_image() -> None:
    assert untrained(MAPS, learnt, 0.9).meeting == 1
    one = fixed(MAPS, learnt, 0.9)
    assert (one.images, one.meeting) == (4 * 40, 3), "the neediest chip that can be saved takes 40"
    own = selection(MAPS, learnt, 0.9, SCHEDULE)
    assert (own.images, own.meeting) == (0 + 40 + 20 + 80, 3), "a chip beyond saving takes the budget"
    apart = by_groups("apart", separate(MAPS, lambda rate: rate), MAPS, learnt, 0.9, SCHEDULE)
    assert (apart.images, apart.meeting) == (own.images, own.meeting)


def test_a_group_that_fails_is_paid_for_and_its_chips_go_on_alone() -> None:
    joint = Group((1, 3), MAPS[3], 20)
    outcome = by_groups("fused", [joint], MAPS, learnt, 0.9, SCHEDULE)
    assert outcome.images == 80 + 40 + 80
    assert outcome.served == (None, MAPS[1], None, None)


def test_a_budget_that_is_too_small_is_spent() -> None:
    assert amount(learnt(MAPS[3]), 0.9, SCHEDULE) == 80


def test_curves_that_end_at_the_target_are_all_that_policies_need() -> None:
    ends = {MAPS[0].digest: 1, MAPS[1].digest: 4, MAPS[2].digest: 3, MAPS[3].digest: 5}

    def short(chip: FaultMap) -> Curve:
        n = ends[chip.digest]
        return Curve(chip.digest, chip.rate, SCHEDULE.images[:n], LEARNT[chip.digest][:n])

    for policy in (lambda curve: fixed(MAPS, curve, 0.9), lambda curve: selection(MAPS, curve, 0.9, SCHEDULE)):
        assert policy(short) == policy(learnt)


def test_compensation_is_the_least_squares_solution_and_keeps_the_mask() -> None:
    rng = np.random.default_rng(4)
    w, wide = Fixed(8, 0, True), Fixed(24, 0, True)
    layer = Dense("fc", INPUT, rng.integers(-30, 31, (7, 5)), rng.integers(-50, 50, 5), np.zeros(5, np.int64), wide, w)
    net = Network((7,), Fixed(8, 0, False), (layer,))
    x = rng.integers(0, 200, (400, 7))
    x[:, 5] = x[:, 1] // 2 + x[:, 0] // 3 + rng.integers(0, 9, 400)  # what one input says others say as well
    chip = FaultMap(4, 4, ((1, 0), (2, 3)))
    made = Compensation.of(net, x).start(chip)
    keep = masks(net, chip)[0]
    assert not made.gemms[0].weight[~keep].any()
    whole = np.hstack([x, np.ones((400, 1))])
    for n in range(5):
        stay = np.append(keep[:, n], True)
        best = np.linalg.lstsq(whole[:, stay], net(x)[:, n].astype(float), rcond=None)[0]
        codes = np.append(made.gemms[0].weight[keep[:, n], n], made.gemms[0].bias[n])
        lost = [((whole[:, stay] @ c - net(x)[:, n]) ** 2).mean() for c in (best, codes)]
        assert lost[1] <= lost[0] * 1.02 + 0.5 * (x.astype(float) ** 2).mean(), "rounded to codes, and a little ridge"
        if not keep[:, n].all():
            plain = ((masked(net, chip)(x)[:, n] - net(x)[:, n]).astype(float) ** 2).mean()
            assert lost[1] < plain / 2


def test_a_channel_without_lost_weights_stays_as_it_is(trained: Network, data: DataSet) -> None:
    chip = FaultMap(8, 8, ((0, 0), (5, 0)))
    made = Compensation.of(trained, data.train.x[:200]).start(chip)
    for layer, before, keep in zip(made.gemms, trained.gemms, masks(trained, chip), strict=True):
        whole = keep.reshape(-1, keep.shape[-1]).all(axis=0)
        assert np.array_equal(layer.matrix()[:, whole], before.matrix()[:, whole])
        assert np.array_equal(layer.bias[whole], before.bias[whole])
        assert not layer.weight[~keep].any()


def test_compensated_chips_start_near_their_target(trained: Network, data: DataSet) -> None:
    chips = [pattern("uniform", 8, 8, 13, seed=s) for s in range(5)]
    found = Compensation.of(trained, data.train.x)
    bare, better = (
        np.mean([accuracy(of(chip), data) for chip in chips]) for of in (lambda c: masked(trained, c), found.start)
    )
    assert better > bare + 0.05


def depthwise() -> Network:
    """Convolution, depthwise convolution and dense layer on digits, with random weights."""
    rng = np.random.default_rng(3)
    w, u = Fixed(8, 7, True), Fixed(8, 6, False)
    conv = Conv("conv", INPUT, rng.integers(-60, 60, (3, 3, 1, 6)), np.zeros(6), 8, u, w, relu=True)
    thin = Conv("dw", "conv", rng.integers(-60, 60, (3, 3, 6, 1)), np.zeros(6), 7, u, w, relu=True, depthwise=True)
    dense = Dense("dense", "dw", rng.integers(-40, 40, (96, 10)), np.zeros(10), 5, Fixed(16, 8, True), w)
    return Network((8, 8, 1), Fixed(8, 7, False), (conv, thin, dense))


@pytest.mark.skipif(shutil.which("g++") is None, reason="accelerators are compiled with g++")
@pytest.mark.parametrize("make", [lambda: network(np.random.default_rng(0)), depthwise], ids=["conv", "depthwise"])
def test_a_retrained_network_gives_its_logits_on_its_chips_hardware(make: Any, data: DataSet, tmp_path: Path) -> None:
    """Trained == network == emulator == C++ == Verilated RTL, faulty PEs bypassed, their stuck products injected."""
    net, array = make(), Array(4, 4, dataflow="ws")
    chip = FaultMap(4, 4, ((0, 1),), (StuckBit(2, 3, "mul", 0, 9, 1), StuckBit(3, 0, "act", 0, 2, 1)))
    twin = Twin(net)
    start = Compensation.of(net, data.train.x[:300]).start(chip)
    twin.load(masks(net, chip), start)
    y = Twin(net).targets(data.train.x, data.train.y)
    twin.load(masks(net, chip), start)
    twin.train(twin._tf.constant(data.train.x), twin._tf.constant(y), np.arange(320))
    x = np.asarray(data.test.x, np.int64)
    logits, made = twin.outputs(data.test.x), twin.network()
    assert np.array_equal(made(x), logits)
    assert (logits != start(x)).any(), "it was trained"
    faults = FaultList.of(chip.faults(array), array, made, len(x), convention="given map")
    assert np.array_equal(Emulator(made, array, bypass=chip.bypass).run(x, faults), logits)
    assert (Emulator(made, array).run(x, faults) != logits).any(), "without bypass the faults show"
    for module, images in (("compile", 60), ("verilate", 6)):
        library = importlib.import_module(f"hardpoint.hls.{module}").build(array, BUILD)
        loaded = Driver(CompiledDevice(library), array).load(made, chip.bypass)
        assert np.array_equal(loaded.run(x[:images], faults), logits[:images]), module
