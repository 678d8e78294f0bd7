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


def test_a_depthwise_layer_has_the_order_of_what_reaches_it(rng) -> None:
    conv = Conv("conv", "input", rng.integers(-9, 9, (1, 1, 2, 8)), [0] * 8, 4, S8, S8)
    depthwise = Conv("depthwise", "conv", rng.integers(-9, 9, (1, 1, 8, 1)), [0] * 8, 4, S8, S8, depthwise=True)
    network = Network((2, 2, 2), S8, (conv, depthwise))
    ranking = ranking_of(network, rng)
    scores = np.zeros((2, 2, 2, 8))
    scores[1, ..., 6] = 1  # only the depthwise layer's channel 6 hurts
    ranking = Ranking((scores[0], scores[1]), "random", network.digest)
    array = Array(4, 4, (Guard(), Guard(12)), (1, 0, 0, 0))
    first, second = ranking.orders(network, array)
    assert first == second
    assert first.index(6) % 4 == 0
    placed, x = ranking.permute(network, array), rng.integers(-100, 100, (5, 2, 2, 2))
    assert np.array_equal(placed.layers[1].weight.ravel(), depthwise.weight.ravel()[first])
    assert np.array_equal(placed(x), network(x))


def test_a_depthwise_layer_that_reads_the_input_keeps_its_order(rng) -> None:
    depthwise = Conv("depthwise", "input", rng.integers(-9, 9, (1, 1, 8, 1)), [0] * 8, 4, S8, S8, depthwise=True)
    network = Network((2, 2, 8), S8, (depthwise,))
    array = Array(4, 4, (Guard(), Guard(12)), (1, 0, 0, 0))
    assert ranking_of(network, rng).orders(network, array) == [list(range(8))]


def test_a_ranking_of_another_network_is_refused(rng) -> None:
    ranking = ranking_of(small_network(3), rng)
    with pytest.raises(InputError, match="the ranking was made for network"):
        ranking.permute(small_network(4), Array(4, 4))
