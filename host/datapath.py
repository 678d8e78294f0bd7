"""A PE's datapath under masks, as `hardpoint.pe` says it: one step, and what a strike on an operand changes."""



from __future__ import annotations

from typing import Any

from hardpoint.host.jit import compiled, inlined
from hardpoint.host.operands import decoded
from hardpoint.host.program import N

__all__ = ["added", "decision", "lanes_at", "link", "local", "low_product", "majority", "split", "strike", "tapped"]

ACT, WGT, MUL, CARRIES, VOTE, ACC, DRAINS, INDEXES = range(8)  # numbers of sites
OVERHANG = 3
FOREVER = 1 << 40
"""A step after all others."""

# Rows of a PE's mask table: PL, PH_i, the carry, V_i, lo, hi_i; every row holds flip, clear and set.
PL, PH, CY, V, LO, HI, TAPS = 0, 1, 4, 5, 8, 9, 12


@compiled
def low_product(a: int, w: int, act_bits: int, wgt_bits: int, column: int, signed: int) -> int:
    """PL: the partial products of columns below `column` and the constant's share of them."""
    constant = -(1 << (act_bits + wgt_bits - 1)) + (1 << (wgt_bits - 1)) + (signed << (act_bits - 1))
    low = int(constant & ((1 << column) - 1))
    for i in range(min(wgt_bits, column)):
        row = a if w >> i & 1 else 0
        if i == wgt_bits - 1:
            row ^= (1 << act_bits) - 1
        if signed:
            row ^= 1 << (act_bits - 1)
        low += (row & ((1 << min(act_bits, column - i)) - 1)) << i
    return low


@inlined
def split(a: int, w: int, sizes: Any, column: int, signed: int, reduced: int) -> tuple[int, int, int]:
    """Codes `a` and `w` as (PL, PH_0, PH_1), split at `column`; without copies, and in the full accumulator of
    reduced-precision redundancy (`reduced`), PL is the product's low columns and PH_0 its high ones.
    """
    acc_bits, act_bits, wgt_bits = sizes[2], sizes[3], sizes[4]
    product = decoded(a, act_bits, signed) * decoded(w, wgt_bits, 1)
    if column == acc_bits:
        return product & ((1 << acc_bits) - 1), 0, 0
    high = (1 << (acc_bits - column)) - 1
    a &= (1 << act_bits) - 1
    w &= (1 << wgt_bits) - 1
    low = low_product(a, w, act_bits, wgt_bits, column, signed)
    copies = ((product - low) >> column) & high
    if reduced:
        return product & ((1 << column) - 1), (product >> column) & high, copies
    return low, copies, copies


@inlined
def majority(a: int, b: int, c: int) -> int:
    """Bitwise majority."""
    return (a & b) | (a & c) | (b & c)


@inlined
def decision(h0: int, h1: int, h2: int, high: int, bound: int) -> tuple[int, int]:
    """The vote on three copies of `high` (a mask) columns, and whether it was not unanimous; `bound` -1: majority, else
    the largest lag of copies of reduced-precision redundancy, which overrule the full accumulator where it lies further off.
    """
    if bound < 0:
        return majority(h0, h1, h2), int(h0 != h1 or h1 != h2)
    if h1 == h2 and ((h0 - h1) & high) > bound:
        return h1, 1
    return h0, 0


@inlined
def tapped(value: int, masks: Any, row: int) -> int:
    """`value` as struck by row `row` of a mask table."""
    return int(((value ^ masks[row, 0]) & ~masks[row, 1]) | masks[row, 2])


@inlined
def strike(masks: Any, row: int, mask: int, effect: int) -> None:
    """Add a fault to a mask table: a flip (two cancel), stuck at 0, stuck at 1 (which wins)."""
    if effect == 0:
        masks[row, 0] ^= mask
    else:
        masks[row, effect] |= mask


