"""The core in figures: utilisation in the Verilated RTL, LUTs, levels and copies after synthesis: build/bench/core.json.

    python benchmarks/core.py

LUTs are of 8 x 8-bit operands and 24-bit sums, for xc7. `levels` are the longest paths between registers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array, Guard
from hardpoint.files import write_json
from hardpoint.hls import verilate, verilog
from hardpoint.hls.copies import copies, naive
from hardpoint.hls.cost import array_cost
from hardpoint.hls.netlist import resources
from hardpoint.hls.synthesis import Synthesis, map_netlist, synthesise
from hardpoint.host.compiled import CompiledCore

COLUMNS = {"none": 24, "16": 16, "14": 14, "12": 12, "0": 0}
STREAMS = {"os_8x8_k64": (8, 64), "os_16x16_k256": (16, 256)}
TILES = 64


def pe(column: int, **more: int) -> Synthesis:
    """The PE with `column`, single operand and drain registers, without taps unless told so."""
    return synthesise("hp_pe", {"B": column, "LATE": int(column < 24), **more})


def utilisation(size: int, k: int) -> float:
    """Multiply-accumulates per PE and cycle of TILES tiles in the Verilated RTL, fill, hand-over and drain included."""
    array = Array(size, size, (Guard(14),))
    core = CompiledCore(verilate.build(array, Path("build/devices"), shell=False))
    rng = np.random.default_rng(0)
    a = rng.integers(-128, 128, (TILES, k, size))
    w = rng.integers(-128, 128, (TILES, k, size))
    sums, cycles, _ = core.gemm(a, w, True)
    if not np.array_equal(sums, np.einsum("tkr,tkc->trc", a, w)):
        raise AssertionError("the Verilated core computed wrong sums")
    return TILES * k / cycles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench/core.json"))
    out = parser.parse_args().out
    made: dict[str, Any] = {}

    def tell(key: str, value: Any) -> None:
        made[key] = value
        write_json(out, made)
        print(f"{key}: {value}", flush=True)

    tell("mac_lut", synthesise("hp_low", {"B": 24, "CARRY": 0, "TAPS": 0}).cost.lut)
    parts = {name: pe(column) for name, column in COLUMNS.items()}
    tell("pe_lut", {name: part.cost.lut for name, part in parts.items()})
    lanes = synthesise("hp_pe", {"B": 14, "LATE": 1, "OPERAND": 3, "LEFT": 3, "ABOVE": 3}).cost.lut
    drain = synthesise("hp_pe", {"B": 14, "LATE": 1, "DRAIN": 3, "ABOVE_SPLIT": 14}).cost.lut
    tell("pe_lut_14_with", {"operand": lanes, "drain": drain})
    levels = {name: part.levels for name, part in parts.items()}
    levels |= {f"{name} with taps": pe(column, TAPS=1, EVENTS=1).levels for name, column in COLUMNS.items()}
    for taps in (False, True):
        core = Array(2, 2, (Guard(), Guard(14)), (1, 0), taps=taps)
        name = "core 2x2, one column 14" + " with taps" * taps
        levels[name] = synthesise(verilog.TOP, verilog.parameters(core)).levels
    tell("levels", {name: {"lut_levels": one.luts, "carry_chains": one.chains} for name, one in levels.items()})
    tell("copies", _copies())
    sizes = {
        "8x8": Array(8, 8),
        "8x8, 14": Array(8, 8, (Guard(14),)),
        "8x8, full TMR": Array(8, 8, (Guard(0, True, True),)),
    }
    tell(
        "array_lut",
        {name: {"plain": array_cost(a).lut, "taps": array_cost(a, taps=True).lut} for name, a in sizes.items()},
    )
    tell("utilisation", {name: round(utilisation(*stream), 4) for name, stream in STREAMS.items()})


def _copies() -> dict[str, Any]:
    """Guarded bits, sums and voters of a PE with B = 14: as it is, and with nothing that keeps the copies apart."""
    sources = verilog.sources()
    found = {}
    for name, text in (("kept", sources), ("naive", naive(sources))):
        netlist = map_netlist("hp_pe", {"B": 14, "LATE": 1}, sources=text)
        count = copies(netlist, columns=10)
        found[name] = {"bits": count.bits, "sums": count.sums, "voters": count.voters, "expected": count.expected}
        found[name]["lut"] = int(resources(netlist.counts).lut or 0)
    return found


if __name__ == "__main__":
    main()
