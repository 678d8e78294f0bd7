"""`hardpoint search` from its options to the page: what is asked, how it ends, what is said, what is bad input."""

from __future__ import annotations

import dataclasses
import json
import re
import types
from pathlib import Path
from typing import Any

import pytest
from searching import TINY, problem
from typer.testing import CliRunner

from hardpoint import cli
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.optimizer import searches
from hardpoint.optimizer.dimensions import SPACE, bounds, space_from
from hardpoint.optimizer.goal import Goal, Objective
from hardpoint.optimizer.problem import Problem, Wish
from hardpoint.optimizer.report import render
from hardpoint.optimizer.searches import Request, search_on
from hardpoint.optimizer.stories import story_of
from hardpoint.optimizer.study import Study

pytestmark = pytest.mark.pc


def silent(label: str, total: int) -> Any:
    return lambda done: None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command's data and training replaced by a small problem; everything else is real."""

    def pose(data: Any, model: str, seed: int, folder: Path, task: Any, wish: Wish) -> Problem:
        space = wish.space if wish.space is not SPACE else TINY
        made = problem(folder, wish.goal, space, ber=wish.ber or 2e-5, accuracy=wish.accuracy, drop=wish.drop, lists=wish.lists)
        return dataclasses.replace(made, seed=seed)

    made = problem(tmp_path / "data")
    test = types.SimpleNamespace(x=made.x[:10], y=made.labels[:10])
    monkeypatch.setattr(searches, "load_data", lambda text: types.SimpleNamespace(test=test))
    monkeypatch.setattr(searches, "pose", pose)


def command(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["search", *arguments])


