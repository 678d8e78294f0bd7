"""What faults change: from the struck accumulators onwards, and nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.program import (
    ADD,
    ALIGN,
    ALIGN2,
    AVGPOOL,
    DEPTHWISE,
    HIGH,
    IN,
    IN2,
    IN2_ID,
    IN_ID,
    INDEX,
    KH,
    KIND,
    KW,
    LEFT,
    LOW,
    MAXPOOL,
    OH,
    OUT,
    OUT_ID,
    OW,
    REQUANTISE,
    SH,
    SUMS,
    SW,
    TILES_N,
    TOP,
    WEIGHTS,
    C,
    H,
    K,
    M,
    N,
    Program,
    W,
)  # fmt: skip
from hardpoint.host.strikes import ACT, DRAINS, FOREVER, WGT, struck_sum

__all__ = ["Tables", "Work", "replay"]


class Tables(NamedTuple):
    """The arrays of a `Program`, as kernels take them."""

    layers: Any
    weights: Any
    requantise: Any
    pes: Any
    sizes: Any
    tensors: Any

    @classmethod
    def of(cls, program: Program) -> Tables:
        """The tables of `program`."""
        return cls(*(getattr(program, name) for name in cls._fields))


class Work(NamedTuple):
    """Working memory of a replay: changed codes per tensor (`count`, `where`, `delta`), the log that undoes changes
    (`log_at`, `log_size`, `log`, `used`), output pixels whose sums changed (`dirty`, `mark`), struck accumulators
    (`heads`, `tails`, `touched`, and `pairs` of them with faults), a row of codes and the mask tables of a PE."""

    count: Any
    where: Any
    delta: Any
    log_at: Any
    log_size: Any
    log: Any
    used: Any
    dirty: Any
    mark: Any
    heads: Any
    tails: Any
    touched: Any
    pairs: Any
    codes: Any
    scratch: Any

    @classmethod
    def of(cls, program: Program, flips: int = 0, stuck: int = 0) -> Work:
        """Memory enough for `program`, clean, with at most `flips` flips in an image and `stuck` stuck bits in all."""
        codes = int(program.tensors[-1].sum())
        pixels = int(program.layers[:, M].max())
        cells = int((program.layers[:, M] * program.layers[:, N]).max())
        rows, cols = program.sizes[:2].tolist()
        tiles = int((-(-program.layers[:, M] // rows) * program.layers[:, TILES_N]).max())

        def words(count: int) -> Any:
            return np.zeros(count, np.int32)

        return cls(
            np.zeros(len(program.tensors), np.int64), words(codes), words(codes),
            words(program.words), words(program.words), words(program.words), np.zeros(2, np.int64),
            words(pixels), np.zeros(pixels, np.uint8), words(cells) - 1, words(cells), words(cells),
            np.empty(((flips + stuck * tiles) * max(rows, cols), 4), np.int64), words(int(program.layers[:, N].max())), np.zeros((3, 64, 3, 3), np.int64),
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
    layers, tensors = tables.layers, tables.tensors
    out_at, out_size = tensors[-1, 0], tensors[-1, 1]
    for unit in range(len(rows)):
        state, image = states[rows[unit]], first + rows[unit]
        at, stop = starts[unit], starts[unit + 1]
        work.count[:] = 0
        work.used[:] = 0
        for i in range(len(layers)):
            layer = layers[i]
            if layer[KIND] > DEPTHWISE:
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
            for j in range(dirty):
                settle(tables, work, layer, state, work.dirty[j])
        for j in range(out_size):
            outputs[unit, j] = state[out_at + j]
        words = work.used[1]
        for j in range(work.used[0] - 1, -1, -1):
            start, size = work.log_at[j], work.log_size[j]
            words -= size
            for k in range(size):
                state[start + k] = work.log[words + k]


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
def change(tables: Any, work: Any, layer: Any, state: Any, index: int, code: int) -> None:
    """Give output `index` of a layer the code `code`, unless it has it."""
    place = layer[OUT] + index
    old = int(state[place])
    if code != old:
        tensor = layer[OUT_ID]
        entry = tables.tensors[tensor, 0] + work.count[tensor]
        work.where[entry], work.delta[entry] = index, code - old
        work.count[tensor] += 1
        remember(work, state, place, 1)
        state[place] = code


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
def spread(tables: Any, work: Any, layer: Any, state: Any) -> int:
    """Add what changed inputs contribute to an array layer's sums; returns how many output pixels are dirty."""
    tensor, n, c, dirty, weights = layer[IN_ID], layer[N], layer[C], 0, tables.weights
    for entry in range(tables.tensors[tensor, 0], tables.tensors[tensor, 0] + work.count[tensor]):
        index, delta = int(work.where[entry]), work.delta[entry]
        h, w, channel = index // (layer[W] * c) + layer[TOP], index // c % layer[W] + layer[LEFT], index % c
        for oh in range(max(0, (h - layer[KH] + layer[SH]) // layer[SH]), min(layer[OH], h // layer[SH] + 1)):
            for ow in range(max(0, (w - layer[KW] + layer[SW]) // layer[SW]), min(layer[OW], w // layer[SW] + 1)):
                m = oh * layer[OW] + ow
                dirty = touch(work, layer, state, m, dirty)
                k = (h - oh * layer[SH]) * layer[KW] + w - ow * layer[SW]
                start = layer[SUMS] + m * n
                if layer[KIND] == DEPTHWISE:
                    state[start + channel] += delta * weights[layer[WEIGHTS] + k * c + channel]
                else:
                    sums, row = place(start), place(layer[WEIGHTS] + (k * c + channel) * n)
                    for j in range(place(n)):
                        state[sums + j] += delta * weights[row + j]
    return dirty


@inlined
def settle(tables: Any, work: Any, layer: Any, state: Any, m: int) -> None:
    """Requantise the sums of output pixel m."""
    n, bits, table, codes = layer[N], tables.sizes[2], tables.requantise, work.codes
    work.mark[m] = 0
    sums, channel, old = place(layer[SUMS] + m * n), place(layer[REQUANTISE]), place(layer[OUT] + m * n)
    low, high = layer[LOW], layer[HIGH]
    differ = 0
    for j in range(place(n)):
        x = wrapped(int(state[sums + j]) + table[place(0), channel + j], bits)
        code = requantised(x, table, channel + j, low, high)
        codes[j] = code
        differ |= code ^ int(state[old + j])
    if differ:
        for j in range(n):
            if codes[j] != state[layer[OUT] + m * n + j]:
                change(tables, work, layer, state, m * n + j, int(codes[j]))


@compiled
def pointwise(tables: Any, work: Any, layer: Any, state: Any) -> None:
    """Recompute the outputs of pooling, addition or rescaling that read changed codes."""
    kind, channel, low, high = layer[KIND], layer[REQUANTISE], layer[LOW], layer[HIGH]
    for side in range(2 if kind == ADD else 1):
        tensor = layer[IN2_ID] if side else layer[IN_ID]
        for entry in range(tables.tensors[tensor, 0], tables.tensors[tensor, 0] + work.count[tensor]):
            index = int(work.where[entry])
            if kind in (MAXPOOL, AVGPOOL):
                pool(tables, work, layer, state, index)
                continue
            x = int(state[layer[IN] + index]) << layer[ALIGN]
            if kind == ADD:
                x += int(state[layer[IN2] + index]) << layer[ALIGN2]
            change(tables, work, layer, state, index, requantised(x, tables.requantise, channel, low, high))


@inlined
def pool(tables: Any, work: Any, layer: Any, state: Any, index: int) -> None:
    """Recompute the windows that hold input `index`."""
    c = layer[C]
    h, w, channel = index // (layer[W] * c) + layer[TOP], index // c % layer[W] + layer[LEFT], index % c
    for oh in range(max(0, (h - layer[KH] + layer[SH]) // layer[SH]), min(layer[OH], h // layer[SH] + 1)):
        for ow in range(max(0, (w - layer[KW] + layer[SW]) // layer[SW]), min(layer[OW], w // layer[SW] + 1)):
            top, left = oh * layer[SH] - layer[TOP], ow * layer[SW] - layer[LEFT]
            best, total = -(1 << 40), 0
            for y in range(max(0, top), min(layer[H], top + layer[KH])):
                for x in range(max(0, left), min(layer[W], left + layer[KW])):
                    code = int(state[layer[IN] + (y * layer[W] + x) * c + channel])
                    best = max(best, code)
                    total += code
            if layer[KIND] == AVGPOOL:
                best = requantised(total, tables.requantise, layer[REQUANTISE], layer[LOW], layer[HIGH])
            change(tables, work, layer, state, (oh * layer[OW] + ow) * c + channel, best)


@compiled
def strike(
    tables: Any, work: Any, layer: Any, state: Any, faults: Any, begin: int, end: int, stuck: int, image: int, dirty: int
) -> tuple[int, int]:
    """Give every accumulator that flips `begin` .. `end` - 1 or stuck bits reach its struck sum.

    Returns how many output pixels are dirty and whether a vote disagreed.
    """
    rows, cols, n = tables.sizes[0], tables.sizes[1], layer[N]
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
        m, channel, place = cell // n, cell % n, layer[SUMS] + cell
        total, head = int(state[place]), int(work.heads[cell])
        work.heads[cell] = -1
        value, disagreed = struck_sum(
            state, layer, tables.weights, tables.pes, tables.sizes, faults,
            pairs, head, m % rows, channel % cols, m, channel, total, work.scratch,
        )  # fmt: skip
        voted |= disagreed
        value = wrapped(value, tables.sizes[2])
        if value != total:
            dirty = touch(work, layer, state, m, dirty)
            state[place] = value
    return dirty, voted


@inlined
def reach(
    tables: Any, work: Any, layer: Any, fault: Any, i: int, tile: int, start: int, stop: int, pairs: Any, linked: int, hit: int
) -> tuple[int, int]:
    """Link fault `i`, acting in steps `start` .. `stop` - 1 of `tile`, to every accumulator of the tile that it reaches."""
    rows, cols = tables.sizes[0], tables.sizes[1]
    top, left = tile // layer[TILES_N] * rows, tile % layer[TILES_N] * cols
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
            if work.heads[cell] < 0:
                work.heads[cell] = linked
                work.touched[hit] = cell
                hit += 1
            else:
                pairs[work.tails[cell], 3] = linked
            work.tails[cell] = linked
            linked += 1
    return linked, hit
