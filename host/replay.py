"""What faults change: from the struck accumulators onwards, and nothing else."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.program import (
    ADD, ALIGN, ALIGN2, AVGPOOL, DEPTHWISE, FUSED, HIGH, IN, IN2, IN2_ID, IN_ID, INDEX, KH, KIND, KW, LEFT, LOW, OFFSET, OH, OUT,
    OUT_ID, OW, PIXELS, POOLED, REQUANTISE, ROW, SH, SUMS, SW, TILES_N, TOP, WEIGHTS, C, H, K, M, N, Program, W,
)  # fmt: skip
from hardpoint.host.strikes import ACT, DRAINS, FOREVER, WGT, lone, struck_sum

__all__ = ["Tables", "Work", "replay"]


class Tables(NamedTuple):
    """The arrays of a `Program`, as kernels take them."""

    layers: Any
    weights: Any
    requantise: Any
    pes: Any
    sizes: Any
    places: Any
    tensors: Any

    @classmethod
    def of(cls, program: Program) -> Tables:
        """The tables of `program`."""
        return cls(*(getattr(program, name) for name in cls._fields))


class Work(NamedTuple):
    """Working memory of a replay.

    Changed pixels (all channels of a place) per tensor: `count`, `pixels` and where their old codes lie in the log
    (`saved`). The log that undoes changes: `log_at`, `log_size`, `log`, `used`. Pixels at work: `dirty`, `mark`,
    windows at work: `windows`, `covered`; a row of `codes`, channels that differ (`which`, `delta`). Struck accumulators: `heads`, `tails`, `touched`, their `pairs` with
    faults, and the mask tables of a PE (`scratch`).
    """

    count: Any
    pixels: Any
    saved: Any
    log_at: Any
    log_size: Any
    log: Any
    used: Any
    dirty: Any
    mark: Any
    windows: Any
    covered: Any
    codes: Any
    which: Any
    delta: Any
    heads: Any
    tails: Any
    touched: Any
    pairs: Any
    scratch: Any

    @classmethod
    def of(cls, program: Program, flips: int = 0, stuck: int = 0) -> Work:
        """Memory enough for `program`, clean, with at most `flips` flips in an image and `stuck` stuck bits in all."""
        layers, tensors = program.layers, program.tensors
        places, row = int((layers[:, OH] * layers[:, OW]).max()), int(tensors[:, ROW].max())
        cells = int((layers[:, M] * layers[:, N]).max())
        rows, cols = program.sizes[:2].tolist()
        tiles = int((-(-layers[:, M] // rows) * layers[:, TILES_N]).max())
        pixels = int(tensors[-1, PIXELS]) + places

        def words(count: int) -> Any:
            return np.zeros(count, np.int32)

        return cls(
            np.zeros(len(tensors), np.int64), words(pixels), np.zeros(pixels, np.int64),
            words(program.words), words(program.words), words(program.words), np.zeros(2, np.int64),
            words(places), np.zeros(places, np.uint8), words(places), np.zeros(places, np.uint8), words(row), words(row), words(row),
            words(cells) - 1, words(cells), words(cells),
            np.empty(((flips + stuck * tiles) * max(rows, cols), 8), np.int64), np.zeros((3, 64, 3, 3), np.int64),
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
    for unit in range(len(rows)):
        state, image = states[rows[unit]], first + rows[unit]
        at, stop = starts[unit], starts[unit + 1]
        for i in range(len(count)):
            count[i] = 0
        used[0] = used[1] = 0
        for i in range(len(layers)):
            layer = layers[i]
            if layer[KIND] > DEPTHWISE:
                if layer[KIND] < ADD:
                    pool(tables, work, layer, state)
                elif layer[KIND] < FUSED:
                    pointwise(tables, work, layer, state)
                continue
            begin = at
            while at < stop and faults[at]["layer"] == layer[INDEX]:
                at += 1
            dirty = spread(tables, work, layer, state)
            if at > begin or stuck < len(faults):
                dirty, disagreed = strike(tables, work, layer, state, faults, begin, at, stuck, image, dirty)
                if disagreed:
                    voted[unit] = 1
            if layer[POOLED]:
                settle_pooled(tables, work, layer, layers[i + 1], state, dirty)
            else:
                for j in range(dirty):
                    settle(tables, work, layer, state, work.dirty[j])
        for j in range(out_size):
            outputs[unit, j] = state[out_at + j]
        source = place(0)
        for j in range(used[0]):
            target = place(work.log_at[j])
            for k in range(place(work.log_size[j])):
                state[target + k] = log[source + k]
            source += place(work.log_size[j])


@inlined
def remember(work: Any, state: Any, start: int, size: int) -> None:
    """Log `size` words of the state, about to change."""
    log, used = work.log, work.used
    entry, words, source = used[0], place(used[1]), place(start)
    work.log_at[entry], work.log_size[entry] = start, size
    for j in range(place(size)):
        log[words + j] = state[source + j]
    used[0], used[1] = entry + 1, used[1] + size


@inlined
def touch(work: Any, layer: Any, state: Any, m: int, dirty: int) -> int:
    """Log the sums of output pixel m before their first change; returns how many pixels are dirty."""
    if work.mark[m]:
        return dirty
    work.mark[m] = 1
    work.dirty[dirty] = m
    remember(work, state, layer[SUMS] + m * layer[N], layer[N])
    return dirty + 1


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
        work.pixels[entry], work.saved[entry] = pixel, work.used[1]
        work.count[tensor] += 1
        remember(work, state, layer[OUT] + pixel * layer[N], layer[N])
        for j in range(n):
            state[old + j] = codes[j]


@inlined
def wrapped(x: int, bits: int) -> int:
    """`x` modulo 2**bits as two's complement."""
    half = 1 << (bits - 1)
    return ((x + half) & ((1 << bits) - 1)) - half


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
    for j in range(row):
        delta = state[new + j] - work.log[old + j]
        work.which[found], work.delta[found] = j, delta
        found += delta != 0
    return found


