"""The search's loop: ask for designs, evaluate them here, in processes or on a cluster, log and tell them, and judge."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hardpoint.design import DesignPoint, Settings
from hardpoint.host.crew import Crew, Item
from hardpoint.optimizer.beforehand import Beforehand
from hardpoint.optimizer.dimensions import point_of, settings_of, strongest
from hardpoint.optimizer.evaluate import Evaluator
from hardpoint.optimizer.prices import Prices
from hardpoint.optimizer.search import Search, dominates
from hardpoint.optimizer.space import Empty, Point, Space
from hardpoint.optimizer.study import Study
from hardpoint.optimizer.verdict import Verdict, verdict

__all__ = ["Hunt", "Work"]

FAULTS = ("accuracy under faults", "SDC-critical share")
"""What faults decide."""
FAILED = -0.1
"""Margin of what could not be evaluated."""


@dataclass(frozen=True)
class Work:
    """Evaluates designs wherever it is sent."""

    evaluator: Evaluator

    def chunk(self, item: Item) -> DesignPoint:
        """Evaluate the settings that the item names."""
        return self.evaluator(Settings.restore(json.loads(item.point)))


class Hunt:
    """A search of `space` with its log: `run` evaluates designs until the budget is spent, and goes on where `study` was.

    Designs are asked for `batch` at a time (`jobs` if not given), evaluated in parallel, and told in the order of asking. So
    proposals depend on the batch's size, but not on who was faster, nor on when a search was stopped: a batch that was not
    finished is asked for again, and what the log holds of it is not evaluated twice.
    """

    def __init__(
        self, space: Space, evaluator: Evaluator, prices: Prices, study: Study, seed: int, warm: Sequence[Settings] = ()
    ) -> None:
        self.study, self.evaluator = study, evaluator
        self.known = Beforehand(space, evaluator, prices)
        self.space, self.goal = self.known.space, evaluator.goal
        goal = evaluator.goal
        self.learned = [name for name in FAULTS if name != "SDC-critical share" or goal.critical is not None]
        if prices.source != "table":  # what only an evaluation may tell
            self.learned += [*(["board fit"] if goal.fit else []), *(["throughput"] if goal.throughput else [])]
        self._seed, self._warm = seed, list(warm)

    def run(
        self, evaluations: int, jobs: int = 1, scheduler: str | None = None, batch: int | None = None,
        tell: Callable[[int], None] = lambda done: None,
    ) -> Verdict:  # fmt: skip
        """Evaluate up to `evaluations` designs, those in the log included; the verdict on all of them."""
        try:
            search, size = self._begun(), batch or jobs
        except Empty:
            binds, why = self.known.binding(self.known.all.drawn(512, [self._seed, 2]))
            return Verdict(None, binds=binds, why=why, complete=self.space.small)
        logged = {point.settings: point for point in self.study.points}
        for point in list(logged.values())[: len(logged) // size * size]:
            self._tell(search, point)
        with Crew(Work(self.evaluator), jobs, scheduler) as crew:
            while len(search.told) < evaluations and not search.exhausted:
                asked = self._asked(search, min(size, evaluations - len(search.told)))
                self._evaluate(crew, asked, logged, tell)
                for place, settings in asked.items():
                    self._tell(search, logged[settings], place)
                for point in logged.values():  # of a batch that another size had asked for
                    if point.settings not in asked.values() and point_of(point.settings, self.space) not in search.told:
                        self._tell(search, point)
                tell(len(search.told))
        return self._judged(search)

    def _begun(self) -> Search:
        """A search that knows what is known beforehand, and begins with the strongest design that may be asked for, the
        cheapest of them where there are several, and with what it is to be started from."""
        objectives = tuple(lambda point, one=one: self.known.objective(one, point) for one in self.goal.minimise)
        strong = [point for point in strongest(self.known.all) if self.space.holds(point)]
        strong.sort(key=lambda point: self.known.objective(self.goal.minimise[0], point) or math.inf)
        warm = [point for settings in self._warm if (point := point_of(settings, self.space)) is not None]
        guides = [self.known.severity if name in FAULTS and self.known.estimated else None for name in self.learned]
        return Search(self.space, len(self.learned), objectives, seed=self._seed, warm=[*strong[:1], *warm], guides=guides)

    def _asked(self, search: Search, count: int) -> dict[Point, Settings]:
        """The next batch."""
        asked: dict[Point, Settings] = {}
        while len(asked) < count and not search.exhausted:
            point = search.ask()
            asked[point] = settings_of(self.space.named(point))
        return asked

    def _evaluate(
        self, crew: Crew, asked: dict[Point, Settings], logged: dict[Settings, DesignPoint], tell: Callable[[int], None]
    ) -> None:
        """Evaluate what the log lacks, and log it as it comes."""
        fresh = [settings for settings in dict.fromkeys(asked.values()) if settings not in logged]
        items = [Item(json.dumps(settings.table()), (0,)) for settings in fresh]
        for _, point in crew.played(items):
            self.study.append(point)
            logged[point.settings] = point
            tell(len(logged))

    def _tell(self, search: Search, point: DesignPoint, place: Point | None = None) -> None:
        """Tell an evaluated point; one outside the space, of a study with another one, is left alone."""
        place = place or point_of(point.settings, self.space)
        if place is None:
            return
        failed = point.stage == "failed"
        margins = [FAILED if failed else point.margins.get(name, math.nan) for name in self.learned]
        search.tell(place, [point.objectives.get(str(one), math.inf) for one in self.goal.minimise], margins)

    def _judged(self, search: Search) -> Verdict:
        points = self.study.points
        good = [point for point in points if point.feasible]
        values = {p.settings: tuple(p.objectives.get(str(one), math.inf) for one in self.goal.minimise) for p in good}
        front = pareto(good, values)
        complete = search.exhausted and self.space.small and not any(point.stage == "failed" for point in points)
        return verdict(points, front, self.goal, self.evaluator.target, complete)


def pareto(points: Sequence[DesignPoint], values: dict[Settings, tuple[float, ...]]) -> list[DesignPoint]:
    """The points that no other one dominates, by rising first objective; of equal ones the first."""
    front: dict[tuple[float, ...], DesignPoint] = {}
    for point in points:
        mine = values[point.settings]
        if not any(dominates(values[other.settings], mine) for other in points):
            front.setdefault(mine, point)
    return [front[mine] for mine in sorted(front)]
