"""What the Verilog core becomes in synthesis: without taps it holds no trace of them, and it keeps to its budgets."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import groupby, permutations, product
from math import factorial, prod
from pathlib import Path
from typing import Any

import pytest

from hardpoint.array import Array, Guard
from hardpoint.hls import synthesis, verilog

PE = {"M": 8, "N": 8, "W": 24, "B": 24, "TAPS": 0, "EVENTS": 0}
INSTANCE = re.compile(r"hp_tap #\(.*?\)\s*\w+ \(.*?\.x\((.*?)\),\s*\.y\((.*?)\)\);", re.S)
LATE = re.compile(r"hp_late_tap #\(.*?\)\s*\w+ \(.*?\.dead\((.*?)\), \.x\((.*?)\),\s*\.y\((.*?)\)\);", re.S)


def pe(column: int, **more: int) -> dict[str, int]:
    return {**PE, "B": column, "LATE": int(column < 24), **more}


def untapped(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources with the tap modules deleted: what is tapped goes on as it is, where it is dead as zero."""
    files = {name: text for name, text in sources.items() if name not in ("hp_tap.v", "hp_late_tap.v", "hp_masks.v")}
    late = {name: LATE.sub(r"assign \3 = (\2) & {64{~(\1)}};", text) for name, text in files.items()}
    deleted = {name: INSTANCE.sub(r"assign \2 = \1;", text) for name, text in late.items()}
    assert not any("_tap #" in text for text in deleted.values())
    return deleted


def lut(init: str, drivers: list[Any]) -> tuple[list[str], str]:
    """A LUT's table whatever the order of its pins: drivers sorted, and the least table of all orders that sort them.

    Where many orders do (drivers not told apart yet), only how many ones it has.
    """
    names = [repr(driver) for driver in drivers]
    groups = [list(group) for _, group in groupby(sorted(range(len(names)), key=names.__getitem__), names.__getitem__)]
    if prod(factorial(len(group)) for group in groups) > 24:
        return sorted(names), str(init.count("1"))
    tables = []
    for parts in product(*(permutations(group) for group in groups)):
        order = [pin for part in parts for pin in part]
        places = (sum((i >> new & 1) << pin for new, pin in enumerate(order)) for i in range(len(init)))
        tables.append("".join(init[-1 - place] for place in places))
    return sorted(names), min(tables)


def shape(
    top: str, parameters: dict[str, Any], sources: dict[str, str], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Counter:
    """A mapped netlist up to the names of its nets and cells: cells by what they are and what drives them."""
    monkeypatch.setattr(
        synthesis.Netlist, "load", classmethod(lambda cls, path, top: json.loads(Path(path).read_text()))
    )
    module = synthesis.map_netlist(top, parameters, sources=sources, **options)["modules"][top]
    colours: dict[Any, Any] = {}
    for name, port in module["ports"].items():
        if port["direction"] == "input":
            colours |= {bit: (name, i) for i, bit in enumerate(port["bits"])}
    cells = [cell for cell in module["cells"].values() if not cell["type"].startswith("$")]
    for _ in range(12):  # longer than any cycle of registers that matters here
        fresh = {}
        for cell in cells:
            pins = sorted(cell["connections"].items())
            inputs = [(pin, [colours.get(b, b if isinstance(b, str) else None) for b in bits]) for pin, bits in pins
                      if cell["port_directions"][pin] == "input"]  # fmt: skip
            if cell["type"].startswith("LUT"):
                own = hash(repr((cell["type"], lut(cell["parameters"]["INIT"], [bits[0] for _, bits in inputs]))))
            else:
                own = hash(repr((cell["type"], cell["parameters"].get("INIT"), inputs)))
            for pin, bits in pins:
                if cell["port_directions"][pin] == "output":
                    fresh |= {bit: hash((own, pin, i)) for i, bit in enumerate(bits)}
        colours |= fresh
    return Counter(colours[bit] for cell in cells for pin, bits in cell["connections"].items() for bit in bits
                   if cell["port_directions"][pin] == "output")  # fmt: skip


@pytest.mark.parametrize("guard", [{"OPERAND": 3, "LEFT": 3, "DRAIN": 3}, {"REDUCED": 1}])
def test_without_taps_it_is_the_source_with_the_taps_deleted(
    guard: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, deleted = verilog.sources(), untapped(verilog.sources())
    assert sum(len(INSTANCE.findall(text)) for text in sources.values()) >= 10
    parameters = pe(20, W=24, M=4, N=4, **guard)
    plain = shape("hp_pe", parameters, sources, monkeypatch)
    assert plain == shape("hp_pe", {**parameters, "TAPS": 1}, deleted, monkeypatch)
    assert plain != shape("hp_pe", {**parameters, "B": 19}, sources, monkeypatch)


def test_a_pe_keeps_to_its_budget_of_luts() -> None:
    assert synthesis.synthesise("hp_low", {"M": 8, "N": 8, "W": 24, "B": 24, "CARRY": 0, "TAPS": 0}).cost.lut <= 145
    luts = {column: synthesis.synthesise("hp_pe", pe(column)).cost.lut or 0 for column in (24, 16, 14, 12)}
    assert luts[24] <= 190
    assert luts[16] <= 1.30 * luts[24]
    assert luts[14] <= 1.25 * luts[24]
    assert luts[12] <= 1.65 * luts[24]


def test_reduced_precision_costs_less_than_full_tmr() -> None:
    luts = [synthesis.synthesise("hp_pe", parameters).cost.lut for parameters in (pe(14), pe(14, REDUCED=1), pe(0))]
    assert luts == sorted(luts)


@pytest.mark.parametrize(("parameters", "blocks"), [(pe(24), 1), (pe(0), 3), (pe(14, REDUCED=1), 1)])
def test_multipliers_take_dsp_blocks(parameters: dict[str, int], blocks: int) -> None:
    made = synthesis.synthesise("hp_pe", {**parameters, "DSP": 1}, dsp=True).cost
    assert made.dsp == blocks
    assert (made.lut or 0) < (synthesis.synthesise("hp_pe", parameters).cost.lut or 0)


@pytest.mark.parametrize("reduced", [0, 1])
@pytest.mark.parametrize("column", [24, 16, 14, 12, 0])
@pytest.mark.parametrize("taps", [0, 1])
def test_paths_are_short(column: int, taps: int, reduced: int) -> None:
    if reduced and column == 24:
        pytest.skip("nothing is guarded")
    levels = synthesis.synthesise("hp_pe", pe(column, TAPS=taps, EVENTS=taps, REDUCED=reduced)).levels
    assert levels.luts <= 4
    assert levels.chains <= 2


CORES = {
    "none": Array(2, 2),
    "B=16": Array(2, 2, (Guard(16),)),
    "full TMR": Array(2, 2, (Guard(0, True, True),)),
    "rpr": Array(2, 2, (Guard(14, kind="rpr"),)),
    "ws B=14": Array(3, 2, (Guard(14, True),), dataflow="ws"),
    "ws rpr": Array(3, 2, (Guard(14, kind="rpr"),), dataflow="ws"),
}


@pytest.mark.parametrize(
    "name", ["B=16", *(pytest.param(name, marks=pytest.mark.slow) for name in CORES if name != "B=16")]
)
def test_paths_of_whole_cores_with_taps_are_short(name: str) -> None:
    array = CORES[name]
    levels = synthesis.synthesise(verilog.top(array), verilog.parameters(array), memories=array.dataflow == "ws").levels
    assert levels.luts <= 4
    assert levels.chains <= 2
