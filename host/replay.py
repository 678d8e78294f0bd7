"""What faults change: from the struck accumulators onwards, and nothing else."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hardpoint.host.buffers import WBUF, strike_buffers, strike_outputs, struck_pixel, undo_buffers
from hardpoint.host.changes import added_inputs, remember, summed
from hardpoint.host.datapath import ACC, ACT, DRAINS, FOREVER, INDEXES, MUL, WGT, link
from hardpoint.host.jit import compiled, fetch, inlined, place
from hardpoint.host.operands import dot, wrapped
from hardpoint.host.program import (
    ADD, ALIGN, ALIGN2, AVGPOOL, BOUND, BYPASS, CELLS, CHUNK, COLUMN, COUNT, DEMAND, DEPTHWISE, ENTRIES, FUSED, HIGH, IN, IN2, IN2_ID, IN_ID, INDEX, KH, KIND,
    KW, LEFT, LOW, OFFSET, OH, OUT, OUT_ID, OW, PIXELS, POOLED, REQUANTISE, ROW, SH, SUMS, SW, TILES_K, TILES_N, TOP, TRANSPOSED,
    WHOLE, C, H, K, M, N, Program, W,
)  # fmt: skip
from hardpoint.host.stationary import begins, ends, held_row, lone_below, reach_below, struck_column
from hardpoint.host.strikes import lone, struck_sum
from hardpoint.host.unit import lone_unit, named, unit_sum

__all__ = ["Tables", "Work", "replay"]


U = np.uint64  # numbers that cannot be negative are divided faster so
I64: Any = np.int64
LINE, LINES = 16, 3
"""Words of a cache line, and lines of the next image's state that are fetched with every struck sum of this one's: states of
many images lie in no cache near by.
"""

BLOCK = 16
"""Channels that are compared at a time."""


class Tables(NamedTuple):
    """The arrays of a `Program`, as kernels take them."""

    layers: Any
    weights: Any
    requantise: Any
    pes: Any
    sizes: Any
    places: Any
    tensors: Any
    unit: Any
    entries: Any
    cells: Any

    @classmethod
    def of(cls, program: Program) -> Tables:
        """The tables of `program`."""
        tables = cls(*(getattr(program, name) for name in cls._fields))
        return tables._replace(weights=tables.weights.copy())  # a struck weight buffer changes them for a while


class Work(NamedTuple):
    """Working memory of a replay.

    Changed pixels (all channels of a place) per tensor: `count`, `pixels`, where their old codes lie in the log (`saved`),
    and which channel `only` has changed (-1: any). The log that undoes changes: `log_at`, `log_size`, `log`; `used` counts its entries and
    words, `cells`, words of the next image's state that are fetched, and `made`. Pixels at work, all channels of which may
    have changed: `dirty`, `mark`; sums that changed elsewhere: `cells`, `struck`, their pixels, `places`, what they were, `sums`, and where the
    output pixel that they change is listed (`noted`, -1: nowhere). Sums worked out on demand: `own`, for which pixels they are `known`,
    and the list of those, `made`. Windows at work: `windows`, `covered`; rows of codes, `codes` and `single`,
    channels that differ (`which`, `delta`). Struck accumulators: `heads`, `tails`, `touched`, their `pairs` with
    faults, and the mask tables of a PE (`scratch`, `taps`). Struck entries of the recompute unit: `listed`, their `unit_heads` and
    `unit_tails` among the pairs, the neurons `taken` for theirs, their `final` sums.
    """

    count: Any
    pixels: Any
    saved: Any
    only: Any
    log_at: Any
    log_size: Any
    log: Any
    used: Any
    dirty: Any
    mark: Any
    cells: Any
    struck: Any
    places: Any
    sums: Any
    noted: Any
    own: Any
    known: Any
    made: Any
    windows: Any
    covered: Any
    codes: Any
    single: Any
    which: Any
    delta: Any
    heads: Any
    tails: Any
    touched: Any
    pairs: Any
    scratch: Any
    taps: Any
    listed: Any
    unit_heads: Any
    unit_tails: Any
    taken: Any
    final: Any

    @classmethod
    def of(cls, program: Program, flips: int = 0, stuck: int = 0, held: int = 0) -> Work:
        """Memory enough for `program`, clean, with at most `flips` flips in an image, of which `held` strike weights that
        stay for a tile, and `stuck` stuck bits in all.
        """
        layers, tensors = program.layers, program.tensors
        places, row = int((layers[:, OH] * layers[:, OW]).max()), int(tensors[:, ROW].max())
        cells = int((layers[:, M] * layers[:, N]).max())
        rows, cols, *_, stationary, _ = program.sizes.tolist()
        tiles = int((-(-layers[:, M] // rows) * layers[:, TILES_N]).max())
        # accumulators that one record reaches
        flip, longer, lasting = max(rows, cols), 0, tiles * max(rows, cols)
        if stationary:
            flip, longer, lasting = cols, int(layers[:, CHUNK].max()), cells
        entries = int(layers[:, COUNT].max())
        pixels, demand = int(tensors[-1, PIXELS]) + places, layers[layers[:, DEMAND] > 0]

        def words(count: int) -> Any:
            return np.zeros(count, np.int32)

        return cls(
            np.zeros(len(tensors), np.int64), words(pixels), np.zeros(pixels, np.int64), words(pixels),
            words(program.words), words(program.words), words(program.words), np.zeros(5, np.int64),
            words(places), np.zeros(places, np.uint8), words(cells), np.zeros(cells, np.uint8), words(cells), words(cells), words(places) - 1,
            words(int((demand[:, M] * demand[:, N]).max(initial=0))), np.zeros(places, np.uint8), words(places),
            words(places), np.zeros(places, np.uint8), words(row), words(row), words(row), words(row),
            words(cells) - 1, words(cells), words(cells),
            np.empty((flips * flip + held * longer + stuck * max(lasting, entries), 8), np.int64), np.zeros((2, 64, 3, 3), np.int64), np.zeros((14, 3), np.int64),
            words(entries), words(entries) - 1, words(entries), words(entries) - 1, np.zeros(entries, np.int64),
        )  # fmt: skip


@compiled
def replay(
    tables: Any, work: Any, states: Any, faults: Any, starts: Any, rows: Any, stuck: int, first: int, outputs: Any, voted: Any
) -> None:
    """Run every unit u on the clean state `states[rows[u]]` with flips `faults[starts[u]:starts[u + 1]]`, sorted by
    layer, tile and step, and with all of `faults[stuck:]`; `first` is the number of the image in `states[0]`.

    `outputs` (units, outputs) receives the last layer's codes, `voted` (units) whether any vote disagreed. States are
    changed in place and restored before the next unit.
    """
    layers, tensors, count, used, log = tables.layers, tables.tensors, work.count, work.used, work.log
    out_at, out_size = tensors[-1, OFFSET], tensors[-1, 1]
    state = ahead = states[0]
    for unit in range(len(rows)):
        row, at, stop = rows[unit], starts[unit], starts[unit + 1]
        image = first + row
        if unit == 0 or row != rows[unit - 1]:
            state, ahead, used[3] = states[row], states[min(row + 1, len(states) - 1)], 0
        for i in range(len(count)):
            count[i] = 0
        used[0] = used[1] = 0
        begun = 0
        if stuck == len(faults):  # nothing happens before the first flip
            begun = 0 if at < stop else len(layers)
            while begun < len(layers) and layers[begun, INDEX] != faults[at]["layer"]:
                begun += 1
        for i in range(begun, len(layers)):
            layer = layers[i]
            if layer[KIND] > DEPTHWISE:
                if layer[KIND] < ADD:
                    pool(tables, work, layer, state)
                elif layer[KIND] < FUSED:
                    pointwise(tables, work, layer, state)
                continue
            begin, stored = at, 0
            while at < stop and faults[at]["layer"] == layer[INDEX]:
                stored += int(faults[at]["site"]) >= WBUF
                at += 1
            if at == begin and stuck == len(faults) and count[layer[IN_ID]] == 0:
                continue
            sums = work.own if layer[DEMAND] else state
            dirty, used[2] = spread(tables, work, layer, state), 0
            if stored:
                dirty = strike_buffers(tables, work, layer, state, sums, faults, begin, at, dirty)
            if tables.sizes[6]:
                bypass(tables, work, layer, state, dirty)
            if at > begin + stored or stuck < len(faults):
                voted[unit] |= strike(tables, work, layer, state, sums, ahead, faults, begin, at, stuck, image)
            end = at if stored else begin
            if layer[POOLED]:
                settle_pooled(tables, work, layer, layers[i + 1], state, sums, dirty, faults, begin, end)
            else:
                for j in range(dirty):
                    settle(tables, work, layer, state, sums, work.dirty[j], faults, begin, end)
                for j in range(used[2]):
                    settle_cell(tables, work, layer, layer, state, sums, j)
                forget(tables, work, layer)
            if stored:
                undo_buffers(tables, layer, state, faults, begin, at)
            for j in range(used[4]):
                work.known[work.made[j]] = 0
            used[4] = 0
        for j in range(out_size):
            outputs[unit, j] = state[out_at + j]
        source = place(0)
        for j in range(used[0]):
            target = place(work.log_at[j])
            for k in range(place(work.log_size[j])):
                state[target + k] = log[source + k]
            source += place(work.log_size[j])


@inlined
def record(tables: Any, work: Any, layer: Any, state: Any, pixel: int) -> None:
    """Give output pixel `pixel` of a layer the codes of the row `work.codes`, and list it if that changes anything."""
    codes, n, differ = work.codes, place(layer[N]), 0
    old = place(layer[OUT] + pixel * layer[N])
    for j in range(n):
        differ |= codes[j] ^ state[old + j]
    if differ:
        tensor = layer[OUT_ID]
        entry = tables.tensors[tensor, PIXELS] + work.count[tensor]
        work.pixels[entry], work.saved[entry], work.only[entry] = pixel, work.used[1], -1
        work.count[tensor] += 1
        remember(work, state, layer[OUT] + pixel * layer[N], layer[N])
        for j in range(n):
            state[old + j] = codes[j]


@inlined
def record_one(tables: Any, work: Any, layer: Any, state: Any, pixel: int, channel: int, code: int) -> None:
    """Give channel `channel` of output pixel `pixel` of a layer the code `code`, and list the pixel if that changes it."""
    if code != state[place(layer[OUT] + pixel * layer[N] + channel)]:
        tensor, entry = layer[OUT_ID], int(work.noted[pixel])
        if entry < 0:
            entry = tables.tensors[tensor, PIXELS] + work.count[tensor]
            work.pixels[entry], work.saved[entry], work.only[entry], work.noted[pixel] = pixel, work.used[1], channel, entry
            work.count[tensor] += 1
            remember(work, state, layer[OUT] + pixel * layer[N], layer[N])
        elif work.only[entry] != channel:
            work.only[entry] = -1
        state[place(layer[OUT] + pixel * layer[N] + channel)] = code


@inlined
def forget(tables: Any, work: Any, layer: Any) -> None:
    """Forget which output pixels of a layer `record_one` listed."""
    if work.used[2]:
        tensor = layer[OUT_ID]
        for entry in range(tables.tensors[tensor, PIXELS], tables.tensors[tensor, PIXELS] + work.count[tensor]):
            work.noted[work.pixels[entry]] = -1


@inlined
def requantised(x: int, table: Any, channel: int, low: int, high: int) -> int:
    """Code of the sum `x`: shifted half to even and saturated."""
    shift = table[place(1), channel]
    x = (x + table[place(2), channel] + (table[place(3), channel] & (x >> shift))) >> shift
    return max(low, min(high, x))


@inlined
def differing(tables: Any, work: Any, state: Any, tensor: int, entry: int) -> int:
    """List the channels of a changed pixel that differ, and by how much; returns how many."""
    row, found = tables.tensors[tensor, ROW], 0
    new = tables.tensors[tensor, OFFSET] + int(work.pixels[entry]) * row
    old = work.saved[entry]
    if work.only[entry] >= 0:
        channel = place(work.only[entry])
        work.which[0], work.delta[0] = work.only[entry], state[place(new) + channel] - work.log[place(old) + channel]
        return 1
    for block in range(0, row, BLOCK):
        any_of_them = 0
        a, b, size = place(new + block), place(old + block), min(BLOCK, row - block)
        for j in range(place(size)):
            any_of_them |= state[a + j] ^ work.log[b + j]
        if any_of_them:
            for j in range(block, block + size):
                delta = state[new + j] - work.log[old + j]
                work.which[found], work.delta[found] = j, delta
                found += delta != 0
    return found


@inlined
def spread(tables: Any, work: Any, layer: Any, state: Any) -> int:
    """Add what changed inputs contribute to an array layer's sums; returns how many output pixels are dirty."""
    tensor, dirty = layer[IN_ID], 0
    base = tables.tensors[tensor, PIXELS]
    for entry in range(base, base + work.count[tensor]):
        pixel, found = int(work.pixels[entry]), differing(tables, work, state, tensor, entry)
        first = 0
        if layer[H] == 1 and layer[W] == 1:  # all of a dense layer's inputs are channels of one pixel
            first, pixel = pixel * tables.tensors[tensor, ROW], 0
        dirty = added_inputs(tables, work, layer, state, state, pixel, first, found, dirty)
    return dirty


