"""Amounts, resilience maps and groups, on synthetic learning curves: what holds whatever the network."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.defects import fleet, pattern
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
from hardpoint.training.fleet_curves import Curve, Resilience, Schedule
from hardpoint.training.fleet_groups import fused, in_groups_of, separate

needs = st.sampled_from(
    [
        lambda rate: 1000 * rate,
        lambda rate: 1000 * math.sqrt(rate),
        lambda rate: 100 + 5000 * rate**2,
        lambda rate: 0 if rate < 0.03 else 60 if rate < 0.2 else math.inf,
    ]
)


@given(st.integers(0, 50), st.integers(1, 12), needs, st.sampled_from(["uniform", "clustered"]))
def test_every_chip_is_in_one_group_and_fusing_never_costs(seed: int, chips: int, need, kind: str) -> None:
    maps = fleet(kind, 8, 8, chips, seed, (0.0, 0.3))
    groups = fused(maps, need)
    assert sorted(i for group in groups for i in group.chips) == list(range(chips))
    alone = separate(maps, need)
    for group in groups:
        own = sum(alone[i].images for i in group.chips)
        assert group.images < own or len(group.chips) == 1
        assert group.map.faulty == tuple(sorted(set().union(*(maps[i].faulty for i in group.chips))))
    left = [(a, b) for a in groups for b in groups if a.chips < b.chips]
    for a, b in left:  # none pays any more
        together = need(float((a.map.mask | b.map.mask).mean()))
        assert math.isinf(together) or together >= a.images + b.images


def test_a_need_that_grows_faster_than_the_rate_fuses_nothing_and_a_fixed_one_everything() -> None:
    maps = [pattern("uniform", 16, 16, 12, seed=0, chip=i) for i in range(6)]
    assert len(fused(maps, lambda rate: rate**2)) == 6
    assert len(fused(maps, lambda rate: 50.0)) == 1
    assert [len(group.chips) for group in fused(maps, lambda rate: 50.0, most=2)] == [2, 2, 2]
    assert len(fused(maps, lambda rate: 50.0 if rate < 0.1 else math.inf)) == 3


def test_the_best_pair_goes_first() -> None:
    one, two = FaultMap(4, 4, ((0, 0), (0, 1), (0, 2))), FaultMap(4, 4, ((0, 0), (0, 1), (0, 3)))
    far = FaultMap(4, 4, ((3, 0), (3, 1), (3, 2)))
    groups = fused([far, one, two], lambda rate: 100 if rate <= 0.25 else 1000)
    assert [group.chips for group in groups] == [(0,), (1, 2)]


def test_chips_that_are_beyond_the_budget_are_not_fused_with_others() -> None:
    bad, good = pattern("uniform", 8, 8, 40, seed=0), pattern("uniform", 8, 8, 4, seed=1)
    groups = fused([bad, good], lambda rate: 100 if rate < 0.2 else math.inf)
    assert [(group.chips, group.images) for group in groups] == [((0,), math.inf), ((1,), 100)]


def test_random_groups_are_seeded_and_a_union_of_everything_is_refused() -> None:
    maps = fleet("uniform", 8, 8, 7, 0, (0.0, 0.2))
    groups = in_groups_of(3, maps, lambda rate: rate, seed=1)
    assert [len(group.chips) for group in groups] == [3, 3, 1]
    assert (
        groups == in_groups_of(3, maps, lambda rate: rate, seed=1) != in_groups_of(3, maps, lambda rate: rate, seed=2)
    )
    with pytest.raises(InputError, match="all 2 PEs are faulty"):
        in_groups_of(2, [FaultMap(1, 2, ((0, 0),)), FaultMap(1, 2, ((0, 1),))], lambda rate: rate, 0)


def test_schedules_rise_and_round_up() -> None:
    schedule = Schedule.epochs(60000, 4)
    assert schedule.budget == 240000
    assert all(b <= 1.5 * a + 1 for a, b in zip(schedule.images[1:], schedule.images[2:], strict=False))
    assert [schedule.up(n) for n in (0, 1, 469, 470, 1e9)] == [0, 469, 469, 703, 240000]
    assert schedule.after(240000) is None
    with pytest.raises(InputError, match=r"a schedule starts with 0 images and rises, not \[0, 5, 5\]"):
        Schedule((0, 5, 5))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3]), st.integers(0, 5)), min_size=1, max_size=20),
    st.floats(0.05, 1.0),
)
def test_a_resilience_map_covers_its_quantile_and_never_falls(points: list[tuple[float, int]], quantile: float) -> None:
    amounts = (0, 10, 20, 40, 80)
    curves = [
        Curve(str(i), rate, amounts, tuple(float(n >= k) for n in range(5))) for i, (rate, k) in enumerate(points)
    ]
    found = Resilience.of(curves, 1.0, quantile)
    assert found.spent == 80 * len(points)
    assert list(found.images) == sorted(found.images)
    for rate, images in zip(found.rates, found.images, strict=True):
        own = [curve for curve in curves if curve.rate == rate]
        covered = sum((n := curve.reached(1.0)) is not None and n <= images for curve in own)
        assert math.isinf(images) or covered >= quantile * len(own) - 1e-9
        assert found.needed(rate) == images
    between = np.linspace(0, found.rates[-1], 31).tolist()
    assert all(found.needed(a) <= found.needed(b) + 1e-9 for a, b in pairwise(between))
    assert math.isinf(found.needed(found.rates[-1] + 0.01))


def test_bad_curves_and_maps_get_one_clear_line() -> None:
    with pytest.raises(InputError, match="a learning curve needs one accuracy per amount, not 1 for 2"):
        Curve("a", 0.1, (0, 1), (0.5,))
    with pytest.raises(InputError, match="a quantile over maps lies above 0 and up to 1, not 0"):
        Resilience.of([Curve("a", 0.1, (0,), (0.5,))], 0.9, 0)
    with pytest.raises(InputError, match="a fleet's maps have one shape, not 4 x 4 and 4 x 5 PEs"):
        fused([FaultMap(4, 4), FaultMap(4, 5)], lambda rate: 1.0)
