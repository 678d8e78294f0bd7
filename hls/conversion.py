"""From a QKeras model to a `Network` of integers, through the graph that hls4ml parses.

What the integers cannot express exactly is refused, naming the layer and the reason; nothing is approximated here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.hls.keras_env import layer_list
from hardpoint.hls.quantisers import Activation, activation, along, lowest_bit, weight_codes
from hardpoint.layers import Add, AvgPool, Conv, Dense, Layer, MaxPool, Rescale
from hardpoint.network import Criterion, Network

__all__ = ["Conversion", "conversion", "convert"]

Codes = NDArray[np.int64]
INPUT = "input"
OPERAND_BITS = 8  # weights are not made wider than this for the sake of a fine bias
HOST = (
    "softmax",
    "sigmoid",
    "Softmax",
)  # of the last layer, left to the host: they keep the order, or the side of zero


@dataclass(frozen=True)
class _Sum:
    """Exact sums that no activation has requantised yet: a layer with its accumulator's fraction bits per channel."""

    layer: Conv | Dense | Add | AvgPool
    frac: tuple[int, ...]
    relu: bool = False
    pools: tuple[MaxPool, ...] = ()  # maximum commutes with requantisation, so pooling may precede it


@dataclass(frozen=True)
class _Value:
    """A tensor: codes that the network's layer `layer` yields in `format`, or sums that wait for their activation."""

    layer: str
    format: Fixed
    pending: _Sum | None = None
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Conversion:
    """A network, and for each of its layers the Keras layer whose output it must equal."""

    network: Network
    keras_layers: Mapping[str, str]
    dropped: tuple[str, ...] = ()


def convert(
    model: Any,
    input_format: Fixed | None = None,
    *,
    q_scale: int = 0,
    criterion: Criterion | None = None,
    name: str | None = None,
) -> Network:
    """The network of integers that computes exactly what the QKeras `model` computes.

    `input_format` says how a sample's codes read; a model that quantises its input itself needs none. Weights and biases
    are quantised by QKeras' own objects. Softmax or sigmoid of the last layer stay on the host. Where the outputs are not
    quantised they are the last accumulator's, in its full width. `q_scale` is checked, and recorded.
    """
    return conversion(model, input_format, q_scale=q_scale, criterion=criterion, name=name).network


def conversion(
    model: Any,
    input_format: Fixed | None = None,
    *,
    q_scale: int = 0,
    criterion: Criterion | None = None,
    name: str | None = None,
) -> Conversion:
    """`convert`, with the correspondence of layers that the equality gate needs to name the first difference."""
    walk = _Walk(model, input_format)
    for node in layer_list(model):
        walk.visit(node)
    last = walk.finish()
    order = walk.layers
    if order[-1].name != last:
        raise InputError(f"the model's output must come from its last layer, not from {last}")
    host = walk.host[0] if walk.host else ""
    outputs_on_host = Criterion("threshold", 0.0) if host == "sigmoid" else Criterion("top1")
    network = Network(
        walk.input_shape,
        walk.values[walk.source].format,
        tuple(order),
        criterion or outputs_on_host,
        name or str(model.name),
        q_scale,
    )
    return Conversion(network, dict(walk.keras_layers), tuple(walk.host))


