"""What is estimated of a design before a fault is played: it falls with every guard, and orders designs as campaigns do."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from conftest import small_network
from scipy.stats import spearmanr

from hardpoint.array import Array, Guard, Recompute
from hardpoint.design import Settings
from hardpoint.errors import InputError
from hardpoint.faults import PE_SITES, population
from hardpoint.host.campaign import Job
from hardpoint.network import Network
from hardpoint.optimizer.estimate import _reached, expected_critical
from hardpoint.optimizer.flow import engine_on
from hardpoint.ranking import Ranking
from hardpoint.training.ranking import rank

pytestmark = pytest.mark.pc


@pytest.fixture(scope="module")
def ranked() -> tuple[Network, Ranking, np.ndarray]:
    network = small_network(3)
    x = np.random.default_rng(7).integers(0, 256, (64, *network.input_shape))
    return network, rank("flips", network, x), x


def test_the_estimate_orders_designs_as_campaigns_do(ranked) -> None:
    """Even with random weights, whose margins are small. (Of trained networks see tests/test_search_bench.py.)"""
    network, ranking, x = ranked
    ber, measured, expected = 2e-5, [], []
    for column, hardened in itertools.product((0, 12, 15, 18, 21), (2, 4)):
        array = Settings(ib=column, hardened=hardened, rows=4, cols=4, operand=True, drain=True).array()
        placed = ranking.permute(network, array)
        job = Job(engine_on("emulator", placed, array), x, network(x).argmax(axis=1), 5, {})
        counts = [job.trial(ber, trial) for trial in range(64)]
        measured.append(sum(c.critical for c in counts) / sum(c.images for c in counts))
        expected.append(ber * expected_critical(network, ranking, array))
    assert spearmanr(measured, expected).statistic > 0.8
    most = int(np.argmax(measured))
    assert 1 / 6 < expected[most] / measured[most] < 2


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_every_guard_lowers_it(ranked, dataflow) -> None:
    network, ranking, _ = ranked

    def estimate(*guards: Guard, classes: tuple[int, ...] = ()) -> float:
        return expected_critical(network, ranking, Array(4, 4, guards, classes, dataflow=dataflow))

    falling = [estimate(Guard()), *(estimate(Guard(column)) for column in (20, 16, 12, 8, 4, 0))]
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == len(falling)
    assert estimate(Guard(0, operand=True, drain=True)) == 0
    assert estimate(Guard(12, operand=True)) < estimate(Guard(12))
    mixed = estimate(Guard(16), Guard(8), classes=(1, 0, 0, 0))
    assert estimate(Guard(8)) < mixed < estimate(Guard(16))
    if dataflow == "os":
        assert estimate(Guard(12, drain=True)) < estimate(Guard(12))
    assert estimate(Guard(12, kind="rpr")) < estimate(Guard())


@pytest.mark.parametrize(("dataflow", "rows", "cols"), [("os", 1, 3), ("os", 4, 4), ("os", 16, 8), ("ws", 1, 4), ("ws", 4, 3), ("ws", 16, 8)])
def test_steps_are_those_in_which_bits_are_live(ranked, dataflow, rows, cols) -> None:
    network, _, _ = ranked
    array = Array(rows, cols, dataflow=dataflow)
    for layer in range(len(network.gemms)):
        gemm, found = network.gemm(layer), population(array, network, layer)
        reached = dict(zip(PE_SITES, gemm.m * gemm.n * array.acc_bits * _reached(gemm, array), strict=True))
        for site in ("mul", "acc", "drain"):
            assert reached[site] == pytest.approx(found[site]), site


def test_guards_of_rows_that_compute_nothing_are_of_no_use(ranked) -> None:
    network, ranking, _ = ranked
    dense = len(network.gemms) - 1
    only = dataclasses.replace(
        ranking, neurons=tuple(scores * (i == dense) for i, scores in enumerate(ranking.neurons))
    )  # one pixel: the first row computes it
    assert network.gemm(dense).m == 1
    rows = {row: tuple((int(r == row),) * 4 for r in range(4)) for row in (0, 3)}
    guards = Guard(), Guard(0, operand=True, drain=True)
    first, last = (expected_critical(network, only, Array(4, 4, guards, classes)) for classes in rows.values())
    plain = expected_critical(network, only, Array(4, 4))
    assert first < 0.01 * plain
    assert last == pytest.approx(plain)


def test_a_ranking_of_another_network_is_refused(ranked) -> None:
    _, ranking, _ = ranked
    with pytest.raises(InputError, match="the ranking was made for network"):
        expected_critical(small_network(4), ranking, Array(4, 4))


def test_a_unit_that_recomputes_important_neurons_lowers_it(ranked) -> None:
    network, ranking, _ = ranked
    listed = network.with_important(np.flatnonzero(mask).tolist() for mask in ranking.important(0.2, "global"))
    plain = expected_critical(network, ranking, Array(4, 4))
    units = [Array(4, 4, recompute=Recompute(4, guard)) for guard in (Guard(), Guard(12), Guard(0, operand=True, drain=True))]
    found = [expected_critical(listed, ranking, array) for array in units]
    assert plain > found[0] > found[1] > found[2] > 0


def test_site_weights_count(ranked) -> None:
    network, ranking, _ = ranked
    sites = ("act", "wgt", "mul", "carry", "vote", "acc", "drain")
    array = Array(4, 4, (Guard(14),))
    parts = [expected_critical(network, ranking, array, {site: float(site == one) for site in sites}) for one in sites]
    assert sum(parts) == pytest.approx(expected_critical(network, ranking, array))
    assert parts[sites.index("vote")] == 0
    assert all(part > 0 for one, part in zip(sites, parts, strict=True) if one != "vote")
    assert expected_critical(network, ranking, array, {"acc": 3.0}) > expected_critical(network, ranking, array)


def test_guards_that_follow_each_layer_do_more(ranked) -> None:
    network, ranking, _ = ranked
    direct = Array(4, 4, (Guard(16),))
    configurable = dataclasses.replace(direct, policy="configurable", headroom=4)
    assert max(configurable.shifts(network)) > 0
    assert expected_critical(network, ranking, configurable) < expected_critical(network, ranking, direct)


def test_a_ranking_without_columns_is_refused(ranked) -> None:
    network, ranking, _ = ranked
    with pytest.raises(InputError, match="columns of sums"):
        expected_critical(network, dataclasses.replace(ranking, bits=()), Array(4, 4))
