"""The literal model is ordinary arithmetic without faults, and with them what docs/fault-model.md says."""

import cases
import literal
import numpy as np
import pytest

from hardpoint.array import Array, Guard, most_carry
from hardpoint.faults import EFFECTS, FAULT, PE_SITES, PERMANENT, SITES, decode, live_pes, pe_streams
from hardpoint.layers import Gemm
from hardpoint.mapping import Tiling

GUARDS = ("none", "14", "10+operand", "12+drain", "0+operand+drain", "23+operand+drain", "rpr12", "rpr0", "rpr20")


def operands(rng: np.random.Generator, array: Array, tiles: int, k: int, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    m, n = array.act_bits, array.wgt_bits
    low = -(1 << (m - 1)) if signed else 0
    a = rng.integers(low, low + (1 << m), (tiles, k, array.rows))
    return a, rng.integers(-(1 << (n - 1)), 1 << (n - 1), (tiles, k, array.cols))


def strike(**record: object) -> np.ndarray:
    fault = np.zeros(1, FAULT)
    fault["end_tile"], fault["end_step"] = PERMANENT[2:]
    for key, value in record.items():
        fault[key] = SITES.index(value) if key == "site" else EFFECTS.index(value) if key == "effect" else value
    return fault


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("signed", [False, True])
def test_without_faults_it_is_a_matrix_product(guard: str, signed: bool) -> None:
    rng = np.random.default_rng(1)
    array = Array(2, 3, (Guard(), Guard.parse(guard)), (0, 1, 1))
    a, w = operands(rng, array, 2, 5, signed)
    assert (literal.run(array, a, w, signed) == np.einsum("tkr,tkc->trc", a, w)).all()


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("signed", [False, True])
def test_a_weight_stationary_array_without_faults_is_a_matrix_product(guard: str, signed: bool) -> None:
    array = Array(2, 3, (Guard(), Guard.parse(guard)), (0, 1, 1), dataflow="ws")
    a, w = cases.random_operands(4, array, 3, 5, signed)
    assert (literal.run(array, a, w, signed) == np.einsum("gtpr,gtrc->gpc", a, w)).all()


@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize("depthwise", [False, True])
def test_a_layer_is_its_gemm(dataflow: str, depthwise: bool) -> None:
    rng = np.random.default_rng(6)
    array = Array(3, 4, (Guard(11, kind="rpr"), Guard(13, operand=True)), (0, 1, 1, 0), dataflow=dataflow, depth=16)
    gemm = Gemm(35, 7, 10, depthwise)
    a = rng.integers(-128, 128, (35, 7, 10) if depthwise else (35, 7))
    w = rng.integers(-128, 128, (7, 10))
    golden = np.einsum("mkn,kn->mn" if depthwise else "mk,kn->mn", a, w)
    assert (literal.layer(array, Tiling.of(gemm, array), a, w, True) == golden).all()


@pytest.mark.parametrize("seed", range(12))
def test_bypass_zeroes_the_weights_of_a_pe(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = cases.random_array(seed, 3, 4, "ws", reduced=True)
    gemm = Gemm(19, 8, 6, bool(seed % 2))
    low, high = 1 << array.act_bits, 1 << (array.wgt_bits - 1)
    a = rng.integers(0, low, (19, 8, 6) if gemm.depthwise else (19, 8))
    w = rng.integers(-high, high, (8, 6))
    tiling = Tiling.of(gemm, array)
    bypass = rng.random((array.rows, array.cols)) < 0.3
    sums = literal.layer(array, tiling, a, w, False, bypass=bypass)
    assert (sums == literal.layer(array, tiling, a, w * tiling.spread(~bypass), False)).all()


@pytest.mark.pc  # a minute, about the tests' own reference
def test_live_is_what_can_change_a_sum() -> None:
    """Every live flip of an unguarded weight-stationary array changes a sum for some operands; a dead one never does."""
    rng = np.random.default_rng(0)
    array = Array(2, 3, act_bits=2, wgt_bits=3, acc_bits=12, dataflow="ws", depth=16)
    for gemm in (Gemm(18, 3, 5), Gemm(17, 3, 5, True)):
        tiling = Tiling.of(gemm, array)
        changed, records = 0, everything(array, tiling)
        records = rng.permutation(records)[:300]
        alive = live_pes(records, array, [tiling])
        assert 0 < alive.sum() < 300
        for fault, good in zip(records, alive, strict=True):
            for _ in range(3):
                a = rng.integers(0, 4, (gemm.m, 3, 5) if gemm.depthwise else (gemm.m, 3))
                w = rng.integers(-4, 4, (3, 5))
                struck = literal.layer(array, tiling, a, w, False, np.array([fault]))
                differs = bool((struck != literal.layer(array, tiling, a, w, False)).any())
                assert good or not differs, fault
                if differs or not good:
                    break
            changed += differs and good
        assert changed > 0.8 * alive.sum()


def everything(array: Array, tiling: Tiling) -> np.ndarray:
    """Every enumerated bit and step, dead ones included."""
    every = [decode(stream, np.arange(stream.size, dtype=np.uint64), array) for stream in pe_streams(array, tiling, 0)]
    return np.concatenate(every)


@pytest.mark.parametrize("seed", range(6))
def test_guarded_columns_of_a_weight_stationary_array_outvote_any_one_copy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = Array(3, 2, (Guard(int(rng.integers(0, 20)), operand=True),), dataflow="ws")
    a, w = cases.random_operands(seed, array, 3, 4, True)
    golden = literal.run(array, a, w, True)
    for copy in range(3):
        faults = literal.random_faults(rng, array, 3, 4, 60)
        faults = faults[(faults["copy"] == copy) & (faults["site"] != SITES.index("carry"))]
        guarded = array.guards[0].column
        faults = faults[(faults["bit"] >= guarded) | np.isin(faults["site"], [0, 1])]
        assert len(faults)
        assert (literal.run(array, a, w, True, faults) == golden).all()


def test_a_flip_in_the_accumulator_memory_stays_in_its_word() -> None:
    array = Array(1, 1, dataflow="ws")
    a, w = np.full((1, 3, 2, 1), 1), np.full((1, 3, 1, 1), 1)
    fault = strike(tile=1, step=1 + 1, row=1, site="acc", bit=6)
    assert literal.run(array, a, w, False, fault).tolist() == [[[3], [3 + 64]]]


def test_a_weight_struck_while_it_passes_is_wrong_below() -> None:
    array = Array(2, 1, dataflow="ws")
    a, w = np.full((1, 1, 1, 2), 1), np.full((1, 1, 2, 1), 1)
    for step in range(3):  # the weight of row 1 passes row 0; row 0 takes its own; row 0 holds its own while it is used
        fault = strike(tile=0, step=step, row=0, site="wgt", bit=3)
        assert literal.run(array, a, w, False, fault).ravel().tolist() == [2 + 8]
    assert literal.run(array, a * [[[[5, 1]]]], w, False, strike(site="wgt", bit=3)).ravel().tolist() == [6 + 8]


@pytest.mark.parametrize("site", PE_SITES)
def test_one_copy_of_a_guarded_bit_changes_nothing(site: str) -> None:
    rng = np.random.default_rng(2)
    array = Array(3, 2, (Guard(14, operand=True, drain=True),))
    a, w = operands(rng, array, 2, 4, True)
    step = 4 if site == "drain" else 1
    bit = 7 if site in ("act", "wgt") else 20
    golden = literal.run(array, a, w, True)
    for effect in EFFECTS:
        fault = strike(tile=0, step=step, row=1, col=0, site=site, copy=1, bit=bit, effect=effect)
        struck = literal.run(array, a, w, True, fault)
        assert (struck == golden).all()


def test_an_operand_strike_travels_downstream() -> None:
    array = Array(1, 3)
    a, w = np.full((1, 2, 1), 1), np.full((1, 2, 3), 3)
    struck = literal.run(array, a, w, False, strike(tile=0, step=1, row=0, col=1, site="act", bit=4))
    assert struck.tolist() == [[[6, 6 + 16 * 3, 6 + 16 * 3]]]


def test_a_drain_strike_hits_the_value_that_passes() -> None:
    array = Array(3, 1)
    a, w = np.full((1, 2, 3), 1), np.full((1, 2, 1), 1)
    struck = literal.run(array, a, w, False, strike(tile=0, step=2 + 1, row=2, col=0, site="drain", bit=8))
    assert struck.tolist() == [[[2], [2 + 256], [2]]]  # row 1's value, in row 2's register at drain step K + 1


def test_a_stuck_bit_holds_until_its_end() -> None:
    array = Array(1, 1)
    a, w = np.full((3, 4, 1), 1), np.full((3, 4, 1), 1)
    fault = strike(tile=0, step=2, site="acc", bit=6, effect="stuck1", end_tile=2, end_step=0)
    assert literal.run(array, a, w, False, fault).ravel().tolist() == [4 + 64, 4 + 64, 4]


def test_random_faults_strike() -> None:
    rng = np.random.default_rng(3)
    array = Array(2, 2, (Guard(12),), acc_bits=20)
    faults = literal.random_faults(rng, array, 2, 3, 40)
    a, w = operands(rng, array, 2, 3, False)
    assert (literal.run(array, a, w, False, faults) != literal.run(array, a, w, False)).any()


def test_reduced_precision_copies_bound_an_error_by_the_carry_that_they_lack() -> None:
    array = Array(2, 2, (Guard(10, kind="rpr"),))
    a, w = np.full((1, 4, 2), 255), np.full((1, 4, 2), 127)
    golden = literal.run(array, a, w, False)
    bound = most_carry(8, 8, 10) << 10
    for bit in (9, 10, 13, 14, 20, 23):
        fault = strike(tile=0, step=1, row=0, col=1, site="acc", bit=bit)
        error = abs(literal.run(array, a, w, False, fault) - golden).max()
        assert 0 < error <= bound if bit > 9 else error == 1 << 9


def test_a_bypassed_pe_yields_zero() -> None:
    array = Array(2, 2)
    a, w = np.full((1, 3, 2), 1), np.full((1, 3, 2), 1)
    out = literal.run(array, a, w, False, bypass=[[False, True], [False, False]])
    assert out.tolist() == [[[3, 0], [3, 3]]]
