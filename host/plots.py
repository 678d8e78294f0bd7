"""Pictures of what single faults did: rates with their intervals, and the array as a heat map; SVG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.faults import SITES
from hardpoint.files import atomic_path
from hardpoint.host.outcomes import CRITICAL
from hardpoint.host.places import neuron_of
from hardpoint.host.singles import Group, SingleResult
from hardpoint.network import Network

__all__ = ["draw_all", "pe_map"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, distinguishable with any colour vision."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def draw_all(result: SingleResult, network: Network, array: Array, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw `layer.svg`, `site.svg`, `guard.svg`, `bit.svg`, `pe.svg` and `neuron.svg` into `folder`; returns the files."""
    folder = Path(folder)
    names = [layer.name for layer in network.gemms]
    made = []
    for name, label in (("layer", "array layer"), ("site", "site struck"), ("guard", "guard of the PE struck")):
        groups = result.groups[name]
        ticks = [names[g.place["layer"]] if name == "layer" else str(g.place[name]) for g in groups]
        made.append(_saved(_bars(groups, ticks, label, result), folder / f"{name}.svg"))
    made.append(_saved(_bits(result.groups["bit"], result), folder / "bit.svg"))
    made.append(_saved(_pes(result, array), folder / "pe.svg"))
    made.append(_saved(_neurons(result, network, array), folder / "neuron.svg"))
    return made


def pe_map(result: SingleResult, array: Array) -> NDArray[np.float64]:
    """Share of flips in every PE that are critical: (rows, cols), NaN where none struck."""
    table = np.full((array.rows, array.cols), np.nan)
    for group in result.groups["pe"]:
        table[group.place["row"], group.place["col"]] = group.critical.mean
    return table


def _bars(groups: Sequence[Group], ticks: Sequence[str], label: str, result: SingleResult) -> Any:
    """Critical and all silent data corruption by group."""
    figure, axes = _axes(result)
    for i, (rate, name) in enumerate((("sdc", "outputs differ (SDC)"), ("critical", "criterion fails (SDC-critical)"))):
        at = np.arange(len(groups)) + 0.16 * (2 * i - 1)
        axes.errorbar(at, *_ends([getattr(group, rate) for group in groups]), fmt=MARKERS[i], color=COLOURS[i], capsize=3, label=name)
    axes.set_xticks(np.arange(len(groups)), ticks, rotation=30 if len(ticks) > 6 else 0)
    axes.set_xlabel(label)
    axes.set_ylabel("share of single flips (%)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def _bits(groups: Sequence[Group], result: SingleResult) -> Any:
    """Critical share by column, one curve per site."""
    figure, axes = _axes(result)
    for i, site in enumerate(site for site in SITES if any(group.place["site"] == site for group in groups)):
        mine = [group for group in groups if group.place["site"] == site]
        columns = np.array([group.place["bit"] for group in mine]) + 0.08 * (i - 3)
        style = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
        axes.errorbar(
            columns, *_ends([group.critical for group in mine]), marker=style[0], color=style[1], capsize=2, linewidth=0.8,
            markersize=4, label=site,
        )  # fmt: skip
    axes.set_xlabel("struck column (a flip weighs 2^column; operands: of the operand)")
    axes.set_ylabel("SDC-critical share of single flips (%)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, title="site")
    return figure


def _pes(result: SingleResult, array: Array) -> Any:
    """The array as a heat map; guarded PEs carry their guard's name."""
    figure, axes = _axes(result, grid=False)
    picture = axes.imshow(100 * pe_map(result, array), cmap="cividis", vmin=0, aspect="equal")
    figure.colorbar(picture, label="SDC-critical share of single flips in the PE (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("column of the array")
    axes.set_ylabel("row of the array")
    if array.rows * array.cols <= 256:
        for row in range(array.rows):
            for col in range(array.cols):
                if array.guard(row, col).column is not None:
                    axes.text(col, row, str(array.guard(row, col).column), ha="center", va="center", color="white", fontsize=7)
    return figure


def _neurons(result: SingleResult, network: Network, array: Array) -> Any:
    """Every array layer's outputs, channels by pixels: how many flips in their accumulators were critical."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    neuron = neuron_of(result.trials.faults, network, array)
    hit = (neuron >= 0) & (result.trials.outcomes == CRITICAL)
    figure = Figure(figsize=(6.4, 1.6 * len(network.gemms) + 0.6), layout="constrained")
    figure.suptitle(f"{int(hit.sum()):,} critical flips in accumulators, of {len(result.trials):,} flips", fontsize=9)
    for index, (layer, axes) in enumerate(zip(network.gemms, figure.subplots(len(network.gemms), squeeze=False)[:, 0], strict=True)):
        gemm = network.gemm(index)
        mine = neuron[hit & (result.trials.faults["layer"] == index)]
        counted = np.bincount(mine.astype(np.intp), minlength=gemm.m * gemm.n).reshape(gemm.m, gemm.n).T
        picture = axes.imshow(counted, cmap="cividis", vmin=0, vmax=max(1, counted.max()), aspect="auto", interpolation="nearest")
        figure.colorbar(picture, ax=axes, label="critical flips", ticks=MaxNLocator(3, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_title(layer.name, fontsize=9, loc="left")
        axes.set_xlabel("output pixel")
        axes.set_ylabel("channel")
    return figure


def _ends(intervals: Sequence[Any]) -> tuple[list[float], list[list[float]]]:
    """Means in percent, and how far the intervals reach below and above."""
    means = [100 * interval.mean for interval in intervals]
    below = [100 * (interval.mean - interval.low) for interval in intervals]
    return means, [below, [100 * (interval.high - interval.mean) for interval in intervals]]


def _axes(result: SingleResult, grid: bool = True) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    if grid:
        axes.grid(axis="y", linewidth=0.4)
    axes.set_title(f"{len(result.trials):,} flips, {result.campaign.confidence:.0%} intervals", fontsize=9, loc="left")
    return figure, axes


def _saved(figure: Any, path: Path) -> Path:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "hardpoint", "svg.fonttype": "none"}), atomic_path(path) as part:
        figure.savefig(part, format="svg", metadata={"Date": None})
    return path
