"""What flips of accumulator bits would do to the decision, to first order: every column of every neuron, none injected."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import wrap
from hardpoint.layers import Codes, Conv, Dense, MaxPool, requantise
from hardpoint.network import Network
from hardpoint.training.gradients import gradients

__all__ = ["expected_flips", "flipped", "margin"]

SHARPNESS = 4  # chosen on digits: 1 counts many small changes as one large one, infinity trusts the first order too far


def expected_flips(network: Network, x: NDArray[Any], bits: int = 24, batch: int = 50) -> list[NDArray[np.float64]]:
    """Per array layer, the expected number of columns of a neuron whose flip turns the decision, of its output's shape.

    A flip moves the neuron's code exactly by `flipped`; where only a maximum reads it, what counts is how far that moves.
    The change times the gradient of the margin between the two largest outputs is the share of the margin that the flip
    takes, cut to 0 to 1 and raised to SHARPNESS. Means over images `x`.
    """
    if network.criterion.kind != "top1":
        raise InputError(
            f"what flips do to a decision needs a network with criterion top1, not {network.criterion.kind}"
        )
    pools = [_only_pool(network, layer.name) for layer in network.gemms]
    read = [layer.name if pool is None else pool.name for layer, pool in zip(network.gemms, pools, strict=True)]
    totals = [np.zeros(network.shapes[layer.name]) for layer in network.gemms]
    step = 2.0 ** -network.formats[network.layers[-1].name].frac
    for start, found in zip(range(0, len(x), batch), gradients(network, x, margin, batch, read), strict=True):
        trace = network.trace(x[start : start + batch])
        taken = np.maximum(found.target, step / 2)  # a tie breaks at half a step
        for total, layer, pool, gradient in zip(totals, network.gemms, pools, found.grads, strict=True):
            code = trace[layer.name]
            slope = -gradient * 2.0**-layer.out.frac / taken.reshape(-1, *[1] * (gradient.ndim - 1))
            if pool is not None:
                slope = _over_window(slope, pool, code.shape)
                now, others = _largest(code, pool)
            for column in range(bits):
                new = flipped(network, layer, trace, column, bits)
                change = new - code if pool is None else np.maximum(new, others) - now
                total += (np.clip(change * slope, 0, 1) ** SHARPNESS).sum(axis=0)
    return [total / len(x) for total in totals]


def margin(tf: Any, outputs: Any) -> Any:
    """The largest output's lead over the second, per image."""
    best = tf.math.top_k(outputs, 2).values
    return best[:, 0] - best[:, 1]


def flipped(network: Network, layer: Conv | Dense, trace: dict[str, Codes], column: int, bits: int) -> Codes:
    """Output codes of `layer` with bit `column` flipped in every finished accumulator of `bits`, before the bias is added."""
    acc = layer.accumulate(trace[layer.input], network.formats[layer.input].magnitude) - layer.bias
    struck = wrap(acc + np.where((acc >> column) & 1, -1, 1) * (1 << column) + layer.bias, bits)
    return requantise(struck, layer.shift, layer.out, layer.relu)


def _only_pool(network: Network, name: str) -> MaxPool | None:
    """The maximum over windows apart from each other that is the one reader of layer `name`, if there is such."""
    readers = [layer for layer in network.layers if name in layer.inputs]
    if len(readers) != 1 or not isinstance(readers[0], MaxPool):
        return None
    pool = readers[0]
    return pool if pool.size == pool.stride and not any(pool.pad) else None


def _over_window(values: NDArray[Any], pool: MaxPool, shape: tuple[int, ...], rest: Any = 0.0) -> NDArray[Any]:
    """`values` per window, repeated for every element of the window; `rest` for elements that no window holds."""
    whole = np.repeat(np.repeat(values, pool.size[0], axis=1), pool.size[1], axis=2)
    edges = ((0, 0), (0, shape[1] - whole.shape[1]), (0, shape[2] - whole.shape[2]), (0, 0))
    return np.pad(whole, edges, constant_values=rest)


def _largest(code: Codes, pool: MaxPool) -> tuple[Codes, Codes]:
    """For every element its window's maximum, and the maximum of the window's other elements."""
    (kh, kw), (n, h, w, c) = pool.size, code.shape
    kept = code[:, : h // kh * kh, : w // kw * kw]
    windows = (
        kept.reshape(n, h // kh, kh, w // kw, kw, c).transpose(0, 1, 3, 5, 2, 4).reshape(n, h // kh, w // kw, c, -1)
    )
    ranked = np.sort(windows, axis=-1)
    second = ranked[..., -2] if kh * kw > 1 else np.full_like(ranked[..., -1], -(1 << 40))
    first, second = (_over_window(v, pool, code.shape, 0) for v in (ranked[..., -1], second))
    return first, np.where(code == first, second, first)
