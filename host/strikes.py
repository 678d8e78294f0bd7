"""What strikes make of one accumulator: clean stretches by dot products, struck steps literally (`hardpoint.pe`)."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any

from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.program import (
    AT_K, AT_M, CARRY, COLUMN, DRAIN, KW, OPERAND, SIGNED, TRANSPOSED, WRAPS, C, H, K, W,
)  # fmt: skip

__all__ = ["FOREVER", "lone", "operand", "struck_sum"]

FOREVER = 1 << 40
"""A step after all others."""

ACT, WGT, MUL, CARRIES, VOTE, ACC, DRAINS = range(7)  # numbers of sites
OVERHANG = 3
# Rows of a PE's mask table: PL, PH_i, the carry, V_i, lo, hi_i; every row holds flip, clear and set.
PL, PH, CY, V, LO, HI, TAPS = 0, 1, 4, 5, 8, 9, 12


@inlined
def operand(tables: Any, layer: Any, state: Any, m: int, k: int) -> int:
    """Code of the GEMM's left operand (m, k) of an image with `state`; 0 in the padding."""
    at_m, at_k, places = place(layer[AT_M] + m), place(layer[AT_K] + k), tables.places
    h, w = places[at_m, 0] + places[at_k, 0], places[at_m, 1] + places[at_k, 1]
    if h < 0 or h >= layer[H] or w < 0 or w >= layer[W]:
        return 0
    return int(state[place(places[at_m, 2] + places[at_k, 2])])


@inlined
def weight(tables: Any, layer: Any, k: int, n: int) -> int:
    """Code of the GEMM's right operand (k, n)."""
    return int(tables.weights[place(layer[TRANSPOSED] + n * layer[K] + k)])


@inlined
def dot(tables: Any, layer: Any, state: Any, m: int, n: int, start: int, stop: int) -> int:
    """Sum of a[m, k] * w[k, n] over k in [start, stop), row of the window by row."""
    total, line = 0, layer[KW] * layer[C]
    if start < stop:
        places, weights, at_m = tables.places, tables.weights, place(layer[AT_M] + m)
        top, left = places[at_m, 0], places[at_m, 1]
        inside = max(0, -left) * layer[C]  # the part of a line that lies in the image
        outside = min(layer[KW], layer[W] - left) * layer[C]
        column = layer[TRANSPOSED] + n * layer[K]
        first, last = places[place(layer[AT_K] + start), 0], places[place(layer[AT_K] + stop - 1), 0]
        for kh in range(first, last + 1):
            if 0 <= top + kh < layer[H]:
                low = max(start - kh * line, inside)
                high = min(stop - kh * line, outside)
                if low < high:
                    a = place(places[at_m, 2] + kh * layer[W] * layer[C] + low)
                    w = place(column + kh * line + low)
                    for i in range(place(high - low)):
                        total += int(state[a + i]) * int(weights[w + i])
    return total


@inlined
def decoded(code: int, bits: int, signed: int) -> int:
    """Value of the low `bits` of `code`."""
    code &= (1 << bits) - 1
    if signed and code >> (bits - 1):
        code -= 1 << bits
    return code


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
def majority(a: int, b: int, c: int) -> int:
    """Bitwise majority."""
    return (a & b) | (a & c) | (b & c)


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
def lone(
    tables: Any, layer: Any, state: Any, fault: Any, row: int, col: int, m: int, n: int, total: int
) -> tuple[int, int, int]:
    """One flip alone on an accumulator, in closed form: (whether there is one, the new sum, whether a vote disagreed)."""
    site, copy, bit, k = int(fault["site"]), int(fault["copy"]), int(fault["bit"]), int(fault["step"])
    pes, steps = tables.pes, layer[K]
    if site == ACT or site == WGT:  # noqa: SIM109 - a tuple would be built for every strike
        if pes[place(fault["row"]), place(fault["col"]), OPERAND] == 3:
            return 1, total, 1
        a, w = operand(tables, layer, state, m, k), weight(tables, layer, k, n)
        if site == ACT:
            return 1, total + (decoded(a ^ (1 << bit), tables.sizes[3], layer[SIGNED]) - a) * w, 0
        return 1, total + (decoded(w ^ (1 << bit), tables.sizes[4], 1) - w) * a, 0
    old = total
    if site == DRAINS:
        if bit >= pes[place(fault["row"]), place(col), COLUMN] and pes[place(fault["row"]), place(col), DRAIN] == 3:
            return 1, total, 1
    elif site == VOTE:
        if k < steps or pes[place(row), place(col), DRAIN] == 3:
            return (1, total, 1) if k > 0 else (0, 0, 0)
        if copy > 0:
            return 0, 0, 0
    elif site == CARRIES or copy == OVERHANG:
        return 0, 0, 0
    elif bit >= pes[place(row), place(col), COLUMN]:
        return 1, total, 1
    elif site == ACC:
        old = dot(tables, layer, state, m, n, 0, k + 1)
    elif pes[place(row), place(col), WRAPS]:
        return 0, 0, 0
    else:
        old = operand(tables, layer, state, m, k) * weight(tables, layer, k, n)
    return 1, total + (1 << bit) - ((old >> bit & 1) << bit + 1), 0


