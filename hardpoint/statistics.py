"""Intervals over what was drawn independently: proportions, clusters, two-way samples, differences, and sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.streams import philox

__all__ = [
    "BernoulliSequence",
    "BettingSequence",
    "Interval",
    "bootstrap",
    "clopper_pearson",
    "cluster_t",
    "cluster_wilson",
    "paired",
    "sample_size",
    "stratified",
    "stratified_proportion",
    "t_quantile",
    "two_way",
    "wilson",
]  # fmt: skip

F = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval: `units` independent draws, `method` in words."""

    mean: float
    low: float
    high: float
    confidence: float
    units: int
    method: str

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}] ({self.confidence:.0%}, {self.method}, {self.units} units)"


def check_confidence(confidence: float) -> float:
    """`confidence` if it lies inside (0, 1), else an InputError."""
    if not 0 < confidence < 1:
        raise InputError(f"a confidence lies between 0 and 1, not {confidence}")
    return float(confidence)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22).

    >>> round(beta_cdf(0.5, 2.0, 3.0), 6)
    0.6875
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)) / a
    tiny = 1e-300
    fraction = c = 1.0
    d = 0.0
    for i in range(100_000):
        m = i // 2
        if i == 0:
            step = 1.0
        elif i % 2 == 0:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + step * d or tiny)
        c = 1 + step / c or tiny
        fraction *= c * d
        if i and abs(1 - c * d) < 1e-15:
            break
    return front * (fraction - 1)


def log_beta(a: float, b: float) -> float:
    """Logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def bisect(below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `below`, true at `low` and false at `high`, changes."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def beta_quantile(p: float, a: float, b: float) -> float:
    """Where I_x(a, b) = p."""
    return bisect(lambda x: beta_cdf(x, a, b) < p, 0.0, 1.0)


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """Quantile of Student's t distribution.

    >>> round(t_quantile(0.975, 9), 4), round(t_quantile(0.025, 2), 4)
    (2.2622, -4.3027)
    """
    if p == 0.5:
        return 0.0
    if p < 0.5:
        return -t_quantile(1 - p, df)
    x = beta_quantile(2 * (1 - p), df / 2, 0.5)
    return math.sqrt(df * (1 - x) / x)


def wilson(successes: int, draws: int, confidence: float = 0.95) -> Interval:
    """A proportion of independent draws: Wilson's score interval (Wilson, JASA 22, 1927).

    >>> print(wilson(8, 10))
    0.8000 [0.4902, 0.9433] (95%, Wilson, 10 units)
    """
    _check_count(successes, draws, confidence)
    p = successes / draws
    low, high = _score(p, draws, confidence)
    return Interval(p, low if successes else 0.0, high if successes < draws else 1.0, confidence, draws, "Wilson")


def _score(p: float, draws: float, confidence: float) -> tuple[float, float]:
    """Ends of Wilson's interval for a share `p` of `draws` draws, which need not be whole."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (p + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(p * (1 - p) / draws + z * z / (4 * draws * draws))
    return max(0.0, centre - half), min(1.0, centre + half)


def clopper_pearson(successes: int, draws: int, confidence: float = 0.95) -> Interval:
    """A proportion of independent draws, covered at least as often as claimed (Clopper and Pearson, Biometrika 26, 1934).

    >>> print(clopper_pearson(0, 10))
    0.0000 [0.0000, 0.3085] (95%, Clopper-Pearson, 10 units)
    """
    _check_count(successes, draws, confidence)
    tail, k, n = (1 - confidence) / 2, successes, draws
    low = 0.0 if k == 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k == n else beta_quantile(1 - tail, k + 1, n - k)
    return Interval(k / n, low, high, confidence, n, "Clopper-Pearson")


