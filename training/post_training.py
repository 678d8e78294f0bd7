"""Quantisation of a float Keras model after its training, with calibration data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    Block,
    BlockFormat,
    ConvBlock,
    DenseBlock,
    PoolBlock,
    Widths,
    constrained,
)  # fmt: skip
from hardpoint.training.build import Weights, calibrated, float_model, quantised_model, room, set_weights

__all__ = ["architecture_of", "quantised_after_training"]

ON_HOST = ("softmax", "sigmoid")


def quantised_after_training(
    model: Any,
    source: Fixed,
    calibration: NDArray[Any],
    *,
    widths: Mapping[str, Widths] | None = None,
    default: Widths | None = None,
    q_scale: int = 0,
    acc_bits: int = 24,
) -> tuple[Any, dict[str, BlockFormat]]:
    """A QKeras model that approximates the float `model`, and its formats.

    Batch normalisation is folded into weights, formats are those of least squared error for the weights and for the
    activations on `calibration` (input codes of format `source`), then coarsened until `q_scale` holds. The result is a
    different function than `model`: its accuracy must be measured. A layer that no block expresses is an InputError.
    """
    if len(calibration) < 1:
        raise InputError("quantisation after training needs calibration data, at least one sample")
    architecture, weights = architecture_of(model)
    floats = with_weights(architecture, weights)
    values = source.value(calibration).astype(np.float32).reshape(-1, *architecture.input_shape)
    free = calibrated(architecture, floats, values, widths or {}, default or Widths())
    formats = constrained(architecture, source, free, q_scale, room(architecture, source, free, weights, acc_bits))
    quantised = quantised_model(architecture, source, formats)
    set_weights(architecture, quantised, formats, weights)
    return quantised, formats


def with_weights(architecture: Architecture, weights: Weights) -> Any:
    """The architecture as a float model with these (folded) weights."""
    floats = float_model(replace(architecture, batch_norm=False))
    for block in architecture.weighted:
        floats.get_layer(block.name).set_weights(list(weights[block.name]))
    return floats


def architecture_of(model: Any) -> tuple[Architecture, Weights]:
    """A Keras model's architecture in blocks, and its weights with batch normalisation folded in."""
    walk = _Walk()
    for layer in model.layers:
        walk.visit(layer)
    name = "".join(c if c.isalnum() else "-" for c in model.name).strip("-") or "model"
    shape = tuple(int(size) for size in model.input.shape[1:])
    return Architecture(name, shape, tuple(walk.blocks)), walk.weights


