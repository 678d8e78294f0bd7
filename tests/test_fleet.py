"""Retraining a fleet: the twin is the network, curves are kept, policies count every image, masked weights stay zero."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hardpoint.defects import fleet, pattern
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, masked, masks
from hardpoint.fixed import Fixed
from hardpoint.layers import Conv, Dense, MaxPool
from hardpoint.network import INPUT, Network
from hardpoint.training.data import DataSet, digits
from hardpoint.training.fleet import Curves, Retraining, accuracy
from hardpoint.training.fleet_curves import Curve, Resilience, Schedule
from hardpoint.training.fleet_groups import Group, separate
from hardpoint.training.fleet_policies import amount, by_groups, fixed, selection, untrained
from hardpoint.training.fleet_twin import Adam, Twin


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
    resilience = Resilience((0.1, 0.3), (10, 20), 0.9, 0.5, 60)
    assert untrained(MAPS, learnt, 0.9).meeting == 1
    one = fixed(MAPS, learnt, 0.9, SCHEDULE)
    assert (one.images, one.meeting) == (4 * 80, 3), "at 40 images chip 2 falls below the target again"
    own = selection(MAPS, learnt, 0.9, SCHEDULE, resilience)
    assert (own.images, own.meeting) == (0 + 40 + 20 + 80, 3)
    apart = by_groups("apart", separate(MAPS, resilience.needed), MAPS, learnt, 0.9, SCHEDULE, resilience)
    assert (apart.images, apart.meeting) == (own.images, own.meeting)


def test_a_group_that_fails_is_paid_for_and_its_chips_go_on_alone() -> None:
    resilience = Resilience((0.1, 0.3), (10, 20), 0.9, 0.5, 60)
    joint = Group((1, 3), MAPS[3], 20)
    outcome = by_groups("fused", [joint], MAPS, learnt, 0.9, SCHEDULE, resilience)
    assert outcome.images == 80 + 40 + 80
    assert outcome.served == (None, MAPS[1], None, None)


def test_a_budget_that_is_too_small_is_spent() -> None:
    assert amount(learnt(MAPS[3]), math.inf, 0.9, SCHEDULE) == 80


def test_a_fixed_amount_is_not_guessed_from_curves_that_end_before_it() -> None:
    ends = {MAPS[1].digest: 4, MAPS[2].digest: 3}

    def short(chip: FaultMap) -> Curve:
        n = ends[chip.digest]
        return Curve(chip.digest, chip.rate, SCHEDULE.images[:n], LEARNT[chip.digest][:n])

    with pytest.raises(InputError, match="not every learning curve reaches 40 images"):
        fixed(MAPS[1:3], short, 0.9, SCHEDULE)
