"""What strikes make of one sum of a weight-stationary array: clean tiles by dot products, struck ones row by row."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any

from hardpoint.host.datapath import (
    ACC, ACT, CARRIES, CY, FOREVER, HI, LO, MUL, OVERHANG, PH, PL, TAPS, VOTE, WGT, V, added, decision, lanes_at, link, local,
    majority, split, strike, tapped,
)  # fmt: skip
from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.operands import before, dot, operand, weight
from hardpoint.host.program import (
    BOUND, BYPASS, CARRY, CHUNK, COLUMN, DEPTHWISE, INDEX, KIND, OPERAND, SIGNED, TILES_K, TILES_N, TRANSPOSED, WRAPS, K, M, N,
)  # fmt: skip
from hardpoint.host.strikes import linear, unanimous

__all__ = ["begins", "ends", "lone_below", "reach_below", "struck_column"]


@inlined
def held_row(fault: Any, rows: int) -> int:
    """Row whose held weight a flip of a wgt register changes."""
    row, step = int(fault["row"]), int(fault["step"])
    return rows - 1 - step if step <= rows - 1 - row else row


@inlined
def lone_below(tables: Any, layer: Any, state: Any, fault: Any, col: int, m: int, n: int, total: int) -> tuple[int, int, int]:
    """One flip alone on a sum, in closed form: (whether there is one, the new sum, whether a vote disagreed)."""
    site, copy, bit, row = int(fault["site"]), int(fault["copy"]), int(fault["bit"]), int(fault["row"])
    pes, rows, base = tables.pes, tables.sizes[0], layer[TRANSPOSED]
    first = int(fault["tile"]) % layer[TILES_K] * rows  # of the tile's k
    column, reduced = pes[0, place(col), COLUMN], pes[0, place(col), BOUND] >= 0
    if site == ACT or site == WGT:  # noqa: SIM109 - a tuple would be built for every strike
        three = pes[0, place(fault["col"]), OPERAND] == 3
        if site == WGT:
            row = held_row(fault, rows)
        k = first + row
        if k >= layer[K] or pes[place(row), place(col), BYPASS]:
            return 1, total, 0
        a, w = operand(tables, layer, state, m, k, n), weight(tables, layer, k, n, base)
        if not three:
            return 1, total + linear(tables, layer, a, w, site, bit), 0
        if site == ACT:
            for at in range(int(fault["col"]), col + 1):
                if pes[row, at, OPERAND] < 3:
                    return 1, total, 0
        return 1, total, 1 - unanimous(tables, layer, a, w, site, bit, column)
    if site == CARRIES or copy == OVERHANG or reduced:
        return 0, 0, 0
    if site == MUL and row < rows and pes[place(row), place(col), BYPASS]:
        return 1, total, 0
    if site == VOTE or bit >= column:
        return 1, total, 1
    if row == rows:
        old = before(tables, layer, state, m, n, first if site == MUL else min(first + rows, layer[K]), total, base)
    elif site == ACC:
        old = dot(tables, layer, state, m, n, first, min(first + row + 1, layer[K]), base)
    elif pes[place(row), place(col), WRAPS]:
        return 0, 0, 0
    else:
        k, old = first + row, 0
        if k < layer[K]:
            old = operand(tables, layer, state, m, k, n) * weight(tables, layer, k, n, base)
    return 1, total + (1 << bit) - ((old >> bit & 1) << bit + 1), 0


@inlined
def begins(fault: Any, here: int, tile: int) -> int:
    """First step of `tile` of layer `here` (image << 16 | layer) in which a stuck bit may hold; FOREVER: in none."""
    start = int(fault["image"]) << 16 | int(fault["layer"])
    if here < start or (here == start and tile < int(fault["tile"])):
        return FOREVER
    return int(fault["step"]) if here == start and tile == int(fault["tile"]) else 0


@inlined
def ends(fault: Any, here: int, tile: int) -> int:
    """First step of `tile` of layer `here` in which a stuck bit does not hold any more."""
    end = int(fault["end_image"]) << 16 | int(fault["end_layer"])
    if here > end or (here == end and tile > int(fault["end_tile"])):
        return 0
    return int(fault["end_step"]) if here == end and tile == int(fault["end_tile"]) else FOREVER


@inlined
def span(fault: Any, here: int, tile: int) -> tuple[int, int]:
    """Steps [start, end) of `tile` in which a fault acts."""
    if int(fault["effect"]) == 0:
        if tile == int(fault["tile"]):
            return int(fault["step"]), int(fault["step"]) + 1
        return FOREVER, 0
    return begins(fault, here, tile), ends(fault, here, tile)


@compiled
def next_struck(layer: Any, faults: Any, pairs: Any, first: int, here: int, base: int, kt: int, step: int) -> int:
    """The first tile kt' >= kt in which a fault of the list may act until step `step`; tiles_k if there is none."""
    found = int(layer[TILES_K])
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        pair = pairs[pair, 3]
        if int(fault["effect"]) == 0:
            at = int(fault["tile"]) - base
            if at >= kt:
                found = min(found, at)
            continue
        at = kt
        while at < found:
            start, end = begins(fault, here, base + at), ends(fault, here, base + at)
            if start <= step and start < end:
                found = at
            elif end == 0:
                break
            elif start == FOREVER and here == int(fault["image"]) << 16 | int(fault["layer"]):
                at = max(at + 1, int(fault["tile"]) - base)
            else:
                at += 1
    return found


