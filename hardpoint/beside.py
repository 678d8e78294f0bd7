"""Sites beside the array: the recompute unit, and the buffers of weights, inputs and outputs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint import ecc
from hardpoint.array import Array
from hardpoint.network import Network
from hardpoint.sites import BUFFERS, FAULT, INDEX_BITS, OVERHANG, PE_SITES, SITES, UNIT_CARRY_WIDTH, UNIT_ROW, Stream

__all__ = [
    "buffer_codes",
    "buffer_streams",
    "decoded",
    "live_buffers",
    "live_unit",
    "unit_bits",
    "unit_population",
    "unit_streams",
    "words",
]


def unit_streams(array: Array, network: Network, layer: int) -> list[Stream]:
    """Enumerated populations of the recompute unit in one layer: (neuron, step, column, bit), in (site, copy) order."""
    unit, neurons = array.recompute, len(network.important[layer])
    if unit is None or not neurons:
        return []
    bits, steps = unit_bits(array), -(-network.gemm(layer).k // unit.lanes)
    widths = {"act": array.act_bits, "wgt": array.pe_wgt_bits, "carry": UNIT_CARRY_WIDTH, "index": INDEX_BITS}
    found = []
    for site, copy in np.argwhere(bits > 0).tolist():
        name = SITES[site]
        width = UNIT_CARRY_WIDTH if (name, copy) == ("mul", OVERHANG) else widths.get(name, array.acc_bits)
        first, count = {"vote": (1, steps), "drain": (steps, 1), "index": (0, 1)}.get(name, (0, steps))
        cols = unit.lanes if name in ("act", "wgt") else 1
        found.append(Stream(layer, site, copy, neurons, first, count, 1, cols, width, unit=True))
    return found


@lru_cache(maxsize=16)
def unit_bits(array: Array) -> NDArray[np.uint64]:
    """Which bits of the recompute unit exist: one 64-bit mask per (site, copy), read-only; none without a unit."""
    table = np.zeros((len(SITES), OVERHANG + 1), np.uint64)
    if array.recompute is not None:
        guard, b, w, cw = array.recompute.guard, array.unit_column, array.acc_bits, array.unit_carry_bits
        act, wgt, mul, carry, vote, acc, drain = range(len(PE_SITES))
        high = (1 << w) - (1 << b)
        table[mul], table[acc], table[vote, :3] = [(1 << w) - 1, high, high, 0], [(1 << w) - 1, high, high, 0], high
        table[mul, OVERHANG] = table[carry, 0] = (1 << b + cw) - (1 << b)
        lanes = 3 if guard.operand else 1
        table[act, :lanes], table[wgt, :lanes] = (1 << array.act_bits) - 1, (1 << array.pe_wgt_bits) - 1
        table[drain, 0], table[drain, 1:3] = (1 << w) - 1, high * guard.drain
        table[SITES.index("index"), 0] = (1 << INDEX_BITS) - 1
    table.setflags(write=False)
    return table


def live_unit(faults: NDArray[Any], array: Array, network: Network) -> NDArray[np.bool_]:
    """Which records strike a bit of the recompute unit that exists and holds live data then (stuck bits: that exists)."""
    row, col, site, copy, bit, layer = (
        faults[key].astype(np.int64) for key in ("row", "col", "site", "copy", "bit", "layer")
    )
    unit = array.recompute
    good = (row == UNIT_ROW) & (site < len(SITES)) & (copy <= OVERHANG) & (bit < 64) & (layer < len(network.gemms))
    if unit is None or not good.any():
        return np.zeros(len(faults), bool)
    site, copy, bit, layer = (np.where(good, x, 0) for x in (site, copy, bit, layer))
    good &= (unit_bits(array)[site, copy] >> bit.astype(np.uint64) & np.uint64(1)).astype(bool)
    operand = site <= SITES.index("wgt")
    good &= col < np.where(operand, unit.lanes, 1)
    k = np.array([network.gemm(i).k for i in range(len(network.gemms))], np.int64)[layer]
    neurons = np.array([len(numbers) for numbers in network.important], np.int64)[layer]
    steps, step = -(-k // unit.lanes), faults["step"].astype(np.int64)
    vote, drain, index = (site == SITES.index(name) for name in ("vote", "drain", "index"))
    first = np.where(vote, 1, np.where(drain, steps, 0))
    voted = (vote & ((copy == 0) | unit.guard.drain)) | drain
    last = np.where(index, 0, np.where(voted, steps, steps - 1))
    when = (faults["tile"] < neurons) & (step >= first) & (step <= last)
    when &= ~operand | (step * unit.lanes + col < k)
    return np.asarray(good & (when | (faults["effect"] != 0)))


def unit_population(array: Array, network: Network, layer: int) -> dict[str, int]:
    """Live site bits x steps of the recompute unit in one layer, by site."""
    unit, neurons, k = array.recompute, len(network.important[layer]), network.gemm(layer).k
    if unit is None or not neurons:
        return {}
    steps = -(-k // unit.lanes)
    total = {}
    for name, masks in zip(SITES, unit_bits(array).tolist(), strict=True):
        bits = [int(mask).bit_count() for mask in masks]
        uses = {"act": k, "wgt": k, "drain": 1, "index": 1}.get(name, steps)
        total[name] = neurons * sum(bits) * uses
        if name == "vote" and not unit.guard.drain:
            total[name] -= neurons * (bits[1] + bits[2])
    return total


def buffer_codes(network: Network, layer: int) -> dict[str, tuple[int, int]]:
    """Number of codes in each buffer of an array layer, and bits of a code."""
    gemm, item = network.gemm(layer), network.gemms[layer]
    inputs = int(np.prod(network.shapes[item.input]))
    return {
        "wbuf": (gemm.k * gemm.n, item.weight_format.bits),
        "abuf": (inputs, network.formats[item.input].bits),
        "obuf": (gemm.m * gemm.n, item.out.bits),
    }


def words(codes: int, bits: int) -> int:
    """ECC words that `codes` codes of `bits` bits fill, eight bytes each.

    >>> words(9, 8), words(9, 12)
    (2, 3)
    """
    return -(-codes * -(-bits // 8) // 8)


def buffer_streams(array: Array, network: Network, layer: int) -> list[Stream]:
    """Enumerated populations of a layer's buffers: (code, bit), and with ECC the check bits (word, bit), copy 1."""
    found = []
    for name, (codes, bits) in buffer_codes(network, layer).items():
        site = SITES.index(name)
        found.append(Stream(layer, site, 0, 1, 0, codes, 1, 1, bits))
        if array.ecc:
            found.append(Stream(layer, site, 1, 1, 0, words(codes, bits), 1, 1, 8))
    return found


