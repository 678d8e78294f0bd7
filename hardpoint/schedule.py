"""When the Verilog array does what: logical times of strikes as cycles of its clock enable (docs/hardware.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import SITES

__all__ = ["ALL", "FLIP", "FORCE", "KEEP", "PLACE", "STRIKE", "in_cycles", "merged", "tile_cycles", "unit_in_cycles"]

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
    below = (np.int64(1) << array.site_columns[strikes["row"], strikes["col"]]) - 1
    return _timed(strikes, below, [_cycle(strikes, array, k, low) for low in (True, False)])


def unit_in_cycles(strikes: NDArray[Any], array: Array, steps: NDArray[np.int64]) -> NDArray[Any]:
    """The same for strikes of the recompute unit, `when` = neuron * (steps + 1) + step, in cycles since its first beat.

    `steps` is S of every strike's layer. In cycles, a neuron's last step, which stores its sum, is the next one's first.

    >>> from hardpoint.array import Recompute
    >>> one = np.array([(0, 0, 2 * 4 + 3, FLIP, 254, 0, SITES.index("drain"), 0, 1)], STRIKE)
    >>> unit_in_cycles(one, Array(4, 4, recompute=Recompute(8)), np.array([3]))["when"].tolist()  # 2 * 3 + 3, and 7 stages
    [16]
    """
    below = np.full(len(strikes), (1 << array.unit_column) - 1, np.int64)
    return _timed(strikes, below, [_unit_cycle(strikes, array, steps, low) for low in (True, False)])


_Times = list[tuple[NDArray[np.int64], NDArray[np.bool_]]]
"""Cycles of strikes below their guard column and from it on, and which of them have none."""


def _timed(strikes: NDArray[Any], below: NDArray[np.int64], times: _Times) -> NDArray[Any]:
    parts, flips = (below, ALL & ~below), strikes["kind"] == FLIP
    halves = []
    for (when, dead), part in zip(times, parts, strict=True):
        moved = strikes.copy()
        moved["when"] = when
        moved["mask"] &= part
        halves.append(moved[flips & (moved["mask"] != 0) & ~dead])
    return np.concatenate([merged(np.concatenate(halves), np.bitwise_or), _stuck(strikes, ~flips, parts, times)])


def _stuck(strikes: NDArray[Any], stuck: NDArray[np.bool_], parts: tuple[Any, Any], times: _Times) -> NDArray[Any]:
    """Changes of stuck bits: what holds in the two halves of a word is merged into one word, whenever either changes."""
    flipped = np.where(strikes["kind"] == KEEP, ALL, 0)  # no bit kept from changing is the state of rest
    words: dict[tuple[int, ...], dict[tuple[int, int], int]] = {}
    for i in np.argsort(strikes["when"], kind="stable"):
        if not stuck[i]:
            continue
        key = tuple(int(strikes[name][i]) for name in ("image", "layer", "kind", *PLACE))
        for half in range(2):
            words.setdefault(key, {})[int(times[half][0][i]), half] = int(
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


def _cycle(
    strikes: NDArray[Any], array: Array, k: NDArray[np.int64], low: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The cycle of each strike's site, in columns below the guard column (`low`) or from it on; and whether there is none.

    The drain register of an upper row is not written in the last steps of a tile: there the cycle is that of the next
    tile's hand-over.
    """
    when, row, col, site = (strikes[name] for name in ("when", "row", "col", "site"))
    rows = array.rows
    period = k + rows if array.dataflow == "ws" else np.maximum(k, rows)
    skew = when // period * tile_cycles(array, k) + when % period + row + col
    late = np.asarray((array.column_map < array.acc_bits).any(axis=0), np.int64)
    pipeline = 2 + late[col] + col
    step = np.asarray((when - k) % period)  # of the drain
    drain = site == SITES.index("drain")
    dead = drain & (step > row)
    leaving = np.where(
        dead, when - step + period + pipeline + row, when + pipeline + np.where(step == 0, row, rows - 1)
    )
    return np.where(drain, leaving, skew + _stage(strikes, low, 2)), dead


def _unit_cycle(
    strikes: NDArray[Any], array: Array, steps: NDArray[np.int64], low: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """As `_cycle`. What a step does not use takes the time of its next use."""
    if array.recompute is None:
        raise InputError("an array without a recompute unit has no strikes of one")
    sums = 3 + (array.recompute.lanes - 1).bit_length()  # stages up to the lanes' sum
    neuron, step = np.divmod(strikes["when"], steps + 1)
    vote, drain = (strikes["site"] == SITES.index(name) for name in ("vote", "drain"))
    step = np.where(drain, steps, np.where(vote, np.maximum(step, 1), step))
    stage = np.where(drain, sums + 1, _stage(strikes, low, sums))
    return np.asarray(neuron * steps + step + stage), np.zeros(len(strikes), bool)


def _stage(strikes: NDArray[Any], low: bool, sums: int) -> NDArray[np.int64]:
    """Cycles after those of the operand registers; low columns of the accumulator are written `sums` after them."""
    site, single = strikes["site"], low & (strikes["copy"] == 0)
    return np.select(
        [site <= SITES.index("wgt"), site <= SITES.index("carry"), site == SITES.index("vote")],
        [0, sums, sums + 1],
        np.where(single, sums, sums + 1),
    )


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
