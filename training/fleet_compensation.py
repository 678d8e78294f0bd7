"""What a faulty PE's weights did, taken over by the weights that are left: layer by layer, by least squares. No TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, masks
from hardpoint.layers import Conv, Dense, Layer
from hardpoint.network import INPUT, Network

__all__ = ["Compensation"]

RIDGE = 1e-3  # of an input's mean square, added to it: inputs that never occur keep their weights
BATCH = 500
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Compensation:
    """Second moments of each array layer's inputs in the whole network: all that compensating any chip takes.

    `moments[l]` is (C, K + 1, K + 1), the mean of x x^T over samples and output pixels, x being the K inputs of a sum
    and a one for its bias; C is the number of channels of a depthwise layer, else 1. They are found once for a fleet.
    """

    network: Network
    moments: tuple[Numbers, ...]

    @classmethod
    def of(cls, network: Network, x: NDArray[np.int64]) -> Compensation:
        """From the codes `x` of some samples, without labels."""
        if not len(x):
            raise InputError("compensation needs at least 1 sample, not 0")
        totals: list[Numbers] = []
        for at in range(0, len(x), BATCH):
            part = np.asarray(x[at : at + BATCH], np.int64)
            known = {INPUT: part, **network.trace(part)}
            found = [_moments(layer, known[layer.input]) for layer in network.gemms]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
        return cls(network, tuple(total / len(x) for total in totals))

    def start(self, chip: FaultMap) -> Network:
        """The network that stays closest to the whole one on `chip`: weights in bypassed PEs are zero, the others make up for them.

        Of all weights and biases within the mask, a channel's are those whose sum differs least in the mean square from
        the whole channel's (Hassibi and Stork 1993; layer by layer: Dong et al. 2017), then rounded to codes.
        """
        layers: dict[str, Layer] = {layer.name: layer for layer in self.network.layers}
        for layer, keep, moments in zip(self.network.gemms, masks(self.network, chip), self.moments, strict=True):
            layers[layer.name] = _compensated(layer, keep, moments)
        return dataclasses.replace(self.network, layers=tuple(layers[layer.name] for layer in self.network.layers))


def _moments(layer: Conv | Dense, x: NDArray[np.int64]) -> Numbers:
    """Sum over samples of the mean over output pixels of x x^T: (C, K + 1, K + 1)."""
    patches = layer.patches(x).astype(np.float64)
    if isinstance(layer, Conv) and layer.depthwise:
        patches = np.moveaxis(patches, 3, 0)
    pixels = patches.shape[-2]
    flat = patches.reshape(-1, len(x) * pixels, patches.shape[-1])
    ones = np.concatenate([flat, np.ones((*flat.shape[:2], 1))], axis=2)
    return np.asarray(ones.transpose(0, 2, 1) @ ones) / pixels


def _compensated(layer: Conv | Dense, keep: NDArray[np.bool_], moments: Numbers) -> Conv | Dense:
    """`layer` without the weights outside `keep`, the rest solved for anew."""
    whole = np.vstack([layer.matrix(), np.broadcast_to(layer.bias, layer.channels)]).astype(np.float64)
    kept = np.vstack([keep.reshape(len(whole) - 1, -1), np.ones((1, layer.channels), bool)])
    solved = whole * kept
    # channels with the same inputs and the same mask share a factorisation
    alike: dict[tuple[int, bytes], list[int]] = {}
    for n in range(layer.channels):
        alike.setdefault((n if len(moments) > 1 else 0, kept[:, n].tobytes()), []).append(n)
    for (c, _), channels in alike.items():
        stay = kept[:, channels[0]]
        if stay.all():
            continue
        own = moments[c].copy()
        inputs = np.arange(len(own) - 1)
        own[inputs, inputs] += RIDGE * max(float(own[inputs, inputs].mean()), 1.0)
        owed = own[np.ix_(stay, ~stay)] @ whole[np.ix_(~stay, channels)]
        solved[np.ix_(stay, channels)] += np.linalg.solve(own[np.ix_(stay, stay)], owed)
    fmt = layer.weight_format
    weight = np.clip(np.rint(solved[:-1]), fmt.min, fmt.max).astype(np.int64).reshape(layer.weight.shape)
    return dataclasses.replace(layer, weight=weight, bias=np.rint(solved[-1]).astype(np.int64))
