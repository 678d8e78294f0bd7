"""A whole search on a small problem: what it finds, how it ends, that it goes on after a stop, and that nobody need be fast."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_crew
from searching import TINY, problem
from test_build import REPORTS, Vendor
from test_crew import scheduler, worker  # noqa: F401 - a fixture

from hardpoint.cost import Cost
from hardpoint.design import Settings
from hardpoint.errors import InputError
from hardpoint.optimizer import loop
from hardpoint.optimizer.dimensions import point_of, settings_of
from hardpoint.optimizer.goal import Goal, Objective
from hardpoint.optimizer.prices import Recorded, Synthesis, Table, Tools, prices_from
from hardpoint.optimizer.study import Study
from hardpoint.optimizer.validation import rebuild, validate

pytestmark = pytest.mark.pc

LOSS = dataclasses.replace(Goal(), minimise=(Objective.parse("lut"), Objective.parse("loss")))


def hunted(tmp_path: Path, evaluations: int, name: str = "s", batch: int | None = None, **options: Any) -> tuple[Any, Study]:
    """The verdict of a search, and its study."""
    made = problem(tmp_path, **{"drop": 0.06, **options})
    study = Study(tmp_path / f"{name}.sqlite", made.asked())
    study.keep("networks", made.names)
    return made.hunt(study).run(evaluations, batch=batch), study


def ended_as_nothing_cheaper_was_left(hunt: loop.Hunt, found: Any) -> bool:
    """Whether every design of the space that is known to cost less than the found one was evaluated."""
    lut, evaluated = hunt.goal.minimise[0], {point.settings for point in hunt.study.points}
    cheaper = (point for point in hunt.space.points if hunt.known.objective(lut, point) < found.cost.lut)
    return all(settings_of(hunt.space.named(point)) in evaluated for point in cheaper)


def test_it_finds_the_cheapest_feasible_design(tmp_path: Path) -> None:
    made = problem(tmp_path, drop=0.06)
    hunt = made.hunt(Study(tmp_path / "all.sqlite", made.asked()))
    every = [hunt.evaluator(settings_of(hunt.space.named(point))) for point in hunt.space.points]
    feasible = [point for point in every if point.feasible]
    assert 3 <= len(feasible) < len(every) - 3, "the problem says nothing"
    optimum = min(point.cost.lut for point in feasible)
    verdict, study = hunted(tmp_path, 20)
    assert verdict.found.feasible
    assert verdict.found.cost.lut <= 1.02 * optimum
    assert len(study.points) < 20, "it went on though nothing cheaper was left"
    assert verdict.complete
    assert ended_as_nothing_cheaper_was_left(made.hunt(study), verdict.found)
    assert verdict.table()["verdict"] == "found"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_stopped_search_goes_on_with_the_same_proposals(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = hunted(tmp_path, 13, "whole", batch, goal=LOSS)
    expected = [point.settings for point in whole.points]
    made = problem(tmp_path, drop=0.06, goal=LOSS)
    cut = Study(tmp_path / "cut.sqlite", made.asked())
    kept = whole.points[:9] + whole.points[10:11]  # killed within a batch, of which the second was ready first
    for point in kept if batch == 3 else whole.points[:10]:
        cut.append(point)
    again: list[Settings] = []
    evaluate = loop.Work.chunk

    def watched(self: loop.Work, item: Any) -> Any:
        point = evaluate(self, item)
        again.append(point.settings)
        return point

    monkeypatch.setattr(loop.Work, "chunk", watched)
    made.hunt(cut).run(13, batch=batch)
    assert {p.settings for p in cut.points} == set(expected), "other designs were proposed"
    assert len(again) == 3 and not set(again) & {p.settings for p in kept} if batch == 3 else again == expected[10:]


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_search_loop as t
append = t.Study.append
def slowly(self, point):
    append(self, point)
    time.sleep(0.3)
t.Study.append = slowly
t.hunted(Path({folder!r}), 13, "killed", {batch}, goal=t.LOSS)
"""


def test_a_killed_search_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    _, whole = hunted(tmp_path, 13, "whole", 2, goal=LOSS)
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path), batch=2)
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    path, deadline = tmp_path / "killed.sqlite", time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None and (not path.exists() or len(evaluated(path)) < 9):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = evaluated(path)
    assert 9 <= len(kept) < 13, "the kill came too late to test anything"
    _, resumed = hunted(tmp_path, 13, "killed", 2, goal=LOSS)
    assert [p.settings for p in resumed.points] == [p.settings for p in whole.points]
    assert evaluated(path)[: len(kept)] == kept, "what was there was evaluated again"


