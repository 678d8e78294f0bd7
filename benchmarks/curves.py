"""The plot of the quantisation constraint: what it costs in accuracy and saves in LUTs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hardpoint.files import atomic_path

__all__ = ["plot_curves"]


def plot_curves(curves: dict[str, Any], path: Path) -> None:
    """One column per data set: clean accuracy with its range over seeds above, LUTs of one PE below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(curves), sharex="col", squeeze=False)
    for column, (name, found) in enumerate(curves.items()):
        rows = found["rows"]
        scales = [row["q_scale"] for row in rows]
        accuracy = [row["accuracy"] for row in rows]
        below = [100 * (a["mean"] - a["low"]) for a in accuracy]
        above = [100 * (a["high"] - a["mean"]) for a in accuracy]
        top, bottom = axes[:, column]
        means = [100 * a["mean"] for a in accuracy]
        top.errorbar(scales, means, [below, above], fmt="o-", capsize=3, color="#0072B2")
        seeds = accuracy[0]["seeds"]
        top.set(title=name, ylabel=f"clean test accuracy (%), range of {seeds} seed{'s' * (seeds > 1)}")
        for significance, marker, colour in ((0, "^-", "#009E73"), (2, "s-", "#E69F00"), (4, "v-", "#D55E00")):
            luts = [row["pe_lut"][str(significance)] for row in rows]
            bottom.plot(scales, luts, marker, color=colour, label=f"guarded from code bit {significance} on")
        bottom.axhline(found["pe_lut_unprotected"], ls="--", color="#555555", label="unprotected")
        bottom.set(xlabel="quantisation constraint q_scale (bits)", ylabel="LUTs of one PE (Yosys)", ylim=(0, None))
        bottom.legend()
    with atomic_path(path) as part:
        figure.savefig(part, format="svg")
