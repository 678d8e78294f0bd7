"""The space that is searched: finite dimensions, which of them count where, and which combinations are possible at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError

__all__ = ["Condition", "Empty", "Point", "Space"]

Value = Any
Point = tuple[Value, ...]

ENUMERATED = 20_000
"""Combinations up to which a space is enumerated; of a larger one points are drawn."""
COMPLETIONS = 4
"""How often values are drawn for the dimensions that come to count by a change in another one."""
TRIES = 200
"""Draws per wanted point before a space is taken to hold no more."""


class Empty(InputError):
    """A space without a possible point, as far as can be seen."""


@dataclass(frozen=True)
class Condition:
    """A dimension counts where `when` holds of the dimensions before it; elsewhere it has the value `otherwise`."""

    when: Callable[[Mapping[str, Value]], bool]
    otherwise: Value


@dataclass(frozen=True)
class Space:
    """Dimensions by name, each with its ordered values; `conditions` of those that do not always count; and a predicate
    that excludes impossible combinations.

    >>> guarded = Condition(lambda p: p["column"] is not None, False)
    >>> space = Space({"column": (8, 14, None), "operand": (False, True)}, conditions={"operand": guarded})
    >>> len(space.points), space.points[-1]
    (5, (None, False))
    """

    dimensions: Mapping[str, tuple[Value, ...]]
    possible: Callable[[Mapping[str, Value]], bool] = lambda point: True
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.dimensions.items():
            if not values or len(set(values)) != len(values):
                raise InputError(f"dimension {name} must hold at least one value, none twice, not {list(values)}")

    @cached_property
    def small(self) -> bool:
        """Whether the space is enumerated."""
        return sum(1 for _ in itertools.islice(self._combinations(), ENUMERATED + 1)) <= ENUMERATED

    @cached_property
    def points(self) -> list[Point]:
        """All possible points of a small space, in the order of the dimensions' values."""
        if not self.small:
            raise InputError(f"the space has more than {ENUMERATED:,} combinations: its points are drawn, not listed")
        found = [point for point in self._combinations() if self.possible(self.named(point))]
        if not found:
            raise Empty("the search space holds no possible point")
        return found

    @cached_property
    def coordinates(self) -> NDArray[np.float64]:
        """Coordinates of all points of a small space: (points, dimensions)."""
        return self.places(self.points)

    def places(self, points: Sequence[Point]) -> NDArray[np.float64]:
        """Points in the unit cube: (points, dimensions), by the rank of a value in its dimension, in the middle where
        the dimension does not count."""
        rows = [
            [rank.get(value, 0.5) for rank, value in zip(self._ranks, point, strict=True)] for point in points
        ]  # fmt: skip
        return np.array(rows, np.float64).reshape(len(points), len(self.dimensions))

    def drawn(self, count: int, seed: Sequence[int]) -> list[Point]:
        """Up to `count` different possible points, each dimension's values being equally likely where it counts; Empty where
        none is found."""
        rng = np.random.default_rng(list(seed))
        found: dict[Point, None] = {}
        for _ in range(TRIES * count):
            if len(found) == count:
                break
            point = self._completed({}, rng)
            if point not in found and self.possible(self.named(point)):
                found[point] = None
        if not found:
            raise Empty(f"none of {TRIES * count:,} points drawn from the search space is possible")
        return list(found)

    def neighbours(self, point: Point, seed: Sequence[int]) -> list[Point]:
        """Possible points with another value in one dimension; what comes to count by it is drawn, several times."""
        rng = np.random.default_rng(list(seed))
        values = self.named(point)
        tried: dict[Point, None] = {}
        for name, several in self.dimensions.items():
            for value in several:
                for _ in range(COMPLETIONS):
                    tried[self._completed({**values, name: value}, rng)] = None
        return [other for other in tried if other != point and self.possible(self.named(other))]

    def mutants(self, point: Point, count: int, seed: Sequence[int]) -> list[Point]:
        """Possible ones of `count` points with other values in two or three dimensions."""
        rng = np.random.default_rng(list(seed))
        values, names = self.named(point), [name for name, several in self.dimensions.items() if len(several) > 1]
        found: dict[Point, None] = {}
        for _ in range(count):
            chosen = rng.choice(len(names), min(len(names), int(rng.integers(2, 4))), replace=False)
            drawn = {names[i]: self.dimensions[names[i]] for i in chosen}
            changed = {name: several[int(rng.integers(len(several)))] for name, several in drawn.items()}
            other = self._completed({**values, **changed}, rng)
            if other != point and self.possible(self.named(other)):
                found[other] = None
        return list(found)

    def named(self, point: Sequence[Value]) -> dict[str, Value]:
        """A point's values by dimension."""
        return dict(zip(self.dimensions, point, strict=True))

    def point(self, values: Mapping[str, Value]) -> Point:
        """The point with these values; those of dimensions that do not count there are overruled."""
        made: dict[str, Value] = {}
        for name in self.dimensions:
            made[name] = values[name] if self._counts(name, made) else self.conditions[name].otherwise
        return tuple(made.values())

    def holds(self, point: Point) -> bool:
        """Whether the point belongs to the space: its values are those of the dimensions, and it is possible."""
        made: dict[str, Value] = {}
        for (name, several), value in zip(self.dimensions.items(), point, strict=True):
            if value not in (several if self._counts(name, made) else (self.conditions[name].otherwise,)):
                return False
            made[name] = value
        return self.possible(made)

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
        return Space(dimensions, self.possible, self.conditions)

    @cached_property
    def _ranks(self) -> list[dict[Value, float]]:
        return [
            {value: i / max(len(values) - 1, 1) for i, value in enumerate(values)} for values in self.dimensions.values()
        ]  # fmt: skip

    def _counts(self, name: str, before: Mapping[str, Value]) -> bool:
        return name not in self.conditions or self.conditions[name].when(before)

    def _combinations(self, made: tuple[Value, ...] = ()) -> Iterator[Point]:
        """All combinations of values that count, possible or not."""
        if len(made) == len(self.dimensions):
            yield made
            return
        names = list(self.dimensions)
        name, before = names[len(made)], dict(zip(names, made, strict=False))
        counts = self._counts(name, before)
        for value in self.dimensions[name] if counts else (self.conditions[name].otherwise,):
            yield from self._combinations((*made, value))

    def _completed(self, values: Mapping[str, Value], rng: np.random.Generator) -> Point:
        """The point with these values where they count; the others are drawn."""
        made: dict[str, Value] = {}
        for name, several in self.dimensions.items():
            if not self._counts(name, made):
                made[name] = self.conditions[name].otherwise
            elif name in values and values[name] in several:
                made[name] = values[name]
            else:
                made[name] = several[int(rng.integers(len(several)))]
        return tuple(made.values())
