"""One self-contained HTML page: what was asked, the answer with its interval, and everything it rests on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint
from hardpoint.files import write_text
from hardpoint.statistics import Interval

__all__ = ["Figure", "Rate", "Section", "Story", "Table", "rate_of", "render", "write"]


@dataclass(frozen=True)
class Rate:
    """One design at one point of a campaign (a BER, a count, a rate): intervals over `units` units of `images` images each.

    `accuracy` compares with labels, `sdc` and `critical` (SDC-critical) with the golden run; `outcomes` counts inferences.
    """

    design: str
    point: float
    accuracy: Interval
    critical: Interval
    units: int
    images: int
    sdc: Interval | None = None
    due: Interval | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)


def rate_of(row: Any) -> Rate:
    """A campaign's row as a rate."""
    return Rate(row.design, row.point, row.accuracy, row.critical, row.units, row.images, row.sdc, row.due, row.outcomes)


@dataclass(frozen=True)
class Figure:
    """A picture as SVG text whose names are escaped already, and what it shows."""

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells under `heads`; the first `words` columns are text, the others numbers."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    note: str = ""
    best: int = -1

    MOST = 500
    """Rows that a page shows; how many more there are is said."""


@dataclass(frozen=True)
class Section:
    """A part of a page under its title."""

    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    note: str = ""


@dataclass(frozen=True)
class Story:
    """What a page tells: question, answer in one sentence, measurements, and how to get them again.

    Rates, costs, points and gates become sections of their own; `sections` come after them. `settings` are those of the runs
    that made the source, as TOML.
    """

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
    sections: Sequence[Section] = ()
    settings: Sequence[str] = ()


def render(story: Story) -> str:
    """The page as HTML text. Every name is escaped; nothing is loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hardpoint.optimizer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        story=story, sections=_sections(story), array=None if story.array is None else _array(story.array), most=Table.MOST
    )


def write(story: Story, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(path, render(story))


def _sections(story: Story) -> list[Section]:
    """All sections of a story in the order of the page."""
    from hardpoint.optimizer import sections as made

    found: list[Section] = []
    if story.rates:
        found.append(made.of_rates(story.rates, "ber", story.clean_accuracy, story.operating_ber, story.convention))
    if story.points:
        full = story.costs.get("full TMR")
        found.append(made.of_points(story.points, {"full TMR": full.lut} if full is not None and full.lut is not None else {}))
    if story.costs:
        found.append(made.of_costs(story.costs, story.array))
    if story.gates:
        rows = [[name, f"{count:,}"] for name, count in story.gates.items()]
        found.append(Section("Equality gates", tables=[Table(["gate", "equal comparisons"], rows)]))
    return _small([*found, *story.sections])


PICTURES = 2_000_000
"""Characters of pictures that a page holds; it stays below 3 MB."""


def _small(sections: Sequence[Section]) -> list[Section]:
    """Sections without the pictures that would make the page too large; their tables stay."""
    kept, size = [], 0
    for section in sections:
        size += sum(len(figure.svg) for figure in section.figures)
        note = f"{section.note} Pictures are left out to keep the page small.".strip()
        kept.append(section if size <= PICTURES or not section.figures else dataclasses.replace(section, figures=(), note=note))
    return kept


def _array(array: Array) -> dict[str, Any]:
    """What the template draws of an array: the guard class of every PE, and the classes in words."""
    guarded = [guard.column is not None for guard in array.guards]
    colour = [0 if not g else 1 + sum(guarded[:i]) for i, g in enumerate(guarded)]
    words = []
    for guard in array.guards:
        if guard.column is None:
            words.append("no guard")
        elif guard.kind == "rpr":
            words.append(f"reduced-precision redundancy from column {guard.column} on")
        else:
            parts = ["columns from " + str(guard.column) + " on in three copies"]
            parts += ["operand registers in three lanes"] * guard.operand + ["drain in three lanes"] * guard.drain
            words.append(", ".join(parts))
    dataflow = {"os": "output-stationary", "ws": "weight-stationary"}[array.dataflow]
    note = f"{array.rows} x {array.cols} PEs, {array.act_bits} x {array.wgt_bits} bits, {array.acc_bits}-bit accumulators, {dataflow}"
    if array.recompute is not None:
        note += f", recompute unit of {array.recompute.lanes} lanes guarded {array.recompute.guard}"
    return {
        "rows": array.rows,
        "cols": array.cols,
        "classes": [[colour[c] for c in row] for row in array.class_map.tolist()],
        "guards": words,
        "colour": colour,
        "note": note + ", buffers with ECC." * array.ecc + "." * (not array.ecc),
    }
