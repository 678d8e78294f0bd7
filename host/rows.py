"""What a campaign of fault lists or maps found: one row per point, with intervals over its units."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hardpoint.files import write_json
from hardpoint.host.outcomes import Counts
from hardpoint.statistics import BernoulliSequence, BettingSequence, Interval, cluster_wilson

__all__ = ["Result", "Row", "Watch", "row"]

RATES: dict[str, Callable[[Counts], int]] = {
    "accuracy": lambda unit: unit.correct,
    "sdc": lambda unit: unit.tolerable + unit.critical,
    "critical": lambda unit: unit.critical,
    "due": lambda unit: unit.due,
}
"""What of a unit is counted for which rate."""


@dataclass(frozen=True)
class Row:
    """One design at one point of a campaign: intervals over `units` units, counts over all their inferences.

    `accuracy` compares with labels; `sdc` (outputs differ), `critical` (criterion fails) and `due` with the golden run on
    the same images. `drop` is clean accuracy less accuracy, on the same images. `strikes` counts struck bits per image (of a
    map: stuck bits in all); `population` is what `counted` says.
    """

    design: str
    point: float
    units: int
    images: int
    clean_accuracy: float
    accuracy: Interval
    drop: Interval
    sdc: Interval
    critical: Interval
    due: Interval
    outcomes: Mapping[str, int]
    strikes: float
    population: int
    counted: str
    convention: str
    seed: int

    def table(self) -> dict[str, Any]:
        """Values by name, for JSON."""
        return dataclasses.asdict(self)


class Asked(Protocol):
    """What a result says of the campaign that it answers."""

    def table(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Result:
    """A campaign's rows, one per point, and how long what was new took."""

    campaign: Any
    rows: tuple[Row, ...]
    seconds: float = 0.0

    def table(self) -> dict[str, Any]:
        """What was asked and found, for JSON; equal for equal campaigns, so without times."""
        return {"campaign": self.campaign.table(), "rows": [row.table() for row in self.rows]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON."""
        write_json(path, self.table())


class Watch:
    """Confidence sequences over units as they come, in order of trials: valid at every look, so that looking may stop them.

    Transient faults of different images are independent draws; a map is one draw, whatever its images are.
    """

    def __init__(self, confidence: float, shared: bool) -> None:
        self.confidence, self.shared, self.units = confidence, shared, 0
        self.kind = BettingSequence if shared else BernoulliSequence
        self.sequences = {name: self.kind(confidence) for name in RATES}

    def update(self, unit: Counts) -> None:
        """One more unit."""
        self.units += 1
        for name, sequence in self.sequences.items():
            found = RATES[name](unit)
            if isinstance(sequence, BettingSequence):
                sequence.update(found / unit.images)
            else:
                sequence.update(found, unit.images)

    def error(self) -> float:
        """Half the width of the accuracy's interval."""
        low, high = self.sequences["accuracy"].bounds
        return (high - low) / 2

    def interval(self, name: str, mean: float) -> Interval:
        """The interval of a rate now; `mean` is its estimate."""
        low, high = self.sequences[name].bounds
        what = "maps" if self.shared else "fault lists"
        return Interval(mean, min(low, mean), max(high, mean), self.confidence, self.units, f"confidence sequence over {what}")


def row(
    units: Iterable[Counts], confidence: float, shared: bool, clean: float, watch: Watch | None, **about: Any
) -> Row:
    """One row from its units in order of trials; with a `watch` that saw them all its intervals are taken."""
    rows = list(units)
    images = rows[0].images

    def rate(name: str) -> Interval:
        values = [RATES[name](unit) / images for unit in rows]
        if watch is not None:
            return watch.interval(name, sum(values) / len(values))
        return cluster_wilson(values, confidence, draws=1 if shared else images)

    found: dict[str, Any] = {name: rate(name) for name in RATES}
    a = found["accuracy"]
    drop = Interval(clean - a.mean, clean - a.high, clean - a.low, confidence, len(rows), a.method)
    names = ("masked", "corrected", "tolerable", "critical", "due")
    outcomes = {name: sum(getattr(unit, name) for unit in rows) for name in names}
    strikes = sum(unit.strikes for unit in rows) / (len(rows) * (1 if shared else images))
    return Row(units=len(rows), images=images, clean_accuracy=clean, drop=drop, outcomes=outcomes, strikes=strikes, **found, **about)