def cluster_t(values: Any, confidence: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0), draws: int = 1) -> Interval:
    """The mean of `values`, one per independent unit (a fault list, a map, a chip), by Student's t over units.

    Values lie in `bounds`, and so does the interval. Where all units agree t would claim certainty; then the interval
    follows from how often a unit may differ without any being seen, `draws` being how many independent parts a unit has
    (transient faults of n images: n; a permanent fault map: 1).

    >>> print(cluster_t([0.9, 0.8, 0.85, 0.95]))
    0.8750 [0.7723, 0.9777] (95%, t over units, 4 units)
    """
    check_confidence(confidence)
    x = _units(values, bounds)
    mean, (low, high) = float(x.mean()), bounds
    if len(x) == 1 and draws == 1:
        return Interval(mean, low, high, confidence, 1, "one unit says nothing of others")
    if len(x) == 1 or x.min() == x.max():
        share = -math.expm1(math.log((1 - confidence) / 2) / (len(x) * draws))
        if len(x) == 1 and low < mean < high:
            return Interval(mean, low, high, confidence, 1, "one unit says nothing of others")
        ends = mean - share * (mean - low), mean + share * (high - mean)
        return Interval(mean, ends[0], ends[1], confidence, len(x), "all units agree")
    half = t_quantile((1 + confidence) / 2, len(x) - 1) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Interval(mean, max(low, mean - half), min(high, mean + half), confidence, len(x), "t over units")


def cluster_wilson(shares: Any, confidence: float = 0.95, draws: int = 1) -> Interval:
    """A proportion from its share in every independent unit: Wilson's interval for as many draws as have the same variance.

    The effective number of draws is m (1 - m) over the variance of the mean m among units, times the square of the
    normal quantile over Student's (Korn and Graubard, Survey Methodology 24, 1998, with Wilson's interval). Near 0
    and 1, where t over units misses on one side, it is asymmetric and covers; units of one draw give Wilson's own
    interval but for Student's quantile. Where all units agree it is `cluster_t`'s, which `draws` is for.

    >>> print(cluster_wilson([0.9, 0.8, 0.85, 0.95]))
    0.8750 [0.7385, 0.9455] (95%, Wilson over units, 4 units)
    """
    check_confidence(confidence)
    x = _units(shares, (0.0, 1.0))
    if x.min() == x.max():
        return cluster_t(x, confidence, draws=draws)
    mean, variance = float(x.mean()), float(x.var(ddof=1)) / len(x)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    effective = mean * (1 - mean) / variance * (z / t_quantile((1 + confidence) / 2, len(x) - 1)) ** 2
    return Interval(mean, *_score(mean, effective, confidence), confidence, len(x), "Wilson over units")


def paired(a: Any, b: Any, confidence: float = 0.95) -> Interval:
    """The mean difference a - b of designs measured on the same units (same draws, same images), by t over units.

    >>> print(paired([0.9, 0.8, 0.7], [0.8, 0.75, 0.6]))
    0.0833 [0.0116, 0.1550] (95%, t over paired units, 3 units)
    """
    a, b = _units(a, (-math.inf, math.inf)), _units(b, (-math.inf, math.inf))
    if a.shape != b.shape:
        raise InputError(f"paired values come from the same units, not from {len(a)} and {len(b)}")
    found = cluster_t(a - b, confidence, (-1e300, 1e300)) if (a - b).std() > 0 else None
    if found is None:
        d = float((a - b).mean())
        return Interval(d, d, d, confidence, len(a), "all differences agree")
    return Interval(found.mean, found.low, found.high, confidence, len(a), "t over paired units")