def evaluated(path: Path) -> list[tuple[Settings, float]]:
    """Points of a study with the seconds that they took, which no second evaluation repeats."""
    try:
        return [(point.settings, point.seconds) for point in Study(path).points]
    except InputError:  # just being made
        return []


def test_processes_change_nothing(tmp_path: Path) -> None:
    made = problem(tmp_path, drop=0.06)
    alone, together = (Study(tmp_path / f"{name}.sqlite", made.asked()) for name in ("alone", "together"))
    one, two = made.hunt(alone).run(8, batch=2), made.hunt(together).run(8, jobs=2)
    assert {p.settings for p in alone.points} == {p.settings for p in together.points}
    assert one.found.settings == two.found.settings
    assert one.found.accuracy == two.found.accuracy


@pytest.mark.slow
def test_a_cluster_changes_nothing(scheduler: str, tmp_path: Path) -> None:  # noqa: F811 - pytest's way of fixtures
    made = problem(tmp_path, drop=0.06)
    alone, there = (Study(tmp_path / f"{name}.sqlite", made.asked()) for name in ("alone", "there"))
    process = worker(scheduler, tmp_path, "one")
    try:
        made.hunt(there).run(8, scheduler=scheduler, batch=4)
    finally:
        process.kill()
    made.hunt(alone).run(8, batch=4)
    assert {p.settings for p in alone.points} == {p.settings for p in there.points}
    assert test_crew.Item is loop.Item


def test_a_failing_evaluation_is_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    made = problem(tmp_path, drop=0.06)
    hunt = made.hunt(Study(tmp_path / "s.sqlite", made.asked()))
    engine = hunt.evaluator.engine

    def broken(network: Any, array: Any) -> Any:
        if array.guards[0].column == 0:
            raise ZeroDivisionError("the engine\nbroke")
        return engine(network, array)

    hunt.evaluator = dataclasses.replace(hunt.evaluator, engine=broken)
    verdict = hunt.run(10)
    points = hunt.study.points
    assert not verdict.complete, "what failed may have been better"
    assert len(points) < 10
    assert ended_as_nothing_cheaper_was_left(hunt, verdict.found)
    failed = [point for point in points if point.stage == "failed"]
    assert failed
    assert all(point.reason == "ZeroDivisionError: the engine broke" for point in failed)
    assert verdict.found is not None


@pytest.mark.parametrize(
    ("options", "binds", "why", "evaluated"),
    [
        ({"goal": Goal(fit=0.05)}, "board fit", "of pynq-z2, at most 5 % is allowed", False),
        ({"goal": Goal(throughput=1e9)}, "throughput", "images per second, 1,000,000,000 are asked", False),
        ({"goal": Goal(clean=1.0), "accuracy": 1.0, "ber": 1e-3}, "accuracy under faults", "1.0000 was asked", True),
        ({"goal": Goal(critical=1e-4), "ber": 3e-5, "accuracy": 0.5}, "SDC-critical share", "0.0001 was asked", True),
    ],
)
def test_an_infeasible_problem_names_what_binds(tmp_path: Path, options: Any, binds: str, why: str, evaluated: bool) -> None:
    verdict, study = hunted(tmp_path, 6, **options)
    assert verdict.found is None
    assert verdict.binds == binds
    assert why in verdict.why
    assert verdict.table()["verdict"] == "infeasible"
    assert binds in verdict.says
    assert bool(study.points) == evaluated, "what is known beforehand costs no evaluation"


def test_constraints_that_exclude_each_other_are_said(tmp_path: Path) -> None:
    made = problem(tmp_path, drop=0.06, goal=Goal(critical=0.02), ber=2e-5)
    evaluator = made.evaluator(Table())
    point = evaluator(Settings.all_columns(14, 4, 4, q_scale=0))
    assert point.critical is not None
    assert point.accuracy is not None
    assert set(point.margins) == {"clean accuracy", "accuracy under faults", "SDC-critical share"}
    # labels are the golden run's classes, so both constraints see the same images
    assert point.critical[1] == pytest.approx(1 - point.accuracy[1])


