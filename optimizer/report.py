"""One self-contained HTML page: what was asked, the answer with its interval, and everything it rests on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint
from hardpoint.files import write_text
from hardpoint.hls.boards import board
from hardpoint.optimizer.figures import accuracy_figure, cost_figure, search_figure

__all__ = ["Rate", "Story", "rate_of", "render", "write"]


@dataclass(frozen=True)
class Rate:
    """Accuracy of one design at one BER with its 95 % interval, over `units` fault lists of `images` images each."""

    design: str
    ber: float
    low: float
    mean: float
    high: float
    sdc: float
    units: int
    images: int


def rate_of(row: Any) -> Rate:
    """A campaign's row as a rate."""
    accuracy = row.accuracy
    return Rate(
        row.design, row.point, accuracy.low, accuracy.mean, accuracy.high, row.critical.mean, row.units, row.images
    )


@dataclass(frozen=True)
class Story:
    """What a page tells: question, answer in one sentence, measurements, and how to get them again."""

    title: str
    asked: str
    answer: str
    commands: Sequence[str]
    provenance: Mapping[str, Any]
    clean_accuracy: float | None = None
    operating_ber: float | None = None
    rates: Sequence[Rate] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    points: Sequence[DesignPoint] = ()
    gates: Mapping[str, int] = field(default_factory=dict)
    array: Array | None = None
    convention: str = ""


def render(story: Story) -> str:
    """The page as HTML text. Every name is escaped; nothing is loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    figures = []
    if story.rates:
        curves: dict[str, dict[float, tuple[float, float, float]]] = {}
        for rate in story.rates:
            curves.setdefault(rate.design, {})[rate.ber] = (rate.low, rate.mean, rate.high)
        svg = accuracy_figure(curves, story.clean_accuracy, story.operating_ber)
        figures.append(
            {
                "title": "Accuracy under faults",
                "svg": Markup(svg),
                "caption": "Bands are 95 % intervals over fault lists. " + story.convention,
            }
        )
    if story.points:
        reference = story.costs.get("full TMR")
        svg = search_figure(
            [None if p.cost is None else p.cost.lut for p in story.points],
            [p.feasible for p in story.points],
            None if reference is None else reference.lut,
            "full TMR",
        )
        figures.append(
            {
                "title": "Course of the search",
                "svg": Markup(svg),
                "caption": "Each mark is one design; the line is the cheapest that met all constraints so far.",
            }
        )
    elif story.costs:
        luts = {name: cost.lut for name, cost in story.costs.items() if cost.lut is not None}
        figures.append({"title": "LUTs", "svg": Markup(cost_figure(luts)), "caption": "LUTs of the array."})
    environment = Environment(
        loader=PackageLoader("hardpoint.optimizer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        story=story,
        figures=figures,
        array=None if story.array is None else _array(story.array),
        costs=_costs(story.costs, story.array),
        rates=[_rate(rate) for rate in story.rates],
        rates_note=story.convention,
        points=_points(story.points),
        gates=story.gates,
    )


def write(story: Story, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(path, render(story))


def _array(array: Array) -> dict[str, Any]:
    guarded = [guard.column is not None for guard in array.guards]
    colour = [0 if not g else 1 + sum(guarded[:i]) for i, g in enumerate(guarded)]
    words = []
    for guard in array.guards:
        if guard.column is None:
            words.append("no guard")
        else:
            parts = ["columns from " + str(guard.column) + " on in three copies"]
            parts += ["operand registers in three lanes"] * guard.operand + ["drain in three lanes"] * guard.drain
            words.append(", ".join(parts))
    return {
        "rows": array.rows,
        "cols": array.cols,
        "classes": [[colour[c] for c in row] for row in array.class_map.tolist()],
        "guards": words,
        "colour": colour,
        "note": f"{array.rows} x {array.cols} PEs, {array.act_bits} x {array.wgt_bits} bits, {array.acc_bits}-bit accumulators, output-stationary.",
    }


def _costs(costs: Mapping[str, Cost], array: Array | None) -> dict[str, Any]:
    base = costs.get("unprotected")
    full = costs.get("full TMR")
    rows = []
    for name, cost in costs.items():
        cells = [_count(cost.lut), _count(cost.ff), _count(cost.dsp)]
        luts = board(array.board if array else "pynq-z2").lut
        cells.append("" if cost.lut is None else f"{100 * cost.lut / luts:.1f} %")
        if (
            base
            and full
            and base.lut is not None
            and full.lut is not None
            and cost.lut is not None
            and full.lut > base.lut
        ):
            cells.append(f"{100 * (cost.lut - base.lut) / (full.lut - base.lut):.0f} %")
        else:
            cells.append("")
        rows.append({"name": name, "cells": cells})
    sources = sorted({cost.source for cost in costs.values()})
    return {
        "heads": ["LUT", "FF", "DSP", "of board's LUTs", "of full TMR's extra"],
        "rows": rows,
        "note": f"Source: {', '.join(sources)}. Costs of the array without injection taps.",
    }


def _count(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def _rate(rate: Rate) -> dict[str, str]:
    return {
        "design": rate.design,
        "ber": f"{rate.ber:.3g}",
        "mean": f"{100 * rate.mean:.2f} %",
        "interval": f"{100 * rate.low:.2f} to {100 * rate.high:.2f} %",
        "sdc": f"{100 * rate.sdc:.2f} %",
        "units": str(rate.units),
        "images": str(rate.images),
    }


def _points(points: Sequence[DesignPoint]) -> list[dict[str, Any]]:
    luts = [p.cost.lut for p in points if p.feasible and p.cost is not None and p.cost.lut is not None]
    best = min(luts, default=None)
    return [
        {
            "number": i + 1,
            "design": str(p.settings),
            "lut": "" if p.cost is None else _count(p.cost.lut),
            "clean": "" if p.clean_accuracy is None else f"{100 * p.clean_accuracy:.2f} %",
            "accuracy": ""
            if p.accuracy is None
            else f"{100 * p.accuracy[1]:.2f} % [{100 * p.accuracy[0]:.2f}, {100 * p.accuracy[2]:.2f}]",
            "stage": p.stage,
            "reason": p.reason,
            "best": bool(p.feasible and p.cost is not None and p.cost.lut == best),
        }
        for i, p in enumerate(points)
    ]
