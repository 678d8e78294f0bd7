"""A `Network` in TensorFlow that can be trained: the same integers forwards, straight-through gradients backwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool
from hardpoint.network import INPUT, Network
from hardpoint.training.backend import load

__all__ = ["Adam", "Twin"]

EXACT = 1 << 24  # integers up to here are exact in float32


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015) at a constant rate, so that a run can stop anywhere, and how its steps are averaged.

    The weights that count are a running average of the iterates, weighted towards the recent ones by (t + 1)^`tail`
    (polynomial-decay averaging, Shamir and Zhang 2013): it takes the place of a falling rate. `teacher` is the share of
    the targets that are the whole network's own probabilities instead of labels (distillation, Hinton et al. 2015):
    what a chip must learn is the network that it had before.
    """

    rate: float = 1e-3
    batch: int = 64
    tail: float = 8.0
    teacher: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise InputError(f"a learning rate lies between 0 and 1, not {self.rate}")
        if self.batch < 1:
            raise InputError(f"a batch has at least 1 sample, not {self.batch}")
        if self.tail < 0:
            raise InputError(f"the averaging's tail must be 0 or more, not {self.tail}")
        if not 0 <= self.teacher <= 1:
            raise InputError(f"the teacher's share of the targets is 0 to 1, not {self.teacher}")


