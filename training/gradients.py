"""Gradients of a network of integers: rounding counts as the identity, saturation stops them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool
from hardpoint.network import INPUT, Network
from hardpoint.training.backend import load

__all__ = ["Gradients", "gradients"]

Floats = NDArray[np.float64]
PAD = -float(1 << 40)  # never a maximum


@dataclass(frozen=True, eq=False)
class Gradients:
    """A batch: real values `acts[i]` of the i-th layer asked for (images, *shape), and d target / d value, of that shape.

    `outputs` (images, outputs) are the network's real outputs, `target` (images,) is what was differentiated.
    """

    acts: list[Floats]
    grads: list[Floats]
    outputs: Floats
    target: Floats


def gradients(
    network: Network, x: NDArray[Any], target: Any, batch: int = 50, layers: Sequence[str] | None = None
) -> Iterator[Gradients]:
    """Differentiate `target(tf, outputs)`, a value per image, with respect to layers' outputs, batch by batch.

    `layers` are names of layers; the array layers where none are given.

    Forwards the network is evaluated in float64 on its own codes, so every value is exactly the network's (sums stay
    below 2**53). Backwards, requantisation counts as the identity where it does not saturate and stops the gradient
    where it does, except at the output (the straight-through estimator, Bengio et al. 2013); a maximum passes it to the
    largest of its window.
    """
    tf = load().tf
    unit = {name: 2.0**-fmt.frac for name, fmt in network.formats.items()}
    wanted = list(layers) if layers is not None else [layer.name for layer in network.gemms]
    last = network.layers[-1].name
    for start in range(0, len(x), batch):
        codes = network.check_input(x[start : start + batch])
        with tf.GradientTape() as tape:
            source = tf.constant(codes, tf.float64)
            tape.watch(source)
            values = _forward(tf, network, source)
            outputs = tf.reshape(values[last], (len(codes), -1)) * unit[last]
            if network.output_order is not None:
                outputs = tf.gather(outputs, list(network.output_order), axis=1)
            aim = target(tf, outputs)
        found = tape.gradient(aim, [values[name] for name in wanted], unconnected_gradients="zero")
        yield Gradients(
            [np.asarray(values[name]) * unit[name] for name in wanted],
            [np.asarray(grad) / unit[name] for name, grad in zip(wanted, found, strict=True)],
            np.asarray(outputs),
            np.asarray(aim),
        )


def _forward(tf: Any, network: Network, source: Any) -> dict[str, Any]:
    """Every layer's codes as float64 tensors."""
    values = {INPUT: source}
    for layer in network.layers:
        reads = [values[name] for name in layer.inputs]
        if isinstance(layer, MaxPool):
            values[layer.name] = tf.nn.max_pool2d(
                _padded(tf, reads[0], layer.pad, PAD), layer.size, layer.stride, "VALID"
            )
            continue
        if isinstance(layer, Conv):
            acc = _convolution(tf, layer, _padded(tf, reads[0], layer.pad, 0.0)) + tf.constant(layer.bias, tf.float64)
        elif isinstance(layer, Dense):
            acc = tf.reshape(reads[0], (tf.shape(reads[0])[0], -1)) @ tf.constant(layer.weight, tf.float64)
            acc += tf.constant(layer.bias, tf.float64)
        elif isinstance(layer, AvgPool):
            mean = tf.nn.avg_pool2d(reads[0], layer.size, layer.stride, "VALID")
            acc = _rounded(tf, mean * float(layer.size[0] * layer.size[1]))
        elif isinstance(layer, Add):
            acc = reads[0] * 2.0 ** layer.align[0] + reads[1] * 2.0 ** layer.align[1]
        else:
            acc = reads[0]
        relu = not isinstance(layer, AvgPool) and layer.relu
        low = 0.0 if relu else float(layer.out.min)
        scaled = acc * tf.constant(2.0 ** -np.asarray(layer.shift, np.float64), tf.float64)
        code = tf.clip_by_value(_rounded(tf, scaled), low, float(layer.out.max))
        if layer is network.layers[-1]:  # a saturated output would hide everything before it
            code = scaled + tf.stop_gradient(code - scaled)
        values[layer.name] = code
    return values


def _rounded(tf: Any, x: Any) -> Any:
    return x + tf.stop_gradient(tf.round(x) - x)


def _padded(tf: Any, x: Any, pad: tuple[int, int, int, int], value: float) -> Any:
    top, bottom, left, right = pad
    return tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]], constant_values=value) if any(pad) else x


def _convolution(tf: Any, layer: Conv, x: Any) -> Any:
    weight = tf.constant(layer.weight, tf.float64)
    if not layer.depthwise:
        return tf.nn.conv2d(x, weight, layer.stride, "VALID")
    # TensorFlow's depthwise convolution wants equal strides: take every row and column, then those that count
    whole = tf.nn.depthwise_conv2d(x, weight, (1, 1, 1, 1), "VALID")
    return whole[:, :: layer.stride[0], :: layer.stride[1]]