@compiled
def held(faults: Any, pairs: Any, first: int, here: int, tile: int, row: int, rows: int, step: int, three: int, w: int, scratch: Any, lanes: Any) -> None:
    """Lanes of the weight that `row` holds in `step`, `w` having been loaded: through the rows above, then held."""
    masks, load = scratch[1], rows - 1 - row
    pair = first
    while pair >= 0:
        fault = faults[pairs[pair, 0]]
        pair = pairs[pair, 3]
        if int(fault["site"]) == WGT and int(fault["row"]) <= row:
            start, end = span(fault, here, tile)
            if start <= load < end:
                strike(masks[int(fault["row"])], int(fault["copy"]), 1 << int(fault["bit"]), int(fault["effect"]))
    for lane in range(3):
        lanes[lane] = w
        for at in range(row + 1):
            lanes[lane] = tapped(lanes[lane], masks[at], lane if three else 0)
    masks[: row + 1] = 0
    now = load
    while True:
        # the next step in which something begins or ends, and what acts then
        after = FOREVER
        pair = first
        while pair >= 0:
            fault = faults[pairs[pair, 0]]
            pair = pairs[pair, 3]
            if int(fault["site"]) == WGT and int(fault["row"]) == row:
                start, end = span(fault, here, tile)
                if start < end:
                    start = max(start, load + 1)
                    if now < start:
                        after = min(after, start)
                    elif now < end:
                        after = min(after, end)
        if after > step:
            return
        now = after
        pair = first
        while pair >= 0:
            fault = faults[pairs[pair, 0]]
            pair = pairs[pair, 3]
            if int(fault["site"]) == WGT and int(fault["row"]) == row:
                start, end = span(fault, here, tile)
                if start <= now < end:
                    strike(masks[row], int(fault["copy"]), 1 << int(fault["bit"]), int(fault["effect"]))
        for lane in range(3):
            lanes[lane] = tapped(lanes[lane], masks[row], lane if three else 0)
        masks[row] = 0


@compiled
def struck_column(
    tables: Any, layer: Any, state: Any, faults: Any, pairs: Any, first: int, image: int, col: int, m: int, n: int, total: int, scratch: Any, taps: Any
) -> tuple[int, int]:  # fmt: skip
    """The sum (m, n) as it leaves column `col` of the array, and whether a vote disagreed.

    `total` is the clean sum, `pairs` holds linked rows (fault, .., .., next row or -1, ...), entered at `first`;
    `scratch` and `taps` are as in `struck_sum`.
    """
    pes, sizes, weights = tables.pes, tables.sizes, layer[TRANSPOSED]
    rows, acc_bits, act_bits, wgt_bits = sizes[0], sizes[2], sizes[3], sizes[4]
    column, signed, bound = pes[0, col, COLUMN], layer[SIGNED], pes[0, col, BOUND]
    reduced, three = bound >= 0, pes[0, col, OPERAND] == 3
    mask_low, mask_high, mask_sum = (1 << column) - 1, (1 << (acc_bits - column)) - 1, (1 << acc_bits) - 1
    masks, a_lanes, w_lanes = taps[:TAPS], taps[TAPS], taps[TAPS + 1]
    chunk, here = m // layer[CHUNK], image << 16 | layer[INDEX]
    step = rows + m - chunk * layer[CHUNK]
    tile_column = n if layer[KIND] == DEPTHWISE else n // sizes[1]
    base = (chunk * layer[TILES_N] + tile_column) * layer[TILES_K]
    word = word0 = word1 = word2 = 0  # of the memory below the array: lo and three hi
    voted, clean, kt = 0, 0, 0
    while kt < layer[TILES_K]:
        struck = next_struck(layer, faults, pairs, first, here, base, kt, step)
        if struck > kt:
            vote, disagreed = decision(word0, word1, word2, mask_high, bound)
            voted |= disagreed
            rest = total - clean
            if struck < layer[TILES_K]:
                rest = dot(tables, layer, state, m, n, kt * rows, struck * rows, weights)
            clean += rest
            total_so_far = (word + (vote << column) + rest) & mask_sum
            word = total_so_far & mask_low
            word0 = word1 = word2 = total_so_far >> column
            kt = struck
            continue
        lo = h0 = h1 = h2 = 0
        for row in range(rows + 1):
            a_first, heavy = 64, 0
            pair = first
            while pair >= 0:
                fault = faults[pairs[pair, 0]]
                pair = pairs[pair, 3]
                at, site, copy = int(fault["row"]), int(fault["site"]), int(fault["copy"])
                if site == WGT:
                    heavy |= at <= row
                elif at == row:
                    start, end = span(fault, here, base + kt)
                    if start <= step < end:
                        if site == ACT:
                            a_first = min(a_first, int(fault["col"]))
                            strike(scratch[0, int(fault["col"])], copy, 1 << int(fault["bit"]), int(fault["effect"]))
                        else:
                            local(masks, site, copy, int(fault["bit"]), int(fault["effect"]), column)
            vote, disagreed = decision(h0, h1, h2, mask_high, bound)
            voted |= disagreed
            if row == rows:
                addend, disagreed = decision(word0, word1, word2, mask_high, bound)
                if kt > 0:
                    voted |= disagreed
                word, word0, word1, word2 = summed(
                    lo, vote, word, addend, kt == 0, masks, column, acc_bits, reduced
                )
                taps[:TAPS] = 0
                continue
            k, a, w = kt * rows + row, 0, 0
            if k < layer[K]:
                a, w = operand(tables, layer, state, m, k, n), weight(tables, layer, k, n, weights)
                clean += a * w
            a0 = a1 = a2 = a & ((1 << act_bits) - 1)
            b0 = b1 = b2 = w & ((1 << wgt_bits) - 1)
            if a_first <= col:
                lanes_at(a0, pes, 1, row, col, scratch[0], a_first, col, OPERAND, a_lanes)
                a0, a1, a2 = int(a_lanes[0]), int(a_lanes[1]), int(a_lanes[2])
                scratch[0, a_first : col + 1] = 0
            if heavy:
                held(faults, pairs, first, here, base + kt, row, rows, step, three, b0, scratch, w_lanes)
                b0, b1, b2 = int(w_lanes[0]), int(w_lanes[1]), int(w_lanes[2])
            low, p0, p1 = split(majority(a0, a1, a2), majority(b0, b1, b2), sizes, column, signed, reduced)
            p2 = p1
            if a0 != a1 or a1 != a2 or b0 != b1 or b1 != b2:
                p0 = split(a0, b0, sizes, column, signed, 0)[1]
                p1 = split(a1, b1, sizes, column, signed, 0)[1]
                p2 = split(a2, b2, sizes, column, signed, 0)[1]
            lo, h0, h1, h2 = added(
                lo, vote, low, p0, p1, p2, row == 0, pes[row, col, BYPASS], masks, column, acc_bits, pes[row, col, CARRY], reduced
            )
            taps[:TAPS] = 0
        kt += 1
    vote, disagreed = decision(word0, word1, word2, mask_high, bound)
    return word + (vote << column), voted | disagreed