class Twin:
    """Trainable copy of `network`; `load`, `train`, `outputs` and `network` are all there is to it.

    Its forward pass yields the network's very codes: weights and biases are rounded to their codes, multiplied by the
    masks, accumulated exactly and requantised half to even. Backwards, rounding counts as the identity and saturation
    stops the gradient. One compiled graph serves every fault map: masks are variables.
    """

    def __init__(self, network: Network, adam: Adam = Adam()) -> None:
        self.template, self.adam = network, adam
        self._tf = tf = load().tf
        self._weights, self._biases, self._masks, self._scales = [], [], [], []
        for layer in network.gemms:
            weight = 2.0**-layer.weight_format.frac
            bias = weight * 2.0 ** -network.formats[layer.input].frac
            self._scales.append((weight, bias))
            self._weights.append(tf.Variable(layer.weight * weight, dtype=tf.float32))
            self._biases.append(tf.Variable(layer.bias * bias, dtype=tf.float32))
            self._masks.append(tf.Variable(np.ones(layer.weight.shape), dtype=tf.float32, trainable=False))
        self._trained = [*self._weights, *self._biases]
        self._mean = [tf.Variable(v, trainable=False) for v in self._trained]
        self._first, self._second = (
            [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._trained] for _ in range(2)
        )
        self._step = tf.Variable(0.0, trainable=False)
        self._requantise = _requantiser(tf)
        self._compiled = tf.function(self._train, jit_compile=False, reduce_retracing=True)
        self._forward = tf.function(lambda x: self._logits(x, self._mean), reduce_retracing=True)

    def load(self, masks: Sequence[NDArray[np.bool_]], start: Network | None = None) -> None:
        """Start again from the weights of `start` (the template's, if none), those outside `masks` held at zero.

        `masks` has one array per array layer, true where a weight may be used.
        """
        tf = self._tf
        for i, (layer, mask) in enumerate(zip((start or self.template).gemms, masks, strict=True)):
            weight, bias = self._scales[i]
            self._masks[i].assign(mask.astype(np.float32))
            self._weights[i].assign((layer.weight * mask * weight).astype(np.float32))
            self._biases[i].assign((layer.bias * bias).astype(np.float32))
        for slot in (*self._first, *self._second):
            slot.assign(tf.zeros_like(slot))
        for mean, value in zip(self._mean, self._trained, strict=True):
            mean.assign(value)
        self._step.assign(0.0)

    def targets(self, x: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """What training aims at: (images, classes) probabilities, the template's own and the labels' by `Adam.teacher`.

        Loads the template to find out.
        """
        self.load([np.ones(layer.weight.shape, bool) for layer in self.template.gemms])
        codes = self.outputs(x)
        unit = 2.0 ** -self.template.formats[self.template.layers[-1].name].frac
        scores = (codes - codes.max(axis=1, keepdims=True)) * unit
        own = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        share = self.adam.teacher
        return np.asarray(share * own + (1 - share) * np.eye(codes.shape[1])[labels], np.float32)

    def train(self, x: Any, y: Any, order: NDArray[np.int64]) -> None:
        """Train on samples `order` of the codes `x` and targets `y` (tensors), in batches; the last one may be short."""
        whole = len(order) // self.adam.batch * self.adam.batch
        if whole:
            self._compiled(x, y, self._tf.constant(order[:whole].reshape(-1, self.adam.batch), self._tf.int32))
        if whole < len(order):
            self._compiled(x, y, self._tf.constant(order[whole:].reshape(1, -1), self._tf.int32))

    def outputs(self, x: NDArray[Any], batch: int = 500) -> NDArray[np.int64]:
        """Output codes (images, outputs) of the averaged weights on codes `x`, equal to `network()(x)`."""
        parts = [self._forward(self._tf.constant(x[i : i + batch])).numpy() for i in range(0, len(x), batch)]
        return self.template.ordered(np.concatenate(parts).astype(np.int64))

    def network(self) -> Network:
        """The averaged weights as a network of integers; masked weights are zero codes."""
        layers = {layer.name: layer for layer in self.template.layers}
        mean = self._mean
        for i, layer in enumerate(self.template.gemms):
            weight, bias = self._codes(i, mean)
            layers[layer.name] = dataclasses.replace(
                layer, weight=weight.numpy().astype(np.int64), bias=bias.numpy().astype(np.int64)
            )
        made = dataclasses.replace(self.template, layers=tuple(layers[layer.name] for layer in self.template.layers))
        for layer in made.gemms:
            if made.accumulator_bits(layer) > EXACT.bit_length():
                raise InputError(
                    f"layer {layer.name}: its sums need {made.accumulator_bits(layer)} bits, retraining is exact up to {EXACT.bit_length()}"
                )
        return made

    # the graph --------------------------------------------------------------------------------------------------------

    def _codes(self, i: int, values: Sequence[Any]) -> tuple[Any, Any]:
        """Weight and bias of array layer i as codes; the gradient takes rounding for the identity."""
        tf = self._tf
        fmt = self.template.gemms[i].weight_format
        weight, bias = self._scales[i]
        real = values[i] / weight
        code = real + tf.stop_gradient(tf.clip_by_value(tf.round(real), fmt.min, fmt.max) - real)
        start = values[len(self._weights) + i] / bias
        return code * self._masks[i], start + tf.stop_gradient(tf.round(start) - start)

    def _logits(self, x: Any, values: Sequence[Any]) -> Any:
        """Output codes for input codes."""
        tf, net = self._tf, self.template
        known = {INPUT: tf.cast(x, tf.float32)}
        at = 0
        for layer in net.layers:
            reads = [known[name] for name in layer.inputs]
            if isinstance(layer, (Conv, Dense)):
                weight, bias = self._codes(at, values)
                at += 1
                acc = self._gemm(layer, reads[0], weight) + bias
                shift = 2.0 ** -layer.shift.astype(np.float32)
            elif isinstance(layer, MaxPool):
                known[layer.name] = tf.nn.max_pool2d(
                    self._pad(reads[0], layer.pad, -1e9), layer.size, layer.stride, "VALID"
                )
                continue
            elif isinstance(layer, AvgPool):
                mean = tf.nn.avg_pool2d(reads[0], layer.size, layer.stride, "VALID")
                total = mean * float(layer.size[0] * layer.size[1])
                acc, shift = total + tf.stop_gradient(tf.round(total) - total), 2.0**-layer.shift
            elif isinstance(layer, Add):
                acc = reads[0] * 2.0 ** layer.align[0] + reads[1] * 2.0 ** layer.align[1]
                shift = 2.0**-layer.shift
            else:
                acc, shift = reads[0], 2.0**-layer.shift
            out, relu = net.formats[layer.name], getattr(layer, "relu", False)
            last = layer is net.layers[-1]
            known[layer.name] = self._requantise(
                acc, tf.constant(shift, tf.float32), 0.0 if relu else float(out.min), float(out.max), last
            )
        return tf.reshape(known[net.layers[-1].name], [tf.shape(x)[0], -1])

    def _pad(self, x: Any, pad: tuple[int, int, int, int], value: float = 0.0) -> Any:
        top, bottom, left, right = pad
        edges = [[0, 0], [top, bottom], [left, right], [0, 0]]
        return self._tf.pad(x, edges, constant_values=value) if any(pad) else x

    def _gemm(self, layer: Conv | Dense, x: Any, weight: Any) -> Any:
        tf = self._tf
        if isinstance(layer, Dense):
            return tf.reshape(x, [tf.shape(x)[0], -1]) @ weight
        x = self._pad(x, layer.pad)
        if not layer.depthwise:
            return tf.nn.conv2d(x, weight, layer.stride, "VALID")
        if layer.stride[0] != layer.stride[1]:
            raise InputError(f"layer {layer.name}: depthwise strides must be equal to be trained, not {layer.stride}")
        return tf.nn.depthwise_conv2d(x, weight, [1, *layer.stride, 1], "VALID")

    def _train(self, x: Any, y: Any, order: Any) -> Any:
        """One Adam step per row of `order`."""
        tf, adam = self._tf, self.adam
        unit = 2.0 ** -self.template.formats[self.template.layers[-1].name].frac
        permutation = None if self.template.output_order is None else list(self.template.output_order)
        limits = [layer.weight_format for layer in self.template.gemms]
        for index in order:
            with tf.GradientTape() as tape:
                logits = self._logits(tf.gather(x, index), self._trained) * unit
                logits = logits if permutation is None else tf.gather(logits, permutation, axis=1)
                loss = tf.reduce_mean(
                    tf.nn.softmax_cross_entropy_with_logits(labels=tf.gather(y, index), logits=logits)
                )
            gradients = tape.gradient(loss, self._trained)
            self._step.assign_add(1.0)
            t = self._step
            rate = adam.rate * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            share = (adam.tail + 1) / (t + adam.tail)
            for i, value in enumerate(self._trained):
                g, m, v = gradients[i], self._first[i], self._second[i]
                m.assign(0.9 * m + 0.1 * g)
                v.assign(0.999 * v + 0.001 * g * g)
                new = value - rate * m / (tf.sqrt(v) + 1e-7)
                if i < len(self._weights):
                    step = self._scales[i][0]
                    new = tf.clip_by_value(new, limits[i].min * step, limits[i].max * step) * self._masks[i]
                value.assign(new)
                self._mean[i].assign_add(tf.minimum(share, 1.0) * (new - self._mean[i]))
        return self._step


def _requantiser(tf: Any) -> Any:
    """Shift half to even and saturate; the gradient passes where nothing saturates, and everywhere if `through`."""

    def requantise(acc: Any, shift: Any, low: float, high: float, through: bool) -> Any:
        @tf.custom_gradient
        def inner(acc: Any) -> Any:
            scaled = acc * shift

            def gradient(upstream: Any) -> Any:
                if through:
                    return upstream * shift
                inside = tf.cast((scaled >= low) & (scaled <= high), tf.float32)
                return upstream * shift * inside

            return tf.clip_by_value(tf.round(scaled), low, high), gradient

        return inner(acc)

    return requantise