def two_way(table: Any, confidence: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """The mean of a (units, images) table where both are samples: every unit struck the same images.

    The variance of the mean is that of units plus that of images less that of their interaction, which both contain
    (Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29, 2011, equation 2.8), at least the larger of the two; Student's t
    with the smaller number of them less one degrees of freedom.

    >>> table = np.arange(600).reshape(20, 30) % 7 > 0  # 20 fault lists on 30 images: right or wrong
    >>> str(two_way(table))
    '0.8567 [0.8493, 0.8640] (95%, two-way t over units and 30 images, 20 units)'
    """
    check_confidence(confidence)
    x = np.asarray(table, np.float64)
    if x.ndim != 2 or min(x.shape) < 2 or not np.isfinite(x).all():
        raise InputError(f"a two-way interval needs at least 2 units and 2 images, all finite, not shape {x.shape}")
    units, images = x.shape
    mean, rows, cols = float(x.mean()), x.mean(axis=1), x.mean(axis=0)
    by_unit, by_image = float(rows.var(ddof=1)) / units, float(cols.var(ddof=1)) / images
    rest = x - rows[:, None] - cols[None, :] + mean
    interaction = float((rest**2).sum()) / ((units - 1) * (images - 1)) / (units * images)
    variance = max(by_unit + by_image - interaction, by_unit, by_image)
    half = t_quantile((1 + confidence) / 2, min(units, images) - 1) * math.sqrt(variance)
    low, high = max(bounds[0], mean - half), min(bounds[1], mean + half)
    return Interval(mean, low, high, confidence, units, f"two-way t over units and {images} images")


def bootstrap(
    values: Any, confidence: float = 0.95, seed: int = 0, resamples: int = 4000, bounds: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """The mean of one value per unit by resampling whole units: the studentised bootstrap (Efron and Tibshirani 1993, 12.5).

    The same seed gives the same interval everywhere.

    >>> str(bootstrap([0.91, 0.95, 0.93, 0.97, 0.92], seed=1))
    '0.9360 [0.9101, 0.9888] (95%, bootstrap over units, 5 units)'
    """
    check_confidence(confidence)
    x = _units(values, bounds)
    n, mean = len(x), float(x.mean())
    if n < 2 or x.min() == x.max():
        return cluster_t(x, confidence, bounds)
    words = philox(seed, (np.arange(resamples)[:, None], np.arange(n)[None, :], 0, 0))[0]
    sample = x[(words % np.uint64(n)).astype(np.int64)]
    spread = sample.std(axis=1, ddof=1) / math.sqrt(n)
    kept = spread > 0
    t = np.sort((sample.mean(axis=1)[kept] - mean) / spread[kept])
    tail, error = (1 - confidence) / 2, float(x.std(ddof=1)) / math.sqrt(n)
    low, high = (float(np.quantile(t, q)) for q in (1 - tail, tail))
    ends = max(bounds[0], mean - low * error), min(bounds[1], mean - high * error)
    return Interval(mean, *ends, confidence, n, "bootstrap over units")


def stratified(strata: Any, confidence: float = 0.95) -> Interval:
    """A mean over a population in strata: `strata` holds (share of the population, values drawn in the stratum).

    The weighted mean of the strata's means; variances of the means add with squared weights, degrees of freedom after
    Satterthwaite. Shares must sum to 1.

    >>> print(stratified([(0.9, [0, 0, 0, 1]), (0.1, [1, 1, 0, 1])]))
    0.3000 [0.0000, 1.0000] (95%, stratified t, 8 units)
    """
    check_confidence(confidence)
    rows = [(float(share), np.asarray(values, np.float64)) for share, values in strata]
    if not rows or abs(sum(share for share, _ in rows) - 1) > 1e-9 or any(share < 0 for share, _ in rows):
        raise InputError("the shares of strata must be 0 or more and sum to 1")
    if any(len(values) < 2 for _, values in rows):
        raise InputError("a stratum needs at least 2 draws")
    mean = sum(share * float(values.mean()) for share, values in rows)
    parts = [share**2 * float(values.var(ddof=1)) / len(values) for share, values in rows]
    units, variance = sum(len(values) for _, values in rows), sum(parts)
    if variance == 0:
        share = -math.expm1(math.log((1 - confidence) / 2) / min(len(values) for _, values in rows))
        return Interval(mean, mean - share * mean, mean + share * (1 - mean), confidence, units, "all strata agree")
    df = variance**2 / sum(part**2 / (len(values) - 1) for part, (_, values) in zip(parts, rows, strict=True))
    half = t_quantile((1 + confidence) / 2, df) * math.sqrt(variance)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half), confidence, units, "stratified t")


