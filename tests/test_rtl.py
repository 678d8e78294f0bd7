"""The Verilated core equals the literal array, whatever strikes it, and takes the cycles that its closed form says."""

from __future__ import annotations

import ctypes
from pathlib import Path

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
}
RANDOM = {f"random {seed}": cases.random_array(seed) for seed in range(6)}
MORE = {f"random {seed}": cases.random_array(seed, 4, 4) for seed in range(6, 150)}


def core(array: Array) -> CompiledCore:
    return CompiledCore(verilate.build(array, BUILD, shell=False))


def equals_literal(array: Array) -> None:
    model = core(array)

    @settings(max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        tiles, k = data.draw(st.integers(1, 3), "tiles"), data.draw(st.integers(1, 6), "k")
        signed, seed = data.draw(st.booleans(), "signed"), data.draw(st.integers(0, 99), "operands")
        a, w = cases.random_operands(seed, array, tiles, k, signed)
        faults = data.draw(cases.fault_lists(array, tiles, k), "faults")
        assert np.array_equal(model.gemm(a, w, signed, faults)[0], literal.run(array, a, w, signed, faults))

    check()


@pytest.mark.parametrize("name", [*NAMED, *RANDOM])
def test_equals_the_literal_array_under_any_faults(name: str) -> None:
    equals_literal({**NAMED, **RANDOM}[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_equals_the_literal_array_on_many_configurations(name: str) -> None:
    equals_literal(MORE[name])


@pytest.mark.parametrize("name", NAMED)
def test_takes_the_cycles_of_the_closed_form(name: str) -> None:
    array, model = NAMED[name], core(NAMED[name])
    for tiles, k in ((1, 1), (1, 7), (4, 1), (5, array.rows), (3, array.rows + 1), (6, 20)):
        a, w = cases.random_operands(0, array, tiles, k, True)
        sums, cycles, votes = model.gemm(a, w, True)
        assert np.array_equal(sums, literal.run(array, a, w, True))
        assert (cycles, votes) == (schedule.cycles(array, tiles, k), 0)


def test_acting_cycles_are_those_of_the_injection() -> None:
    array = NAMED["per PE"]
    library = ctypes.CDLL(str(verilate.build(array, BUILD, shell=False)))
    library.hp_cycle.restype, library.hp_cycle.argtypes = (
        ctypes.c_long,
        [ctypes.c_long] * 2 + [ctypes.c_int] * 4 + [ctypes.c_long],
    )
    k = 3
    for row, col, site, copy, bit in cases.places(array):
        low = copy == 3 or (copy == 0 and bit < array.column_map[row, col])
        for tile, step in ((0, 0), (2, 1), (1, k), (1, k + 2)):
            cycle = schedule.acting_cycle(array, k, tile, step, row, col, site, copy, bit)
            if cycle is not None:
                assert library.hp_cycle(tile, step, row, col, SITES.index(site), int(low), k) == cycle
    assert library.hp_cycle(0, k + 1, 0, 0, SITES.index("drain"), 1, k) == -1
    assert schedule.acting_cycle(array, k, 0, k + 1, 0, 0, "drain", 0, 0) is None


def test_counts_the_votes_that_disagree_as_the_c_model_does() -> None:
    array, rng = NAMED["hardened columns"], np.random.default_rng(5)
    model, reference = core(array), CompiledCore(csim.build(array, BUILD, shell=False))
    seen = 0
    for seed in range(20):
        a, w = cases.random_operands(seed, array, 2, 4, False)
        faults = literal.random_faults(rng, array, 2, 4, int(rng.integers(1, 12)))
        votes = model.gemm(a, w, False, faults)[2]
        assert votes == reference.gemm(a, w, False, faults)[2]
        seen += votes
    assert seen > 0
