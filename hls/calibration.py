"""A correction of csynth's estimates, fitted on designs of which Vivado's counts are known too.

C synthesis over-estimates LUTs by a factor that differs from design to design. The fit is the median of
csynth / Vivado on a logarithmic scale; nothing is assumed about the distribution: of n exchangeable designs and one
more, the new one's factor lies between the smallest and the largest of the n with probability (n-1)/(n+1) (order
statistics; e.g. David and Nagaraja, Order Statistics, section 7.3). What a correction yields has the source
"calibrated" and is never a default.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.hls.report import CSynth, Hierarchy, Utilisation, read_report, to_cost

__all__ = ["Calibration", "Pair", "calibrated", "find_pairs", "fit"]

RESOURCES = ("lut", "ff", "dsp", "bram")
_STAGES = {"synthesized": 0, "optimized": 1, "fully placed": 2, "physopt postplace": 2, "routed": 3}


@dataclass(frozen=True)
class Pair:
    """One design as csynth estimated it and as Vivado counted it, after synthesis or later (`state`)."""

    name: str
    estimate: Cost
    count: Cost
    state: str

    def factor(self, resource: str) -> float | None:
        """Estimate over count; None where either is unknown or zero."""
        estimate, count = getattr(self.estimate, resource), getattr(self.count, resource)
        return estimate / count if estimate and count else None


@dataclass(frozen=True)
class Calibration:
    """How many times too high csynth is for one resource.

    A new design's factor lies within `low` to `high` with probability `coverage`. `errors` are the relative errors
    of predicting each design from the others, by name: predicted / counted - 1.
    """

    resource: str
    factor: float
    low: float
    high: float
    errors: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        if self.resource not in RESOURCES:
            raise InputError(f"a calibration is of {', '.join(RESOURCES)}, not {self.resource!r}")
        if not 0 < self.low <= self.factor <= self.high < math.inf:
            raise InputError(f"a factor lies in its range, above 0: {self.low} to {self.high}, not {self.factor}")

    @property
    def coverage(self) -> float:
        """The probability that a new design's factor lies in the range: (n-1)/(n+1) of n designs."""
        return (len(self.errors) - 1) / (len(self.errors) + 1)

    @property
    def typical_error(self) -> float:
        """The median size of the leave-one-out errors."""
        return _median([abs(error) for _, error in self.errors])

    @property
    def largest_error(self) -> float:
        """The largest size of the leave-one-out errors."""
        return max(abs(error) for _, error in self.errors)

    def __str__(self) -> str:
        return (
            f"{self.resource}: csynth / {self.factor:.2f} ({self.low:.2f} to {self.high:.2f} at "
            f"{self.coverage:.0%}), leave-one-out error {self.typical_error:.0%} (median), "
            f"{self.largest_error:.0%} (largest) of {len(self.errors)} designs"
        )


def fit(pairs: Sequence[Pair], resource: str = "lut") -> Calibration:
    """The correction of one resource from at least three designs that have it.

    >>> def pair(name, csynth, counted):
    ...     return Pair(name, Cost("csynth", lut=csynth), Cost("vivado", lut=counted), "Routed")
    >>> print(fit([pair("a", 200, 100), pair("b", 300, 100), pair("c", 450, 100)]))
    lut: csynth / 3.00 (2.00 to 4.50 at 50%), leave-one-out error 46% (median), 84% (largest) of 3 designs
    """
    if resource not in RESOURCES:
        raise InputError(f"a calibration is of {', '.join(RESOURCES)}, not {resource!r}")
    factors = [(pair.name, factor) for pair in pairs if (factor := pair.factor(resource)) is not None]
    if len(factors) < 3:
        raise InputError(f"a calibration of {resource} takes at least 3 designs with both reports, not {len(factors)}")
    errors = []
    for i, (name, factor) in enumerate(factors):
        others = [other for _, other in factors[:i] + factors[i + 1 :]]
        errors.append((name, factor / _geometric_median(others) - 1))
    values = [factor for _, factor in factors]
    return Calibration(resource, _geometric_median(values), min(values), max(values), tuple(errors))


def calibrated(cost: Cost, calibrations: Mapping[str, Calibration]) -> Cost:
    """A csynth cost corrected, with the source "calibrated"; what has no calibration becomes unknown.

    Cycles are the schedule's and stay; the period does not, as only placement knows it.
    """
    if cost.source != "csynth":
        raise InputError(f"a calibration corrects a cost from csynth, not from {cost.source}")
    counts = {}
    for resource, calibration in calibrations.items():
        if calibration.resource != resource:
            raise InputError(f"a calibration of {calibration.resource} does not correct {resource}")
        estimate = getattr(cost, resource)
        counts[resource] = None if estimate is None else estimate / calibration.factor
    return Cost("calibrated", cycles=cost.cycles, **counts)


def find_pairs(folder: str | os.PathLike[str]) -> tuple[Pair, ...]:
    """The designs below `folder` of which there is a csynth report and Vivado's utilisation of the same design.

    Reports belong together when their folders bear the same name and Vivado's design is csynth's top, or that IP in
    a block design (`design_1_<top>_0_0`); among several, the one whose path begins alike for longest, then the
    latest stage. A wrapper with black boxes counts for nothing. Files that are no report are passed over.
    """
    estimates: dict[tuple[str, str, str], tuple[Path, CSynth]] = {}
    counts: list[tuple[Path, Utilisation | Hierarchy]] = []
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix not in (".rpt", ".xml") or not path.is_file():
            continue
        try:
            report = read_report(path)
        except InputError:
            continue
        if isinstance(report, CSynth):
            estimates.setdefault((path.parent.name, _run(path), report.top), (path, report))
        elif isinstance(report, Hierarchy) or (isinstance(report, Utilisation) and not report.black_boxes):
            counts.append((path, report))
    pairs = []
    for path, estimate in estimates.values():
        best = _match(path, estimate, counts)
        if best is not None:
            name = "/".join(piece for piece in (path.parent.name, _run(path), estimate.top) if piece)
            pairs.append(Pair(name, to_cost(estimate), to_cost(best), best.head.state or ""))
    return tuple(pairs)


def _run(path: Path) -> str:
    """The folders that a flattened name `a__b__top_csynth.rpt` stands for, without the file: `a__b`."""
    return path.name.rpartition("__")[0]


def _match(
    path: Path, estimate: CSynth, counts: Sequence[tuple[Path, Utilisation | Hierarchy]]
) -> Utilisation | Hierarchy | None:
    design = re.compile(rf"(?:\w+_)?{re.escape(estimate.top)}(?:_[0-9]+_[0-9]+)?")
    rivals = [
        (_alike(path.name, other.name), _STAGES.get((report.head.state or "").lower(), 0), report)
        for other, report in counts
        if other.parent.name == path.parent.name
        and design.fullmatch(report.head.design)
        and report.head.part.agrees(estimate.part)
    ]
    return max(rivals, key=lambda rival: rival[:2])[2] if rivals else None


def _alike(a: str, b: str) -> int:
    """How many characters two names begin alike with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _geometric_median(values: Sequence[float]) -> float:
    """The median on a logarithmic scale: between the two middle ones of an even number lies their geometric mean."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else math.sqrt(ordered[half - 1] * ordered[half])
