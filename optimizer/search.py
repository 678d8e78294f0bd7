"""Constrained Bayesian optimisation by ask and tell, on scikit-optimize's surrogates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.optimizer.space import Point, Space
from hardpoint.optimizer.surrogate import compressed, falling, process

__all__ = ["Search", "dominates"]

Known = Callable[[Point], float | None] | None
"""What an objective is beforehand: a function of the point, None where it must be measured; None: it always must."""

Guide = Callable[[Point], float] | None
"""What a margin is expected to fall with: a number known of every point beforehand, of the order of 0 to 1. None: nothing is."""

INITIAL = 5
"""Points that are spread over the space before a model chooses."""
POOL = 384
"""Points of a space too large to be enumerated among which the next one is looked for."""
ELITES = 4
"""Points whose neighbours are looked at, too."""
MUTANTS = 16
"""Points with changes in more than one dimension that are tried of each of them: combinations that only pay together."""


class Search:
    """Ask for the next point to evaluate; tell what came out. Never proposes a point twice.

    One or two objectives are minimised, positive numbers whose ratios matter. A surrogate learns each constraint's margin
    (>= 0 where it holds; large ones by their logarithm) and each objective, unless `cost` knows it beforehand (a pair for
    two objectives). Where `guides` has a guide for a constraint, the surrogate learns how far its margin is from a line that falls
    with the guide, which is one more coordinate. The next point
    maximises the expected improvement over the best feasible point, of two objectives that of the hypervolume below the
    reference (Emmerich et al., CEC 2011), weighted by the probability that all margins hold (Schonlau, Welch and Jones 1998;
    Gardner et al., ICML 2014); until a point is feasible, the probability alone. Points that are still being evaluated
    count as if they had turned out as the surrogate expects (kriging believer, Ginsbourger et al. 2010), so several may
    be asked at once. `warm` are points to evaluate first.

    Proposals depend on the seed, on what was told and on what is pending, not on the order of telling. All points of a small
    space are looked at; of a larger one points drawn once, and the neighbours of the best ones.

    >>> space = Space({"x": tuple(range(20)), "y": tuple(range(20))})
    >>> search = Search(space, constraints=1, cost=lambda p: p[0] + p[1] + 1.0, initial=4, seed=0)
    >>> for _ in range(15):
    ...     x, y = search.ask()
    ...     search.tell((x, y), x + y + 1.0, [x * y - 30.0])
    >>> search.best[1] <= 14
    True
    """

    def __init__(
        self,
        space: Space,
        constraints: int,
        cost: Known | tuple[Known, ...] = None,
        initial: int = INITIAL,
        seed: int = 0,
        warm: Sequence[Point] = (),
        guides: Sequence[Guide] = (),
    ) -> None:
        self.space = space
        self.known: tuple[Known, ...] = cost if isinstance(cost, tuple) else (cost,)
        if not 1 <= len(self.known) <= 2:
            raise ValueError(f"a search has one or two objectives, not {len(self.known)}")
        self.told: dict[Point, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        self.pending: dict[Point, None] = {}
        self._constraints, self._seed = constraints, seed
        self._guides = tuple(guides) or (None,) * constraints
        if len(self._guides) != constraints:
            raise ValueError(f"a search has a guide or None for each of its {constraints} constraints, not {len(self._guides)}")
        self._places: dict[Point, NDArray[np.float64]] = {}
        self._guided: dict[tuple[Guide, Point], float] = {}
        self._near: dict[Point, list[Point]] = {}
        self._costs: dict[Point, tuple[float | None, ...]] = {}
        self._pool = space.points if space.small else space.drawn(POOL, [seed, 0])
        self.initial = min(initial, len(self._pool))
        known = list(dict.fromkeys(point for point in warm if space.holds(point)))
        self._first = [*dict.fromkeys([*known, *self._spread()])][: max(self.initial, len(known))]

    def _spread(self) -> list[Point]:
        """Initial points: the possible points nearest to a Latin hypercube sample."""
        from skopt.sampler import Lhs

        width, places = len(self.space.dimensions), self.space.places(self._pool)
        cube = np.array(Lhs().generate([(0.0, 1.0)] * width, self.initial, random_state=self._seed))
        chosen: list[int] = []
        for row in cube:
            distance = ((places - row) ** 2).sum(axis=1)
            distance[chosen] = np.inf
            chosen.append(int(distance.argmin()))
        return [self._pool[i] for i in chosen]

    @property
    def feasible(self) -> list[Point]:
        """Told points whose margins all hold, cheapest first."""
        good = [point for point, (_, margins) in self.told.items() if all(margin >= 0 for margin in margins)]
        return sorted(good, key=lambda point: (self.told[point][0], self._key(point)))

    @property
    def best(self) -> tuple[Point, float] | None:
        """The feasible point that is best in the first objective so far, with its value."""
        good = self.feasible
        return (good[0], self.told[good[0]][0][0]) if good else None

    @property
    def front(self) -> list[Point]:
        """Feasible points that no other one dominates, by rising first objective."""
        good = self.feasible
        values = {point: self.told[point][0] for point in good}
        return [p for p in good if not any(dominates(values[other], values[p]) for other in good)]

    @property
    def exhausted(self) -> bool:
        """Whether every point of a small space is told, pending, or known to be no better than the best one; of a larger one
        whether all that were drawn are told or pending."""
        left = (point for point in self._pool if point not in self.told and point not in self.pending)
        return not any(self._improving(left) if self.space.small else (True for _ in left))

    def ask(self) -> Point:
        """The next point to evaluate; it stays pending until it is told."""
        taken = {*self.told, *self.pending}
        if self.exhausted:
            raise StopIteration("no point of the space is left that could be better")
        fresh = [point for point in self._first if point not in taken]
        if fresh and len(self.told) < max(self.initial, len(self._first)):
            point = fresh[0]
        else:
            candidates = [one for one in self._candidates() if one not in taken]
            candidates = [*self._improving(candidates)] or candidates
            point = candidates[int(self._acquisition(candidates).argmax())]
        self.pending[point] = None
        return point

    def tell(self, point: Point, cost: float | Sequence[float], margins: Sequence[float]) -> None:
        """Record a point's objectives and the margin of each constraint (>= 0 where it holds, NaN where it is not known)."""
        values = tuple(float(value) for value in cost) if isinstance(cost, Sequence) else (float(cost),)
        if len(margins) != self._constraints:
            raise ValueError(f"a point has {self._constraints} constraint margins, not {len(margins)}")
        if len(values) != len(self.known):
            raise ValueError(f"a point has {len(self.known)} objectives, not {len(values)}")
        self.pending.pop(point, None)
        self.told[point] = values, tuple(float(margin) for margin in margins)

    def _key(self, point: Point) -> tuple[float, ...]:
        return tuple(self.space.places([point])[0].tolist())

    def _candidates(self) -> list[Point]:
        """Points among which the next one is chosen."""
        if self.space.small:
            return self._pool
        step = len(self.told) + len(self.pending)
        found = dict.fromkeys(self._pool)
        for point in self._elites():
            if point not in self._near:
                self._near[point] = self.space.neighbours(point, [self._seed, 1])
            found.update(dict.fromkeys(self._near[point]))
            found.update(dict.fromkeys(self.space.mutants(point, MUTANTS, [self._seed, 2, step])))
        return list(found)

    def _improving(self, candidates: Iterable[Point]) -> Iterator[Point]:
        """Those of `candidates` that are not known to be as bad as the best point in the one objective."""
        best = self.best if len(self.known) == 1 else None
        for point in candidates:
            if best is None or (value := self._objectives(point)[0]) is None or value < best[1]:
                yield point

    def _elites(self) -> list[Point]:
        """Where it pays to look around: the best points so far, and what comes closest to being feasible and would be better."""
        front = self.front
        best = front[:: max(1, len(front) // ELITES)][:ELITES] if len(self.known) == 2 else self.feasible[:ELITES]
        limit = self.told[best[0]][0][0] if best and len(self.known) == 1 else math.inf
        near = [p for p, (values, margins) in self.told.items() if _least(margins) < 0 and values[0] < limit]
        return [*best, *sorted(near, key=lambda p: (-_least(self.told[p][1]), self._key(p)))[:ELITES]]

    def _objectives(self, point: Point) -> tuple[float | None, ...]:
        """What is known beforehand of a point's objectives."""
        if point not in self._costs:
            self._costs[point] = tuple(None if known is None else known(point) for known in self.known)
        return self._costs[point]

    def _acquisition(self, candidates: list[Point]) -> NDArray[np.float64]:
        from scipy.stats import norm

        feasible = np.zeros(len(candidates))  # logarithm of the probability
        for i, guide in enumerate(self._guides):
            rows = {point: margins[i] for point, (_, margins) in self.told.items() if not math.isnan(margins[i])}
            mean, deviation = self._surrogate(compressed(rows), candidates, guide)
            feasible += np.log(np.maximum(norm.cdf(mean / deviation), 1e-12))
        objectives = [self._objective(i, candidates) for i in range(len(self.known))]
        good = [[math.log(max(value, 1e-9)) for value in self.told[point][0]] for point in self.front]
        if not good:
            # nothing feasible yet: look where it is likeliest, cheaper first among equals
            return np.asarray(feasible - 1e-3 * sum(mean for mean, _ in objectives))
        improvement = _improvement(objectives, good, self._worst())
        return np.asarray(np.log(np.maximum(improvement, 1e-300)) + feasible)

    def _worst(self) -> list[float]:
        """The reference point: a tenth above the worst value of each objective so far."""
        rows = [values for values, _ in self.told.values() if all(map(math.isfinite, values))]
        return [math.log(1.1 * max(max(row[i] for row in rows), 1e-9)) for i in range(len(self.known))]

    def _objective(self, number: int, candidates: list[Point]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of an objective's logarithm; no deviation where it is known."""
        known = [self._objectives(point)[number] for point in candidates]
        if all(value is not None for value in known):
            return np.log(np.maximum(np.array(known, np.float64), 1e-9)), np.full(len(known), 1e-9)
        rows = {point: values[number] for point, (values, _) in self.told.items() if math.isfinite(values[number])}
        mean, deviation = self._surrogate({point: math.log(max(value, 1e-9)) for point, value in rows.items()}, candidates)
        for i, value in enumerate(known):
            if value is not None:
                mean[i], deviation[i] = math.log(max(value, 1e-9)), 1e-9
        return mean, deviation

    def _placed(self, points: Sequence[Point], guide: Guide) -> NDArray[np.float64]:
        """Coordinates of points in the dimensions in which the space's points differ, and their guide."""
        fresh = [point for point in points if point not in self._places]
        self._places.update(zip(fresh, self.space.places(fresh), strict=True))
        differ = [len(values) > 1 for values in self.space.dimensions.values()]
        at = np.array([self._places[point] for point in points]).reshape(len(points), len(differ))
        at = at[:, differ] if any(differ) else at
        if guide is None:
            return at
        for point in points:
            if (guide, point) not in self._guided:
                self._guided[guide, point] = guide(point)
        return np.column_stack([at, [self._guided[guide, point] for point in points]])

    def _surrogate(
        self, rows: dict[Point, float], candidates: list[Point], guide: Guide = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation, at `candidates`, of a Gaussian process through the values of the points `rows`.

        At pending points it is taken to be certain of its own mean.
        """
        if not rows:
            return np.zeros(len(candidates)), np.ones(len(candidates))
        known = sorted(rows, key=self._key)
        at, x = self._placed(known, guide), self._placed(candidates, guide)
        values, trend = np.array([rows[point] for point in known]), np.zeros(len(x))
        if guide is not None:
            values, trend = values - falling(at[:, -1], values, at[:, -1]), falling(at[:, -1], values, x[:, -1])
        waiting = self._placed([point for point in self.pending if point not in rows], guide)
        mean, deviation = process(at, values, x, waiting, self._seed)
        return mean + trend, deviation


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether `a` is nowhere above `b`, and somewhere below it.

    >>> dominates((1, 2), (1, 3)), dominates((1, 3), (2, 2)), dominates((1, 2), (1, 2))
    (True, False, False)
    """
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def _least(margins: Iterable[float]) -> float:
    """The least margin, where none is known as if it were just missed."""
    return min((-1.0 if math.isnan(margin) else margin for margin in margins), default=0.0)


def _improvement(objectives: list[Any], good: list[list[float]], worst: list[float]) -> NDArray[np.float64]:
    """Expected improvement over the points `good`: of the least value of one objective, or of the area that the front of
    two dominates, up to the reference `worst`.

    That area grows by the integral over the first objective's values from its own on of how far the second one lies below
    the front there; both being independent, the expectation of the product is a product.

    >>> here = [(np.array([0.0, 2.0]), np.full(2, 1e-9)), (np.array([0.0, 0.0]), np.full(2, 1e-9))]
    >>> _improvement(here, [[1.0, 1.0], [2.0, 0.5]], [3.0, 2.0]).round(6).tolist()  # 1 x 2, 1 x 1 and 1 x 0.5; 1 x 0.5
    [3.5, 0.5]
    """
    if len(objectives) == 1:
        return _below(min(row[0] for row in good), *objectives[0])
    first, second = objectives
    steps = sorted(good)
    heights = [worst[1], *(row[1] for row in steps)]
    ends = [*(row[0] for row in steps), worst[0]]
    total, passed = np.zeros(len(first[0])), np.zeros(len(first[0]))
    for height, end in zip(heights, ends, strict=True):
        reached = _below(end, *first)
        total += _below(height, *second) * (reached - passed)
        passed = reached
    return total


def _below(bound: float, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expectation of how far a normal variable lies below `bound`, zero where it does not."""
    from scipy.stats import norm

    gain = (bound - mean) / deviation
    return np.asarray(deviation * (gain * norm.cdf(gain) + norm.pdf(gain)))
