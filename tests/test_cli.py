"""The command line: bad input gives one clear line, exit code 2, no traceback and no half-written output."""

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import small_network

from hardpoint import __version__
from hardpoint.cli import app
from hardpoint.doctor import LIBRARIES, examine
from hardpoint.settings import key_of

VERBS = ("demo", "train", "convert", "rank", "emit", "build", "cost", "run", "campaign", "search", "selftest", "fleet", "report", "doctor")


def hardpoint(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hardpoint", *arguments], capture_output=True, text=True, timeout=120, cwd=cwd
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_network().save(tmp_path / "network.npz")
    (tmp_path / "corrupt.npz").write_bytes((tmp_path / "network.npz").read_bytes()[:-200])
    (tmp_path / "array.json").write_text('{"format": "hardpoint array 1", "rows": 8, "cols": 8, "acc_bits": 16}')
    (tmp_path / "text.sqlite").write_text("not a database at all, only some words in a file of that name")
    return tmp_path


@pytest.mark.pc
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "frobnicate"),
        (["run", "--nonsense"], "--nonsense"),
        (["run"], "network"),
        (["run", "absent.npz"], "cannot read network absent.npz"),
        (["run", "corrupt.npz"], "corrupt.npz is no network"),
        (["run", "network.npz", "--data", "moons"], "no data set 'moons'"),
        (["run", "network.npz", "--data", "mnist"], "mnist"),
        (["run", "network.npz", "--device", "abacus"], "abacus"),
        (["emit", "network.npz", "--array", "array.json", "--out", "out"], "its sums need"),
        (["emit", "absent.npz", "--out", "out"], "cannot read network absent.npz"),
        (["cost", "--guard", "30"], "guard column must be 0 to 24, the width of an accumulator, not 30"),
        (["cost", "--guard", "x"], "a guard reads like"),
        (["cost", "--hardened", "9", "--guard", "14"], "hardened columns must be 0 to 8"),
        (["cost", "--array", "array.json", "--rows", "4"], "--array names the whole array: --rows cannot change it"),
        (
            ["cost", "--recompute", "many"],
            "a recompute unit reads like 16 or 16:10+operand, lanes and guard, not 'many'",
        ),
        (["cost", "--dataflow", "xs"], "dataflow is os or ws, not 'xs'"),
        (["convert", "absent.h5", "--out", "out"], "absent.h5"),
        (["convert", "text.sqlite", "--out", "out"], "text.sqlite"),
        (["convert", "network.npz", "--out", "out"], "a model file is .h5, .hdf5, .keras, .json, not network.npz"),
        (["convert", "a.h5", "--data", "digits", "--input-format", "s8.5", "--out", "out"], "give --data or --input-format"),
        (["convert", "a.h5", "--calibrate", "10", "--out", "out"], "calibration needs data: name a data set with --data"),
        (["rank", "absent.npz", "--out", "out.npz"], "cannot read network absent.npz"),
        (["rank", "network.npz", "--out", "out.npz", "--method", "gradiant"], "no ranking method 'gradiant'"),
        (["rank", "network.npz", "--out", "out.npz", "--policy", "some"], "a ranking policy is layer or global, not 'some'"),
        (["rank", "network.npz", "--out", "out.npz"], "data set digits holds codes of u8.7, the network takes"),
        (["train", "--out", "model.txt"], "model.txt"),
        (["train", "--out", "model.h5", "--layer", "conv1:4"], "a layer's bits read like conv1=4 or conv1=4:8"),
        (["train", "--out", "model.h5", "--model", "vgg-99"], "vgg-99"),
        (["campaign", "network.npz", "--ber", "2"], "BER"),
        (["report", "absent.sqlite", "--out", "out"], "absent.sqlite"),
        (["report", "text.sqlite", "--out", "out"], "text.sqlite"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(folder: Path, arguments: list[str], message: str) -> None:
    before = sorted(folder.iterdir())
    result = hardpoint(*arguments, cwd=folder)
    assert result.returncode == 2, result.stderr
    lines = [
        line
        for line in result.stderr.splitlines()
        if not line.startswith(("WARNING: All log", "I0000", "E0000", "W0000"))
    ]
    assert len(lines) == 1, result.stderr
    assert message in lines[0]
    assert lines[0].startswith("hardpoint: ")
    assert sorted(folder.iterdir()) == before


def test_help_names_every_verb_with_an_example_and_the_exit_codes() -> None:
    text = hardpoint("--help").stdout
    for verb in VERBS:
        assert f"  {verb} " in text
        own = hardpoint(verb, "--help").stdout
        assert f"Example: hardpoint {verb}" in own
        for option in ("--json", "--config FILE.toml", "-v, --verbose", "--help"):
            assert option in own, (verb, option)
    for line in ("0    done", "1    a check found a difference", "2    bad input", "3    a search found no design", "130  stopped"):
        assert line in text


def test_every_verb_is_tested_here() -> None:
    assert {command.name or command.callback.__name__ for command in app.registered_commands if command.callback} == set(VERBS)


def test_keys_of_a_verb_are_told_apart() -> None:
    """A configuration file names options and arguments alike: no two of a verb may share a key."""
    for name, verb in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        keys = [key_of(parameter) for parameter in verb.params]
        assert len(keys) == len(set(keys)), name
        assert all(parameter.help for parameter in verb.params if parameter.name != "help"), f"{name}: an option without help"


HEAVY = ("numpy", "tensorflow", "tf_keras", "qkeras", "hls4ml", "numba", "matplotlib", "scipy", "sklearn", "skopt", "dask", "pyosys", "jinja2", "rich.progress")


def test_no_verbs_help_imports_anything_heavy() -> None:
    code = f"""
import contextlib, io, sys
from hardpoint.cli import app
from hardpoint.doctor import LIBRARIES, examine
for verb in {("", *VERBS)}:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        app([verb, "--help"] if verb else ["--help"], standalone_mode=False)
    assert "Usage" in text.getvalue()
    found = [name for name in {HEAVY} if name in sys.modules]
    assert not found, (verb, found)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.pc
def test_help_answers_at_once() -> None:
    """Below 0.3 s of processor time: what a user waits for on a machine that does nothing else."""

    def seconds() -> float:
        code = "import os, subprocess, sys; subprocess.run([sys.executable, '-m', 'hardpoint', '--help'], stdout=subprocess.DEVNULL); t = os.times(); print(t.children_user + t.children_system)"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.pc
@pytest.mark.parametrize("verb", ["cost", "run", "emit"])
def test_verbs_that_train_nothing_do_not_import_tensorflow(folder: Path, verb: str) -> None:
    words = {
        "cost": ["cost", "--guard", "14"],
        "run": ["run", "network.npz", "--data", "npz=samples.npz", "--rows", "4", "--cols", "4"],
        "emit": ["emit", "network.npz", "--out", "project"],
    }[verb]
    x = np.random.default_rng(1).integers(0, 256, (30, 6, 6, 2)).astype(np.uint8)
    np.savez(folder / "samples.npz", x_train=x, y_train=np.arange(30) % 4, x_test=x[:9], y_test=np.arange(9) % 4)
    code = f"""
import sys
sys.argv = {["hardpoint", *words]}
from hardpoint.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, cwd=folder, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("hardpoint ca", ["campaign"]),
        ("hardpoint campaign --perm", ["--permanent-rate"]),
        ("hardpoint campaign --con", ["--convention", "--confidence", "--config"]),
        ("hardpoint run --device c", ["csim"]),
        ("hardpoint cost --dataflow ", ["os", "ws"]),
        ("hardpoint cost --board k", ["kv260"]),
    ],
)
def test_a_shell_is_told_how_to_go_on(words: str, offered: list[str]) -> None:
    """bash's protocol: the words so far and the number of the one to complete, in the environment."""
    typed = words.split(" ")
    asked = {"_HARDPOINT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(typed) - 1)}
    code = "import sys; sys.argv = ['hardpoint']; from hardpoint.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60)
    assert sorted(result.stdout.split()) == sorted(offered), result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    code = "import sys; sys.argv = ['hardpoint']; from hardpoint.cli import main; main()"
    asked = {"_HARDPOINT_COMPLETE": f"source_{shell}"}
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60)
    assert f"complete_{shell}" in result.stdout
    assert "hardpoint" in result.stdout


def test_the_version_is_the_packages() -> None:
    assert hardpoint("--version").stdout == f"hardpoint {__version__}\n"


def test_doctor_finds_what_runs_this_test() -> None:
    findings = {row["name"]: row for row in json.loads(hardpoint("doctor", "--json").stdout)}
    assert findings["numpy"]["found"]
    assert findings["g++"]["enables"]
    assert "hardpoint[board]" in findings["pynq"]["get"]


def test_doctor_says_what_a_missing_library_would_enable_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qkeras", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "qkeras" else object())
    (line,) = [finding.line() for finding in examine() if finding.name == "qkeras"]
    assert " ".join(line.split()) == "qkeras not found bit-constrained models; to get it: pip install 'hardpoint[train]'"


def test_every_extra_that_doctor_names_brings_its_library() -> None:
    lines = importlib.metadata.requires("hardpoint") or []
    for name, (_, _, extra) in LIBRARIES.items():
        needed = extra or "numpy"
        found = [line for line in lines if re.match(rf"{re.escape(name)}\b", line.replace("dask[distributed]", "distributed"))]
        assert any(f'extra == "{needed}"' in line or "extra" not in line for line in found), (name, extra, found)
