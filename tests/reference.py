"""What engines must make of a network: its outputs on the literal array, whether ECC gave up, whether a vote disagreed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import literal
import literal_network
import numpy as np

from hardpoint.array import Array
from hardpoint.fixed import Fixed
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool, Rescale
from hardpoint.network import Network
from hardpoint.pe import Pe, ReducedPe, majority


class Seen(NamedTuple):
    """Per image: outputs, whether ECC gave up, whether a vote disagreed (see `watched`)."""

    outputs: Any
    due: list[bool]
    voted: list[bool]


def reference(network: Network, array: Array, x: Any, faults: Any, bypass: Any = None) -> Seen:
    """`network` on `array` while `faults` strike, image by image."""
    outputs, due, voted = [], [], []
    for image in range(len(x)):
        with watched() as seen:
            out, failed = literal_network._image(network, array, x[image : image + 1], faults, image, bypass)
        outputs.append(out[0])
        due.append(failed)
        voted.append(any(seen))
    return Seen(network.ordered(np.array(outputs)), due, voted)


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

    def lanes(sent: list[int], receiver: int) -> list[int]:
        return sent if len(sent) == receiver else [majority(*sent)] if len(sent) == 3 else sent * receiver

    def shifted(sent: list[int], b_sender: int, b: int) -> list[int]:
        seen.append(b_sender < b and len({lane >> b_sender for lane in sent}) > 1)
        literal.majority = majority
        found = was[2](sent, b_sender, b)
        literal.majority = result
        return found

    def result(a: int, b: int, c: int) -> int:
        seen.append(len({a, b, c}) > 1)
        return majority(a, b, c)

    names = ("Pe", "ReducedPe", "shifted", "received", "majority")
    was = tuple(getattr(literal, name) for name in names)
    for name, value in zip(names, (WatchedPe, WatchedReducedPe, shifted, lanes, result), strict=True):
        setattr(literal, name, value)
    try:
        yield seen
    finally:
        for name, value in zip(names, was, strict=True):
            setattr(literal, name, value)