@compiled
def lanes_at(
    value: int, pes: Any, along_row: int, row: int, col: int, masks: Any, first: int, last: int, lanes: Any
) -> int:
    """Operand lanes of PE (row, col) when `value` has passed the struck registers `first` .. `last` upstream of it.

    `along_row`: the operand flows along the row (act), else down the column (wgt). Returns whether a vote disagreed.
    """
    lanes[0] = lanes[1] = lanes[2] = value
    voted = 0
    for at in range(first, last + 1):
        three = pes[row, at, OPERAND] if along_row else pes[at, col, OPERAND]
        differ = lanes[0] != lanes[1] or lanes[1] != lanes[2]
        if three == 3:
            for lane in range(3):
                lanes[lane] = tapped(lanes[lane], masks[at], lane)
        else:
            value = tapped(majority(lanes[0], lanes[1], lanes[2]), masks[at], 0)
            lanes[0] = lanes[1] = lanes[2] = value
            if differ:
                voted = 1
    return voted


@compiled
def struck_sum(
    tables: Any, layer: Any, state: Any, faults: Any, pairs: Any, first: int, row: int, col: int, m: int, n: int, total: int,
    scratch: Any,
) -> tuple[int, int]:
    """The sum that leaves the array for output (m, n) of PE (row, col), and whether a vote disagreed.

    `total` is the clean sum. `pairs` holds linked rows (fault, first step, step after the last, next row or -1, ...),
    entered at `first`. `scratch` is a zeroed int64 table (3, 64, 3, 3) and
    is left so: masks of act registers by column, of wgt registers by row, of the PE itself.
    """  # fmt: skip
    pes, sizes = tables.pes, tables.sizes
    acc_bits, act_bits, wgt_bits = sizes[2], sizes[3], sizes[4]
    column, steps, signed = pes[row, col, COLUMN], layer[K], layer[SIGNED]
    mask_low, mask_high = (1 << column) - 1, (1 << (acc_bits - column)) - 1
    mask_carry, mask_sum = (1 << pes[row, col, CARRY]) - 1, (1 << acc_bits) - 1
    masks, a_lanes, w_lanes = scratch[2].reshape(-1, 3)[:TAPS], scratch[2].reshape(-1, 3)[12], scratch[2].reshape(-1, 3)[13]
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
            if h0 != h1 or h1 != h2:
                voted = 1
            total_so_far = lo + (majority(h0, h1, h2) << column)
            if stop == steps:
                rest = total - clean
            else:
                rest = dot(tables, layer, state, m, n, k, stop)
            clean += rest
            total_so_far = (total_so_far + rest) & mask_sum
            lo = total_so_far & mask_low
            h0 = h1 = h2 = total_so_far >> column
            k = stop
            continue
        for step in range(k, stop):
            a, w = operand(tables, layer, state, m, step), weight(tables, layer, step, n)
            clean += a * w
            a0 = a1 = a2 = a & ((1 << act_bits) - 1)
            w0 = w1 = w2 = w & ((1 << wgt_bits) - 1)
            if a_first <= col:
                voted |= lanes_at(a0, pes, 1, row, col, scratch[0], a_first, col, a_lanes)
                a0, a1, a2 = int(a_lanes[0]), int(a_lanes[1]), int(a_lanes[2])
            if w_first <= row:
                voted |= lanes_at(w0, pes, 0, row, col, scratch[1], w_first, row, w_lanes)
                w0, w1, w2 = int(w_lanes[0]), int(w_lanes[1]), int(w_lanes[2])
            if column == acc_bits:  # one accumulator, one lane
                low = (decoded(a0, act_bits, signed) * decoded(w0, wgt_bits, 1)) & mask_sum
                lo = tapped((lo + tapped(low, masks, PL)) & mask_sum, masks, LO)
                continue
            low = low_product(majority(a0, a1, a2), majority(w0, w1, w2), act_bits, wgt_bits, column, signed)
            p0 = (decoded(a0, act_bits, signed) * decoded(w0, wgt_bits, 1) - low) >> column
            p1 = p2 = p0
            if a0 != a1 or a1 != a2 or w0 != w1 or w1 != w2:
                voted = 1
                low0 = low_product(a0, w0, act_bits, wgt_bits, column, signed)
                low1 = low_product(a1, w1, act_bits, wgt_bits, column, signed)
                low2 = low_product(a2, w2, act_bits, wgt_bits, column, signed)
                p0 = (decoded(a0, act_bits, signed) * decoded(w0, wgt_bits, 1) - low0) >> column
                p1 = (decoded(a1, act_bits, signed) * decoded(w1, wgt_bits, 1) - low1) >> column
                p2 = (decoded(a2, act_bits, signed) * decoded(w2, wgt_bits, 1) - low2) >> column
            v0 = v1 = v2 = 0
            if step > 0:
                if h0 != h1 or h1 != h2:
                    voted = 1
                vote = majority(h0, h1, h2)
                v0, v1, v2 = tapped(vote, masks, V), tapped(vote, masks, V + 1), tapped(vote, masks, V + 2)
            low = lo + tapped(low, masks, PL)
            carry = tapped((low >> column) & mask_carry, masks, CY)
            lo = tapped(low & mask_low, masks, LO)
            h0 = tapped((v0 + tapped(p0 & mask_high, masks, PH) + carry) & mask_high, masks, HI)
            h1 = tapped((v1 + tapped(p1 & mask_high, masks, PH + 1) + carry) & mask_high, masks, HI + 1)
            h2 = tapped((v2 + tapped(p2 & mask_high, masks, PH + 2) + carry) & mask_high, masks, HI + 2)
        k = stop
        scratch[0, a_first : col + 1] = 0
        scratch[1, w_first : row + 1] = 0
        scratch[2, :5] = 0
    if h0 != h1 or h1 != h2:
        voted = 1
    if drained:
        value, disagreed = drain(pes, sizes, faults, pairs, first, row, col, steps, lo, majority(h0, h1, h2), scratch)
        return value, voted | disagreed
    return lo + (majority(h0, h1, h2) << column), voted


