"""Which arrays the shipped table prices: without synthesis, in milliseconds."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array, Guard
from hardpoint.files import load_json
from hardpoint.hls import verilog
from hardpoint.hls.parts import TABLE, Part, accumulator, frame, memory, pe, unit

__all__ = ["alike", "lacking", "parts_of"]


def parts_of(array: Array) -> set[Part]:
    """The parts that an array's cost is composed of, but for delay lines, which the table holds in all lengths."""
    found = set(_without_unit(dataclasses.replace(array, recompute=None)))
    return found | (set() if array.recompute is None else {unit(array)})


@lru_cache(4096)
def _without_unit(array: Array) -> frozenset[Part]:
    """Parts of an array that has no recompute unit."""
    return _pes(_shrunk(array)) | _frames(dataclasses.replace(array, cols=2, guards=(Guard(),), classes=()))


def alike(lines: NDArray[np.int64]) -> list[int]:
    """For every row of `lines` one whose PEs are like its own: the third and later ones of equal neighbours are like the second.

    >>> alike(np.array([[0], [0], [0], [0], [1], [1], [1], [1]]))
    [0, 1, 2, 2, 4, 5, 5, 5]
    """
    found: list[int] = []
    for i, line in enumerate(lines):
        new = i < 3 or (line != lines[i - 1]).any() or (lines[i - 1] != lines[i - 2]).any()
        found.append(i if new else found[-1])
    return found


def _shrunk(array: Array) -> Array:
    """A smaller array with the same PEs."""
    keep_rows, keep_cols = sorted(set(alike(array.class_map))), sorted(set(alike(array.class_map.T)))
    table = array.class_map[keep_rows][:, keep_cols]
    classes = tuple(table[0].tolist()) if (table == table[0]).all() else tuple(tuple(row) for row in table.tolist())
    return dataclasses.replace(array, rows=len(keep_rows), cols=len(keep_cols), classes=classes)


@lru_cache(4096)
def _pes(array: Array) -> frozenset[Part]:
    """PEs, and of weight-stationary arrays accumulators with their memories."""
    found = {pe(array, row, col) for row in range(array.rows) for col in range(array.cols)}
    if array.dataflow == "ws":
        found |= {one(array, col) for one in (accumulator, memory) for col in range(array.cols)}
    return frozenset(found)


@lru_cache(256)
def _frames(array: Array) -> frozenset[Part]:
    """What is left of an array without PEs."""
    found: set[Part] = set()
    for part, narrow in (frame(array, cols) for cols in (2, 3)):
        found |= {part} | ({accumulator(narrow, 0)} if array.dataflow == "ws" else set())
    return frozenset(found)


def lacking(array: Array, taps: bool = False) -> list[Part]:
    """Parts of `array` that the shipped table lacks: `hardpoint.hls.cost.array_cost` would synthesise them.

    InputError where the Verilog is not made for such an array.

    >>> lacking(Array(8, 8))
    []
    >>> [part.module for part in lacking(Array(8, 8, acc_bits=31))]
    ['hp_pe', 'hp_pe']
    """
    verilog.parameters(array)
    table = _shipped()
    return sorted(part for part in parts_of(dataclasses.replace(array, taps=taps)) if str(part) not in table)


@lru_cache(1)
def _shipped() -> frozenset[str]:
    return frozenset(load_json(TABLE, "cost table")["parts"] if TABLE.is_file() else ())
