"""`hardpoint.draw`, compiled: the same lists, bit for bit, at a tenth of the time."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.draw import Plan, convention_of, gap_scale
from hardpoint.draw import draw as plain_draw
from hardpoint.beside import unit_bits
from hardpoint.faults import BUFFERS, FAULT, SITES, UNIT_ROW, FaultList
from hardpoint.host.jit import COMPILED, compiled, inlined
from hardpoint.network import Network
from hardpoint.streams import (
    ELEVENTH, FIFTEENTH, FIFTH, NINETEENTH, NINTH, SEVENTEENTH, SEVENTH, THIRD, THIRTEENTH, TWENTY_FIRST,
)  # fmt: skip

__all__ = ["draw"]

# columns of the table of populations, and of the table of layers
LAYER, SITE, COPY, KEY, KIND, TILES, FIRST, STEPS, ROWS, COLS, BITS, FROM_COLUMN, COLUMNS = range(13)
K, M, N, TILES_N, TILES_K, PIXELS, DEPTHWISE, STEP_BITS, LAYERS = range(9)
ARRAY, UNIT, BUFFER = range(3)  # what a population belongs to
ACT, WGT, MUL, VOTE, DRAIN = 0, 1, 2, 4, 6
PLACE = 26  # bits of a key below the time: site 4, row 8, column 6, copy 2, bit 6
U = np.uint64
MULTIPLY_0, MULTIPLY_1, WEYL_0, WEYL_1 = U(0xD2511F53), U(0xCD9E8D57), U(0x9E3779B9), U(0xBB67AE85)
WORD, HALF = U(0xFFFFFFFF), U(32)


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
    pools = [(stream, rate) for stream, rate in zip(plan.pools, rates, strict=True) if rate > 0]
    table = np.zeros((len(pools), COLUMNS), np.int64)
    for row, (s, _) in zip(table, pools, strict=True):
        kind = UNIT if s.unit else BUFFER if SITES[s.site] in BUFFERS else ARRAY
        row[:] = s.layer, s.site, s.copy, s.key, kind, s.tiles, s.first, s.steps, s.rows, s.cols, s.bits, s.from_column
    layers = np.zeros((len(plan.tilings), LAYERS), np.int64)
    for i, t in enumerate(plan.tilings):
        steps = max((s.first + s.steps for s, _ in pools if s.layer == i), default=1).bit_length()
        layers[i] = t.gemm.k, t.gemm.m, t.gemm.n, t.tiles_n, t.tiles_k, t.pixels, t.gemm.depthwise, steps
    tiles = max((s.tiles for s, _ in pools), default=1).bit_length()
    if tiles + int(layers[:, STEP_BITS].max()) + PLACE > 63:  # a strike's time and place do not fit a word
        return plain_draw(array, network, images, ber, seed, trial, weights)
    scales = np.array([gap_scale(rate) for _, rate in pools])
    expected = len(numbers) * sum(rate * s.size for s, rate in pools)
    room = int(expected + 10 * math.sqrt(expected) + 100)
    faults, keys, spare = np.empty(room, FAULT), np.empty(room, U), np.empty(room, U)
    ends = np.empty(len(pools) + 1, np.int64)
    lanes, columns, stationary = array.drain_lanes, array.site_columns, array.dataflow == "ws"
    unit: tuple[Any, ...] = (
        unit_bits(array),
        array.unit_column,
        1 if array.recompute is None else array.recompute.lanes,
    )
    arguments: tuple[Any, ...] = (numbers, U(seed), trial, stationary, keys, spare, ends, faults)
    found = fill(table, scales, layers, plan.bits, lanes, columns, *unit, *arguments)
    if found < 0:  # ten standard deviations above the expected number
        return plain_draw(array, network, images, ber, seed, trial, weights)
    return plan.listed(faults[:found].copy(), numbers, seed, trial, convention_of(ber, weights), weights)


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
def log(x: float) -> float:
    """`hardpoint.streams.log` of one number: the same operations in the same order."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa *= 2
        exponent -= 1
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


