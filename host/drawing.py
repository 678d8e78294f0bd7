"""`hardpoint.draw`, compiled: the same faults, bit for bit, at a tenth of the time."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.draw import ANYWHERE, SINGLE, Plan, convention_of, gap_scale
from hardpoint.draw import draw as plain_draw
from hardpoint.draw import draw_single as plain_single
from hardpoint.beside import unit_bits
from hardpoint.faults import BUFFERS, FAULT, SITES, UNIT_ROW, FaultList
from hardpoint.host.jit import COMPILED, compiled, inlined, place
from hardpoint.network import Network
from hardpoint.streams import (
    ELEVENTH, FIFTEENTH, FIFTH, NINETEENTH, NINTH, SEVENTEENTH, SEVENTH, THIRD, THIRTEENTH, TWENTY_FIRST,
)  # fmt: skip

__all__ = ["draw", "draw_single"]

# columns of the table of populations, and of the table of layers
LAYER, SITE, COPY, KIND, TILES, FIRST, STEPS, ROWS, COLS, BITS, FROM_COLUMN, SIZE, COLUMNS = range(13)
K, M, N, TILES_N, TILES_K, PIXELS, DEPTHWISE, STEP_BITS, ROWS_LEFT, LAST_ROW, CUT, LAYERS = range(12)
ARRAY, UNIT, BUFFER = range(3)  # what a population belongs to
ACT, WGT, MUL, VOTE, DRAIN = 0, 1, 2, 4, 6
PLACE = 26  # bits of a key below the time: site 4, row 8, column 6, copy 2, bit 6
U = np.uint64
I64: Any = np.int64  # `int` leaves an unsigned number unsigned, which kernels would mix with signed ones into floats
MULTIPLY_0, MULTIPLY_1, WEYL_0, WEYL_1 = U(0xD2511F53), U(0xCD9E8D57), U(0x9E3779B9), U(0xBB67AE85)
WORD, HALF = U(0xFFFFFFFF), U(32)
PAIRS = 8
"""Counters that are worked on at a time, in vector registers, two draws each."""

MOST = 256
"""Counters of one stream that are worked on before it is known whether they are needed."""


class Populations(NamedTuple):
    """`Plan.pools` as kernels read them: `pools` (number, COLUMNS), their `words` in the counter, `layers` (number, LAYERS),
    which `bits` exist, drain `lanes` and guard `columns` of every PE; of the recompute unit its `unit_masks` and `unit`
    (guard column, lanes, whether its drain is guarded); whether weights stay.
    """

    pools: Any
    words: Any
    layers: Any
    bits: Any
    lanes: Any
    columns: Any
    unit_masks: Any
    unit: Any
    stationary: bool

    @staticmethod
    @lru_cache(maxsize=8)
    def of(plan: Plan) -> Populations:
        """The populations of `plan`."""
        array, rows = plan.array, plan.array.rows
        pools = np.zeros((len(plan.pools), COLUMNS), np.int64)
        for row, s in zip(pools, plan.pools, strict=True):
            kind = UNIT if s.unit else BUFFER if SITES[s.site] in BUFFERS else ARRAY
            row[:] = s.layer, s.site, s.copy, kind, s.tiles, s.first, s.steps, s.rows, s.cols, s.bits, s.from_column, s.size
        layers = np.zeros((len(plan.tilings), LAYERS), np.int64)
        for i, t in enumerate(plan.tilings):
            gemm, steps = t.gemm, max((s.first + s.steps for s in plan.pools if s.layer == i), default=1).bit_length()
            layers[i, :ROWS_LEFT] = gemm.k, gemm.m, gemm.n, t.tiles_n, t.tiles_k, t.pixels, gemm.depthwise, steps
            # the last row of tiles holds so many rows of pixels (0: all), and begins with so many tiles before it
            layers[i, ROWS_LEFT:CUT] = gemm.m % rows, (-(-gemm.m // rows) - 1) * t.tiles_n
            layers[i, CUT] = gemm.depthwise or gemm.n % array.cols != 0
        masks = unit_bits(array)
        unit = array.unit_column, 1 if array.recompute is None else array.recompute.lanes, bool(masks[DRAIN, 1])
        return Populations(
            pools, np.array([s.key for s in plan.pools], U), layers, plan.bits, array.drain_lanes, array.site_columns,
            masks, np.array(unit, np.int64), array.dataflow == "ws",
        )  # fmt: skip


class Ahead(NamedTuple):
    """Counters of all streams that an image likely takes, worked on in one go: those of stream i are `begins[i]` up to
    `begins[i + 1]` of `counters`, each with the word and the scale of its stream.
    """

    begins: Any
    counters: Any
    words: Any
    scales: Any

    @classmethod
    def of(cls, means: NDArray[np.float64], scales: NDArray[np.float64], words: NDArray[np.uint64]) -> Ahead:
        """Of streams with `means` strikes, each of which takes a draw, as does what lies beyond the last."""
        pairs = np.minimum(np.ceil((means + 2 * np.sqrt(means) + 1) / 2), MOST).astype(np.int64)
        if len(pairs):
            pairs[-1] += -pairs.sum() % PAIRS
        begins = np.concatenate([[0], np.cumsum(pairs)])
        counters = np.arange(begins[-1]) - np.repeat(begins[:-1], pairs)
        return cls(begins, counters.astype(U), np.repeat(words, pairs), np.repeat(scales, pairs))


@lru_cache(maxsize=8)
def prepared(plan: Plan, rates: tuple[float, ...]) -> tuple[Populations, NDArray[np.float64], Ahead, float] | None:
    """What drawing for `plan` at `rates` works on: populations with a rate, the scales of their gaps, `Ahead`, and how many
    strikes an image takes on average; None where a strike's time and place do not fit a word.
    """
    rate = np.array(rates)
    drawn, populations = rate > 0, Populations.of(plan)
    populations = populations._replace(pools=populations.pools[drawn], words=populations.words[drawn])
    tiles = int(populations.pools[:, TILES].max(initial=1)).bit_length()
    if tiles + int(populations.layers[:, STEP_BITS].max()) + PLACE > 63:
        return None
    scale = {rate: gap_scale(rate) for rate in set(rates) if rate > 0}
    scales = np.array([scale[rate] for rate in rates if rate > 0], np.float64)
    means = rate[drawn] * populations.pools[:, SIZE]
    return populations, scales, Ahead.of(means, scales, populations.words), float(means.sum())


def draw(
    array: Array,
    network: Network,
    images: Sequence[int] | int,
    ber: float,
    seed: int,
    trial: int = 0,
    weights: Mapping[str, float] | None = None,
) -> FaultList:
    """As `hardpoint.draw.draw`."""
    if not COMPILED:
        return plain_draw(array, network, images, ber, seed, trial, weights)
    plan = Plan.of(array, network)
    numbers, rates = plan.arguments(images, ber, seed, trial, weights)
    ready = prepared(plan, tuple(rates))
    if ready is None:
        return plain_draw(array, network, images, ber, seed, trial, weights)
    populations, scales, ahead, mean = ready
    expected = len(numbers) * mean
    room = int(expected + 10 * math.sqrt(expected) + 100)
    faults, keys, spare = np.empty(room, FAULT), np.empty(room, U), np.empty(room, U)
    ends, gaps, more = np.empty(len(scales) + 1, np.int64), np.empty((2, len(ahead.counters))), np.empty((2, PAIRS))
    found = fill(populations, scales, ahead, numbers, U(seed), trial, keys, spare, ends, gaps, more, faults)
    if found < 0:  # ten standard deviations above the expected number
        return plain_draw(array, network, images, ber, seed, trial, weights)
    return plan.listed(faults[:found], numbers, seed, trial, convention_of(ber, weights), weights)


def draw_single(
    array: Array,
    network: Network,
    images: int,
    trials: Sequence[int] | int,
    seed: int,
    weights: Mapping[str, float] | None = None,
    layer: int | None = None,
    site: str | None = None,
) -> NDArray[Any]:
    """As `hardpoint.draw.draw_single`."""
    plan = Plan.of(array, network)
    if not COMPILED or images < 1 or plan.live_bits(weights, layer, site) == 0:  # which is refused there
        return plain_single(array, network, images, trials, seed, weights, layer, site)
    numbers, _ = plan.arguments(trials, 0.0, seed, 0, weights)
    shares, faults = plan.shares(weights, layer, site), np.empty(len(numbers), FAULT)
    fill_single(Populations.of(plan), shares, np.cumsum(shares), int(np.flatnonzero(shares)[-1]), numbers, U(seed), images, faults)
    return faults


@inlined
def philox(key: Any, c0: Any, c1: Any, c2: Any, c3: Any) -> tuple[Any, Any]:
    """`hardpoint.streams.philox` of one counter."""
    k0, k1 = key & WORD, key >> HALF
    for _ in range(10):
        p0, p1 = c0 * MULTIPLY_0, c2 * MULTIPLY_1
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & WORD, (p0 >> HALF) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + WEYL_0) & WORD, (k1 + WEYL_1) & WORD
    return c1 << HALF | c0, c3 << HALF | c2


@inlined
def uniform(word: Any) -> float:
    """`hardpoint.streams.uniform` of one word."""
    return (float(np.int64(word >> U(11))) + 0.5) * 2.0**-53


@inlined
def log(x: float) -> float:
    """`hardpoint.streams.log` of one number: the same operations in the same order."""
    pattern = np.float64(x).view(np.int64)  # of a normal number: its mantissa and exponent, as frexp gives them
    mantissa = np.int64(pattern & 0x000FFFFFFFFFFFFF | 0x3FE0000000000000).view(np.float64)
    exponent = float((pattern >> 52) - 1022)
    small = mantissa < 0.7071067811865476
    mantissa = mantissa * 2 if small else mantissa
    exponent = exponent - 1 if small else exponent
    z = (mantissa - 1) / (mantissa + 1)
    s = z * z
    s2 = s * s
    s4 = s2 * s2
    low = (1.0 + s * THIRD) + s2 * (FIFTH + s * SEVENTH)
    middle = (NINTH + s * ELEVENTH) + s2 * (THIRTEENTH + s * FIFTEENTH)
    high = (SEVENTEENTH + s * NINETEENTH) + s2 * TWENTY_FIRST
    series = low + s4 * (middle + s4 * high)
    return exponent * 0.6931471805599453 + 2 * z * series


@inlined
def idle(layer: Any, cols: int, site: int, nt: int, col: int) -> bool:
    """Whether array column `col` does nothing for `site` in tiles `nt`: activations pass columns on their way to others."""
    if layer[DEPTHWISE]:
        return bool(col > nt % cols if site == ACT else col != nt % cols)
    return bool(nt * cols + col >= layer[N])


@inlined
def held(layer: Any, rows: int, cols: int, site: int, tile: int, step: int, row: int, col: int) -> bool:
    """Whether `site` of a weight-stationary array holds live data: `hardpoint.faults.live` of one existing bit."""
    rest, kt = divmod(tile, layer[TILES_K])
    mt, nt = divmod(rest, layer[TILES_N])
    if idle(layer, cols, site, nt, col):
        return False
    if site == WGT:
        return bool(kt * rows + max(rows - 1 - step, row) < layer[K])
    if mt * layer[PIXELS] + step - rows >= layer[M]:
        return False
    if site == ACT:
        return bool(kt * rows + row < layer[K])
    return bool(row < rows or kt > 0 or site != MUL)


@inlined
def decoded(populations: Any, p: Any, layer: Any, index: int) -> tuple[bool, int, int, int, int, int]:
    """Index `index` of population `p` of a layer: whether it is live, and its tile, step, row, column and bit."""
    cols, k = populations.columns.shape[1], layer[K]
    left = U(index)
    rest = left // U(p[BITS])
    bit = I64(left - rest * U(p[BITS]))
    left, rest = rest, rest // U(p[COLS])
    col = I64(left - rest * U(p[COLS]))
    left, rest = rest, rest // U(p[ROWS])
    row = I64(left - rest * U(p[ROWS]))
    left, rest = rest, rest // U(p[STEPS])
    step, tile = I64(left - rest * U(p[STEPS])) + p[FIRST], I64(rest)
    live = True
    if p[KIND] == ARRAY:
        if p[FROM_COLUMN]:
            bit += populations.columns[row, col]
        live = bool((populations.bits[p[SITE], p[COPY], row, col] >> U(bit)) & U(1))
        if live and populations.stationary:
            live = held(layer, populations.columns.shape[0] - 1, cols, p[SITE], tile, step, row, col)
        elif live:
            source, last = row, k - 1
            if p[SITE] == DRAIN:
                source, last = row - step + k, k + row
            elif p[SITE] == VOTE and (p[COPY] == 0 or populations.lanes[row, col] == 3):
                last = k
            live = not (
                step > last
                or (tile >= layer[LAST_ROW] and source >= layer[ROWS_LEFT] > 0)
                or (layer[CUT] and idle(layer, cols, p[SITE], tile % layer[TILES_N], col))
            )
    elif p[KIND] == UNIT:
        row, first = UNIT_ROW, step * populations.unit[1]
        if p[FROM_COLUMN]:
            bit += populations.unit[0]
        live = bool((populations.unit_masks[p[SITE], p[COPY]] >> U(bit)) & U(1))
        # without drain guard nobody takes what copies 1 and 2 vote last
        unused = p[SITE] == VOTE and p[COPY] > 0 and first >= k and not populations.unit[2]
        live = live and not (unused or (p[SITE] <= WGT and first + col >= k))
    return live, tile, step, row, col, bit


@compiled
def fill(
    populations: Any, scales: Any, ahead: Any, images: Any, seed: Any, trial: int, keys: Any, spare: Any, ends: Any, gaps: Any,
    more: Any, faults: Any,
) -> int:  # fmt: skip
    """Write the live strikes of all images, in the order of `FaultList`; returns how many, or -1 where there is no room."""
    pools, words, layers, found = populations.pools, populations.words, populations.layers, 0
    begins, counters = ahead.begins, ahead.counters
    for image in images:
        pool = 0
        for i in range(place(len(counters))):
            first, second = philox(seed, counters[i], U(image), U(trial), ahead.words[i])
            gaps[place(0), i] = np.floor(log(uniform(first)) * ahead.scales[i])
            gaps[place(1), i] = np.floor(log(uniform(second)) * ahead.scales[i])
        for layer in range(len(layers)):
            runs, ends[0] = 0, 0
            count = 0  # keys of this image and layer: (tile, step, site, row, col, copy, bit) packed so that they sort
            step_bits = layers[layer, STEP_BITS]
            while pool < len(pools) and pools[pool, LAYER] == layer:
                p, scale, word = pools[pool], scales[pool], words[pool]
                size, position, draws = float(p[SIZE]), -1.0, 0
                begin, known = begins[pool], 2 * (begins[pool + 1] - begins[pool])
                while True:
                    if draws < known:
                        gap = gaps[draws & 1, begin + (draws >> 1)]
                    else:
                        at = draws - known & 2 * PAIRS - 1
                        if at == 0:
                            counter = U(draws // 2)
                            for i in range(place(PAIRS)):
                                first, second = philox(seed, counter + U(i), U(image), U(trial), word)
                                more[place(0), i] = np.floor(log(uniform(first)) * scale)
                                more[place(1), i] = np.floor(log(uniform(second)) * scale)
                        gap = more[at & 1, at >> 1]
                    position = position + 1 + gap
                    draws += 1
                    if position >= size:
                        break
                    live, tile, step, row, col, bit = decoded(populations, p, layers[layer], int(position))
                    if not live:
                        continue
                    if found + count >= len(keys):
                        return -1
                    key = tile << step_bits | step
                    key = key << PLACE | p[SITE] << 22 | row << 14 | col << 8 | p[COPY] << 6 | bit
                    keys[count] = U(key)
                    count += 1
                pool += 1
                runs += 1
                ends[runs] = count
            order(keys, spare, ends, runs)
            for i in range(count):
                key = int(keys[i])
                tile, step = key >> PLACE + step_bits, key >> PLACE & (1 << step_bits) - 1
                write(faults[found], image, layer, tile, step, key >> 14 & 255, key >> 8 & 63, key >> 22 & 15, key >> 6 & 3, key & 63)
                found += 1
    return found


@compiled
def fill_single(populations: Any, shares: Any, ends: Any, last: int, trials: Any, seed: Any, images: int, faults: Any) -> None:
    """Write one live flip for every one of `trials`; `shares` and their sums `ends` say how populations share them."""
    pools = populations.pools
    for i in range(len(trials)):
        live, attempt = False, 0
        while not live:
            where, which = philox(seed, U(attempt), U(0), U(trials[i]), U(ANYWHERE | SINGLE))
            position = uniform(where) * ends[-1]
            pool, high = 0, len(ends)
            while pool < high:  # the first that ends beyond the position
                middle = pool + high >> 1
                if ends[middle] <= position:
                    pool = middle + 1
                else:
                    high = middle
            pool = min(pool, last)
            p = pools[pool]
            inside = (position - (ends[pool] - shares[pool])) / shares[pool]
            index = int(min(max(np.floor(inside * p[SIZE]), 0), p[SIZE] - 1))
            live, tile, step, row, col, bit = decoded(populations, p, populations.layers[p[LAYER]], index)
            if live:
                image = int(np.floor(uniform(which) * images))
                write(faults[i], image, p[LAYER], tile, step, row, col, p[SITE], p[COPY], bit)
            attempt += 1


@inlined
def write(
    fault: Any, image: int, layer: int, tile: int, step: int, row: int, col: int, site: int, copy: int, bit: int
) -> None:
    """Make `fault` the record of a flip."""
    fault["image"], fault["layer"], fault["tile"], fault["step"] = image, layer, tile, step
    fault["row"], fault["col"], fault["site"], fault["copy"], fault["bit"], fault["effect"] = row, col, site, copy, bit, 0
    fault["end_image"] = fault["end_layer"] = fault["end_tile"] = fault["end_step"] = 0


@inlined
def order(keys: Any, spare: Any, ends: Any, runs: int) -> None:
    """Sort keys that are `runs` sorted runs, run r ending before `ends[r + 1]`, by merging neighbours."""
    while runs > 1:
        merged = 0
        for run in range(0, runs, 2):
            a, middle = ends[run], ends[run + 1]
            b, stop = middle, ends[min(run + 2, runs)]
            for i in range(a, stop):
                spare[i] = keys[i]
            i = a
            while a < middle and b < stop:
                first, second = spare[a], spare[b]
                smaller = first < second
                keys[i] = first if smaller else second
                a += smaller
                b += not smaller
                i += 1
            while a < middle:
                keys[i] = spare[a]
                a += 1
                i += 1
            while b < stop:
                keys[i] = spare[b]
                b += 1
                i += 1
            merged += 1
            ends[merged] = stop
        runs = merged
