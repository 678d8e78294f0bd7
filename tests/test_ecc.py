"""Hsiao's code corrects every single error and sees every double one."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.ecc import CLEAN, COLUMNS, CORRECTED, DETECTED, decode, encode

WORDS = np.array([0, 1, 0xFFFFFFFFFFFFFFFF, 0x0123456789ABCDEF], np.uint64)


def struck(word: np.uint64, bits: tuple[int, ...]) -> tuple[np.uint64, np.uint8]:
    """A word and its check byte with the given ones of its 72 bits inverted, data bits first."""
    check = encode(word)
    for bit in bits:
        if bit < 64:
            word = word ^ np.uint64(1 << bit)
        else:
            check = check ^ np.uint8(1 << (bit - 64))
    return word, np.uint8(check)


def test_the_matrix_is_hsiaos() -> None:
    every = [*COLUMNS.tolist(), *(1 << i for i in range(8))]
    assert len(set(every)) == 72
    assert all(column.bit_count() % 2 == 1 for column in every)
    assert sum(column.bit_count() for column in every) == 216
    assert [sum(column >> row & 1 for column in every) for row in range(8)] == [27] * 8


def test_every_single_error_is_corrected() -> None:
    for word in WORDS:
        assert decode(word, encode(word))[1] == CLEAN
        for bit in range(72):
            data, found = decode(*struck(word, (bit,)))
            assert (data, found) == (word, CORRECTED)


def test_every_double_error_is_seen() -> None:
    for word in WORDS:
        for bits in combinations(range(72), 2):
            read = struck(word, bits)
            data, found = decode(*read)
            assert (data, found) == (read[0], DETECTED)


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 71), max_size=6))
def test_what_is_left_of_errors_does_not_depend_on_the_word(word: int, bits: set[int]) -> None:
    data, found = decode(*struck(np.uint64(word), tuple(bits)))
    left, same = decode(*struck(np.uint64(0), tuple(bits)))
    assert (data ^ np.uint64(word), found) == (left, same)
