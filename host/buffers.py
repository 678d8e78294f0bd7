"""Codes struck as they are written into the buffers of weights, inputs and outputs."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint import ecc
from hardpoint.beside import buffer_codes
from hardpoint.host.changes import added_inputs, summed, touch
from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.operands import decoded, operand
from hardpoint.host.program import (
    BYPASS, DEMAND, IN, IN_BITS, OUT_BITS, OUT_SIGNED, SIGNED, SUMS, TRANSPOSED, WEIGHTS, WGT_BITS, WHOLE, C, K, M, N,
)  # fmt: skip
from hardpoint.network import Network

__all__ = ["ABUF", "OBUF", "WBUF", "noticed", "strike_buffers", "strike_outputs", "struck_pixel", "undo_buffers"]

WBUF, ABUF, OBUF = 8, 9, 10  # numbers of sites


def noticed(flips: NDArray[Any], network: Network) -> NDArray[np.int64]:
    """Numbers of the images in which ECC finds a word of a buffer to be wrong."""
    flips = flips[flips["site"] >= WBUF]
    widths = [[-(-bits // 8) for _, bits in buffer_codes(network, layer).values()] for layer in range(len(network.gemms))]
    width = np.array(widths, np.int64)[flips["layer"], flips["site"].astype(np.int64) - WBUF]
    check, bit, step = flips["copy"] == 1, flips["bit"].astype(np.int64), flips["step"].astype(np.int64)
    at = 8 * width * step + bit
    syndromes = np.where(check, 1 << np.where(check, bit, 0), ecc.COLUMNS[at % 64])
    keys = np.stack([flips["image"], flips["layer"], flips["site"], np.where(check, step, at // 64)], axis=1)
    words, word = np.unique(keys, axis=0, return_inverse=True)
    left = np.zeros(len(words), np.int64)
    np.bitwise_xor.at(left, word.ravel(), syndromes)
    return np.asarray(words[left != 0, 0], np.int64)


@inlined
def flipped(code: int, bit: int, bits: int, signed: int) -> int:
    """`code` of a number format with bit `bit` flipped."""
    return decoded(code ^ (1 << bit), bits, signed)


@inlined
def flip_weight(tables: Any, layer: Any, fault: Any) -> int:
    """Flip a bit of a weight code, in every table of weights; returns by how much the array's own weight changed."""
    number, bit, bits = int(fault["step"]), int(fault["bit"]), layer[WGT_BITS]
    k, n, weights, sizes = number // layer[N], number % layer[N], tables.weights, tables.sizes
    whole, mine = place(layer[WHOLE] + n * layer[K] + k), place(layer[TRANSPOSED] + n * layer[K] + k)
    old = int(weights[whole])
    new = flipped(old, bit, bits, 1)
    weights[whole] = new
    if sizes[5] and tables.pes[k % sizes[0], n % sizes[1], BYPASS]:
        return 0
    weights[mine] = weights[place(layer[WEIGHTS] + number)] = new
    return new - old


@compiled
def strike_buffers(
    tables: Any, work: Any, layer: Any, state: Any, sums: Any, faults: Any, begin: int, end: int, dirty: int
) -> int:
    """Strike the weight and input codes of a layer, and mark pixels whose output codes are; returns how many are dirty.

    `undo_buffers` takes back what is not to be read by other layers or images.
    """
    if layer[DEMAND]:  # from codes and weights that are not struck yet
        for m in range(layer[M]):
            summed(tables, work, layer, state, sums, m)
    for i in range(begin, end):
        if int(faults[i]["site"]) == ABUF:
            number = int(faults[i]["step"])
            at = place(layer[IN] + number)
            old = int(state[at])
            state[at] = flipped(old, int(faults[i]["bit"]), layer[IN_BITS], layer[SIGNED])
            work.which[0], work.delta[0] = number % layer[C], state[at] - old
            dirty = added_inputs(tables, work, layer, state, sums, number // layer[C], 0, 1, dirty)
    for i in range(begin, end):
        number = int(faults[i]["step"])
        if int(faults[i]["site"]) == WBUF:
            k, n, delta = number // layer[N], number % layer[N], flip_weight(tables, layer, faults[i])
            for m in range(layer[M]):
                a = operand(tables, layer, state, m, k, n)
                if a != 0:
                    dirty = touch(tables, work, layer, state, sums, m, dirty)
                    sums[place(layer[SUMS] + m * layer[N] + n)] += delta * a
        elif int(faults[i]["site"]) == OBUF:
            dirty = touch(tables, work, layer, state, sums, number // layer[N], dirty)
    return dirty


@compiled
def undo_buffers(tables: Any, layer: Any, state: Any, faults: Any, begin: int, end: int) -> None:
    """Give the weights and the input codes of a layer their old values."""
    for i in range(begin, end):
        if int(faults[i]["site"]) == ABUF:
            at = place(layer[IN] + int(faults[i]["step"]))
            state[at] = flipped(int(state[at]), int(faults[i]["bit"]), layer[IN_BITS], layer[SIGNED])
        elif int(faults[i]["site"]) == WBUF:
            flip_weight(tables, layer, faults[i])


@inlined
def struck_pixel(layer: Any, faults: Any, begin: int, end: int, m: int) -> int:
    """Whether an output code of pixel m is struck."""
    for i in range(begin, end):
        if int(faults[i]["site"]) == OBUF and int(faults[i]["step"]) // layer[N] == m:
            return 1
    return 0


@inlined
def strike_outputs(layer: Any, faults: Any, begin: int, end: int, m: int, codes: Any) -> None:
    """Strike the output codes of pixel m, which lie in `codes`."""
    for i in range(begin, end):
        number = int(faults[i]["step"])
        if int(faults[i]["site"]) == OBUF and number // layer[N] == m:
            j = number % layer[N]
            codes[j] = flipped(int(codes[j]), int(faults[i]["bit"]), layer[OUT_BITS], layer[OUT_SIGNED])
