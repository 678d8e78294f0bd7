"""How much retraining a fault map needs: learning curves, and the resilience map drawn from them. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hardpoint.errors import InputError

__all__ = ["Curve", "Resilience", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Amounts of retraining, in training images, after which accuracy is looked at; the last one is the budget.

    >>> s = Schedule.epochs(60000)
    >>> s.images[:5], s.images[-1], s.up(4000.5), s.after(3750)
    ((0, 469, 703, 938, 1406), 480000, 5625, 5625)
    """

    images: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.images) < 2 or self.images[0] != 0 or any(b <= a for a, b in pairwise(self.images)):
            raise InputError(f"a schedule starts with 0 images and rises, not {list(self.images)}")

    @classmethod
    def epochs(cls, images: int, most: float = 8.0) -> Schedule:
        """Amounts from 1/128 of an epoch of `images` up to `most` epochs, each at most half as much again as the one before."""
        shares = [0.0, 1 / 128]
        while shares[-1] < most:
            octave = 2.0 ** math.floor(math.log2(shares[-1]))
            shares.append(min(most, shares[-1] + octave / 2))
        return cls(tuple(round(share * images) for share in shares))

    @property
    def budget(self) -> int:
        """The most that one map is retrained."""
        return self.images[-1]

    def up(self, images: float) -> int:
        """The smallest amount that is no less than `images`; the budget if none is."""
        return next((n for n in self.images if n >= images - 1e-6), self.budget)

    def after(self, images: int) -> int | None:
        """The next amount after `images`, or None at the budget."""
        return next((n for n in self.images if n > images), None)


@dataclass(frozen=True)
class Curve:
    """Validation accuracy of one fault map's network after growing amounts of retraining, in training images.

    >>> c = Curve("A7", 0.1, (0, 1875, 3750), (0.80, 0.88, 0.90))
    >>> c.reached(0.88), c.reached(0.95), c.at(3750)
    (1875, None, 0.9)
    """

    chip: str
    rate: float
    images: tuple[int, ...]
    accuracy: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.images or len(self.images) != len(self.accuracy):
            raise InputError(
                f"a learning curve needs one accuracy per amount, not {len(self.accuracy)} for {len(self.images)}"
            )
        if any(b <= a for a, b in pairwise(self.images)):
            raise InputError(f"the amounts of a learning curve rise, not {list(self.images)}")
        if not 0 <= self.rate < 1:
            raise InputError(f"a PE fault rate is 0 to below 1, not {self.rate}")

    @property
    def spent(self) -> int:
        """Training images that the curve took."""
        return self.images[-1]

    def reached(self, target: float, least: int = 0) -> int | None:
        """The first amount, `least` or more, at which accuracy is at least `target`; None if the curve ends before."""
        return next((n for n, a in zip(self.images, self.accuracy, strict=True) if n >= least and a >= target), None)

    def at(self, images: int) -> float | None:
        """Accuracy after exactly `images`, or None where it was not looked at."""
        return dict(zip(self.images, self.accuracy, strict=True)).get(images)


@dataclass(frozen=True)
class Resilience:
    """The retraining that an accuracy constraint needs at each PE fault rate: `images[i]` at `rates[i]`, inf if the budget is too small.

    `quantile` of the maps of a rate need no more (the smallest order statistic that says so); `target` is the
    accuracy, `spent` what it cost to find out, in training images.
    """

    rates: tuple[float, ...]
    images: tuple[float, ...]
    target: float
    quantile: float
    spent: int

    def __post_init__(self) -> None:
        if not self.rates or len(self.rates) != len(self.images):
            raise InputError("a resilience map needs one amount for each of its rates")
        if any(b <= a for a, b in pairwise(self.rates)):
            raise InputError(f"the rates of a resilience map rise, not {list(self.rates)}")

    @classmethod
    def of(cls, curves: Iterable[Curve], target: float, quantile: float = 0.75) -> Resilience:
        """From learning curves of several maps at each rate; amounts are made not to fall with the rate.

        >>> curves = [Curve(str(i), 0.1, (0, 10, 20), (0.5, a, 0.9)) for i, a in enumerate((0.7, 0.9, 0.9))]
        >>> Resilience.of(curves, 0.85, 0.5).images, Resilience.of(curves, 0.85, 0.9).images
        ((10,), (20,))
        """
        if not 0 < quantile <= 1:
            raise InputError(f"a quantile over maps lies above 0 and up to 1, not {quantile}")
        by_rate: dict[float, list[Curve]] = {}
        spent = 0
        for curve in curves:
            by_rate.setdefault(curve.rate, []).append(curve)
            spent += curve.spent
        rates = sorted(by_rate)
        needs: list[float] = []
        for rate in rates:
            found = sorted(math.inf if (n := curve.reached(target)) is None else n for curve in by_rate[rate])
            need = found[math.ceil(quantile * len(found)) - 1]
            needs.append(max(need, needs[-1] if needs else 0))
        return cls(tuple(rates), tuple(needs), target, quantile, spent)

    def needed(self, rate: float) -> float:
        """Training images needed at `rate`: linear between the rates that were measured, inf beyond the last one.

        Below the first measured rate the amount is taken to rise linearly from none at rate 0.

        >>> Resilience((0.125, 0.25), (100, 300), 0.9, 0.5, 0).needed(0.1875)
        200.0
        """
        rates, images = [0.0, *self.rates], [0.0, *self.images]
        if self.rates[0] == 0:
            rates, images = rates[1:], images[1:]
        if rate > rates[-1] + 1e-12:
            return math.inf
        above = next(i for i, r in enumerate(rates) if r >= rate - 1e-12)
        if above == 0 or rate >= rates[above] - 1e-12 or math.isinf(images[above]):
            return float(images[above])
        share = (rate - rates[above - 1]) / (rates[above] - rates[above - 1])
        return images[above - 1] + share * (images[above] - images[above - 1])


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of independent values and its 95 % interval by Student's t: (low, mean, high).

    >>> spread([1.0, 3.0])[1]
    2.0
    """
    x = np.asarray(values, float)
    mean = float(x.mean())
    if len(x) < 2:
        return -math.inf, mean, math.inf
    from scipy.stats import t

    half = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return mean - half, mean, mean + half