def stratified_proportion(strata: Any, confidence: float = 0.95) -> Interval:
    """A proportion over a population in strata: `strata` holds (share, draws, draws that lie in the group, successes).

    The group is what the proportion is about; where it is not the whole population its size in a stratum is estimated
    from the draws. The estimate is sum W r p / sum W r over strata of share W in which the part r of the draws lies in the
    group and the part p of those succeeds. The interval is Wilson's for the number of independent draws with
    the same variance (Korn and Graubard, Survey Methodology 24, 1998); variances inside strata are taken at
    (successes + 1/2) / (draws + 1), so that strata without successes, or with nothing else, do not count as certain.
    A share may be any number from 0, in proportion to the stratum's population.

    >>> print(stratified_proportion([(0.9, 100, 100, 5), (0.1, 100, 100, 50)]))
    0.0950 [0.0618, 0.1433] (95%, Wilson over strata, 200 units)
    >>> one = stratified_proportion([(1.0, 50, 20, 4)])
    >>> (one.low, one.high) == (wilson(4, 20).low, wilson(4, 20).high)
    True
    """
    check_confidence(confidence)
    rows = [(float(w), int(n), int(inside), int(k)) for w, n, inside, k in strata]
    if any(w < 0 or not 0 <= k <= inside <= n for w, n, inside, k in rows) or not any(w * inside for w, _, inside, _ in rows):
        raise InputError("strata need shares from 0, successes within the group's draws, those within all, and at least 1 draw of the group")
    drawn = [(w, n, inside, k) for w, n, inside, k in rows if w and inside]
    units = sum(inside for _, _, inside, _ in drawn)
    size = sum(w * inside / n for w, n, inside, _ in drawn)
    p = sum(w * k / n for w, n, _, k in drawn) / size
    if len(drawn) == 1:
        found = wilson(drawn[0][3], drawn[0][2], confidence)
        return Interval(p, found.low, found.high, confidence, units, "Wilson over strata")
    smooth = [(k + 0.5) / (inside + 1) for _, _, inside, k in drawn]
    middle = sum(w * inside / n * q for (w, n, inside, _), q in zip(drawn, smooth, strict=True)) / size
    variance = 0.0
    for (w, n, inside, _), q in zip(drawn, smooth, strict=True):
        part = w * inside / n / size
        variance += part * part * q * (1 - q) / inside
        variance += (w / size) ** 2 * inside / n * (1 - inside / n) / n * (q - middle) ** 2
    low, high = _score(p, middle * (1 - middle) / variance, confidence)
    return Interval(p, min(low, p), max(high, p), confidence, units, "Wilson over strata")


