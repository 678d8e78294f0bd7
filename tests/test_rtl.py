"""The Verilated core equals the literal array, whatever strikes it, and takes the cycles that its closed form says."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import cases
import literal
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardpoint.array import Array, Guard
from hardpoint.faults import SITES
from hardpoint.hls import compile as csim
from hardpoint.hls import schedule, verilate
from hardpoint.host.compiled import CompiledCore

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
NAMED = {
    "none": Array(3, 2),
    "B=14": Array(2, 2, (Guard(14),)),
    "hardened columns": Array(3, 4, (Guard(), Guard(12, True, True), Guard(10)), (1, 2, 0, 1)),
    "full TMR": Array(2, 3, (Guard(0, True, True),), act_bits=5, wgt_bits=4, acc_bits=12),
    "per PE": Array(
        4, 2, (Guard(14, drain=True), Guard(22), Guard(23, operand=True)), ((0, 1), (1, 2), (2, 0), (0, 0))
    ),
    "widest": Array(1, 2, (Guard(31), Guard(8, operand=True)), (0, 1), acc_bits=32),
    "rpr": Array(3, 2, (Guard(14, kind="rpr"),)),
    "mixed rpr": Array(
        3, 3, (Guard(12, kind="rpr"), Guard(13, True, True), Guard()), ((0, 1, 2), (1, 0, 0), (2, 0, 1))
    ),
    "rpr 0": Array(2, 2, (Guard(0, kind="rpr"), Guard(20, kind="rpr")), (0, 1), act_bits=5, wgt_bits=4, acc_bits=21),
    "dsp": Array(2, 3, (Guard(), Guard(0, True, True), Guard(13, kind="rpr")), (0, 1, 2), dsp=True),
    "ws": Array(3, 2, dataflow="ws"),
    "ws B=14": Array(2, 2, (Guard(14),), dataflow="ws"),
    "ws hardened columns": Array(3, 4, (Guard(), Guard(12, True), Guard(10)), (1, 2, 0, 1), dataflow="ws", depth=16),
    "ws rpr": Array(3, 3, (Guard(14, kind="rpr"), Guard(12, True), Guard(0, kind="rpr")), (0, 1, 2), dataflow="ws"),
    "ws dsp": Array(2, 3, (Guard(), Guard(0, True), Guard(13, kind="rpr")), (0, 1, 2), dsp=True, dataflow="ws"),
    "ws full TMR": Array(1, 3, (Guard(0, True),), act_bits=5, wgt_bits=4, acc_bits=12, dataflow="ws"),
}


def core(array: Array) -> CompiledCore:
    return CompiledCore(verilate.build(array, BUILD, shell=False))


def gemm(
    model: CompiledCore, array: Array, a: Any, w: Any, signed: bool, faults: Any = None, bypass: Any = None
) -> Any:
    """Sums, cycles and votes of operands as `cases.random_operands` makes them."""
    if array.dataflow == "os":
        return model.gemm(a, w, signed, faults, bypass=bypass)
    passes = a.shape[1]
    return model.gemm(
        a.reshape(-1, *a.shape[2:]), w.reshape(-1, *w.shape[2:]), signed, faults, bypass=bypass, passes=passes
    )


def equals_literal(array: Array, examples: int = 50) -> None:
    model, rng = core(array), np.random.default_rng(1)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        tiles, k = data.draw(st.integers(1, 3), "tiles"), data.draw(st.integers(1, 6), "k")
        signed, seed = data.draw(st.booleans(), "signed"), data.draw(st.integers(0, 99), "operands")
        a, w = cases.random_operands(seed, array, tiles, k, signed)
        faults = data.draw(cases.fault_lists(array, tiles, k), "faults")
        bypass = rng.random((array.rows, array.cols)) < data.draw(st.sampled_from((0.0, 0.3)), "bypass")
        assert np.array_equal(
            gemm(model, array, a, w, signed, faults, bypass)[0], literal.run(array, a, w, signed, faults, bypass)
        )

    check()


@pytest.mark.parametrize("name", NAMED)
def test_equals_the_literal_array_under_any_faults(name: str) -> None:
    equals_literal(NAMED[name])  # random arrays: tests/gates.py


@pytest.mark.parametrize("name", NAMED)
def test_takes_the_cycles_of_the_closed_form(name: str) -> None:
    array, model = NAMED[name], core(NAMED[name])
    for tiles, k in ((1, 1), (1, 7), (4, 1), (5, array.rows), (3, array.rows + 1), (6, 20)):
        k = min(k, array.depth)
        a, w = cases.random_operands(0, array, tiles, k, True)
        sums, cycles, votes = gemm(model, array, a, w, True)
        assert np.array_equal(sums, literal.run(array, a, w, True))
        assert (cycles, votes) == (schedule.cycles(array, tiles, k), 0)


def test_stationary_sums_of_many_tiles() -> None:
    """Sums of several groups of tiles, whose memory words are used again and again, at its whole depth and at one word."""
    array = NAMED["ws hardened columns"]
    model, rng = core(array), np.random.default_rng(3)
    for groups, passes, pixels in ((5, 1, 16), (3, 4, 16), (4, 3, 1), (1, 7, 2)):
        a = rng.integers(-128, 128, (groups, passes, pixels, array.rows))
        w = rng.integers(-128, 128, (groups, passes, array.rows, array.cols))
        sums, cycles, _ = gemm(model, array, a, w, True)
        assert np.array_equal(sums, np.einsum("gtpr,gtrc->gpc", a, w))
        assert cycles == schedule.cycles(array, groups * passes, pixels)


@pytest.mark.parametrize("name", ["per PE", "ws hardened columns", "ws full TMR"])
def test_acting_cycles_are_those_of_the_injection(name: str) -> None:
    array, ws = NAMED[name], NAMED[name].dataflow == "ws"
    library = ctypes.CDLL(str(verilate.build(array, BUILD, shell=False)))
    library.hp_cycle.restype, library.hp_cycle.argtypes = (
        ctypes.c_long,
        [ctypes.c_long] * 2 + [ctypes.c_int] * 4 + [ctypes.c_long],
    )
    for k in (1, 3):
        steps = k + array.rows if ws else k
        for row, col, site, copy, bit in cases.places(array):
            low = copy == 3 or (copy == 0 and bit < array.site_columns[row, col])
            for tile, step in ((0, 0), (2, 1), (1, k), (1, k + 2)):
                cycle = schedule.acting_cycle(array, k, tile, step, row, col, site, copy, bit)
                if cycle is not None:
                    assert library.hp_cycle(tile, step, row, col, SITES.index(site), int(low), steps) == cycle
    if not ws:
        assert library.hp_cycle(0, 4, 0, 0, SITES.index("drain"), 1, 3) == -1
        assert schedule.acting_cycle(array, 3, 0, 4, 0, 0, "drain", 0, 0) is None


@pytest.mark.parametrize("name", ["hardened columns", "ws hardened columns", "ws rpr"])
def test_counts_the_votes_that_disagree_as_the_c_model_does(name: str) -> None:
    array, rng = NAMED[name], np.random.default_rng(5)
    model, reference = core(array), CompiledCore(csim.build(array, BUILD, shell=False))
    seen = 0
    for seed in range(20):
        a, w = cases.random_operands(seed, array, 2, 4, False)
        faults = literal.random_faults(rng, array, 2, 4, int(rng.integers(1, 12)))
        votes = gemm(model, array, a, w, False, faults)[2]
        assert votes == gemm(reference, array, a, w, False, faults)[2]
        seen += votes
    assert seen > 0
