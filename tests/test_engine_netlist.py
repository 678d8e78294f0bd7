"""What weight-stationary arrays and the recompute unit become in synthesis: copies stay, taps go, paths are short."""

from __future__ import annotations

from typing import Any

import pytest
from test_rtl_netlist import shape, untapped

from hardpoint.array import Array, Guard
from hardpoint.hls import synthesis, verilog
from hardpoint.hls.copies import Copies, copies, naive

SMALL = {"M": 4, "N": 4, "W": 16, "B": 7, "TAPS": 0, "EVENTS": 0}
MODULES: dict[str, dict[str, Any]] = {
    "hp_ws_pe": {**SMALL, "OPERAND": 3, "LEFT": 3, "MASK": 20},
    "hp_ws_pe, rpr": {**SMALL, "REDUCED": 1, "MASK": 20},
    "hp_ws_sum": {"W": 16, "B": 9, "DEPTH": 32, "ADDRESS": 5, "TAPS": 0, "EVENTS": 0, "MASK": 20},
    "hp_recompute_low": {"M": 4, "N": 4, "B": 7, "LANES": 2, "LEVELS": 1, "CARRY": 3, "MASK": 20, "TAPS": 0},
    "hp_recompute_high": {
        "M": 4,
        "N": 4,
        "B": 7,
        "WIDTH": 9,
        "LANES": 2,
        "LEVELS": 1,
        "CARRY": 3,
        "MASK": 20,
        "TAPS": 0,
    },
}


@pytest.mark.parametrize("module", MODULES)
def test_without_taps_it_is_the_source_with_the_taps_deleted(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, deleted = verilog.sources(), untapped(verilog.sources())
    top, memories = module.partition(",")[0], {"memories": module == "hp_ws_sum"}
    plain = shape(top, MODULES[module], sources, monkeypatch, **memories)
    assert plain == shape(top, {**MODULES[module], "TAPS": 1}, deleted, monkeypatch, **memories)
    assert plain != shape(top, {**MODULES[module], "B": 6}, sources, monkeypatch, **memories)


def test_copies_of_a_stationary_column_survive() -> None:
    array = Array(2, 1, (Guard(14),), taps=False, dataflow="ws")
    made = synthesis.map_netlist(verilog.WS_TOP, verilog.parameters(array), memories=True)
    assert copies(made, columns=10, pes=3, stationary=True) == Copies(bits=90, sums=90, voters=90, expected=90)
    merged = synthesis.map_netlist(
        verilog.WS_TOP, verilog.parameters(array), memories=True, sources=naive(verilog.sources())
    )
    assert not copies(merged, columns=10, pes=3, stationary=True).survive


def test_sums_of_a_stationary_column_lie_in_block_memory() -> None:
    for guard, brams in ((24, 1), (14, 2)):
        made = synthesis.synthesise("hp_ws_sum", {"B": guard, "DEPTH": 512, "ADDRESS": 9}, memories=True)
        assert made.cost.bram == brams
        assert not any("RAM" in cell and "RAMB" not in cell for cell in made.cells)


SHORT: list[tuple[str, dict[str, Any]]] = [
    *((module, {"B": column}) for module in ("hp_ws_pe", "hp_ws_sum") for column in (24, 14, 0)),
    *((module, {"B": 14, "REDUCED": 1}) for module in ("hp_ws_pe", "hp_ws_sum")),
    *(("hp_recompute", {"B": column, "LANES": 4, "OPERAND": 3, "DRAIN": 3}) for column in (24, 12, 0)),
]


@pytest.mark.parametrize("taps", [0, 1])
@pytest.mark.parametrize(("module", "parameters"), SHORT)
def test_paths_are_short(module: str, parameters: dict[str, Any], taps: int) -> None:
    tapped = {**parameters, "TAPS": taps, "EVENTS": taps}
    levels = synthesis.synthesise(module, tapped, memories=module == "hp_ws_sum").levels
    assert levels.luts <= 4
    assert levels.chains <= 2