@compiled
def local(masks: Any, site: int, copy: int, bit: int, effect: int, column: int) -> None:
    """Add a fault inside a PE guarded from `column` on to its mask table."""
    if site == CARRIES:
        strike(masks, CY, 1 << (bit - column), effect)
    elif site == VOTE:
        strike(masks, V + copy, 1 << (bit - column), effect)
    elif site == MUL and copy == OVERHANG:
        strike(masks, PL, 1 << bit, effect)
    elif bit < column:
        strike(masks, PL if site == MUL else LO, 1 << bit, effect)
    else:
        strike(masks, (PH if site == MUL else HI) + copy, 1 << (bit - column), effect)


@inlined
def added(
    lo: int, v: int, low: int, p0: int, p1: int, p2: int, begin: int, bypass: int, masks: Any, column: int, acc_bits: int,
    carry_bits: int, reduced: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Registers (lo, hi_0, hi_1, hi_2) after a step from `lo` and the vote `v` (0 where `begin` starts a sum) on PL and PH_i.

    `bypass`: products and carry count as zero, behind their taps.
    """
    mask_low, mask_high = (1 << column) - 1, (1 << (acc_bits - column)) - 1
    v0 = v1 = v2 = 0
    if not begin:
        v0 = v1 = v2 = tapped(v, masks, V)
        if not reduced:
            v1, v2 = tapped(v, masks, V + 1), tapped(v, masks, V + 2)
    if bypass:
        return tapped(lo, masks, LO), tapped(v0, masks, HI), tapped(v1, masks, HI + 1), tapped(v2, masks, HI + 2)
    total = lo + tapped(low, masks, PL)
    carry = total >> column
    if not reduced:
        carry = tapped(carry & ((1 << carry_bits) - 1), masks, CY)
    copies = 0 if reduced else carry
    return (
        tapped(total & mask_low, masks, LO),
        tapped((v0 + tapped(p0, masks, PH) + carry) & mask_high, masks, HI),
        tapped((v1 + tapped(p1, masks, PH + 1) + copies) & mask_high, masks, HI + 1),
        tapped((v2 + tapped(p2, masks, PH + 2) + copies) & mask_high, masks, HI + 2),
    )


@compiled
def lanes_at(value: int, pes: Any, along_row: int, row: int, col: int, masks: Any, first: int, last: int, operand: int, lanes: Any) -> None:
    """Operand lanes of PE (row, col) when `value` has passed the struck registers `first` .. `last` upstream of it.

    `along_row`: the operand flows along the row (act), else down the column (wgt); column `operand` of `pes` counts lanes.
    """
    lanes[0] = lanes[1] = lanes[2] = value
    for at in range(first, last + 1):
        three = pes[row, at, operand] if along_row else pes[at, col, operand]
        if three == 3:
            for lane in range(3):
                lanes[lane] = tapped(lanes[lane], masks[at], lane)
        else:
            value = tapped(majority(lanes[0], lanes[1], lanes[2]), masks[at], 0)
            lanes[0] = lanes[1] = lanes[2] = value


@inlined
def link(
    work: Any, pairs: Any, layer: Any, i: int, start: int, stop: int, m: int, n: int, row: int, col: int, linked: int, hit: int
) -> tuple[int, int]:
    """Enter fault `i` in the list of sum (m, n) of PE (row, col), for steps `start` .. `stop` - 1."""
    cell = m * layer[N] + n
    pairs[linked, 0], pairs[linked, 1], pairs[linked, 2], pairs[linked, 3] = i, start, stop, -1
    pairs[linked, 4], pairs[linked, 5], pairs[linked, 6], pairs[linked, 7] = m, n, row, col
    if work.heads[cell] < 0:
        work.heads[cell] = linked
        work.touched[hit] = cell
        hit += 1
    else:
        pairs[work.tails[cell], 3] = linked
    work.tails[cell] = linked
    return linked + 1, hit
