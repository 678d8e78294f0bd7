"""Which PEs of a device are faulty: known patterns through every PE, and the stuck bits that explain what comes back.

Output-stationary arrays yield every PE's sum. Weight-stationary ones yield sums of columns, so each row is read on its own,
all others bypassed; the walk down a column and along a row then tells a stuck register that others read from one that only its
own PE sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit
from hardpoint.fixed import Fixed
from hardpoint.layers import Conv
from hardpoint.network import INPUT, Network

__all__ = ["Play", "on_driver", "self_test"]

Play = Callable[[Network, NDArray[np.int64], NDArray[np.bool_] | None], NDArray[np.int64]]
"""play(network, x, bypass) gives the device's output codes (images, outputs), PEs bypassed where `bypass` is true."""

Numbers = NDArray[np.int64]
_Cause = tuple[int, int, int]
"""A stuck bit: which masks, bit, value."""

STEPS = 3  # of an output-stationary sum: its accumulator is written, read and written again
ACT, WGT, MUL, ACC, OUT = range(5)
"""What a column's masks are of: operands as its PEs receive them; products; accumulators that only their own PE reads (output-
stationary); registers through which sums pass on their way out (drain, or weight-stationary accumulators)."""


def on_driver(driver: Any, planted: FaultMap | None = None) -> Play:
    """A device behind a `Driver`; the stuck bits of `planted` are injected into it (builds with taps, simulated devices)."""
    from hardpoint.faults import FaultList

    def play(network: Network, x: NDArray[np.int64], bypass: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        faults = None
        if planted is not None:
            faults = FaultList.of(planted.faults(driver.array), driver.array, network, len(x), convention="given map")
        loaded = driver.load(network, bypass)
        try:
            return np.asarray(loaded.run(x, faults))
        finally:
            loaded.close()

    return play


def self_test(array: Array, play: Play, chip: str = "", origin: str = "self-test") -> FaultMap:
    """The fault map of the device behind `play`, built as `array`.

    A PE is faulty if a sum shows it. A stuck bit is named where one bit explains what its PE and those behind it yield, by
    the simplest explanation; a copy that is outvoted shows nowhere and is not found. Recompute unit, accumulator
    row, buffers and requantiser are not tested: what they do wrong counts as a fault of the PEs above them.

    Raises InputError for arrays of policy configurable.

    >>> from hardpoint.host.driver import Driver
    >>> from hardpoint.host.emulated import EmulatedDevice
    >>> array = Array(4, 4)
    >>> planted = FaultMap(4, 4, (), (StuckBit(1, 2, "mul", 0, 3, 1),))
    >>> self_test(array, on_driver(Driver(EmulatedDevice(array), array), planted)).stuck == planted.stuck
    True
    """
    if array.policy == "configurable":
        raise InputError("the self-test knows arrays of policy direct, not configurable")
    test = _Test.of(array)
    seen, paired = _played(test, play)
    found: dict[tuple[int, int], list[StuckBit]] = {}
    act = np.tile(_whole(array.act_bits), (array.rows, 1))  # what each row's activations have come through so far
    for col in range(array.cols):
        story = _column(test, seen[:, :, :, col], col, act, found)
        act, found = story.act, story.faults
    if paired is not None:
        for row, col in np.argwhere(paired):
            found.setdefault((int(row), int(col)), [])
    stuck = tuple(bit for bits in found.values() for bit in bits)
    return FaultMap(array.rows, array.cols, tuple(found), stuck, chip, origin)


@dataclass(frozen=True, eq=False)
class _Test:
    """Patterns: activations (S, K) and weights (K, T); every row gets these activations, every column these weights."""

    array: Array
    a: Numbers
    w: Numbers

    @classmethod
    def of(cls, array: Array) -> _Test:
        steps = 1 if array.dataflow == "ws" else STEPS
        a, w = _patterns(array.act_bits, 12, False), _patterns(array.wgt_bits, 8, True)
        return cls(
            array,
            np.stack([np.roll(a, 5 * k) for k in range(steps)], axis=1),
            np.stack([np.roll(w, 3 * k) for k in range(steps)]),
        )

    @property
    def mask(self) -> int:
        return (1 << self.array.acc_bits) - 1

    def network(self) -> Network:
        """One 1 x 1 convolution that lays these patterns on every row and column; its codes are the sums themselves."""
        array, (samples, steps), tiles = self.array, self.a.shape, self.w.shape[1]
        stationary = array.dataflow == "ws"
        height, depth = (samples, array.rows) if stationary else (samples * array.rows, steps)
        weight = np.repeat(self.w, array.rows, axis=0) if stationary else self.w
        zeros = np.zeros(tiles * array.cols, np.int64)  # neither bias nor shift
        conv = Conv(
            "test", INPUT, np.repeat(weight, array.cols, axis=1).reshape(1, 1, depth, tiles * array.cols),
            zeros, zeros, Fixed(array.acc_bits, 0, True), Fixed(array.wgt_bits, 0, True),
        )  # fmt: skip
        return Network((height, 1, depth), Fixed(array.act_bits, 0, False), (conv,))

    def image(self) -> Numbers:
        """The network's input: pixels one row of PEs after the other, or one per pattern."""
        rows = self.array.rows
        pixels = np.repeat(self.a, rows, axis=1 if self.array.dataflow == "ws" else 0)
        return pixels.reshape(1, len(pixels), 1, -1)


def _patterns(bits: int, count: int, signed: bool) -> Numbers:
    """Codes among which every bit takes both values, alone and beside others."""
    top = 1 << (bits - 1)
    said = [0, (1 << bits) - 1, 0x55555555, 0xAAAAAAAA, 1, top, top - 1, top + 1]
    drawn = np.random.default_rng(bits).integers(0, 1 << bits, count)
    codes = np.array([*said, *drawn.tolist()][:count] if not signed else [*said[1:], *drawn.tolist()][:count]) & (
        (1 << bits) - 1
    )
    return np.where(codes >= top, codes - 2 * top, codes) if signed else codes


def _played(test: _Test, play: Play) -> tuple[Numbers, NDArray[np.bool_] | None]:
    """What every PE yields, (row, S, T, column); and where sums of two rows are wrong (rows, cols), if columns are split."""
    array, network, x = test.array, test.network(), test.image()
    rows, cols, samples, tiles = array.rows, array.cols, len(test.a), test.w.shape[1]
    if array.dataflow == "os":
        sums = np.asarray(play(network, x, None)).reshape(samples, rows, tiles, cols)
        return sums.transpose(1, 0, 2, 3) & test.mask, None
    lone = [_of_rows(test, play, {row}) for row in range(rows)]
    if bool((array.column_map == array.acc_bits).all()):
        return np.stack(lone), None
    wrong = np.zeros((rows, cols), bool)  # the carry out of a low part works only where something comes from above
    for row in range(1, rows):
        both = _of_rows(test, play, {row - 1, row})
        wrong[row] = (both != (lone[row - 1] + lone[row]) & test.mask).any(axis=(0, 1))
        own = np.stack([lone[row - 1], lone[row]]) != (test.a @ test.w & test.mask)[None, :, :, None]
        wrong[row] &= ~own.any(axis=(0, 1, 2))  # what is wrong alone is explained there
    return np.stack(lone), wrong


def _of_rows(test: _Test, play: Play, rows: set[int]) -> Numbers:
    """Sums (S, T, columns) with all rows but these bypassed."""
    array = test.array
    bypass = np.ones((array.rows, array.cols), bool)
    bypass[sorted(rows)] = False
    sums = np.asarray(play(test.network(), test.image(), bypass))
    return sums.reshape(len(test.a), test.w.shape[1], array.cols) & test.mask


# explaining what was seen ---------------------------------------------------------------------------------------------


def _whole(bits: int) -> Numbers:
    """Masks (keep, set) that change nothing."""
    return np.array([(1 << bits) - 1, 0], np.int64)


def _with(masks: Numbers, bit: int, value: int) -> Numbers:
    """Masks with one more bit stuck."""
    return np.array([masks[0] & ~(1 << bit), masks[1] & ~(1 << bit) | value << bit], np.int64)


def _yields(test: _Test, masks: list[Numbers], rows: Numbers) -> Numbers:
    """Sums (rows, S, T) of a column's PEs in `rows` under `masks`, each (array rows, 2)."""
    array, stationary = test.array, test.array.dataflow == "ws"
    a = (test.a[None] & masks[ACT][rows, 0][:, None, None]) | masks[ACT][rows, 1][:, None, None]
    code = (test.w[None] & masks[WGT][rows, 0][:, None, None]) | masks[WGT][rows, 1][:, None, None]
    w = np.where(code >> (array.wgt_bits - 1), code - (1 << array.wgt_bits), code)
    total = np.zeros((len(rows), len(test.a), test.w.shape[1]), np.int64)
    if stationary:  # what stuck registers above put into the sum
        above = 0
        for row in range(int(rows.max(initial=0)) + 1):
            total[rows == row] = above
            above = above & int(masks[OUT][row, 0]) | int(masks[OUT][row, 1])
    for k in range(test.a.shape[1]):
        part = a[:, :, k, None] * w[:, None, k, :] & test.mask
        part = part & masks[MUL][rows, 0][:, None, None] | masks[MUL][rows, 1][:, None, None]
        total = total + part & test.mask
        total = total & masks[ACC][rows, 0][:, None, None] | masks[ACC][rows, 1][:, None, None]
    for row in range(int(rows.min(initial=0)), array.rows):  # out through its own row and those below
        keep, given = int(masks[OUT][row, 0]), int(masks[OUT][row, 1])
        if (keep, given) != (test.mask, 0):
            passing = rows <= row
            total[passing] = total[passing] & keep | given
    return total


@dataclass
class _Story:
    """One explanation of a column: its faulty PEs with the bits that are known to be stuck, and what is left of activations."""

    act: Numbers
    faults: dict[tuple[int, int], list[StuckBit]]
    shared: list[tuple[int, _Cause]]
    riddles: int = 0

    def cost(self) -> int:
        """How much is assumed: stuck bits, and two for a PE that no single one explains."""
        return sum(len(bits) for bits in self.faults.values()) + 2 * self.riddles


def _column(test: _Test, seen: Numbers, col: int, act: Numbers, found: dict[tuple[int, int], list[StuckBit]]) -> _Story:
    """The simplest explanation of column `col`, given that of the columns before it."""
    preferences: list[Callable[[NDArray[np.bool_]], Any]] = [
        lambda right: int(right.sum()),
        lambda right: (int(right.all(axis=(1, 2)).sum()), int(right.sum())),
        lambda right: int(right.all(axis=(1, 2)).sum()),
    ]
    best = min((_told(test, seen, col, act, found, preferred) for preferred in preferences), key=_Story.cost)
    moved = [
        [*(other for other in best.shared if other != cause), (row, cause[1])]
        for cause in best.shared
        for row in range(test.array.rows)
        if best.riddles and cause[1][0] == WGT and row != cause[0]
    ]  # a PE that is faulty itself hides where a stuck weight register begins
    return min([best, *(_told(test, seen, col, act, found, preferences[0], taken) for taken in moved)], key=_Story.cost)


def _told(
    test: _Test,
    seen: Numbers,
    col: int,
    act: Numbers,
    found: dict[tuple[int, int], list[StuckBit]],
    preferred: Callable[[NDArray[np.bool_]], Any],
    taken: Sequence[tuple[int, _Cause]] = (),
) -> _Story:
    """First the registers that rows share, some of which are `taken` for known, then what each PE shows by itself."""
    array = test.array
    wide = np.tile(_whole(array.acc_bits), (array.rows, 1))
    masks = [act.copy(), np.tile(_whole(array.wgt_bits), (array.rows, 1)), wide.copy(), wide.copy(), wide.copy()]
    shared = _shared(test, seen, masks, preferred, taken)
    story = _Story(act.copy(), {pe: list(bits) for pe, bits in found.items()}, shared)
    for row, cause in shared:
        masks = _tried(masks, row, cause)
        story.faults.setdefault((row, col), []).append(StuckBit(row, col, _site(array, cause[0]), 0, *cause[1:]))
    for row in range(array.rows):
        at = np.array([row])
        if np.array_equal(_yields(test, masks, at)[0], seen[row]):
            continue
        shown = next(
            (c for c in _causes(test, row) if np.array_equal(_yields(test, _tried(masks, row, c), at)[0], seen[row])),
            None,
        )
        if shown is None:
            story.faults.setdefault((row, col), [])
            story.riddles += 1
            continue
        masks, place = _tried(masks, row, shown), (row, col)
        if shown[0] == ACT:
            story.act[row] = masks[ACT][row]
        before = {ACT: (row, col - 1), WGT: (row - 1, col)}.get(shown[0], place)
        if story.faults.get(before) == []:  # that PE is faulty and not explained: this is where it shows
            place = before
        story.faults.setdefault(place, []).append(StuckBit(*place, _site(array, shown[0]), 0, *shown[1:]))
    return story


def _shared(
    test: _Test,
    seen: Numbers,
    masks: list[Numbers],
    preferred: Callable[[NDArray[np.bool_]], Any],
    known: Sequence[tuple[int, _Cause]],
) -> list[tuple[int, _Cause]]:
    """The column's stuck registers that several rows' sums go through, weights in or sums out, by row.

    Taken are those that bring the preferred sums right, one after the other; kept those that explain at least two rows
    whole, for one row is explained by its own PE.
    """
    rows = np.arange(test.array.rows)

    def right(causes: list[tuple[int, _Cause]]) -> NDArray[np.bool_]:
        made = masks
        for row, cause in causes:
            made = _tried(made, row, cause)
        return np.asarray(_yields(test, made, rows) == seen)

    taken = list(known)
    have = right(taken)
    while not have.all():
        tried = [
            (right([*taken, c]), c)
            for c in _candidates(test, seen, np.asarray(have.all(axis=(1, 2))))
            if c not in taken
        ]
        best = max(tried, key=lambda pair: preferred(pair[0]), default=None)
        if best is None or preferred(best[0]) <= preferred(have):
            break
        taken.append(best[1])
        have = best[0]
    whole = int(have.all(axis=(1, 2)).sum())
    for cause in list(taken):
        others = [c for c in taken if c != cause]
        left = int(right(others).all(axis=(1, 2)).sum())
        if whole - left < 2:
            taken, whole = others, left
    return taken


def _candidates(test: _Test, seen: Numbers, explained: NDArray[np.bool_]) -> Iterator[tuple[int, _Cause]]:
    """Rows and stuck bits that several rows may share: bits of sums that never change, any bits of weights."""
    held = np.bitwise_and.reduce(seen, axis=(1, 2)), np.bitwise_and.reduce(~seen & test.mask, axis=(1, 2))
    for row in range(len(seen)):
        always = int(np.bitwise_and.reduce(held[0][: row + 1]) | np.bitwise_and.reduce(held[1][: row + 1]))
        bits = [bit for bit in range(test.array.acc_bits) if always >> bit & 1]
        yield from ((row, (OUT, bit, value)) for bit in bits for value in (0, 1))
        if not explained[row]:
            yield from ((row, (WGT, bit, value)) for bit in range(test.array.wgt_bits) for value in (0, 1))


def _causes(test: _Test, row: int) -> Iterator[_Cause]:
    """Single stuck bits that could explain what a PE of `row` yields."""
    array = test.array
    widths = [(ACT, array.act_bits), (WGT, array.wgt_bits), (MUL, array.acc_bits)]
    if array.dataflow == "os":
        widths += [(ACC, array.acc_bits)] + ([(OUT, array.acc_bits)] if row == 0 else [])
    else:
        widths += [(OUT, array.acc_bits)]
    return ((kind, bit, value) for kind, bits in widths for bit in range(bits) for value in (0, 1))


def _tried(masks: list[Numbers], row: int, cause: _Cause) -> list[Numbers]:
    """`masks` with one more bit stuck in `row`, and in what takes its weights from there."""
    kind, bit, value = cause
    made = [table.copy() if i == kind else table for i, table in enumerate(masks)]
    for reached in range(row, len(made[kind]) if kind == WGT else row + 1):
        made[kind][reached] = _with(made[kind][reached], bit, value)
    return made


def _site(array: Array, kind: int) -> str:
    if kind == OUT:
        return "acc" if array.dataflow == "ws" else "drain"
    return {ACT: "act", WGT: "wgt", MUL: "mul", ACC: "acc"}[kind]
