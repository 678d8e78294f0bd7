"""How a search ended: the design found, or the constraint that binds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hardpoint.design import DesignPoint
from hardpoint.optimizer.evaluate import CONSTRAINTS
from hardpoint.optimizer.goal import Goal

__all__ = ["Verdict", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """`found` is the best feasible design, `front` the Pareto front of two objectives (with one: the found design alone).

    Without one, `binds` names the constraint that no design meets, and `why` says how close they come. `complete`: no
    evaluation failed, and what was not evaluated of the whole space is known to be no better, so that the verdict is no
    matter of the budget.
    """

    found: DesignPoint | None
    front: tuple[DesignPoint, ...] = ()
    binds: str = ""
    why: str = ""
    complete: bool = False

    def table(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "verdict": "infeasible" if self.found is None else "found",
            "found": None if self.found is None else self.found.table(),
            "front": [point.table() for point in self.front],
            "binds": self.binds,
            "why": self.why,
            "complete": self.complete,
        }

    @property
    def says(self) -> str:
        """The verdict of a search that found nothing, as a sentence."""
        scope = "in the whole space" if self.complete else "as far as was seen"
        return f"infeasible {scope}: {self.binds} binds: {self.why}"


def verdict(points: Sequence[DesignPoint], front: Sequence[DesignPoint], goal: Goal, target: float, complete: bool) -> Verdict:
    """The verdict on evaluated `points`, of which `front` are those that nothing feasible dominates, best first."""
    if front:
        return Verdict(front[0], tuple(front), complete=complete)
    best = {name: max((p.margins.get(name, -math.inf) for p in points), default=-math.inf) for name in CONSTRAINTS}
    seen = [name for name in CONSTRAINTS if any(name in p.margins for p in points)]
    failing = [name for name in seen if best[name] < 0]
    if not seen:
        why = f"every evaluation failed, the first as: {points[0].reason}" if points else "nothing was evaluated"
        return Verdict(None, binds="evaluation", why=why, complete=complete)
    if failing:
        name = failing[-1]  # what is looked at last is reached only by what met the others
        return Verdict(None, binds=name, why=_why(name, points, goal, target), complete=complete)
    nearest = max(points, key=lambda p: min(p.margins.values(), default=-math.inf))
    name = min(nearest.margins, key=lambda one: nearest.margins[one])
    why = f"each constraint is met by some design, all together by none; nearest is {nearest.settings}: {nearest.reason}"
    return Verdict(None, binds=name, why=why, complete=complete)


def _why(name: str, points: Sequence[DesignPoint], goal: Goal, target: float) -> str:
    """How close designs come to a constraint that none meets."""
    nearest = max((p for p in points if name in p.margins), key=lambda p: p.margins[name])
    margin = nearest.margins[name]
    if name == "accuracy under faults" and nearest.accuracy is not None:
        nearest = max((p for p in points if p.accuracy is not None), key=lambda p: p.accuracy[0] if p.accuracy else 0.0)
        low = nearest.accuracy[0] if nearest.accuracy is not None else 0.0
        said = f"the best lower bound reached is {low:.4f}, {target:.4f} was asked"
    elif name == "SDC-critical share" and nearest.critical is not None:
        said = f"the least upper bound reached is {nearest.critical[2]:.4f}, {goal.critical:g} was asked"
    elif name == "clean accuracy":
        need = max(target, goal.clean or 0.0)
        said = f"the best network has {need + margin:.4f} without faults, {need:.4f} was asked"
    elif name == "throughput":
        said = f"the fastest design computes {math.exp(margin) * (goal.throughput or 0):,.0f} images per second, {goal.throughput or 0:,.0f} was asked"
    else:
        said = f"the smallest design takes {100 * ((goal.fit or 0) - margin):.1f} % of {goal.board}, {100 * (goal.fit or 0):g} % is allowed"
    return f"{said} ({nearest.settings})"
