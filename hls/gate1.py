"""Gate 1: the model in floats and the network in integers agree in every output, or the first difference is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.hls.conversion import HOST, conversion
from hardpoint.hls.keras_env import keras, qkeras
from hardpoint.network import Network

__all__ = ["gate1", "inexact_layers", "without_host_part"]


def gate1(
    model: Any, network: Network, x: NDArray[Any], say: Callable[[str], None] | None = None, batch: int = 256
) -> int:
    """Compare every output of `model` with the network's on input codes `x`; return how many were compared, all equal.

    A model computes in float32, which is exact only while sum|w| max|a| + |bias| < 2**24 in code units, by the actual
    weights. Beyond that the model runs in float64, and `say` is told so. A difference is an InputError that names the
    first layer in which it shows and the first differing element.
    """
    model = without_host_part(model)
    inexact = inexact_layers(network)
    if inexact:
        if say is not None:
            say(f"sums of {', '.join(inexact)} may exceed 2**24: the model runs in float64")
        model = in_float64(model)
    compared = 0
    for start in range(0, len(x), batch):
        codes = np.asarray(x[start : start + batch]).reshape(-1, *network.input_shape)
        want, got = _codes(_values(model, network, codes), network), network(codes)
        want = want.reshape(len(want), -1)
        if want.shape != got.shape:
            raise InputError(f"gate 1: the model yields {want.shape[1]} outputs, the network {got.shape[1]}")
        if not np.array_equal(want, got):
            raise InputError(_difference(model, network, codes, start, want, got))
        compared += got.size
    return compared


def inexact_layers(network: Network) -> list[str]:
    """Array layers whose sums float32 cannot be trusted to hold exactly, by the actual weights."""
    found = []
    for layer in network.gemms:
        bound = np.abs(layer.matrix()).sum(axis=0) * network.formats[layer.input].magnitude + np.abs(layer.bias)
        if int(bound.max()) >= 1 << 24:
            found.append(layer.name)
    return found


def without_host_part(model: Any) -> Any:
    """The model up to its logits: a softmax or sigmoid at its end stays on the host."""
    library = keras()
    last = model.layers[-1]
    if type(last).__name__ == "Softmax" or (
        type(last).__name__ == "Activation" and last.get_config()["activation"] in HOST
    ):
        return library.Model(model.input, last.input)
    if getattr(getattr(last, "activation", None), "__name__", "") in HOST and not hasattr(
        last.activation, "get_config"
    ):

        def linear(layer: Any) -> Any:
            config = layer.get_config()
            if layer.name == last.name:
                config["activation"] = "linear"
            return layer.__class__.from_config(config)

        twin = library.models.clone_model(model, clone_function=linear)
        twin.set_weights(model.get_weights())
        return twin
    return model


def in_float64(model: Any) -> Any:
    """The same model computing in float64; QKeras' quantized_relu, which casts to float32, is evaluated in float64, too."""
    library = keras()

    class quantized_relu(qkeras().quantized_relu):  # type: ignore[misc]
        """QKeras' formula without its cast: clip(round(x 2**(bits - integer))), for the plain settings that convert."""

        def __call__(self, x: Any) -> Any:
            step = 2.0 ** (self.integer - self.bits)
            rounded = library.backend.round(library.backend.cast(x, "float64") / step)
            return library.backend.clip(rounded, 0.0, 2.0**self.bits - 1) * step

    floatx = library.backend.floatx()
    library.backend.set_floatx("float64")
    try:

        def wide(layer: Any) -> Any:
            config = layer.get_config()
            config["dtype"] = "float64"
            twin = layer.__class__.from_config(config)
            for key in ("quantizer", "activation"):
                old: Any = getattr(twin, key, None)
                if type(old).__name__ == "quantized_relu":
                    setattr(twin, key, quantized_relu.from_config(old.get_config()))
            return twin

        twin = library.models.clone_model(model, clone_function=wide)
        twin.set_weights(model.get_weights())
        return _Float64(twin, library.backend)
    finally:
        library.backend.set_floatx(floatx)


class _Float64:
    """A model that is called while Keras' default type is float64, which QKeras asks for at call time."""

    def __init__(self, model: Any, backend: Any) -> None:
        self.model, self._backend = model, backend
        self.input, self.layers, self.name = model.input, model.layers, model.name

    def get_layer(self, name: str) -> Any:
        return self.model.get_layer(name)

    def __call__(self, x: Any, training: bool = False) -> Any:
        floatx = self._backend.floatx()
        self._backend.set_floatx("float64")
        try:
            return self.model(x, training=training)
        finally:
            self._backend.set_floatx(floatx)


def _values(model: Any, network: Network, codes: NDArray[Any], layer: str = "") -> NDArray[np.float64]:
    """What the model, or its layer called `layer`, yields for input codes."""
    dtype = np.float64 if isinstance(model, _Float64) else np.float32
    real = network.input_format.value(codes).astype(dtype).reshape(-1, *model.input.shape[1:])
    if layer:
        probe = keras().Model(model.input, model.get_layer(layer).output)
        model = _Float64(probe, model._backend) if isinstance(model, _Float64) else probe
    return np.asarray(model(real, training=False), np.float64)


def _codes(values: NDArray[np.float64], network: Network, layer: str = "") -> NDArray[np.float64]:
    """Real values in units of a layer's step; a value between two steps stays a fraction and so differs from any code."""
    name = layer or network.layers[-1].name
    return np.asarray(values * 2.0 ** network.formats[name].frac)


def _difference(
    model: Any, network: Network, codes: NDArray[Any], start: int, want: NDArray[Any], got: NDArray[Any]
) -> str:
    """One line on the first layer and element that differ."""
    trace = network.trace(codes)
    original = model.model if isinstance(model, _Float64) else model
    for name, keras_name in conversion(original, network.input_format).keras_layers.items():
        if not keras_name or name not in trace:
            continue
        expected = _codes(_values(model, network, codes, keras_name), network, name).reshape(trace[name].shape)
        if not np.array_equal(expected, trace[name]):
            want, got = expected, trace[name]
            break
    else:
        name = network.layers[-1].name
    at = tuple(int(i) for i in np.argwhere(want != got)[0])
    where = ", ".join(map(str, at[1:]))
    return (
        f"gate 1: layer {name} differs first in sample {start + at[0]} at ({where}): "
        f"the model yields {float(want[at]):g}, the network {int(got[at])}, in steps of 2**{-network.formats[name].frac}"
    )
