"""What an array costs, composed from synthesised parts, and what its guards add.

`python -m hardpoint.hls.cost --regenerate` synthesises the parts of the usual arrays and rewrites the shipped table.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from hardpoint.array import Array, Guard, Recompute
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import atomic_path
from hardpoint.hls import verilog
from hardpoint.hls.boards import Board, Fit, board, fit
from hardpoint.hls.buffers import buffer_cost, shell_buffers, shell_cost
from hardpoint.hls.coverage import alike
from hardpoint.hls.parts import (
    TABLE,
    Part,
    Price,
    accumulator,
    delay,
    frame,
    in_table,
    known,
    measured,
    memory,
    pe,
    price,
    unit,
    write_table,
)
from hardpoint.program import LIMITS, Limits

__all__ = ["Breakdown", "array_cost", "breakdown", "designs", "largest_array", "table_parts", "with_buffers"]

_PLAIN = Guard()
_BESIDE = ("unprotected", "this array", "full TMR")


def array_cost(array: Array, taps: bool = False) -> Cost:
    """LUTs and flip-flops of `array` by Yosys' synthesis of its parts; with the taps of injection builds if `taps`.

    Parts that the shipped table lacks are synthesised once, in some seconds each, and kept in the user's cache.

    >>> array_cost(Array(4, 4)).source
    'yosys'
    """
    return sum(by_purpose(array, taps).values(), start=_cost(0, 0))


def by_purpose(array: Array, taps: bool = False) -> dict[str, Cost]:
    """The cost of an array's PEs by guard class, its operand skew, its sum alignment and its control; of a
    weight-stationary array's accumulators by guard class too, memories included.

    Control is the flags that travel through the PEs, once for each diagonal, and what paces the array.
    """
    verilog.parameters(array)  # refuses what the Verilog is not
    array = dataclasses.replace(array, taps=taps)
    purposes = dict(_without_unit(dataclasses.replace(array, recompute=None)))
    if array.recompute is not None:
        made = price(unit(array))
        purposes["recompute unit"] = _cost(made.lut, made.ff, made.dsp)
    return purposes


@lru_cache(4096)
def _without_unit(array: Array) -> tuple[tuple[str, Cost], ...]:
    """The costs of an array that has no recompute unit, by purpose."""
    pes, diagonals = _pes(array)
    skew, alignment = _skew(array), _alignment(array)
    found = {**pes, **_accumulators(array), "operand skew": skew, "sum alignment": alignment, "control": diagonals + _control(array)}
    return tuple(found.items())


def _pes(array: Array) -> tuple[dict[str, Cost], Cost]:
    """PEs by guard class without what merges along diagonals, and that."""
    luts: Counter[str] = Counter()
    ffs: Counter[str] = Counter()
    dsps: Counter[str] = Counter()
    merged: dict[int, tuple[int, int]] = {}
    prices: dict[tuple[int, int], Price] = {}
    names, numbers = [f"PEs {guard}" for guard in array.guards], array.class_map.tolist()
    like_row, like_col = alike(array.class_map), alike(array.class_map.T)
    for row in range(array.rows):
        for col in range(array.cols):
            place = like_row[row], like_col[col]
            if place not in prices:
                prices[place] = price(pe(array, *place))
            one, name = prices[place], names[numbers[row][col]]
            luts[name] += one.lut - one.shared_lut
            ffs[name] += one.ff - one.shared_ff
            dsps[name] += one.dsp
            if array.dataflow == "ws" and col == array.cols - 1 and (col or row == array.rows - 1):
                ffs[name] -= 1  # its flag that weights are taken goes nowhere
            merged[row + col] = max(merged.get(row + col, (0, 0)), (one.shared_lut, one.shared_ff))
    for row, col, bits, joined, line in _lines(array):
        ffs[f"PEs {array.guard(row, col)}"] -= bits * (joined > line.ff)  # the whole line became a shift register
    unread = array.dataflow == "ws" and not array.taps  # where no votes are counted nobody reads which step is a pixel
    return (
        {name: _cost(luts[name], ffs[name], dsps[name]) for name in luts},
        _cost(sum(lut for lut, _ in merged.values()), sum(ff - unread for _, ff in merged.values())),
    )


def _accumulators(array: Array, memories: bool = True) -> dict[str, Cost]:
    """Accumulators by guard class, with or without memories, and without what paces them, which the columns share."""
    found: dict[str, Cost] = {}
    for col in range(array.cols if array.dataflow == "ws" else 0):
        one, name = price(accumulator(array, col)), f"accumulators {array.guard(0, col)}"
        found[name] = found.get(name, _cost(0, 0)) + _cost(one.lut - one.shared_lut, one.ff - one.shared_ff)
        if memories:
            held = price(memory(array, col))
            found[name] += _cost(held.lut, held.ff, 0, held.bram)
    return found


def _lines(array: Array) -> Iterator[tuple[int, int, int, int, Price]]:
    """Delay lines of the operands: row and column of the PE they end in, bits, whether they take in its register, price."""
    edges = [(row, 0, row, array.act_bits, True) for row in range(1, array.rows)]
    edges += [(0, col, col, array.pe_wgt_bits, array.dataflow == "os") for col in range(1, array.cols)]
    for row, col, depth, bits, joins in edges:  # a weight that stays has a clock enable of its own
        joined = int(joins and array.operand_lanes[row, col] == 1 and not array.taps)
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
    late = ((array.column_map < array.acc_bits).any(0) & (array.dataflow == "os")).astype(int)
    lines = [price(delay(array.cols - col + int(late.max()) - int(late[col]))) for col in range(array.cols)]
    return _cost(array.acc_bits * sum(line.lut for line in lines), array.acc_bits * sum(line.ff for line in lines))


def _control(array: Array) -> Cost:
    """The array without PEs, delays and accumulators: measured at two and three columns, and linear in their number.

    Above 16 rows it is taken as proportional to them.
    """
    sizes = []
    for cols in (2, 3):
        part, narrow = frame(array, cols)
        whole, inside = price(part), _skew(dataclasses.replace(narrow, taps=True)) + _alignment(narrow)
        inside = sum(_accumulators(narrow, memories=False).values(), start=inside)
        sizes.append((whole.lut - int(inside.lut or 0), whole.ff - int(inside.ff or 0)))
    (lut, ff), (more_lut, more_ff) = sizes
    extra, taller = array.cols - 2, max(array.rows, 16) / 16
    return _cost(
        round(taller * (lut + extra * (more_lut - lut))),
        round(taller * (ff + extra * (more_ff - ff))),
    )


def _cost(lut: int, ff: int, dsp: int = 0, bram: int = 0) -> Cost:
    return Cost("yosys", lut=lut, ff=ff, dsp=dsp, bram=bram, uram=0)


def designs(array: Array) -> dict[str, Array]:
    """What an array is compared with, of its size and in all PEs: no guard, guarded columns, reduced-precision
    redundancy and full TMR (operands and drain included); and those of them whose multipliers may be DSP blocks.

    >>> list(designs(Array(2, 2)))[1:3]
    ['this array', 'columns 14']
    """
    column = next((guard.column for guard in array.guards if guard.column), min(14, array.acc_bits - 1))

    def under(guard: Guard, dsp: bool = False) -> Array:
        return dataclasses.replace(array, guards=(guard,), classes=(), dsp=dsp, recompute=None)

    tmr, reduced = Guard(0, operand=True, drain=array.dataflow == "os"), Guard(column, kind="rpr")
    return {
        "unprotected": under(_PLAIN),
        "this array": array,
        f"columns {column}": under(Guard(column)),
        f"reduced precision {column}": under(reduced),
        "full TMR": under(tmr),
        "unprotected, DSP": under(_PLAIN, True),
        f"reduced precision {column}, DSP": under(reduced, True),
        "full TMR, DSP": under(tmr, True),
    }


@dataclass(frozen=True)
class Breakdown:
    """An array's cost by purpose, what its injection taps would add, the memories of the shell around it, and the designs
    it is compared with, each with its own shell's memories."""

    array: Array
    purposes: dict[str, Cost]
    taps: Cost
    buffers: dict[str, Cost]
    compared: dict[str, Cost]
    fits: dict[str, Fit]

    def value(self) -> dict[str, Any]:
        """The same as plain numbers."""
        on = board(self.array.board)
        return {
            "source": "yosys",
            "board": on.name,
            "parts": {
                name: {"lut": cost.lut, "ff": cost.ff, "dsp": cost.dsp, "bram": cost.bram}
                for name, cost in self.purposes.items()
            },
            "taps": {"lut": self.taps.lut, "ff": self.taps.ff},
            "buffers": {
                name: {"lut": cost.lut, "bram": cost.bram, "uram": cost.uram, "source": cost.source}
                for name, cost in self.buffers.items()
            },
            "designs": {
                name: {
                    "lut": cost.lut,
                    "ff": cost.ff,
                    "dsp": cost.dsp,
                    "bram": cost.bram,
                    "share_of_luts": round((cost.lut or 0) / on.lut, 4),
                    "shares_with_buffers": {key: round(share, 4) for key, share in self.fits[name].shares.items()},
                    "binding": self.fits[name].binding,
                    "share": round(self.fits[name].share, 4),
                }
                for name, cost in self.compared.items()
            },
        }

    def lines(self) -> list[str]:
        """The same as lines of text."""
        on = board(self.array.board)
        size = f"{self.array.rows} x {self.array.cols} PEs, {self.array.act_bits} x {self.array.wgt_bits} bits, W = {self.array.acc_bits}"
        if self.array.policy != "direct":
            size += f", {self.array.policy} policy with {self.array.headroom} bits of headroom"
        lines = [
            f"{size}; Yosys' synthesis, without injection taps; the shell's memories are an estimate, its logic is not counted",
            "",
            _row("", "LUT", "FF", "DSP", "BRAM18"),
        ]
        lines += [_row(name, *_counts(cost)) for name, cost in self.purposes.items()]
        lines += [_row("taps would add", *_counts(self.taps)), ""]
        lines.append(_row("shell's memories", "LUT", "", "URAM", "BRAM18"))
        lines += [
            _row(name, _count(cost.lut), "", _count(cost.uram), _count(cost.bram)) for name, cost in self.buffers.items()
        ]
        lines += ["", _row("design", "LUT", "FF", "DSP", "BRAM18", "of LUTs", f"with memories binds on {on.name}")]
        for name, cost in self.compared.items():
            found, luts = self.fits[name], f"{100 * (cost.lut or 0) / on.lut:.1f} %"
            lines.append(_row(name, *_counts(cost), luts, f"{100 * found.share:.1f} % of {found.binding}"))
        return lines

    def plot(self, path: Path) -> None:
        """Draw LUTs of the parts as bars, beside them the designs it is compared with, and the block RAMs of accumulators
        and shell; the format is the name's ending."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(14, 4), layout="constrained")
        held = {name: cost for name, cost in self.purposes.items() if cost.bram} | self.buffers
        panels = [
            ("LUTs by purpose", "LUTs (Yosys' synthesis)", "lut", {**self.purposes, "taps would add": self.taps}, "#0072B2"),
            ("LUTs of the whole array", "LUTs (Yosys' synthesis)", "lut", self.compared, "#E69F00"),
            ("Memories", "block RAMs of 18 Kbit (estimate)", "bram", held, "#009E73"),
        ]
        for axes, (title, label, key, costs, colour) in zip(figure.subplots(1, 3), panels, strict=True):
            axes.barh(list(costs), [getattr(cost, key) or 0 for cost in costs.values()], color=colour)
            axes.invert_yaxis()
            axes.set(title=title, xlabel=label)
        try:
            with atomic_path(path) as part:
                figure.savefig(part, format=path.suffix[1:] or "svg")
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None


def _row(name: str, *columns: str) -> str:
    widths = (9, 9, 7, 9, 10, 36)
    return (f"{name:<26}" + "".join(f"{text:>{width}}" for text, width in zip(columns, widths, strict=False))).rstrip()


def _counts(cost: Cost) -> tuple[str, str, str, str]:
    return _count(cost.lut), _count(cost.ff), _count(cost.dsp), _count(cost.bram)


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def breakdown(array: Array, compare: bool = False) -> Breakdown:
    """What `array` costs part by part, beside the unprotected array and full TMR; with `compare` beside all `designs`.

    >>> table = breakdown(Array.columns_hardened(4, 4, Guard(14), hardened=1)).value()
    >>> table["designs"]["unprotected"]["lut"] < table["designs"]["this array"]["lut"] < table["designs"]["full TMR"]["lut"]
    True
    """
    purposes = by_purpose(array)
    whole, tapped = array_cost(array), array_cost(array, taps=True)
    taps = Cost("yosys", lut=(tapped.lut or 0) - (whole.lut or 0), ff=(tapped.ff or 0) - (whole.ff or 0))
    beside = {name: one for name, one in designs(array).items() if compare or name in _BESIDE}
    compared = {name: array_cost(one) for name, one in beside.items()}
    fits = {name: fit(with_buffers(cost, beside[name]), board(array.board)) for name, cost in compared.items()}
    buffers = {name: buffer_cost(one) for name, one in shell_buffers(array).items()}
    return Breakdown(array, purposes, taps, buffers, compared, fits)


def with_buffers(cost: Cost, array: Array, limits: Limits = LIMITS) -> Cost:
    """`cost` of `array` and the memories of the shell around it: an estimate, as those are.

    >>> with_buffers(array_cost(Array(8, 8)), Array(8, 8)).bram
    231
    """
    return dataclasses.replace(cost, source="estimate") + shell_cost(array, limits)


def largest_array(
    on: Board, guard: Guard = _PLAIN, taps: bool = False, limit: float = 1.0, limits: Limits | None = LIMITS
) -> tuple[Array, Cost] | None:
    """The largest square array with `guard` in all PEs that takes at most `limit` of each of a board's resources, and
    with the memories of a shell for `limits` no more than the board has; `limits` None: the array alone.

    None if not even one PE fits. The logic of the shell is not counted.

    >>> [largest_array(board("pynq-z2"), limit=0.7, limits=one)[0].rows >= 14 for one in (None, LIMITS)]
    [True, False]
    """
    found = None
    for size in range(1, 65):
        array = Array(size, size, (guard,), board=on.name, taps=taps)
        cost = array_cost(array, taps)
        whole = cost if limits is None else with_buffers(cost, array, limits)
        if not fit(cost, on).fits(limit) or not fit(whole, on).fits():
            break
        found = array, cost
    return found


def table_parts() -> list[Part]:
    """Every part that the shipped table holds: those of the usual guards, in arrays of which the first columns have them."""
    found = {delay(depth) for depth in range(1, 67)}
    for array in _usual_arrays():
        found |= {pe(array, row, col) for row in range(array.rows) for col in range(array.cols)}
        for part, narrow in (frame(array, cols) for cols in (2, 3)):
            found |= {part} | ({accumulator(narrow, 0)} if array.dataflow == "ws" else set())
        if array.dataflow == "ws":
            found |= {one(array, col) for one in (accumulator, memory) for col in range(array.cols)}
    found |= {unit(Array(1, 1, recompute=one, taps=False)) for one in _usual_units()}
    return sorted(found)


_STATIONARY = (14, 12, 16, 0)
"""Guard columns of the weight-stationary arrays in the shipped table; with taps the first."""

_CONFIGURABLE = ((2, 14), (2, 16), (4, 16), (4, 18))
"""Headroom and guard column of its arrays with windows that layers place."""


def _usual_units() -> Iterator[Recompute]:
    for operand, drain in product((False, True), repeat=2):
        yield from (Recompute(8, Guard(column, operand, drain)) for column in (0, 10, 12, 14, 16))
    for lanes in (4, 16):
        yield from (Recompute(lanes, Guard(column)) for column in (12, 14, 16))
        yield from (Recompute(lanes, Guard(14, operand, True)) for operand in (False, True))
    yield from (Recompute(lanes) for lanes in (4, 8, 16))


def _usual_arrays() -> Iterator[Array]:
    for taps in (False, True):
        for size in (1, 2, 4, 8, 16):
            yield Array(size, min(size, 2), taps=taps)
        for column in (0, 8, 12, 14, 16, 20) if taps else (0, *range(8, 21)):
            yield Array.columns_hardened(2, 2, Guard(column), 1, taps=taps)
            if column in (0, 12, 14, 16):
                yield Array.columns_hardened(2, 2, Guard(column, True, True), 1, taps=taps)
        yield Array.columns_hardened(2, 2, Guard(14, kind="rpr"), 1, taps=taps)
    for column, (operand, drain) in product((0, 8, 10, *range(12, 19), 20), ((True, False), (False, True), (True, True))):
        yield Array.columns_hardened(2, 2, Guard(column, operand, drain), 1, taps=False)
    for taps in (False, True):
        for column, operand in product(_STATIONARY[: 1 if taps else None], (False, True)):
            yield Array.columns_hardened(2, 2, Guard(column, operand), 1, dataflow="ws", taps=taps)
        for size in (8,) if taps else (4, 8, 16):
            yield Array(size, 1, dataflow="ws", taps=taps)
    for column in (10, 12, 14, 16, 18):
        yield Array.columns_hardened(2, 2, Guard(column, kind="rpr"), 1, taps=False)
        yield Array(2, 1, (Guard(column, kind="rpr"),), taps=False, dsp=True)
    yield Array(2, 1, taps=False, dsp=True)
    yield Array(2, 2, (Guard(0, True, True),), taps=False, dsp=True)
    for operand, drain in product((False, True), repeat=2):
        yield Array.columns_hardened(2, 2, Guard(0, operand, drain), 1, taps=False, dsp=True)
    moved = partial(Array, taps=False, policy="configurable")
    for headroom, column in _CONFIGURABLE:
        yield moved(2, 2, (Guard(column), Guard()), (0, 1), headroom=headroom)
        yield moved(2, 1, (Guard(column, kind="rpr"),), dsp=True, headroom=headroom)
    yield moved(2, 1, dsp=True, headroom=4)
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
        "--regenerate",
        action="store_true",
        required=True,
        help="synthesise what is missing or made from other Verilog, and rewrite the table",
    )
    parser.add_argument("--jobs", type=int, default=2, help="parts that are synthesised at a time (2)")
    jobs = parser.parse_args().jobs
    sources, started, kept = verilog.sources(), time.monotonic(), known()
    prices = {part: kept[str(part)] for part in table_parts() if str(part) in kept}
    wanted = sorted((part for part in table_parts() if part not in prices), key=lambda part: not in_table(part))
    print(f"{len(prices)} parts are of the Verilog that is here; {len(wanted)} are synthesised", flush=True)
    with ThreadPoolExecutor(jobs) as pool:  # Yosys runs in processes of its own
        for i, (part, made) in enumerate(
            zip(wanted, pool.map(lambda one: measured(one, sources), wanted), strict=True)
        ):
            prices[part] = made
            print(f"{i + 1}, {time.monotonic() - started:.0f} s: {part}: {made.lut} LUT", flush=True)
    write_table(TABLE, sources, prices)


if __name__ == "__main__":
    _main()
