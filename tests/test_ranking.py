"""Which channel is computed in which column."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.layers import Add, Conv
from hardpoint.network import Network
from hardpoint.ranking import Ranking

S8 = Fixed.parse("s8.0")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def ranking_of(network: Network, rng: np.random.Generator) -> Ranking:
    return Ranking(tuple(rng.random(network.shapes[layer.name]) for layer in network.gemms), "random", network.digest)


@pytest.mark.parametrize("ordinary", [Guard(), Guard(16)])
def test_important_channels_meet_the_columns_that_are_guarded_most(ordinary, rng) -> None:
    network = small_network(3)
    ranking, array = ranking_of(network, rng), Array(4, 4, (ordinary, Guard(12)), (1, 0, 0, 0))
    for index, order in enumerate(ranking.orders(network, array)):
        scores = ranking.channels(index)
        inside = [scores[channel] for position, channel in enumerate(order) if position % 4 == 0]
        outside = [scores[channel] for position, channel in enumerate(order) if position % 4]
        assert sorted(order) == list(range(len(scores)))
        assert min(inside) >= max(outside)
    x = rng.integers(0, 256, (5, *network.input_shape))
    placed = ranking.permute(network, array)
    assert placed.digest != network.digest
    assert np.array_equal(placed(x), network(x))


def test_an_array_that_is_guarded_alike_moves_nothing(rng) -> None:
    network = small_network(3)
    assert ranking_of(network, rng).permute(network, Array(4, 4, (Guard(14),))).digest == network.digest


def test_neurons_that_are_recomputed_do_not_count(rng) -> None:
    network = small_network(3)
    ranking, array = ranking_of(network, rng), Array(4, 4, (Guard(), Guard(12)), (1, 0, 0, 0))
    last = len(network.gemms) - 1
    first = ranking.orders(network, array)[last][0]
    listed = network.with_important([*[[] for _ in range(last)], [first]])
    assert ranking.orders(listed, array)[last][0] != first


def test_channels_that_are_added_keep_their_order(rng) -> None:
    weight = rng.integers(-9, 9, (1, 1, 4, 4))
    layers = [Conv(name, "input", weight, [0] * 4, 4, S8, S8) for name in ("a", "b")]
    network = Network((2, 2, 4), S8, (*layers, Add("sum", ("a", "b"), (0, 0), 0, S8)))
    assert network.addition("a") == "sum"
    array = Array(4, 4, (Guard(), Guard(12)), (1, 0, 0, 0))
    assert ranking_of(network, rng).orders(network, array) == [[0, 1, 2, 3]] * 2


def test_a_ranking_of_another_network_is_refused(rng) -> None:
    ranking = ranking_of(small_network(3), rng)
    with pytest.raises(InputError, match="the ranking was made for network"):
        ranking.permute(small_network(4), Array(4, 4))
