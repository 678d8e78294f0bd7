"""Intervals cover what they claim, in simulations of the situations that they are for."""

import math

import numpy as np
import pytest

from hardpoint.errors import InputError
from hardpoint.statistics import (
    BernoulliSequence,
    BettingSequence,
    bootstrap,
    clopper_pearson,
    cluster_t,
    cluster_wilson,
    paired,
    sample_size,
    stratified,
    stratified_proportion,
    t_quantile,
    two_way,
    wilson,
)

NOMINAL = (0.93, 0.97)


def coverage(covered: list[bool]) -> float:
    return float(np.mean(covered))


def inside(interval: object, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_quantiles_are_those_of_tables() -> None:
    for df, value in ((1, 12.706205), (2, 4.302653), (9, 2.262157), (30, 2.042272), (1e6, 1.959966)):
        assert t_quantile(0.975, df) == pytest.approx(value, abs=2e-6)
    assert t_quantile(0.5, 3) == 0
    exact = clopper_pearson(3, 17)
    assert (exact.low, exact.high) == pytest.approx((0.0379851, 0.4343178), abs=1e-7)
    assert clopper_pearson(17, 17).high == 1.0
    assert wilson(0, 10).low == 0.0


def test_independent_proportions_are_covered() -> None:
    rng = np.random.default_rng(1)
    for p, n in ((0.5, 100), (0.9, 200), (0.03, 400)):
        draws = rng.binomial(n, p, 3000).tolist()
        score = coverage([inside(wilson(k, n), p) for k in draws[:3000]])
        assert NOMINAL[0] <= score <= NOMINAL[1], (p, n, score)
        exact = coverage([inside(clopper_pearson(k, n), p) for k in draws[:400]])
        assert exact >= 0.94


def clustered(rng: np.random.Generator, units: int, images: int) -> np.ndarray:
    """Accuracies of maps: each with a rate of its own, and images inside it."""
    rates = rng.beta(18, 2, units)
    return rng.binomial(images, rates) / images


def test_clusters_are_covered_by_units_and_not_by_pooled_images() -> None:
    rng = np.random.default_rng(2)
    t, resampled, pooled = [], [], []
    for _ in range(1500):
        x = clustered(rng, 10, 1000)
        t.append(inside(cluster_t(x), 0.9))
        pooled.append(inside(wilson(round(x.sum() * 1000), 10_000), 0.9))
        if len(resampled) < 500:
            resampled.append(inside(bootstrap(clustered(rng, 25, 300), seed=len(resampled), resamples=600), 0.9))
    assert NOMINAL[0] <= coverage(t) <= NOMINAL[1]
    assert NOMINAL[0] - 0.01 <= coverage(resampled) <= NOMINAL[1] + 0.01
    assert coverage(pooled) < 0.6, "why images are never pooled"


def test_faults_that_repeat_over_images_are_covered_two_way() -> None:
    rng = np.random.default_rng(3)
    both, one = [], []
    for _ in range(600):
        logit = 1.5 + rng.normal(0, 0.6, (20, 1)) + rng.normal(0, 1.2, (1, 120))
        table = rng.random((20, 120)) < 1 / (1 + np.exp(-logit))
        both.append(table)
    grid = 1.5 + rng.normal(0, 0.6, (4000, 1)) + rng.normal(0, 1.2, (1, 4000))
    truth = float((1 / (1 + np.exp(-grid))).mean())
    covered = coverage([inside(two_way(table), truth) for table in both])
    one = coverage([inside(cluster_t(table.mean(axis=1)), truth) for table in both])
    assert NOMINAL[0] <= covered <= NOMINAL[1] + 0.01, covered
    assert one < covered


def test_paired_differences_are_narrower_and_covered() -> None:
    rng = np.random.default_rng(4)
    covered, narrower = [], []
    for _ in range(1500):
        common = rng.normal(0.7, 0.05, 12)
        a, b = common + rng.normal(0.01, 0.01, 12), common + rng.normal(0, 0.01, 12)
        d = paired(a, b)
        covered.append(inside(d, 0.01))
        narrower.append(d.high - d.low < cluster_t(a).high - cluster_t(a).low)
    assert NOMINAL[0] <= coverage(covered) <= NOMINAL[1]
    assert coverage(narrower) > 0.95
    assert paired([0.5, 0.5], [0.4, 0.4]).low == pytest.approx(0.1)


def test_strata_are_weighted() -> None:
    rng = np.random.default_rng(5)
    shares, rates = (0.7, 0.25, 0.05), (0.05, 0.3, 0.9)
    truth = sum(s * p for s, p in zip(shares, rates, strict=True))
    covered = [
        inside(stratified([(s, rng.random(150) < p) for s, p in zip(shares, rates, strict=True)]), truth)
        for _ in range(1500)
    ]
    assert NOMINAL[0] <= coverage(covered) <= NOMINAL[1]


def test_proportions_of_units_are_covered_near_the_ends_too() -> None:
    """Fault lists: independent images of different difficulty. Maps: a rate of their own each, skewed or mostly none."""
    rng = np.random.default_rng(9)
    hard = rng.beta(0.05, 5, 256)
    lists = {
        "rare": (20, 256, 0.003), "rarer": (20, 256, 0.001), "few lists": (5, 256, 0.01), "often": (10, 64, 0.3),
    }  # fmt: skip
    found = {
        name: coverage([inside(cluster_wilson(rng.binomial(n, p, k) / n, draws=n), p) for _ in range(1500)])
        for name, (k, n, p) in lists.items()
    }
    found["difficult images"] = coverage(
        [inside(cluster_wilson((rng.random((20, 256)) < hard).mean(axis=1), draws=256), hard.mean()) for _ in range(1500)]
    )
    for name, a, b in (("good maps", 18, 2), ("bad maps", 5, 5), ("rare maps", 1.8, 16.2)):
        x = rng.binomial(1000, rng.beta(a, b, (1500, 12))) / 1000
        found[name] = coverage([inside(cluster_wilson(row), a / (a + b)) for row in x])
    for name, covered in found.items():
        assert NOMINAL[0] <= covered <= NOMINAL[1] + 0.01, (name, covered)
    assert coverage([inside(cluster_t(rng.binomial(256, 0.003, 5) / 256, draws=256), 0.003) for _ in range(1000)]) < 0.92


def test_proportions_over_strata_are_covered() -> None:
    """As many draws in every stratum, rates from never to often, and groups that lie across strata."""
    rng = np.random.default_rng(10)
    cases = {
        "uneven": ((0.7, 0.25, 0.05), (0.05, 0.3, 0.9), 150),
        "rare where it is heavy": ((0.9, 0.1), (0.005, 0.4), 300),
        "never in half": ((0.5, 0.5), (0.0, 0.1), 200),
        "many": ((0.4, *(0.03,) * 20), tuple(np.linspace(0.3, 0.01, 21)), 60),
    }
    for name, (shares, rates, n) in cases.items():
        truth = float(np.dot(shares, rates))
        hits = rng.binomial(n, rates, (1500, len(rates))).tolist()
        covered = [
            inside(stratified_proportion([(w, n, n, k) for w, k in zip(shares, row, strict=True)]), truth) for row in hits
        ]
        assert NOMINAL[0] <= coverage(covered) <= NOMINAL[1], (name, coverage(covered))
    shares, parts, rates = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.5, 0.3]), np.array([0.2, 0.05, 0.6])
    truth = float((shares * parts * rates).sum() / (shares * parts).sum())
    covered = []
    for _ in range(1500):
        held = rng.binomial(300, parts)
        hit = rng.binomial(held, rates)
        covered.append(inside(stratified_proportion(zip(shares, (300,) * 3, held, hit, strict=True)), truth))
    assert NOMINAL[0] <= coverage(covered) <= NOMINAL[1], coverage(covered)


