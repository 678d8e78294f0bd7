"""What tests of compiled accelerators share: small random networks, and whole networks computed literally."""

from __future__ import annotations

from typing import Any

import literal
import numpy as np
from literal_network import run as run_literally

from hardpoint.array import Array
from hardpoint.faults import FaultList, live
from hardpoint.fixed import Fixed
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool, Rescale
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
    """Outputs of `network` computed literally while `faults` strike."""
    return run_literally(network, array, x, faults.faults, bypass)[0]


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
