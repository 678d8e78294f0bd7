"""The core in figures: utilisation in the Verilated RTL, LUTs, levels and copies after synthesis: build/bench/core.json.

    python benchmarks/core.py

LUTs are of 8 x 8-bit operands and 24-bit sums, for xc7. `levels` are the longest paths between registers.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array, Guard, Recompute
from hardpoint.files import write_json
from hardpoint.hls import verilate, verilog
from hardpoint.hls.copies import copies, naive
from hardpoint.hls.cost import array_cost
from hardpoint.hls.netlist import resources
from hardpoint.hls.synthesis import Synthesis, map_netlist, synthesise
from hardpoint.host.compiled import CompiledCore
from hardpoint.layers import Gemm
from hardpoint.mapping import Tiling

COLUMNS = {"none": 24, "16": 16, "14": 14, "12": 12, "0": 0}
TILES = 64
STREAMS = {
    "os_8x8_k64": (Array(8, 8, (Guard(14),), taps=False), Gemm(8, 64, 8 * TILES)),
    "os_16x16_k256": (Array(16, 16, (Guard(14),), taps=False), Gemm(16, 256, 16 * TILES)),
    "ws_8x8_k64": (Array(8, 8, (Guard(14),), taps=False, dataflow="ws"), Gemm(256, 64, 64)),
    "ws_16x16_k256": (Array(16, 16, (Guard(14),), taps=False, dataflow="ws"), Gemm(512, 256, 64)),
}
"""Arrays and layers (M, K, N) of TILES tiles that use every PE. Weight-stationary, M pixels share a load of weights."""


RPR = {"B": 14, "LATE": 1, "REDUCED": 1}
DSP: dict[str, dict[str, int]] = {"none": {"B": 24}, "full TMR": {"B": 0, "LATE": 1}, "rpr": RPR}
"""Reduced-precision redundancy of the columns from 14 on, and the designs whose multiplier may be a DSP block."""


CORES = {
    "core 2x2, none": Array(2, 2),
    "core 2x2, one column 14": Array(2, 2, (Guard(), Guard(14)), (1, 0)),
    "core 2x2, 16": Array(2, 2, (Guard(16),)),
    "core 2x2, full TMR": Array(2, 2, (Guard(0, True, True),)),
    "core 2x2, rpr": Array(2, 2, (Guard(14, kind="rpr"),)),
    "ws core 3x2, none": Array(3, 2, dataflow="ws"),
    "ws core 3x2, 14": Array(3, 2, (Guard(14),), dataflow="ws"),
    "ws core 3x2, full TMR": Array(3, 2, (Guard(0, True),), dataflow="ws"),
    "ws core 3x2, rpr": Array(3, 2, (Guard(14, kind="rpr"),), dataflow="ws"),
}
UNITS = {"none": Recompute(8), "14": Recompute(8, Guard(14, True, True)), "0": Recompute(8, Guard(0, True, True))}
"""Whole small cores, whose paths are measured with taps and without."""


def core(array: Array) -> Synthesis:
    """A whole array as synthesised."""
    return synthesise(verilog.top(array), verilog.parameters(array), memories=array.dataflow == "ws")


def pe(column: int, **more: int) -> Synthesis:
    """The PE with `column`, single operand and drain registers, without taps unless told so."""
    return synthesise("hp_pe", {"B": column, "LATE": int(column < 24), **more})


def utilisation(array: Array, gemm: Gemm) -> float:
    """Multiply-accumulates per PE and cycle in the Verilated RTL, its streams always ready: fill, weights, hand-over, drain.

    The engine that enters bitstreams counts cycles from the first beat to the last row of sums; sums are compared.
    """
    tiling, rng = Tiling.of(gemm, array), np.random.default_rng(0)
    if tiling.tiles != TILES or tiling.tiles_m != 1:
        raise AssertionError(f"{tiling.tiles} tiles")
    core = CompiledCore(verilate.build(array, Path("build/devices"), shell=False, engine=True))
    a = rng.integers(-128, 128, (gemm.m, gemm.k))
    w = rng.integers(-128, 128, (gemm.k, gemm.n))
    if tiling.stationary:  # (tiles_n, tiles_k, ...)
        left = np.tile(a.reshape(gemm.m, tiling.tiles_k, -1).swapaxes(0, 1), (tiling.tiles_n, 1, 1))
        right = w.reshape(tiling.tiles_k, array.rows, tiling.tiles_n, -1).transpose(2, 0, 1, 3)
        right = right.reshape(TILES, array.rows, array.cols)
        sums, cycles, _ = core.gemm(left, right, True, passes=tiling.tiles_k)
    else:
        right = w.reshape(gemm.k, TILES, -1).swapaxes(0, 1)
        sums, cycles, _ = core.gemm(np.tile(a.T, (TILES, 1, 1)), right, True)
    if not np.array_equal(sums.swapaxes(0, 1).reshape(gemm.m, -1), a @ w):
        raise AssertionError("the Verilated core computed wrong sums")
    return gemm.m * gemm.k * gemm.n / (array.rows * array.cols * cycles)


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
    parts = {name: pe(column) for name, column in COLUMNS.items()} | {"rpr": synthesise("hp_pe", RPR)}
    tell("pe_lut", {name: part.cost.lut for name, part in parts.items()})
    lanes = synthesise("hp_pe", {"B": 14, "LATE": 1, "OPERAND": 3, "LEFT": 3, "ABOVE": 3}).cost.lut
    drain = synthesise("hp_pe", {"B": 14, "LATE": 1, "DRAIN": 3, "ABOVE_SPLIT": 14}).cost.lut
    tell("pe_lut_14_with", {"operand": lanes, "drain": drain})
    blocks = {name: synthesise("hp_pe", {**design, "DSP": 1}, dsp=True) for name, design in DSP.items()}
    tell("pe_dsp", {name: {"lut": part.cost.lut, "dsp": part.cost.dsp} for name, part in blocks.items()})
    levels = {name: part.levels for name, part in parts.items()}
    levels |= {f"{name}, DSP": part.levels for name, part in blocks.items()}
    levels |= {f"{name} with taps": pe(column, TAPS=1, EVENTS=1).levels for name, column in COLUMNS.items()}
    levels["rpr with taps"] = synthesise("hp_pe", {**RPR, "TAPS": 1, "EVENTS": 1}).levels
    for taps in (False, True):
        for name, array in CORES.items():
            levels[name + " with taps" * taps] = core(dataclasses.replace(array, taps=taps)).levels
        for name, unit in UNITS.items():
            made_of = verilog.unit_parameters(Array(1, 1, recompute=unit, taps=taps))
            levels[f"recompute unit, {name}" + " with taps" * taps] = synthesise("hp_recompute", made_of).levels
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
