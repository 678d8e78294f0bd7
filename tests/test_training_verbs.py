"""The verbs of the algorithm layer, end to end on small models: train, convert, rank."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardpoint.errors import InputError
from hardpoint.network import Network
from hardpoint.optimizer.models import convert_file, rank_file, ranking_table, train_file
from hardpoint.ranking import Ranking
from hardpoint.training.backend import load


def quiet(label: str, total: int) -> Any:
    return lambda done: None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verbs") / "m.h5"
    record = train_file(path, "digits", "mlp", 4, 6, 0, quiet, ["fc1=4:5", "fc2=3"], float_epochs=6, epochs=2, batch=None)
    assert record["recipe"]["float_epochs"] == 6
    assert record["recipe"]["batch"] == 32  # None leaves the recipe's own
    return path


def test_bits_of_single_layers(trained: Path) -> None:
    network = convert_file(trained, "digits").network
    assert [layer.weight_format.bits for layer in network.gemms] == [4, 3, 6]
    assert [layer.out.bits for layer in network.gemms] == [5, 3, 6]
    with pytest.raises(InputError, match="a layer's bits read like conv1=4 or conv1=4:8"):
        train_file(trained, "digits", "mlp", 0, 8, 0, quiet, ["fc1=4:x"])


def test_bounded_outputs_have_less_range_and_are_integers_like_others(tmp_path: Path) -> None:
    def highest(name: str, bound: float) -> list[float]:
        path = tmp_path / f"{name}.h5"
        record = train_file(path, "digits", "digits-cnn", 8, 8, 0, quiet, float_epochs=3, epochs=1, bound=bound)
        assert record["recipe"]["bound"] == bound
        made = convert_file(path, "digits", q_scale=8)
        assert made.equal == 359 * 10
        return [float(layer.out.value(layer.out.max)) for layer in made.network.gemms]

    bounded, free = highest("bounded", 0.05), highest("free", 0.0)
    assert all(a < b for a, b in zip(bounded[:-1], free[:-1], strict=True))
    with pytest.raises(InputError, match=r"a share of 0 to 0\.5 of the outputs may lie beyond their bound, not 0\.6"):
        train_file(tmp_path / "a.h5", "digits", "mlp", 8, 8, 0, quiet, bound=0.6)


def test_a_model_is_converted_on_data_or_on_random_inputs(trained: Path) -> None:
    made = convert_file(trained, "digits")
    assert made.equal == 359 * 10
    assert made.accuracy is not None
    assert made.accuracy > 0.8
    assert "3,590 outputs equal the model's on the 359 test samples of digits" in made.lines()[0]
    blind = convert_file(trained, None, input_format="u8.7")
    assert blind.network.digest == made.network.digest
    assert blind.equal == 500 * 10
    assert blind.accuracy is None
    with pytest.raises(InputError, match="its number format must be given"):
        convert_file(trained, None)


def test_a_float_model_is_quantised_only_on_request(tmp_path: Path) -> None:
    layers, keras = load().keras.layers, load().keras
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), layers.Dense(10, "relu", name="a"), layers.Dense(10, "softmax", name="b")])
    model.save(tmp_path / "f.h5")
    with pytest.raises(InputError, match=r"layer a: its weights are floats without a quantiser \(`convert --calibrate`"):
        convert_file(tmp_path / "f.h5", "digits")
    made = convert_file(tmp_path / "f.h5", "digits", calibrate=100, q_scale=9, bits=7)
    assert made.float_accuracy is not None
    assert made.accuracy is not None
    assert abs(made.float_accuracy - made.accuracy) < 0.1
    assert min(int(layer.shift.min()) for layer in made.network.gemms) >= 9
    assert {layer.weight_format.bits for layer in made.network.gemms} == {7}
    assert "of the float model" in made.lines()[1]
    wrong = keras.Sequential([keras.Input((63,)), layers.Dense(3)])
    wrong.save(tmp_path / "w.h5")
    with pytest.raises(InputError, match=r"data set digits has samples of shape \(8, 8, 1\), the model takes \(63,\)"):
        convert_file(tmp_path / "w.h5", "digits", calibrate=10)


def test_a_network_and_its_model_are_ranked_alike(trained: Path, tmp_path: Path) -> None:
    convert_file(trained, "digits").network.save(tmp_path / "n.npz")
    ranking, network = rank_file(tmp_path / "n.npz", tmp_path / "r.npz", "digits", "gradient", images=60)
    stored = Ranking.load(tmp_path / "r.npz")
    assert stored.digest == ranking.digest
    assert stored.network == Network.load(tmp_path / "n.npz").digest
    again, _ = rank_file(trained, tmp_path / "s.npz", "digits", "gradient", images=60)
    assert all(np.array_equal(a, b) for a, b in zip(ranking.neurons, again.neurons, strict=True))
    table, lines = ranking_table(ranking, network, 0.25, "layer")
    assert [row["important"] for row in table["layers"]] == [16, 8, 2]
    assert sum(row["score_share"] for row in table["layers"]) == pytest.approx(1)
    for layer, row in zip(network.gemms, table["layers"], strict=True):
        assert row["lowest_felt_column"] >= int(layer.shift.min()) - 1, "what the requantiser drops is not felt"
        best = ranking.channels(table["layers"].index(row))
        assert row["top_channels"][0] == int(np.argmax(best))
    assert len(lines) == 5


def test_an_autoencoder_is_judged_by_its_own_error(tmp_path: Path) -> None:
    record = train_file(tmp_path / "a.h5", "digits", "autoencoder", 0, 8, 0, quiet, float_epochs=3, epochs=1)
    assert record["task"] == "reconstruction"
    made = convert_file(tmp_path / "a.h5", "digits")
    assert made.equal == 359 * 64
    assert made.accuracy is None
    criterion = made.network.criterion
    assert criterion.kind == "tolerance"
    rms = (-record["accuracy"]["validation"]) ** 0.5  # an accuracy of minus the mean squared error
    step = 2.0 ** -made.network.layers[-1].out.frac
    assert abs(criterion.bound * step - rms) <= step
    assert "criterion: tolerance" in made.lines()[1]
    ranking, _ = rank_file(tmp_path / "a.h5", tmp_path / "r.npz", "digits", images=30)
    assert all(scores.max() > 0 for scores in ranking.neurons)
    assert convert_file(tmp_path / "a.h5", "digits", criterion="threshold:3").network.criterion.bound == 3
    with pytest.raises(InputError, match="a criterion reads like top1, tolerance:8 or threshold:0, not 'top1:x'"):
        convert_file(tmp_path / "a.h5", "digits", criterion="top1:x")


@pytest.mark.slow
def test_keyword_spotting_from_an_npz(tmp_path: Path) -> None:
    """A depthwise-separable network on signed features; the two words differ in which half of the features is large."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    x = rng.normal(0, 0.5, (200, 49, 10, 1))
    x[np.arange(200), 10 + 20 * y] += 2
    np.savez(tmp_path / "words.npz", x=x.astype(np.float32), y=y)
    data = f"kws={tmp_path / 'words.npz'}"
    record = train_file(tmp_path / "k.h5", data, "ds-cnn", 6, 8, 0, quiet, float_epochs=2, epochs=1)
    assert record["input_format"].startswith("s8.")
    made = convert_file(tmp_path / "k.h5", data, q_scale=6)
    assert made.equal == 40 * 2
    assert made.accuracy == record["accuracy"]["test"]
    assert sum(layer.depthwise for layer in made.network.gemms if hasattr(layer, "depthwise")) == 4
