"""Deciding early without peeking: t intervals at planned looks, the error split among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hardpoint.statistics import Interval, cluster_t

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

    def interval(self, values: Sequence[float], draws: int = 1, among: int = 1) -> Interval:
        """Interval for the mean of the units, in [0, 1], that holds at all looks together, and with those of `among` means.

        `draws` is how many independent parts each unit has: the images of a list of transient faults.
        """
        return cluster_t(values, 1 - (1 - self.confidence) / (len(self.at) * among), draws=draws)
