"""Conventions: what their units are, that nothing is mixed, and that looking early keeps intervals true."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.faults import SITES, FaultList, bit_table
from hardpoint.host.campaign import ask as ask_lists
from hardpoint.host.campaign import prepare, run_campaign
from hardpoint.host.convention import CONVENTIONS, convention, stuck_map
from hardpoint.host.emulator import Emulator
from hardpoint.host.neurons import NeuronFaults, NeuronInjector, draw_neurons, output_bits
from hardpoint.host.store import Store
from hardpoint.layers import Conv, Dense
from hardpoint.network import Network

ARRAY = Array(4, 4, (Guard(), Guard(12)), (0, 1, 1, 1))
NETWORK = small_network(1)


def data(images: int = 12) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).integers(0, 256, (images, 6, 6, 2))
    return x, NETWORK(x).argmax(axis=1)


def engine() -> Emulator:
    return Emulator(NETWORK, ARRAY)


def test_counts_strike_exactly_so_often() -> None:
    x, labels = data()
    rows = run_campaign(engine(), x, labels, [0, 3, 40], 5, how="count").rows
    assert [row.strikes for row in rows] == [0, 3, 40]
    assert rows[0].outcomes["masked"] == 60
    assert rows[2].sdc.mean > rows[1].sdc.mean > 0
    assert "so many per image" in rows[0].convention


def test_a_stuck_map_is_a_unit_whatever_its_images_are() -> None:
    x, labels = data()
    for kind in ("uniform", "clustered"):
        row = run_campaign(engine(), x, labels, [0.25], 8, seed=4, how=f"permanent {kind}").rows[0]
        assert row.strikes == 4, "a quarter of 16 PEs, one stuck bit each"
        assert row.population == 16
        assert row.units == 8
        for trial in range(3):
            chip = stuck_map(ARRAY, kind, 0.25, 4, trial)
            faults = FaultList.of(chip.faults(ARRAY), ARRAY, NETWORK, len(x))
            assert len({(bit.row, bit.col) for bit in chip.stuck}) == 4
            for bit in chip.stuck:
                assert int(bit_table(ARRAY)[SITES.index(bit.site), bit.copy, bit.row, bit.col]) >> bit.bit & 1
            outputs = engine().run(x, faults)
            unit = CONVENTIONS[f"permanent {kind}"].faults(NETWORK, ARRAY, len(x), 0.25, 4, trial, {})
            assert np.array_equal(engine().run(x, unit), outputs)
    few, many = (run_campaign(engine(), *data(n), [0.25], 8, how="permanent uniform").rows[0].accuracy for n in (12, 60))
    assert many.high - many.low > 0.5 * (few.high - few.low), "more images are not more maps"


def test_stuck_bits_follow_the_weights() -> None:
    only = {site: float(site == "acc") for site in SITES}
    sites = [bit.site for chip in range(20) for bit in stuck_map(ARRAY, "uniform", 0.5, 0, chip, only).stuck]
    assert set(sites) == {"acc"}
    with pytest.raises(InputError, match="nothing can be stuck"):
        stuck_map(ARRAY, "uniform", 0.5, 0, 0, dict.fromkeys(SITES, 0.0))


def flipped(network: Network, x: np.ndarray, faults: NeuronFaults) -> np.ndarray:
    """The same, flip by flip and image by image."""
    outputs = []
    for image in range(len(x)):
        values: dict[str, Any] = {"input": x[image : image + 1]}
        for layer in network.layers:
            codes = layer(values[layer.input], network.formats[layer.input].magnitude)  # type: ignore[union-attr]
            if isinstance(layer, (Conv, Dense)):
                fmt, flat = network.formats[layer.name], codes.reshape(-1)
                index = network.gemms.index(layer)
                for i in np.flatnonzero((faults.image == image) & (faults.layer == index)):
                    neuron, bit = int(faults.neuron[i]), int(faults.bit[i])
                    weight = -(1 << bit) if fmt.signed and bit == fmt.bits - 1 else 1 << bit
                    flat[neuron] += -weight if int(flat[neuron]) >> bit & 1 else weight
            values[layer.name] = codes
        outputs.append(codes.reshape(-1))
    return np.stack(outputs)


def test_neurons_flip_as_said() -> None:
    x, labels = data()
    faults = draw_neurons(NETWORK, len(x), 0.02, seed=5, trial=3)
    assert len(faults) > 50
    injector = NeuronInjector(NETWORK, batch=5)
    assert np.array_equal(injector.run(x, faults), flipped(NETWORK, x, faults))
    assert np.array_equal(injector.run(x), NETWORK(x))
    row = run_campaign(injector, x, labels, [0.01], 30, how="neuron").rows[0]
    assert row.population == output_bits(NETWORK) == 4 * 4 * 5 * 8 + 4 * 8
    assert row.strikes == pytest.approx(0.01 * row.population, rel=0.1)
    assert "not hardware" in row.convention
    assert row.outcomes["corrected"] == 0


def test_neuron_draws_depend_on_their_image_alone() -> None:
    few, many = draw_neurons(NETWORK, 3, 0.02, 5), draw_neurons(NETWORK, 9, 0.02, 5)
    kept = many.image < 3
    for name in ("image", "layer", "neuron", "bit"):
        assert np.array_equal(getattr(few, name), getattr(many, name)[kept])


def test_conventions_are_not_mixed(tmp_path: Path) -> None:
    x, labels = data()
    store = Store(tmp_path / "s.db")
    subjects = set()
    for how, point in (("ber", 1e-4), ("count", 1), ("permanent uniform", 0.2), ("permanent clustered", 0.2)):
        result = run_campaign(engine(), x, labels, [point], 3, how=how, store=store)
        subjects.add(result.campaign.subject)
        assert {unit.strikes for unit in store.units(result.campaign.subject, repr(float(point))).values()}
    neurons = run_campaign(NeuronInjector(NETWORK), x, labels, [1e-3], 3, how="neuron", store=store)
    assert len({*subjects, neurons.campaign.subject}) == len(store.campaigns()) == 5
    with pytest.raises(InputError, match="the neuron convention runs on the network alone, every other on an array"):
        run_campaign(engine(), x, labels, [1e-3], 3, how="neuron")
    with pytest.raises(InputError, match="the neuron convention runs on the network alone, every other on an array"):
        run_campaign(NeuronInjector(NETWORK), x, labels, [1e-3], 3)
    with pytest.raises(InputError, match="has no site classes to be weighted"):
        run_campaign(NeuronInjector(NETWORK), x, labels, [1e-3], 3, how="neuron", weights={"acc": 2})


@pytest.mark.parametrize(
    ("how", "point", "message"),
    [
        ("ber", 1.5, "a BER is a probability"),
        ("ber", float("nan"), "a BER is a probability"),
        ("count", 1.5, "a whole number from 0, not 1.5"),
        ("count", 1e9, "strikes per inference must be 0 to"),
        ("permanent uniform", 1.0, "a PE fault rate must be from 0 to below 1, not 1.0"),
        ("neutron", 1, "a convention of fault injection is ber, count, permanent uniform, permanent clustered, neuron, not 'neutron'"),
    ],
)
def test_bad_points_are_named(how: str, point: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_campaign(engine(), *data(), [point], 2, how=how)


@pytest.mark.pc  # a thousand units: minutes where nothing is compiled
def test_campaigns_stop_once_they_know_enough(tmp_path: Path) -> None:
    x, labels = data()
    asked: Any = {"seed": 2, "until_error": 0.05}
    table = run_campaign(engine(), x, labels, [1e-6, 1e-4], 400, **asked).table()
    rows = table["rows"]
    assert rows[0]["units"] < rows[1]["units"] < 400, "certain things are known sooner"
    for row in rows:
        assert (row["accuracy"]["high"] - row["accuracy"]["low"]) / 2 <= 0.05
        assert {row[rate]["method"] for rate in ("accuracy", "sdc", "critical", "due", "drop")} == {"confidence sequence over fault lists"}
    for jobs, store in ((2, None), (1, tmp_path / "s.db"), (1, tmp_path / "s.db")):
        again = run_campaign(engine(), x, labels, [1e-6, 1e-4], 400, jobs=jobs, store=store, **asked)
        assert again.table() == table, "where it stops does not depend on who plays"
    maps = run_campaign(engine(), x, labels, [0.2], 200, how="permanent uniform", until_error=0.15).rows[0]
    assert maps.units < 200
    assert maps.accuracy.method == "confidence sequence over maps"
    never = run_campaign(engine(), x, labels, [1e-4], 3, until_error=0.001).rows[0]
    assert never.units == 3
    with pytest.raises(InputError, match=r"an error to stop at lies between 0 and 0\.5, not 0\.7"):
        run_campaign(engine(), x, labels, [1e-4], 3, until_error=0.7)


def test_a_plan_says_what_it_takes(tmp_path: Path) -> None:
    x, labels = data()
    asked = ask_lists(engine(), x, labels, [1e-5, 1e-4], 6, 0, None, 0.95)
    ready = prepare(engine(), x, labels, asked, tmp_path / "s.db")
    plan = ready.plan(error=0.05)
    assert plan.needed == 33, "385 independent inferences, 12 to a list"
    assert (plan.points, plan.units, plan.missing) == (2, 6, 11), "one was played to know how long the others take"
    assert 0 < plan.seconds < 60
    assert "live site bits x steps per image" in plan.lines()[1]
    result = ready.run()
    assert result.table() == run_campaign(engine(), x, labels, [1e-5, 1e-4], 6).table()
    assert prepare(engine(), x, labels, asked, tmp_path / "s.db").plan().missing == 0
    maps = ask_lists(engine(), x, labels, [0.1], 6, 0, None, 0.95, "permanent uniform")
    assert prepare(engine(), x, labels, maps).plan(error=0.05).needed == 385, "images of a map are one draw"


def test_who_says_what_of_a_store(tmp_path: Path) -> None:
    x, labels = data()
    result = run_campaign(engine(), x, labels, [1e-4], 3, seed=9, store=tmp_path / "s.db")
    store = Store(tmp_path / "s.db")
    about = store.campaigns()[result.campaign.subject]
    assert (about["network"], about["array"], about["seed"]) == (NETWORK.digest, ARRAY.digest, 9)
    assert about["fault_model"] == "hardpoint fault model 1"
    (made,) = store.versions(result.campaign.subject)
    assert made["numpy"] == np.__version__
    assert store.points(result.campaign.subject) == ["0.0001"]


def test_a_bypassed_engine_is_another_subject() -> None:
    x, labels = data()
    bypass = np.zeros((4, 4), bool)
    bypass[1, 2] = True
    plain, other = (ask_lists(e, x, labels, [0.0], 2, 0, None, 0.95) for e in (engine(), Emulator(NETWORK, ARRAY, bypass=bypass)))
    assert plain.subject != other.subject
    assert convention("ber").population(NETWORK, ARRAY) > 0
