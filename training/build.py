"""From an architecture to Keras models: in floats, and quantised with QKeras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.training.architecture import (
    INPUT,
    AddBlock,
    Architecture,
    AverageBlock,
    BlockFormat,
    ConvBlock,
    DenseBlock,
    PoolBlock,
    Widths,
)  # fmt: skip
from hardpoint.training.backend import load
from hardpoint.training.robust import strikes

__all__ = ["best_fraction", "block_outputs", "bounded", "calibrated", "float_model", "folded_weights", "quantised_model", "room"]

Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
MOST = 2
"""Integer bits that a bounded output gives up at most: with three, the next block's sums became so small that flips did more harm."""
FEWEST = 4
"""Bits that a bounded output keeps at least."""
BIAS_INTEGER = 4  # integer bits of a bias beside its sign: biases lie within +-16


def float_model(architecture: Architecture) -> Any:
    """The architecture as a Keras model in floats, batch-normalised if it says so.

    Block b's convolution, product or sum is layer "b", what the block yields is layer "b_out" (a pool: "b")."""
    layers = load().keras.layers

    def weighted(block: ConvBlock | DenseBlock, x: Any) -> Any:
        bias = not architecture.batch_norm or block is architecture.blocks[-1]
        name = block.name
        if isinstance(block, DenseBlock):
            x = layers.Dense(block.units, use_bias=bias, name=name, kernel_initializer="he_normal")(x)
        elif block.depthwise:
            x = layers.DepthwiseConv2D(
                block.size, block.stride, block.padding, use_bias=bias, name=name, depthwise_initializer="he_normal"
            )(x)
        else:
            x = layers.Conv2D(
                block.filters,
                block.size,
                block.stride,
                block.padding,
                use_bias=bias,
                name=name,
                kernel_initializer="he_normal",
            )(x)
        if not bias:
            x = layers.BatchNormalization(name=f"{block.name}_norm")(x)
        return layers.Activation("relu" if block.relu else "linear", name=f"{block.name}_out")(x)

    def added(block: AddBlock, x: Any) -> Any:
        return layers.Activation("relu" if block.relu else "linear", name=f"{block.name}_out")(
            layers.Add(name=block.name)(x)
        )

    def averaged(block: AverageBlock, x: Any) -> Any:
        return layers.Activation("linear", name=f"{block.name}_out")(
            layers.AveragePooling2D(block.size, name=block.name)(x)
        )

    return _assembled(architecture, weighted, added, averaged)


def quantised_model(
    architecture: Architecture,
    source: Fixed,
    formats: Mapping[str, BlockFormat],
    ber: float = 0.0,
    guard: int = 0,
    bits: int = 24,
) -> Any:
    """The architecture in QKeras, in these formats; `source` is the format of the input codes.

    With a `ber`, accumulators of `bits` are struck at that rate per bit and step while the model trains, in columns below
    `guard` (or in all, where it is 0); the model has the same weights with and without.

    Weights use `quantized_bits` with a power-of-two alpha where their range is below one, biases lie on the
    accumulator's grid, outputs pass `quantized_relu` (unsigned) or `quantized_bits` (signed).
    """
    backend = load()
    qkeras, layers = backend.qkeras, backend.keras.layers
    frac = {INPUT: source.frac}
    for i, block in enumerate(architecture.blocks):
        frac[block.name] = (
            frac[architecture.inputs(i)[0]] if isinstance(block, PoolBlock) else formats[block.name].out.frac
        )
    reads = {block.name: architecture.inputs(i)[0] for i, block in enumerate(architecture.blocks)}

    def weighted(block: ConvBlock | DenseBlock, x: Any) -> Any:
        weight = formats[block.name].weight
        assert weight is not None
        kernel = weight_quantiser(weight)
        scale = frac[reads[block.name]] + weight.frac
        bias = qkeras.quantized_bits(max(scale, 1) + BIAS_INTEGER + 1, max(1 - scale, 0) + BIAS_INTEGER, alpha=1.0)
        common = {"bias_quantizer": bias, "name": block.name}
        window = 1 if isinstance(block, DenseBlock) else block.size[0] * block.size[1]
        steps = window * (1 if isinstance(block, ConvBlock) and block.depthwise else int(x.shape[-1]))
        if isinstance(block, DenseBlock):
            x = qkeras.QDense(block.units, kernel_quantizer=kernel, **common)(x)
        elif block.depthwise:
            x = qkeras.QDepthwiseConv2D(block.size, block.stride, block.padding, depthwise_quantizer=kernel, **common)(
                x
            )
        else:
            x = qkeras.QConv2D(
                block.filters, block.size, block.stride, block.padding, kernel_quantizer=kernel, **common
            )(x)
        if ber:
            x = strikes(ber, steps, scale, guard or bits, bits, f"{block.name}_strikes")(x)
        return activation(block.name, block.relu)(x)

    def activation(name: str, relu: bool) -> Any:
        out = formats[name].out
        if relu and not out.signed:
            return qkeras.QActivation(qkeras.quantized_relu(out.bits, out.bits - out.frac), name=f"{name}_out")
        if not relu and out.signed:
            return qkeras.QActivation(
                qkeras.quantized_bits(out.bits, out.bits - 1 - out.frac, alpha=1.0), name=f"{name}_out"
            )
        raise InputError(f"block {name}: its output must be {'unsigned' if relu else 'signed'}, not {out}")

    def added(block: AddBlock, x: Any) -> Any:
        return activation(block.name, block.relu)(layers.Add(name=block.name)(x))

    def averaged(block: AverageBlock, x: Any) -> Any:
        # an average of unsigned codes is unsigned: ReLU only requantises it
        return activation(block.name, not formats[block.name].out.signed)(
            layers.AveragePooling2D(block.size, name=block.name)(x)
        )

    def weight_quantiser(fmt: Fixed) -> Any:
        exponent = fmt.bits - 1 - fmt.frac  # weights lie within +-2**exponent; QKeras takes no negative `integer`
        return qkeras.quantized_bits(fmt.bits, max(exponent, 0), alpha=2.0 ** min(exponent, 0))

    return _assembled(architecture, weighted, added, averaged)