@dataclass
class _Walk:
    """Visits Keras layers in order and collects blocks; `yields` maps a layer to the block whose output it hands on."""

    blocks: list[Block] = field(default_factory=list)
    weights: Weights = field(default_factory=dict)
    yields: dict[str, str] = field(default_factory=dict)
    closed: set[str] = field(
        default_factory=set
    )  # blocks whose ReLU has come: nothing can be folded into them any more
    done: str = ""

    def visit(self, layer: Any) -> None:
        kind, name = type(layer).__name__, layer.name
        if self.done:
            raise InputError(f"layer {name}: nothing may follow the {self.done}, which stays on the host")
        if kind == "InputLayer":
            self.yields[name] = INPUT
            return
        reads = [self.yields.get(source, INPUT) for source in _sources(layer)]  # a Sequential hides its input layer
        turn = {
            "Conv2D": self._conv, "DepthwiseConv2D": self._conv, "Dense": self._dense,
            "BatchNormalization": self._norm, "Activation": self._activation, "ReLU": self._activation, "Softmax": self._activation,
            "MaxPooling2D": self._pool, "AveragePooling2D": self._average, "GlobalAveragePooling2D": self._average,
            "Add": self._add, "Flatten": self._same, "Dropout": self._same,
        }.get(kind)  # fmt: skip
        if turn is None:
            raise InputError(f"layer {name}: a layer {kind} cannot be quantised after training")
        self.yields[name] = turn(layer, reads)

    def _block(self, name: str) -> tuple[int, Block]:
        at = next(i for i, block in enumerate(self.blocks) if block.name == name)
        return at, self.blocks[at]

    def _same(self, layer: Any, reads: list[str]) -> str:
        return reads[0]

    def _appended(self, block: Block, layer: Any) -> str:
        self.blocks.append(block)
        function = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if function != "linear":
            self._function(layer.name, function, block.name)
        return block.name

    def _conv(self, layer: Any, reads: list[str]) -> str:
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        odd = {"dilation_rate": (1, 1), "groups": 1, "depth_multiplier": 1, "data_format": "channels_last"}
        for key, plain in odd.items():
            value = getattr(layer, key, plain)
            if value != plain:
                raise InputError(
                    f"layer {layer.name}: a {key} of {value} cannot be quantised after training, only {plain}"
                )
        kernel = np.asarray(layer.depthwise_kernel if depthwise else layer.kernel)
        self._store(layer, kernel, kernel.shape[2] if depthwise else kernel.shape[3])
        return self._appended(
            ConvBlock(layer.name, kernel.shape[2 if depthwise else 3], kernel.shape[:2], tuple(layer.strides), layer.padding, False, depthwise, reads[0]),
            layer,
        )  # fmt: skip

    def _dense(self, layer: Any, reads: list[str]) -> str:
        kernel = np.asarray(layer.kernel)
        self._store(layer, kernel, kernel.shape[1])
        return self._appended(DenseBlock(layer.name, kernel.shape[1], False, reads[0]), layer)

    def _store(self, layer: Any, kernel: NDArray[np.float32], channels: int) -> None:
        self.weights[layer.name] = kernel, np.asarray(layer.bias) if layer.use_bias else np.zeros(channels, np.float32)

    def _norm(self, layer: Any, reads: list[str]) -> str:
        name = reads[0]
        if name not in self.weights or name in self.closed:
            raise InputError(
                f"layer {layer.name}: batch normalisation folds only into the convolution or dense layer right before it"
            )
        kernel, bias = self.weights[name]
        gamma = np.asarray(layer.gamma) if layer.scale else np.ones_like(np.asarray(layer.moving_mean))
        beta = np.asarray(layer.beta) if layer.center else np.zeros_like(gamma)
        scale = gamma / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
        _, block = self._block(name)
        depthwise = isinstance(block, ConvBlock) and block.depthwise
        self.weights[name] = (
            kernel * (scale[:, None] if depthwise else scale),
            (bias - np.asarray(layer.moving_mean)) * scale + beta,
        )
        return name

    def _activation(self, layer: Any, reads: list[str]) -> str:
        kind = type(layer).__name__
        function = {"ReLU": "relu", "Softmax": "softmax"}.get(kind) or layer.activation.__name__
        if kind == "ReLU" and (layer.max_value is not None or layer.negative_slope or layer.threshold):
            raise InputError(f"layer {layer.name}: only a plain ReLU can be quantised after training")
        return self._function(layer.name, function, reads[0])

    def _function(self, layer: str, function: str, name: str) -> str:
        if function in ON_HOST:
            self.done = function
        elif function == "relu":
            if name == INPUT or name in self.closed:
                raise InputError(f"layer {layer}: a ReLU must follow a convolution, a dense layer or an addition")
            at, block = self._block(name)
            if isinstance(block, (ConvBlock, DenseBlock, AddBlock)):
                self.blocks[at] = replace(block, relu=True)
            self.closed.add(name)
        elif function != "linear":
            raise InputError(f"layer {layer}: an activation {function} cannot be quantised after training")
        return name

    def _pool(self, layer: Any, reads: list[str]) -> str:
        _plain_windows(layer)
        return self._appended(PoolBlock(layer.name, tuple(layer.pool_size), reads[0]), layer)

    def _average(self, layer: Any, reads: list[str]) -> str:
        if type(layer).__name__ == "GlobalAveragePooling2D":
            size = tuple(int(n) for n in layer.input.shape[1:3])
        else:
            _plain_windows(layer)
            size = tuple(layer.pool_size)
        if size[0] * size[1] & (size[0] * size[1] - 1):
            raise InputError(f"layer {layer.name}: it averages {size[0]} x {size[1]} values, which is no power of two")
        return self._appended(AverageBlock(layer.name, size, reads[0]), layer)

    def _add(self, layer: Any, reads: list[str]) -> str:
        if len(reads) != 2:
            raise InputError(f"layer {layer.name}: additions of two inputs can be quantised, not of {len(reads)}")
        return self._appended(AddBlock(layer.name, (reads[0], reads[1]), False), layer)


def _plain_windows(layer: Any) -> None:
    if tuple(layer.strides) != tuple(layer.pool_size) or layer.padding != "valid":
        exact = all(size % step == 0 for size, step in zip(layer.input.shape[1:3], layer.pool_size, strict=True))
        if tuple(layer.strides) != tuple(layer.pool_size) or not exact:
            raise InputError(
                f"layer {layer.name}: only windows that do not overlap or pad can be quantised after training"
            )


def _sources(layer: Any) -> list[str]:
    """Names of the layers that `layer` reads."""
    inbound = layer.inbound_nodes[0].inbound_layers if layer.inbound_nodes else []
    return [source.name for source in (inbound if isinstance(inbound, (list, tuple)) else [inbound])]