@compiled
def fill(
    pools: Any, scales: Any, layers: Any, bits: Any, drain_lanes: Any, columns: Any,
    unit_masks: Any, unit_column: int, unit_lanes: int,
    images: Any, seed: Any, trial: int, stationary: bool, keys: Any, spare: Any, ends: Any, faults: Any,
) -> int:  # fmt: skip
    """Write the live strikes of all images, in the order of `FaultList`; returns how many, or -1 where there is no room."""
    rows, cols = columns.shape
    found = 0
    for image in images:
        pool = 0
        for layer in range(len(layers)):
            runs, ends[0] = 0, 0
            count = 0  # keys of this image and layer: (tile, step, site, row, col, copy, bit) packed so that they sort
            k = layers[layer, K]
            tiles_n, rows_left = layers[layer, TILES_N], layers[layer, M] % rows
            last_row = (layers[layer, M] + rows - 1) // rows * tiles_n - tiles_n  # first tile of the last row of tiles
            depthwise = layers[layer, DEPTHWISE] != 0
            cut = depthwise or layers[layer, N] % cols != 0
            step_bits = layers[layer, STEP_BITS]
            while pool < len(pools) and pools[pool, LAYER] == layer:
                p = pools[pool]
                word = U(p[KEY])
                size = p[TILES] * p[STEPS] * p[ROWS] * p[COLS] * p[BITS]
                position, draws = -1.0, 0
                first = second = U(0)
                while True:
                    if draws % 2 == 0:
                        first, second = philox(seed, U(draws // 2), U(image), U(trial), word)
                    uniform = (float((first if draws % 2 == 0 else second) >> U(11)) + 0.5) * 2.0**-53
                    position = position + 1 + np.floor(log(uniform) * scales[pool])
                    draws += 1
                    if position >= size:
                        break
                    rest, bit = divmod(int(position), p[BITS])
                    rest, col = divmod(rest, p[COLS])
                    rest, row = divmod(rest, p[ROWS])
                    tile, step = divmod(rest, p[STEPS])
                    step += p[FIRST]
                    if p[KIND] == ARRAY:
                        if p[FROM_COLUMN]:
                            bit += columns[row, col]
                        source, last = row, k - 1
                        if p[SITE] == DRAIN:
                            source, last = row - step + k, k + row
                        elif p[SITE] == VOTE and (p[COPY] == 0 or drain_lanes[row, col] == 3):
                            last = k
                        if not (bits[p[SITE], p[COPY], row, col] >> U(bit)) & U(1):
                            continue
                        if stationary:
                            if not held(layers[layer], rows - 1, cols, p[SITE], tile, step, row, col):
                                continue
                        elif (
                            step > last
                            or (tile >= last_row and source >= rows_left > 0)
                            or (cut and idle(layers[layer], cols, p[SITE], tile % tiles_n, col))
                        ):
                            continue
                    elif p[KIND] == UNIT:
                        row = UNIT_ROW
                        if p[FROM_COLUMN]:
                            bit += unit_column
                        if not (unit_masks[p[SITE], p[COPY]] >> U(bit)) & U(1):
                            continue
                        if (p[SITE] <= WGT and step * unit_lanes + col >= k) or (
                            # without drain guard nobody takes what copies 1 and 2 vote last
                            p[SITE] == VOTE and p[COPY] > 0 and step * unit_lanes >= k and not unit_masks[DRAIN, 1]
                        ):
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
                fault = faults[found]
                fault["image"], fault["layer"] = image, layer
                fault["tile"], fault["step"] = key >> PLACE + step_bits, key >> PLACE & (1 << step_bits) - 1
                fault["row"], fault["col"], fault["site"] = key >> 14 & 255, key >> 8 & 63, key >> 22 & 15
                fault["copy"], fault["bit"], fault["effect"] = key >> 6 & 3, key & 63, 0
                fault["end_image"] = fault["end_layer"] = fault["end_tile"] = fault["end_step"] = 0
                found += 1
    return found


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
