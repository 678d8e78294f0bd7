"""What matters most: tables, pictures and the measured ranking say what the trials say."""

import csv
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as ElementTree
import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.draw import draw_single
from hardpoint.errors import InputError
from hardpoint.host.analysis import analyse, measured_ranking
from hardpoint.host.emulator import Emulator
from hardpoint.host.outcomes import CRITICAL
from hardpoint.host.places import GROUPINGS, neuron_of
from hardpoint.host.plots import pe_map
from hardpoint.host.singles import SingleResult, run_singles
from hardpoint.network import Network
from hardpoint.ranking import Ranking

ARRAY = Array(4, 4, (Guard(), Guard(12)), (0, 1, 1, 1))
NETWORK = small_network(1)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def result() -> SingleResult:
    x = np.random.default_rng(1).integers(0, 256, (12, 6, 6, 2))
    return run_singles(Emulator(NETWORK, ARRAY), x, NETWORK(x).argmax(axis=1), 20_000, 3, strata=("layer", "site"))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_tables_say_what_the_trials_say(result: SingleResult, tmp_path: Path) -> None:
    written = analyse(result, NETWORK, ARRAY, tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    for name, groups in result.groups.items():
        table = rows(tmp_path / f"{name}.csv")
        assert [int(row["trials"]) for row in table] == [group.trials for group in groups]
        for row, group in zip(table, groups, strict=True):
            assert {key: row[key] for key in group.place} == {key: str(value) for key, value in group.place.items()}
            assert float(row["critical_low"]) == group.critical.low <= float(row["critical_rate"]) <= float(row["critical_high"])
            assert sum(int(row[outcome]) for outcome in group.outcomes) == group.trials


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_the_neuron_named_is_the_neuron_struck(dataflow: str) -> None:
    array = Array(3, 4, dataflow=dataflow)
    x = np.random.default_rng(2).integers(0, 256, (4, 6, 6, 2))
    one = Network(NETWORK.input_shape, NETWORK.input_format, NETWORK.layers[:1])  # its outputs are neurons
    flips = draw_single(array, one, len(x), 4000, 0, {"act": 0, "wgt": 0, "drain": 0})
    outputs, _ = Emulator(one, array).observe_each(x, flips)
    changed = outputs != one(x)[flips["image"]]
    assert (changed.sum(axis=1) <= 1).all()
    neuron = neuron_of(flips, one, array)
    assert (neuron >= 0).all()
    hit = changed.any(axis=1)
    assert hit.sum() > 500
    assert np.array_equal(changed[hit].argmax(axis=1), neuron[hit])


def test_the_ranking_is_what_was_measured(result: SingleResult, tmp_path: Path) -> None:
    analyse(result, NETWORK, ARRAY, tmp_path)
    ranking = Ranking.load(tmp_path / "ranking.npz")
    assert ranking.method == "injection"
    assert ranking.network == NETWORK.digest
    assert ranking.provenance["seed"] == 3
    assert [scores.shape for scores in ranking.neurons] == [(4, 4, 5), (4,)]
    trials = result.trials
    inside = neuron_of(trials.faults, NETWORK, ARRAY) >= 0
    weighted = trials.weight[inside & (trials.outcomes == CRITICAL)].sum() / trials.weight[inside].sum()
    assert sum(float(scores.sum()) for scores in ranking.neurons) == pytest.approx(weighted)
    table = rows(tmp_path / "neuron.csv")
    scores = [float(row["score"]) for row in table]
    assert scores == sorted(scores, reverse=True)
    first = table[0]
    neurons = ranking.neurons[int(first["layer"])]
    assert neurons.reshape(-1, neurons.shape[-1])[int(first["pixel"]), int(first["channel"])] == max(scores)
    assert not np.array_equal(measured_ranking(result, NETWORK, ARRAY).channels(0), np.zeros(5))


def test_guarded_columns_are_dark_on_the_map(result: SingleResult) -> None:
    table = pe_map(result, ARRAY)
    assert table.shape == (4, 4)
    assert table[:, 0].min() > table[:, 1:].max()


def test_pictures_have_axes_with_units_and_intervals(result: SingleResult, tmp_path: Path) -> None:
    analyse(result, NETWORK, ARRAY, tmp_path)
    for name, words in (
        ("layer", "array layer"),
        ("site", "site struck"),
        ("guard", "guard of the PE struck"),
        ("bit", "struck column"),
        ("pe", "column of the array"),
    ):
        root: Element = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        text = " ".join("".join(element.itertext()) for element in root.iter(f"{SVG}text"))
        assert words in text, name
        assert "(%)" in text, name
        assert "95% intervals" in text or name == "pe"
    words = " ".join("".join(element.itertext()) for element in ElementTree.parse(tmp_path / "neuron.svg").getroot().iter(f"{SVG}text"))
    assert {*(layer.name for layer in NETWORK.gemms), "pixel", "channel"} <= set(words.split())
    critical = int(((neuron_of(result.trials.faults, NETWORK, ARRAY) >= 0) & (result.trials.outcomes == CRITICAL)).sum())
    assert f"{critical:,} critical flips in accumulators" in words
    before = (tmp_path / "bit.svg").read_bytes()
    analyse(result, NETWORK, ARRAY, tmp_path)
    assert (tmp_path / "bit.svg").read_bytes() == before


def test_a_result_of_something_else_is_refused(result: SingleResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the campaign was run with network"):
        analyse(result, small_network(2), ARRAY, tmp_path)
    with pytest.raises(InputError, match="the campaign was run with array"):
        analyse(result, NETWORK, Array(4, 4), tmp_path)


def test_what_lies_outside_the_pes_has_groups_of_its_own() -> None:
    array = Array(3, 4, (Guard(12),), dataflow="ws")
    flips = draw_single(array, NETWORK, 2, 5000, 0)
    key, places = GROUPINGS["guard"](flips, array)
    names = [place["guard"] for place in places]
    assert "12" in names
    assert (key >= 0).all()
    below = flips["row"] == 3
    if below.any():
        assert {names[i] for i in np.unique(key[below])} == {"12 (accumulator row)"}
    inside, _ = GROUPINGS["pe"](flips, array)
    assert np.array_equal(inside < 0, flips["row"] >= 3)
