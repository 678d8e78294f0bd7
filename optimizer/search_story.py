"""The story of a search: what was asked, the design found or the constraint that binds, and what each layer contributed."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardpoint import __version__
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.optimizer.estimate import FEWEST
from hardpoint.optimizer.figures import Mark, bars, curves
from hardpoint.optimizer.goal import Objective
from hardpoint.optimizer.report import Figure, Section, Story, Table
from hardpoint.optimizer.sections import count, of_breakdown
from hardpoint.optimizer.study import Study

__all__ = ["expected_section", "layer_section", "story_of_study"]

MARKS = 3
"""Designs that a picture of expectations needs."""


def story_of_study(source: Path) -> Story:
    """The story of the study in `source`."""
    study = Study(source)
    problem, points, results = study.problem, study.points, study.results
    verdict, checked = results.get("verdict"), results.get("validation")
    goal: Mapping[str, Any] = problem.get("goal", {})
    minimise = [Objective.parse(text) for text in goal.get("minimise", ["lut"])]
    best = _best(points, verdict)
    costs: dict[str, Cost] = {} if best is None or best.cost is None else {"found design": best.cost}
    sections = []
    if len(minimise) == 2 and points:
        sections.append(_front(points, verdict, minimise))
    if checked is not None and best is not None and checked["designs"][0]["settings"] == best.settings.table():
        sections.append(layer_section(checked))
        for row in checked["designs"]:
            if row["cost"] is not None:
                costs.setdefault(row["name"], Cost.restore(row["cost"]))
    else:
        checked = None
    if (foreseen := expected_section(points)) is not None:
        sections.append(foreseen)
    if best is not None and (parts := of_breakdown(best.settings.array(), str(best.settings))) is not None:
        sections.append(parts)
    return Story(
        title="A search for the cheapest fault-tolerant design",
        asked=_question(problem, minimise),
        answer=_answer(points, best, verdict, checked, minimise),
        commands=[
            f"hardpoint search --study {shlex.quote(source.name)} --evaluations {max(len(points), 1)} --seed {problem.get('seed', 0)}",
            f"hardpoint report {shlex.quote(source.name)}",
        ],
        provenance={
            **{key: value for key, value in problem.items() if key not in ("networks", "space", "goal", "warm")},
            **{key: value for key, value in goal.items() if value not in (None, {})},
            "space": "; ".join(f"{name}: {', '.join(map(_said, several))}" for name, several in problem.get("space", {}).items()),
            **dict(_networks(problem)),
            "page written by": f"hardpoint {__version__}",
        },
        points=points,
        costs=costs,
        array=None if best is None else best.settings.array(),
        sections=sections,
    )


def _best(points: Sequence[DesignPoint], verdict: Mapping[str, Any] | None) -> DesignPoint | None:
    """The found design; of a study without a verdict the cheapest feasible one so far."""
    if verdict is not None and verdict["found"] is not None:
        return DesignPoint.restore(verdict["found"])
    feasible = [p for p in points if p.feasible and p.cost is not None and p.cost.lut is not None]
    return min(feasible, key=_lut, default=None)


def _question(problem: Mapping[str, Any], minimise: Sequence[Objective]) -> str:
    goal = problem.get("goal", {})
    which = " and ".join(one.label for one in minimise)
    limits = [f"its accuracy at BER {problem.get('ber', 0):g} is at least {problem.get('target', 0):.4f}"]
    if goal.get("critical") is not None:
        limits.append(f"its SDC-critical share is at most {goal['critical']:g}")
    if goal.get("clean") is not None:
        limits.append(f"its fault-free accuracy is at least {goal['clean']:g}")
    if goal.get("throughput") is not None:
        limits.append(f"it computes at least {goal['throughput']:,.0f} images per second")
    if goal.get("fit") is not None:
        limits.append(f"it takes at most {100 * goal['fit']:g} % of {goal['board']}")
    if len(minimise) == 1 and minimise[0].name == "lut":
        return f"Which design is cheapest while {', '.join(limits)}?"
    return f"Which design has the least {which} while {', '.join(limits)}?"


def _answer(
    points: Sequence[DesignPoint], best: DesignPoint | None, verdict: Mapping[str, Any] | None, checked: Mapping[str, Any] | None,
    minimise: Sequence[Objective],
) -> str:  # fmt: skip
    if best is None:
        why = "" if verdict is None or not verdict["binds"] else f" {verdict['binds'].capitalize()} binds: {verdict['why']}."
        return f"None of {len(points)} designs met the constraints.{why}"
    what = f"the cheapest of {len(points)} designs" if minimise[0].name == "lut" else f"the least {minimise[0].label} of {len(points)} designs"
    said = f"{best.settings}: {_lut(best):,.0f} LUTs, {what}; {best.reason}."
    if len(minimise) == 2 and verdict is not None:
        said = f"{len(verdict['front'])} designs lie on the Pareto front. At its end: {said}"
    if checked is not None:
        low, mean, high = checked["designs"][0]["accuracy"]
        said += (
            f" On {checked['images']} test images and {checked['lists']} fresh fault lists it keeps {100 * mean:.2f} % "
            f"[{100 * low:.2f}, {100 * high:.2f}], where {100 * checked['target']:.2f} % are asked"
            f"{'' if checked['holds'] else ': this is not shown to hold there'}."
        )
    return said


def _front(points: Sequence[DesignPoint], verdict: Mapping[str, Any] | None, minimise: Sequence[Objective]) -> Section:
    """The two objectives of every point that has both, and the front as a table."""
    on_front = [Settings.restore(one["settings"]) for one in verdict["front"]] if verdict is not None else []
    series: dict[str, list[Mark]] = {"Pareto front": [], "meets all": [], "fails one": []}
    rows = []
    for i, point in enumerate(points):
        x, y = (point.objectives.get(str(one), math.inf) for one in minimise)
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        kind = "Pareto front" if point.settings in on_front else "meets all" if point.feasible else "fails one"
        says = f"{i + 1}: {point.settings}; {minimise[0].label} {_number(x)}, {minimise[1].label} {_number(y)}; {point.reason}"
        series[kind].append(Mark(x, math.nan, y, math.nan, says))
        if kind == "Pareto front":
            rows.append([str(point.settings), _number(x), _number(y), str(i + 1)])
    rows.sort(key=lambda row: float(row[1].replace(",", "")))
    picture = curves(
        {name: marks for name, marks in series.items() if marks}, minimise[0].label, minimise[1].label,
        "Both objectives of every design measured", joined=False,
    )  # fmt: skip
    figure = Figure(picture, "Designs on the front meet all constraints, and none is better in both objectives.")
    return Section("Pareto front", [figure], [Table(["design", minimise[0].label, minimise[1].label, "#"], rows)])


def expected_section(points: Sequence[DesignPoint]) -> Section | None:
    """What flips were expected to do to every design before it was measured, and what they did."""
    series: dict[str, list[Mark]] = {"meets all": [], "fails one": []}
    for i, point in enumerate(points):
        if point.expected is None or point.accuracy is None or point.clean_accuracy is None:
            continue
        high, mean, low = (100 * (point.clean_accuracy - value) for value in point.accuracy)
        says = f"{i + 1}: {point.settings}; expected {100 * point.expected:.3g} %, lost {mean:.2f} points [{low:.2f}, {high:.2f}]"
        mark = Mark(100 * max(point.expected, FEWEST), low, mean, high, says)
        series["meets all" if point.feasible else "fails one"].append(mark)
    marks = [mark for several in series.values() for mark in several]
    if len(marks) < MARKS or len({mark.x for mark in marks}) == 1 or len({mark.mean for mark in marks}) == 1:
        return None
    from scipy.stats import spearmanr

    rank = float(spearmanr([mark.x for mark in marks], [mark.mean for mark in marks]).statistic)
    picture = curves(
        {name: several for name, several in series.items() if several},
        "inferences expected to turn (%)", "accuracy lost under faults (points)",
        "Expected and measured", logarithmic=True, joined=False,
    )  # fmt: skip
    text = (
        f"How many inferences flips turn, to first order, by the ranking of each network and before a fault is played; intervals over fault lists. Rank correlation over {len(marks)} designs: "
        f"{rank:.2f}. The search takes the estimate for a guide, and measures every design that it judges. What lies below "
        f"{100 * FEWEST:g} % is drawn at that."
    )
    return Section("Expected and measured", [Figure(picture, text)])


def layer_section(checked: Mapping[str, Any]) -> Section:
    """What each layer contributes: the found design measured anew, beside designs that lack one layer's settings."""
    designs = checked["designs"]
    same = {row["name"]: next(other["name"] for other in designs if other["settings"] == row["settings"]) for row in designs}
    base, full = (next((_cost_of(row) for row in designs if row["name"] == name), None) for name in ("unprotected", "full TMR"))
    rows, luts = [], {}
    for row in designs:
        lut = _cost_of(row)
        extra = "" if lut is None or not base or not full or full == base else f"{100 * (lut - base) / (full - base):.0f} %"
        low, mean, high = (100 * value for value in row["accuracy"])
        settings = str(Settings.restore(row["settings"])) if same[row["name"]] == row["name"] else f"as {same[row['name']]}"
        holds = "yes" if row["accuracy"][0] >= checked["target"] else "no" if row["accuracy"][2] < checked["target"] else "open"
        rows.append([row["name"], settings, holds, count(lut), extra, f"{100 * row['clean']:.2f} %", f"{mean:.2f} % [{low:.2f}, {high:.2f}]"])
        if lut is not None:
            luts[row["name"]] = lut
    heads = ["design", "settings", "keeps the accuracy asked", "LUT", "of full TMR's extra", "fault-free", "under faults"]
    note = (
        f"{checked['lists']} fault lists of seed {checked['seed']} at BER {checked['ber']:.3g} over {checked['images']} test images, "
        f"none of which the search has seen; 95 % intervals over fault lists; asked: {100 * checked['target']:.2f} %. "
        "Without algorithm: the network trained without the quantisation constraint. Without architecture: all columns guarded "
        "like the important ones, nothing recomputed. Without circuit: full TMR with operand and drain guards wherever something "
        "is guarded."
    )
    figures = []
    if luts:
        seen = [row for row in designs if row["name"] in luts and same[row["name"]] == row["name"]]
        series = {row["name"]: [_mark(row, luts[row["name"]])] for row in seen}
        picture = curves(
            series, "LUTs of the array", "accuracy under faults (%)", "What is bought without each layer",
            {"asked": 100 * checked["target"]}, joined=False,
        )  # fmt: skip
        figures = [Figure(picture, "95 % intervals over fault lists."), Figure(bars(luts, "LUTs of the array", "LUTs without each layer"))]
    return Section("What each layer contributes", figures, [Table(heads, rows, 3, note=note, best=0)])


def _mark(row: Mapping[str, Any], lut: float) -> Mark:
    low, mean, high = (100 * value for value in row["accuracy"])
    return Mark(lut, low, mean, high, f"{row['name']}: {lut:,.0f} LUTs, {mean:.2f} % [{low:.2f}, {high:.2f}]")


def _cost_of(row: Mapping[str, Any]) -> float | None:
    return None if row["cost"] is None else row["cost"].get("lut")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _said(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _networks(problem: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"network for q_scale {q_scale}", digest) for q_scale, digest in problem.get("networks", {}).items()]


def _lut(point: DesignPoint) -> float:
    return point.cost.lut if point.cost is not None and point.cost.lut is not None else math.inf
