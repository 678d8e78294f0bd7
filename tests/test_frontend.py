"""Conversion of models to integers and the gate behind it: equal in every output, or refused by name."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.hls.frontend import conversion, convert, gate1, inexact_layers, load_model
from hardpoint.layers import Dense, MaxPool, Rescale
from hardpoint.network import Network
from hardpoint.training.architecture import Widths, constrained
from hardpoint.training.backend import load
from hardpoint.training.build import calibrated, float_model, folded_weights, quantised_model, set_weights
from hardpoint.training.models import MODELS, architecture
from hardpoint.training.post_training import quantised_after_training

REAL = Path(__file__).resolve().parents[2] / "shared/real/models"
SHAPES = {"digits-cnn": (8, 8, 1), "ds-cnn": (49, 10, 1), "resnet8": (32, 32, 3), "vgg-small": (32, 32, 3), "autoencoder": (640,)}
U8 = Fixed(8, 8, signed=False)
RNG = np.random.default_rng(0)


def chain(*layers: Any, shape: tuple[int, ...] = (6, 6, 2)) -> Any:
    """A Keras model of these layers, with random weights within their quantisers' reach."""
    keras = load().keras
    model = keras.Sequential([keras.Input(shape), *layers])
    model.set_weights([RNG.normal(0, 0.4, w.shape) if w.ndim > 1 else RNG.normal(0.5, 0.3, w.shape) for w in model.get_weights()])
    return model


def bits(width: int = 8, integer: int = 0, **more: Any) -> Any:
    return load().qkeras.quantized_bits(width, integer, **{"alpha": 1.0, **more})


def relu(width: int = 8, integer: int = 2, **more: Any) -> Any:
    return load().qkeras.quantized_relu(width, integer, **more)


def q() -> Any:
    return load().qkeras


def layers() -> Any:
    return load().keras.layers


def equal(model: Any, fmt: Fixed | None = U8, samples: int = 200) -> Network:
    network = convert(model, fmt)
    source = network.input_format
    x = RNG.integers(source.min, source.max + 1, (samples, *network.input_shape))
    assert gate1(model, network, x) == samples * network(x[:1]).size
    return network


def dense(units: int = 5, **more: Any) -> Any:
    return q().QDense(units, **{"kernel_quantizer": bits(), "bias_quantizer": bits(12, 3), **more})


def conv(filters: int = 4, size: int = 3, **more: Any) -> Any:
    return q().QConv2D(filters, size, **{"kernel_quantizer": bits(), "bias_quantizer": bits(12, 3), **more})


def act(quantiser: Any) -> Any:
    return q().QActivation(quantiser)


# every architecture ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("vgg-small", "ds-cnn")])
@pytest.mark.parametrize(("width", "q_scale"), [(8, 8), (3, 4)])
def test_every_architecture_converts_with_gate_1_equal(name: str, width: int, q_scale: int) -> None:
    _architecture_is_equal(name, width, q_scale, 120)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [2, 4, 6, 8])
def test_every_architecture_converts_with_gate_1_equal_on_500_images(name: str, width: int) -> None:
    _architecture_is_equal(name, width, 0, 500)


def _architecture_is_equal(name: str, width: int, q_scale: int, samples: int) -> None:
    made = architecture(name, SHAPES.get(name, (28, 28, 1)), 10)
    floats = float_model(made)
    for layer in floats.layers:
        if layer.name.endswith("_norm"):
            n = layer.get_weights()[0].shape
            layer.set_weights([RNG.uniform(0.5, 1.5, n), RNG.normal(0, 0.3, n), RNG.normal(0, 0.3, n), RNG.uniform(0.5, 2, n)])
    codes = RNG.integers(0, 256, (samples, *made.input_shape))
    formats = constrained(made, U8, calibrated(made, floats, U8.value(codes[:50]).astype(np.float32), {}, Widths(width, width)), q_scale)
    model = quantised_model(made, U8, formats)
    set_weights(made, model, formats, folded_weights(made, floats))
    network = convert(model, U8, q_scale=q_scale)
    assert gate1(model, network, codes) == samples * network(codes[:1]).size
    assert all(layer.shift.min() >= q_scale for layer in network.gemms)
    assert len(np.unique(network(codes))) > 1


# what the integers can express ----------------------------------------------------------------------------------------


def test_power_of_two_scales_per_channel() -> None:
    network = equal(chain(conv(kernel_quantizer=bits(4, 0, alpha="auto_po2")), act(relu()), layers().Flatten(), dense(), act(bits(8, 3))))
    first = network.gemms[0]
    assert network.gemms[0].weight.shape == (3, 3, 2, 4)
    assert np.abs(first.weight).max() <= 8


