"""The plan of a campaign, before it runs: how large its population is, how many units are enough, how long it takes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Plan", "duration"]


@dataclass(frozen=True)
class Plan:
    """What a campaign is going to do: `units` per point at `points` points, of which `missing` in all are not stored yet.

    Points are `called` so. `needed` units are enough to know a share to +-`error` at `confidence`, however it turns out.
    `population` is said by `counted`. `seconds` is the expected time, from the time of the first new unit.
    """

    convention: str
    population: int
    counted: str
    points: int
    units: int
    needed: int
    error: float
    confidence: float
    missing: int
    seconds: float
    most: bool = False
    called: str = "points"

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The plan for people."""
        upto = "at most " if self.most else ""
        return [
            f"plan: {self.convention}",
            f"population: {self.population:,} {self.counted}",
            f"{self.needed:,} units give +-{self.error:g} at {self.confidence:.0%}; asked: {upto}{self.units:,}"
            + (f" in each of {self.points} {self.called}" if self.points > 1 else ""),
            f"{self.missing:,} units to play, expected time {duration(self.seconds)}",
        ]


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(0.4), duration(75), duration(9000)
    ('under 1 s', '75 s', '2 h 30 min')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
