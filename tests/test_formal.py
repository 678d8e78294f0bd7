"""The theorems about the PE: proved for small widths here, for full widths in the slow tests, refuted where they are false."""

import pytest

from hardpoint.array import Guard
from hardpoint.errors import InputError
from hardpoint.hls import verilog
from hardpoint.hls.formal import Theorem, prove, theorems

pytest.importorskip("pyosys", reason="Yosys is not installed (pip install 'hardpoint[hls]')")


def broken(name, right, wrong):
    sources = verilog.sources()
    assert right in sources[name]
    return {**sources, name: sources[name].replace(right, wrong)}


@pytest.mark.parametrize("guard", ["7", "5+operand+drain"])
@pytest.mark.parametrize("claim", ["plain", "copy", "low", "held"])
def test_small_theorems_are_proved(claim, guard):
    assert prove(Theorem(claim, 4, 4, 12, Guard.parse(guard))).proved is True


@pytest.mark.parametrize("claim", ["plain", "copy"])
def test_full_tmr_is_proved(claim):
    assert prove(Theorem(claim, 3, 4, 12, Guard(0, operand=True, drain=True))).proved is True


def test_a_voter_with_one_term_missing_is_refuted():
    sources = broken("hp_vote.v", " | (q & r)", "")
    assert prove(Theorem("copy", 4, 4, 12, Guard(7)), sources=sources).proved is False


def test_a_register_that_ignores_the_enable_is_refuted():
    sources = broken("hp_low.v", "if (en && (DOWN != 0 || valid)) lo", "if (DOWN != 0 || valid) lo")
    assert prove(Theorem("held", 4, 4, 12, Guard(7)), sources=sources).proved is False


def test_a_sum_that_never_starts_anew_is_refuted():
    sources = broken("hp_low.v", "lo & {B{~first}}", "lo")
    assert prove(Theorem("plain", 4, 4, 12, Guard(7)), sources=sources).proved is False


def test_a_low_part_that_leaks_upwards_is_refuted():
    """The bound is not idle: with the carry added one column too high, a strike on the low part changes more."""
    sources = broken("hp_high.v", "addend, low_carry} +", "addend, low_carry} + {carry, 2'b0} +")
    assert prove(Theorem("low", 4, 4, 12, Guard(7)), sources=sources).proved is False


@pytest.mark.parametrize("claim", ["plain", "bound", "held"])
def test_reduced_precision_is_proved(claim):
    assert prove(Theorem(claim, 4, 4, 12, Guard.parse("rpr7"))).proved is True


def test_copies_that_never_overrule_leave_errors_unbounded():
    sources = broken("hp_decision.v", "agree & ~near & ~nearer", "1'b0")
    assert prove(Theorem("bound", 4, 4, 12, Guard.parse("rpr7")), sources=sources).proved is False


def test_copies_that_overrule_a_sum_that_borrowed_are_refuted():
    sources = broken("hp_decision.v", "agree & ~near & ~nearer", "agree & ~near")
    assert prove(Theorem("plain", 4, 4, 12, Guard.parse("rpr7")), sources=sources).proved is False


def test_a_bound_too_wide_lets_errors_through():
    sources = broken("hp_reduced.v", "BOUND = hp_most_carry(1, M, N, B)", "BOUND = 2 * hp_most_carry(1, M, N, B) + 1")
    assert prove(Theorem("bound", 4, 4, 12, Guard.parse("rpr7")), sources=sources).proved is False


def test_theorems_of_what_is_not_guarded_are_refused():
    with pytest.raises(InputError, match="the theorems are of PEs with guarded columns, not of guard none"):
        Theorem("copy", 4, 4, 12, Guard())
    with pytest.raises(InputError, match="with guard column 0 there is no low part to strike"):
        Theorem("low", 4, 4, 12, Guard(0))
    with pytest.raises(InputError, match="theorem copy is not of guard rpr7"):
        Theorem("copy", 4, 4, 12, Guard.parse("rpr7"))
    with pytest.raises(InputError, match="theorem bound is not of guard 7"):
        Theorem("bound", 4, 4, 12, Guard(7))
    with pytest.raises(InputError, match="theorems are plain, copy, low, bound, held, not 'lemma'"):
        Theorem("lemma", 4, 4, 12, Guard(7))


@pytest.mark.slow
@pytest.mark.parametrize("theorem", list(theorems(small=False)), ids=str)
def test_full_widths_are_proved(theorem):
    assert prove(theorem, timeout_s=3600).proved is True