@compiled
def bypass(tables: Any, work: Any, layer: Any, state: Any, dirty: int) -> None:
    """Give sums of dirty pixels what bypassed PEs leave of them: zero where sums stay in a PE; where weights stay, theirs
    are zero to the array, but not to the recompute unit.
    """
    rows, cols, n = tables.sizes[0], tables.sizes[1], layer[N]
    for j in range(dirty):
        m = int(work.dirty[j])
        for channel in range(n):
            cell = m * n + channel
            listed = layer[COUNT] > 0 and tables.cells[layer[CELLS] + cell] >= 0
            if tables.sizes[5]:
                if listed:
                    state[layer[SUMS] + cell] = dot(tables, layer, state, m, channel, 0, layer[K], layer[WHOLE])
            elif not listed and tables.pes[m % rows, channel % cols, BYPASS]:
                state[layer[SUMS] + cell] = 0


@inlined
def settle(tables: Any, work: Any, layer: Any, state: Any, sums: Any, m: int, faults: Any, begin: int, end: int) -> None:
    """Requantise the sums of output pixel m."""
    bits, table, codes = tables.sizes[2], tables.requantise, work.codes
    work.mark[m] = 0
    at, channel = place(layer[SUMS] + m * layer[N]), place(layer[REQUANTISE])
    low, high = layer[LOW], layer[HIGH]
    for j in range(place(layer[N])):
        x = wrapped(int(sums[at + j]) + table[place(0), channel + j], bits)
        codes[j] = requantised(x, table, channel + j, low, high)
    if end > begin:
        strike_outputs(layer, faults, begin, end, m, codes)
    record(tables, work, layer, state, m)


