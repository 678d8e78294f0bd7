"""The whole array, literally: every value of docs/fault-model.md in plain Python, lane by lane.

Slow and obvious on purpose. Engines must equal it; it is built from `hardpoint.pe.Pe` and shares nothing
else with them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.faults import EFFECTS, FAULT, OVERHANG, PERMANENT, SITES, live
from hardpoint.layers import Gemm
from hardpoint.mapping import Tiling
from hardpoint.pe import Pe, ReducedPe, majority


class Strikes:
    """What a fault list does to the values of one PE."""

    def __init__(self, faults: Any, array: Array, row: int, col: int) -> None:
        here = faults[(faults["row"] == row) & (faults["col"] == col)]
        names = ("site", "copy", "bit", "effect", "tile", "step", "end_tile", "end_step")
        self.faults = [tuple(int(fault[name]) for name in names) for fault in here]
        self.b, self.w = int(array.column_map[row, col]), array.acc_bits
        self.cw = array.carry_bits(array.guard(row, col))

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
            overhang = self("mul", OVERHANG, value >> b, time, b, b + self.cw)
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
    """
    if array.dataflow != "os":
        raise NotImplementedError("the literal model knows output-stationary arrays")
    bypass = np.zeros((array.rows, array.cols), bool) if bypass is None else np.asarray(bypass, bool)
    a, w = np.asarray(a), np.asarray(w)
    faults = np.zeros(0, FAULT) if faults is None else np.asarray(faults)
    out = np.zeros((len(a), array.rows, array.cols), np.int64)
    strikes = [[Strikes(faults, array, r, c) for c in range(array.cols)] for r in range(array.rows)]
    for tile in range(len(a)):
        pes = accumulate(array, a[tile], w[tile], signed, strikes, tile)
        out[tile] = drain(array, pes, strikes, tile, a.shape[1], bypass)
    return np.where(out >> (array.acc_bits - 1) & 1, out - (1 << array.acc_bits), out)


def random_faults(rng: np.random.Generator, array: Array, tiles: int, k: int, count: int, stuck: float = 0.2) -> Any:
    """`count` records that strike existing bits in live steps (all PEs in use), a share `stuck` stuck.

    Strikes crowd into few PEs and steps, so that they meet.
    """
    tiling = Tiling(Gemm(tiles * array.rows, k, array.cols), array.rows, array.cols)
    found = np.zeros(0, FAULT)
    ends = (tiles, k + array.rows, array.rows, array.cols)
    hot = rng.integers(0, ends, (4, 4))
    while len(found) < count:
        some = np.zeros(4 * count, FAULT)
        crowd = hot[rng.integers(0, 4, len(some))]
        for i, name in enumerate(("tile", "step", "row", "col")):
            anywhere = rng.integers(0, ends[i], len(some))
            some[name] = np.where(rng.random(len(some)) < 0.5, crowd[:, i], anywhere)
        for name, end in {"site": len(SITES), "copy": OVERHANG + 1, "bit": array.acc_bits}.items():
            some[name] = rng.integers(0, end, len(some))
        some["effect"] = np.where(rng.random(len(some)) < stuck, rng.integers(1, len(EFFECTS), len(some)), 0)
        forever = rng.random(len(some)) < 0.3
        later = some["tile"] + rng.integers(0, 2, len(some)), rng.integers(0, k + array.rows, len(some))
        for key, place in (("end_image", 0), ("end_layer", 1)):
            some[key] = PERMANENT[place]
        for key, place, value in (("end_tile", 2, later[0]), ("end_step", 3, later[1])):
            some[key] = np.where(forever, PERMANENT[place], value)
        found = np.concatenate([found, some[live(some, array, [tiling])]])
    return found[:count]


def accumulate(array: Array, a: Any, w: Any, signed: bool, strikes: Any, tile: int) -> list[list[Any]]:
    """Steps 0 .. K-1 of every PE of one tile."""
    m, n = array.act_bits, array.wgt_bits
    kinds = {"columns": Pe, "rpr": ReducedPe}
    pes = [
        [kinds[array.guard(r, c).kind](m, n, array.acc_bits, int(array.column_map[r, c])) for c in range(array.cols)]
        for r in range(array.rows)
    ]
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
