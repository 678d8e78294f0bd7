"""When the Verilog core does what: the cycle of every step at every site, and how long a stream of tiles takes.

Cycles are enabled cycles; cycle 0 takes in the first beat. docs/hardware.md derives the formulas.
"""

from __future__ import annotations

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import PE_SITES
from hardpoint.schedule import tile_cycles

__all__ = ["acting_cycle", "cycles", "late", "unit_cycles", "utilisation"]


def late(array: Array, col: int | None = None) -> int:
    """1 if array column `col` (any of them, without `col`) holds guarded PEs and so drains a cycle late, else 0."""
    guarded = array.column_map < array.acc_bits
    return int(guarded.any() if col is None else guarded[:, col].any())


def cycles(array: Array, tiles: int, k: int) -> int:
    """Cycles from the first beat to the last row of sums, both included, of `tiles` tiles of `k` steps.

    Weight-stationary: of `tiles` weight tiles with `k` pixels each.

    >>> from hardpoint.array import Array, Guard
    >>> cycles(Array(8, 8), 64, 64), cycles(Array(8, 8, (Guard(14),)), 64, 64), cycles(Array(8, 8, dataflow="ws"), 64, 64)
    (4122, 4123, 4628)
    """
    if array.dataflow == "ws":
        return (tiles - 1) * int(tile_cycles(array, k)) + k + 2 * array.rows + array.cols + 4
    return (tiles - 1) * int(tile_cycles(array, k)) + k + 2 * array.rows + array.cols + 2 + late(array)


def unit_cycles(array: Array, neurons: int, steps: int) -> int:
    """Cycles of the recompute unit from the first beat to the last sum, both included; `steps` per neuron.

    >>> from hardpoint.array import Array, Recompute
    >>> unit_cycles(Array(8, 8, recompute=Recompute(8)), 100, 18)
    1809
    """
    if array.recompute is None:
        raise InputError("an array without a recompute unit recomputes nothing")
    return neurons * steps + (array.recompute.lanes - 1).bit_length() + 6


def utilisation(array: Array, tiles: int, k: int) -> float:
    """Multiply-accumulates per PE and cycle of such a stream; fill, loads, hand-over and drain included.

    >>> round(utilisation(Array(8, 8), 64, 64), 3)
    0.994
    """
    return tiles * k / cycles(array, tiles, k)


def acting_cycle(
    array: Array, k: int, tile: int, step: int, row: int, col: int, site: str, copy: int, bit: int
) -> int | None:
    """The cycle in which a strike of (`tile`, `step`) acts on a bit of PE (`row`, `col`), None where nothing happens then.

    Weight-stationary: `k` is the number of pixels of a tile, and row `array.rows` that of the accumulators.

    >>> from hardpoint.array import Array, Guard
    >>> acting_cycle(Array(8, 8, (Guard(14),)), 9, 2, 3, 1, 2, "acc", 0, 20)
    27
    """
    if array.dataflow == "ws":
        first, last = 0 if site == "wgt" else array.rows, array.rows + k - 1
    else:
        first = {"vote": 1, "drain": k}.get(site, 0)
        last = {"vote": k, "drain": k + row}.get(site, k - 1)
    if site not in PE_SITES or not first <= step <= last or (array.dataflow == "ws" and site == "drain"):
        return None
    start = tile * int(tile_cycles(array, k)) + step + col
    if site == "drain":
        return start + 2 + late(array, col) + (row if step == k else array.rows - 1)
    low = copy == 0 and bit < int(array.site_columns[row, col])
    stage = {"act": 0, "wgt": 0, "mul": 2, "carry": 2, "vote": 3}.get(site, 2 if low else 3)
    return start + row + stage
