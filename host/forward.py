"""Clean inference at full speed: integers in floats, only while every sum is provably exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.host.program import Program
from hardpoint.layers import Conv, Dense
from hardpoint.network import Network

__all__ = ["golden_states"]


def golden_states(network: Network, program: Program, x: NDArray[np.int64]) -> NDArray[np.int32]:
    """The state of every image of `x`: all codes and all sums without bias, (images, words)."""
    states = np.empty((len(x), program.words), np.int32)
    values = network.trace(x)
    for (start, size), codes in zip(program.tensors, values.values(), strict=True):
        states[:, start : start + size] = codes.reshape(len(x), -1)
    start = int(program.tensors[-1].sum())
    for layer in network.layers:
        if isinstance(layer, (Conv, Dense)):
            sums = layer.accumulate(values[layer.input], network.formats[layer.input].magnitude) - layer.bias
            size = sums[0].size
            states[:, start : start + size] = sums.reshape(len(x), -1)
            start += size
    return states
