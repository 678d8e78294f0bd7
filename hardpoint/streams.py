"""Random streams that depend on nothing but their key: Philox4x32-10 and geometric gaps, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["log", "philox", "uniform"]

U64 = NDArray[np.uint64]
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
THIRD, FIFTH, SEVENTH, NINTH, ELEVENTH, THIRTEENTH, FIFTEENTH, SEVENTEENTH, NINETEENTH, TWENTY_FIRST = (
    1.0 / odd for odd in range(3, 22, 2)
)


def philox(seed: int, words: tuple[Any, Any, Any, Any]) -> tuple[U64, U64]:
    """Two 64-bit random words per counter: Philox4x32-10 (Salmon et al., SC 2011, section 3.3) keyed by `seed`.

    `words` are the four 32-bit counter words, arrays that broadcast. Word order in the result is x1:x0 and x3:x2.

    >>> [hex(int(x)) for x in philox(0, (0, 0, 0, 0))]  # the authors' known answer 6627e8d5 e169c58d bc57ac4c 9b00dbd8
    ['0xe169c58d6627e8d5', '0x9b00dbd8bc57ac4c']
    """
    c0, c1, c2, c3 = (np.asarray(x).astype(np.uint64) for x in words)
    k0, k1 = np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32 & 0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = np.uint64((int(k0) + 0x9E3779B9) & 0xFFFFFFFF), np.uint64((int(k1) + 0xBB67AE85) & 0xFFFFFFFF)
    return c1 << _32 | c0, c3 << _32 | c2


def uniform(bits: U64) -> NDArray[np.float64]:
    """Numbers strictly inside (0, 1) from the top 53 of 64 random bits."""
    return np.asarray(((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def log(x: Any) -> NDArray[np.float64]:
    """Natural logarithm of positive `x` by IEEE additions, multiplications and divisions alone.

    Libraries differ in the last bit of their logarithm; a draw may not. Accurate to about 2 units in the last place.

    >>> import math
    >>> bool(abs(log(0.3) - math.log(0.3)) < 1e-15)
    True
    """
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa * 2, mantissa)
    exponent = exponent - small
    z = (mantissa - 1) / (mantissa + 1)
    s = z * z
    s2 = s * s
    s4 = s2 * s2
    # 2 atanh(z) for |z| < 0.172: terms 1 / (2 i + 1), paired so that few operations wait for others
    low = (1.0 + s * THIRD) + s2 * (FIFTH + s * SEVENTH)
    middle = (NINTH + s * ELEVENTH) + s2 * (THIRTEENTH + s * FIFTEENTH)
    high = (SEVENTEENTH + s * NINETEENTH) + s2 * TWENTY_FIRST
    series = low + s4 * (middle + s4 * high)
    return np.asarray(exponent * 0.6931471805599453 + 2 * z * series)
