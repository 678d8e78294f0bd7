"""One processing element, literally: the arithmetic and the sites that every engine must reproduce bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hardpoint.array import baugh_wooley_constant, carry_bits, most_carry

__all__ = ["Pe", "ReducedPe", "Tap", "majority", "products", "untouched"]

Tap = Callable[[str, int, int], int]
"""tap(site, copy, value) -> the value as struck in this step: ((value ^ flip) & keep) | set; see `Pe` for the sites."""


def untouched(site: str, copy: int, value: int) -> int:
    """The tap that strikes nothing."""
    return value


def majority(a: int, b: int, c: int) -> int:
    """Bitwise majority.

    >>> majority(0b1100, 0b1010, 0b0111)
    14
    """
    return (a & b) | (a & c) | (b & c)


@lru_cache(maxsize=1 << 17)  # what is literal is slow, and operands come back
def products(a: int, w: int, m: int, n: int, column: int, acc_bits: int, signed: bool) -> tuple[int, int]:
    """PL and PH of operand codes `a` (m bits) and `w` (n bits), split at `column`: PL exact, PH modulo 2**(acc_bits - column).

    Without guarded columns (`column` = `acc_bits`) PL is the product modulo 2**acc_bits.

    >>> low, high = products(-3 & 255, -5 & 255, 8, 8, 14, 24, True)
    >>> (low + (high << 14)) % 2**24
    15
    """
    constant = baugh_wooley_constant(m, n, signed)
    low, high = constant % (1 << column), constant >> column
    for i in range(n):
        for j in range(m):
            flip = (i == n - 1) ^ (j == m - 1 and signed)
            bit = (a >> j & w >> i & 1) ^ flip
            if i + j < column:
                low += bit << (i + j)
            else:
                high += bit << (i + j - column)
    if column == acc_bits:
        return low % (1 << acc_bits), 0
    return low, high % (1 << (acc_bits - column))


@dataclass
class Pe:
    """The datapath of a PE with `act_bits` x `wgt_bits` operands and guarded columns >= `column` of `acc_bits`.

    `lo` and `hi` are its registers. Values of taps lie at bit 0 of their part; sites are "mul.lo" (PL), "mul.hi"
    (PH_i, copy i), "carry", "vote" (V_i), "acc.lo", "acc.hi" (copy i). `lanes` products are summed in a step (`dot`):
    more than one in a recompute unit.

    >>> pe = Pe(8, 8, 24, 14)
    >>> for k, (a, w) in enumerate([(200, 100), (255, 128)]):  # 128 is the weight -128
    ...     pe.step((a,) * 3, (w,) * 3, signed=False, first=k == 0)
    >>> pe.sum() == (200 * 100 - 255 * 128) % 2**24
    True
    """

    act_bits: int
    wgt_bits: int
    acc_bits: int
    column: int
    lo: int = 0
    hi: tuple[int, int, int] = (0, 0, 0)
    lanes: int = 1

    def votes(self, tap: Tap = untouched) -> tuple[int, int, int]:
        """V_i of the present registers."""
        value = majority(*self.hi)
        return tap("vote", 0, value), tap("vote", 1, value), tap("vote", 2, value)

    def step(
        self,
        a: tuple[int, int, int],
        w: tuple[int, int, int],
        *,
        signed: bool,
        first: bool,
        tap: Tap = untouched,
        bypassed: bool = False,
    ) -> None:
        """One step with operand lanes `a` and `w` (a single register is three equal lanes); `first` starts a new sum.

        Weight-stationary, `lo` and `hi` are set before to what the PE above wrote, and `bypassed` PEs pass it on.
        """
        self.dot([a], [w], signed=signed, first=first, tap=tap, bypassed=bypassed)

    def dot(
        self,
        a: Sequence[tuple[int, int, int]],
        w: Sequence[tuple[int, int, int]],
        *,
        signed: bool,
        first: bool,
        tap: Tap = untouched,
        bypassed: bool = False,
    ) -> None:
        """As `step`, of the sum of the products of the lanes `a` and `w`.

        >>> pe = Pe(8, 8, 24, 14, lanes=2)
        >>> pe.dot([(200,) * 3, (255,) * 3], [(100,) * 3, (128,) * 3], signed=False, first=True)
        >>> pe.sum() == (200 * 100 - 255 * 128) % 2**24
        True
        """
        b, high_bits = self.column, self.acc_bits - self.column
        mask, low, highs = (1 << high_bits) - 1, 0, [0, 0, 0]
        for x, y in zip(a, w, strict=True):
            low += products(majority(*x), majority(*y), self.act_bits, self.wgt_bits, b, self.acc_bits, signed)[0]
            for i, (u, v) in enumerate(zip(x, y, strict=True)):
                high = products(u, v, self.act_bits, self.wgt_bits, b, self.acc_bits, signed)[1]
                highs[i] = (highs[i] + high) & mask
        votes = (0, 0, 0) if first else self.votes(tap)
        used = int(not bypassed)
        t = (0 if first else self.lo) + tap("mul.lo", 0, low) * used
        cw = carry_bits(self.act_bits, self.wgt_bits, b, self.acc_bits, self.lanes)
        carry = tap("carry", 0, (t >> b) & ((1 << cw) - 1)) * used
        self.lo = tap("acc.lo", 0, t & ((1 << b) - 1))
        highs = [tap("mul.hi", i, high) * used for i, high in enumerate(highs)]
        sums = [(v + high + carry) & mask for v, high in zip(votes, highs, strict=True)]
        self.hi = (tap("acc.hi", 0, sums[0]), tap("acc.hi", 1, sums[1]), tap("acc.hi", 2, sums[2]))

    def accumulate(self, word: Pe | None, tap: Tap = untouched) -> None:
        """Add `word` of a weight-stationary array's accumulator memory (None: zero); the result is what is stored."""
        b, mask = self.column, (1 << (self.acc_bits - self.column)) - 1
        votes, low, highs = self.votes(tap), 0, [0, 0, 0]
        if word is not None:
            low, high = tap("mul.lo", 0, word.lo), majority(*word.hi)
            highs = [tap("mul.hi", i, high) for i in range(3)]
        t = self.lo + low
        carry = tap("carry", 0, t >> b)
        self.lo = tap("acc.lo", 0, t & ((1 << b) - 1))
        sums = [(v + high + carry) & mask for v, high in zip(votes, highs, strict=True)]
        self.hi = (tap("acc.hi", 0, sums[0]), tap("acc.hi", 1, sums[1]), tap("acc.hi", 2, sums[2]))

    def sum(self) -> int:
        """The voted accumulator, modulo 2**acc_bits."""
        return self.lo | majority(*self.hi) << self.column