def test_stopping_when_the_interval_is_short_keeps_it_true() -> None:
    """What a campaign that stops by itself does, with independent flips and with maps; a fixed interval would not hold."""
    rng = np.random.default_rng(11)
    held, fixed = [], []
    for _ in range(300):
        draws = rng.random(4096) < 0.004
        hits, sequence = 0, BernoulliSequence()
        for stop in range(256, 4097, 256):
            new = int(draws[stop - 256 : stop].sum())
            hits += new
            sequence.update(new, 256)
            if (sequence.bounds[1] - sequence.bounds[0]) / 2 < 0.006:
                break
        held.append(sequence.bounds[0] <= 0.004 <= sequence.bounds[1])
        hits, stop = int(draws[:256].sum()), 256
        while stop < 4096 and (wilson(hits, stop).high - wilson(hits, stop).low) / 2 > 0.003:
            stop += 64
            hits = int(draws[:stop].sum())
        fixed.append(inside(wilson(hits, stop), 0.004))
    assert coverage(held) >= 0.95
    assert coverage(fixed) < coverage(held)
    maps = []
    for _ in range(60):
        units = BettingSequence()
        for value in rng.beta(5, 2, 400):
            units.update(float(value))
            if (units.bounds[1] - units.bounds[0]) / 2 < 0.1:
                break
        maps.append(units.bounds[0] <= 5 / 7 <= units.bounds[1])
    assert coverage(maps) >= 0.95


