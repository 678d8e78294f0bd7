"""The literal model is ordinary arithmetic without faults, and with them what docs/fault-model.md says."""

import literal
import numpy as np
import pytest

from hardpoint.array import Array, Guard, most_carry
from hardpoint.faults import EFFECTS, FAULT, PERMANENT, SITES

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


@pytest.mark.parametrize("site", SITES)
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
