"""What is known of a design before it is evaluated, so that no point is asked for that cannot be the answer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.optimizer.dimensions import settings_of
from hardpoint.optimizer.evaluate import CONSTRAINTS, Evaluator
from hardpoint.optimizer.goal import Objective
from hardpoint.optimizer.prices import Prices
from hardpoint.optimizer.space import Point, Space

__all__ = ["Beforehand"]


class Beforehand:
    """Costs, board fit, throughput and clean accuracy of a space's points, as far as they need no evaluation."""

    def __init__(self, space: Space, evaluator: Evaluator, prices: Prices) -> None:
        self.all, self._evaluator, self._prices = space, evaluator, prices
        self._goal, self._clock_ns = evaluator.goal, evaluator.array(Settings()).period_ns
        self._costs: dict[Settings, Cost | InputError | None] = {}
        self._speeds: dict[Any, int] = {}
        self.space = Space(space.dimensions, lambda values: space.possible(values) and self._holds(values), space.conditions)

    def objective(self, one: Objective, point: Point) -> float | None:
        """What an objective is at a point; None where only an evaluation knows."""
        if one.measured:
            return None
        settings = settings_of(self.space.named(point))
        if one.name == "cycles":
            return float(self._cycles(settings))
        cost = self._cost(settings)
        return None if cost is None else self._evaluator.objective(one, DesignPoint(settings, "cost", False, cost=cost))

    def margins(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Margins of the constraints that are known of a point; InputError where it is none, or is not priced."""
        settings, goal, found = settings_of(values), self._goal, dict[str, float]()
        candidate = self._evaluator.candidates(settings.q_scale)
        found["clean accuracy"] = candidate.accuracy - max(self._evaluator.target, goal.clean or 0.0)
        if found["clean accuracy"] < 0:
            return found
        if goal.throughput is not None:
            rate = self._evaluator.rate(self._cycles(settings), self._clock_ns)
            found["throughput"] = math.log(rate / goal.throughput)
            if rate < goal.throughput:
                return found
        cost = self._cost(settings)
        if cost is None:
            return found
        if goal.throughput is not None:  # a slow circuit sets the pace
            rate = self._evaluator.rate(self._cycles(settings), self._clock_ns, cost)
            found["throughput"] = math.log(rate / goal.throughput)
        if goal.fit is not None:
            found["board fit"] = goal.fit - self._evaluator.share(cost, self._evaluator.array(settings))[0]
        return found

    def severity(self, point: Point) -> float:
        """What faults are expected to do to a point, on a scale from 0 to 1."""
        return self._evaluator.severity(settings_of(self.space.named(point)))

    @cached_property
    def estimated(self) -> bool:
        """Whether it is known what faults are expected to do."""
        return all(self._evaluator.candidates(q_scale).ranking.bits for q_scale in self.all.dimensions["q_scale"])

    def binding(self, points: Iterable[Point]) -> tuple[str, str]:
        """The constraint that keeps every one of `points` out, and in words how close they come; or why none is priced."""
        best: dict[str, float] = {}
        refused = ""
        for point in points:
            try:
                for name, margin in self.margins(self.all.named(point)).items():
                    best[name] = max(margin, best.get(name, -math.inf))
            except InputError as error:
                refused = refused or str(error)
        failing = [name for name in CONSTRAINTS if best.get(name, 0.0) < 0]
        if not failing:
            return ("cost", refused) if refused else ("all together", "no design meets all constraints together")
        name, goal = failing[0], self._goal
        if name == "board fit":
            most = 100 * ((goal.fit or 0) - best[name])
            return name, f"the smallest design takes {most:.1f} % of {goal.board}, at most {100 * (goal.fit or 0):g} % is allowed"
        if name == "throughput":
            rate = math.exp(best[name]) * (goal.throughput or 0)
            return name, f"the fastest design computes {rate:,.0f} images per second, {goal.throughput or 0:,.0f} are asked"
        need = max(self._evaluator.target, goal.clean or 0.0)
        return name, f"the best network has {need + best[name]:.4f} without faults, {need:.4f} is asked"

    def _holds(self, values: Mapping[str, Any]) -> bool:
        try:
            return min(self.margins(values).values()) >= 0
        except InputError:
            return False

    def _cost(self, settings: Settings) -> Cost | None:
        """The cost of the settings' array; networks do not change it."""
        key = dataclasses.replace(settings, q_scale=0, s_policy="layer", s_th=min(settings.s_th, 1e-3))
        if key not in self._costs:
            try:
                self._costs[key] = self._prices.beforehand(self._evaluator.array(key))
            except InputError as error:
                self._costs[key] = error
        found = self._costs[key]
        if isinstance(found, InputError):
            raise found
        return found

    def _cycles(self, settings: Settings) -> int:
        """Cycles per image."""
        which = (settings.q_scale, settings.s_th, settings.s_policy)
        guarded = settings.ib is not None or settings.nb is not None
        key = (which, settings.rows, settings.cols, settings.dataflow, settings.dot_size, guarded)
        if key not in self._speeds:
            self._speeds[key] = self._evaluator.cycles(self._evaluator.listed(settings), self._evaluator.array(settings))
        return self._speeds[key]
