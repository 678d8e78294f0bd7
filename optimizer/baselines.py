"""What the search is compared with, asked and told in the same way: random points, a Latin hypercube, and a plain penalty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Point

__all__ = ["METHODS", "LatinHypercube", "Penalty", "RandomSearch"]


class LatinHypercube(Search):
    """One Latin hypercube of `initial` points, and random points once it is used up."""

    def _acquisition(self, candidates: list[Point]) -> NDArray[np.float64]:
        rng = np.random.default_rng([self._seed, len(self.told), len(self.pending)])
        return rng.random(len(candidates))


class RandomSearch(LatinHypercube):
    """Points in random order from the first on, none twice.

    >>> from hardpoint.optimizer.space import Space
    >>> search = RandomSearch(Space({"x": tuple(range(9))}), constraints=0, seed=1)
    >>> len({search.ask() for _ in range(9)})
    9
    """

    def _spread(self) -> list[Point]:
        return []


class Penalty(Search):
    """Expected improvement on one number: the cost, plus `weight` times the cost scale for each unit of violated margins.

    The plain way to bring constraints into unconstrained Bayesian optimisation; knows nothing of the costs of points that
    were not evaluated.
    """

    weight = 10.0

    def _acquisition(self, candidates: list[Point]) -> NDArray[np.float64]:
        from scipy.stats import norm

        scale = max(costs[0] for costs, _ in self.told.values())
        values = {
            point: costs[0] + self.weight * scale * sum(max(0.0, -margin) for margin in margins)
            for point, (costs, margins) in self.told.items()
        }
        mean, deviation = self._surrogate(values, candidates)
        gain = (min(values.values()) - mean) / deviation
        return np.asarray(deviation * (gain * norm.cdf(gain) + norm.pdf(gain)))


METHODS: dict[str, type[Search]] = {
    "bayesian": Search,
    "penalty": Penalty,
    "latin hypercube": LatinHypercube,
    "random": RandomSearch,
}
"""Search methods by the name that the command takes."""