def test_two_objectives_give_the_front_of_all_points(tmp_path: Path) -> None:
    space = TINY.narrowed({"q_scale": [0], "hardened": [0.0]})
    verdict, study = hunted(tmp_path, 40, goal=LOSS, space=space, drop=0.9, ber=1e-4)
    assert verdict.complete
    assert len(study.points) == len({p.settings for p in study.points})
    values = {p.settings: (p.cost.lut, max(p.clean_accuracy - p.accuracy[1], 1e-5)) for p in study.points if p.feasible}
    best = {s for s, (a, b) in values.items() if not any((c < a and d <= b) or (c <= a and d < b) for c, d in values.values())}
    assert {p.settings for p in verdict.front} <= best
    assert {values[p.settings] for p in verdict.front} == {values[s] for s in best}
    assert all(p.sample["fault_lists"] == 8 for p in study.points if p.feasible), "what is an objective is measured to the end"


def test_weighted_resources_and_board_share_are_objectives(tmp_path: Path) -> None:
    made = problem(tmp_path, goal=dataclasses.replace(Goal(), minimise=(Objective.parse("share"),)))
    hunt = made.hunt(Study(tmp_path / "s.sqlite", made.asked()))
    point = hunt.space.points[0]
    share = hunt.known.objective(Objective.parse("share"), point)
    cost = hunt.known.objective(Objective.parse("lut+2*ff"), point)
    array = settings_of(hunt.space.named(point)).array()
    from hardpoint.hls.boards import board, fit
    from hardpoint.hls.cost import array_cost, with_buffers

    assert share == fit(with_buffers(array_cost(array), array), board("pynq-z2")).share
    assert cost == array_cost(array).lut + 2 * array_cost(array).ff
    assert hunt.known.objective(Objective.parse("loss"), point) is None


def test_the_found_design_is_rebuilt_from_its_study_alone(tmp_path: Path) -> None:
    verdict, study = hunted(tmp_path, 10)
    network, array = rebuild(Study(study.path), Study(study.path).points[0])
    assert network.digest == study.points[0].sample["network"]
    assert array.digest == study.points[0].sample["array"]
    made = problem(tmp_path, drop=0.06)
    checked = validate(made, made.evaluator(Table()), verdict.found, made.x, made.labels, names=("found design", "unprotected"))
    assert checked["seed"] == 2
    assert checked["lists"] >= 2 * verdict.found.sample["fault_lists"]
    found, bare = checked["designs"]
    assert bare["cost"]["lut"] < found["cost"]["lut"]
    assert bare["accuracy"][1] < found["accuracy"][1]
    (tmp_path / "small-q0.npz").write_bytes((tmp_path / "small-q8.npz").read_bytes())
    other = problem(tmp_path / "other").networks[0].network.with_important([[1], []])
    other.save(tmp_path / f"small-q{verdict.found.settings.q_scale}.npz")
    with pytest.raises(InputError, match="is not the network of"):
        rebuild(study, verdict.found)


# Sources of costs ----------------------------------------------------------------------------------------------------


def report(folder: Path, array: Any, lut: int, period: float = 7.3) -> None:
    """A report of C synthesis of `array`, in the form that the tools write."""
    text = (REPORTS / "csynth.xml").read_text()
    text = text.replace("<LUT>2000</LUT>", f"<LUT>{lut}</LUT>").replace(">7.300<", f">{period}<")
    (folder / f"{dataclasses.replace(array, taps=False).digest}.xml").write_text(text)


def test_recorded_reports_of_c_synthesis_are_a_source_of_costs(tmp_path: Path) -> None:
    made = problem(tmp_path, drop=0.06)
    folder = tmp_path / "reports"
    folder.mkdir()
    costs: dict[str, int] = {}
    evaluator = made.evaluator()
    for i, point in enumerate(TINY.points[:27:2]):  # the others were never synthesised
        array = evaluator.array(settings_of(TINY.named(point)))
        costs[array.digest] = 9000 - 100 * i
        report(folder, array, costs[array.digest])
    prices = prices_from("csynth", tmp_path, made.networks[0].network, folder)
    assert isinstance(prices, Recorded)
    study = Study(tmp_path / "s.sqlite", made.asked(prices))
    hunt = made.hunt(study, prices)
    verdict = hunt.run(8)
    points = study.points
    assert verdict.complete
    assert len(points) < 8
    assert ended_as_nothing_cheaper_was_left(hunt, verdict.found)
    for point in points:
        assert point.cost == Cost("csynth", costs[evaluator.array(point.settings).digest], 1500, 9, 3, 2, 9007199254740993, 10.0)
    with pytest.raises(InputError, match="holds no C synthesis report"):
        prices.beforehand(evaluator.array(settings_of(TINY.named(TINY.points[1]))))


