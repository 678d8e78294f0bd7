"""Pictures for the report: SVG that follows the page's colours, with intervals drawn and a hover text on every mark."""

from __future__ import annotations

import dataclasses
import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOURS", "Mark", "bars", "course", "curves", "front", "groups", "heat_map", "outcome_bars"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, distinguishable with any colour vision."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

MOST_HOVERS = 1500
"""Marks of a picture that have a hover text; with more a page would grow too large."""


@dataclass(frozen=True)
class Mark:
    """A value at `x` with the ends of its interval, NaN where it has none, and what hovering says."""

    x: float
    low: float
    mean: float
    high: float
    says: str


@dataclass
class _Drawing:
    """A figure under way: its axes, and the hover texts of its marks."""

    figure: Any
    axes: Any
    hovers: list[str] = field(default_factory=list)

    def hover(self, artist: Any, says: str) -> None:
        """Give an artist its text."""
        if len(self.hovers) < MOST_HOVERS:
            artist.set_gid(f"hover-{len(self.hovers)}")
            self.hovers.append(says)

    def mark(self, mark: Mark, colour: str, marker: str, vertical: bool = True, at: float | None = None) -> None:
        """Draw a mark with its interval."""
        place = mark.x if at is None else at
        if math.isfinite(mark.low) and math.isfinite(mark.high):
            line = self.axes.vlines if vertical else self.axes.hlines
            line(place, mark.low, mark.high, color=colour, linewidth=1.4)
        xy = ([place], [mark.mean]) if vertical else ([mark.mean], [place])
        (artist,) = self.axes.plot(*xy, color=colour, marker=marker, markersize=5.5, linestyle="none")
        self.hover(artist, mark.says)


def curves(
    series: Mapping[str, Sequence[Mark]], x_label: str, y_label: str, title: str,
    rules: Mapping[str, float] | None = None, upright: Mapping[str, float] | None = None, logarithmic: bool = False,
    joined: bool = True, from_zero: bool = False,
) -> str:  # fmt: skip
    """One curve per series with its intervals, lines across at `rules` and upright ones; returns SVG.

    Marks of several series at one place stand side by side, so that no interval hides another; hover texts say the place.
    On a logarithmic axis marks at 0 are left out.
    """
    drawing = _drawing(title)
    axes = drawing.axes
    places = sorted({mark.x for marks in series.values() for mark in marks})
    gap = 0.5 * min((b - a for a, b in pairwise(places)), default=0.0) / len(series) if series else 0.0
    gap = gap if joined else 0.0
    for i, (name, marks) in enumerate(series.items()):
        kept = sorted((m for m in marks if m.x > 0 or not logarithmic), key=lambda mark: mark.x)
        shown = [dataclasses.replace(m, x=_beside(m.x, i - (len(series) - 1) / 2, gap, logarithmic)) for m in kept]
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        line = "-" if joined else "none"
        axes.plot(
            [m.x for m in shown], [m.mean for m in shown], color=colour, marker=marker, markersize=5, linestyle=line,
            linewidth=1.2, label=plain(name),
        )  # fmt: skip
        for mark in shown:
            drawing.mark(mark, colour, marker)
    for style, (name, value) in zip((":", "-."), (rules or {}).items(), strict=False):
        axes.axhline(value, color="#000000", linewidth=1, linestyle=style, label=plain(name))
    for name, value in (upright or {}).items():
        axes.axvline(value, color="#000000", linewidth=1, linestyle="--", label=plain(name))
    if logarithmic:
        _logarithmic(axes, [place for place in places if place > 0])
    if from_zero:
        axes.set_ylim(bottom=0)
    if not logarithmic and not gap:
        axes.set_xlim(left=-0.02 * max(places, default=1.0))  # a mark at 0 is seen whole
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    _legend(axes)
    return _svg(drawing, title)


