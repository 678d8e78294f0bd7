"""`hardpoint.draw`, compiled: the same lists, bit for bit, at a tenth of the time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.draw import Plan, convention_of, gap_scale
from hardpoint.draw import draw as plain_draw
from hardpoint.faults import FAULT, FaultList
from hardpoint.host.jit import COMPILED, compiled, inlined
from hardpoint.network import Network

__all__ = ["draw"]

LAYER, SITE, COPY, TILES, FIRST, STEPS, BITS, FROM_COLUMN, COLUMNS = range(9)  # columns of the table of populations
K, M, N, TILES_N, LAYERS = range(5)  # columns of the table of layers
VOTE, DRAIN = 4, 6
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
        row[:] = s.layer, s.site, s.copy, s.tiles, s.first, s.steps, s.bits, s.from_column
    layers = np.array([(t.gemm.k, t.gemm.m, t.gemm.n, t.tiles_n) for t in plan.tilings], np.int64)
    scales = np.array([gap_scale(rate) for _, rate in pools])
    expected = len(numbers) * sum(rate * s.size for s, rate in pools)
    room = int(expected + 10 * math.sqrt(expected) + 100)
    faults, keys, spare = np.empty(room, FAULT), np.empty(room, U), np.empty(room, U)
    lanes, columns = array.drain_lanes, array.column_map
    found = fill(table, scales, layers, plan.bits, lanes, columns, numbers, U(seed), trial, keys, spare, faults)
    if found < 0:  # ten standard deviations above the expected number
        return plain_draw(array, network, images, ber, seed, trial, weights)
    return plan.listed(faults[:found].copy(), numbers, seed, trial, convention_of(ber, weights))


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
    square = z * z
    series = 0.0
    for power in range(27, 0, -2):
        series = series * square + 1.0 / power
    return exponent * 0.6931471805599453 + 2 * z * series


@compiled
def fill(
    pools: Any, scales: Any, layers: Any, bits: Any, drain_lanes: Any, columns: Any,
    images: Any, seed: Any, trial: int, keys: Any, spare: Any, faults: Any,
) -> int:  # fmt: skip
    """Write the live strikes of all images, in the order of `FaultList`; returns how many, or -1 where there is no room."""
    rows, cols = columns.shape
    found = 0
    for image in images:
        pool = 0
        for layer in range(len(layers)):
            count = 0  # keys of this image and layer: (tile, step, site, row, col, copy, bit) packed so that they sort
            k = layers[layer, K]
            span = k + rows
            while pool < len(pools) and pools[pool, LAYER] == layer:
                p = pools[pool]
                word = U(p[LAYER] << 16 | p[SITE] << 8 | p[COPY])
                size = p[TILES] * p[STEPS] * rows * cols * p[BITS]
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
                    rest, col = divmod(rest, cols)
                    rest, row = divmod(rest, rows)
                    tile, step = divmod(rest, p[STEPS])
                    step += p[FIRST]
                    if p[FROM_COLUMN]:
                        bit += columns[row, col]
                    source, last = row, k - 1
                    if p[SITE] == DRAIN:
                        source, last = row - step + k, k + row
                    elif p[SITE] == VOTE and (p[COPY] == 0 or drain_lanes[row, col] == 3):
                        last = k
                    tiles_n = layers[layer, TILES_N]
                    if (
                        not (bits[p[SITE], p[COPY], row, col] >> U(bit)) & U(1)
                        or step > last
                        or tile // tiles_n * rows + source >= layers[layer, M]
                        or tile % tiles_n * cols + col >= layers[layer, N]
                    ):
                        continue
                    if found + count >= len(keys):
                        return -1
                    key = ((tile * span + step) * 7 + p[SITE]) << 19 | row << 13 | col << 7 | p[COPY] << 5 | bit
                    keys[count] = U(key)
                    count += 1
                pool += 1
            order(keys, spare, count)
            for i in range(count):
                key = int(keys[i])
                fault = faults[found]
                fault["image"], fault["layer"] = image, layer
                time, site = divmod(key >> 19, 7)
                fault["tile"], fault["step"] = time // span, time % span
                fault["row"], fault["col"], fault["site"] = key >> 13 & 63, key >> 7 & 63, site
                fault["copy"], fault["bit"], fault["effect"] = key >> 5 & 3, key & 31, 0
                fault["end_image"] = fault["end_layer"] = fault["end_tile"] = fault["end_step"] = 0
                found += 1
    return found


@inlined
def order(keys: Any, spare: Any, count: int) -> None:
    """Sort the first `count` keys: by insertion in runs of 16, which are then merged."""
    for start in range(0, count, 16):
        for i in range(start + 1, min(start + 16, count)):
            key, j = keys[i], i
            while j > start and keys[j - 1] > key:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
    width = 16
    while width < count:
        for start in range(0, count, 2 * width):
            middle, stop = min(start + width, count), min(start + 2 * width, count)
            a, b = start, middle
            for i in range(start, stop):
                if b >= stop or (a < middle and keys[a] <= keys[b]):
                    spare[i] = keys[a]
                    a += 1
                else:
                    spare[i] = keys[b]
                    b += 1
        for i in range(count):
            keys[i] = spare[i]
        width *= 2