def test_channels_with_different_scales_shift_differently() -> None:
    model = chain(conv(kernel_quantizer=bits(4, 0, alpha="auto_po2")), act(relu()), layers().Flatten(), dense(), act(bits(8, 3)))
    kernel, bias, *rest = model.get_weights()
    model.set_weights([kernel * np.array([1, 0.25, 0.1, 3], np.float32), bias, *rest])
    assert len(set(equal(model).gemms[0].shift.tolist())) > 1


@pytest.mark.parametrize("kernel", ["binary(alpha=1)", "ternary(alpha=1)", "quantized_po2(4)", "binary()", "ternary()"])
def test_binary_ternary_and_power_of_two_weights(kernel: str) -> None:
    network = equal(chain(layers().Flatten(), dense(8, kernel_quantizer=kernel), act(relu()), dense(kernel_quantizer=kernel), act(bits(8, 5))))
    codes = np.unique(np.abs(network.gemms[0].weight))
    assert all(code & (code - 1) == 0 for code in codes.tolist())


def test_folded_batch_normalisation() -> None:
    folded = q().QConv2DBatchnorm(4, 3, kernel_quantizer=bits(8, 2), bias_quantizer=bits(12, 4), folding_mode="ema_stats_folding")
    model = chain(folded, act(relu()), layers().Flatten(), dense(), act(bits(8, 3)))
    folded.batchnorm.moving_variance.assign([0.5, 1.0, 2.0, 1.5])
    folded.batchnorm.moving_mean.assign([0.1, 0.0, -0.2, 0.3])
    equal(model)


def test_activations_inside_layers_and_a_softmax_that_stays_on_the_host() -> None:
    model = chain(layers().Flatten(), dense(8, activation=relu()), dense(activation=bits(8, 3)), layers().Activation("softmax"))
    assert [type(layer).__name__ for layer in equal(model).layers] == ["Dense", "Dense"]
    inside = chain(layers().Flatten(), dense(8, activation=relu()), dense(activation="softmax"))
    network = equal(inside)
    assert network.layers[-1].out.frac == network.layers[0].out.frac + 7
    assert convert(chain(layers().Flatten(), dense(1, activation="sigmoid")), U8).criterion.kind == "threshold"


def test_a_pool_before_its_activation() -> None:
    model = chain(conv(), layers().MaxPooling2D(2), act(relu()), layers().Flatten(), dense(), act(bits(8, 3)))
    assert [type(layer) for layer in equal(model).layers][1] is MaxPool
    equal(chain(conv(), act(bits(8, 2)), layers().MaxPooling2D(3, 2, "same"), layers().Flatten(), dense(), act(bits(8, 3))))


def test_a_model_that_quantises_its_input_says_its_format() -> None:
    model = chain(act(relu(4, 0)), layers().Flatten(), dense(), act(bits(8, 3)))
    assert str(equal(model, None).input_format) == "u4.4"


def test_an_activation_finer_than_its_accumulator() -> None:
    model = chain(layers().Flatten(), dense(kernel_quantizer=bits(2, 1), bias_quantizer=bits(2, 1)), act(relu(8, 0)), shape=(4,))
    assert isinstance(equal(model, Fixed(2, 1, False)).layers[-1], Rescale)


def test_depthwise_padding_strides_averages_and_activations_of_activations() -> None:
    depth = q().QDepthwiseConv2D(3, 2, "same", depthwise_quantizer=bits(6), bias_quantizer=bits(12, 3))
    equal(
        chain(
            layers().ZeroPadding2D(((1, 2), (0, 1))), conv(strides=2), act(relu()), depth, act(bits(8, 3)), act(relu(5, 1)),
            layers().AveragePooling2D(2), act(relu(6, 1)), layers().Flatten(), dense(), act(bits(8, 3)), shape=(15, 16, 2),
        )
    )  # fmt: skip
    equal(chain(conv(padding="same"), act(relu()), layers().GlobalAveragePooling2D(), dense(), act(bits(8, 3)), shape=(8, 8, 2)))


def test_residual_addition_of_different_formats() -> None:
    keras = load().keras
    x = keras.Input((6, 6, 2))
    a = act(bits(8, 3))(conv(2, padding="same")(x))
    b = act(relu(6, 1))(conv(2, padding="same")(x))
    y = dense()(layers().Flatten()(act(relu(8, 2))(layers().Add()([a, b]))))
    model = keras.Model(x, act(bits(8, 4))(y))
    model.set_weights([RNG.normal(0, 0.4, w.shape) for w in model.get_weights()])
    equal(model)


