"""Where a flip struck, in the groups that results are told apart by: layer, site, bit, PE, copy, guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.faults import SITES

__all__ = ["GROUPINGS", "neuron_of"]

Keys = tuple[NDArray[np.int64], list[dict[str, Any]]]
"""The group of every fault, -1 for none, and what each group is."""

ONE_SUM = ("mul", "carry", "vote", "acc")
"""Sites inside one accumulator: a flip of theirs reaches one neuron only."""


def numbered(columns: list[NDArray[Any]], describe: Callable[[tuple[int, ...]], dict[str, Any]], inside: Any = None) -> Keys:
    """Groups of faults that agree in `columns`."""
    table = np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
    mask = np.ones(len(table), bool) if inside is None else np.asarray(inside)
    rows, which = np.unique(table[mask], axis=0, return_inverse=True)
    key = np.full(len(table), -1, np.int64)
    key[mask] = which.reshape(-1)
    return key, [describe(tuple(row)) for row in rows.tolist()]


def in_array(faults: NDArray[Any], array: Array) -> NDArray[np.bool_]:
    """Which faults lie in a PE: not in a recompute unit, a row below the array, or a buffer."""
    core = np.array([site in ("act", "wgt", "drain", *ONE_SUM) for site in SITES])
    return np.asarray((faults["row"] < array.rows) & (faults["col"] < array.cols) & core[faults["site"]])


def guard_numbers(faults: NDArray[Any], array: Array) -> Keys:
    """Groups by the guard of the PE, or by what else was struck."""
    pe = in_array(faults, array)
    below = ~pe & (faults["row"] == array.rows) & (faults["col"] < array.cols)
    classes = array.class_map[np.where(pe, faults["row"], 0), np.where(pe | below, faults["col"], 0)]
    names = [str(guard) for guard in array.guards]
    code = np.where(pe, classes, np.where(below, classes + len(names), np.where(faults["row"] == 254, -2, -1)))
    labels = {-2: "recompute unit", -1: "buffer"}

    def describe(row: tuple[int, ...]) -> dict[str, Any]:
        if row[0] < 0:
            return {"guard": labels[row[0]]}
        return {"guard": names[row[0] % len(names)] + (" (accumulator row)" if row[0] >= len(names) else "")}

    return numbered([code], describe)


GROUPINGS: dict[str, Callable[[NDArray[Any], Array], Keys]] = {
    "layer": lambda f, array: numbered([f["layer"]], lambda row: {"layer": row[0]}),
    "site": lambda f, array: numbered([f["site"]], lambda row: {"site": SITES[row[0]]}),
    "bit": lambda f, array: numbered([f["site"], f["bit"]], lambda row: {"site": SITES[row[0]], "bit": row[1]}),
    "pe": lambda f, array: numbered([f["row"], f["col"]], lambda row: {"row": row[0], "col": row[1]}, in_array(f, array)),
    "copy": lambda f, array: numbered([f["site"], f["copy"]], lambda row: {"site": SITES[row[0]], "copy": row[1]}),
    "guard": guard_numbers,
}


def neuron_of(faults: NDArray[Any], array: Array, gemms: list[tuple[int, int, int]]) -> NDArray[np.int64]:
    """Flat number m N + n of the neuron whose accumulator each flip struck; -1 where it may reach several (operands) or
    none; `gemms` holds (M, K, N) per array layer. Layers of output-stationary tiles, and weight-stationary ones.
    """
    m, k, n = (np.array([gemm[i] for gemm in gemms], np.int64)[faults["layer"]] for i in range(3))
    tile, row, col, step = (faults[name].astype(np.int64) for name in ("tile", "row", "col", "step"))
    tiles_n = -(-n // array.cols)
    if array.dataflow == "os":
        pixel, channel = tile // tiles_n * array.rows + row, tile % tiles_n * array.cols + col
    else:
        depth = np.maximum(getattr(array, "depth", 1), 1)
        chunk = -(-m // -(-m // depth))
        tiles_k = -(-k // array.rows)
        pixel = tile // (tiles_n * tiles_k) * chunk + step - array.rows
        channel = tile // tiles_k % tiles_n * array.cols + col
    alone = np.array([site in ONE_SUM for site in SITES])[faults["site"]]
    good = alone & (faults["row"] <= array.rows) & (pixel >= 0) & (pixel < m) & (channel < n)
    return np.where(good, pixel * n + channel, -1)
