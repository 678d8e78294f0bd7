"""What strikes make of the recompute unit's sums, and which sums it overwrites."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any

from hardpoint.host.datapath import (
    ACC, ACT, CARRIES, DRAINS, INDEXES, OVERHANG, TAPS, V, VOTE, WGT, added, decision, local, majority, split, strike, tapped,
)  # fmt: skip
from hardpoint.host.jit import compiled, inlined
from hardpoint.host.operands import before, dot, operand, weight
from hardpoint.host.program import SIGNED, UNIT_CARRY, UNIT_COLUMN, UNIT_DRAIN, UNIT_LANES, UNIT_OPERAND, UNIT_WRAPS, WHOLE, K
from hardpoint.host.strikes import linear, unanimous

__all__ = ["lone_unit", "named", "unit_sum"]


@compiled
def named(faults: Any, pairs: Any, first: int, number: int) -> int:
    """The neuron that the unit takes for neuron `number` of the list."""
    flip = clear = force = 0
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        if int(fault["site"]) == INDEXES and pairs[pair, 1] <= 0 < pairs[pair, 2]:
            mask, effect = 1 << int(fault["bit"]), int(fault["effect"])
            if effect == 0:
                flip ^= mask
            elif effect == 1:
                clear |= mask
            else:
                force |= mask
        pair = pairs[pair, 3]
    return ((number ^ flip) & ~clear) | force


@inlined
def lone_unit(tables: Any, layer: Any, state: Any, fault: Any, m: int, n: int, total: int) -> tuple[int, int, int]:
    """One flip alone on a sum of the unit, in closed form: (whether there is one, the new sum, whether a vote disagreed)."""
    site, copy, bit, step = int(fault["site"]), int(fault["copy"]), int(fault["bit"]), int(fault["step"])
    unit, base = tables.unit, layer[WHOLE]
    lanes, column = unit[UNIT_LANES], unit[UNIT_COLUMN]
    steps = (layer[K] + lanes - 1) // lanes
    if site == ACT or site == WGT:  # noqa: SIM109 - a tuple would be built for every strike
        k = step * lanes + int(fault["col"])
        if k >= layer[K]:
            return 1, total, 0
        a, w = operand(tables, layer, state, m, k, n), weight(tables, layer, k, n, base)
        if unit[UNIT_OPERAND] < 3:
            return 1, total + linear(tables, layer, a, w, site, bit), 0
        return 1, total, 1 - unanimous(tables, layer, a, w, site, bit, column)
    old = total
    if site == DRAINS:
        if bit >= column and unit[UNIT_DRAIN] == 3:
            return 1, total, 1
    elif site == VOTE:
        if step < steps or unit[UNIT_DRAIN] == 3:
            return (1, total, 1) if step > 0 else (0, 0, 0)
        if copy > 0:
            return 0, 0, 0
    elif site == CARRIES or copy == OVERHANG:
        return 0, 0, 0
    elif bit >= column:
        return 1, total, 1
    elif site == ACC:
        old = before(tables, layer, state, m, n, min((step + 1) * lanes, layer[K]), total, base)
    elif unit[UNIT_WRAPS]:
        return 0, 0, 0
    else:
        old = dot(tables, layer, state, m, n, step * lanes, min((step + 1) * lanes, layer[K]), base)
    return 1, total + (1 << bit) - ((old >> bit & 1) << bit + 1), 0


@compiled
def unit_sum(
    tables: Any, layer: Any, state: Any, faults: Any, pairs: Any, first: int, m: int, n: int, total: int, scratch: Any, taps: Any
) -> tuple[int, int]:
    """The unit's sum for neuron (m, n), and whether a vote disagreed. `total` is the clean sum, `pairs` holds linked rows
    (fault, first step, step after the last, next row or -1), entered at `first`; `scratch` and `taps` are as
    in `struck_sum`.
    """
    unit, sizes, base, signed = tables.unit, tables.sizes, layer[WHOLE], layer[SIGNED]
    acc_bits, act_bits, wgt_bits = sizes[2], sizes[3], sizes[4]
    lanes, column, three = unit[UNIT_LANES], unit[UNIT_COLUMN], unit[UNIT_OPERAND] == 3
    steps = (layer[K] + lanes - 1) // lanes
    mask_low, mask_high, mask_sum = (1 << column) - 1, (1 << (acc_bits - column)) - 1, (1 << acc_bits) - 1
    masks = taps[:TAPS]
    lo = h0 = h1 = h2 = 0
    voted, clean, step = 0, 0, 0
    while step < steps:
        stop, active = steps, 0
        pair = first
        while pair >= 0:
            fault, start, end = faults[pairs[pair, 0]], pairs[pair, 1], pairs[pair, 2]
            site, copy = int(fault["site"]), int(fault["copy"])
            pair = pairs[pair, 3]
            if site == DRAINS or site == INDEXES:  # noqa: SIM109 - as above
                continue
            if start > step:
                stop = min(stop, start)
            elif end > step:
                active += 1
                stop = min(stop, end)
                if site == ACT or site == WGT:  # noqa: SIM109 - as above
                    strike(scratch[site, int(fault["col"])], copy, 1 << int(fault["bit"]), int(fault["effect"]))
                else:
                    local(masks, site, copy, int(fault["bit"]), int(fault["effect"]), column)
        vote, disagreed = decision(h0, h1, h2, mask_high, -1)
        voted |= disagreed
        if active == 0:
            rest = total - clean
            if stop < steps:
                rest = dot(tables, layer, state, m, n, step * lanes, stop * lanes, base)
            clean += rest
            total_so_far = (lo + (vote << column) + rest) & mask_sum
            lo = total_so_far & mask_low
            h0 = h1 = h2 = total_so_far >> column
            step = stop
            continue
        low = p0 = p1 = p2 = 0
        for lane in range(lanes):
            k, a, w = step * lanes + lane, 0, 0
            if k < layer[K]:
                a, w = operand(tables, layer, state, m, k, n), weight(tables, layer, k, n, base)
                clean += a * w
            a &= (1 << act_bits) - 1
            w &= (1 << wgt_bits) - 1
            x, y = scratch[ACT, lane], scratch[WGT, lane]
            a0, w0 = tapped(a, x, 0), tapped(w, y, 0)
            a1, a2, w1, w2 = a0, a0, w0, w0
            if three:
                a1, a2, w1, w2 = tapped(a, x, 1), tapped(a, x, 2), tapped(w, y, 1), tapped(w, y, 2)
            part, q0, q1 = split(majority(a0, a1, a2), majority(w0, w1, w2), sizes, column, signed, 0)
            q2 = q1
            if a0 != a1 or a1 != a2 or w0 != w1 or w1 != w2:
                q0 = split(a0, w0, sizes, column, signed, 0)[1]
                q1 = split(a1, w1, sizes, column, signed, 0)[1]
                q2 = split(a2, w2, sizes, column, signed, 0)[1]
            low, p0, p1, p2 = low + part, p0 + q0, p1 + q1, p2 + q2
        if column == acc_bits:
            low &= mask_sum
        lo, h0, h1, h2 = added(
            lo, vote, low, p0 & mask_high, p1 & mask_high, p2 & mask_high, step == 0, 0, masks, column, acc_bits, unit[UNIT_CARRY], 0
        )
        step += 1
        scratch[:, :lanes] = 0
        taps[:TAPS] = 0
    vote, disagreed = decision(h0, h1, h2, mask_high, -1)
    # the result register takes {V_i, lo}
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        if int(fault["site"]) == VOTE and pairs[pair, 1] <= steps < pairs[pair, 2]:
            local(masks, VOTE, int(fault["copy"]), int(fault["bit"]), int(fault["effect"]), column)
        pair = pairs[pair, 3]
    v0, v1, v2 = tapped(vote, masks, V), tapped(vote, masks, V + 1), tapped(vote, masks, V + 2)
    taps[:TAPS] = 0
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        if int(fault["site"]) == DRAINS and pairs[pair, 1] <= steps < pairs[pair, 2]:
            strike(scratch[0, 0], int(fault["copy"]), 1 << int(fault["bit"]), int(fault["effect"]))
        pair = pairs[pair, 3]
    result = scratch[0, 0]
    r0 = tapped(lo | v0 << column, result, 0)
    if unit[UNIT_DRAIN] == 3:
        v0, v1, v2 = r0 >> column, tapped(v1 << column, result, 1) >> column, tapped(v2 << column, result, 2) >> column
        disagreed |= int(v0 != v1 or v1 != v2)
        r0 = (r0 & mask_low) | majority(v0, v1, v2) << column
    scratch[0, 0] = 0
    return r0, voted | disagreed
