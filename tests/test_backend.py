"""Hardpoint as hls4ml's users meet it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_build import Vendor

from hardpoint.array import Array, Guard
from hardpoint.bitstream import Bitstream
from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.network import Network

FMT = Fixed(8, 8, False)
ARRAY = Array(3, 4, (Guard(), Guard(12, True, True)), (1, 1, 0, 0))


@pytest.fixture(scope="module")
def library() -> Any:
    pytest.importorskip("hls4ml", reason="the backend is hls4ml's")
    from hardpoint.hls.keras_env import hls4ml

    return hls4ml()


@pytest.fixture(scope="module")
def model(library: Any) -> Any:
    from hardpoint.hls.keras_env import keras, qkeras

    bits, layers = qkeras().quantized_bits, keras().layers
    quantised = {"kernel_quantizer": bits(8, 0, alpha=1.0), "bias_quantizer": bits(8, 0, alpha=1.0)}
    made = keras().Sequential(
        [
            keras().Input((6, 6, 1)),
            qkeras().QConv2D(4, 3, name="conv", **quantised),
            qkeras().QActivation(qkeras().quantized_relu(8, 2), name="relu"),
            layers.Flatten(),
            qkeras().QDense(3, name="dense", **quantised),
            layers.Activation("softmax", name="softmax"),
        ]
    )
    rng = np.random.default_rng(3)
    made.set_weights([rng.normal(0, 0.3, part.shape) for part in made.get_weights()])
    return made


@pytest.fixture
def converted(library: Any, model: Any, tmp_path: Path) -> Any:
    return library.converters.convert_from_keras_model(
        model,
        output_dir=str(tmp_path / "project"),
        project_name="digits",
        backend="Hardpoint",
        array=ARRAY,
        input_format="u8.8",
    )


def test_hls4ml_knows_the_backend(library: Any) -> None:
    assert "hardpoint" in library.backends.get_available_backends()


def test_predictions_equal_the_model_s(converted: Any, model: Any) -> None:
    x = np.random.default_rng(4).integers(0, 256, (20, 6, 6, 1)) / 256
    converted.compile()
    outputs = converted.predict(x)
    assert outputs.shape == (20, 3)
    assert np.allclose(outputs, model.predict(x, verbose=0), atol=1e-6), "softmax is the only thing computed in floats"
    assert converted.predict(x[:1]).shape == (3,)


def test_writing_gives_a_project_and_the_network(converted: Any, tmp_path: Path) -> None:
    converted.write()
    table = json.loads((tmp_path / "project" / "manifest.json").read_text())
    assert table["name"] == "digits"
    assert table["core"] == "rtl"
    assert Network.load(tmp_path / "project" / "network.npz").input_format == FMT
    converted.write()


def test_predicting_needs_compiling(converted: Any) -> None:
    with pytest.raises(InputError, match="compile the model before it predicts"):
        converted.predict(np.zeros((1, 6, 6, 1)))


def test_building_without_the_tools_says_what_is_missing(converted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    converted.write()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="building a bitstream needs the vendor's tools"):
        converted.build()


def test_building_runs_the_tools_on_the_written_project(converted: Any, tmp_path: Path) -> None:
    converted.write()
    vendor = Vendor(tmp_path, "vitis_hls", "vivado")
    vendor.made["vivado"] = {path.replace("/hardpoint.", "/digits."): text for path, text in Vendor.implemented().items()}
    vendor.save()
    table = converted.build(tools=vendor.tools)
    assert (table["name"], [call[0] for call in vendor.calls]) == ("digits", ["vitis_hls", "vivado"])
    made = Bitstream.load(tmp_path / "project" / "bitstreams" / "digits.json")
    made.check_files(tmp_path / "project" / "bitstreams")
    assert made.array == ARRAY
