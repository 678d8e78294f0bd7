"""Which neurons matter: scores from gradients, activations and weights, without injecting a single fault."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.network import Network
from hardpoint.ranking import Ranking
from hardpoint.training.flips import expected_flips, flipped, margin
from hardpoint.training.gradients import gradients
from hardpoint.training.injection import inject

__all__ = ["MEASURED", "METHODS", "bit_effects", "default", "rank"]

METHODS = ("flips", "gradient", "margin", "taylor", "second-order", "activation", "weight", "random", "injection")
MEASURED = ("injection",)
"""Methods that inject faults; the others need none."""
BIT_IMAGES = 100  # bits differ by layer, hardly by image
Neurons = list[NDArray[np.float64]]


def default(network: Network) -> str:
    """The method that covers most without injection (docs/results.md); `flips` needs a decision between classes.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 2, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(40).reshape(20, 2)
    >>> default(net)
    'flips'
    """
    return "flips" if network.criterion.kind == "top1" else "gradient"


def rank(
    method: str,
    network: Network,
    x: NDArray[Any],
    *,
    seed: int = 0,
    data: str = "",
    trials: int = 100_000,
    exposure: bool = True,
    bits: int = 24,
) -> Ranking:
    """Score every neuron of every array layer by `method` on input codes `x`, and every column of an accumulator of `bits`.

    With E over images, a the neuron's output, R the range of its format and L the cross entropy of the outputs against
    the network's own decision (where the criterion is not top-1: the outputs' squared distance from themselves moved by
    one step): `flips` the expected number of accumulator columns whose flip turns the decision, to first order
    (`training.flips`); `gradient` R E|dL/da|; `taylor` E|a dL/da|; `second-order` R^2 E(dL/da)^2 (the diagonal of the empirical
    Fisher matrix); `margin` E min(1, R |d(z1 - z2)/da| / (z1 - z2)) for the largest two outputs z1, z2; `activation`
    E|a|; `weight` the sum of |w| over the products; `random`; `injection` the critical share of `trials` accumulator
    flips. All but `random` and `injection` are multiplied by the neuron's MACs, its exposure, unless `exposure` is off
    (injection draws by it).

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> net = Network((2,), Fixed.parse("u4.0"), (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s4.0")),))
    >>> rank("weight", net, np.array([[3, 4]])).neurons[0].tolist()
    [6.0, 4.0]
    """
    if method not in METHODS:
        raise InputError(f"no ranking method {method!r}; methods are {', '.join(METHODS)}")
    if len(x) < 1:
        raise InputError("a ranking needs images, at least one")
    if method in ("flips", "margin") and network.criterion.kind != "top1":
        raise InputError(f"ranking by {method} needs a network with criterion top1, not {network.criterion.kind}")
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
    elif method == "flips":
        scores = expected_flips(network, x, bits)
    elif method == "activation":
        scores = _activations(network, x)
    else:
        scores = _gradients(method, network, x)
    if exposure and method not in ("random", "injection"):
        scores = [score * network.gemm(i).k for i, score in enumerate(scores)]
    provenance = {"data": data, "images": len(x), "seed": seed, "exposure": exposure and method != "random"}
    return Ranking(tuple(scores), method, network.digest, provenance, tuple(bit_effects(network, x[:BIT_IMAGES], bits)))


def _activations(network: Network, x: NDArray[Any], batch: int = 256) -> Neurons:
    totals: Neurons = [np.zeros(network.shapes[layer.name]) for layer in network.gemms]
    for start in range(0, len(x), batch):
        trace = network.trace(x[start : start + batch])
        for total, layer in zip(totals, network.gemms, strict=True):
            total += np.abs(layer.out.value(trace[layer.name])).sum(axis=0)
    return [total / len(x) for total in totals]


def _gradients(method: str, network: Network, x: NDArray[Any]) -> Neurons:
    reach = [float(layer.out.magnitude) * 2.0**-layer.out.frac for layer in network.gemms]
    totals: Neurons = [np.zeros(network.shapes[layer.name]) for layer in network.gemms]
    step = 2.0 ** -network.formats[network.layers[-1].name].frac
    for found in gradients(network, x, margin if method == "margin" else _loss(network, step)):
        for total, act, grad, r in zip(totals, found.acts, found.grads, reach, strict=True):
            size = np.abs(grad)
            if method == "margin":  # a tie breaks at half a step
                lead = np.maximum(found.target, step / 2).reshape(-1, *[1] * (grad.ndim - 1))
                score = np.minimum(1.0, r * size / lead)
            elif method == "taylor":
                score = np.abs(act) * size
            elif method == "second-order":
                score = (r * size) ** 2
            else:
                score = r * size
            total += score.sum(axis=0)
    return [total / len(x) for total in totals]


def _loss(network: Network, step: float) -> Any:
    """Cross entropy against the network's own class; for scores, which have none, their distance from one step away."""

    def cross_entropy(tf: Any, outputs: Any) -> Any:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.argmax(outputs, axis=1), outputs)

    def distance(tf: Any, outputs: Any) -> Any:
        return tf.reduce_sum((outputs - tf.stop_gradient(outputs) + step) ** 2, axis=1) / (2 * step)

    return cross_entropy if network.criterion.kind == "top1" else distance


def bit_effects(network: Network, x: NDArray[Any], bits: int = 24) -> list[NDArray[np.float64]]:
    """What a flip at each column of a finished accumulator does to the output, exactly, per array layer.

    Of shape (bits, 2): the share of (image, neuron) whose output code changes, and the mean size of the change in codes.
    Columns far enough below the shift change almost nothing: that is what the quantisation constraint buys.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 2, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(40).reshape(20, 2)
    >>> table = bit_effects(net, x)[0]  # the requantiser drops two bits
    >>> bool(table[0, 0] < 0.5), table[4].tolist()
    (True, [1.0, 4.0])
    """
    effects = []
    trace = network.trace(x)
    for layer in network.gemms:
        if network.accumulator_bits(layer) > bits:
            raise InputError(
                f"layer {layer.name}: its sums need {network.accumulator_bits(layer)} bits, the accumulator has {bits}"
            )
        table = np.zeros((bits, 2))
        for column in range(bits):
            change = np.abs(flipped(network, layer, trace, column, bits) - trace[layer.name])
            table[column] = (change != 0).mean(), change.mean()
        effects.append(table)
    return effects