def sample_size(error: float, confidence: float = 0.95, population: float = math.inf, share: float = 0.5) -> int:
    """Independent draws for a proportion near `share` to be known to +-`error` (Leveugle et al., DATE 2009, equation 1).

    >>> sample_size(0.01), sample_size(0.01, population=10_000)
    (9604, 4900)
    """
    check_confidence(confidence)
    if not 0 < error < 1 or not 0 < share < 1 or population < 1:
        raise InputError(f"an error and a share lie between 0 and 1, a population is at least 1, not {error}, {share}, {population}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    if math.isinf(population):
        return math.ceil(z * z * share * (1 - share) / error**2 - 1e-9)
    return math.ceil(population / (1 + error**2 * (population - 1) / (z * z * share * (1 - share))) - 1e-9)


class BernoulliSequence:
    """A confidence sequence for the mean of independent 0/1 draws: valid at every look, for any stopping rule.

    Draws may differ in probability as long as every block (`update`) goes through all of them, as a trial goes through
    all images: for draws x of mean m, the product of 1 + b (x - m) is a supermartingale for every bet b by the inequality
    of the arithmetic and geometric mean. Bets are mixed by a Beta(1/2, 1/2) prior, which has the closed form of a
    beta-binomial likelihood ratio (Robbins, Ann. Math. Stat. 41, 1970); intervals of all looks are intersected.

    >>> s = BernoulliSequence()
    >>> for _ in range(20):
    ...     s.update(95, 100)
    >>> low, high = s.bounds
    >>> bool(0.92 < low < 0.95 < high < 0.97)
    True
    """

    def __init__(self, confidence: float = 0.95) -> None:
        self.confidence = check_confidence(confidence)
        self.successes = self.draws = 0
        self.bounds = (0.0, 1.0)

    def update(self, successes: int, draws: int) -> None:
        """A block of `draws` with `successes`."""
        if not 0 <= successes <= draws:
            raise InputError(f"successes must be 0 to {draws}, the number of draws, not {successes}")
        self.successes += int(successes)
        self.draws += int(draws)
        s, f = self.successes, self.draws - self.successes
        if not self.draws:
            return
        mixture = log_beta(0.5 + s, 0.5 + f) - log_beta(0.5, 0.5)
        limit, mean = -math.log1p(-self.confidence), s / self.draws

        def rejected(m: float) -> bool:
            with_m = (s * math.log(m) if s else 0.0) + (f * math.log1p(-m) if f else 0.0)
            return mixture - with_m >= limit

        low = bisect(rejected, 1e-300, mean) if s else 0.0
        high = bisect(lambda m: not rejected(m), mean, 1 - 1e-16) if f else 1.0
        self.bounds = max(low, self.bounds[0]), min(high, self.bounds[1])


class BettingSequence:
    """A confidence sequence for the mean of independent values in [0, 1], one per unit: valid at every look.

    Hedged capital with bets from the predictable plug-in variance (Waudby-Smith and Ramdas, J. R. Stat. Soc. B 86, 2024,
    section 4.2): a mean m is rejected once the larger of two gamblers' capitals reaches 2 / (1 - confidence). The mean is
    searched on a grid of 2,000 steps; bounds are the nearest rejected grid points.

    >>> sequence = BettingSequence()
    >>> for value in [0.9, 0.95, 0.92, 0.94] * 25:
    ...     sequence.update(value)
    >>> low, high = sequence.bounds
    >>> low < 0.9275 < high, high - low < 0.1
    (True, True)
    """

    def __init__(self, confidence: float = 0.95) -> None:
        self.confidence = check_confidence(confidence)
        self.grid = np.linspace(0, 1, 2001)
        self.capital = np.zeros((2, len(self.grid)))  # logarithms, of who bets on more and on less than m
        self.units, self.total, self.squares = 0, 0.0, 0.0
        self.bounds = (0.0, 1.0)

    def update(self, value: float) -> None:
        """One more unit."""
        if not 0 <= value <= 1:
            raise InputError(f"a unit's value must lie in [0, 1], not {value}")
        t = self.units + 1
        variance = (0.25 + self.squares) / t
        bet = math.sqrt(2 * math.log(2 / (1 - self.confidence)) / (variance * t * math.log(t + 1)))
        m = self.grid
        with np.errstate(divide="ignore"):
            self.capital[0] += np.log1p(np.minimum(bet, 0.75 / m) * (value - m))
            self.capital[1] += np.log1p(-np.minimum(bet, 0.75 / (1 - m)) * (value - m))
        self.units, self.total = t, self.total + value
        self.squares += (value - (0.5 + self.total) / (t + 1)) ** 2
        kept = np.flatnonzero(self.capital.max(axis=0) < math.log(2 / (1 - self.confidence)))
        mean = self.total / t
        low = m[max(kept[0] - 1, 0)] if len(kept) else mean
        high = m[min(kept[-1] + 1, len(m) - 1)] if len(kept) else mean
        self.bounds = max(float(low), self.bounds[0]), min(float(high), self.bounds[1])


def _units(values: Any, bounds: tuple[float, float]) -> F:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise InputError(f"an interval needs one finite value per unit, at least one, not shape {x.shape}")
    if x.min() < bounds[0] or x.max() > bounds[1]:
        raise InputError(f"units' values must be {bounds[0]} to {bounds[1]}, not {x.min() if x.min() < bounds[0] else x.max()}")
    return x


def _check_count(successes: int, draws: int, confidence: float) -> None:
    check_confidence(confidence)
    if draws < 1 or not 0 <= successes <= draws:
        raise InputError(f"successes must be 0 to the number of draws, at least 1, not {successes} of {draws}")