def live_buffers(faults: NDArray[Any], array: Array, network: Network) -> NDArray[np.bool_]:
    """Which records are flips of a buffered code's bit, or of a check bit: all of them are live."""
    site, layer = faults["site"].astype(np.int64), faults["layer"].astype(np.int64)
    good = (site >= SITES.index(BUFFERS[0])) & (site < len(SITES)) & (layer < len(network.gemms))
    good &= (faults["copy"] <= array.ecc) & (faults["effect"] == 0)
    for name in ("tile", "row", "col"):
        good &= faults[name] == 0
    if not good.any():
        return np.asarray(good)
    sizes = np.zeros((len(network.gemms), len(BUFFERS), 2, 2), np.int64)
    for i in range(len(network.gemms)):
        for j, (codes, bits) in enumerate(buffer_codes(network, i).values()):
            sizes[i, j] = (codes, bits), (words(codes, bits), 8)
    here = (
        np.where(good, layer, 0),
        np.where(good, site - SITES.index(BUFFERS[0]), 0),
        np.where(good, faults["copy"], 0),
    )
    count, bits = sizes[here].T
    return np.asarray(good & (faults["step"] < count) & (faults["bit"] < bits))


def decoded(flips: NDArray[Any], network: Network) -> NDArray[Any]:
    """`flips` as the decoder of ECC leaves them: what it does not correct, and per word that it gives up on a mark.

    The mark is a flip of copy 1 whose step is the word's first code, bit 0. Flips of other sites are passed on.
    """
    buffered = flips["site"] >= SITES.index(BUFFERS[0])
    if not buffered.any():
        return flips
    patterns: dict[tuple[int, int, int, int], list[int]] = {}
    sizes = [list(buffer_codes(network, layer).values()) for layer in range(len(network.gemms))]
    for flip in flips[buffered]:
        site, layer = int(flip["site"]), int(flip["layer"])
        width = -(-sizes[layer][site - SITES.index(BUFFERS[0])][1] // 8)
        word, bit = int(flip["step"]), int(flip["bit"])
        if not flip["copy"]:
            word, bit = divmod(8 * width * word + bit, 64)
        patterns.setdefault((int(flip["image"]), layer, site, word), [0, 0])[int(flip["copy"])] ^= 1 << bit
    errors = np.array(list(patterns.values()), np.uint64)
    left, found = ecc.decode(errors[:, 0], errors[:, 1])
    records = []
    for (image, layer, site, word), pattern, state in zip(patterns, left.tolist(), found.tolist(), strict=True):
        codes, bits = sizes[layer][site - SITES.index(BUFFERS[0])]
        width = -(-bits // 8)
        places = [(word * 64 + bit) for bit in range(64) if pattern >> bit & 1]
        struck = [(*divmod(place, 8 * width), 0) for place in places]
        if state == ecc.DETECTED:
            struck.append((8 * word // width, 0, 1))
        for code, bit, copy in struck:
            if code < codes and bit < bits:
                records.append((image, layer, 0, code, 0, 0, site, copy, bit, 0, 0, 0, 0, 0))
    return np.concatenate([flips[~buffered], np.array(records, FAULT)])