@inlined
def summed(
    lo: int, v: int, word: int, addend: int, begin: int, masks: Any, column: int, acc_bits: int, reduced: int
) -> tuple[int, int, int, int]:
    """The memory word (lo, hi_0, hi_1, hi_2) after {v, lo} came out of the column above; {addend, word} was in it before."""
    mask_low, mask_high = (1 << column) - 1, (1 << (acc_bits - column)) - 1
    v0 = v1 = v2 = tapped(v, masks, V)
    a0, low = tapped(addend, masks, PH), tapped(word, masks, PL)
    a1 = a2 = a0
    if not reduced:
        v1, v2 = tapped(v, masks, V + 1), tapped(v, masks, V + 2)
        a1, a2 = tapped(addend, masks, PH + 1), tapped(addend, masks, PH + 2)
    if begin:
        a0 = a1 = a2 = low = 0
    total = lo + low
    carry = total >> column
    if not reduced:
        carry = tapped(carry & (1 if 0 < column < acc_bits else 0), masks, CY)
    copies = 0 if reduced else carry
    return (
        tapped(total & mask_low, masks, LO),
        tapped((v0 + a0 + carry) & mask_high, masks, HI),
        tapped((v1 + a1 + copies) & mask_high, masks, HI + 1),
        tapped((v2 + a2 + copies) & mask_high, masks, HI + 2),
    )


@inlined
def reach_below(
    tables: Any, work: Any, layer: Any, fault: Any, i: int, pairs: Any, linked: int, hit: int
) -> tuple[int, int]:
    """Link fault `i` to every sum that it reaches: a flip's of its tile, a stuck bit's of the layer."""
    rows, cols, chunk = tables.sizes[0], tables.sizes[1], layer[CHUNK]
    site, col, step = int(fault["site"]), int(fault["col"]), int(fault["step"])
    flip = int(fault["effect"]) == 0
    tile_column = int(fault["tile"]) // layer[TILES_K]
    top, end = 0, layer[M]
    left, right = 0, layer[TILES_N]
    if flip:
        mt = tile_column // layer[TILES_N]
        tile_column -= mt * layer[TILES_N]
        left, right = tile_column, tile_column + 1
        top = mt * chunk
        end = min(top + chunk, end)
        top += max(0, step - rows)
        if site != WGT:
            end = min(top + 1, end)
    for nt in range(left, right):
        first, last = col, cols if site == ACT else col + 1
        if layer[KIND] == DEPTHWISE:
            first = last = nt % cols
            last += first == col or (site == ACT and first > col)
        else:
            last = min(last, layer[N] - nt * cols)
        for c in range(first, last):
            n = nt if layer[KIND] == DEPTHWISE else nt * cols + c
            for m in range(top, end):
                linked, hit = link(work, pairs, layer, i, 0, 0, m, n, 0, c, linked, hit)
    return linked, hit