@dataclass
class _Walk:
    """Visits hls4ml's nodes in order and turns them into integer layers."""

    model: Any
    input_format: Fixed | None
    layers: list[Layer] = field(default_factory=list)
    values: dict[str, _Value] = field(default_factory=dict)
    keras_layers: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()
    source: str = ""
    host: list[str] = field(default_factory=list)
    last: str = ""
    keras_name: str = ""

    def visit(self, node: dict[str, Any]) -> None:
        """Turn one node into layers, or into a note on a value."""
        name, kind = node["name"], node["class_name"]
        if self.host:
            raise InputError(
                f"layer {name}: nothing may follow the {self.host[0]} of {self.last}, which stays on the host"
            )
        if node.get("data_format") == "channels_first":
            raise InputError(f"layer {name}: channels come last here, not first")
        if any(layer.name == name for layer in self.model.layers):
            self.keras_name = name  # else hls4ml split it off the Keras layer before it
        if "BatchNormalization" in kind:
            raise InputError(
                f"layer {name}: batch normalisation multiplies by floats, which no shift of integers expresses; fold it into the "
                "layer before it (QConv2DBatchnorm), or quantise the model after training"
            )
        turn = self._activation if "activation_quantizer" in node else self._turns().get(kind)
        if turn is None:
            raise InputError(f"layer {name}: a layer {kind} is not supported; {', '.join(sorted(self._turns()))} are")
        self.values[name] = turn(node)
        self.last = name

    def _turns(self) -> dict[str, Callable[[dict[str, Any]], _Value]]:
        return {
            "InputLayer": self._input,
            "QDense": self._dense, "Dense": self._dense,
            "QConv2D": self._conv, "Conv2D": self._conv, "QConv2DBatchnorm": self._conv,
            "QDepthwiseConv2D": self._depthwise, "DepthwiseConv2D": self._depthwise,
            "QActivation": self._activation, "Activation": self._activation, "Softmax": self._activation,
            "MaxPooling2D": self._max_pool, "AveragePooling2D": self._average_pool, "GlobalAveragePooling2D": self._average_pool,
            "Merge": self._add, "Reshape": self._reshape, "ZeroPadding2D": self._zero_padding,
        }  # fmt: skip

    def finish(self) -> str:
        """Settle the output and return the name of the network's last layer."""
        value = self.values[self.last]
        if value.pending is not None:
            value = self._settled(value)
        if not self.layers:
            raise InputError("the model computes nothing: it has no layer with weights")
        return value.layer

    # values

    def _read(self, node: dict[str, Any], index: int = 0) -> _Value:
        name = node["inputs"][index]
        if name not in self.values:
            raise InputError(f"layer {node['name']} reads {name!r}, which no layer before it yields")
        return self.values[name]

    def _codes(self, node: dict[str, Any], index: int = 0) -> _Value:
        """An input as codes; sums that wait are an operand only if they need no rounding."""
        value = self._read(node, index)
        if value.pending is None:
            if value.layer == INPUT and self.input_format is None and value.format.bits == 64:
                raise InputError(
                    f"layer {node['name']}: the model does not quantise its input, so its number format must be given"
                )
            return value
        if isinstance(value.pending.layer, AvgPool) and not value.pending.pools:
            return self._settled(value)
        raise InputError(
            f"layer {node['name']}: its input, the sums of {value.layer}, must be quantised by an activation first"
        )

    def _append(self, layer: Layer, fmt: Fixed) -> _Value:
        self.layers.append(layer)
        self.keras_layers[layer.name] = self.keras_name
        inputs = [self.shapes[name] for name in layer.inputs]
        self.shapes[layer.name] = layer.shape(*inputs)
        return _Value(layer.name, fmt)

    def _settled(self, value: _Value, act: Activation | None = None) -> _Value:
        """Close waiting sums with the activation `act`, or in full width where there is none."""
        pending = value.pending
        assert pending is not None
        layer, fracs = pending.layer, np.array(pending.frac)
        if act is None:
            width = self._sum_bits(layer)
            frac = int(fracs.max())
            fmt = Fixed(width + int(fracs.max() - fracs.min()), frac, True)
            act = Activation(fmt, fmt, False)
        shift = fracs - act.grid.frac
        relu = act.relu or pending.relu
        if shift.min() < 0:  # a finer grid than the accumulator's: all its bits, then a shift to the left
            if len(set(fracs.tolist())) > 1:
                raise InputError(
                    f"layer {layer.name}: its activation {act.grid} is finer than some channels' accumulators, by {-shift.min()} bits"
                )
            wide = Fixed(self._sum_bits(layer), int(fracs[0]), True)
            value = self._append(replace(layer, shift=_shift(layer, np.zeros_like(shift)), out=wide), wide)
            value = self._append(Rescale(f"{layer.name}_rescale", value.layer, int(shift[0]), act.grid, relu), act.out)
        else:
            if isinstance(layer, AvgPool):
                layer = replace(layer, shift=_shift(layer, shift), out=act.grid)
            else:
                layer = replace(layer, shift=_shift(layer, shift), out=act.out, relu=relu)
            keras_name = self.keras_name
            if pending.pools:  # Keras has no tensor of requantised codes before the pool
                self.keras_name = ""
            value = self._append(layer, act.out)
            self.keras_name = keras_name
            if isinstance(layer, AvgPool) and relu and act.grid.signed:
                value = self._append(Rescale(f"{layer.name}_relu", value.layer, 0, act.grid, True), act.out)
        for pool in pending.pools:
            value = self._append(replace(pool, input=value.layer), act.out)
        return value

    def _sum_bits(self, layer: Conv | Dense | Add | AvgPool) -> int:
        """Bits of two's complement that hold every sum of `layer`."""
        if isinstance(layer, (Conv, Dense)):
            magnitude = self._format(layer.input).magnitude
            bound = int((np.abs(layer.matrix()).sum(axis=0) * magnitude + np.abs(layer.bias)).max())
        elif isinstance(layer, Add):
            bound = sum(
                self._format(name).magnitude << align for name, align in zip(layer.inputs, layer.align, strict=True)
            )
        else:
            bound = self._format(layer.input).magnitude * layer.size[0] * layer.size[1]
        return bound.bit_length() + 1

    def _format(self, layer: str) -> Fixed:
        return next(value.format for value in self.values.values() if value.layer == layer and value.pending is None)

    # nodes

    def _input(self, node: dict[str, Any]) -> _Value:
        if self.source:
            raise InputError(f"layer {node['name']}: a network has one input, the model has a second")
        shape = node.get("input_shape") or [None]
        if isinstance(shape[0], (list, tuple)):
            shape = shape[0]
        if any(size is None for size in shape):
            raise InputError(f"layer {node['name']}: the input's shape must be known, not {tuple(shape)}")
        self.source = node["name"]
        self.input_shape = tuple(int(size) for size in shape)
        self.shapes[INPUT] = self.input_shape
        # 64 bits stand for "not known yet": the model's own first quantiser may say
        return _Value(INPUT, self.input_format or Fixed(64, 0, True))

    def _keras_layer(self, name: str) -> Any:
        layer = self.model.get_layer(name)
        if tuple(np.atleast_1d(getattr(layer, "dilation_rate", 1))) not in ((1,), (1, 1)):
            raise InputError(f"layer {name}: a dilation of {layer.dilation_rate} is not supported, only 1")
        if getattr(layer, "groups", 1) != 1:
            raise InputError(f"layer {name}: {layer.groups} groups are not supported, only 1")
        return layer

    def _weights(self, name: str, fmt: Fixed, depthwise: bool) -> tuple[Codes, Codes, NDArray[np.int64], Fixed]:
        """Weight codes, bias codes at accumulator scale, fraction bits of the accumulator per channel, weight format."""
        layer = self._keras_layer(name)
        if type(layer).__name__ == "QConv2DBatchnorm":
            folded = layer.get_folded_weights()
            bias: NDArray[np.float32] | None
            kernel, bias = np.asarray(folded[0]), np.asarray(folded[1])
        else:
            kernel = np.asarray(layer.depthwise_kernel if depthwise else layer.kernel)
            bias = np.asarray(layer.bias) if layer.use_bias else None
        axis = 2 if depthwise else kernel.ndim - 1
        quantiser = getattr(layer, "depthwise_quantizer_internal" if depthwise else "kernel_quantizer_internal", None)
        codes, frac, bits = weight_codes(name, quantiser, kernel, axis)
        sums = frac + fmt.frac
        if bias is None:
            return codes, np.zeros(len(frac), np.int64), sums, Fixed(bits, int(frac.max()), True)
        bias_quantiser = getattr(layer, "bias_quantizer_internal", None)
        if bias_quantiser is not None and getattr(bias_quantiser, "use_stochastic_rounding", False):
            raise InputError(f"layer {name}: its bias is rounded stochastically")
        values = np.asarray(bias if bias_quantiser is None else bias_quantiser(bias), np.float64)
        # a bias finer than the accumulator asks for finer weights; few-bit weights have the room
        finer = np.array([max(lowest_bit(np.array([v])) - int(s), 0) if v else 0 for v, s in zip(values, sums, strict=True)])
        needed = bits + int(finer.max())
        if needed > max(bits, OPERAND_BITS):
            at = int(finer.argmax())
            how = f"quantised by {type(bias_quantiser).__name__}" if bias_quantiser is not None else "not quantised"
            raise InputError(
                f"layer {name}: the bias of channel {at} lies between the accumulator's steps of 2**{-int(sums[at])}, "
                f"and {bits}-bit weights leave no room for finer ones; it is {how}"
            )
        codes = codes << along(finer, codes.ndim, axis)
        sums, frac = sums + finer, frac + finer
        return codes, (values * np.exp2(sums)).astype(np.int64), sums, Fixed(needed, int(frac.max()), True)

    def _dense(self, node: dict[str, Any]) -> _Value:
        value, name = self._codes(node), node["name"]
        weight, bias, frac, fmt = self._weights(name, value.format, False)
        shape = self.shapes[value.layer]
        blank = Fixed(8, 0, True)
        layer: Conv | Dense
        if len(shape) == 3 and int(np.prod(shape)) != len(weight):  # Keras applies it to every pixel
            layer = Conv(name, value.layer, weight[None, None], bias, 0, blank, fmt)  # type: ignore[arg-type]
        else:
            layer = Dense(name, value.layer, weight, bias, 0, blank, fmt)  # type: ignore[arg-type]
        return _Value(name, value.format, _Sum(layer, tuple(frac.tolist())))

    def _conv(self, node: dict[str, Any], depthwise: bool = False) -> _Value:
        value, name = self._codes(node), node["name"]
        weight, bias, frac, fmt = self._weights(name, value.format, depthwise)
        pad = tuple(
            a + int(node[key])
            for a, key in zip(value.pad, ("pad_top", "pad_bottom", "pad_left", "pad_right"), strict=True)
        )
        stride = int(node["stride_height"]), int(node["stride_width"])
        layer = Conv(name, value.layer, weight, bias, 0, Fixed(8, 0, True), fmt, stride, pad, False, depthwise)  # type: ignore[arg-type]
        return _Value(name, value.format, _Sum(layer, tuple(frac.tolist())))

    def _depthwise(self, node: dict[str, Any]) -> _Value:
        if node.get("depth_multiplier", 1) != 1:
            raise InputError(
                f"layer {node['name']}: a depth multiplier of {node['depth_multiplier']} is not supported, only 1"
            )
        return self._conv(node, depthwise=True)

    def _activation(self, node: dict[str, Any]) -> _Value:
        value, name, kind = self._read(node), node["name"], node["activation"]
        if kind in HOST and not isinstance(node.get("activation_quantizer"), dict):
            self.host.append(kind.lower())
            return value
        quantiser = self._quantiser(node)
        if quantiser is not None:
            return self._quantised(name, value, activation(name, quantiser))
        if kind == "linear":
            return value
        if kind in ("relu", "ReLU"):
            self._plain_relu(name)
            if value.pending is not None:
                return replace(value, pending=replace(value.pending, relu=True))
            if not value.format.signed:
                return value
            return self._append(Rescale(name, value.layer, 0, value.format, True), value.format)
        raise InputError(
            f"layer {name}: an activation {kind} is not supported; quantized_relu, quantized_bits, relu and linear are"
        )

    def _plain_relu(self, name: str) -> None:
        layer = next((layer for layer in self.model.layers if layer.name == name), None)
        for key, neutral in (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)):
            setting = getattr(layer, key, neutral)
            if setting is not None and (neutral is None or float(setting) != neutral):
                raise InputError(f"layer {name}: a ReLU with {key} {float(setting):g} is not supported")

    def _quantiser(self, node: dict[str, Any]) -> Any:
        """The QKeras object behind an activation node, or None."""
        if not isinstance(node.get("activation_quantizer"), dict):
            return None
        layer = self.model.get_layer(self.keras_name)
        found = getattr(layer, "quantizer", None) or getattr(layer, "activation", None)
        if not hasattr(found, "get_config"):
            raise InputError(
                f"layer {node['name']}: an activation {getattr(found, '__name__', found)!r} is no rounding of integers"
            )
        return found

    def _quantised(self, name: str, value: _Value, act: Activation) -> _Value:
        if value.pending is not None:
            return self._settled(value, act)
        if (
            value.layer == INPUT and value.format.bits == 64
        ):  # the model quantises its input: its codes are the network's
            self.values[self.source] = _Value(INPUT, act.out)
            return self.values[self.source]
        return self._append(Rescale(name, value.layer, value.format.frac - act.grid.frac, act.grid, act.relu), act.out)

    def _max_pool(self, node: dict[str, Any]) -> _Value:
        value = self._read(node)
        size = int(node["pool_height"]), int(node["pool_width"])
        stride = int(node["stride_height"]), int(node["stride_width"])
        pad = int(node["pad_top"]), int(node["pad_bottom"]), int(node["pad_left"]), int(node["pad_right"])
        pool = MaxPool(node["name"], value.layer, size, stride, pad)
        if value.pending is not None:
            return replace(value, pending=replace(value.pending, pools=(*value.pending.pools, pool)))
        return self._append(pool, value.format)

    def _average_pool(self, node: dict[str, Any]) -> _Value:
        value, name = self._codes(node), node["name"]
        shape = self.shapes[value.layer]
        if node["class_name"] == "GlobalAveragePooling2D":
            size = stride = (shape[0], shape[1])
        else:
            size = int(node["pool_height"]), int(node["pool_width"])
            stride = int(node["stride_height"]), int(node["stride_width"])
            if any(node[key] for key in ("pad_top", "pad_bottom", "pad_left", "pad_right")):
                raise InputError(
                    f"layer {name}: an average over padded windows has no common divisor; use padding valid"
                )
        count = size[0] * size[1]
        if count & (count - 1):
            raise InputError(
                f"layer {name}: it averages {size[0]} x {size[1]} = {count} values, which is no power of two"
            )
        layer = AvgPool(name, value.layer, size, stride, 0, Fixed(8, 0, True))
        return _Value(name, value.format, _Sum(layer, (value.format.frac + count.bit_length() - 1,)))

    def _add(self, node: dict[str, Any]) -> _Value:
        name = node["name"]
        if node["op"] != "add":
            raise InputError(f"layer {name}: merging by {node['op']} is not supported, only by add")
        a, b = self._codes(node, 0), self._codes(node, 1)
        frac = max(a.format.frac, b.format.frac)
        layer = Add(name, (a.layer, b.layer), (frac - a.format.frac, frac - b.format.frac), 0, Fixed(8, 0, True))
        return _Value(name, a.format, _Sum(layer, (frac,)))

    def _reshape(self, node: dict[str, Any]) -> _Value:
        value, target = self._read(node), tuple(int(size) for size in node["target_shape"])
        if len(target) == 1:
            return value  # a dense layer flattens what it reads, in this very order
        if value.layer == INPUT and value.pending is None and not self.layers and -1 not in target:
            self.input_shape = self.shapes[INPUT] = target
            return value
        raise InputError(
            f"layer {node['name']}: only the network's input can be reshaped to {target}, not what a layer yields"
        )

    def _zero_padding(self, node: dict[str, Any]) -> _Value:
        value = self._codes(node)
        pad = tuple(
            a + int(node[key])
            for a, key in zip(value.pad, ("pad_top", "pad_bottom", "pad_left", "pad_right"), strict=True)
        )
        return replace(value, pad=pad)  # type: ignore[arg-type]


def _shift(layer: Conv | Dense | Add | AvgPool, shift: NDArray[np.int64]) -> Any:
    return shift if isinstance(layer, (Conv, Dense)) else int(shift[0])