def test_a_slow_circuit_sets_the_pace(tmp_path: Path) -> None:
    made = problem(tmp_path, drop=0.06, goal=Goal(throughput=1000.0))
    evaluator = made.evaluator()
    array = evaluator.array(Settings.all_columns(14, 4, 4, q_scale=0))
    folder = tmp_path / "reports"
    folder.mkdir()
    report(folder, array, 100, period=1e6)
    point = made.evaluator(Recorded(folder))(Settings.all_columns(14, 4, 4, q_scale=0))
    assert point.stage == "cost"
    assert point.reason.endswith("images per second, below 1,000")


def test_the_vendors_tools_are_a_source_of_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools").mkdir()
    vendor = Vendor(tmp_path / "tools", "vitis_hls", "vivado")
    monkeypatch.setenv("PATH", str(vendor.bin))
    made = problem(tmp_path, drop=0.06, space=TINY.narrowed({"q_scale": [0], "hardened": [0.0], "nb": [12, 14], "drain": [False]}))
    network = made.networks[0].network
    prices = prices_from("csynth", tmp_path / "builds", network)
    assert isinstance(prices, Tools)
    study = Study(tmp_path / "s.sqlite", made.asked(prices))
    made.hunt(study, prices).run(5)
    assert [point.cost.source for point in study.points] == ["csynth"] * 2
    assert [call[0] for call in vendor.calls] == ["vitis_hls"] * 2
    full = Tools("vivado", tmp_path / "builds", network)
    cost = full.measured(made.evaluator().array(study.points[0].settings))
    assert cost.source == "vivado"
    assert [call[0] for call in vendor.calls] == ["vitis_hls"] * 2 + ["vivado"]


def test_sources_say_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Settings.all_columns(11, 4, 4, operand=True).array(acc_bits=31)
    with pytest.raises(InputError, match="the shipped table of costs lacks hp_pe"):
        Table().beforehand(odd)
    assert Synthesis().beforehand(odd) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    for arguments, message in (
        (("csynth",), "C synthesis needs the vendor's tools; not on PATH: Vitis HLS"),
        (("vivado",), "building a bitstream needs the vendor's tools"),
        (("guess",), "a source of costs is table, yosys, csynth, vivado, not 'guess'"),
        (("table", tmp_path), "recorded reports are those of C synthesis .csynth., not of table"),
        (("csynth", tmp_path / "none"), "there is no folder of reports"),
    ):
        with pytest.raises(InputError, match=message):
            prices_from(arguments[0], tmp_path, problem(tmp_path).networks[0].network, *arguments[1:])


# Devices -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["csim", pytest.param("rtl", marks=pytest.mark.slow)])
def test_campaigns_of_a_search_run_on_devices(tmp_path: Path, device: str) -> None:
    space = TINY.narrowed({"q_scale": [0], "hardened": [0.0], "nb": [14, None], "drain": [False]})
    found = {}
    for where in ("emulator", device):
        made = problem(tmp_path / where, space=space, images=6, lists=4, device=where, drop=0.5)
        study = Study(tmp_path / where / "s.sqlite", made.asked())
        made.hunt(study).run(2)
        found[where] = {p.settings: (p.stage, p.accuracy, p.margins) for p in study.points}
    assert len(found["emulator"]) == 2
    assert found["emulator"] == found[device]


# Points and settings -------------------------------------------------------------------------------------------------


def test_points_and_settings_are_two_names_of_one_design() -> None:
    from hardpoint.optimizer.dimensions import SPACE

    points = SPACE.drawn(400, [5])
    assert len(points) == 400
    for point in points:
        made = settings_of(SPACE.named(point))
        assert point_of(made, SPACE) == point
        made.array()
    assert point_of(Settings(q_scale=3), SPACE) is None


def test_impossible_combinations_are_not_drawn() -> None:
    from hardpoint.optimizer.dimensions import SPACE

    for point in SPACE.drawn(600, [9]):
        p = SPACE.named(point)
        assert p["dot_size"] or (p["s_th"], p["s_policy"], p["reuse"]) == (0.0, "layer", True)
        assert p["ib"] is None or p["hardened"] or p["dot_size"]
        assert p["kind"] == "columns" or 0 not in (p["ib"], p["nb"])
        assert not p["drain"] or p["dataflow"] == "os" or p["dot_size"]
        assert np.isfinite(SPACE.places([point])).all()
