"""Pictures for the report: SVG that follows the page's colours, with intervals drawn."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["COLOURS", "accuracy_figure", "cost_figure", "search_figure"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, distinguishable with any colour vision."""

MARKERS = ("o", "s", "^", "D", "v", "P")

Interval = tuple[float, float, float]


def accuracy_figure(
    curves: Mapping[str, Mapping[float, Interval]], clean: float | None, operating: float | None = None
) -> str:
    """Accuracy against BER, one curve per design: {design: {BER: (low, mean, high)}}; returns SVG."""
    figure, axes = _axes()
    for i, (name, curve) in enumerate(curves.items()):
        bers = sorted(ber for ber in curve if ber > 0)
        low, mean, high = ([100 * curve[ber][j] for ber in bers] for j in range(3))
        axes.plot(bers, mean, color=COLOURS[i % 6], marker=MARKERS[i % 6], markersize=5, label=name)
        axes.fill_between(bers, low, high, color=COLOURS[i % 6], alpha=0.2, linewidth=0)
    if clean is not None:
        axes.axhline(100 * clean, color="#000000", linewidth=1, linestyle=":", label="fault-free")
    if operating is not None:
        axes.axvline(operating, color="#000000", linewidth=1, linestyle="--", label="operating BER")
    axes.set_xscale("log")
    axes.set_xlabel("BER (flips per live site bit and step)")
    axes.set_ylabel("accuracy (%)")
    axes.legend(loc="lower left", frameon=False)
    return _svg(figure, "Accuracy against bit error rate")


def search_figure(costs: Sequence[float | None], feasible: Sequence[bool], reference: float | None, label: str) -> str:
    """Cost of every evaluated point in order, feasible or not, and the best feasible one so far; returns SVG."""
    figure, axes = _axes()
    points = [
        (i + 1, cost, good) for i, (cost, good) in enumerate(zip(costs, feasible, strict=True)) if cost is not None
    ]
    for flag, colour, marker, name in (
        (True, COLOURS[0], "o", "meets all constraints"),
        (False, COLOURS[1], "x", "fails one"),
    ):
        xy = [(i, cost) for i, cost, good in points if good == flag]
        if xy:
            axes.scatter(*zip(*xy, strict=True), color=colour, marker=marker, s=28, label=name, zorder=3)
    best: list[tuple[int, float]] = []
    for i, cost, good in points:
        if good and (not best or cost < best[-1][1]):
            best.append((i, cost))
    if best:
        steps = [*best, (len(costs), best[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=COLOURS[0], linewidth=1.2, label="best so far")
    if reference is not None:
        axes.axhline(reference, color="#000000", linestyle=":", linewidth=1, label=label)
    axes.set_xlabel("evaluation")
    axes.set_ylabel("LUTs of the array")
    axes.set_ylim(bottom=0)
    axes.legend(loc="best", frameon=False)
    return _svg(figure, "Course of the search")


def cost_figure(costs: Mapping[str, float], unit: str = "LUTs") -> str:
    """Bars of one resource by design; returns SVG."""
    figure, axes = _axes(height=0.6 + 0.42 * len(costs))
    names = list(costs)[::-1]
    bars = axes.barh(
        names, [costs[name] for name in names], color=[COLOURS[list(costs).index(name) % 6] for name in names]
    )
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.margins(x=0.18)
    axes.set_xlabel(unit)
    return _svg(figure, f"{unit} by design")


def _axes(height: float = 3.3) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "hardpoint",  # the same picture gives the same bytes
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=(5.2, height), layout="constrained")
    axes.grid(True, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any, title: str) -> str:
    import matplotlib.pyplot as plt

    text = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hardpoint"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    # black follows the page, so that the figure reads in light and dark
    svg = svg.replace("#000000", "currentColor")
    svg = re.sub(r"<text ", '<text fill="currentColor" ', svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
