"""Whole networks, literally: every array layer on `literal`, buffers and the recompute unit included."""

from __future__ import annotations

from typing import Any

import literal
import numpy as np

from hardpoint import ecc
from hardpoint.array import Array
from hardpoint.faults import FAULT, PERMANENT, SITES, UNIT_ROW
from hardpoint.fixed import Fixed, wrap
from hardpoint.layers import Add, Conv, Dense, requantise
from hardpoint.mapping import Tiling
from hardpoint.network import INPUT, Network


def run(network: Network, array: Array, x: Any, faults: Any = None, bypass: Any = None) -> tuple[Any, Any]:
    """Outputs (images, outputs) while `faults` (records of dtype FAULT) strike, and per image whether ECC gave up."""
    faults = np.zeros(0, FAULT) if faults is None else np.asarray(faults)
    found = [_image(network, array, x[i : i + 1], faults, i, bypass) for i in range(len(x))]
    return network.ordered(np.concatenate([out for out, _ in found])), np.array([due for _, due in found], bool)


def local(faults: Any, image: int, layer: int) -> Any:
    """The faults of one image and layer, in the time of that layer alone."""
    here, kept = (image, layer), []
    for fault in faults.copy():
        start, end = (fault["image"], fault["layer"]), (fault["end_image"], fault["end_layer"])
        if fault["effect"] == 0:
            if start == here:
                kept.append(fault)
            continue
        if here < start or here > end:
            continue
        if here > start:
            fault["tile"] = fault["step"] = 0
        if here < end:
            fault["end_tile"], fault["end_step"] = PERMANENT[2:]
        kept.append(fault)
    return np.array(kept, FAULT)


def buffered(array: Array, codes: Any, fmt: Fixed, faults: Any, site: str) -> tuple[Any, bool]:
    """`codes` as they come back from a buffer in which the flips of `site` among `faults` strike; whether ECC gave up."""
    size, flat = fmt.bits, [int(code) & ((1 << fmt.bits) - 1) for code in np.ravel(codes)]
    here = faults[faults["site"] == SITES.index(site)]
    width = -(-size // 8)
    memory = bytearray(b"".join(code.to_bytes(width, "little") for code in flat))
    memory.extend(bytes(-len(memory) % 8))
    words = np.frombuffer(memory, "<u8").astype(np.uint64)
    check = ecc.encode(words)
    for fault in here:
        step, bit = int(fault["step"]), int(fault["bit"])
        if fault["copy"] == 1:
            check[step] ^= np.uint8(1 << bit)
        else:
            place = 8 * step * width + bit
            words[place // 64] ^= np.uint64(1 << place % 64)
    found = np.zeros(len(words), np.uint8)
    if array.ecc:
        words, found = ecc.decode(words, check)
    read = words.astype("<u8").tobytes()
    values = [int.from_bytes(read[i * width : (i + 1) * width], "little") & ((1 << size) - 1) for i in range(len(flat))]
    struck = np.array([value - ((value >> (size - 1) & 1) << size) * fmt.signed for value in values], np.int64)
    return struck.reshape(np.shape(codes)), bool((found == ecc.DETECTED).any())


def _image(network: Network, array: Array, x: Any, faults: Any, image: int, bypass: Any) -> tuple[Any, bool]:
    values, due = {INPUT: network.check_input(x)}, False
    for layer in network.layers:
        if isinstance(layer, (Conv, Dense)):
            index = network.gemms.index(layer)
            here = local(faults, image, index)
            values[layer.name], failed = _gemm(network, array, index, values[layer.input], here, bypass)
            due |= failed
        else:
            inputs = [values[name] for name in layer.inputs]
            extra = () if isinstance(layer, Add) else (network.formats[layer.input].magnitude,)
            values[layer.name] = layer(*inputs, *extra)
    return values[network.layers[-1].name].reshape(1, -1), due


def _gemm(network: Network, array: Array, index: int, x: Any, faults: Any, bypass: Any) -> tuple[Any, bool]:
    """One array layer of one image: its output codes, and whether ECC gave up."""
    layer, gemm = network.gemms[index], network.gemm(index)
    fmt = network.formats[layer.input]
    x, inputs = buffered(array, x, fmt, faults, "abuf")
    w, weights = buffered(array, layer.matrix(), layer.weight_format, faults, "wbuf")
    a, d = layer.patches(x)[0], array.shifts(network)[index]
    w = w << d  # as the array's PEs take them
    sums = literal.layer(array, Tiling.of(gemm, array), a, w, fmt.signed, faults, bypass)
    if array.recompute is not None:
        sums = literal.recompute(array, gemm, a, w, fmt.signed, network.important[index], sums, faults)
    acc = wrap(sums + (layer.bias << d), array.acc_bits)
    out = requantise(acc, layer.shift + d, layer.out, layer.relu)
    out, outputs = buffered(array, out, layer.out, faults, "obuf")
    return out.reshape(1, *network.shapes[layer.name]), inputs or weights or outputs


def random_faults(
    rng: np.random.Generator, array: Array, network: Network, images: int, count: int, stuck: float = 0.2
) -> Any:
    """About `count` live records at random times and places: of the array, the recompute unit, its index and buffers.

    A share `stuck` of those that can be is stuck, for a while or for ever.
    """
    from hardpoint.faults import decode, live, streams

    parts, layers = [], len(network.gemms)
    for layer in range(layers):
        tiling = Tiling.of(network.gemm(layer), array)
        pools = [s for s in streams(array, network, layer) if s.unit or s.site > SITES.index("index")]
        parts.append(literal.crowded(rng, array, tiling, 1 + count // layers, stuck))
        for stream in pools:
            few = rng.integers(0, 1 + count // (2 * layers * len(pools)), endpoint=True)
            part = decode(stream, rng.integers(0, stream.size, few).astype(np.uint64), array)
            sticky = (rng.random(len(part)) < stuck) & (part["row"] == UNIT_ROW)
            part["effect"] = np.where(sticky, rng.integers(1, 3, len(part)), 0)
            part["end_tile"] = part["tile"] + rng.integers(0, 3, len(part))
            part["end_step"] = rng.integers(0, stream.first + stream.steps + 1, len(part))
            parts.append(part)
        for part in parts[-1 - len(pools) :]:
            part["layer"], part["image"] = layer, rng.integers(0, images, len(part))
            forever = rng.random(len(part)) < 0.3
            part["end_image"] = np.where(forever, PERMANENT[0], part["image"] + rng.integers(0, 2, len(part)))
            part["end_layer"] = np.where(forever, PERMANENT[1], rng.integers(0, layers, len(part)))
    faults = np.concatenate(parts)
    for name in ("end_image", "end_layer", "end_tile", "end_step"):
        faults[name][faults["effect"] == 0] = 0
    return faults[live(faults, array, network)]
