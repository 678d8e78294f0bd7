"""Number formats: integers that stand for multiples of a power of two."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError

__all__ = ["Fixed", "shift_half_even", "wrap"]

_TEXT = re.compile(r"([su])(\d+)\.(-?\d+)")


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format: `bits` in all, `frac` of them after the binary point, two's complement if `signed`.

    A code c stands for c * 2**-frac. On disk and on the command line it reads `s8.7` or `u8.8`.

    >>> Fixed.parse("s8.7").min, Fixed.parse("s8.7").max, Fixed.parse("u4.2").max
    (-128, 127, 15)
    >>> str(Fixed(8, 8, signed=False))
    'u8.8'
    """

    bits: int
    frac: int
    signed: bool

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise InputError(f"a number format must have 1 to 64 bits, not {self.bits}")
        if not -64 <= self.frac <= 64:
            raise InputError(f"fraction bits must be -64 to 64, not {self.frac}")

    @classmethod
    def parse(cls, text: str) -> Fixed:
        """Read `s8.7` (signed, 8 bits, 7 of them fraction) or `u8.8`."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InputError(f"a number format reads like s8.7 or u8.8, not {text!r}")
        return cls(int(match[2]), int(match[3]), match[1] == "s")

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.frac}"

    @property
    def min(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def magnitude(self) -> int:
        """Largest absolute value of a code."""
        return max(-self.min, self.max)

    def value(self, codes: Any) -> NDArray[np.float64]:
        """Real values of `codes`."""
        return np.asarray(codes, np.float64) * 2.0**-self.frac

    def quantise(self, values: Any) -> NDArray[np.int64]:
        """Codes nearest to real `values`, ties to even, saturated at the bounds.

        >>> Fixed(4, 1, signed=True).quantise([0.25, 0.75, 9.0, -9.0]).tolist()
        [0, 2, 7, -8]
        """
        scaled = np.rint(np.asarray(values, np.float64) * 2.0**self.frac)
        return np.clip(scaled, self.min, self.max).astype(np.int64)


def shift_half_even(x: NDArray[np.int64], shift: Any) -> NDArray[np.int64]:
    """`x / 2**shift` rounded to the nearest integer, ties to the even one (`shift` >= 0, broadcast).

    >>> shift_half_even(np.array([2, 6, 10, -2, -6, 5]), 2).tolist()
    [0, 2, 2, 0, -2, 1]
    """
    shift = np.asarray(shift, np.int64)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    odd = (x >> shift) & 1
    # adding half - 1 + odd rounds ties to even; without a shift nothing may be added
    return np.asarray((x + np.where(shift > 0, half - 1 + odd, 0)) >> shift)


def wrap(x: Any, bits: int) -> NDArray[np.int64]:
    """`x` modulo 2**bits as two's complement.

    >>> wrap(np.array([127, 128, -129]), 8).tolist()
    [127, -128, 127]
    """
    x = np.asarray(x, np.int64)
    half = np.int64(1) << (bits - 1)
    return np.asarray(((x + half) & ((np.int64(1) << bits) - 1)) - half)
