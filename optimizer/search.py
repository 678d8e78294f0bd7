"""Constrained Bayesian optimisation by ask and tell, on scikit-optimize's surrogates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.optimizer.space import Point, Space

__all__ = ["Search"]


class Search:
    """Ask for the next point to evaluate; tell what came out. Never proposes a point twice.

    A surrogate learns each constraint's margin (>= 0 where it holds). Cost is either cheap, then `cost` is called for
    every candidate, or learned by a surrogate as well. The next point maximises the expected improvement of the cost
    over the best feasible point, weighted by the probability that all margins hold (Schonlau, Welch and Jones 1998;
    Gardner et al., ICML 2014); until a point is feasible, the probability alone. Points that are still being evaluated
    count as if they had turned out as the surrogate expects (kriging believer, Ginsbourger et al. 2010), so several may
    be asked at once. `warm` are points of earlier searches, evaluated first.

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
        cost: Callable[[Point], float] | None = None,
        initial: int = 8,
        seed: int = 0,
        warm: Sequence[Point] = (),
    ) -> None:
        self.space = space
        self.initial = min(initial, len(space.points))
        self.told: dict[Point, tuple[float, tuple[float, ...]]] = {}
        self.pending: set[Point] = set()
        self._constraints = constraints
        self._costs = None if cost is None else np.array([cost(point) for point in space.points])
        self._seed = seed
        self._rank = {point: i for i, point in enumerate(space.points)}
        self._first = self._spread()
        known = [self._rank[point] for point in warm if point in self._rank]
        self._first = [*dict.fromkeys([*known, *self._first])][: max(self.initial, len(known))]

    def _spread(self) -> list[int]:
        """Initial points: the possible points nearest to a Latin hypercube sample."""
        from skopt.sampler import Lhs

        width = len(self.space.dimensions)
        cube = np.array(Lhs().generate([(0.0, 1.0)] * width, self.initial, random_state=self._seed))
        chosen: list[int] = []
        for row in cube:
            distance = ((self.space.coordinates - row) ** 2).sum(axis=1)
            distance[chosen] = np.inf
            chosen.append(int(distance.argmin()))
        return chosen

    @property
    def best(self) -> tuple[Point, float] | None:
        """The cheapest feasible point so far, with its cost."""
        good = [
            (cost, self._rank[point], point)
            for point, (cost, margins) in self.told.items()
            if min(margins, default=0) >= 0
        ]
        return (min(good)[2], min(good)[0]) if good else None

    @property
    def exhausted(self) -> bool:
        """Whether every point was told or is pending."""
        return len(self.told) + len(self.pending) >= len(self.space.points)

    def ask(self) -> Point:
        """The next point to evaluate; it stays pending until it is told."""
        if self.exhausted:
            raise StopIteration("every point of the space has been evaluated")
        taken = np.zeros(len(self.space.points), bool)
        for point in (*self.told, *self.pending):
            taken[self._rank[point]] = True
        fresh = [i for i in self._first if not taken[i]]
        if len(self.told) < self.initial and fresh:
            index = fresh[0]
        else:
            index = int(np.where(taken, -np.inf, self._acquisition()).argmax())
        point = self.space.points[index]
        self.pending.add(point)
        return point

    def tell(self, point: Point, cost: float, margins: list[float]) -> None:
        """Record a point's cost and the margin of each constraint (>= 0 where it holds)."""
        if len(margins) != self._constraints:
            raise ValueError(f"a point has {self._constraints} constraint margins, not {len(margins)}")
        self.pending.discard(point)
        self.told[point] = (float(cost), tuple(float(margin) for margin in margins))

    def _acquisition(self) -> NDArray[np.float64]:
        from scipy.stats import norm

        known = np.array([self._rank[point] for point in self.told], int)
        costs = np.array([cost for cost, _ in self.told.values()])
        feasible = np.ones(len(self.space.points))
        waiting = np.array([self._rank[point] for point in self.pending if point not in self.told], int)
        for i in range(self._constraints):
            margins = np.array([row[i] for _, row in self.told.values()])
            mean, deviation = self._surrogate(known, margins, waiting)
            feasible *= norm.cdf(mean / deviation)
        best = self.best
        if self._costs is None:
            mean, deviation = self._surrogate(known, np.log(np.maximum(costs, 1e-9)), waiting)
        else:
            mean, deviation = np.log(self._costs), np.full(len(self._costs), 1e-9)
        if best is None:
            # nothing feasible yet: look where it is likeliest, cheaper first among equals
            return np.asarray(np.log(np.maximum(feasible, 1e-12)) - 1e-3 * mean)
        gain = (np.log(best[1]) - mean) / deviation
        improvement = deviation * (gain * norm.cdf(gain) + norm.pdf(gain))
        return np.asarray(np.log(np.maximum(improvement, 1e-300)) + np.log(np.maximum(feasible, 1e-12)))

    def _surrogate(
        self, known: NDArray[Any], values: NDArray[np.float64], waiting: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation over all points of a Gaussian process through `values` at the points `known`.

        At the points `waiting` it is taken to be certain of its own mean.
        """
        from skopt.learning import GaussianProcessRegressor
        from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern

        x = self.space.coordinates
        spread = float(values.std())
        if spread < 1e-12:
            return np.full(len(x), float(values.mean())), np.full(len(x), max(abs(float(values.mean())), 1e-3))
        width = x.shape[1]
        kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern([0.5] * width, [(0.05, 20.0)] * width, nu=2.5)
        model = GaussianProcessRegressor(
            kernel, alpha=1e-6, noise="gaussian", n_restarts_optimizer=0, random_state=self._seed
        )
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bound met by a length scale is no news
            model.fit(x[known], (values - values.mean()) / spread)
            if len(waiting):
                believed = np.concatenate([(values - values.mean()) / spread, model.predict(x[waiting])])
                model.set_params(kernel=model.kernel_, optimizer=None, noise=None)
                model.fit(x[np.concatenate([known, waiting])], believed)
        mean, deviation = model.predict(x, return_std=True)
        return mean * spread + values.mean(), np.maximum(deviation * spread, 1e-9)
