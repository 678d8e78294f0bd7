"""The Verilog core: its sources, and an array as its parameters."""

from __future__ import annotations

import re
from importlib import resources

from hardpoint.array import Array
from hardpoint.errors import InputError

__all__ = [
    "ENGINE",
    "TOP",
    "UNIT",
    "WS_TOP",
    "engine_sources",
    "flattened",
    "needed",
    "parameters",
    "sources",
    "top",
    "unit_parameters",
]

TOP, WS_TOP = "hardpoint_core", "hardpoint_ws"
"""The modules of the whole array, output-stationary and weight-stationary."""

ENGINE = "hardpoint_engine"
"""The module that enters an HLS project as a black box: the array between streams."""


UNIT = "hardpoint_recompute"
"""The same of the recompute unit."""


def top(array: Array) -> str:
    """The module of the whole array for the dataflow of `array`.

    >>> top(Array(8, 8)), top(Array(8, 8, dataflow="ws"))
    ('hardpoint_core', 'hardpoint_ws')
    """
    return WS_TOP if array.dataflow == "ws" else TOP


def sources() -> dict[str, str]:
    """The hand-written Verilog of the arrays by file name."""
    folder = resources.files("hardpoint.hls") / "rtl"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith((".v", ".vh")))
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


def needed(files: dict[str, str], module: str) -> dict[str, str]:
    """Those of `files` that `module` is made of: its own, and what these instantiate and include.

    >>> sorted(needed(sources(), "hp_valid")), "hp_ws_pe.v" in needed(sources(), TOP)
    (['hp_valid.v'], False)
    """
    names, found = {name: name.rpartition(".")[0] for name in files}, {f"{module}.v"}
    left = list(found)
    while left:
        words = set(re.findall(r"\w+", files[left.pop()]))
        fresh = {name for name, stem in names.items() if stem in words} - found
        found |= fresh
        left += fresh
    return {name: files[name] for name in sorted(found)}


def parameters(array: Array, events: bool | None = None) -> dict[str, str]:
    """Parameters of the module `top(array)`, as Verilog literals.

    `events` adds the counting of votes that disagree; injection builds (`array.taps`) have it unless told otherwise.

    >>> from hardpoint.array import Guard
    >>> table = parameters(Array(2, 2, (Guard(), Guard(14, drain=True)), (1, 0), taps=False))
    >>> table["CLASS"], table["B0"], table["B1"], table["DRAIN"]
    ("8'h11", '24', '14', "3'h2")
    """
    _check(array)
    guards = array.guards + array.guards[:1] * (3 - len(array.guards))
    classes = sum(int(index) << (2 * place) for place, index in enumerate(array.class_map.ravel()))
    table = {
        "R": str(array.rows),
        "C": str(array.cols),
        "M": str(array.act_bits),
        "N": str(array.pe_wgt_bits),
        "W": str(array.acc_bits),
        "CLASS": f"{2 * array.rows * array.cols}'h{classes:x}",
        "OPERAND": f"3'h{sum(guard.operand << i for i, guard in enumerate(guards)):x}",
        "RPR": f"3'h{sum((guard.kind == 'rpr') << i for i, guard in enumerate(guards)):x}",
        "DSP": str(int(array.dsp)),
        "TAPS": str(int(array.taps)),
        "EVENTS": str(int(array.taps if events is None else events)),
    }
    if array.dataflow == "ws":
        table["DEPTH"] = str(array.depth)
    else:
        table["DRAIN"] = f"3'h{sum(guard.drain << i for i, guard in enumerate(guards)):x}"
    for i, guard in enumerate(guards):
        table[f"B{i}"] = str(array.acc_bits if guard.column is None else guard.column)
    return table


def _check(array: Array) -> None:
    """Raise an InputError for what the Verilog arrays are not."""
    for guard in array.guards if array.dsp else ():
        if guard.kind != "rpr" and guard.column not in (None, 0):
            raise InputError(
                f"a multiplier in a DSP block cannot be split at a guard column: its guards are none, 0 or rpr, not {guard}"
            )


def unit_parameters(array: Array, events: bool | None = None) -> dict[str, str]:
    """Parameters of module `hp_recompute`, the recompute unit of `array`; `events` as in `parameters`.

    >>> from hardpoint.array import Guard, Recompute
    >>> table = unit_parameters(Array(2, 2, recompute=Recompute(8, Guard(12, drain=True)), taps=False))
    >>> table["LANES"], table["B"], table["OPERAND"], table["DRAIN"]
    ('8', '12', '1', '3')
    """
    if array.recompute is None:
        raise InputError("this array has no recompute unit")
    guard = array.recompute.guard
    return {
        "LANES": str(array.recompute.lanes),
        "M": str(array.act_bits),
        "N": str(array.pe_wgt_bits),
        "W": str(array.acc_bits),
        "B": str(array.unit_column),
        "OPERAND": "3" if guard.operand else "1",
        "DRAIN": "3" if guard.drain else "1",
        "TAPS": str(int(array.taps)),
        "EVENTS": str(int(array.taps if events is None else events)),
    }


def engine_sources(array: Array) -> dict[str, str]:
    """What the black boxes add to `sources`: their modules, and `array` as the parameters that they include.

    >>> print(engine_sources(Array(2, 2))["hardpoint_parameters.vh"].splitlines()[1])
    parameter WS = 0,
    """
    table = {
        "WS": str(int(array.dataflow == "ws")),
        "DEPTH": str(array.depth),
        "DRAIN": "3'h0",
        "RPR": "3'h0",
        "DSP": "0",
        **parameters(array),
    }
    made = {f"{ENGINE}.v": _engine(ENGINE), "hardpoint_parameters.vh": _header(array, table)}
    if array.recompute is not None:
        made |= {f"{UNIT}.v": _engine(UNIT), "hardpoint_recompute.vh": _header(array, unit_parameters(array))}
    return made


def flattened(files: dict[str, str]) -> dict[str, str]:
    """The modules among `files` with what they include written out, for tools that copy files one by one."""

    def included(match: re.Match[str]) -> str:
        indent, name = match[1], match[2]
        return "".join(f"{indent}{line}\n" if line else "\n" for line in files[name].splitlines())

    pattern = re.compile(r'^([ \t]*)`include "([^"]+)"[ \t]*\n', re.M)
    return {name: pattern.sub(included, text) for name, text in files.items() if name.endswith(".v")}


def _engine(name: str) -> str:
    return (resources.files("hardpoint.hls") / "rtl" / "engine" / f"{name}.v").read_text(encoding="utf-8")


def _header(array: Array, table: dict[str, str]) -> str:
    """Parameters as a list that a module includes."""
    lines = ",\n".join(f"parameter {name} = {value}" for name, value in _typed(table).items())
    return f"// Generated for array {array.digest}.\n{lines}\n"


def _typed(table: dict[str, str]) -> dict[str, str]:
    """Parameters with their widths where they have one: a sized literal says it."""
    return {
        f"[{int(value.split(chr(39))[0]) - 1}:0] {name}" if "'" in value else name: value
        for name, value in table.items()
    }
