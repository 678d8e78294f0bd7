"""Hardpoint as a backend of hls4ml: convert, write, compile, predict and build, as its users know them.

hls4ml loads `register` through the entry point `hls4ml.backends` while it is being imported itself, so nothing here
imports it before then. ::

    model = hls4ml.converters.convert_from_keras_model(
        keras_model, backend="Hardpoint", output_dir="project", array=Array(8, 8, (Guard(14),)), input_format="u8.8")
    model.compile()
    model.predict(x)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.fixed import Fixed

__all__ = ["register"]

NAME = "Hardpoint"


def register(register_backend: Callable[[str, type], None], register_writer: Callable[[str, type], None]) -> None:
    """Called by hls4ml: makes the backend known. Its projects are written by `hardpoint.hls.emit`, so there is no writer."""
    register_backend(NAME, _backend())


def _backend() -> type:
    """The backend's class, whose base exists once hls4ml is being imported."""
    from hls4ml.backends.backend import Backend
    from hls4ml.backends.fpga.fpga_backend import FPGABackend
    from hls4ml.model.flow import register_flow

    class HardpointBackend(Backend):  # type: ignore[misc]
        """hls4ml's view of Hardpoint; the graph stays as the front end parsed it."""

        def __init__(self) -> None:
            super().__init__(NAME)
            self._flow = register_flow("parsed", [], requires=[], backend=NAME)

        def get_default_flow(self) -> str:
            return str(self._flow)

        def create_layer_class(self, layer_class: type) -> type:
            return layer_class

        def convert_precision_string(self, precision: Any) -> Any:
            return FPGABackend.convert_precision_string(precision)

        def create_initial_config(
            self,
            array: Array | str | os.PathLike[str] | None = None,
            input_format: Fixed | str | None = None,
            q_scale: int = 0,
            core: str = "rtl",
            **_: Any,
        ) -> dict[str, Any]:
            """What `convert_from_keras_model` takes: `array` (or its file; 8 x 8 by default), the format of the model's
            input where the model does not quantise it itself, `q_scale` to check, and what the core is built from."""
            from hardpoint.hls.keras_env import hls4ml

            hls4ml()  # its Keras 2 reader, which QKeras models need
            made = Array(8, 8) if array is None else array if isinstance(array, Array) else Array.load(array)
            fmt = Fixed.parse(input_format) if isinstance(input_format, str) else input_format
            return {"Array": made, "InputFormat": fmt, "QScale": q_scale, "Core": core}

        def write(self, model: Any) -> None:
            """Write the HLS project, and the network beside it."""
            from hardpoint.hls.emit import write_project

            config, made = model.config.config, _converted(model)
            write_project(
                made.network, config["Array"], config["OutputDir"], core=config["Core"], name=config["ProjectName"]
            )
            made.network.save(Path(config["OutputDir"]) / "network.npz")

        def compile(self, model: Any) -> str:
            """Compile core and shell; returns the library."""
            from hardpoint.hls.compile import build

            config = model.config.config
            config["Library"] = str(build(config["Array"], Path(config["OutputDir"]) / "library"))
            return str(config["Library"])

        def predict(self, model: Any, x: Any) -> NDArray[np.float64]:
            """Outputs of the compiled accelerator for real inputs, by the model's last activation where the host has it."""
            from hardpoint.hls.compile import infer

            config, made = model.config.config, _converted(model)
            if "Library" not in config:
                raise InputError("compile the model before it predicts")
            network = made.network
            codes = network.input_format.quantise(np.asarray(x).reshape(-1, *network.input_shape))
            outputs = infer(config["Library"], network, config["Array"], codes)
            values = _on_host(made.dropped, network.formats[network.layers[-1].name].value(outputs))
            return values[0] if len(values) == 1 else values

        def build(self, model: Any, **choices: Any) -> dict[str, Any]:
            """Run the vendor's tools on the written project (`hardpoint.hls.build.build` takes `choices`)."""
            from hardpoint.hls.build import build

            folder = Path(model.config.config["OutputDir"])
            return build(folder, choices.pop("out", folder / "bitstreams"), **choices).table()

    return HardpointBackend


def _converted(model: Any) -> Any:
    """The `Conversion` of an hls4ml model, made once."""
    from hardpoint.hls.conversion import conversion

    config = model.config.config
    if "KerasModel" not in config:
        raise InputError("the Hardpoint backend converts Keras models with QKeras quantisers")
    if "Conversion" not in config:
        config["Conversion"] = conversion(
            config["KerasModel"], config["InputFormat"], q_scale=config["QScale"], name=config["ProjectName"]
        )
    return config["Conversion"]


def _on_host(dropped: tuple[str, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The activation that the accelerator leaves to the host.

    >>> _on_host(("softmax",), np.array([[0.0, 0.0]])).tolist(), _on_host(("sigmoid",), np.array([[0.0]])).tolist()
    ([[0.5, 0.5]], [[0.5]])
    """
    kind = dropped[0].lower() if dropped else ""
    if kind == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.asarray(1 / (1 + np.exp(-values))) if kind == "sigmoid" else values