def test_a_search_is_validated_emitted_and_told(small: None, tmp_path: Path) -> None:
    study = tmp_path / "s.sqlite"
    done = command("--study", str(study), "--drop", "0.06", "--evaluations", "12", "--lists", "8", "--out", str(tmp_path / "project"), "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value["verdict"] == "found"
    assert value["complete"]
    assert 5 < value["evaluated"] < 12
    names = [row["name"] for row in value["validation"]["designs"]]
    assert names == ["found design", "without algorithm", "without architecture", "without circuit", "unprotected", "full TMR"]
    assert value["validation"]["seed"] == 2
    manifest = json.loads((tmp_path / "project" / "manifest.json").read_text())
    assert manifest["array"]["rows"] == value["found"]["settings"]["rows"]
    page = render(story_of(study))
    assert "What each layer contributes" in page
    assert "without architecture" in page
    assert re.search(r"fresh fault lists it keeps [\d.]+ % \[[\d., ]+\]", page)
    assert "at least 0.9400" in page
    assert "Expected and measured" in page
    assert "Rank correlation over" in page


def test_it_goes_on_and_refuses_another_question(small: None, tmp_path: Path) -> None:
    study = ("--study", str(tmp_path / "s.sqlite"), "--drop", "0.06", "--lists", "8", "--no-validate")
    command(*study, "--evaluations", "5")
    first = [point.settings for point in Study(tmp_path / "s.sqlite").points]
    assert command(*study, "--evaluations", "8").exit_code == 0
    assert [point.settings for point in Study(tmp_path / "s.sqlite").points][:5] == first
    other = command(*study, "--evaluations", "8", "--fit", "0.9")
    assert isinstance(other.exception, InputError)
    assert "holds a search with goal.fit = 1.0, not 0.9" in str(other.exception)


def test_infeasible_is_exit_code_three(small: None, tmp_path: Path) -> None:
    study = tmp_path / "s.sqlite"
    done = command("--study", str(study), "--accuracy", "1.0", "--ber", "1e-3", "--evaluations", "4", "--lists", "8")
    assert done.exit_code == 3
    assert "infeasible as far as was seen: accuracy under faults binds: the best lower bound reached is" in done.stdout
    assert "Accuracy under faults binds" in render(story_of(study))
    none = command("--study", str(tmp_path / "t.sqlite"), "--fit", "0.01")
    assert none.exit_code == 3
    assert "board fit binds: the smallest design takes" in none.stdout


def test_two_objectives_are_told_as_a_front(small: None, tmp_path: Path) -> None:
    study = tmp_path / "s.sqlite"
    options = ("--minimise", "lut", "--minimise", "loss", "--drop", "0.9", "--ber", "1e-4", "--lists", "8", "--evaluations", "12")
    done = command("--study", str(study), *options, "--no-validate")
    assert done.exit_code == 0
    assert done.stdout.count("found: ") == len(Study(study).results["verdict"]["front"]) >= 2
    page = render(story_of(study))
    assert "Pareto front" in page
    assert re.search(r"<title>\d+: 4x4 os, q_scale \d[^<]*accuracy lost under faults", page), "hover values"


def test_a_search_starts_from_an_earlier_one(small: None, tmp_path: Path) -> None:
    plain = ("--drop", "0.06", "--lists", "8", "--no-validate")
    command("--study", str(tmp_path / "a.sqlite"), *plain, "--evaluations", "10")
    best = Study(tmp_path / "a.sqlite").results["verdict"]["found"]["settings"]
    warm = ("--study", str(tmp_path / "b.sqlite"), *plain, "--warm-start", str(tmp_path / "a.sqlite"))
    assert command(*warm, "--evaluations", "2").exit_code == 0
    points = Study(tmp_path / "b.sqlite").points
    assert best in [point.settings.table() for point in points[:2]]
    command("--study", str(tmp_path / "a.sqlite"), *plain, "--evaluations", "12")  # what it was started from goes on
    assert command(*warm, "--evaluations", "4").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minimise": ("luts",)}, "what is minimised reads like lut, lut+50*dsp+80*bram"),
        ({"minimise": ("-1*lut",)}, "the weight of lut must be a positive number, not -1"),
        ({"minimise": ("lut", "lut")}, "a search minimises one or two different things, not lut, lut"),
        ({"fit": 1.2}, "fit must lie above 0, up to 1, not 1.2"),
        ({"throughput": 0.0}, "throughput must lie above 0, not 0"),
        ({"critical": 2.0}, "critical must lie above 0, up to 1, not 2"),
        ({"accuracy": 97.0}, "an accuracy to keep lies above 0, up to 1, not 97"),
        ({"drop": 1.0}, "a drop of accuracy is 0 to 1, not 1"),
        ({"ber": 0.0}, "a BER lies between 0 and 1, not 0"),
        ({"board": "arty"}, "boards are pynq-z2"),
        ({"device": "abacus"}, "a device is emulator, csim, rtl, zynq, not 'abacus'"),
        ({"device": "zynq"}, "a bitstream holds one array"),
        ({"cost": "guess"}, "a source of costs is table, yosys, csynth, vivado, not 'guess'"),
        ({"weights": ("acc",)}, "a weight reads like acc=2.5"),
        ({"weights": ("heart=2",)}, "heart"),
        ({"warm": Path("none.sqlite")}, "there is no study none.sqlite to start from"),
        ({"slowdown": -1.0}, "a slowdown is a positive factor, not -1"),
        ({"lists": 2}, "a campaign needs at least 4 fault lists"),
    ],
)
def test_bad_questions_are_one_line(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        Request(tmp_path / "s.sqlite", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "s.sqlite").exists()


def test_a_file_fixes_and_narrows_dimensions(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('rows = 8\ncols = [8, 16]\nib = ["none", 14, 11]\ndsp = true\nhardened = [0.0, 1]\npolicy = ["direct", "configurable"]\n')
    space = space_from(file)
    assert space.dimensions["rows"] == (8,)
    assert space.dimensions["ib"] == (11, 14, None)
    assert all(space.named(point)["dsp"] for point in space.drawn(50, [1]))
    assert any(space.named(point)["headroom"] for point in space_from_text(tmp_path, 'policy = "configurable"\n').drawn(50, [1]))
    assert set(bounds()) == set(SPACE.dimensions)


def space_from_text(folder: Path, text: str) -> Any:
    (folder / "space.toml").write_text(text)
    return space_from(folder / "space.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row = 8", "the space has no dimension 'row'; dimensions are q_scale, dataflow, rows"),
        ("rows = 65", "dimension rows takes whole numbers 1 to 64, not 65"),
        ("rows = true", "dimension rows takes whole numbers 1 to 64, not True"),
        ('nb = [12, "12"]', "dimension nb takes whole numbers 0 to 31 or \"none\", not '12'"),
        ("hardened = 1.5", "dimension hardened takes numbers 0 to 1, not 1.5"),
        ('kind = "tmr"', "dimension kind takes columns or rpr, not 'tmr'"),
        ("operand = 1", "dimension operand takes false or true, not 1"),
        ("cols = []", "dimension cols must hold at least one value"),
        ("cols = [8, 8]", "none twice, not [8, 8]"),
        ("cols = {a = 1}", "dimension cols takes whole numbers 1 to 64"),
        ("cols = = 1", "is no TOML"),
    ],
)
def test_bad_spaces_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        space_from_text(tmp_path, text)
    assert "\n" not in str(error.value)


def test_objectives_and_goals_are_values() -> None:
    assert Objective.parse(" LUT + 2*ff ").weights == (("lut", 1.0), ("ff", 2.0))
    assert Objective.parse("lut+ff").of_cost(Cost("yosys", lut=1)) == float("inf")
    assert Goal().table()["minimise"] == ["lut"]


def test_a_request_is_a_wish(tmp_path: Path, small: None) -> None:
    request = Request(tmp_path / "s.sqlite", weights=("acc=2", "drain=0"), minimise=("share",), evaluations=2, lists=4, drop=0.5, validate=False)
    value, lines = search_on(request, silent)
    assert Study(request.study).problem["goal"]["weights"] == {"acc": 2.0, "drain": 0.0}
    assert lines[-1] == f"study: {request.study}"
    assert 0 < value["found"]["objectives"]["share"] <= 1
