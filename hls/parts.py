"""An array as the modules that it is made of, and what each of them costs when synthesised alone.

Three things tell an array from the sum of its modules. What `flags_in` alone decides in a PE is the same in all PEs of a
diagonal, and merges. The top row's drain registers take nothing from above. And an operand register at the array's edge
ends the delay line before it, so both become one shift register. In a weight-stationary array what paces the
accumulators is one chain for all columns, each of which delays it by a cycle.

LUTs, carry chains and flip-flops of 7 series and UltraScale+ are alike, and Yosys maps these modules to the same
primitives for both: parts are synthesised for the former.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hardpoint.array import Array, Guard, most_carry
from hardpoint.errors import InputError
from hardpoint.files import digest, load_json, write_json
from hardpoint.hls import verilog
from hardpoint.hls.synthesis import synthesise
from hardpoint.hls.yosys import version

__all__ = [
    "TABLE",
    "Part",
    "Price",
    "accumulator",
    "delay",
    "frame",
    "in_table",
    "known",
    "measured",
    "memory",
    "pe",
    "price",
    "source_digests",
    "unit",
    "write_table",
]

TABLE = Path(__file__).parent / "costs.json"
"""The shipped table of synthesised parts."""


@dataclass(frozen=True, order=True)
class Part:
    """A module of the core with its parameters.

    `kind` is "whole", "top row" (an output-stationary PE with nothing above), "second row" (a weight-stationary PE below
    an unguarded one with nothing above, whose sum's high bits are its sign), "frame" (the array with its PEs and memories
    taken out) or "no memory" (an accumulator without it).
    """

    module: str
    parameters: tuple[tuple[str, int], ...]
    kind: str = "whole"

    @classmethod
    def of(cls, module: str, kind: str = "whole", **parameters: int) -> Part:
        """A part from keywords, which take the order of the alphabet."""
        return cls(module, tuple(sorted(parameters.items())), kind)

    def __str__(self) -> str:
        settings = "".join(f" {name}={value}" for name, value in self.parameters)
        return f"{self.module}, {self.kind}:{settings}"


@dataclass(frozen=True)
class Price:
    """LUTs, flip-flops and DSPs of a part, how much of them merges among PEs of one diagonal, and block RAMs of 18 Kbit."""

    lut: int
    ff: int
    dsp: int = 0
    shared_lut: int = 0
    shared_ff: int = 0
    bram: int = 0


def pe(array: Array, row: int, col: int) -> Part:
    """The PE of `array` at (row, col); parameters that change nothing there are at their default.

    >>> str(pe(Array(2, 2, taps=False), 0, 0))
    'hp_pe, top row: ABOVE=1 ABOVE_SPLIT=24 B=24 DRAIN=1 EVENTS=0 LATE=0 LEFT=1 M=8 N=8 OPERAND=1 TAPS=0 W=24'
    """
    if array.dataflow == "ws":
        return _stationary(array, row, col)
    column, lanes, drains = array.column_map, array.operand_lanes, array.drain_lanes
    split = int(column[row, col]) if drains[row, col] == 3 else array.acc_bits
    above = int(column[row - 1, col]) if row and drains[row - 1, col] == 3 else array.acc_bits
    one = lanes[row, col] == 1  # three lanes take each lane as it comes
    return Part.of(
        "hp_pe",
        "whole" if row else "top row",
        M=array.act_bits,
        N=array.pe_wgt_bits,
        W=array.acc_bits,
        B=int(column[row, col]),
        OPERAND=int(lanes[row, col]),
        DRAIN=int(drains[row, col]),
        LEFT=int(lanes[row, col - 1]) if one and col else 1,
        ABOVE=int(lanes[row - 1, col]) if one and row else 1,
        ABOVE_SPLIT=above if above < split else array.acc_bits,
        LATE=int((column[:, col] < array.acc_bits).any()),
        TAPS=int(array.taps),
        EVENTS=int(array.taps and bool((column[: row + 1, col] < array.acc_bits).any())),  # nothing above can disagree
        **_kinds(array, row, col),
    )


def _stationary(array: Array, row: int, col: int) -> Part:
    """The same of a weight-stationary array, whose top row has a parameter of its own."""
    lanes, column = array.operand_lanes, int(array.column_map[row, col])
    product = column == array.acc_bits and not array.taps and not array.dsp  # what comes from the top row
    return Part.of(
        "hp_ws_pe",
        "second row" if row == 1 and product else "whole",
        M=array.act_bits,
        N=array.pe_wgt_bits,
        W=array.acc_bits,
        B=column,
        OPERAND=int(lanes[row, col]),
        LEFT=int(lanes[row, col - 1]) if lanes[row, col] == 1 and col else 1,
        TOP=int(row == 0),
        TAPS=int(array.taps),
        EVENTS=int(array.taps and column < array.acc_bits),
        **_kinds(array, row, col),
    )


def _kinds(array: Array, row: int, col: int) -> dict[str, int]:
    """Parameters of a PE that only some have."""
    kinds = {"REDUCED": int(array.guard(row, col).kind == "rpr"), "DSP": int(array.dsp)}
    return {name: 1 for name, value in kinds.items() if value}


def accumulator(array: Array, col: int) -> Part:
    """The accumulator below column `col` of a weight-stationary array, without its memory.

    >>> str(accumulator(Array(2, 2, dataflow="ws", taps=False), 0))
    'hp_ws_sum, no memory: ADDRESS=9 B=24 DEPTH=512 EVENTS=0 TAPS=0 W=24'
    """
    column = int(array.column_map[0, col])
    more = {}
    if array.guard(0, col).kind == "rpr":
        more = {"REDUCED": 1, "BOUND": most_carry(array.act_bits, array.pe_wgt_bits, column)}
    return Part.of(
        "hp_ws_sum",
        "no memory",
        W=array.acc_bits,
        B=column,
        DEPTH=array.depth,
        ADDRESS=(array.depth - 1).bit_length(),
        TAPS=int(array.taps),
        EVENTS=int(array.taps and column < array.acc_bits),
        **more,
    )


def memory(array: Array, col: int) -> Part:
    """The memory of that accumulator: three copies of the guarded columns.

    >>> str(memory(Array(2, 2, (Guard(14),), dataflow="ws"), 0))
    'hp_memory, whole: ADDRESS=9 DEPTH=512 WIDTH=44'
    """
    width = 3 * array.acc_bits - 2 * int(array.column_map[0, col])
    return Part.of("hp_memory", WIDTH=width, DEPTH=array.depth, ADDRESS=(array.depth - 1).bit_length())


def unit(array: Array) -> Part:
    """The recompute unit of `array`."""
    parameters = {name: int(value) for name, value in verilog.unit_parameters(array).items()}
    return Part.of("hp_recompute", "whole", **parameters)


def delay(depth: int) -> Part:
    """A delay of one bit by `depth` cycles."""
    return Part.of("hp_delay", WIDTH=1, DEPTH=depth)


def frame(array: Array, cols: int) -> tuple[Part, Array]:
    """The array without its PEs, narrowed to `cols` unguarded columns of the least width; and that narrow array.

    Its rows are the next power of two, at most 16: what paces 9 rows is taken as what paces 16, some LUTs more. A
    weight-stationary array keeps its accumulators, which share what paces them.
    """
    rows = min(1 << (array.rows - 1).bit_length(), 16)
    narrow = dataclasses.replace(array, rows=rows, cols=cols, guards=(Guard(),), classes=(), recompute=None)
    narrow = dataclasses.replace(narrow, act_bits=2, wgt_bits=2, acc_bits=12, policy="direct", headroom=0)
    part = Part.of(
        verilog.top(array),
        "frame",
        **({"DEPTH": array.depth} if array.dataflow == "ws" else {}),
        R=narrow.rows,
        C=cols,
        M=2,
        N=2,
        W=12,
        B0=12,
        B1=12,
        B2=12,
        TAPS=int(array.taps),
        EVENTS=int(array.taps),
    )
    return part, narrow


@lru_cache(4096)
def price(part: Part) -> Price:
    """What `part` costs: from the shipped table, else synthesised (and kept in the user's cache)."""
    row = _table().get(str(part))
    return measured(part) if row is None else Price(*row)


def measured(part: Part, sources: Mapping[str, str] | None = None) -> Price:
    """What `part` of `sources` (the core's Verilog) costs by synthesis, whatever the table says."""
    sources = verilog.needed(dict(verilog.sources() if sources is None else sources), part.module)
    for name in _HOLLOW.get((part.module, part.kind), ()):
        sources[name] = _hollow(sources[name])
    if part.kind == "top row":
        sources["hp_pe.v"] = _tied(sources["hp_pe.v"], "drain_in", "0")
    elif part.kind == "second row":
        extended = "{sent[3*W-1:W], {W-M-N+1{sent[M+N-1]}}, sent[M+N-2:0]}"
        sources["hp_ws_pe.v"] = _tied(sources["hp_ws_pe.v"], "sum_in", extended, "sent")
    control = ("clk", "rst", "en", *_PACE[part.module]) if part.module in _PACE else ()
    parameters = dict(part.parameters)
    made = synthesise(
        part.module, parameters, dsp="DSP" in parameters, memories=part.module == "hp_memory", sources=sources, control=control
    )  # fmt: skip
    numbers = (made.cost.lut, made.cost.ff, made.cost.dsp, made.shared.lut, made.shared.ff, made.cost.bram)
    return Price(*(int(number or 0) for number in numbers))


_PACE = {"hp_pe": ["flags_in"], "hp_ws_pe": ["flags_in[0]", "flags_in[2]"], "hp_ws_sum": ["step_in"]}
"""Inputs that neighbours send on a cycle later: what they alone decide merges. (A weight is taken by rows: flag 1 does not.)"""

_HOLLOW = {
    (verilog.TOP, "frame"): ["hp_pe.v"],
    (verilog.WS_TOP, "frame"): ["hp_ws_pe.v", "hp_memory.v"],
    ("hp_ws_sum", "no memory"): ["hp_memory.v"],
}
"""Files whose module is taken out."""

_HEAD = re.compile(r"^module .*?^\);\n", re.S | re.M)


def _hollow(module: str) -> str:
    """The head of a Verilog module as a black box."""
    head = _HEAD.search(module)
    if head is None:
        raise InputError("the Verilog of a part has no module with a list of ports")
    return f"(* blackbox *)\n{head.group()}endmodule\n"


def _tied(module: str, port: str, value: str, instead: str = "") -> str:
    """A module whose input bus `port` is a wire of `value`; this may use the bus `instead`, which takes the port's place."""
    found = re.search(rf"^( *input wire (\[[^\n]*\]) ){port},\n", module, re.M)
    head = _HEAD.search(module)
    if found is None or head is None:
        raise InputError(f"the Verilog of a part has no port {port}")
    tied = head.group().replace(found.group(), f"{found[1]}{instead},\n" if instead else "")
    return module.replace(head.group(), f"{tied}    wire {found[2]} {port} = {value};\n")


def source_digests(sources: Mapping[str, str]) -> dict[str, str]:
    """Names the Verilog that each module of the table is made of, by content."""
    return {
        module: digest(*(text for item in sorted(verilog.needed(dict(sources), module).items()) for text in item))
        for module in ("hp_pe", "hp_delay", verilog.TOP, "hp_ws_pe", "hp_ws_sum", "hp_memory", verilog.WS_TOP, "hp_recompute")
    }


def known() -> dict[str, Price]:
    """Rows of the shipped table that were made from the Verilog that is here, by the same Yosys."""
    if not TABLE.is_file():
        return {}
    table, now = load_json(TABLE, "cost table"), source_digests(verilog.sources())
    if table["yosys"] != version():
        return {}
    good = {module for module, made in now.items() if table["sources"].get(module) == made}
    return {name: Price(*row) for name, row in table["parts"].items() if name.split(",")[0] in good}


@lru_cache(1)
def _table() -> dict[str, list[int]]:
    if not TABLE.is_file():
        return {}
    return dict(load_json(TABLE, "cost table")["parts"])


def in_table(part: Part) -> bool:
    """Whether the shipped table has a row for `part`, of whatever Verilog."""
    return str(part) in _table()


def write_table(path: str | os.PathLike[str], sources: Mapping[str, str], prices: Mapping[Part, Price]) -> None:
    """Write the table of parts, with digests of the Verilog that they were made from."""
    rows = {str(part): list(dataclasses.astuple(p)) for part, p in sorted(prices.items())}
    write_json(
        path,
        {"format": "hardpoint costs 1", "yosys": version(), "sources": source_digests(sources), "parts": rows},
    )