@compiled
def drain(
    pes: Any, sizes: Any, faults: Any, pairs: Any, first: int, row: int, col: int, steps: int, lo: int, vote: int, scratch: Any
) -> tuple[int, int]:
    """What leaves the lower edge for the accumulator {vote, lo} of PE (row, col), and whether a vote disagreed."""
    rows, acc_bits = sizes[0], sizes[2]
    column = pes[row, col, COLUMN]
    masks, lanes = scratch[0, 0], scratch[0, 1, 0]
    # hand-over: V_i at step K
    voted = 0
    table = scratch[2].reshape(-1, 3)[:TAPS]
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        if int(fault["site"]) == VOTE and pairs[pair, 1] <= steps < pairs[pair, 2]:
            local(table, VOTE, int(fault["copy"]), int(fault["bit"]), int(fault["effect"]), column)
        pair = pairs[pair, 3]
    for lane in range(3):
        lanes[lane] = lo | tapped(vote, table, V + lane) << column
    scratch[2, :5] = 0
    split = column if pes[row, col, DRAIN] == 3 else acc_bits  # three lanes from here on
    low = lanes[0] & ((1 << split) - 1)
    for lane in range(3):
        lanes[lane] = low | (lanes[lane] >> split << split)
    for at in range(row, rows):
        here = pes[at, col, COLUMN] if pes[at, col, DRAIN] == 3 else acc_bits
        voted |= shifted(lanes, split, here)
        split = here
        masks[:] = 0
        pair = first
        while pair >= 0:
            fault = faults[pairs[pair, 0]]
            time = steps + at - row
            if int(fault["site"]) == DRAINS and int(fault["row"]) == at and pairs[pair, 1] <= time < pairs[pair, 2]:
                mask, effect = 1 << int(fault["bit"]), int(fault["effect"])
                if int(fault["bit"]) >= split:
                    strike(masks, int(fault["copy"]), mask, effect)
                else:
                    for lane in range(3):
                        strike(masks, lane, mask, effect)
            pair = pairs[pair, 3]
        for lane in range(3):
            lanes[lane] = tapped(lanes[lane], masks, lane)
    voted |= shifted(lanes, split, acc_bits)
    value = int(lanes[0])
    scratch[0, :2] = 0
    return value, voted


@inlined
def shifted(lanes: Any, sender: int, receiver: int) -> int:
    """Three lanes from column `sender` on, as taken by a register that has three from `receiver` on."""
    voted = majority(lanes[0], lanes[1], lanes[2])
    below = (1 << receiver) - 1
    differ = ((lanes[0] ^ lanes[1]) | (lanes[1] ^ lanes[2])) & below
    for lane in range(3):
        lanes[lane] = (voted & below) | (lanes[lane] & ~below)
    return 1 if differ and sender < receiver else 0
