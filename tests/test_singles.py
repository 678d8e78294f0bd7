"""Single faults: each alone, classified as the literal run is, weighed by what they stand for, the same whoever plays them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.draw import draw_single
from hardpoint.errors import InputError
from hardpoint.faults import SITES, FaultList, population
from hardpoint.host.emulator import Emulator
from hardpoint.host.neurons import NeuronInjector
from hardpoint.host.outcomes import CORRECTED, CRITICAL, MASKED, TOLERABLE
from hardpoint.host.singles import APART, Singles, ask, run_singles
from hardpoint.host.store import Store
from hardpoint.layers import Codes

ARRAY = Array(4, 4, (Guard(), Guard(12)), (0, 1, 1, 1))
NETWORK = small_network(1)


def data(images: int = 12) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).integers(0, 256, (images, 6, 6, 2))
    return x, NETWORK(x).argmax(axis=1)


def engine(batch: int = 256) -> Emulator:
    return Emulator(NETWORK, ARRAY, batch)


class Plain:
    """An engine that only runs lists."""

    network, array = NETWORK, ARRAY

    def run(self, x: object, faults: FaultList | None = None) -> Codes:
        return engine().run(x, faults)


def test_every_flip_is_alone_and_classified() -> None:
    x, labels = data()
    result = run_singles(engine(5), x, labels, 400, seed=3)
    trials, golden = result.trials, NETWORK(x)
    assert np.array_equal(trials.faults, draw_single(ARRAY, NETWORK, len(x), 400, 3))
    for i in range(0, 400, 7):
        fault = trials.faults[i : i + 1].copy()
        image = int(fault["image"][0])
        fault["image"] = 0
        outputs, voted = engine().observe(x[image : image + 1], FaultList.of(fault, ARRAY, NETWORK, 1))
        same = np.array_equal(outputs[0], golden[image])
        expected = CORRECTED if same and voted[0] else MASKED if same else TOLERABLE
        if not same and outputs[0].argmax() != golden[image].argmax():
            expected = CRITICAL
        assert trials.outcomes[i] == expected
        assert trials.correct[i] == (outputs[0].argmax() == labels[image])
    assert sum(result.overall.outcomes.values()) == 400
    assert result.overall.critical.mean == (trials.outcomes == CRITICAL).mean()
    assert result.population == 12 * sum(population(ARRAY, NETWORK).values())


def test_groups_tell_apart_what_was_struck() -> None:
    result = run_singles(engine(), *data(), 6000, seed=1)
    faults, outcomes = result.trials.faults, result.trials.outcomes
    for name, groups in result.groups.items():
        assert sum(group.trials for group in groups) == 6000, name
        assert sum(group.share for group in groups) == pytest.approx(1)
    for group in result.groups["bit"]:
        here = (faults["site"] == SITES.index(group.place["site"])) & (faults["bit"] == group.place["bit"])
        assert group.outcomes["critical"] == (outcomes[here] == CRITICAL).sum()
        assert group.critical.low <= group.critical.mean <= group.critical.high
    guards = {group.place["guard"]: group for group in result.groups["guard"]}
    assert set(guards) == {"none", "12"}
    assert guards["none"].outcomes["corrected"] == 0 < guards["12"].outcomes["corrected"]
    assert guards["12"].sdc.high < guards["none"].sdc.low, "what guards are for"
    assert len(result.groups["pe"]) == 16


def test_strata_have_as_many_trials_and_their_own_weight() -> None:
    x, labels = data()
    uniform = run_singles(engine(), x, labels, 30_000, seed=1)
    result = run_singles(engine(), x, labels, 14_000, seed=2, strata=("layer", "site"))
    assert {group.trials for group in result.strata} == {1000}
    assert len(result.strata) == 14
    total = sum(population(ARRAY, NETWORK).values())
    for group in result.groups["site"]:
        assert group.share == pytest.approx(population(ARRAY, NETWORK)[group.place["site"]] / total)
    for a, b in ((uniform.overall.sdc, result.overall.sdc), (uniform.overall.critical, result.overall.critical)):
        assert max(a.low, b.low) < min(a.high, b.high), "the same quantity"
    unweighted = float((result.trials.outcomes >= TOLERABLE).mean())
    assert not result.overall.sdc.low < unweighted < result.overall.sdc.high, "strata are not pooled"
    assert result.trials.weight.sum() == pytest.approx(1)
    first, second = (result.trials.faults[result.trials.stratum == i] for i in (0, 1))
    assert not np.array_equal(first["tile"], second["tile"]), "strata draw independently"


def test_site_weights_move_the_population() -> None:
    only = {site: float(site in ("acc", "drain")) for site in SITES}
    result = run_singles(engine(), *data(), 2000, weights=only)
    assert {group.place["site"] for group in result.groups["site"]} == {"acc", "drain"}
    assert "acc weighted 1" in result.campaign.says
    twice = run_singles(engine(), *data(), 3000, weights={"acc": 3.0}, strata=("site",))
    plain = run_singles(engine(), *data(), 3000, strata=("site",))
    share = {r: next(g.share for g in found.groups["site"] if g.place["site"] == "acc") for r, found in (("w", twice), ("p", plain))}
    assert share["w"] == pytest.approx(3 * share["p"] / (1 + 2 * share["p"]))


def test_tables_are_byte_equal_whoever_plays(tmp_path: Path) -> None:
    x, labels = data()
    asked: Any = {"trials": 3000, "seed": 5, "strata": ("layer",)}
    tables = []
    for batch, jobs, stored in ((256, 1, False), (1, 1, True), (7, 2, True)):
        run = run_singles(engine(batch), x, labels, jobs=jobs, store=tmp_path / f"{batch}.db" if stored else None, **asked)
        run.save(tmp_path / "t.json")
        tables.append((tmp_path / "t.json").read_bytes())
    assert len(set(tables)) == 1
    plain = run_singles(Plain(), x, labels, 300, 5)  # type: ignore[arg-type]
    whole = run_singles(engine(), x, labels, 300, 5)
    assert plain.overall.sdc == whole.overall.sdc
    assert plain.accuracy == whole.accuracy


def test_what_is_stored_is_not_played_again(tmp_path: Path) -> None:
    x, labels = data()
    path = tmp_path / "s.db"
    run_singles(engine(), x, labels, 500, store=path)

    class Counting(Emulator):
        played = 0

        def observe_each(self, x: Any, flips: Any) -> Any:
            Counting.played += len(flips)
            return super().observe_each(x, flips)

    Counting.__name__ = "Emulator"
    result = run_singles(Counting(NETWORK, ARRAY), x, labels, 800, store=path)
    assert Counting.played == 300
    assert result.table() == run_singles(engine(), x, labels, 800).table()
    fewer = run_singles(Counting(NETWORK, ARRAY), x, labels, 200, store=path)
    assert Counting.played == 300
    assert fewer.table() == run_singles(engine(), x, labels, 200).table()
    assert len(Store(path).campaigns()) == 1


@pytest.mark.pc  # thousands of trials: minutes where nothing is compiled
def test_single_campaigns_stop_once_they_know_enough() -> None:
    x, labels = data()
    alone = run_singles(engine(), x, labels, 50_000, 4, until_error=0.02)
    assert len(alone.trials) < 50_000
    assert len(alone.trials) % 256 == 0
    interval = alone.overall.critical
    assert (interval.high - interval.low) / 2 <= 0.02 + 1e-12
    assert {group.sdc.method for group in alone.groups["site"]} == {"confidence sequence over flips"}
    assert run_singles(engine(), x, labels, 50_000, 4, until_error=0.02, jobs=2).table() == alone.table()


def test_a_plan_knows_the_population(tmp_path: Path) -> None:
    x, labels = data()
    asked = ask(engine(), x, labels, 3000, 0, (), None, 0.95)
    ready = Singles(engine(), x, labels, asked, tmp_path / "s.db")
    plan = ready.plan(error=0.02)
    assert plan.population == 12 * sum(population(ARRAY, NETWORK).values())
    assert plan.needed == 2399, "2401 of an infinite population"
    assert 0 < plan.missing < 3000
    assert ready.run().table() == run_singles(engine(), x, labels, 3000).table()
    json.dumps(plan.table())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"trials": 0}, "at least 1 trial and 1 image, not 0 and 12"),
        ({"trials": 5, "strata": ("channel",)}, "strata are by layer, by site or by both, not 'channel'"),
        ({"trials": 5, "weights": dict.fromkeys(SITES, 0.0)}, "there is nothing to strike"),
        ({"trials": 5, "weights": {"acc": -1}}, "the weight of site class acc must be a finite number from 0, not -1"),
        ({"trials": 5, "until_error": 0.1, "strata": ("site",)}, "it cannot stop at an error"),
        ({"trials": 14 * APART + 14, "strata": ("layer", "site")}, "a stratum has at most 1048576 trials"),
        ({"trials": 5, "confidence": 1.0}, "a confidence lies between 0 and 1, not 1.0"),
    ],
)
def test_bad_questions_are_named(asked: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_singles(engine(), *data(), **asked)


def test_neurons_have_no_sites() -> None:
    with pytest.raises(InputError, match="the neuron convention has none"):
        run_singles(NeuronInjector(NETWORK), *data(), 5)
