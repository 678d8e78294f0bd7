"""Deciding early without peeking: t intervals at planned looks, the error split among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Looks"]


@dataclass(frozen=True)
class Looks:
    """Looks after `first`, twice as many, ... and at last `last` units; each interval spends an equal share of 1 - `confidence`.

    By Bonferroni's inequality all intervals hold together with `confidence`, so a decision may be taken at any look.
    Units are independent (fault lists); each t interval takes their means to be about normal.

    >>> Looks(4, 40).at
    (4, 8, 16, 32, 40)
    """

    first: int = 4
    last: int = 64
    confidence: float = 0.95

    @property
    def at(self) -> tuple[int, ...]:
        """Numbers of units after which one looks."""
        return tuple(self._doubling())

    def _doubling(self) -> Iterator[int]:
        n = self.first
        while n < self.last:
            yield n
            n *= 2
        yield self.last

    def interval(self, values: Sequence[float]) -> tuple[float, float]:
        """Interval for the mean of the units, clipped to [0, 1]; valid at all looks together.

        Units that do not differ at all (nothing was hit) say that a differing unit is rare: the interval then has the
        half-width by which one of n units, at most 1 off, may have been missed (1 - alpha**(1/n), Clopper and Pearson's).
        """
        from scipy.stats import t

        n = len(values)
        mean = sum(values) / n
        variance = sum((value - mean) ** 2 for value in values) / (n - 1)
        alpha = (1 - self.confidence) / len(self.at)
        half = float(t.ppf(1 - alpha / 2, n - 1)) * math.sqrt(variance / n)
        if variance == 0:
            half = 1 - alpha ** (1 / n) if n > 1 else 1.0
        return max(0.0, mean - half), min(1.0, mean + half)