@dataclass
class ReducedPe:
    """A PE with reduced-precision redundancy: the full accumulator, and two more of its columns >= `column` without carry.

    Every step begins with one decision, V: the full accumulator's high columns, or, if the two copies agree and lie
    more than the largest carry of a step off it, theirs. All three go on from V, so what the copies lack is never
    more than one carry. `hi` are the high columns of the full accumulator and the two copies. Taps are those of `Pe`
    without "carry"; "mul.lo" and "mul.hi" copy 0 are the columns of the full product, and "vote" has copy 0 only.

    >>> pe = ReducedPe(8, 8, 24, 14)
    >>> for k, (a, w) in enumerate([(200, 100), (255, 128)]):
    ...     pe.step((a,) * 3, (w,) * 3, signed=False, first=k == 0)
    >>> pe.hi = (pe.hi[0] ^ 1 << 9, *pe.hi[1:])
    >>> pe.sum() == (200 * 100 - 255 * 128) % 2**24
    True
    """

    act_bits: int
    wgt_bits: int
    acc_bits: int
    column: int
    lo: int = 0
    hi: tuple[int, int, int] = (0, 0, 0)

    def disagrees(self) -> bool:
        """Whether the two copies outvote the full accumulator."""
        full, first, second = self.hi
        bound = most_carry(self.act_bits, self.wgt_bits, self.column)
        return first == second and (full - first) % (1 << (self.acc_bits - self.column)) > bound

    def votes(self, tap: Tap = untouched) -> tuple[int, int, int]:
        """V of the present registers, for all three."""
        value = tap("vote", 0, self.hi[1] if self.disagrees() else self.hi[0])
        return value, value, value

    def step(
        self,
        a: tuple[int, int, int],
        w: tuple[int, int, int],
        *,
        signed: bool,
        first: bool,
        tap: Tap = untouched,
        bypassed: bool = False,
    ) -> None:
        """One step with operands `a[0]` and `w[0]`; `first` and `bypassed` as in `Pe.step`."""
        b, high_bits, m, n = self.column, self.acc_bits - self.column, self.act_bits, self.wgt_bits
        mask = (1 << high_bits) - 1
        full, _ = products(a[0], w[0], m, n, self.acc_bits, self.acc_bits, signed)
        _, high = products(a[0], w[0], m, n, b, self.acc_bits, signed)
        used = int(not bypassed)
        vote = 0 if first else self.votes(tap)[0]
        low = (0 if first else self.lo) + tap("mul.lo", 0, full % (1 << b)) * used
        self.lo = tap("acc.lo", 0, low % (1 << b))
        sums = [vote + tap("mul.hi", 0, full >> b) * used + (low >> b)]
        sums += [vote + tap("mul.hi", i, high) * used for i in (1, 2)]
        self.hi = (tap("acc.hi", 0, sums[0] & mask), tap("acc.hi", 1, sums[1] & mask), tap("acc.hi", 2, sums[2] & mask))

    def accumulate(self, word: ReducedPe | None, tap: Tap = untouched) -> None:
        """Add `word` of a weight-stationary array's accumulator memory (None: zero); the result is what is stored."""
        b, mask = self.column, (1 << (self.acc_bits - self.column)) - 1
        vote, low, high = self.votes(tap)[0], self.lo, 0
        if word is not None:
            low, high = low + tap("mul.lo", 0, word.lo), tap("mul.hi", 0, word.votes()[0])
        self.lo = tap("acc.lo", 0, low % (1 << b))
        sums = [vote + high + (low >> b), vote + high, vote + high]
        self.hi = (tap("acc.hi", 0, sums[0] & mask), tap("acc.hi", 1, sums[1] & mask), tap("acc.hi", 2, sums[2] & mask))

    def sum(self) -> int:
        """The accumulator as decided, modulo 2**acc_bits."""
        return self.lo | self.votes()[0] << self.column
