"""Neurons and channels by vulnerability, and the channel order that brings important ones into hardened columns."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.files import digest, load_npz, only_keys, save_npz
from hardpoint.network import INPUT, Network

__all__ = ["Ranking", "channel_sums", "hardened_order"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Vulnerability scores of every neuron of every array layer: `neurons[l]` has the shape of layer l's output.

    Higher is more vulnerable; scores of different layers are comparable. `method` says how they were found (`gradient`,
    `activation`, `weight`, `taylor`, `injection`, `random`, ...), `network` is the digest of the network meant, and
    `provenance` holds data set, sample size and seed. `bits[l]`, of shape (columns, 2), says for every column of layer
    l's accumulator how often a flip changes the output code, and by how many codes on average; it may be left out.
    """

    neurons: tuple[NDArray[np.float64], ...]
    method: str
    network: str
    provenance: dict[str, Any] = field(default_factory=dict)
    bits: tuple[NDArray[np.float64], ...] = ()

    def __post_init__(self) -> None:
        for key, what in (("neurons", "scores"), ("bits", "bits")):
            frozen = tuple(np.array(scores, np.float64) for scores in getattr(self, key))
            for i, array in enumerate(frozen):
                if not array.size or not np.isfinite(array).all():
                    raise InputError(f"ranking: the {what} of layer {i} must be finite numbers, at least one")
                array.setflags(write=False)
            object.__setattr__(self, key, frozen)
        if self.bits and len(self.bits) != len(self.neurons):
            raise InputError(f"ranking: bits of {len(self.bits)} layers, neurons of {len(self.neurons)}")
        for i, table in enumerate(self.bits):
            if table.ndim != 2 or table.shape[1] != 2:
                raise InputError(f"ranking: the bits of layer {i} must be (columns, 2), not {table.shape}")

    def channels(self, layer: int) -> NDArray[np.float64]:
        """Score of every output channel of array layer `layer`: the sum over its neurons."""
        return channel_sums(self.neurons[layer])

    def important(self, share: float, policy: str = "layer") -> tuple[NDArray[np.bool_], ...]:
        """The most vulnerable `share` of all neurons (`global`) or of each layer's neurons (`layer`), per layer.

        >>> r = Ranking((np.array([3.0, 1.0]), np.array([9.0, 8.0])), "given", "-")
        >>> [mask.tolist() for mask in r.important(0.5, "global")], [mask.tolist() for mask in r.important(0.5)]
        ([[False, False], [True, True]], [[True, False], [True, False]])
        """
        if not 0 <= share <= 1:
            raise InputError(f"the share of important neurons must be 0 to 1, not {share}")
        if policy not in ("layer", "global"):
            raise InputError(f"a ranking policy is layer or global, not {policy!r}")
        flat = (
            [np.concatenate([s.ravel() for s in self.neurons])]
            if policy == "global"
            else [s.ravel() for s in self.neurons]
        )
        chosen = []
        for scores in flat:
            mask = np.zeros(scores.size, bool)
            mask[np.argsort(-scores, kind="stable")[: round(share * scores.size)]] = True
            chosen.append(mask)
        if policy == "global":
            chosen = np.split(chosen[0], np.cumsum([s.size for s in self.neurons])[:-1])
        return tuple(mask.reshape(scores.shape) for mask, scores in zip(chosen, self.neurons, strict=True))

    def check(self, network: Network) -> None:
        """InputError where the ranking is another network's."""
        meant = network.with_important(() for _ in network.gemms).digest
        if meant != self.network:
            raise InputError(f"the ranking was made for network {self.network}, not for {meant}")

    def orders(self, network: Network, array: Array) -> list[list[int]]:
        """Per array layer of `network` the channel for every position, so that the most vulnerable ones meet the columns of
        `array` that are guarded most.

        A depthwise layer has the order of the layer whose channels reach it, for which both count. Neurons that a recompute
        unit computes again do not count. Layers whose channels feed an addition keep their order.
        """
        totals: dict[str, NDArray[np.float64]] = {}
        origins = [network.channels_of(layer.name) for layer in network.gemms]
        for origin, scores, important in zip(origins, self.neurons, network.important, strict=True):
            totals[origin] = totals.get(origin, 0) + channel_sums(scores, important)
        guards = array.column_map.mean(axis=0)
        moved = {
            origin: hardened_order(channels, guards)
            for origin, channels in totals.items()
            if origin != INPUT and network.addition(origin) is None
        }
        return [moved.get(origin, list(range(len(totals[origin])))) for origin in origins]

    def permute(self, network: Network, array: Array) -> Network:
        """`network` with its channels in the `orders` that bring vulnerable ones into well guarded columns."""
        self.check(network)
        for layer, order in zip(network.gemms, self.orders(network, array), strict=True):
            if order != sorted(order) and network.channels_of(layer.name) == layer.name:
                network = network.permuted(layer.name, order)
        return network

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ranking to a `.npz` without pickles."""
        header = {
            "format": "hardpoint ranking 1",
            "method": self.method,
            "network": self.network,
            "provenance": self.provenance,
        }
        layers = {f"layer{i}": scores for i, scores in enumerate(self.neurons)}
        save_npz(path, header, layers | {f"bits{i}": table for i, table in enumerate(self.bits)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ranking:
        """Read a ranking; anything else than what `save` writes is an InputError."""
        header, arrays = load_npz(path, "ranking")
        fields = {item.name for item in dataclasses.fields(cls)} - {"neurons", "bits"} | {"format"}
        if only_keys(header, fields, "ranking").pop("format", None) != "hardpoint ranking 1":
            raise InputError(f"{path} is no ranking of format 1")
        try:
            bits = tuple(arrays.pop(f"bits{i}") for i in range(sum(name.startswith("bits") for name in arrays)))
            return cls(tuple(arrays[f"layer{i}"] for i in range(len(arrays))), **header, bits=bits)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is no ranking: {error}") from None

    @property
    def digest(self) -> str:
        """Names the ranking by content."""
        return digest(self.method, self.network, *self.neurons, *self.bits)


def channel_sums(scores: NDArray[np.float64], without: Sequence[int] = ()) -> NDArray[np.float64]:
    """Sum of the scores of every channel's neurons, of the shape of a layer's output, but for neurons `without`.

    >>> channel_sums(np.array([[1.0, 2.0], [3.0, 4.0]]), [2]).tolist()
    [1.0, 6.0]
    """
    left = scores.reshape(-1).copy()
    left[list(without)] = 0
    return np.asarray(left.reshape(-1, scores.shape[-1]).sum(axis=0))


def hardened_order(scores: NDArray[np.float64], guards: NDArray[Any]) -> list[int]:
    """Channel for every position n so that higher scores lie where n mod columns is a column of a lower guard column.

    `guards` holds the guard column of every array column. Among columns that are guarded alike channels keep their order, so
    that nothing moves without need.

    >>> hardened_order(np.array([1.0, 5.0, 2.0, 4.0, 3.0]), np.array([14, 24, 24, 24]))
    [1, 0, 2, 4, 3]
    >>> hardened_order(np.array([1.0, 5.0, 2.0, 4.0, 3.0]), np.array([16, 14, 18, 18]))
    [3, 1, 0, 2, 4]
    """
    guard = np.asarray(guards)[np.arange(len(scores)) % len(guards)]
    best = np.argsort(-scores, kind="stable")
    order = np.empty(len(scores), int)
    for value in np.unique(guard):
        here = guard == value
        order[here], best = np.sort(best[: here.sum()]), best[here.sum() :]
    return [int(channel) for channel in order]
