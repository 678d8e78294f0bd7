"""The dimensions of a cross-layer search, which of them count where, and what a user's file may say of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hardpoint.design import Settings
from hardpoint.documents import load_text
from hardpoint.errors import InputError
from hardpoint.optimizer.space import Condition, Point, Space

__all__ = ["SPACE", "bounds", "point_of", "settings_of", "space_from", "strongest"]

Named = Mapping[str, Any]


def _guards(p: Named) -> bool:
    """Whether any PE has guarded columns."""
    return (p["hardened"] > 0 and p["ib"] is not None) or p["nb"] is not None


def _splits(p: Named) -> bool:
    """Whether anything is guarded that may have three lanes."""
    unit = p["dot_size"] > 0 and p["ib"] is not None
    return unit or (_guards(p) and p["kind"] == "columns")


CONDITIONS = {
    "s_th": Condition(lambda p: p["dot_size"] > 0, 0.0),
    "s_policy": Condition(lambda p: p["dot_size"] > 0, "layer"),
    "reuse": Condition(lambda p: p["dot_size"] > 0, True),
    "ib": Condition(lambda p: p["dot_size"] > 0 or p["hardened"] > 0, None),
    "nb": Condition(lambda p: p["hardened"] < 1, None),
    "kind": Condition(_guards, "columns"),
    "operand": Condition(_splits, False),
    "drain": Condition(lambda p: _splits(p) and (p["dataflow"] == "os" or p["dot_size"] > 0), False),
    "policy": Condition(_splits, "direct"),
    "headroom": Condition(lambda p: p["policy"] == "configurable", 0),
}
"""Where a dimension counts: without a recompute unit it has no lanes to feed, a weight-stationary array drains nothing, ..."""


def _sensible(p: Named) -> bool:
    """Excludes what contradicts itself, and what another point does as well."""
    if p["hardened"] > 0 and (p["ib"] is None or round(p["hardened"] * p["cols"]) == 0):
        return False
    if 0 < p["hardened"] < 1 and p["nb"] is not None and p["nb"] <= p["ib"]:
        return False  # the ordinary columns are guarded less than the important ones, or all alike
    if p["kind"] == "rpr" and any(p[name] == 0 for name in ("ib", "nb")):
        return False
    split = [p["nb"], p["ib"] if p["hardened"] > 0 else None]
    return not p["dsp"] or p["kind"] == "rpr" or all(column in (None, 0) for column in split)


COLUMNS = (0, 8, 10, 12, 13, 14, 15, 16, 17, 18, 20)

SPACE = Space(
    {
        "q_scale": (0, 8, 9),  # 0: without the constraint
        "dataflow": ("os", "ws"),
        "rows": (4, 8, 16),
        "cols": (4, 8, 16),
        "dsp": (False,),  # where only LUTs count, DSP blocks would be free
        "hardened": (0.0, 0.25, 0.5, 0.75),  # share of the array's columns; where all are alike they are the ordinary ones
        "dot_size": (0, 4, 8, 16),
        "s_th": (0.02, 0.05, 0.1, 0.2),
        "s_policy": ("layer", "global"),
        "reuse": (True, False),
        "ib": (*COLUMNS, None),
        "nb": (*COLUMNS, None),
        "kind": ("columns", "rpr"),
        "operand": (False, True),
        "drain": (False, True),
        "policy": ("direct",),
        "headroom": (0, 1, 2, 4),
    },
    _sensible,
    CONDITIONS,
)
"""What is searched unless a file says otherwise."""


def _whole(low: int, high: int, none: bool = False) -> tuple[str, Callable[[Any], bool]]:
    said = f"whole numbers {low} to {high}" + (' or "none"' if none else "")
    return said, lambda v: (none and v is None) or (isinstance(v, int) and not isinstance(v, bool) and low <= v <= high)


def _share(low: float) -> tuple[str, Callable[[Any], bool]]:
    return f"numbers {low:g} to 1", lambda v: isinstance(v, int | float) and not isinstance(v, bool) and low <= v <= 1


def _one_of(*names: Any) -> tuple[str, Callable[[Any], bool]]:
    return " or ".join(str(name).lower() for name in names), lambda v: v in names and type(v) is type(names[0])


TYPES = {
    "q_scale": _whole(0, 16),
    "dataflow": _one_of("os", "ws"),
    "rows": _whole(1, 64),
    "cols": _whole(1, 64),
    "dsp": _one_of(False, True),
    "hardened": _share(0),
    "dot_size": _whole(0, 64),
    "s_th": _share(0.0001),
    "s_policy": _one_of("layer", "global"),
    "reuse": _one_of(True, False),
    "ib": _whole(0, 31, none=True),
    "nb": _whole(0, 31, none=True),
    "kind": _one_of("columns", "rpr"),
    "operand": _one_of(False, True),
    "drain": _one_of(False, True),
    "policy": _one_of("direct", "configurable"),
    "headroom": _whole(0, 7),
}
"""What each dimension may hold at all, in words and as a test."""


def bounds() -> dict[str, str]:
    """What a file may say of each dimension, in words.

    >>> bounds()["ib"]
    'whole numbers 0 to 31 or "none"'
    """
    return {name: said for name, (said, _) in TYPES.items()}


def space_from(path: Path, space: Space = SPACE) -> Space:
    """`space` with the dimensions that a TOML file fixes (`rows = 8`) or lists (`ib = [12, 14, "none"]`).

    InputError names a dimension that does not exist, or a value outside its bounds.
    """
    import tomllib  # Python 3.10 has none

    try:
        table = tomllib.loads(load_text(path, "space"))
    except (ValueError, RecursionError) as error:  # TOML's errors are ValueErrors
        raise InputError(f"{path} is no TOML: {error}") from None
    dimensions = dict(space.dimensions)
    for name, given in table.items():
        if name not in dimensions:
            raise InputError(f"{path}: the space has no dimension {name!r}; dimensions are {', '.join(dimensions)}")
        values = tuple(None if value == "none" else value for value in (given if isinstance(given, list) else [given]))
        said, good = TYPES[name]
        for value in values:
            if not good(value):
                raise InputError(f"{path}: dimension {name} takes {said}, not {value!r}")
        try:
            dimensions[name] = Space({name: _ordered(values)}).dimensions[name]
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return Space(dimensions, space.possible, space.conditions)


def _ordered(values: Iterable[Any]) -> tuple[Any, ...]:
    """Numbers in rising order, "none" last: the model takes neighbours to be alike."""
    return tuple(sorted(values, key=lambda v: (v is None, v if isinstance(v, int | float) else 0)))


def settings_of(values: Named) -> Settings:
    """A point's values as settings; InputError where they contradict themselves."""
    fields = dict(values)
    return Settings(**{**fields, "hardened": round(fields["hardened"] * fields["cols"])})


