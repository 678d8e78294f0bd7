"""Which arrays the shipped table prices: without synthesis, in milliseconds."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

from hardpoint.array import Array
from hardpoint.files import load_json
from hardpoint.hls import verilog
from hardpoint.hls.parts import TABLE, Part, accumulator, frame, memory, pe, unit

__all__ = ["lacking", "parts_of"]


def parts_of(array: Array) -> set[Part]:
    """The parts that an array's cost is composed of, but for delay lines, which the table holds in all lengths."""
    rows = [row for row in range(array.rows) if row <= 2 or (array.class_map[row] != array.class_map[row - 1]).any()]
    rows += [row + 1 for row in rows if row + 1 < array.rows]
    found = {pe(array, row, col) for row in rows for col in range(array.cols)}
    for part, narrow in (frame(array, cols) for cols in (2, 3)):
        found |= {part} | ({accumulator(narrow, 0)} if array.dataflow == "ws" else set())
    if array.dataflow == "ws":
        found |= {one(array, col) for one in (accumulator, memory) for col in range(array.cols)}
    return found | (set() if array.recompute is None else {unit(array)})


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
