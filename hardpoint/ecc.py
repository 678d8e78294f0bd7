"""(72, 64) single-error-correcting, double-error-detecting words, as on-chip memories hold them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLEAN", "COLUMNS", "CORRECTED", "DETECTED", "decode", "encode"]

CLEAN, CORRECTED, DETECTED = range(3)
"""What decoding found: no error, one that it corrected, or more than it can correct."""

COLUMNS = np.array(
    [sum(1 << bit for bit in bits) for bits in combinations(range(8), 3)]
    + [(0b11111 << shift | 0b11111 >> 8 - shift) & 0xFF for shift in range(8)],
    np.uint8,
)
"""Syndrome of an error in data bit i, 64 columns of odd weight: all 56 of weight 3, and 8 of weight 5.

Hsiao, IBM Journal of Research and Development 14 (1970), section 3: columns of odd weight, as few ones as can be, the same
number (27 with the check bit's own) in every row. Check bit i's own column is 1 << i.
"""


def encode(data: Any) -> NDArray[np.uint8]:
    """Check bytes of 64-bit words.

    >>> encode(np.array([0, 1, 3], np.uint64)).tolist()
    [0, 7, 12]
    """
    data = np.asarray(data, np.uint64)
    bits = (data[..., None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.uint8)
    return np.asarray(np.bitwise_xor.reduce(bits * COLUMNS, axis=-1), np.uint8)


def decode(data: Any, check: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Words as corrected, and what was found in each: CLEAN, CORRECTED or DETECTED (the word is as it was read).

    The code is linear: of an error pattern instead of a word, this is the pattern that is left.

    >>> words, found = decode(np.array([4, 5], np.uint64), encode(np.array([5, 5], np.uint64)))
    >>> words.tolist(), found.tolist()
    ([5, 5], [1, 0])
    """
    data = np.asarray(data, np.uint64)
    syndrome = encode(data) ^ np.asarray(check, np.uint8)
    fix, found = _CORRECTION[syndrome], _FOUND[syndrome]
    return np.asarray(data ^ fix), np.asarray(found)


_CORRECTION = np.zeros(256, np.uint64)
_CORRECTION[COLUMNS] = np.uint64(1) << np.arange(64, dtype=np.uint64)
_FOUND = np.full(256, DETECTED, np.uint8)
_FOUND[COLUMNS] = _FOUND[1 << np.arange(8)] = CORRECTED
_FOUND[0] = CLEAN
