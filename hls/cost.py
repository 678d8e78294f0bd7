"""What an array costs, composed from synthesised parts, and what its guards add.

`python -m hardpoint.hls.cost --regenerate` synthesises the parts of the usual arrays and rewrites the shipped table.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hardpoint.array import Array, Guard
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.hls import verilog
from hardpoint.hls.boards import Board, board, fit
from hardpoint.hls.parts import TABLE, Part, Price, delay, frame, measured, pe, price, write_table

__all__ = ["Breakdown", "array_cost", "breakdown", "designs", "largest_array", "table_parts"]

_PLAIN = Guard()


def array_cost(array: Array, taps: bool = False) -> Cost:
    """LUTs and flip-flops of `array` by Yosys' synthesis of its parts; with the taps of injection builds if `taps`.

    Parts that the shipped table lacks are synthesised once, in some seconds each, and kept in the user's cache.

    >>> array_cost(Array(4, 4)).source
    'yosys'
    """
    return sum(by_purpose(array, taps).values(), start=_cost(0, 0))


def by_purpose(array: Array, taps: bool = False) -> dict[str, Cost]:
    """The cost of an array's PEs by guard class, its operand skew, its sum alignment and its control.

    Control is the flags that travel through the PEs, once for each diagonal, and what paces the array.
    """
    verilog.parameters(array)  # refuses what the Verilog is not
    if array.dataflow != "os" or array.recompute is not None:
        raise InputError("only output-stationary arrays without recompute unit are made of parts whose cost is known")
    if array.dsp:
        raise InputError("the Verilog core has no multiplier in DSP blocks, so what such an array costs is unknown")
    array = dataclasses.replace(array, taps=taps)
    pes, diagonals = _pes(array)
    skew, alignment = _skew(array), _alignment(array)
    return {**pes, "operand skew": skew, "sum alignment": alignment, "control": diagonals + _control(array)}


def _pes(array: Array) -> tuple[dict[str, Cost], Cost]:
    """PEs by guard class without what merges along diagonals, and that."""
    luts: Counter[str] = Counter()
    ffs: Counter[str] = Counter()
    merged: dict[int, tuple[int, int]] = {}
    for row in range(array.rows):
        for col in range(array.cols):
            part = pe(array, row, col)
            one, name = price(part), f"PEs {array.guard(row, col)}"
            luts[name] += one.lut - one.shared_lut
            ffs[name] += one.ff - one.shared_ff
            merged[row + col] = max(merged.get(row + col, (0, 0)), (one.shared_lut, one.shared_ff))
    for row, col, bits, joined, line in _lines(array):
        ffs[f"PEs {array.guard(row, col)}"] -= bits * (joined > line.ff)  # the whole line became a shift register
    return (
        {name: _cost(luts[name], ffs[name]) for name in luts},
        _cost(sum(lut for lut, _ in merged.values()), sum(ff for _, ff in merged.values())),
    )


def _lines(array: Array) -> Iterator[tuple[int, int, int, int, Price]]:
    """Delay lines of the operands: row and column of the PE they end in, bits, whether they take in its register, price."""
    edges = [(row, 0, row, array.act_bits) for row in range(1, array.rows)]
    edges += [(0, col, col, array.wgt_bits) for col in range(1, array.cols)]
    for row, col, depth, bits in edges:
        joined = int(array.operand_lanes[row, col] == 1 and not array.taps)
        yield row, col, bits, joined, price(delay(depth + joined))


def _skew(array: Array) -> Cost:
    """Delay lines of activations (row r by r cycles) and weights, without the PEs' own registers."""
    lines = list(_lines(array))
    return _cost(
        sum(bits * line.lut for _, _, bits, _, line in lines),
        sum(bits * max(line.ff - joined, 0) for _, _, bits, joined, line in lines),
    )


def _alignment(array: Array) -> Cost:
    """Delay lines that bring the columns' sums together, the output register included."""
    late = (array.column_map < array.acc_bits).any(0).astype(int)
    lines = [price(delay(array.cols - col + int(late.max()) - int(late[col]))) for col in range(array.cols)]
    return _cost(array.acc_bits * sum(line.lut for line in lines), array.acc_bits * sum(line.ff for line in lines))


def _control(array: Array) -> Cost:
    """The array without PEs and delays: measured at two and three columns, and linear in their number.

    Above 16 rows it is taken as proportional to them.
    """
    sizes = []
    for cols in (2, 3):
        part, narrow = frame(array, cols)
        whole, delays = price(part), _skew(dataclasses.replace(narrow, taps=True)) + _alignment(narrow)
        sizes.append((whole.lut - int(delays.lut or 0), whole.ff - int(delays.ff or 0)))
    (lut, ff), (more_lut, more_ff) = sizes
    extra, taller = array.cols - 2, max(array.rows, 16) / 16
    return _cost(
        round(taller * (lut + extra * (more_lut - lut))),
        round(taller * (ff + extra * (more_ff - ff))),
    )


def _cost(lut: int, ff: int) -> Cost:
    return Cost("yosys", lut=lut, ff=ff, dsp=0, bram=0, uram=0)


def designs(array: Array) -> dict[str, Array]:
    """What an array is compared with: the same unprotected, and under full TMR (operands and drain included)."""
    plain = dataclasses.replace(array, guards=(Guard(),), classes=())
    return {
        "unprotected": plain,
        "this array": array,
        "full TMR": dataclasses.replace(plain, guards=(Guard(0, operand=True, drain=True),)),
    }


