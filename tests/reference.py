"""A whole network with every GEMM on the literal array: what engines must equal, and whether a vote disagreed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import literal
import numpy as np

from hardpoint.array import Array
from hardpoint.faults import FAULT, PERMANENT
from hardpoint.fixed import Fixed, wrap
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool, Rescale, requantise
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.pe import Pe, ReducedPe


def local(faults: np.ndarray, image: int, layer: int) -> np.ndarray:
    """Faults that act in one layer of one image, their times made relative to it."""
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


def reference(network: Network, array: Array, x: np.ndarray, faults: np.ndarray, bypass: Any = None) -> np.ndarray:
    """Outputs of `network` on `array` while `faults` strike."""
    outputs = []
    for image in range(len(x)):
        values = {"input": x[image : image + 1].astype(np.int64)}
        for layer in network.layers:
            inputs = [values[name] for name in layer.inputs]
            if not isinstance(layer, (Conv, Dense)):
                extra = () if isinstance(layer, Add) else (network.formats[layer.input].magnitude,)
                values[layer.name] = layer(*inputs, *extra)
                continue
            index = network.gemms.index(layer)
            tiling, signed = Tiling.of(network.gemm(index), array), network.formats[layer.input].signed
            struck, patches = local(faults, image, index), layer.patches(inputs[0])[0]
            sums = literal.layer(array, tiling, patches, layer.matrix(), signed, struck, bypass)
            acc = wrap(sums + layer.bias, array.acc_bits)
            values[layer.name] = requantise(acc.reshape(1, *network.shapes[layer.name]), layer.shift, layer.out, layer.relu)
        outputs.append(values[network.layers[-1].name].reshape(-1))
    return network.ordered(np.array(outputs))


def small_network(rng: np.random.Generator, depthwise: bool = False) -> Network:
    """Every kind of layer, stride, padding and sign, on a 6x5 image."""
    u6, s7, w5 = Fixed(6, 3, False), Fixed(7, 3, True), Fixed(5, 4, True)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-16, 16, shape)

    def bias(n: int) -> np.ndarray:
        return rng.integers(-300, 300, n)

    shape = (3, 2, 3, 1) if depthwise else (1, 1, 3, 3)
    pad = (1, 1, 0, 1) if depthwise else (0, 0, 0, 0)
    layers = (
        Conv("a", "input", weight(3, 2, 2, 3), bias(3), rng.integers(0, 5, 3), u6, w5, (1, 1), (1, 1, 0, 1), True),
        MaxPool("b", "a", (2, 2), (1, 2), (0, 1, 1, 0)),
        Conv("c", "b", weight(*shape), bias(3), 3, s7, w5, (1, 1), pad, False, depthwise),
        Rescale("d", "b", 1, s7),
        Add("e", ("c", "d"), (1, 0), 1, s7),
        AvgPool("f", "e", (2, 2), (2, 1), 2, s7),
        Dense("g", "f", weight(3 * 2 * 3, 4), bias(4), 2, Fixed(8, 3, True), w5),
    )
    network = Network((6, 5, 2), Fixed(5, 2, True), layers)
    return network.permuted("g", [2, 0, 3, 1])


@contextmanager
def watched() -> Iterator[list[bool]]:
    """A list that grows by True whenever copies differ where the literal array votes on them.

    Votes on what leaves the drain registers are seen where all PEs of a column have the same guard.
    """
    seen: list[bool] = []

    class WatchedPe(Pe):
        def votes(self, *arguments: Any) -> Any:
            seen.append(len(set(self.hi)) > 1)
            return super().votes(*arguments)

        def accumulate(self, word: Any, *arguments: Any) -> None:
            seen.append(word is not None and len(set(word.hi)) > 1)
            super().accumulate(word, *arguments)

        def sum(self) -> int:
            seen.append(len(set(self.hi)) > 1)
            return super().sum()

    class WatchedReducedPe(ReducedPe):
        def votes(self, *arguments: Any) -> Any:
            seen.append(self.disagrees())
            return super().votes(*arguments)

    def shifted(sent: list[int], b_sender: int, b: int) -> list[int]:
        seen.append(b_sender < b and len({lane >> b_sender for lane in sent}) > 1)
        return was[2](sent, b_sender, b)

    was = literal.Pe, literal.ReducedPe, literal.shifted
    literal.Pe, literal.ReducedPe, literal.shifted = WatchedPe, WatchedReducedPe, shifted  # type: ignore[misc, assignment]
    try:
        yield seen
    finally:
        literal.Pe, literal.ReducedPe, literal.shifted = was  # type: ignore[misc]
