"""What tests of compiled accelerators share: small random networks, and whole networks computed literally."""

from __future__ import annotations

from typing import Any

import literal
import numpy as np

from hardpoint.array import Array
from hardpoint.faults import FAULT, FaultList, live
from hardpoint.fixed import Fixed
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool, Rescale, requantise
from hardpoint.mapping import Tiling
from hardpoint.network import INPUT, Network


def codes(rng: np.random.Generator, fmt: Fixed, shape: tuple[int, ...]) -> Any:
    return rng.integers(fmt.min, fmt.max + 1, shape)


def plain_network(rng: np.random.Generator, act: int = 8, wgt: int = 8) -> Network:
    """A convolution and a dense layer: about a thousand multiply-accumulates."""
    u, s, w = Fixed(act, act, False), Fixed(act + 8, 0, True), Fixed(wgt, wgt - 1, True)
    return Network(
        (5, 5, 2),
        u,
        (
            Conv(
                "conv",
                INPUT,
                codes(rng, w, (3, 3, 2, 5)),
                rng.integers(-90, 90, 5),
                wgt - 1,
                u,
                w,
                pad=(0, 1, 1, 0),
                stride=(2, 1),
            ),
            Dense("dense", "conv", codes(rng, w, (40, 3)), rng.integers(-90, 90, 3), 3, s, w),
        ),
    )


def mixed_network(rng: np.random.Generator, act: int = 8, wgt: int = 8) -> Network:
    """Every kind of layer, signed and unsigned activations, codes of one, two and four bytes."""
    s, u, w = Fixed(act, 3, True), Fixed(act, 3, False), Fixed(wgt, wgt - 1, True)
    front = (
        Conv(
            "c1",
            INPUT,
            codes(rng, w, (3, 3, 3, 11)),
            rng.integers(-90, 90, 11),
            rng.integers(wgt - 2, wgt + 1, 11),
            u,
            w,
            (2, 1),
            (1, 0, 1, 2),
            True,
        ),
        MaxPool("pool", "c1", (2, 3), (1, 2), (1, 0, 0, 1)),
        Conv("c2", "pool", codes(rng, w, (1, 1, 11, 11)), np.zeros(11), wgt, s, w),
        Add("add", ("c2", "pool"), (3, 1), 4, s, True),
        AvgPool("average", "add", (2, 2), (2, 1), 2, s),
        Rescale("wide", "average", -2, Fixed(act + 8, 3, True)),
        Rescale("narrow", "wide", 1, s),
    )
    features = int(np.prod(Network((9, 8, 3), s, front).shapes["narrow"]))
    last = Dense("dense", "narrow", codes(rng, w, (features, 7)), np.zeros(7), 0, Fixed(24, 3, True), w)
    return Network((9, 8, 3), s, (*front, last))


def depthwise_network(rng: np.random.Generator) -> Network:
    """A depthwise convolution between others, with more channels than an array has columns."""
    s, u, w = Fixed(8, 3, True), Fixed(8, 3, False), Fixed(8, 7, True)
    return Network(
        (6, 7, 2),
        s,
        (
            Conv("c1", INPUT, codes(rng, w, (3, 3, 2, 9)), rng.integers(-90, 90, 9), 8, u, w, relu=True),
            Conv(
                "dw",
                "c1",
                codes(rng, w, (3, 2, 9, 1)),
                rng.integers(-90, 90, 9),
                7,
                s,
                w,
                (2, 1),
                (1, 1, 0, 1),
                depthwise=True,
            ),
            Conv("c2", "dw", codes(rng, w, (1, 1, 9, 3)), np.zeros(3), 7, Fixed(12, 3, True), w),
        ),
        name="depthwise",
    )


def literal_network(network: Network, array: Array, x: Any, faults: FaultList, bypass: Any = None) -> Any:
    """Outputs of `network` with every GEMM computed by `literal.layer` while `faults` strike."""
    return network.ordered(
        np.concatenate([_image(network, array, x[i : i + 1], faults.faults, i, bypass) for i in range(len(x))])
    )


def random_list(
    rng: np.random.Generator, array: Array, network: Network, images: int, count: int, stuck: float = 0.2
) -> FaultList:
    """About `count` live faults at random times and places, of which a share `stuck` is stuck."""
    tilings = [Tiling.of(network.gemm(i), array) for i in range(len(network.gemms))]
    parts = []
    for layer, tiling in enumerate(tilings):
        part = literal.crowded(rng, array, tiling, count // len(tilings), stuck)
        part["layer"] = layer
        part["image"] = rng.integers(0, images, len(part))
        ends = part["end_image"] != 0xFFFFFFFF
        ends |= rng.random(len(part)) < 0.7
        later = rng.integers(0, 2, len(part))
        part["end_image"] = np.where(ends, part["image"] + later, 0xFFFFFFFF)
        part["end_layer"] = np.where(ends, rng.integers(0, len(tilings), len(part)), 0xFFFF)
        part["end_tile"] = np.where(ends, rng.integers(0, tiling.tiles + 1, len(part)), 0xFFFFFFFF)
        parts.append(part)
    faults = np.concatenate(parts)
    return FaultList.of(faults[live(faults, array, network)], array, network, images)


def _image(network: Network, array: Array, x: Any, faults: Any, image: int, bypass: Any) -> Any:
    values = {INPUT: network.check_input(x)}
    for layer in network.layers:
        if isinstance(layer, (Conv, Dense)):
            values[layer.name] = _struck(
                network, array, layer, values[layer.input], _local(faults, image, network.gemms.index(layer)), bypass
            )
        else:
            inputs = [values[name] for name in layer.inputs]
            values[layer.name] = layer(*inputs) if isinstance(layer, Add) else layer(inputs[0], 0)
    out = values[network.layers[-1].name]
    return out.reshape(1, -1)


def _local(faults: Any, image: int, layer: int) -> Any:
    """The faults of one image and layer, in the time of that layer alone."""
    start = (faults["image"].astype(np.int64) << 16) | faults["layer"]
    end = (faults["end_image"].astype(np.int64) << 16) | faults["end_layer"]
    now = image << 16 | layer
    flip = faults["effect"] == 0
    here = np.where(flip, start == now, (start <= now) & (end >= now))
    local, start, end = faults[here].copy(), start[here], end[here]
    stuck = local["effect"] != 0
    for names, before in ((("tile", "step"), stuck & (start < now)), (("end_tile", "end_step"), stuck & (end > now))):
        for name in names:
            local[name][before] = 0 if name in ("tile", "step") else 0xFFFFFFFF
    return np.asarray(local, FAULT)


def _struck(network: Network, array: Array, layer: Any, x: Any, faults: Any, bypass: Any) -> Any:
    """One array layer of one image."""
    tiling = Tiling.of(layer.gemm(x.shape[1:]), array)
    signed = network.formats[layer.input].signed
    sums = literal.layer(array, tiling, layer.patches(x)[0], layer.matrix(), signed, faults, bypass)
    half = 1 << (array.acc_bits - 1)
    acc = (sums + layer.bias + half) % (2 * half) - half
    return requantise(acc, layer.shift, layer.out, layer.relu).reshape(1, *layer.shape(x.shape[1:]))
