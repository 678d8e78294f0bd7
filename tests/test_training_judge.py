"""How rankings are judged: coverage and rank correlation, by hand and by simulation."""

import numpy as np
import pytest

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.layers import Dense
from hardpoint.network import Network
from hardpoint.ranking import Ranking
from hardpoint.training.injection import Injections
from hardpoint.training.judge import coverage, rank_correlation, spearman

W = Fixed(4, 3, True)


def network() -> Network:
    a = Dense("a", "input", np.ones((2, 3), np.int64), np.zeros(3, np.int64), 3, Fixed(4, 3, False), W, relu=True)
    b = Dense("b", "a", np.ones((3, 2), np.int64), np.zeros(2, np.int64), 3, Fixed(4, 3, True), W)
    return Network((2,), Fixed(4, 4, False), (a, b))


def injections(layer: list[int], neuron: list[int], image: list[int], critical: list[bool]) -> Injections:
    nothing = np.zeros(len(layer), np.int64)
    return Injections(np.array(layer), np.array(neuron), np.array(image), nothing, nothing, np.array(critical))


def test_coverage_is_the_share_of_critical_flips_on_protected_neurons() -> None:
    truth = injections([0, 0, 0, 1, 1], [0, 1, 2, 0, 1], [0, 0, 1, 1, 2], [True, True, False, True, True])
    masks = [np.array([True, False, True]), np.array([True, False])]
    found = coverage(masks, truth)
    assert found.mean == 0.5  # of the flips on (0, 0), (0, 1), (1, 0), (1, 1)
    assert 0 <= found.low < 0.5 < found.high <= 1
    all_of_them = coverage([np.ones(3, bool), np.ones(2, bool)], truth)
    assert all_of_them.mean == 1
    assert all_of_them.low < 1, "three images that agree are no certainty"
    with pytest.raises(InputError, match="none of 1 injections was critical"):
        coverage(masks, injections([0], [0], [0], [False]))


def test_intervals_hold_the_true_share_as_often_as_they_say() -> None:
    """Images differ: some have many critical flips, which fall together on protected neurons or not."""
    rng = np.random.default_rng(0)
    masks = [np.array([True, False, False]), np.zeros(2, bool)]
    held = 0
    for _ in range(400):
        flips = rng.geometric(0.2, 200)
        chance = np.repeat(rng.choice([0.1, 0.7], 200), flips)  # mean 0.4
        neuron = np.where(rng.random(flips.sum()) < chance, 0, 1)
        image = np.repeat(np.arange(200), flips)
        found = coverage(masks, injections([0] * len(image), neuron.tolist(), image.tolist(), [True] * len(image)))
        held += found.low <= 0.4 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_rank_correlation_of_a_perfect_a_reversed_and_a_foreign_ranking() -> None:
    net, rng = network(), np.random.default_rng(1)
    weight = np.array([5, 3, 1, 7, 2])  # of the five neurons
    place = rng.choice(5, 3000, p=weight / weight.sum())
    layer, neuron = (place >= 3).astype(int), np.where(place >= 3, place - 3, place)
    truth = injections(layer.tolist(), neuron.tolist(), rng.integers(0, 100, 3000).tolist(), [True] * 3000)
    scores = weight[:3].astype(float), weight[3:].astype(float)
    found = rank_correlation(Ranking(scores, "given", net.digest), truth, net)
    assert found.mean == 1
    assert 0.9 <= found.low <= found.high <= 1
    assert rank_correlation(Ranking(tuple(-s for s in scores), "given", net.digest), truth, net, channels=True).mean == -1
    with pytest.raises(InputError, match=f"was made for network other, not for {net.digest}"):
        rank_correlation(Ranking((np.ones(2),), "given", "other"), truth, net)


def test_the_interval_of_a_rank_correlation_holds_what_other_images_say() -> None:
    """With few flips per neuron ties abound; the mean over many judgements is what each interval should hold."""
    net, rng = network(), np.random.default_rng(4)
    scores = Ranking((np.array([5.0, 1, 2]), np.array([3.0, 4])), "given", net.digest)
    chance = np.array([0.3, 0.2, 0.15, 0.15, 0.2])
    found = []
    for _ in range(200):
        place = rng.choice(5, 60, p=chance)
        layer, neuron = (place >= 3).astype(int), np.where(place >= 3, place - 3, place)
        truth = injections(layer.tolist(), neuron.tolist(), rng.integers(0, 60, 60).tolist(), [True] * 60)
        found.append(rank_correlation(scores, truth, net))
    assert all(f.low <= f.mean <= f.high for f in found)
    mean = np.mean([f.mean for f in found])
    assert np.mean([f.low <= mean <= f.high for f in found]) >= 0.85


def test_spearman_takes_ties_at_their_mean_rank() -> None:
    a, b = np.array([1.0, 2, 2, 4]), np.array([1.0, 3, 2, 4])
    ranks = np.corrcoef([1, 2.5, 2.5, 4], [1, 3, 2, 4])[0, 1]
    assert spearman(a, b) == pytest.approx(ranks, abs=1e-12)
    assert spearman(a, np.ones(4)) == 0
