"""Random arrays, operands and fault lists for engines that must equal `literal`."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from hardpoint.array import Array, Guard
from hardpoint.faults import EFFECTS, FAULT, OVERHANG, PERMANENT, SITES


def random_array(seed: int, rows: int = 3, cols: int = 3, dataflow: str = "os", reduced: bool = False) -> Array:
    """An array of up to `rows` x `cols` PEs with up to three guard classes, by column or by PE.

    Some classes are reduced-precision redundancy if `reduced`. Weight-stationary arrays have classes by column.
    """
    rng = np.random.default_rng(seed)
    m, n = (int(x) for x in rng.integers(2, 9, 2))
    w = int(rng.integers(max(12, m + n), 33))
    r, c = int(rng.integers(1, rows + 1)), int(rng.integers(1, cols + 1))
    guards = []
    for _ in range(int(rng.integers(1, 4))):
        column = [None, 0, m, m + n - 1, *rng.integers(0, w, 3)][int(rng.integers(0, 7))]
        if column is None:
            guards.append(Guard())
        elif reduced and rng.random() < 0.4:
            guards.append(Guard(min(int(column), w - 1), kind="rpr"))
        else:
            guards.append(Guard(min(int(column), w - 1), bool(rng.integers(2)), bool(rng.integers(2))))
    table = rng.integers(0, len(guards), (r, c)).tolist()
    classes = tuple(tuple(row) for row in table) if rng.random() < 0.5 and dataflow == "os" else tuple(table[0])
    return Array(r, c, tuple(guards), classes, m, n, w, dataflow)


def random_operands(seed: int, array: Array, tiles: int, k: int, signed: bool) -> tuple[Any, Any]:
    """Operand codes (tiles, k, rows) and (tiles, k, cols).

    Weight-stationary, for one group of `tiles` tiles and `k` pixels: (1, tiles, k, rows) and (1, tiles, rows, cols).
    """
    rng = np.random.default_rng(seed)
    m, n = array.act_bits, array.pe_wgt_bits
    low = -(1 << (m - 1)) if signed else 0
    if array.dataflow == "ws":
        a = rng.integers(low, low + (1 << m), (1, tiles, k, array.rows))
        return a, rng.integers(-(1 << (n - 1)), 1 << (n - 1), (1, tiles, array.rows, array.cols))
    a = rng.integers(low, low + (1 << m), (tiles, k, array.rows))
    return a, rng.integers(-(1 << (n - 1)), 1 << (n - 1), (tiles, k, array.cols))


def places(array: Array) -> list[tuple[int, int, str, int, int]]:
    """Every struck bit: (row, col, site, copy, bit)."""
    found = []
    w, ws = array.acc_bits, array.dataflow == "ws"
    for row, col in np.ndindex(array.site_rows, array.cols):
        below, guard = row == array.rows, array.guard(0 if row == array.rows else row, col)
        b, cw = w if guard.column is None else guard.column, array.carry_bits(guard)
        operands = 0 if below else 3 if guard.operand else 1
        drains = 0 if ws else 3 if guard.drain else 1
        spans: list[tuple[str, int, int, int]] = []
        for copy in range(3):
            low = 0 if copy == 0 else b
            if copy < operands:
                spans += [("act", copy, 0, array.act_bits), ("wgt", copy, 0, array.pe_wgt_bits)]
            spans.append(("acc", copy, low, w))
            if copy == 0 or not (below and guard.kind == "rpr"):
                spans.append(("mul", copy, low, w))
            if (copy == 0 or guard.kind != "rpr") and not (ws and row == 0):
                spans.append(("vote", copy, b, w))
            if copy < drains:
                spans.append(("drain", copy, low, w))
        spans += [("carry", 0, b, b + min(cw, 1))] if below else [("mul", OVERHANG, b, b + cw), ("carry", 0, b, b + cw)]
        found += [(row, col, site, copy, bit) for site, copy, low, high in spans for bit in range(low, high)]
    return found


def fault_lists(array: Array, tiles: int, k: int, most: int = 40) -> Any:
    """A strategy for lists of up to `most` flips and stuck bits in live steps; failing lists shrink.

    Weight-stationary, `k` is the number of pixels of a tile.
    """

    def record(place: tuple[int, int, str, int, int], time: tuple[int, int], effect: str, end: Any) -> Any:
        row, col, site, copy, bit = place
        fault = np.zeros(1, FAULT)
        first = {"vote": 1, "drain": k}.get(site, 0)
        last = {"vote": k, "drain": k + row}.get(site, k - 1)
        fault["tile"], fault["step"] = time[0], first + time[1] % (last - first + 1)
        if array.dataflow == "ws":
            first = 0 if site == "wgt" else array.rows
            fault["step"] = first + time[1] % (array.rows + k - first)
            fault["tile"] = max(time[0], int((site, row) == ("mul", array.rows)))  # the first tile adds to nothing
        fault["row"], fault["col"], fault["copy"], fault["bit"] = row, col, copy, bit
        fault["site"], fault["effect"] = SITES.index(site), EFFECTS.index(effect)
        fault["end_image"], fault["end_layer"], fault["end_tile"], fault["end_step"] = PERMANENT
        if effect != "flip" and end is not None:
            fault["end_tile"], fault["end_step"] = end
        return fault

    times = st.tuples(st.integers(0, tiles - 1), st.integers(0, k + array.rows))
    ends = st.none() | st.tuples(st.integers(0, tiles), st.integers(0, k + array.rows))
    struck = [place for place in places(array) if tiles > 1 or (place[2], place[0]) != ("mul", array.rows)]
    records = st.builds(record, st.sampled_from(struck), times, st.sampled_from(("flip", *EFFECTS)), ends)
    return st.lists(records, min_size=1, max_size=most).map(np.concatenate)
