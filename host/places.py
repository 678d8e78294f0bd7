"""Where a flip struck, in the groups that results are told apart by: layer, site, bit, PE, copy, guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.faults import SITES
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.sites import UNIT_ROW

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
    code = np.where(pe, classes, np.where(below, classes + len(names), np.where(faults["row"] == UNIT_ROW, -2, -1)))
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


def neuron_of(faults: NDArray[Any], network: Network, array: Array) -> NDArray[np.int64]:
    """Flat number m N + n of the neuron whose accumulator each flip struck, in the array or in the recompute unit; -1 where
    it may reach several neurons (operand and drain registers) or none.
    """
    alone = np.array([site in ONE_SUM for site in SITES])[faults["site"]]
    neuron = np.full(len(faults), -1, np.int64)
    for layer in range(len(network.gemms)):
        here = np.flatnonzero((faults["layer"] == layer) & alone)
        tile, row, col, step = (faults[name][here].astype(np.int64) for name in ("tile", "row", "col", "step"))
        gemm = network.gemm(layer)
        tiling = Tiling.of(gemm, array)
        mt, nt, _ = tiling.part(tile)
        pixel = mt * tiling.pixels + (step - array.rows if tiling.stationary else row)
        channel = tiling.channel(nt, col)
        good = (row <= array.rows) & (pixel >= 0) & (pixel < gemm.m) & (channel >= 0)
        neuron[here] = np.where(good, pixel * gemm.n + channel, -1)
        unit = row == UNIT_ROW
        if unit.any():
            neuron[here[unit]] = np.asarray(network.important[layer])[tile[unit]]
    return neuron
