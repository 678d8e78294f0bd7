"""Repair of faulty PEs: assignment is optimal, closed forms equal enumeration, Monte Carlo agrees within its intervals."""

import math
from itertools import product

import numpy as np
import pytest
from conftest import small_network
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.array import Array
from hardpoint.defects import pattern
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
from hardpoint.repair import Scheme, estimate, exact, takeover, throughput

SMALL = [
    Scheme("none", 0, 3, 3),
    Scheme("recompute", 2, 3, 3),
    Scheme("rows", 3, 2, 3),
    Scheme("rows", 6, 2, 3),
    Scheme("columns", 3, 3, 2),
    Scheme("columns", 2, 4, 2),
    Scheme("diagonal", 3, 3, 3),
]


def repairable(scheme: Scheme, faulty: list[tuple[int, int]], broken: list[int]) -> bool:
    """By Hall's theorem: no set of spares' groups is asked to repair more PEs than it has working spares."""
    groups = len(scheme.capacity)
    free = [scheme.capacity[g] - sum(b * groups // scheme.spares == g for b in broken) for g in range(groups)]
    for chosen in product((0, 1), repeat=groups):
        inside = {g for g, bit in enumerate(chosen) if bit}
        if sum(set(scheme.groups(*pe)) <= inside for pe in faulty) > sum(free[g] for g in inside):
            return False
    return True


@given(
    st.sampled_from([*SMALL, Scheme("diagonal", 8, 4, 4), Scheme("diagonal", 2, 4, 4), Scheme("rows", 2, 4, 4)]),
    st.data(),
)
def test_assignment_is_optimal(scheme: Scheme, data: st.DataObject) -> None:
    pes = [(r, c) for r in range(scheme.rows) for c in range(scheme.cols)]
    faulty = data.draw(st.lists(st.sampled_from(pes), unique=True, max_size=8))
    broken = data.draw(st.lists(st.integers(0, max(scheme.spares - 1, 0)), unique=True, max_size=scheme.spares))
    left = scheme.columns_left(faulty, broken)
    for columns in range(scheme.cols + 1):
        assert repairable(scheme, [pe for pe in faulty if pe[1] < columns], broken) == (columns <= left)


@pytest.mark.parametrize("scheme", SMALL, ids=str)
def test_probability_equals_the_sum_over_all_combinations(scheme: Scheme) -> None:
    pes = [(r, c) for r in range(scheme.rows) for c in range(scheme.cols)]
    for rate in (0.0, 0.03, 0.3, 1.0):
        total = 0.0
        for bits in product((0, 1), repeat=len(pes) + scheme.spares):
            faulty = [pe for pe, bit in zip(pes, bits, strict=False) if bit]
            broken = [i for i, bit in enumerate(bits[len(pes) :]) if bit]
            if repairable(scheme, faulty, broken):
                total += math.prod(rate if bit else 1 - rate for bit in bits)
        assert exact(scheme, rate) == pytest.approx(total, abs=1e-12)


def test_large_diagonal_arrays_have_no_exact_answer() -> None:
    assert exact(Scheme("diagonal", 32, 32, 32), 0.01) is None


@pytest.mark.parametrize(
    ("kind", "spares", "rate"), [("none", 0, 0.002), ("recompute", 8, 0.03), ("rows", 16, 0.01), ("columns", 8, 0.01)]
)
def test_monte_carlo_covers_the_exact_answer(kind: str, spares: int, rate: float) -> None:
    """Of 40 independent 95 % intervals at most 6 may miss (probability of more: 0.3 %)."""
    scheme = Scheme(kind, spares, 16, 16)
    truth = exact(scheme, rate)
    runs = [estimate(scheme, rate, 60, seed) for seed in range(40)]
    assert sum(not run.functional_low <= truth <= run.functional_high for run in runs) <= 6


def test_schemes_share_their_maps_and_more_spares_never_hurt() -> None:
    runs = [
        estimate(Scheme("recompute", lanes, 16, 16), 0.05, 40, seed=1, kind="clustered") for lanes in (4, 8, 16, 32)
    ]
    assert [r.functional for r in runs] == sorted(r.functional for r in runs)
    assert runs[0].left < runs[-1].left
    assert estimate(Scheme("recompute", 4, 16, 16), 0.05, 40, seed=1, kind="clustered") == runs[0]


def test_clusters_hurt_lines_but_not_recomputation() -> None:
    rows = [estimate(Scheme("columns", 16, 16, 16), 0.03, 200, 3, kind) for kind in ("uniform", "clustered")]
    lanes = [estimate(Scheme("recompute", 16, 16, 16), 0.03, 200, 3, kind) for kind in ("uniform", "clustered")]
    assert rows[1].left_high < rows[0].left_low
    assert lanes[0].functional == lanes[1].functional


def test_throughput_counts_the_steps_of_every_tile() -> None:
    network = small_network()  # GEMMs (16, 18, 5) and (1, 20, 4)
    array = Array(4, 4)
    assert throughput(network, array, FaultMap(4, 4), 1) == 1.0
    # conv: 4 x 2 tiles of 18 steps; PE (0, 3) is used by the 4 tiles with nt = 0; fc: one tile of 20 steps, used
    chip = FaultMap(4, 4, ((0, 3), (1, 3)))
    clean = 8 * 18 + 20
    assert throughput(network, array, chip, 1) == clean / (4 * 36 + 4 * 18 + 20)
    assert throughput(network, array, chip, 2) == 1.0
    with pytest.raises(InputError, match="at least 1 lane, not 0"):
        throughput(network, array, chip, 0)


def test_takeover_leaves_what_the_lanes_do_not_reach() -> None:
    chip = pattern("uniform", 8, 8, 20, seed=0)
    assert len(takeover(chip, 6)) == 14
    left = takeover(chip, 16, "ws")
    worst = np.sort(chip.mask.sum(axis=0))[-2:].sum()
    assert len(left) == 20 - worst
    assert len(takeover(chip, 7, "ws")) == 20


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Scheme("spare", 1, 4, 4), "a repair scheme is none, recompute, rows, columns, diagonal, not 'spare'"),
        (lambda: Scheme("rows", 0, 4, 4), "repair scheme rows cannot have 0 spares"),
        (lambda: Scheme("rows", 3, 4, 4), "3 spares cannot be shared evenly by 4 rows lines"),
        (lambda: Scheme("diagonal", 4, 4, 8), "diagonal spares need a square array, not 4 x 8"),
        (lambda: exact(Scheme("none", 0, 4, 4), 1.5), "a PE fault rate is 0 to 1, not 1.5"),
        (lambda: estimate(Scheme("none", 0, 4, 4), 0.1, 1, 0), "an estimate needs at least 2 maps, not 1"),
    ],
)
def test_bad_input_gets_one_clear_line(made, message: str) -> None:
    with pytest.raises(InputError) as error:
        made()
    assert str(error.value) == message