def point_of(settings: Settings, space: Space) -> Point | None:
    """The point of `space` that has these settings, None where there is none.

    >>> point = point_of(Settings(q_scale=8, ib=14, hardened=4), SPACE)
    >>> settings_of(SPACE.named(point)) == Settings(q_scale=8, ib=14, hardened=4)
    True
    """
    fields = dataclasses.asdict(settings)
    shares = [s for s in space.dimensions["hardened"] if round(s * settings.cols) == settings.hardened]
    for share in shares:
        point = space.point({**fields, "hardened": share})
        if space.holds(point) and settings_of(space.named(point)) == settings:
            return point
    return None


def strongest(space: Space) -> list[Point]:
    """Per array size and dataflow the point with the most protection that the space offers: what holds if anything does."""
    d = space.dimensions
    best = {name: several[-1] for name, several in d.items()}
    for name in ("ib", "nb"):
        best[name] = min((column for column in d[name] if column is not None), default=None)
    best |= {name: min(d[name]) for name in ("hardened", "dot_size", "dsp")} | {"kind": d["kind"][0]}
    sizes = itertools.product(d["rows"], d["cols"], d["dataflow"])
    points = [space.point({**best, "rows": rows, "cols": cols, "dataflow": dataflow}) for rows, cols, dataflow in sizes]
    return [point for point in points if space.holds(point)]
