"""Which neurons matter: scores from gradients, activations and weights, without injecting a single fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import wrap
from hardpoint.layers import requantise
from hardpoint.network import Network
from hardpoint.ranking import Ranking
from hardpoint.training.backend import load
from hardpoint.training.injection import inject

__all__ = ["DEFAULT", "MEASURED", "METHODS", "bit_effects", "rank"]

METHODS = ("gradient", "margin", "taylor", "second-order", "activation", "weight", "random", "injection")
MEASURED = ("injection",)
"""Methods that inject faults; the others need none."""
DEFAULT = "second-order"
Neurons = list[NDArray[np.float64]]


def rank(
    method: str,
    network: Network,
    x: NDArray[Any],
    *,
    model: Any = None,
    keras_layers: Mapping[str, str] | None = None,
    seed: int = 0,
    data: str = "",
    trials: int = 100_000,
    exposure: bool = True,
    bits: int = 24,
) -> Ranking:
    """Score every neuron of every array layer by `method`, on input codes `x`.

    With E over images, a the neuron's output, R the range of its format and L the cross entropy of the outputs against
    the network's own decision: `gradient` R E|dL/da|; `taylor` E|a dL/da|; `second-order` R^2 E(dL/da)^2 (the diagonal
    of the empirical Fisher matrix); `margin` E min(1, R |d(z1 - z2)/da| / (z1 - z2)) for the largest two outputs z1, z2;
    `activation` E|a|; `weight` the sum of |w| over the products; `random`; `injection` the critical share of `trials`
    accumulator flips. All but `random` and `injection` are multiplied by the neuron's MACs, its exposure, unless
    `exposure` is off (injection draws by it). Gradients need the QKeras `model` that the network was converted from and
    `keras_layers`, which Keras layer yields each array layer's output.
    """
    if method not in METHODS:
        raise InputError(f"no ranking method {method!r}; methods are {', '.join(METHODS)}")
    if len(x) < 1:
        raise InputError("a ranking needs images, at least one")
    shapes = [network.shapes[layer.name] for layer in network.gemms]
    if method == "random":
        rng = np.random.default_rng([seed, 0x4A4D])
        scores: Neurons = [rng.random(shape) for shape in shapes]
    elif method == "injection":
        scores = list(inject(network, x, trials, seed, bits).vulnerability(network))
    elif method == "weight":
        scores = [
            np.broadcast_to(np.abs(layer.matrix()).sum(axis=0), shape).astype(np.float64)
            for layer, shape in zip(network.gemms, shapes, strict=True)
        ]
    elif method == "activation":
        scores = _activations(network, x)
    else:
        if model is None or keras_layers is None:
            raise InputError(f"ranking by {method} needs the QKeras model, for its gradients")
        scores = _gradients(method, network, x, model, keras_layers)
    if exposure and method not in ("random", "injection"):
        scores = [score * network.gemm(i).k for i, score in enumerate(scores)]
    provenance = {"data": data, "images": len(x), "seed": seed, "exposure": exposure and method != "random"}
    return Ranking(tuple(scores), method, network.digest, provenance)


def _activations(network: Network, x: NDArray[Any], batch: int = 256) -> Neurons:
    totals: Neurons = [np.zeros(network.shapes[layer.name]) for layer in network.gemms]
    for start in range(0, len(x), batch):
        trace = network.trace(x[start : start + batch])
        for total, layer in zip(totals, network.gemms, strict=True):
            total += np.abs(layer.out.value(trace[layer.name])).sum(axis=0)
    return [total / len(x) for total in totals]


def _gradients(
    method: str, network: Network, x: NDArray[Any], model: Any, names: Mapping[str, str], batch: int = 128
) -> Neurons:
    backend = load()
    tf = backend.tf
    tails = []
    for layer in network.gemms:
        if not names.get(layer.name):
            raise InputError(f"layer {layer.name}: the model has no tensor of its output, so no gradient")
        tails.append(model.get_layer(names[layer.name]).output)
    probe = backend.keras.Model(model.input, [*tails, model.output])
    reach = [float(layer.out.magnitude) * 2.0**-layer.out.frac for layer in network.gemms]
    totals: Neurons = [np.zeros(network.shapes[layer.name]) for layer in network.gemms]
    for start in range(0, len(x), batch):
        codes = np.asarray(x[start : start + batch])
        values = network.input_format.value(codes).astype(np.float32).reshape(-1, *model.input.shape[1:])
        with tf.GradientTape() as tape:
            *acts, logits = probe(values, training=False)
            logits = tf.reshape(logits, (len(codes), -1))
            if method == "margin":
                best = tf.math.top_k(logits, 2).values
                target = best[:, 0] - best[:, 1]
            else:
                decided = tf.argmax(logits, axis=1)
                target = tf.nn.sparse_softmax_cross_entropy_with_logits(decided, logits)
        grads = tape.gradient(target, acts, unconnected_gradients="zero")
        step = 2.0 ** -network.formats[network.layers[-1].name].frac
        margin = np.maximum(np.asarray(target), step / 2) if method == "margin" else None
        for total, act, grad, r in zip(totals, acts, grads, reach, strict=True):
            g = np.abs(np.asarray(grad, np.float64))
            if margin is not None:
                score = np.minimum(1.0, r * g / margin.reshape(-1, *[1] * (g.ndim - 1)))
            elif method == "taylor":
                score = np.abs(np.asarray(act)) * g
            elif method == "second-order":
                score = (r * g) ** 2
            else:
                score = r * g
            total += score.sum(axis=0).reshape(total.shape)
    return [total / len(x) for total in totals]


def bit_effects(network: Network, x: NDArray[Any], bits: int = 24) -> list[NDArray[np.float64]]:
    """What a flip at each column of a finished accumulator does to the output, exactly, per array layer.

    Of shape (bits, 2): the share of (image, neuron) whose output code changes, and the mean size of the change in codes.
    Columns far enough below the shift change almost nothing: that is what the quantisation constraint buys.
    """
    effects = []
    trace = network.trace(x)
    for layer in network.gemms:
        acc = (
            layer.accumulate(trace[layer.input], network.formats[layer.input].magnitude) - layer.bias
        )  # which is added behind the array
        if network.accumulator_bits(layer) > bits:
            raise InputError(
                f"layer {layer.name}: its sums need {network.accumulator_bits(layer)} bits, the accumulator has {bits}"
            )
        table = np.zeros((bits, 2))
        for column in range(bits):
            flipped = wrap(acc + np.where((acc >> column) & 1, -1, 1) * (1 << column) + layer.bias, bits)
            change = np.abs(requantise(flipped, layer.shift, layer.out, layer.relu) - trace[layer.name])
            table[column] = (change != 0).mean(), change.mean()
        effects.append(table)
    return effects