@inlined
def settle_cell(tables: Any, work: Any, layer: Any, after: Any, state: Any, sums: Any, i: int) -> None:
    """Requantise sum i of `work.cells`, pooled by `after` where that is another layer, and no other sum of its pixel.

    The code of a window is at least that of any of its sums: others matter only where this one was the largest.
    """
    cell, n, bits, table = int(work.cells[i]), layer[N], tables.sizes[2], tables.requantise
    m, work.struck[cell] = int(work.places[i]), 0
    j = cell - m * n
    channel = place(layer[REQUANTISE] + j)
    bias, low, high = table[place(0), channel], layer[LOW], layer[HIGH]
    new, old = wrapped(int(sums[place(layer[SUMS] + cell)]) + bias, bits), wrapped(int(work.sums[i]) + bias, bits)
    code = requantised(new, table, channel, low, high)
    if not layer[POOLED]:
        record_one(tables, work, layer, state, m, j, code)
        return
    height, width, kh, kw, sh, sw = after[H], after[W], after[KH], after[KW], after[SH], after[SW]
    h = I64(U(m) // U(width))
    first, bottom = windows_of(h + after[TOP], kh, sh, after[OH])
    begin, end = windows_of(m - h * width + after[LEFT], kw, sw, after[OW])
    for oh in range(first, bottom):
        for ow in range(begin, end):
            window = oh * after[OW] + ow
            if work.covered[window]:
                continue
            most = int(state[place(after[OUT] + window * n + j)])
            if code < most:
                if new > old or requantised(old, table, channel, low, high) < most:
                    continue
                best, top, left = new, oh * sh - after[TOP], ow * sw - after[LEFT]
                for y in range(max(0, top), min(height, top + kh)):
                    for x in range(max(0, left), min(width, left + kw)):
                        if layer[DEMAND]:
                            summed(tables, work, layer, state, sums, y * width + x)
                        best = max(best, wrapped(int(sums[place(layer[SUMS] + (y * width + x) * n + j)]) + bias, bits))
                record_one(tables, work, after, state, window, j, requantised(best, table, channel, low, high))
            else:
                record_one(tables, work, after, state, window, j, code)


@compiled
def pointwise(tables: Any, work: Any, layer: Any, state: Any) -> None:
    """Recompute the pixels of an addition or rescaling that read changed codes."""
    n, codes = layer[N], work.codes
    for side in range(2 if layer[KIND] == ADD else 1):
        tensor = layer[IN2_ID] if side else layer[IN_ID]
        for entry in range(tables.tensors[tensor, PIXELS], tables.tensors[tensor, PIXELS] + work.count[tensor]):
            pixel = int(work.pixels[entry])
            for j in range(n):
                x = int(state[layer[IN] + pixel * n + j]) << layer[ALIGN]
                if layer[KIND] == ADD:
                    x += int(state[layer[IN2] + pixel * n + j]) << layer[ALIGN2]
                codes[j] = requantised(x, tables.requantise, layer[REQUANTISE], layer[LOW], layer[HIGH])
            record(tables, work, layer, state, pixel)


@inlined
def windows_of(at: int, size: int, stride: int, count: int) -> tuple[int, int]:
    """First and last + 1 of `count` windows of `size` places, `stride` apart, that hold place `at`."""
    last = at >> stride - 1 if stride < 3 else I64(U(at) // U(stride))
    first = last if size == stride else max(0, (at - size + stride) // stride)
    return first, min(count, last + 1)


@inlined
def cover(work: Any, layer: Any, pixel: int, windows: int) -> int:
    """List the windows of a pooling that hold `pixel`, each once; returns how many are listed."""
    h = I64(U(pixel) // U(layer[W]))
    w = pixel - h * layer[W] + layer[LEFT]
    top, bottom = windows_of(h + layer[TOP], layer[KH], layer[SH], layer[OH])
    left, right = windows_of(w, layer[KW], layer[SW], layer[OW])
    for oh in range(top, bottom):
        for ow in range(left, right):
            window = oh * layer[OW] + ow
            if work.covered[window] == 0:
                work.covered[window] = 1
                work.windows[windows] = window
                windows += 1
    return windows


@inlined
def settle_pooled(
    tables: Any, work: Any, layer: Any, after: Any, state: Any, sums: Any, dirty: int, faults: Any, begin: int, end: int
) -> None:
    """Requantise the windows of pooling `after` that hold one of the `dirty` output pixels or a sum that changed alone."""
    bits, table, codes, windows, n = tables.sizes[2], tables.requantise, work.codes, 0, place(layer[N])
    channel, low, high, single = place(layer[REQUANTISE]), layer[LOW], layer[HIGH], work.single
    for j in range(dirty):
        work.mark[work.dirty[j]] = 0
        windows = cover(work, after, int(work.dirty[j]), windows)
    for i in range(windows):
        window = int(work.windows[i])
        oh = window // after[OW]
        top, left = oh * after[SH] - after[TOP], (window - oh * after[OW]) * after[SW] - after[LEFT]
        for j in range(n):
            codes[j] = -(1 << 31)
        struck = 0
        for h in range(max(0, top), min(after[H], top + after[KH])):
            for w in range(max(0, left), min(after[W], left + after[KW])):
                if end > begin and struck_pixel(layer, faults, begin, end, h * after[W] + w):
                    struck += 1
                    continue
                if layer[DEMAND]:
                    summed(tables, work, layer, state, sums, h * after[W] + w)
                at = place(layer[SUMS] + (h * after[W] + w) * layer[N])
                for j in range(n):
                    codes[j] = max(codes[j], wrapped(int(sums[at + j]) + table[place(0), channel + j], bits))
        for j in range(n):
            if codes[j] > -(1 << 31) or not struck:
                codes[j] = requantised(int(codes[j]), table, channel + j, low, high)
        if struck:
            for h in range(max(0, top), min(after[H], top + after[KH])):
                for w in range(max(0, left), min(after[W], left + after[KW])):
                    if struck_pixel(layer, faults, begin, end, h * after[W] + w):
                        at = place(layer[SUMS] + (h * after[W] + w) * layer[N])
                        for j in range(n):
                            x = wrapped(int(sums[at + j]) + table[place(0), channel + j], bits)
                            single[j] = requantised(x, table, channel + j, low, high)
                        strike_outputs(layer, faults, begin, end, h * after[W] + w, single)
                        for j in range(n):
                            codes[j] = max(codes[j], single[j])
        record(tables, work, after, state, window)
    for i in range(work.used[2]):
        settle_cell(tables, work, layer, after, state, sums, i)
    forget(tables, work, after)
    for i in range(windows):
        work.covered[int(work.windows[i])] = 0


@compiled
def pool(tables: Any, work: Any, layer: Any, state: Any) -> None:
    """Recompute the windows that hold changed pixels."""
    tensor, c, n, windows = layer[IN_ID], layer[C], place(layer[C]), 0
    for entry in range(tables.tensors[tensor, PIXELS], tables.tensors[tensor, PIXELS] + work.count[tensor]):
        windows = cover(work, layer, int(work.pixels[entry]), windows)
    codes, average = work.codes, layer[KIND] == AVGPOOL
    for i in range(windows):
        window = int(work.windows[i])
        work.covered[window] = 0
        top, left = window // layer[OW] * layer[SH] - layer[TOP], window % layer[OW] * layer[SW] - layer[LEFT]
        for j in range(n):
            codes[j] = 0 if average else -(1 << 30)
        for h in range(max(0, top), min(layer[H], top + layer[KH])):
            for w in range(max(0, left), min(layer[W], left + layer[KW])):
                source = place(layer[IN] + (h * layer[W] + w) * c)
                if average:
                    for j in range(n):
                        codes[j] += state[source + j]
                else:
                    for j in range(n):
                        codes[j] = max(codes[j], state[source + j])
        if average:
            for j in range(n):
                codes[j] = requantised(int(codes[j]), tables.requantise, layer[REQUANTISE], layer[LOW], layer[HIGH])
        record(tables, work, layer, state, window)


@inlined
def strike(
    tables: Any, work: Any, layer: Any, state: Any, sums: Any, ahead: Any, faults: Any, begin: int, end: int, stuck: int, image: int
) -> int:
    """Give every sum that flips `begin` .. `end` - 1 or stuck bits reach its struck value; returns whether a vote disagreed."""
    pairs, stationary = work.pairs, tables.sizes[5]
    hit = linked = entries = 0
    here = image << 16 | layer[INDEX]
    tiles = (layer[M] + tables.sizes[0] - 1) // tables.sizes[0] * layer[TILES_N]
    for i in range(begin, end):
        fault = faults[i]
        start = int(fault["step"])
        if int(fault["site"]) >= WBUF:
            continue
        if int(fault["row"]) == UNIT_ROW:
            linked, entries = listed(work, pairs, i, int(fault["tile"]), start, start + 1, linked, entries)
        elif stationary:
            linked, hit = reach_below(tables, work, layer, fault, i, pairs, linked, hit)
        else:
            linked, hit = reach(tables, work, layer, fault, i, int(fault["tile"]), start, start + 1, pairs, linked, hit)
    for i in range(stuck, len(faults)):
        fault = faults[i]
        if not int(fault["image"]) << 16 | int(fault["layer"]) <= here <= int(fault["end_image"]) << 16 | int(fault["end_layer"]):
            continue
        unit = int(fault["row"]) == UNIT_ROW
        if stationary and not unit:
            linked, hit = reach_below(tables, work, layer, fault, i, pairs, linked, hit)
            continue
        for tile in range(layer[COUNT] if unit else tiles):
            start, stop = begins(fault, here, tile), ends(fault, here, tile)
            if start < stop:
                if unit:
                    linked, entries = listed(work, pairs, i, tile, start, stop, linked, entries)
                else:
                    linked, hit = reach(tables, work, layer, fault, i, tile, start, stop, pairs, linked, hit)
    voted = 0
    for j in range(entries):
        entry = int(work.listed[j])
        cell = int(tables.entries[layer[ENTRIES] + entry])
        work.taken[entry] = named(faults, pairs, work.unit_heads[entry], cell)
        if work.taken[entry] != cell:  # what the array makes of it stays
            value = own(tables, layer, state, cell // layer[N], cell % layer[N])
            changed(tables, work, layer, sums, cell // layer[N], cell, value)
    for j in range(hit):
        cell = int(work.touched[j])
        if work.used[3] < len(ahead):
            for line in range(LINES):
                fetch(ahead, work.used[3] + line * LINE)
            work.used[3] += LINES * LINE
        head, target = int(work.heads[cell]), place(layer[SUMS] + cell)
        work.heads[cell] = -1
        m, channel, row, col = pairs[head, 4], pairs[head, 5], pairs[head, 6], pairs[head, 7]
        if layer[DEMAND]:
            summed(tables, work, layer, state, sums, m)
        covered = overwritten(tables, work, layer, cell)
        total, disagreed = int(sums[target]), 0
        if tables.sizes[6] and (covered or layer[COUNT] > 0):
            total = own(tables, layer, state, m, channel)
        pair, value, known = head, total, 1
        while known and pair >= 0:
            known, one, seen, i = 0, total, 0, int(pairs[pair, 0])
            if i < stuck and (pairs[head, 3] < 0 or apart(tables, layer, faults, pairs, head, pair, row, col)):
                if stationary:
                    known, one, seen = lone_below(tables, layer, state, faults[i], col, m, channel, total)
                else:
                    known, one, seen = lone(tables, layer, state, faults[i], row, col, m, channel, total)
            value, disagreed, pair = value + one - total, disagreed | seen, int(pairs[pair, 3])
        if not known and stationary:
            value, disagreed = struck_column(
                tables, layer, state, faults, pairs, head, image, col, m, channel, total, work.scratch, work.taps
            )
        elif not known:
            if tables.pes[row, col, BYPASS]:
                total = dot(tables, layer, state, m, channel, 0, layer[K], layer[TRANSPOSED])
            value, disagreed = struck_sum(
                tables, layer, state, faults, pairs, head, row, col, m, channel, total, work.scratch, work.taps
            )
        voted |= disagreed
        if not covered:
            changed(tables, work, layer, sums, m, cell, value)
    if entries:
        voted |= computed_again(tables, work, layer, state, faults, entries, stuck)
    return voted


@inlined
def apart(tables: Any, layer: Any, faults: Any, pairs: Any, head: int, pair: int, row: int, col: int) -> int:
    """Whether what the flip in `pair` does to the sum of PE (row, col) adds to what others in its list, from `head` on, do:
    it acts on a product of its own, or is voted out at once.
    """
    fault = faults[pairs[pair, 0]]
    site, pes, stationary = int(fault["site"]), tables.pes, tables.sizes[5]
    if pes[row, col, BOUND] >= 0 or (site > MUL and (site != ACC or int(fault["bit"]) < pes[row, col, COLUMN])):
        return 0
    if stationary and int(fault["row"]) == tables.sizes[0]:  # in the accumulator row
        return 0
    mine, other = product_of(tables, layer, fault), head
    while other >= 0:
        if other != pair and product_of(tables, layer, faults[pairs[other, 0]]) == mine:
            return 0
        other = int(pairs[other, 3])
    return 1


@inlined
def product_of(tables: Any, layer: Any, fault: Any) -> int:
    """The reduction index at which a flip in a PE, or in an operand that passes it, acts."""
    if not tables.sizes[5]:
        return int(fault["step"])
    row = held_row(fault, tables.sizes[0]) if int(fault["site"]) == WGT else int(fault["row"])
    return int(int(fault["tile"]) % layer[TILES_K] * tables.sizes[0] + row)


@inlined
def changed(tables: Any, work: Any, layer: Any, sums: Any, m: int, cell: int, value: int) -> None:
    """Give sum `cell` of a layer, of output pixel m, the value `value` modulo 2**acc_bits."""
    value, target = wrapped(value, tables.sizes[2]), place(layer[SUMS] + cell)
    if value != sums[target]:
        if work.mark[m] == 0 and work.struck[cell] == 0:
            work.struck[cell] = 1
            work.cells[work.used[2]], work.places[work.used[2]], work.sums[work.used[2]] = cell, m, sums[target]
            work.used[2] += 1
            if not layer[DEMAND]:
                remember(work, sums, layer[SUMS] + cell, 1)
        sums[target] = value


@inlined
def reach(
    tables: Any, work: Any, layer: Any, fault: Any, i: int, tile: int, start: int, stop: int, pairs: Any, linked: int, hit: int
) -> tuple[int, int]:
    """Link fault `i`, acting in steps `start` .. `stop` - 1 of `tile`, to every accumulator of the tile that it reaches."""
    rows, cols = tables.sizes[0], tables.sizes[1]
    tile_row = I64(U(tile) // U(layer[TILES_N]))
    top, left = tile_row * rows, (tile - tile_row * layer[TILES_N]) * cols
    site, row, col = int(fault["site"]), int(fault["row"]), int(fault["col"])
    row_end, col_end = row + 1, col + 1
    if site == ACT:  # travels on to the right
        col_end = cols
    elif site == WGT:  # travels on down
        row_end = rows
    elif site == DRAINS:  # strikes what passes: sums of the rows above
        row_end, row = row + 1, 0
        if stop == start + 1:
            if not 0 <= start - layer[K] < row_end:
                return linked, hit
            row = row_end - 1 - (start - layer[K])
            row_end = row + 1
    if layer[KIND] == DEPTHWISE:  # channel n lies alone, in column n mod cols
        n = left // cols
        mine = n % cols
        if not col <= mine < col_end:
            return linked, hit
        left, col, col_end = n - mine, mine, mine + 1
    for r in range(max(row, 0), min(row_end, layer[M] - top)):
        for c in range(col, min(col_end, layer[N] - left)):
            linked, hit = link(work, pairs, layer, i, start, stop, top + r, left + c, r, c, linked, hit)
    return linked, hit


UNIT_ROW = 254


@inlined
def listed(work: Any, pairs: Any, i: int, entry: int, start: int, stop: int, linked: int, entries: int) -> tuple[int, int]:
    """Link fault `i`, acting in steps `start` .. `stop` - 1, to entry `entry` of the recompute unit's list."""
    pairs[linked, 0], pairs[linked, 1], pairs[linked, 2], pairs[linked, 3] = i, start, stop, -1
    if work.unit_heads[entry] < 0:
        work.unit_heads[entry] = linked
        work.listed[entries] = entry
        entries += 1
    else:
        pairs[work.unit_tails[entry], 3] = linked
    work.unit_tails[entry] = linked
    return linked + 1, entries


@inlined
def overwritten(tables: Any, work: Any, layer: Any, cell: int) -> int:
    """Whether the entry that names sum `cell` in the unit's list still does."""
    if layer[COUNT] == 0:
        return 0
    entry = int(tables.cells[layer[CELLS] + cell])
    return int(entry >= 0 and (work.taken[entry] < 0 or work.taken[entry] == cell))


@inlined
def own(tables: Any, layer: Any, state: Any, m: int, n: int) -> int:
    """The array's own clean sum for (m, n), whatever the recompute unit makes of it."""
    if not tables.sizes[6]:
        return int(state[layer[SUMS] + m * layer[N] + n])
    if not tables.sizes[5] and tables.pes[m % tables.sizes[0], n % tables.sizes[1], BYPASS]:
        return 0
    return dot(tables, layer, state, m, n, 0, layer[K], layer[TRANSPOSED])


@compiled
def computed_again(tables: Any, work: Any, layer: Any, state: Any, faults: Any, entries: int, stuck: int) -> int:
    """Give the sums that struck entries of the recompute unit's list name what the unit makes of them; returns whether a
    vote disagreed.
    """
    pairs, voted, n = work.pairs, 0, layer[N]
    for j in range(entries):
        entry = int(work.listed[j])
        cell, head = int(work.taken[entry]), int(work.unit_heads[entry])
        work.unit_heads[entry] = -1
        work.final[j] = FOREVER
        beyond = cell >= layer[M] * n
        if beyond:  # neuron 0 is computed and written nowhere
            cell = 0
        m, channel = cell // n, cell % n
        known, value, disagreed = 0, 0, 0
        total = int(state[layer[SUMS] + cell])
        if beyond or cell != tables.entries[layer[ENTRIES] + entry]:
            total = dot(tables, layer, state, m, channel, 0, layer[K], layer[WHOLE])
        if pairs[head, 3] < 0 and pairs[head, 0] < stuck and int(faults[pairs[head, 0]]["site"]) != INDEXES:
            known, value, disagreed = lone_unit(tables, layer, state, faults[pairs[head, 0]], m, channel, total)
        if not known:
            value, disagreed = unit_sum(tables, layer, state, faults, pairs, head, m, channel, total, work.scratch, work.taps)
        voted |= disagreed
        if beyond:
            continue
        other = int(tables.cells[layer[CELLS] + cell])
        last = not (other > entry and work.taken[other] < 0)
        for i in range(entries):  # later entries win
            last &= work.listed[i] <= entry or work.taken[int(work.listed[i])] != cell
        if last:
            work.final[j] = value
    for j in range(entries):
        entry = int(work.listed[j])
        if work.final[j] < FOREVER:
            cell = int(work.taken[entry])
            changed(tables, work, layer, state, cell // n, cell, int(work.final[j]))
        work.taken[entry] = -1
    return voted