@dataclass(frozen=True)
class Breakdown:
    """An array's cost by purpose, what its injection taps would add, and the designs it is compared with."""

    array: Array
    purposes: dict[str, Cost]
    taps: Cost
    compared: dict[str, Cost]

    def value(self) -> dict[str, Any]:
        """The same as plain numbers."""
        on = board(self.array.board)
        return {
            "source": "yosys",
            "board": on.name,
            "parts": {name: {"lut": cost.lut, "ff": cost.ff} for name, cost in self.purposes.items()},
            "taps": {"lut": self.taps.lut, "ff": self.taps.ff},
            "designs": {
                name: {
                    "lut": cost.lut,
                    "ff": cost.ff,
                    "dsp": cost.dsp,
                    "share_of_luts": round((cost.lut or 0) / on.lut, 4),
                }
                for name, cost in self.compared.items()
            },
        }

    def lines(self) -> list[str]:
        """The same as lines of text."""
        on = board(self.array.board)
        size = f"{self.array.rows} x {self.array.cols} PEs, {self.array.act_bits} x {self.array.wgt_bits} bits, W = {self.array.acc_bits}"
        lines = [
            f"{size}; Yosys' synthesis, no DSP, without injection taps",
            "",
            _row("", "LUT", "FF", ""),
        ]
        lines += [_row(name, _count(cost.lut), _count(cost.ff), "") for name, cost in self.purposes.items()]
        lines += [_row("taps would add", _count(self.taps.lut), _count(self.taps.ff), ""), ""]
        lines.append(_row("design", "LUT", "FF", f"of {on.name}'s LUTs"))
        for name, cost in self.compared.items():
            lines.append(_row(name, _count(cost.lut), _count(cost.ff), f"{100 * fit(cost, on).shares['lut']:.1f} %"))
        return lines


def _row(name: str, lut: str, ff: str, share: str) -> str:
    return f"{name:<26}{lut:>9}{ff:>9}{share:>20}".rstrip()


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def breakdown(array: Array) -> Breakdown:
    """What `array` costs part by part, beside the unprotected array and full TMR.

    >>> table = breakdown(Array.columns_hardened(4, 4, Guard(14), hardened=1)).value()
    >>> table["designs"]["unprotected"]["lut"] < table["designs"]["this array"]["lut"] < table["designs"]["full TMR"]["lut"]
    True
    """
    purposes = by_purpose(array)
    whole, tapped = array_cost(array), array_cost(array, taps=True)
    taps = Cost("yosys", lut=(tapped.lut or 0) - (whole.lut or 0), ff=(tapped.ff or 0) - (whole.ff or 0))
    return Breakdown(array, purposes, taps, {name: array_cost(one) for name, one in designs(array).items()})


def largest_array(
    on: Board, guard: Guard = _PLAIN, taps: bool = False, limit: float = 1.0
) -> tuple[Array, Cost] | None:
    """The largest square array with `guard` in all PEs that takes at most `limit` of a board's LUTs and flip-flops.

    None if not even one PE fits. The shell around the array is not counted.

    >>> largest_array(board("pynq-z2"), limit=0.7)[0].rows >= 14
    True
    """
    found = None
    for size in range(1, 65):
        array = Array(size, size, (guard,), board=on.name, taps=taps)
        cost = array_cost(array, taps)
        if not fit(cost, on).fits(limit):
            break
        found = array, cost
    return found


def table_parts() -> list[Part]:
    """Every part that the shipped table holds: those of the usual guards, in arrays of which the first columns have them."""
    found = {delay(depth) for depth in range(1, 67)}
    for array in _usual_arrays():
        found |= {pe(array, row, col) for row in range(array.rows) for col in range(array.cols)}
        found |= {frame(array, cols)[0] for cols in (2, 3)}
    return sorted(found)


def _usual_arrays() -> Iterator[Array]:
    for taps in (False, True):
        for size in (1, 2, 4, 8, 16):
            yield Array(size, min(size, 2), taps=taps)
        for column in (0, *range(8, 21)):
            for operand, drain in ((False, False), (True, False), (False, True), (True, True)):
                if operand == drain or not taps:
                    yield Array.columns_hardened(2, 2, Guard(column, operand, drain), hardened=1, taps=taps)
    for act_bits, wgt_bits, acc_bits, column in (
        (4, 4, 16, 8),
        (6, 6, 20, 11),
        (8, 4, 20, 12),
        (8, 8, 20, 14),
        (8, 8, 32, 14),
    ):
        for guard in (Guard(column), Guard(0, True, True)):
            yield Array.columns_hardened(
                2, 2, guard, 1, act_bits=act_bits, wgt_bits=wgt_bits, acc_bits=acc_bits, taps=False
            )


def _main() -> None:
    parser = argparse.ArgumentParser(description="The shipped table of synthesised parts.")
    parser.add_argument(
        "--regenerate", action="store_true", required=True, help="synthesise all parts and rewrite the table"
    )
    parser.parse_args()
    known = {}
    wanted, sources, started = table_parts(), verilog.sources(), time.monotonic()
    for i, part in enumerate(wanted):
        known[part] = measured(part, sources)
        print(
            f"{i + 1} of {len(wanted)}, {time.monotonic() - started:.0f} s: {part}: {known[part].lut} LUT",
            flush=True,
        )
    write_table(TABLE, sources, known)


if __name__ == "__main__":
    _main()