def _assembled(
    architecture: Architecture,
    weighted: Callable[[ConvBlock | DenseBlock, Any], Any],
    added: Callable[[AddBlock, Any], Any],
    averaged: Callable[[AverageBlock, Any], Any],
) -> Any:
    """Wire up the blocks; what they consist of is the caller's."""
    keras = load().keras
    layers = keras.layers
    values = {INPUT: keras.Input(architecture.input_shape, name=INPUT)}
    for i, block in enumerate(architecture.blocks):
        reads = [values[name] for name in architecture.inputs(i)]
        x = reads[0]
        if isinstance(block, AddBlock):
            x = added(block, reads)
        elif isinstance(block, AverageBlock):
            x = averaged(block, x)
        elif isinstance(block, PoolBlock):
            x = layers.MaxPooling2D(block.size, name=block.name)(x)
        else:
            if isinstance(block, DenseBlock) and len(x.shape) > 2:
                x = layers.Flatten(name=f"{block.name}_flat")(x)
            x = weighted(block, x)
        values[block.name] = x
    return keras.Model(values[INPUT], values[architecture.blocks[-1].name], name=architecture.name.replace("-", "_"))


def folded_weights(architecture: Architecture, model: Any) -> Weights:
    """Kernels and biases of a float model, batch normalisation folded into them."""
    names = {layer.name for layer in model.layers}
    result: Weights = {}
    for block in architecture.weighted:
        gemm = model.get_layer(block.name)
        kernel = gemm.get_weights()[0]
        depthwise = isinstance(block, ConvBlock) and block.depthwise
        channels = kernel.shape[2] if depthwise else kernel.shape[-1]
        bias = gemm.get_weights()[1] if gemm.use_bias else np.zeros(channels, np.float32)
        if f"{block.name}_norm" in names:
            norm = model.get_layer(f"{block.name}_norm")
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            kernel = kernel * (scale[:, None] if depthwise else scale)
            bias = (bias - mean) * scale + beta
        result[block.name] = kernel.astype(np.float32), bias.astype(np.float32)
    return result