def test_sequences_hold_at_every_look() -> None:
    rng = np.random.default_rng(6)
    bernoulli, betting, peeking = [], [], []
    for _ in range(400):
        p = rng.beta(9, 1, 50)  # images of different difficulty, the same in every trial
        truth = float(p.mean())
        sequence = BernoulliSequence()
        always = True
        for _ in range(40):
            sequence.update(int((rng.random(50) < p).sum()), 50)
            always &= sequence.bounds[0] <= truth <= sequence.bounds[1]
        bernoulli.append(always)
    for i in range(200):
        units, held, held_t = BettingSequence(), True, True
        x = rng.beta(18, 2, 60) if i % 2 else rng.random(60) < 0.9
        for n, value in enumerate(x, 1):
            units.update(float(value))
            held &= units.bounds[0] <= 0.9 <= units.bounds[1]
            if n > 4 and n % 5 == 0:
                held_t &= inside(cluster_t(x[:n].astype(float)), 0.9)
        betting.append(held)
        peeking.append(held_t)
    assert coverage(bernoulli) >= 0.95
    assert coverage(betting) >= 0.95
    assert coverage(peeking) < 0.93, "why a fixed interval may not be looked at again and again"


def test_sequences_close_in() -> None:
    sequence, units = BernoulliSequence(), BettingSequence()
    rng = np.random.default_rng(7)
    for _ in range(300):
        sequence.update(int(rng.binomial(100, 0.8)), 100)
        units.update(float(rng.beta(80, 20)))
    assert sequence.bounds[1] - sequence.bounds[0] < 0.025
    assert units.bounds[1] - units.bounds[0] < 0.1
    assert sequence.bounds[0] < 0.8 < sequence.bounds[1]
    assert units.bounds[0] < 0.8 < units.bounds[1]


def test_units_that_all_agree_claim_no_certainty() -> None:
    rng = np.random.default_rng(8)
    for p in (0.001, 0.01, 0.1):
        covered = [inside(cluster_t(rng.binomial(20, p, 10) / 20, draws=20), p) for _ in range(1000)]
        if p == 0.001:
            assert coverage(covered) >= 0.95
    assert cluster_t([0.5]).method == "one unit says nothing of others"
    assert cluster_t([1.0, 1.0, 1.0]).low == pytest.approx(1 - (1 - 0.025 ** (1 / 3)))


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    x = np.random.default_rng(9).beta(18, 2, 15)
    assert bootstrap(x, seed=3) == bootstrap(x, seed=3)
    assert bootstrap(x, seed=3) != bootstrap(x, seed=4)


def test_sample_sizes_give_the_asked_error() -> None:
    n = sample_size(0.02, 0.95, share=0.3)
    found = wilson(round(0.3 * n), n)
    assert (found.high - found.low) / 2 == pytest.approx(0.02, rel=0.01)
    assert sample_size(0.01, population=500) <= 500


def test_bad_input_is_named() -> None:
    for call, text in (
        (lambda: wilson(3, 2), "successes must be 0 to the number of draws, at least 1, not 3 of 2"),
        (lambda: cluster_t([]), "an interval needs one finite value per unit"),
        (lambda: cluster_t([0.2, math.nan]), "an interval needs one finite value per unit"),
        (lambda: cluster_t([0.2, 1.4]), "units' values must be 0.0 to 1.0, not 1.4"),
        (lambda: cluster_t([0.2, 0.4], confidence=1), "a confidence lies between 0 and 1, not 1"),
        (lambda: paired([1, 2], [1]), "paired values come from the same units, not from 2 and 1"),
        (lambda: two_way([[1, 0]]), "at least 2 units and 2 images"),
        (lambda: stratified([(0.5, [1, 0])]), "the shares of strata must be 0 or more and sum to 1"),
        (lambda: BettingSequence().update(1.5), r"a unit's value must lie in \[0, 1\], not 1.5"),
        (lambda: BernoulliSequence().update(5, 4), "successes must be 0 to 4, the number of draws, not 5"),
        (lambda: stratified_proportion([(1.0, 5, 6, 2)]), "successes within the group's draws"),
        (lambda: stratified_proportion([]), "at least 1 draw of the group"),
        (lambda: cluster_wilson([1.5]), "units' values must be 0.0 to 1.0, not 1.5"),
        (lambda: sample_size(0.0), "an error and a share lie between 0 and 1"),
    ):
        with pytest.raises(InputError, match=text):
            call()