def test_a_dense_layer_on_an_image_works_on_its_pixels() -> None:
    equal(chain(dense(3), act(relu()), layers().Flatten(), dense(), act(bits(8, 3))))


def test_scaled_activations() -> None:
    equal(chain(conv(), act(bits(8, 2, alpha=0.25)), layers().Flatten(), dense(bias_quantizer=bits(9, 0)), act(bits(8, 3))))


# what they cannot -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: [layers().Flatten(), dense(kernel_quantizer=bits(4, 0, alpha="auto", symmetric=1), name="d")], "layer d: its weights are quantised by quantized_bits with alpha 'auto'"),
        (lambda: [layers().Flatten(), dense(kernel_quantizer=bits(8, 0, alpha=0.3), name="d")], "layer d: its weights are quantised by quantized_bits with alpha 0.3"),
        (lambda: [layers().Flatten(), dense(kernel_quantizer=bits(use_stochastic_rounding=True), name="d")], "layer d: quantized_bits rounds stochastically"),
        (lambda: [layers().Flatten(), layers().Dense(3, name="d")], "layer d: its weights are floats without a quantiser"),
        (lambda: [layers().Flatten(), dense(bias_quantizer=None, name="d")], "layer d: the bias of channel \\d lies between the accumulator's steps of 2\\*\\*-15, and 8-bit weights leave no room for finer ones; it is not quantised"),
        (lambda: [layers().Flatten(), dense(bias_quantizer=bits(20, 1), name="d")], "leave no room for finer ones; it is quantised by quantized_bits"),
        (lambda: [conv(name="c"), q().QActivation(relu(negative_slope=0.25), name="r")], "layer r: a leaky quantized_relu"),
        (lambda: [conv(), q().QActivation("quantized_tanh(8)", name="r")], "layer r: an activation quantized_tanh is no rounding of integers"),
        (lambda: [conv(), q().QActivation(bits(symmetric=1), name="r")], "layer r: a symmetric activation"),
        (lambda: [conv(), q().QActivation(bits(alpha=0.3), name="r")], r"layer r: a scale \(alpha\) of 0.3 is no power of two"),
        (lambda: [conv(), q().QActivation(bits(alpha="auto", symmetric=1), name="r")], "layer r: an activation whose scale follows the data"),
        (lambda: [conv(), layers().ReLU(6, name="r"), act(relu())], "layer r: a ReLU with max_value 6"),
        (lambda: [conv(dilation_rate=2, name="c"), act(relu())], "layer c: a dilation of"),
        (lambda: [conv(name="c"), dense(name="d")], "layer d: its input, the sums of c, must be quantised by an activation first"),
        (lambda: [conv(), act(relu()), layers().AveragePooling2D(3, name="p")], "layer p: it averages 3 x 3 = 9 values"),
        (lambda: [conv(), layers().BatchNormalization(name="b"), act(relu())], "layer b: batch normalisation multiplies by floats"),
        (lambda: [conv(), act(relu()), layers().UpSampling2D(2, name="u")], "layer u: a layer UpSampling2D is not supported"),
        (lambda: [conv(), act(relu()), layers().Permute((2, 1, 3), name="u")], "layer u: a layer Transpose is not supported"),
        (lambda: [conv(), act(relu()), layers().Lambda(lambda x: x, name="u")], "Lambda"),
        (lambda: [conv(), layers().Softmax(name="s"), act(relu())], "stays on the host"),
    ],
)  # fmt: skip
def test_what_integers_cannot_express_is_refused_by_name(build, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        convert(chain(*build()), U8)
    assert "\n" not in str(error.value)


def test_a_missing_input_format() -> None:
    with pytest.raises(InputError, match="does not quantise its input, so its number format must be given"):
        convert(chain(layers().Flatten(), dense()))


def test_a_constraint_that_the_model_does_not_meet() -> None:
    model = chain(layers().Flatten(), dense(4), act(relu()), dense(), act(bits(8, 3)))
    with pytest.raises(InputError, match="shifts by 9, less than the network's q_scale of 10"):
        convert(model, U8, q_scale=10)


# the gate ---------------------------------------------------------------------------------------------------------------


def test_the_gate_names_the_first_layer_and_element_that_differ() -> None:
    model = chain(conv(name="c1"), act(relu()), conv(3, name="c2"), act(relu()), layers().Flatten(), dense(name="d"), act(bits(8, 3)))
    network = convert(model, U8)
    at = next(i for i, layer in enumerate(network.layers) if layer.name == "c2")
    bias = network.layers[at].bias.copy()
    bias[1] += 1 << 12
    wrong = dataclasses.replace(network, layers=(*network.layers[:at], dataclasses.replace(network.layers[at], bias=bias), *network.layers[at + 1 :]))
    x = RNG.integers(0, 256, (30, 6, 6, 2))
    with pytest.raises(InputError, match=r"gate 1: layer c2 differs first in sample \d+ at \(\d, \d, 1\): the model yields"):
        gate1(model, wrong, x)


def test_beyond_24_bits_the_model_runs_in_float64_and_says_so() -> None:
    model = chain(
        layers().Flatten(), dense(4, kernel_quantizer=bits(12, 0), bias_quantizer=bits(22, 3), name="wide"), act(relu(12, 8)), dense(), act(bits(12, 9)),
        shape=(600,),
    )  # fmt: skip
    model.set_weights([np.abs(w) * 2 if i == 0 else w for i, w in enumerate(model.get_weights())])
    fmt = Fixed(12, 12, False)
    network = convert(model, fmt)
    assert inexact_layers(network)[0] == "wide"
    said: list[str] = []
    x = RNG.integers(0, 4096, (400, 600))
    assert gate1(model, network, x, said.append) == 400 * 5
    assert said == [f"sums of {', '.join(inexact_layers(network))} may exceed 2**24: the model runs in float64"]


def test_conversion_knows_which_keras_layer_each_layer_equals() -> None:
    model = chain(layers().Flatten(), dense(4, name="a", activation=relu()), dense(name="b"), q().QActivation(bits(8, 3), name="out"))
    assert conversion(model, U8).keras_layers == {"a": "a", "b": "out"}


# other people's models --------------------------------------------------------------------------------------------------


def test_quantisation_after_training_folds_batch_normalisation_and_stays_close() -> None:
    keras = load().keras
    model = chain(
        layers().Conv2D(4, 3, use_bias=False), layers().BatchNormalization(), layers().ReLU(), layers().MaxPooling2D(2), layers().Dropout(0.5),
        layers().Flatten(), layers().Dense(3, activation="softmax"),
    )  # fmt: skip
    norm = model.layers[1]
    norm.set_weights([np.array(v) for v in ([1, 0.5, 2, 1], [0, 0.1, 0.2, 0], [0.1, 0, 0, 0.3], [1, 0.5, 2, 1])])
    x = RNG.integers(0, 256, (300, 6, 6, 2))
    quantised, formats = quantised_after_training(model, U8, x)
    network = equal(quantised)
    logits = keras.Model(model.input, model.layers[-1].input)
    kernel, bias = model.layers[-1].get_weights()
    want = np.asarray(logits(U8.value(x).astype(np.float32))) @ kernel + bias
    got = network.formats[network.layers[-1].name].value(network(x))
    assert np.abs(want - got).max() < 0.1 * np.abs(want).max()
    assert set(formats) == {layer.name for layer in network.gemms}


def test_what_cannot_be_quantised_after_training() -> None:
    x = RNG.integers(0, 256, (10, 6, 6, 2))
    with pytest.raises(InputError, match="layer e: an activation elu cannot be quantised after training"):
        quantised_after_training(chain(layers().Flatten(), layers().Dense(3, activation="elu", name="e")), U8, x)
    with pytest.raises(InputError, match="at least one sample"):
        quantised_after_training(chain(layers().Flatten(), layers().Dense(3)), U8, x[:0])


FLOATS = "its weights are floats without a quantiser"
EQUAL = ""  # converts, and every output is equal
# Every model of the folder: its weights' file, the input's format (where the model has none of its own), what is said of it.
MODELS_OF_OTHERS: dict[str, tuple[str, str, str]] = {
    "example-models/KERAS_1layer.json": ("KERAS_1layer_weights.h5", "s8.5", f"layer fc1_relu: {FLOATS}"),
    "example-models/KERAS_3layer.json": ("KERAS_3layer_weights.h5", "s8.5", f"layer fc1_relu: {FLOATS}"),
    "example-models/KERAS_3layer_batch_norm.json": ("KERAS_3layer_batch_norm_weights.h5", "s8.5", f"layer fc1_relu: {FLOATS}"),
    "example-models/KERAS_3layer_ternary_small.json": ("KERAS_3layer_ternary_small_weights.h5", "s8.5", "Unknown layer: 'TernaryDense'"),
    "example-models/KERAS_conv1d_small.json": ("KERAS_conv1d_small_weights.h5", "s8.5", "layer conv1_relu: a layer Conv1D is not supported"),
    "example-models/KERAS_conv2d_model.json": ("KERAS_conv2d_model_weights.h5", "s8.5", f"layer conv2d_1: {FLOATS}"),
    "example-models/jetTagger_Conv2D_Small_NoBatchNorm.json": ("jetTagger_Conv2D_Small_NoBatchNorm_weights.h5", "s8.5", f"layer cnn2D_1_relu: {FLOATS}"),
    "example-models/qkeras_3layer.json": ("qkeras_3layer_weights.h5", "s8.5", EQUAL),
    "example-models/qkeras_mnist_cnn.json": ("qkeras_mnist_cnn_weights.h5", "s8.5", EQUAL),
    "example-models/qkeras_mnist_dense.json": ("qkeras_mnist_dense_weights.h5", "", EQUAL),
    "example-models/qkeras-v3_3layer.keras": ("", "s8.5", "was written by Keras 3"),
    "example-models/hgq_jet_classifier.h5": ("", "s8.5", "Unknown layer: 'FixedPointQuantizer'"),
    "example-models/hgq_mnist_heterogeneous.h5": ("", "s8.5", "Unknown layer: 'FixedPointQuantizer'"),
    "example-models/two_layer_keras.onnx": ("", "s8.5", "is a model of ONNX"),
    "example-models/three_layer_keras.onnx": ("", "s8.5", "is a model of ONNX"),
    "example-models/conv2d_small_keras.onnx": ("", "s8.5", "is a model of ONNX"),
    "hls4ml-finn-mlperftiny__AnomalyDetection__model_config__ad03__model_ToyCar.h5": ("", "s8.5", "layer batch_normalization: batch normalisation multiplies"),
    "mlcommons__tiny__image_classification__trained_models__pretrainedResnet.h5": ("", "s8.5", f"layer conv2d: {FLOATS}"),
    "mlcommons__tiny__keyword_spotting__trained_models__kws_ref_model_float32.tflite": ("", "s8.5", "is a model of TensorFlow Lite"),
    "mlcommons__tiny__image_classification__trained_models__pretrainedResnet_quant.tflite": ("", "s8.5", "is a model of TensorFlow Lite"),
    "JaviScriptGarcia__AUP-ZU3_HLS4ML__01.training__models__distilled_cnn64_v05.h5": ("", "s8.5", f"layer output: {FLOATS}"),
}  # fmt: skip


def model_of_others(file: str) -> Any:
    path, weights = REAL / file, MODELS_OF_OTHERS[file][0]
    if not path.is_file():
        pytest.skip(f"no {path}")
    return load_model(path, path.with_name(weights) if weights else None)


@pytest.mark.parametrize("file", MODELS_OF_OTHERS)
def test_models_that_others_trained_convert_or_are_refused_by_name(file: str) -> None:
    _, fmt, reason = MODELS_OF_OTHERS[file]
    if reason == EQUAL:
        equal(model_of_others(file), Fixed.parse(fmt) if fmt else None, 500)
        return
    with pytest.raises(InputError) as error:
        convert(model_of_others(file), Fixed.parse(fmt))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_no_model_of_the_folder_is_forgotten() -> None:
    index = REAL / "index.json"
    if not index.is_file():
        pytest.skip(f"no {index}")
    files = [item["file"] for item in json.loads(index.read_text())["items"]]
    models = [file for file in files if not file.endswith(("_weights.h5", ".yml", "available_models.json", "available_data_config.json"))]
    assert sorted(models) == sorted(MODELS_OF_OTHERS)


@pytest.mark.parametrize("file", [file for file, (_, _, reason) in MODELS_OF_OTHERS.items() if FLOATS in reason and "distilled" not in file])
def test_float_models_that_others_trained_are_quantised_on_request(file: str) -> None:
    model = model_of_others(file)
    fmt = Fixed(8, 5, True)
    x = RNG.integers(-128, 128, (500, *model.input.shape[1:]))
    quantised, _ = quantised_after_training(model, fmt, x[:100])
    network = convert(quantised, fmt)
    assert gate1(quantised, network, x) == 500 * network(x[:1]).size


def test_files_that_hold_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"no model")
    with pytest.raises(InputError, match="holds no Keras model that can be read") as error:
        load_model(tmp_path / "a.h5")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no model file"):
        load_model(tmp_path / "absent.h5")
    (tmp_path / "a.yml").write_text("a: 1")
    with pytest.raises(InputError, match=r"a model file is \.h5, \.hdf5, \.keras, \.json, not a\.yml"):
        load_model(tmp_path / "a.yml")


def test_dense_layers_keep_the_order_of_a_flattened_image() -> None:
    network = equal(chain(layers().Flatten(), dense(), act(bits(8, 3))))
    assert isinstance(network.layers[0], Dense)
    assert network.input_shape == (6, 6, 2)