def block_outputs(architecture: Architecture, model: Any, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What each block of a float model yields on real values `x`."""
    keras = load().keras
    names = [block.name for block in architecture.blocks]
    tails = [block.name if isinstance(block, PoolBlock) else f"{block.name}_out" for block in architecture.blocks]
    probe = keras.Model(model.input, [model.get_layer(name).output for name in tails])
    return dict(zip(names, probe.predict(x, batch_size=256, verbose=0), strict=True))


def best_fraction(values: NDArray[Any], bits: int, signed: bool) -> int:
    """Fraction bits of the format of `bits` that represents `values` with the least mean squared error.

    >>> best_fraction(np.linspace(-0.9, 0.9, 99), 8, True)
    7
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    top = float(np.abs(flat).max(initial=0)) or 1.0
    highest = bits - signed - int(np.floor(np.log2(top)))  # one more than what clips nothing
    errors = {}
    for frac in range(highest - 2, highest + 3):
        fmt = Fixed(bits, frac, signed)
        errors[frac] = float(np.mean((fmt.value(fmt.quantise(flat)) - flat) ** 2))
    return min(errors, key=lambda frac: (errors[frac], frac))


def calibrated(
    architecture: Architecture, model: Any, x: NDArray[np.float32], widths: Mapping[str, Widths], default: Widths
) -> dict[str, BlockFormat]:
    """The most accurate formats for a float model's weights and for its outputs on calibration data `x`.

    QKeras expresses no activation whose range is below one, so outputs have at most as many fraction bits as bits.
    """
    unknown = set(widths) - {block.name for block in architecture.blocks}
    if unknown:
        raise InputError(
            f"no block {min(unknown)!r} in {architecture.name}; blocks are {', '.join(b.name for b in architecture.blocks)}"
        )
    outputs, weights = block_outputs(architecture, model, x), folded_weights(architecture, model)
    formats = {}
    signed = {INPUT: False}
    for i, block in enumerate(architecture.blocks):
        if isinstance(block, PoolBlock):
            signed[block.name] = signed[architecture.inputs(i)[0]]
            continue
        width = widths.get(block.name, default)
        signed[block.name] = signed[architecture.inputs(i)[0]] if isinstance(block, AverageBlock) else not block.relu
        negative = signed[block.name]
        frac = min(best_fraction(outputs[block.name], width.out, negative), width.out - negative)
        weight = None
        if block.name in weights:
            weight = Fixed(width.weight, best_fraction(weights[block.name][0], width.weight, True), True)
        formats[block.name] = BlockFormat(weight, Fixed(width.out, frac, negative))
    return formats


def bounded(
    architecture: Architecture, formats: Mapping[str, BlockFormat], outputs: Mapping[str, NDArray[Any]], share: float
) -> dict[str, BlockFormat]:
    """Formats in which hidden outputs behind a ReLU have up to `MOST` integer bits less, and so saturate earlier.

    A fault cannot move an output beyond its range, and a range that only rare values use is room for faults alone; bounding
    activations so is known from floats (Chen et al., DSN 2021; Hoang et al., DATE 2020). As many bits go as leave at most
    `share` of a block's `outputs` (real values on calibration data) beyond its range; training must make up for them.
    Fraction bits stay: at least `FEWEST` bits are left, and no range below one, which QKeras does not express.

    >>> a = Architecture("a", (4,), (DenseBlock("h", 8), DenseBlock("o", 3, relu=False)))
    >>> f = {name: BlockFormat(Fixed.parse("s8.7"), Fixed.parse("u8.4")) for name in ("h", "o")}
    >>> values = {"h": np.linspace(0, 8, 99), "o": np.linspace(0, 8, 99)}
    >>> {name: str(fmt.out) for name, fmt in bounded(a, f, values, 0.05).items()}
    {'h': 'u7.4', 'o': 'u8.4'}
    """
    result = dict(formats)
    for block in architecture.blocks[:-1]:
        if isinstance(block, ConvBlock | DenseBlock | AddBlock) and block.relu:
            out = formats[block.name].out
            for bits in range(out.bits, max(out.frac, FEWEST, out.bits - MOST) - 1, -1):
                fmt = Fixed(bits, out.frac, out.signed)
                if (outputs[block.name] > fmt.value(fmt.max)).mean() <= share:
                    result[block.name] = BlockFormat(formats[block.name].weight, fmt)
    return result


def room(
    architecture: Architecture, source: Fixed, formats: Mapping[str, BlockFormat], weights: Weights, acc_bits: int
) -> dict[str, int]:
    """How many fraction bits each block's weights may gain while its sums provably fit accumulators of `acc_bits`.

    The bound is sum|w| max|a| + |bias| over the float weights as codes, doubled by every further bit, with a tenth in
    reserve for what training changes.
    """
    read = {INPUT: source}
    result = {}
    for i, block in enumerate(architecture.blocks):
        source_format = read[architecture.inputs(i)[0]]
        read[block.name] = source_format if isinstance(block, PoolBlock) else formats[block.name].out
        weight = None if isinstance(block, PoolBlock) else formats[block.name].weight
        if weight is None:
            continue
        kernel, bias = weights[block.name]
        axis = 2 if isinstance(block, ConvBlock) and block.depthwise else kernel.ndim - 1
        codes = np.abs(weight.quantise(kernel)).sum(axis=tuple(a for a in range(kernel.ndim) if a != axis)).reshape(-1)
        bound = codes * source_format.magnitude + np.abs(bias) * 2.0 ** (source_format.frac + weight.frac)
        result[block.name] = max(0, int(np.floor(np.log2(0.9 * 2.0 ** (acc_bits - 1) / max(float(bound.max()), 1.0)))))
    return result


def set_weights(architecture: Architecture, model: Any, formats: Mapping[str, BlockFormat], weights: Weights) -> None:
    """Give a quantised model the weights of a folded float model."""
    for block in architecture.weighted:
        kernel, bias = weights[block.name]
        weight = formats[block.name].weight
        assert weight is not None
        alpha = 2.0 ** min(weight.bits - 1 - weight.frac, 0)  # the quantiser multiplies by it
        model.get_layer(block.name).set_weights([kernel / alpha, bias])