@inlined
def spread(tables: Any, work: Any, layer: Any, state: Any) -> int:
    """Add what changed inputs contribute to an array layer's sums; returns how many output pixels are dirty."""
    tensor, n, c, dirty, weights = layer[IN_ID], place(layer[N]), layer[C], 0, tables.weights
    base = tables.tensors[tensor, PIXELS]
    for entry in range(base, base + work.count[tensor]):
        pixel, found = int(work.pixels[entry]), differing(tables, work, state, tensor, entry)
        first = 0
        if layer[H] == 1 and layer[W] == 1:  # all of a dense layer's inputs are channels of one pixel
            first, pixel = pixel * tables.tensors[tensor, ROW], 0
        h, w = pixel // layer[W] + layer[TOP], pixel % layer[W] + layer[LEFT]
        for oh in range(max(0, (h - layer[KH] + layer[SH]) // layer[SH]), min(layer[OH], h // layer[SH] + 1)):
            for ow in range(max(0, (w - layer[KW] + layer[SW]) // layer[SW]), min(layer[OW], w // layer[SW] + 1)):
                m = oh * layer[OW] + ow
                dirty = touch(work, layer, state, m, dirty)
                k = ((h - oh * layer[SH]) * layer[KW] + w - ow * layer[SW]) * c + first
                sums = place(layer[SUMS] + m * layer[N])
                for i in range(found):
                    channel, delta = int(work.which[i]), work.delta[i]
                    if layer[KIND] == DEPTHWISE:
                        state[sums + place(channel)] += delta * weights[layer[WEIGHTS] + k + channel]
                    else:
                        row = place(layer[WEIGHTS]) + place(k + channel) * n
                        for j in range(n):
                            state[sums + j] += delta * weights[row + j]
    return dirty


@inlined
def settle(tables: Any, work: Any, layer: Any, state: Any, m: int) -> None:
    """Requantise the sums of output pixel m."""
    bits, table, codes = tables.sizes[2], tables.requantise, work.codes
    work.mark[m] = 0
    sums, channel = place(layer[SUMS] + m * layer[N]), place(layer[REQUANTISE])
    low, high = layer[LOW], layer[HIGH]
    for j in range(place(layer[N])):
        x = wrapped(int(state[sums + j]) + table[place(0), channel + j], bits)
        codes[j] = requantised(x, table, channel + j, low, high)
    record(tables, work, layer, state, m)


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
def cover(work: Any, layer: Any, pixel: int, windows: int) -> int:
    """List the windows of a pooling that hold `pixel`, each once; returns how many are listed."""
    h = pixel // layer[W]
    w = pixel - h * layer[W] + layer[LEFT]
    h += layer[TOP]
    for oh in range(max(0, (h - layer[KH] + layer[SH]) // layer[SH]), min(layer[OH], h // layer[SH] + 1)):
        for ow in range(max(0, (w - layer[KW] + layer[SW]) // layer[SW]), min(layer[OW], w // layer[SW] + 1)):
            window = oh * layer[OW] + ow
            if work.covered[window] == 0:
                work.covered[window] = 1
                work.windows[windows] = window
                windows += 1
    return windows


@inlined
def settle_pooled(tables: Any, work: Any, layer: Any, after: Any, state: Any, dirty: int) -> None:
    """Requantise the windows of pooling `after` that hold one of the `dirty` output pixels."""
    bits, table, codes, windows, n = tables.sizes[2], tables.requantise, work.codes, 0, place(layer[N])
    channel, low, high = place(layer[REQUANTISE]), layer[LOW], layer[HIGH]
    for j in range(dirty):
        work.mark[work.dirty[j]] = 0
        windows = cover(work, after, int(work.dirty[j]), windows)
    for i in range(windows):
        window = int(work.windows[i])
        work.covered[window] = 0
        oh = window // after[OW]
        top, left = oh * after[SH] - after[TOP], (window - oh * after[OW]) * after[SW] - after[LEFT]
        for j in range(n):
            codes[j] = -(1 << 31)
        for h in range(max(0, top), min(after[H], top + after[KH])):
            for w in range(max(0, left), min(after[W], left + after[KW])):
                sums = place(layer[SUMS] + (h * after[W] + w) * layer[N])
                for j in range(n):
                    codes[j] = max(codes[j], wrapped(int(state[sums + j]) + table[place(0), channel + j], bits))
        for j in range(n):
            codes[j] = requantised(int(codes[j]), table, channel + j, low, high)
        record(tables, work, after, state, window)


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


@compiled
def strike(
    tables: Any, work: Any, layer: Any, state: Any, faults: Any, begin: int, end: int, stuck: int, image: int, dirty: int
) -> tuple[int, int]:
    """Give every accumulator that flips `begin` .. `end` - 1 or stuck bits reach its struck sum.

    Returns how many output pixels are dirty and whether a vote disagreed.
    """
    rows = tables.sizes[0]
    tiles = (layer[M] + rows - 1) // rows * layer[TILES_N]
    pairs = work.pairs
    hit = linked = 0
    for i in range(begin, end):
        fault = faults[i]
        start = int(fault["step"])
        linked, hit = reach(tables, work, layer, fault, i, int(fault["tile"]), start, start + 1, pairs, linked, hit)
    for i in range(stuck, len(faults)):
        fault = faults[i]
        here = image << 16 | layer[INDEX]
        begins = int(fault["image"]) << 16 | int(fault["layer"])
        ends = int(fault["end_image"]) << 16 | int(fault["end_layer"])
        if here < begins or here > ends:
            continue
        for tile in range(int(fault["tile"]) if here == begins else 0, tiles):
            start, stop = 0, FOREVER
            if here == begins and tile == int(fault["tile"]):
                start = int(fault["step"])
            if here == ends and tile >= int(fault["end_tile"]):
                stop = int(fault["end_step"]) if tile == int(fault["end_tile"]) else 0
            if start < stop:
                linked, hit = reach(tables, work, layer, fault, i, tile, start, stop, pairs, linked, hit)
    voted = 0
    for j in range(hit):
        cell = int(work.touched[j])
        head, target = int(work.heads[cell]), place(layer[SUMS] + cell)
        work.heads[cell] = -1
        m, channel, row, col = pairs[head, 4], pairs[head, 5], pairs[head, 6], pairs[head, 7]
        total, known, value, disagreed = int(state[target]), 0, 0, 0
        if pairs[head, 3] < 0 and pairs[head, 0] < stuck:
            known, value, disagreed = lone(tables, layer, state, faults[pairs[head, 0]], row, col, m, channel, total)
        if not known:
            value, disagreed = struck_sum(
                tables, layer, state, faults, pairs, head, row, col, m, channel, total, work.scratch
            )
        voted |= disagreed
        value = wrapped(value, tables.sizes[2])
        if value != total:
            dirty = touch(work, layer, state, m, dirty)
            state[target] = value
    return dirty, voted


@inlined
def reach(
    tables: Any, work: Any, layer: Any, fault: Any, i: int, tile: int, start: int, stop: int, pairs: Any, linked: int, hit: int
) -> tuple[int, int]:
    """Link fault `i`, acting in steps `start` .. `stop` - 1 of `tile`, to every accumulator of the tile that it reaches."""
    rows, cols = tables.sizes[0], tables.sizes[1]
    tile_row = tile // layer[TILES_N]
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
            row = row_end - 1 - (start - layer[K])
            row_end = row + 1
    for r in range(max(row, 0), min(row_end, layer[M] - top)):
        for c in range(col, min(col_end, layer[N] - left)):
            cell = (top + r) * layer[N] + left + c
            pairs[linked, 0], pairs[linked, 1], pairs[linked, 2], pairs[linked, 3] = i, start, stop, -1
            pairs[linked, 4], pairs[linked, 5], pairs[linked, 6], pairs[linked, 7] = top + r, left + c, r, c
            if work.heads[cell] < 0:
                work.heads[cell] = linked
                work.touched[hit] = cell
                hit += 1
            else:
                pairs[work.tails[cell], 3] = linked
            work.tails[cell] = linked
            linked += 1
    return linked, hit
