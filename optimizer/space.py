"""The space that is searched: finite dimensions, and which combinations are possible at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError

__all__ = ["Space"]

Value = Any
Point = tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """Dimensions by name, each with its ordered values, and a predicate that excludes impossible combinations.

    >>> space = Space({"column": (8, 14, None), "operand": (False, True)}, lambda p: p["column"] is not None or not p["operand"])
    >>> len(space.points), space.points[-1]
    (5, (None, False))
    """

    dimensions: Mapping[str, tuple[Value, ...]]
    possible: Callable[[Mapping[str, Value]], bool] = lambda point: True

    def __post_init__(self) -> None:
        for name, values in self.dimensions.items():
            if not values or len(set(values)) != len(values):
                raise InputError(f"dimension {name} must hold at least one value, none twice, not {list(values)}")

    @cached_property
    def points(self) -> list[Point]:
        """All possible points, in the order of the dimensions' values."""
        names = list(self.dimensions)
        every = itertools.product(*self.dimensions.values())
        found = [point for point in every if self.possible(dict(zip(names, point, strict=True)))]
        if not found:
            raise InputError("the search space holds no possible point")
        return found

    @cached_property
    def coordinates(self) -> NDArray[np.float64]:
        """Every point in the unit cube: (points, dimensions), by the rank of its value in each dimension."""
        ranks = [{value: i for i, value in enumerate(values)} for values in self.dimensions.values()]
        scale = [max(len(values) - 1, 1) for values in self.dimensions.values()]
        rows = [
            [rank[value] / top for rank, value, top in zip(ranks, point, scale, strict=True)] for point in self.points
        ]
        return np.array(rows)

    def named(self, point: Sequence[Value]) -> dict[str, Value]:
        """A point's values by dimension."""
        return dict(zip(self.dimensions, point, strict=True))

    def narrowed(self, fixed: Mapping[str, Sequence[Value]]) -> Space:
        """The same space with only the given values in the given dimensions."""
        dimensions = dict(self.dimensions)
        for name, values in fixed.items():
            if name not in dimensions:
                raise InputError(f"the space has no dimension {name!r}; dimensions are {', '.join(dimensions)}")
            foreign = [value for value in values if value not in dimensions[name]]
            if foreign:
                raise InputError(f"dimension {name} takes {', '.join(map(str, dimensions[name]))}, not {foreign[0]}")
            dimensions[name] = tuple(values)
        return Space(dimensions, self.possible)
