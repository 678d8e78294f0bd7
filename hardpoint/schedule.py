"""When the Verilog array does what: logical times of strikes as cycles of its clock enable (docs/hardware.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.faults import SITES

__all__ = ["ALL", "FLIP", "FORCE", "KEEP", "PLACE", "STRIKE", "in_cycles", "merged", "tile_cycles"]

FLIP, KEEP, FORCE = range(3)
"""Kinds of a strike: bits to invert in one step; bits to keep, and bits to force to one, from now on."""

STRIKE = np.dtype(
    [(name, np.int64) for name in ("image", "layer", "when", "kind", "row", "col", "site", "copy", "mask")]
)
"""A mask word and the time before which it is loaded; `mask` stands in columns, 40 bits."""

ALL = (1 << 40) - 1
"""A mask with every column."""

PLACE = ("row", "col", "site", "copy")


def tile_cycles(array: Array, k: Any) -> Any:
    """Cycles from one tile's first step to the next one's, where a tile has `k` steps or, weight-stationary, `k` pixels.

    >>> tile_cycles(Array(8, 8), 5), tile_cycles(Array(8, 8, dataflow="ws"), 5), tile_cycles(Array(1, 8, dataflow="ws"), 2)
    (8, 13, 4)
    """
    cycles = np.maximum(k + array.rows, 4) if array.dataflow == "ws" else np.maximum(k, array.rows)
    return int(cycles) if np.ndim(cycles) == 0 else cycles


def in_cycles(strikes: NDArray[Any], array: Array, k: NDArray[np.int64]) -> NDArray[Any]:
    """`strikes` (dtype STRIKE, `when` = tile * period + step) with `when` in cycles since a layer's first beat.

    `k` is K of every strike's layer, and the period is max(K, rows); weight-stationary, `k` is the number of pixels of a
    tile, and the period rows + `k`. Columns below and from a PE's guard column on act in different cycles in copy 0
    of `acc`; a strike on both becomes two. Strikes that come to act in one cycle become one.

    >>> one = np.array([(0, 0, 20, FLIP, 1, 2, SITES.index("acc"), 0, 1 << 5)], STRIKE)
    >>> in_cycles(one, Array(4, 4), np.array([9]))["when"].tolist()  # skew 1 + 2, and two cycles of pipeline
    [25]
    """
    flips = strikes["kind"] == FLIP
    return np.concatenate([_flips(strikes[flips], array, k[flips]), _stuck(strikes[~flips], array, k[~flips])])


def _flips(strikes: NDArray[Any], array: Array, k: NDArray[np.int64]) -> NDArray[Any]:
    halves = []
    for half, part in enumerate(_parts(strikes, array)):
        moved = strikes.copy()
        moved["when"], dead = _cycle(strikes, array, k, low=half == 0)
        moved["mask"] &= part
        halves.append(moved[(moved["mask"] != 0) & ~dead])
    return merged(np.concatenate(halves), np.bitwise_or)


def _stuck(strikes: NDArray[Any], array: Array, k: NDArray[np.int64]) -> NDArray[Any]:
    """Changes of stuck bits: what holds in the two halves of a word is merged into one word, whenever either changes."""
    parts = _parts(strikes, array)
    times = [_cycle(strikes, array, k, low=half == 0)[0] for half in range(2)]
    flipped = np.where(strikes["kind"] == KEEP, ALL, 0)  # no bit kept from changing is the state of rest
    words: dict[tuple[int, ...], dict[tuple[int, int], int]] = {}
    for i in np.argsort(strikes["when"], kind="stable"):
        key = tuple(int(strikes[name][i]) for name in ("image", "layer", "kind", *PLACE))
        for half in range(2):
            words.setdefault(key, {})[int(times[half][i]), half] = int(
                (strikes["mask"][i] ^ flipped[i]) & parts[half][i]
            )
    found: list[tuple[int, ...]] = []
    for key, changes in words.items():
        held = [0, 0]
        image, layer, kind, *place = key
        merged = {}
        for (when, half), mask in sorted(changes.items()):
            held[half] = mask
            merged[when] = held[0] | held[1]
        rest = ALL if kind == KEEP else 0
        found.extend((image, layer, when, kind, *place, mask ^ rest) for when, mask in merged.items())
    return np.array(found, STRIKE)


def _parts(strikes: NDArray[Any], array: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns of each strike's word below its PE's guard column, and the others."""
    below = (np.int64(1) << array.site_columns[strikes["row"], strikes["col"]]) - 1
    return below, ALL & ~below


def _cycle(
    strikes: NDArray[Any], array: Array, k: NDArray[np.int64], low: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The cycle of each strike's site, in columns below the guard column (`low`) or from it on; and whether there is none.

    The drain register of an upper row is not written in the last steps of a tile: there the cycle is that of the next
    tile's hand-over.
    """
    when, row, col, site, copy = (strikes[name] for name in ("when", "row", "col", "site", "copy"))
    rows = array.rows
    period = k + rows if array.dataflow == "ws" else np.maximum(k, rows)
    skew = when // period * tile_cycles(array, k) + when % period + row + col
    single = low & (copy == 0)
    late = np.asarray((array.column_map < array.acc_bits).any(axis=0), np.int64)
    pipeline = 2 + late[col] + col
    step = np.asarray((when - k) % period)  # of the drain
    drain = site == SITES.index("drain")
    dead = drain & (step > row)
    leaving = np.where(
        dead, when - step + period + pipeline + row, when + pipeline + np.where(step == 0, row, rows - 1)
    )
    stage = np.select(
        [site <= SITES.index("wgt"), site <= SITES.index("carry"), site == SITES.index("vote")],
        [0, 2, 3],
        np.where(single, 2, 3),
    )
    return np.where(drain, leaving, skew + stage), dead


def merged(strikes: NDArray[Any], join: np.ufunc) -> NDArray[Any]:
    """Strikes of one word at one time as one, their masks joined by `join`."""
    names = ("image", "layer", "when", "kind", *PLACE)
    strikes = strikes[np.lexsort([strikes[name] for name in reversed(names)])]
    same = np.all([strikes[name][1:] == strikes[name][:-1] for name in names], axis=0)
    at = np.flatnonzero(np.concatenate([[True], ~same])) if len(strikes) else np.zeros(0, np.int64)
    out = strikes[at]
    if len(at):
        out["mask"] = join.reduceat(strikes["mask"], at)
    return out
