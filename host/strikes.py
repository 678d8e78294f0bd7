"""What strikes make of one output-stationary accumulator: clean stretches by dot products, struck steps literally."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any

from hardpoint.host.datapath import (
    ACC, ACT, CARRIES, DRAINS, OVERHANG, TAPS, V, VOTE, WGT, added, decision, lanes_at, local, majority, split, strike, tapped,
)  # fmt: skip
from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.operands import before, decoded, dot, operand, weight
from hardpoint.host.program import BOUND, BYPASS, CARRY, COLUMN, DRAIN, OPERAND, SIGNED, TRANSPOSED, WRAPS, K

__all__ = ["linear", "lone", "struck_sum", "unanimous"]


@inlined
def linear(tables: Any, layer: Any, a: int, w: int, site: int, bit: int) -> int:
    """By how much a flip of bit `bit` of operand `a` (act) or `w` (wgt) changes their product."""
    if site == ACT:
        return (decoded(a ^ (1 << bit), tables.sizes[3], layer[SIGNED]) - a) * w
    return (decoded(w ^ (1 << bit), tables.sizes[4], 1) - w) * a


@inlined
def unanimous(tables: Any, layer: Any, a: int, w: int, site: int, bit: int, column: int) -> int:
    """Whether copies agree when one of them takes operand `a` (act) or `w` (wgt) with bit `bit` flipped."""
    clean = split(a, w, tables.sizes, column, layer[SIGNED], 0)[1]
    if site == ACT:
        return int(clean == split(a ^ (1 << bit), w, tables.sizes, column, layer[SIGNED], 0)[1])
    return int(clean == split(a, w ^ (1 << bit), tables.sizes, column, layer[SIGNED], 0)[1])


@inlined
def lone(
    tables: Any, layer: Any, state: Any, fault: Any, row: int, col: int, m: int, n: int, total: int
) -> tuple[int, int, int]:
    """One flip alone on an accumulator, in closed form: (whether there is one, the new sum, whether a vote disagreed)."""
    site, copy, bit, k = int(fault["site"]), int(fault["copy"]), int(fault["bit"]), int(fault["step"])
    pes, steps, base = tables.pes, layer[K], layer[TRANSPOSED]
    column = pes[place(row), place(col), COLUMN]
    reduced = pes[place(row), place(col), BOUND] >= 0
    if pes[place(row), place(col), BYPASS]:
        return 0, 0, 0
    if site == ACT or site == WGT:  # noqa: SIM109 - a tuple would be built for every strike
        at, end = (int(fault["col"]), col) if site == ACT else (int(fault["row"]), row)
        a, w = operand(tables, layer, state, m, k, n), weight(tables, layer, k, n, base)
        if pes[place(fault["row"]), place(fault["col"]), OPERAND] < 3:
            return 1, total + linear(tables, layer, a, w, site, bit), 0
        while at <= end:
            if (pes[row, at, OPERAND] if site == ACT else pes[at, col, OPERAND]) < 3:
                return 1, total, 0
            at += 1
        return 1, total, 1 - unanimous(tables, layer, a, w, site, bit, column)
    old = total
    if site == DRAINS:
        if bit >= pes[place(fault["row"]), place(col), COLUMN] and pes[place(fault["row"]), place(col), DRAIN] == 3:
            return 1, total, leaves(tables, int(fault["row"]), col, bit)
    elif site == VOTE:
        if reduced:
            old = before(tables, layer, state, m, n, k, total, base)
        elif k < steps:
            return (1, total, 1) if k > 0 else (0, 0, 0)
        elif pes[place(row), place(col), DRAIN] == 3:
            return 1, total, leaves(tables, row, col, bit)
        elif copy > 0:
            return 0, 0, 0
    elif site == CARRIES or copy == OVERHANG:
        return 0, 0, 0
    elif bit >= column:
        if reduced and copy == 0:
            return 0, 0, 0
        return 1, total, 1 - reduced
    elif site == ACC:
        old = before(tables, layer, state, m, n, k + 1, total, base)
    elif pes[place(row), place(col), WRAPS]:
        return 0, 0, 0
    else:
        old = operand(tables, layer, state, m, k, n) * weight(tables, layer, k, n, base)
    return 1, total + (1 << bit) - ((old >> bit & 1) << bit + 1), 0


@inlined
def leaves(tables: Any, row: int, col: int, bit: int) -> int:
    """Whether lanes of column `bit` that differ in the drain register of PE (row, col) still do at the lower edge."""
    pes = tables.pes
    for at in range(row, tables.sizes[0]):
        if pes[at, col, DRAIN] < 3 or bit < pes[at, col, COLUMN]:
            return 0
    return 1


@compiled
def struck_sum(
    tables: Any, layer: Any, state: Any, faults: Any, pairs: Any, first: int, row: int, col: int, m: int, n: int, total: int,
    scratch: Any, taps: Any,
) -> tuple[int, int]:
    """The sum that leaves the array for output (m, n) of PE (row, col), and whether a vote disagreed.

    `total` is the clean sum of the products. `pairs` holds linked rows (fault, first step, step after the last, next row
    or -1, ...), entered at `first`. `scratch` is a zeroed int64 table (2, 64, 3, 3), masks of act registers by column and of
    wgt registers by row, `taps` one of the PE itself (TAPS, 3) and two rows of lanes; both are left zeroed.
    """  # fmt: skip
    pes, sizes, base = tables.pes, tables.sizes, layer[TRANSPOSED]
    acc_bits, act_bits, wgt_bits = sizes[2], sizes[3], sizes[4]
    column, steps, signed, bound = pes[row, col, COLUMN], layer[K], layer[SIGNED], pes[row, col, BOUND]
    carry_bits, reduced = pes[row, col, CARRY], bound >= 0
    mask_low, mask_high, mask_sum = (1 << column) - 1, (1 << (acc_bits - column)) - 1, (1 << acc_bits) - 1
    masks, a_lanes, w_lanes = taps[:TAPS], taps[TAPS], taps[TAPS + 1]
    lo = h0 = h1 = h2 = 0
    clean = 0  # the sum of the clean products so far
    voted, drained, k = 0, 0, 0
    while k < steps:
        # the stretch from k on in which the same faults act
        stop, active = steps, 0
        a_first, w_first = 64, 64
        pair = first
        while pair >= 0:
            fault, start, end = faults[pairs[pair, 0]], pairs[pair, 1], pairs[pair, 2]
            site = int(fault["site"])
            if site == DRAINS or start >= steps:
                drained = 1
            elif start > k:
                stop = min(stop, start)
            elif end > k:
                active += 1
                stop = min(stop, end)
                mask, effect, copy = 1 << int(fault["bit"]), int(fault["effect"]), int(fault["copy"])
                if site == ACT:
                    a_first = min(a_first, int(fault["col"]))
                    strike(scratch[0, int(fault["col"])], copy, mask, effect)
                elif site == WGT:
                    w_first = min(w_first, int(fault["row"]))
                    strike(scratch[1, int(fault["row"])], copy, mask, effect)
                else:
                    local(masks, site, copy, int(fault["bit"]), effect, column)
                if site == VOTE and end > steps:
                    drained = 1
            pair = pairs[pair, 3]
        if active == 0:
            vote, disagreed = decision(h0, h1, h2, mask_high, bound)
            voted |= disagreed
            rest = total - clean
            if stop < steps:
                rest = dot(tables, layer, state, m, n, k, stop, base)
            clean += rest
            total_so_far = (lo + (vote << column) + rest) & mask_sum
            lo = total_so_far & mask_low
            h0 = h1 = h2 = total_so_far >> column
            k = stop
            continue
        for step in range(k, stop):
            a, w = operand(tables, layer, state, m, step, n), weight(tables, layer, step, n, base)
            clean += a * w
            a0 = a1 = a2 = a & ((1 << act_bits) - 1)
            w0 = w1 = w2 = w & ((1 << wgt_bits) - 1)
            if a_first <= col:
                lanes_at(a0, pes, 1, row, col, scratch[0], a_first, col, OPERAND, a_lanes)
                a0, a1, a2 = int(a_lanes[0]), int(a_lanes[1]), int(a_lanes[2])
            if w_first <= row:
                lanes_at(w0, pes, 0, row, col, scratch[1], w_first, row, OPERAND, w_lanes)
                w0, w1, w2 = int(w_lanes[0]), int(w_lanes[1]), int(w_lanes[2])
            low, p0, p1 = split(majority(a0, a1, a2), majority(w0, w1, w2), sizes, column, signed, reduced)
            p2 = p1
            if a0 != a1 or a1 != a2 or w0 != w1 or w1 != w2:
                p0 = split(a0, w0, sizes, column, signed, 0)[1]
                p1 = split(a1, w1, sizes, column, signed, 0)[1]
                p2 = split(a2, w2, sizes, column, signed, 0)[1]
            vote, disagreed = decision(h0, h1, h2, mask_high, bound)  # of zeros before the first step
            voted |= disagreed
            lo, h0, h1, h2 = added(lo, vote, low, p0, p1, p2, step == 0, 0, masks, column, acc_bits, carry_bits, reduced)
        k = stop
        scratch[0, a_first : col + 1] = 0
        scratch[1, w_first : row + 1] = 0
        taps[:TAPS] = 0
    vote, disagreed = decision(h0, h1, h2, mask_high, bound)
    voted |= disagreed
    if drained:
        value, disagreed = drain(tables, faults, pairs, first, row, col, steps, lo, vote, scratch, taps)
        return value, voted | disagreed
    return 0 if pes[row, col, BYPASS] else lo + (vote << column), voted


@compiled
def drain(
    tables: Any, faults: Any, pairs: Any, first: int, row: int, col: int, steps: int, lo: int, vote: int, scratch: Any, taps: Any
) -> tuple[int, int]:
    """What leaves the lower edge for the accumulator {vote, lo} of PE (row, col), and whether its lanes disagreed there."""
    pes, rows, acc_bits = tables.pes, tables.sizes[0], tables.sizes[2]
    column = pes[row, col, COLUMN]
    masks, lanes = scratch[0, 0], scratch[0, 1, 0]
    # hand-over: V_i at step K
    table = taps[:TAPS]
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        if int(fault["site"]) == VOTE and pairs[pair, 1] <= steps < pairs[pair, 2]:
            local(table, VOTE, int(fault["copy"]), int(fault["bit"]), int(fault["effect"]), column)
        pair = pairs[pair, 3]
    reduced = pes[row, col, BOUND] >= 0
    for lane in range(3):
        lanes[lane] = 0 if pes[row, col, BYPASS] else lo | tapped(vote, table, V + (0 if reduced else lane)) << column
    taps[:TAPS] = 0
    split_at = column if pes[row, col, DRAIN] == 3 else acc_bits  # three lanes from here on
    low = lanes[0] & ((1 << split_at) - 1)
    for lane in range(3):
        lanes[lane] = low | (lanes[lane] >> split_at << split_at)
    for at in range(row, rows):
        split_at = pes[at, col, COLUMN] if pes[at, col, DRAIN] == 3 else acc_bits
        shifted(lanes, split_at)
        masks[:] = 0
        pair = first
        while pair >= 0:
            fault = faults[pairs[pair, 0]]
            time = steps + at - row
            if int(fault["site"]) == DRAINS and int(fault["row"]) == at and pairs[pair, 1] <= time < pairs[pair, 2]:
                mask, effect = 1 << int(fault["bit"]), int(fault["effect"])
                if int(fault["bit"]) >= split_at:
                    strike(masks, int(fault["copy"]), mask, effect)
                else:
                    for lane in range(3):
                        strike(masks, lane, mask, effect)
            pair = pairs[pair, 3]
        for lane in range(3):
            lanes[lane] = tapped(lanes[lane], masks, lane)
    disagreed = int(lanes[0] != lanes[1] or lanes[1] != lanes[2])
    shifted(lanes, acc_bits)
    value = int(lanes[0])
    scratch[0, :2] = 0
    return value, disagreed


@inlined
def shifted(lanes: Any, receiver: int) -> None:
    """Three lanes of a sum, as taken by a register that has three from column `receiver` on."""
    voted = majority(lanes[0], lanes[1], lanes[2])
    below = (1 << receiver) - 1
    for lane in range(3):
        lanes[lane] = (voted & below) | (lanes[lane] & ~below)
