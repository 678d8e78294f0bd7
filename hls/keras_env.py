"""hls4ml and the Keras that it can read: the only home of the import, and of the two workarounds that it needs."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

from hardpoint.errors import InputError
from hardpoint.legacy_keras import legacy_keras

__all__ = ["hls4ml", "keras", "layer_list", "load_model", "qkeras"]

KERAS_FILES = (".h5", ".hdf5", ".keras", ".json")
FOREIGN = {
    ".onnx": "ONNX", ".tflite": "TensorFlow Lite", ".pb": "TensorFlow's SavedModel", ".pt": "PyTorch", ".pth": "PyTorch",
}  # fmt: skip


def keras() -> Any:
    """Keras 2, as QKeras and hls4ml know it."""
    return _libraries()[0]


def qkeras() -> Any:
    """QKeras."""
    return _libraries()[1]


def _libraries() -> tuple[Any, Any]:
    try:
        with legacy_keras():
            import tensorflow as tf

            tf.constant(0)  # the first operation logs, too
            import qkeras
            import tf_keras
    except ImportError as error:
        raise InputError(
            f"reading Keras models needs TensorFlow, tf-keras and qkeras: pip install 'hardpoint[train]' ({error})"
        ) from None
    return tf_keras, qkeras


def hls4ml() -> Any:
    """hls4ml, made to parse models with its Keras 2 reader."""
    # hls4ml asks the module called keras for its version, and its Keras 3 reader cannot read these models
    sys.modules["keras"] = keras()
    try:
        with legacy_keras():
            import hls4ml as library
    except ImportError as error:
        raise InputError(f"converting models needs hls4ml: pip install 'hardpoint[hls]' ({error})") from None
    return library


def layer_list(model: Any) -> list[dict[str, Any]]:
    """The model's layers as hls4ml parses them, in order, every one with its inputs by name.

    hls4ml splits the activation of a layer off into one of its own, drops Dropout, turns Flatten into Reshape, and works
    out padding; a layer that it does not know is an InputError.
    """
    hls4ml()
    from hls4ml.converters import keras_v2_to_hls as _

    reader = sys.modules["hls4ml.converters.keras_v2_to_hls"]
    try:
        layers, inputs, _, _ = reader.parse_keras_model(*reader.get_model_arch({"KerasModel": model}))
    except Exception as error:  # hls4ml raises plain Exception, and whatever an unexpected configuration trips
        message = str(error).replace("ERROR: ", "").strip().splitlines()
        raise InputError(f"hls4ml cannot parse the model: {message[0] if message else type(error).__name__}") from None
    if inputs is not None and len(inputs) != 1:
        raise InputError(f"the model has {len(inputs)} inputs; a network has one")
    before = None
    for layer in layers:
        if layer["class_name"] != "InputLayer" and not layer.get("inputs"):
            layer["inputs"] = [before]
        before = layer["name"]
    return list(layers)


def load_model(path: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None) -> Any:
    """Read a QKeras or Keras model; an InputError says what is wrong with the file.

    A model is one file (.h5, .keras), or an architecture (.json) with its `weights` (.h5).
    """
    path = Path(path)
    for file in (path, Path(weights or path)):
        if not file.is_file():
            raise InputError(f"no model file {file}")
    if path.suffix in FOREIGN:
        raise InputError(
            f"{path} is a model of {FOREIGN[path.suffix]}, whose quantisers hls4ml's Keras reader does not know; "
            "save the model from Keras 2 or QKeras, as .h5"
        )
    if path.suffix not in KERAS_FILES:
        raise InputError(f"a model file is {', '.join(KERAS_FILES)}, not {path.name}")
    if (path.suffix == ".json") != (weights is not None):
        raise InputError(f"weights are given apart for a .json architecture, and only there, not for {path.name}")
    loader = qkeras().utils.load_qmodel
    try:
        if weights is not None:
            model = qkeras().utils.quantized_model_from_json(path.read_text(encoding="utf-8"))
            model.load_weights(str(weights))
            return model
        return loader(str(path), compile=False)
    except Exception as error:  # Keras, h5py and zipfile raise a dozen types for a file that holds no model
        if version := _keras3(path):
            raise InputError(
                f"{path} was written by Keras {version}; QKeras 0.9 and hls4ml read models of Keras 2"
            ) from None
        message = (str(error).strip() or type(error).__name__).splitlines()[0].split(". Please")[0]
        raise InputError(f"{path} holds no Keras model that can be read: {message}") from None


def _keras3(path: Path) -> str:
    """The version of Keras that wrote a .keras file, if it is 3 or later."""
    try:
        with zipfile.ZipFile(path) as archive:
            version = str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return ""
    return version if version.split(".")[0] not in ("1", "2") else ""
