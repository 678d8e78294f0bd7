"""Sections of a report: accuracy under faults, outcomes, a search's points, costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint
from hardpoint.errors import InputError
from hardpoint.optimizer.figures import Mark, bars, course, curves, front, outcome_bars
from hardpoint.optimizer.report import Figure, Rate, Section, Table
from hardpoint.statistics import Interval

__all__ = ["POINTS", "between", "marked", "of_breakdown", "of_costs", "of_points", "of_rates", "percent"]

POINTS = {
    "ber": ("BER", "BER (flips per live site bit and step)", True),
    "count": ("strikes", "strikes per inference", False),
    "permanent uniform": ("PE fault rate", "PE fault rate (share of PEs with one stuck bit)", False),
    "permanent clustered": ("PE fault rate", "PE fault rate (share of PEs with one stuck bit)", False),
    "neuron": ("rate", "flips per output bit of a layer", True),
}
"""Per convention: its point, the same with its unit, and whether its axis is logarithmic."""


def percent(interval: Interval) -> str:
    """A rate with its interval in percent."""
    return f"{100 * interval.mean:.2f} % {between(interval)}"


def between(interval: Interval) -> str:
    """The ends of an interval in percent."""
    return f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}]"


def marked(x: float, interval: Interval, says: str) -> Mark:
    """A rate in percent at `x`."""
    text = f"{says}: {percent(interval)}, {interval.units:,} units"
    return Mark(x, 100 * interval.low, 100 * interval.mean, 100 * interval.high, text)


def of_rates(
    rates: Sequence[Rate], convention: str, clean: float | None, operating: float | None, note: str, title: str = "Accuracy under faults"
) -> Section:
    """Accuracy, SDC-critical share and outcomes of designs at the points of one convention."""
    name, axis, logarithmic = POINTS[convention]
    confidence = rates[0].accuracy.confidence
    accuracy: dict[str, list[Mark]] = {}
    critical: dict[str, list[Mark]] = {}
    for rate in rates:
        says = f"{rate.design}, {name} {rate.point:.4g}"
        accuracy.setdefault(rate.design, []).append(marked(rate.point, rate.accuracy, f"{says}, accuracy"))
        critical.setdefault(rate.design, []).append(marked(rate.point, rate.critical, f"{says}, SDC-critical"))
    rules = {} if clean is None else {"fault-free": 100 * clean}
    upright = {} if operating is None else {f"operating {name}": operating}
    logarithmic = logarithmic and any(rate.point > 0 for rate in rates)
    figures = [
        Figure(
            curves(accuracy, axis, "accuracy (%)", f"Accuracy against {name}", rules, upright, logarithmic),
            f"{confidence:.0%} intervals: {rates[0].accuracy.method}. Designs at one place are drawn side by side.",
        ),
        Figure(
            curves(critical, axis, "SDC-critical inferences (%)", f"SDC-critical share against {name}", {}, upright, logarithmic, from_zero=True),
            "Inferences whose criterion fails against the golden run, with intervals as beside.",
        ),
    ]
    rows = {f"{rate.design}, {rate.point:.3g}": rate.outcomes for rate in rates if rate.outcomes}
    if rows and len(rows) <= 24:
        figures.append(Figure(outcome_bars(rows, f"Outcomes by {name}"), "Every inference has exactly one outcome."))
    return Section(title, figures, [_rate_table(rates, name, clean, note)])


def _rate_table(rates: Sequence[Rate], name: str, clean: float | None, note: str) -> Table:
    heads = ["design", name, "accuracy", f"{rates[0].accuracy.confidence:.0%} interval", "SDC-critical", "interval"]
    full = all(rate.sdc is not None and rate.due is not None for rate in rates)
    heads += [*(["loss (points)"] if clean is not None else []), *(["SDC", "DUE"] if full else []), "units", "images"]
    outcomes = list(rates[0].outcomes)
    rows = []
    for rate in rates:
        a, c = rate.accuracy, rate.critical
        row = [rate.design, f"{rate.point:.3g}", f"{100 * a.mean:.2f} %", between(a), f"{100 * c.mean:.2f} %", between(c)]
        row += [] if clean is None else [f"{100 * (clean - a.mean):.2f}"]
        row += [percent(rate.sdc), percent(rate.due)] if full and rate.sdc and rate.due else []
        rows.append([*row, f"{rate.units:,}", f"{rate.images:,}", *(f"{rate.outcomes[outcome]:,}" for outcome in outcomes)])
    return Table([*heads, *outcomes], rows, note=note)


def of_points(points: Sequence[DesignPoint], references: Mapping[str, float]) -> Section:
    """The course of a search, its Pareto front, and every design tried."""
    costs = [None if p.cost is None else p.cost.lut for p in points]
    says = [f"{i + 1}: {p.settings}; {_luts(p)} LUTs; {p.reason or p.stage}" for i, p in enumerate(points)]
    svg = course(costs, [p.feasible for p in points], says, references, "Course of the search")
    caption = "Each mark is one design; the line is the cheapest that met all constraints so far."
    figures = [Figure(svg, caption)]
    measured = [
        (p, Mark(lut, 100 * p.accuracy[0], 100 * p.accuracy[1], 100 * p.accuracy[2], f"{text}; {_under(p)}"))
        for p, lut, text in zip(points, costs, says, strict=True)
        if p.accuracy is not None and lut is not None
    ]
    if measured:
        svg = front([mark for _, mark in measured], [p.feasible for p, _ in measured], "Accuracy under faults against LUTs")
        figures.append(Figure(svg, "Designs that reached a campaign, with their intervals; the line is the Pareto front of means."))
    luts = [lut for p, lut in zip(points, costs, strict=True) if p.feasible and lut is not None]
    cheapest = min(luts, default=None)
    best = next((i for i, p in enumerate(points) if p.feasible and costs[i] == cheapest and cheapest is not None), -1)
    rows = [
        [
            str(p.settings), p.stage, p.reason, str(i + 1), "" if costs[i] is None else _luts(p),
            "" if p.clean_accuracy is None else f"{100 * p.clean_accuracy:.2f} %", _under(p),
        ]
        for i, p in enumerate(points)
    ]  # fmt: skip
    if best >= Table.MOST:  # the found design is always seen
        rows.insert(0, rows.pop(best))
        best = 0
    heads = ["design", "ended at", "why", "#", "LUT", "clean accuracy", "under faults"]
    return Section("Designs tried", figures, [Table(heads, rows, 3, best=best)])


def _luts(point: DesignPoint) -> str:
    return "not known" if point.cost is None else count(point.cost.lut)


def _under(point: DesignPoint) -> str:
    if point.accuracy is None:
        return ""
    low, mean, high = (100 * value for value in point.accuracy)
    return f"{mean:.2f} % [{low:.2f}, {high:.2f}]"


def count(value: float | None) -> str:
    """A number of primitives; what is not known is said, never zero."""
    return "not known" if value is None else f"{value:,.0f}"


def of_costs(costs: Mapping[str, Cost], array: Array | None) -> Section:
    """What designs cost, as share of the board's LUTs and of what full TMR adds."""
    from hardpoint.hls.boards import board

    place = board(array.board if array else "pynq-z2")
    base, full = costs.get("unprotected"), costs.get("full TMR")
    extra = None if base is None or full is None or base.lut is None or full.lut is None else full.lut - base.lut
    rows = []
    for name, cost in costs.items():
        cells = [name, count(cost.lut), count(cost.ff), count(cost.dsp)]
        cells.append("" if cost.lut is None else f"{100 * cost.lut / place.lut:.1f} %")
        if extra is not None:
            known = cost.lut is not None and base is not None and base.lut is not None and extra > 0
            cells.append(f"{100 * ((cost.lut or 0) - (base.lut or 0)) / extra:.0f} %" if known and base is not None else "")
        rows.append(cells)
    heads = ["design", "LUT", "FF", "DSP", "of board's LUTs", *(["of full TMR's extra"] if extra is not None else [])]
    sources = sorted({cost.source for cost in costs.values()})
    note = f"Source: {', '.join(sources)}. Costs of the array without injection taps."
    luts = {name: cost.lut for name, cost in costs.items() if cost.lut is not None}
    figures = [Figure(bars(luts, "LUTs of the array", "LUTs by design"))] if len(luts) > 1 else []
    return Section("Cost", figures, [Table(heads, rows, note=note)])


def of_breakdown(array: Array, name: str) -> Section | None:
    """What an array's parts cost by purpose; None where that is not known."""
    from hardpoint.hls.cost import by_purpose

    try:
        parts = by_purpose(array)
    except InputError:
        return None
    rows = [[part, count(cost.lut), count(cost.ff), count(cost.dsp)] for part, cost in parts.items()]
    total = sum(parts.values(), start=Cost(next(iter(parts.values())).source, 0, 0, 0, 0, 0))
    rows.append(["in all", count(total.lut), count(total.ff), count(total.dsp)])
    luts = {part: cost.lut for part, cost in parts.items() if cost.lut is not None and math.isfinite(cost.lut)}
    note = f"{name}. Source: {total.source}. Costs of the array without injection taps."
    return Section(
        "Cost by purpose", [Figure(bars(luts, "LUTs", "LUTs by purpose"))], [Table(["part", "LUT", "FF", "DSP"], rows, note=note)]
    )
