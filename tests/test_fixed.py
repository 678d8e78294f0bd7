import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed, shift_half_even, wrap

formats = st.builds(Fixed, st.integers(1, 64), st.integers(-64, 64), st.booleans())


@given(formats)
def test_text_round_trip(fmt: Fixed) -> None:
    assert Fixed.parse(str(fmt)) == fmt


@given(st.integers(-(2**40), 2**40), st.integers(0, 31))
def test_shift_rounds_half_to_even_like_exact_fractions(x: int, shift: int) -> None:
    from fractions import Fraction

    assert int(shift_half_even(np.array([x]), shift)[0]) == round(Fraction(x, 2**shift))


@given(st.integers(-(2**40), 2**40), st.integers(2, 32))
def test_wrap_is_congruent_and_in_range(x: int, bits: int) -> None:
    wrapped = int(wrap(x, bits))
    assert (wrapped - x) % 2**bits == 0
    assert -(2 ** (bits - 1)) <= wrapped < 2 ** (bits - 1)


@given(st.lists(st.floats(-300, 300), min_size=1), st.integers(2, 8), st.integers(0, 8), st.booleans())
def test_quantise_is_the_nearest_code(values: list[float], bits: int, frac: int, signed: bool) -> None:
    fmt = Fixed(bits, frac, signed)
    for value, code in zip(values, fmt.quantise(values), strict=True):
        exact = min(max(round(value * 2**frac), fmt.min), fmt.max)  # Python rounds half to even
        assert code == exact


@pytest.mark.parametrize("text", ["8.7", "s8", "s8.7.1", "x8.7", "s0.0", "s65.0", "", "s8.99"])
def test_bad_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as error:
        Fixed.parse(text)
    assert "\n" not in str(error.value)