def _logarithmic(axes: Any, places: Sequence[float]) -> None:
    """A logarithmic axis; where its marks span less than two decades, their places are its ticks."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if places and max(places) < 100 * min(places):
        far = [place for i, place in enumerate(places) if not i or place > 1.5 * places[i - 1]]
        axes.set_xticks(far, [f"{place:.3g}" for place in far])
        axes.set_xlim(min(places) / 1.6, 1.6 * max(places))


def _beside(x: float, steps: float, gap: float, logarithmic: bool) -> float:
    """`x`, moved by `steps` so that marks of other series at the same place are seen."""
    return x * 1.05**steps if logarithmic else x + steps * gap


def groups(names: Sequence[str], series: Mapping[str, Sequence[Mark]], label: str, title: str) -> str:
    """Rates of groups, one line each, with their intervals; returns SVG."""
    drawing = _drawing(title, 1.1 + 0.32 * len(names))
    axes = drawing.axes
    for i, (name, marks) in enumerate(series.items()):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        axes.plot([], [], color=colour, marker=marker, linestyle="none", label=plain(name))
        for row, mark in enumerate(marks):
            drawing.mark(mark, colour, marker, vertical=False, at=row + 0.18 * i - 0.09 * (len(series) - 1))
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    _legend(axes)
    return _svg(drawing, title)


def bars(values: Mapping[str, float], label: str, title: str) -> str:
    """Bars by name, the value beside each; returns SVG."""
    drawing = _drawing(title, 0.8 + 0.42 * len(values))
    axes = drawing.axes
    for row, (name, value) in enumerate(values.items()):
        (bar,) = axes.barh([row], [value], color=COLOURS[row % len(COLOURS)], height=0.7)
        axes.annotate(_short(value), (value, row), xytext=(4, 0), textcoords="offset points", va="center")
        drawing.hover(bar, f"{name}: {_short(value)}")
    axes.set_yticks(range(len(values)), [plain(name) for name in values])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.margins(x=0.15)
    axes.set_xlabel(label)
    return _svg(drawing, title)


OUTCOME_COLOURS = {"masked": "#56B4E9", "corrected": "#009E73", "tolerable": "#E69F00", "critical": "#D55E00", "due": "#CC79A7"}


def outcome_bars(rows: Mapping[str, Mapping[str, int]], title: str) -> str:
    """What became of inferences, as shares of each row; returns SVG."""
    drawing = _drawing(title, 1.2 + 0.36 * len(rows))
    axes = drawing.axes
    for at, (name, counts) in enumerate(rows.items()):
        total, left = sum(counts.values()) or 1, 0.0
        for outcome, count in counts.items():
            share = 100 * count / total
            (bar,) = axes.barh([at], [share], left=[left], color=OUTCOME_COLOURS[outcome], height=0.7, edgecolor="none")
            drawing.hover(bar, f"{name}, {outcome}: {count:,} of {total:,} ({share:.2f} %)")
            left += share
    for outcome, colour in OUTCOME_COLOURS.items():
        axes.barh([0], [0], color=colour, label=outcome)
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of inferences (%)")
    _legend(axes)
    return _svg(drawing, title)


def heat_map(values: NDArray[np.float64], says: Mapping[tuple[int, int], str], label: str, title: str) -> str:
    """The array as a heat map of `values` (rows, cols), NaN where nothing is known; returns SVG."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    rows, cols = values.shape
    drawing = _drawing(title, min(5.2, 1.4 + 4.0 * rows / cols), grid=False)
    axes = drawing.axes
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    scale = ScalarMappable(Normalize(0, top or 1.0), colormaps["cividis"])
    large = rows * cols > MOST_HOVERS  # a picture of pixels, without hover texts
    if large:
        axes.imshow(values, cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
    for row in range(0 if large else rows):
        for col in range(cols):
            known = math.isfinite(values[row, col])
            cell = Rectangle(
                (col - 0.46, row - 0.46), 0.92, 0.92, facecolor=scale.to_rgba(values[row, col]) if known else "none",
                edgecolor="#888888", linewidth=0.3,
            )  # fmt: skip
            axes.add_patch(cell)
            drawing.hover(cell, f"PE ({row}, {col}): {says.get((row, col), 'no flip struck')}")
    axes.set_xlim(-0.6, cols - 0.4)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_aspect("equal")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("column of the array")
    axes.set_ylabel("row of the array")
    drawing.figure.colorbar(scale, ax=axes, label=label)
    return _svg(drawing, title)


def course(
    costs: Sequence[float | None], feasible: Sequence[bool], says: Sequence[str], references: Mapping[str, float], title: str
) -> str:
    """Cost of every evaluated point in order, feasible or not, and the best feasible one so far; returns SVG."""
    drawing = _drawing(title)
    axes = drawing.axes
    best: list[tuple[int, float]] = []
    for flag, colour, marker, name in ((True, COLOURS[0], "o", "meets all"), (False, COLOURS[1], "x", "fails one")):
        chosen = [(i, cost) for i, (cost, good) in enumerate(zip(costs, feasible, strict=True)) if cost is not None and good == flag]
        axes.plot([], [], color=colour, marker=marker, linestyle="none", label=name)
        for i, cost in chosen:
            drawing.mark(Mark(i + 1, math.nan, cost, math.nan, says[i]), colour, marker)
            if flag and (not best or cost < best[-1][1]):
                best.append((i + 1, cost))
    if best:
        steps = [*best, (len(costs), best[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=COLOURS[0], linewidth=1.2, label="best so far")
    for name, value in references.items():
        axes.axhline(value, color="#000000", linestyle=":", linewidth=1, label=plain(name))
    axes.set_xlabel("evaluation")
    axes.set_ylabel("LUTs of the array")
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes)
    return _svg(drawing, title)


def front(marks: Sequence[Mark], feasible: Sequence[bool], title: str) -> str:
    """Accuracy under faults (%) against LUTs: every measured point with its interval, and the Pareto front; returns SVG."""
    drawing = _drawing(title)
    axes = drawing.axes
    best, edge = -math.inf, []
    for mark in sorted(marks, key=lambda mark: (mark.x, -mark.mean)):
        if mark.mean > best:
            best = mark.mean
            edge.append(mark)
    axes.step([m.x for m in edge], [m.mean for m in edge], where="post", color="#000000", linewidth=1, label="Pareto front")
    for flag, colour, marker, name in ((True, COLOURS[0], "o", "meets all"), (False, COLOURS[1], "x", "fails one")):
        axes.plot([], [], color=colour, marker=marker, linestyle="none", label=name)
        for mark, good in zip(marks, feasible, strict=True):
            if good == flag:
                drawing.mark(mark, colour, marker)
    axes.set_xlabel("LUTs of the array")
    axes.set_ylabel("accuracy under faults (%)")
    _legend(axes)
    return _svg(drawing, title)


def plain(text: Any) -> str:
    """`text` as a label: nothing in it is mathematics, and a leading underscore does not hide it."""
    shown = " ".join(str(text).split())
    shown = "".join(c for c in shown if c.isprintable())
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    return shown.replace("$", r"\$") if not shown.startswith("_") else "\u200b" + shown.replace("$", r"\$")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"


def _legend(axes: Any) -> None:
    """Above the picture, where it covers nothing."""
    names = axes.get_legend_handles_labels()[1]
    if names:
        columns = max(1, min(5, 64 // (max(map(len, names)) + 5)))
        axes.figure.legend(loc="outside upper left", ncols=columns, frameon=False, fontsize=8.5, columnspacing=1.2, handlelength=1.6)


def _drawing(title: str, height: float = 3.3, grid: bool = True) -> _Drawing:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, min(height, 12.0)), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(True, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
    return _Drawing(figure, axes)


def _svg(drawing: _Drawing, title: str) -> str:
    import matplotlib

    text = io.StringIO()
    # the same picture gives the same bytes
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hardpoint"}):
        drawing.figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r'<g id="hover-(\d+)">', lambda found: f"<g><title>{html.escape(drawing.hovers[int(found[1])])}</title>", svg
    )
    svg = _own_ids(svg)
    # black follows the page, so that the figure reads in light and dark
    svg = svg.replace("#000000", "currentColor")
    svg = re.sub(r"<text ", '<text fill="currentColor" ', svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def _own_ids(svg: str) -> str:
    """Ids that nothing refers to go; the others get the picture's own mark, as a page holds several pictures."""
    from hardpoint.files import digest

    own = digest(svg)[:6]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{found[1]}-{own}"' if found[1] in used else "", svg)
    return re.sub(r'(href="#|url\(#)([^")]+)', lambda found: f"{found[1]}{found[2]}-{own}", svg)
