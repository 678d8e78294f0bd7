"""The whole array, literally: every value of docs/fault-model.md in plain Python, lane by lane.

Slow and obvious on purpose. Engines must equal it; it is built from `hardpoint.pe.Pe` and shares nothing
else with them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.faults import EFFECTS, FAULT, OVERHANG, PE_SITES, PERMANENT, SITES, UNIT_ROW, live_pes
from hardpoint.layers import Gemm
from hardpoint.mapping import Tiling
from hardpoint.pe import Pe, ReducedPe, majority


class Strikes:
    """What a fault list does to the values of one PE."""

    def __init__(self, faults: Any, array: Array, row: int, col: int) -> None:
        here = faults[(faults["row"] == row) & (faults["col"] == col)]
        names = ("site", "copy", "bit", "effect", "tile", "step", "end_tile", "end_step")
        self.faults = [tuple(int(fault[name]) for name in names) for fault in here]
        self.w = array.acc_bits
        if row == UNIT_ROW:
            self.b, self.cw = array.unit_column, array.unit_carry_bits
        else:
            self.b = int(array.site_columns[row, col])
            self.cw = 1 if row == array.rows else array.carry_bits(array.guard(row, col))
        self.over = 0 if row == array.rows else self.cw  # bits of PL above the guard column

    def __call__(self, site: str, copy: int, value: int, time: tuple[int, int], low: int, high: int) -> int:
        """`value`, columns `low` .. `high` - 1 of copy `copy` of `site`, as struck at `time` = (tile, step).

        Flips act before stuck bits, a bit stuck at 1 wins over one stuck at 0; two flips of one bit cancel.
        """
        flip, keep, force = 0, -1, 0
        for where, which, bit, effect, tile, step, end_tile, end_step in self.faults:
            if SITES[where] != site or which != copy or not low <= bit < high:
                continue
            mask = 1 << (bit - low)
            if EFFECTS[effect] == "flip":
                flip ^= mask if time == (tile, step) else 0
            elif (tile, step) <= time < (end_tile, end_step):
                keep, force = (keep & ~mask, force) if EFFECTS[effect] == "stuck0" else (keep, force | mask)
        return ((value ^ flip) & keep) | force

    def tap(self, site: str, copy: int, value: int, time: tuple[int, int]) -> int:
        """The tap that `Pe` asks for."""
        b, w = self.b, self.w
        if site == "mul.lo":
            overhang = self("mul", OVERHANG, value >> b, time, b, b + self.over)
            return self("mul", 0, value & ((1 << b) - 1), time, 0, b) | overhang << b
        if site == "carry":
            return self("carry", 0, value, time, b, b + self.cw)
        if site == "acc.lo":
            return self("acc", 0, value, time, 0, b)
        return self(site.removesuffix(".hi"), copy, value, time, b, w)


def run(array: Array, a: Any, w: Any, signed: bool, faults: Any = None, bypass: Any = None) -> Any:
    """Sums of one stream of tiles while `faults` (dtype FAULT) strike: (tiles, rows, cols), two's complement.

    `a` (tiles, K, rows) and `w` (tiles, K, cols) are operand codes, zeros for idle PEs. Time is (tile, step):
    image and layer of a record, and of its end, are ignored. Flips of bits that do not exist, or that hold no
    live data at their step, change nothing. PEs at which `bypass` (rows, cols) is true hand over zero.

    On a weight-stationary array `a` is (groups, tiles_k, P, rows), `w` (groups, tiles_k, rows, cols), and the sums
    (groups, P, cols): the tiles of a group are added in the accumulator row. Bypassed PEs pass on what they take.
    """
    bypass = np.zeros((array.rows, array.cols), bool) if bypass is None else np.asarray(bypass, bool)
    a, w = np.asarray(a), np.asarray(w)
    faults = np.zeros(0, FAULT) if faults is None else np.asarray(faults)
    strikes = [[Strikes(faults, array, r, c) for c in range(array.cols)] for r in range(array.site_rows)]
    if array.dataflow == "ws":
        out = stationary(array, a, w, signed, strikes, bypass)
    else:
        out = np.zeros((len(a), array.rows, array.cols), np.int64)
        for tile in range(len(a)):
            pes = accumulate(array, a[tile], w[tile], signed, strikes, tile)
            out[tile] = drain(array, pes, strikes, tile, a.shape[1], bypass)
    return np.where(out >> (array.acc_bits - 1) & 1, out - (1 << array.acc_bits), out)


def layer(array: Array, tiling: Tiling, a: Any, w: Any, signed: bool, faults: Any = None, bypass: Any = None) -> Any:
    """Sums (M, N) of one layer: operand codes `a` (M, K), or (M, K, N) if depthwise, and `w` (K, N)."""
    gemm, tiles = tiling.gemm, [tiling.part(tile) for tile in range(tiling.tiles)]
    kt_rows = array.rows if tiling.stationary else gemm.k
    left = np.zeros((tiling.tiles, tiling.pixels, kt_rows), np.int64)
    right = np.zeros((tiling.tiles, kt_rows, array.cols), np.int64)
    for tile, (mt, nt, kt) in enumerate(tiles):
        part = a[mt * tiling.pixels :][: tiling.pixels, kt * kt_rows :][:, :kt_rows]
        part = part[:, :, nt] if gemm.depthwise else part
        left[tile, : part.shape[0], : part.shape[1]] = part
        for c, n in enumerate(tiling.channel(nt, np.arange(array.cols))):
            if n >= 0:
                right[tile, : part.shape[1], c] = w[kt * kt_rows :, n][: part.shape[1]]
    if tiling.stationary:
        left, right = (x.reshape(-1, tiling.tiles_k, *x.shape[1:]) for x in (left, right))
    else:
        left = left.transpose(0, 2, 1)
    sums = run(array, left, right, signed, faults, bypass)
    out = np.zeros((gemm.m, gemm.n), np.int64)
    for (mt, nt, _), tile in zip(tiles[:: tiling.tiles_k], sums, strict=True):
        here = out[mt * tiling.pixels :][: tiling.pixels]
        for c, n in enumerate(tiling.channel(nt, np.arange(array.cols))):
            if n >= 0:
                here[:, n] = tile[: len(here), c]
    return out


def recompute(array: Array, gemm: Gemm, a: Any, w: Any, signed: bool, neurons: Any, sums: Any, faults: Any) -> Any:
    """`sums` (M, N) with those of `neurons` overwritten by what the recompute unit makes of `a` and `w` (see `layer`)."""
    unit, m, n = array.recompute, array.act_bits, array.pe_wgt_bits
    out, b, high = sums.copy(), array.unit_column, array.unit_column if unit.guard.drain else array.acc_bits
    strikes = [Strikes(faults, array, UNIT_ROW, lane) for lane in range(unit.lanes)]
    steps, copies = -(-gemm.k // unit.lanes), 3 if unit.guard.operand else 1
    for i, listed in enumerate(neurons):
        neuron = strikes[0]("index", 0, int(listed), (i, 0), 0, 24)
        exists = neuron < gemm.m * gemm.n
        pixel, channel = divmod(neuron if exists else 0, gemm.n)
        row = a[pixel, :, channel] if gemm.depthwise else a[pixel]
        pe = Pe(m, n, array.acc_bits, b, lanes=unit.lanes)
        for step in range(steps):
            pairs: list[Any] = [[], []]
            for lane, struck in enumerate(strikes):
                k = step * unit.lanes + lane
                for site, bits, codes, pair in (("act", m, row, pairs[0]), ("wgt", n, w[:, channel], pairs[1])):
                    code = int(codes[k]) & ((1 << bits) - 1) if k < gemm.k else 0
                    held = [struck(site, copy, code, (i, step), 0, bits) for copy in range(copies)]
                    pair.append(tuple(received(held, 3)))
            pe.dot(*pairs, signed=signed, first=step == 0, tap=functools.partial(strikes[0].tap, time=(i, step)))
        votes = pe.votes(functools.partial(strikes[0].tap, time=(i, steps)))
        words = [pe.lo | vote << b for vote in votes]
        low = strikes[0]("drain", 0, words[0] & ((1 << high) - 1), (i, steps), 0, high)
        highs = [strikes[0]("drain", copy, words[copy] >> high, (i, steps), high, array.acc_bits) for copy in range(3)]
        total = low | majority(*highs) << high
        if exists:
            out[pixel, channel] = total - (total >> (array.acc_bits - 1) << array.acc_bits)
    return out


def random_faults(rng: np.random.Generator, array: Array, tiles: int, k: int, count: int, stuck: float = 0.2) -> Any:
    """`count` records that strike existing bits in live steps (all PEs in use), a share `stuck` stuck.

    Strikes crowd into few PEs and steps, so that they meet. Output-stationary: `tiles` tiles of `k` steps;
    weight-stationary: one group of `tiles` tiles and `k` pixels.
    """
    return crowded(rng, array, stream(array, tiles, k), count, stuck)


def stream(array: Array, tiles: int, k: int) -> Tiling:
    """Tiles that all PEs take part in: `tiles` with `k` steps, or `tiles` weight tiles of one group with `k` pixels."""
    if array.dataflow == "ws":
        return Tiling(Gemm(k, tiles * array.rows, array.cols), array.rows, array.cols, "ws", max(k, array.depth))
    return Tiling(Gemm(tiles * array.rows, k, array.cols), array.rows, array.cols)


def crowded(rng: np.random.Generator, array: Array, tiling: Tiling, count: int, stuck: float = 0.2) -> Any:
    """As `random_faults`, in the tiles of `tiling`."""
    tiles, steps = tiling.tiles, tiling.period if tiling.stationary else tiling.gemm.k + array.rows
    found = np.zeros(0, FAULT)
    ends = (tiles, steps, array.site_rows, array.cols)
    hot = rng.integers(0, ends, (4, 4))
    while len(found) < count:
        some = np.zeros(4 * count, FAULT)
        crowd = hot[rng.integers(0, 4, len(some))]
        for i, name in enumerate(("tile", "step", "row", "col")):
            anywhere = rng.integers(0, ends[i], len(some))
            some[name] = np.where(rng.random(len(some)) < 0.5, crowd[:, i], anywhere)
        for name, end in {"site": len(PE_SITES), "copy": OVERHANG + 1, "bit": array.acc_bits}.items():
            some[name] = rng.integers(0, end, len(some))
        some["effect"] = np.where(rng.random(len(some)) < stuck, rng.integers(1, len(EFFECTS), len(some)), 0)
        forever = rng.random(len(some)) < 0.3
        later = some["tile"] + rng.integers(0, 2, len(some)), rng.integers(0, steps, len(some))
        for key, place in (("end_image", 0), ("end_layer", 1)):
            some[key] = PERMANENT[place]
        for key, place, value in (("end_tile", 2, later[0]), ("end_step", 3, later[1])):
            some[key] = np.where(forever, PERMANENT[place], value)
        found = np.concatenate([found, some[live_pes(some, array, [tiling])]])
    return found[:count]


def accumulate(array: Array, a: Any, w: Any, signed: bool, strikes: Any, tile: int) -> list[list[Any]]:
    """Steps 0 .. K-1 of every PE of one tile."""
    m, n = array.act_bits, array.pe_wgt_bits
    pes = [[fresh(array, r, c) for c in range(array.cols)] for r in range(array.rows)]
    for step in range(len(a)):
        act: dict[tuple[int, int], list[int]] = {}
        wgt: dict[tuple[int, int], list[int]] = {}
        for r in range(array.rows):
            for c in range(array.cols):
                struck, lanes, time = strikes[r][c], int(array.operand_lanes[r, c]), (tile, step)
                left = act[r, c - 1] if c else [int(a[step, r]) & ((1 << m) - 1)]
                above = wgt[r - 1, c] if r else [int(w[step, c]) & ((1 << n) - 1)]
                act[r, c] = [struck("act", i, x, time, 0, m) for i, x in enumerate(received(left, lanes))]
                wgt[r, c] = [struck("wgt", i, x, time, 0, n) for i, x in enumerate(received(above, lanes))]
                x, y = received(act[r, c], 3), received(wgt[r, c], 3)

                tap = functools.partial(struck.tap, time=time)
                pes[r][c].step((x[0], x[1], x[2]), (y[0], y[1], y[2]), signed=signed, first=step == 0, tap=tap)
    return pes


def fresh(array: Array, row: int, col: int) -> Any:
    """The PE at (`row`, `col`), its registers zero."""
    kind = {"columns": Pe, "rpr": ReducedPe}[array.guard(row, col).kind]
    return kind(array.act_bits, array.pe_wgt_bits, array.acc_bits, int(array.column_map[row, col]))


def stationary(array: Array, a: Any, w: Any, signed: bool, strikes: Any, bypass: Any) -> Any:
    """Sums (groups, P, cols) of a weight-stationary array, unsigned."""
    groups, tiles_k, pixels, rows = a.shape
    m, n = array.act_bits, array.pe_wgt_bits
    out = np.zeros((groups, pixels, array.cols), np.int64)
    held: dict[tuple[int, int], list[int]] = {(r, c): [0] * 3 for r in range(rows) for c in range(array.cols)}
    memory: dict[tuple[int, int], Any] = {}
    for tile in range(groups * tiles_k):
        group, kt = divmod(tile, tiles_k)
        for step in range(rows + pixels):
            time = (tile, step)
            for r in range(rows):  # every weight register is written in every step, with a new weight or its own
                for c in range(array.cols):
                    loading = step <= rows - 1 - r
                    edge = [int(w[group, kt, rows - 1 - step, c]) & ((1 << n) - 1)] if loading and r == 0 else []
                    taken = (edge or held[r - 1, c]) if loading else held[r, c]
                    lanes = received(taken, int(array.operand_lanes[r, c]))
                    held[r, c] = [strikes[r][c]("wgt", i, x, time, 0, n) for i, x in enumerate(lanes)]
            if step < rows:
                continue  # activation registers take zeros, and nothing is summed
            i = step - rows
            sums: list[Any] = [None] * array.cols  # what the row above wrote
            for r in range(rows):
                lanes = [int(a[group, kt, i, r]) & ((1 << m) - 1)]
                for c in range(array.cols):
                    struck = strikes[r][c]
                    lanes = received(lanes, int(array.operand_lanes[r, c]))
                    lanes = [struck("act", lane, x, time, 0, m) for lane, x in enumerate(lanes)]
                    x, y = received(lanes, 3), received(held[r, c], 3)
                    pe = fresh(array, r, c)
                    if r:
                        pe.lo, pe.hi = sums[c].lo, sums[c].hi
                    tap = functools.partial(struck.tap, time=time)
                    skip = bool(bypass[r, c])
                    pe.step(tuple(x), tuple(y), signed=signed, first=r == 0, tap=tap, bypassed=skip)
                    sums[c] = pe
            for c, pe in enumerate(sums):
                pe.accumulate(memory[i, c] if kt else None, functools.partial(strikes[rows][c].tap, time=time))
                memory[i, c] = pe
                if kt == tiles_k - 1:
                    out[group, i, c] = pe.sum()
    return out


def received(sent: list[int], lanes: int) -> list[int]:
    """What a receiver with `lanes` lanes takes from a sender's.

    >>> received([6], 3), received([1, 2, 3], 3), received([1, 2, 3], 1)
    ([6, 6, 6], [1, 2, 3], [3])
    """
    if len(sent) == 3:
        return sent if lanes == 3 else [majority(*sent)]
    return sent * lanes


def drain(array: Array, pes: list[list[Any]], strikes: Any, tile: int, k: int, bypass: Any) -> Any:
    """Hand-over and drain: (rows, cols) sums as they leave at row R-1, voted by the lower edge."""
    w = array.acc_bits
    split = np.where(array.drain_lanes == 3, array.column_map, w)  # three lanes from here on
    out = np.zeros((array.rows, array.cols), np.int64)
    for c in range(array.cols):
        sums = []
        for r in range(array.rows):
            votes = pes[r][c].votes(functools.partial(strikes[r][c].tap, time=(tile, k)))
            own = [pes[r][c].lo | vote << pes[r][c].column for vote in votes]
            sums.append([0 if bypass[r, c] else lane for lane in own])
        register: list[list[int]] = []
        for d in range(array.rows):
            before = register
            register = list(before or sums)
            for r in range(d, array.rows):
                b, struck, time = int(split[r, c]), strikes[r][c], (tile, k + d)
                lanes = shifted(sums[r], b, b) if d == 0 else shifted(before[r - 1], int(split[r - 1, c]), b)
                high = [struck("drain", i, lanes[i] >> b, time, b, w) for i in range(3)]
                low = struck("drain", 0, lanes[0] & ((1 << b) - 1), time, 0, b)
                register[r] = [low | x << b for x in high]
            out[array.rows - 1 - d, c] = shifted(register[-1], int(split[-1, c]), w)[0]
    return out


def shifted(sent: list[int], b_sender: int, b: int) -> list[int]:
    """Three lanes of a drain word, as a receiver takes them that has three lanes from column `b` on.

    The sender has three lanes from `b_sender` on; below it, and in the result below `b`, lane 0 is the word.

    >>> [bin(x) for x in shifted([0b1001, 0b1100, 0b0100], 2, 3)]
    ['0b1101', '0b1101', '0b101']
    """
    low = sent[0] & ((1 << b_sender) - 1)
    lanes = [low | x >> b_sender << b_sender for x in sent]
    voted = majority(lanes[0], lanes[1], lanes[2]) & ((1 << b) - 1)
    return [voted | x >> b << b for x in lanes]
