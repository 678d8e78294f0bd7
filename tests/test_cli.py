"""The command line: bad input gives one clear line, exit code 2, no traceback and no half-written output."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import small_network

VERBS = ("demo", "train", "convert", "rank", "emit", "build", "cost", "run", "campaign", "search", "report", "doctor")


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


def test_help_names_every_verb_with_an_example() -> None:
    text = hardpoint("--help").stdout
    for verb in VERBS:
        assert f"  {verb} " in text
        assert f"hardpoint {verb}" in hardpoint(verb, "--help").stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, hardpoint.cli; print([m for m in ('numpy', 'tensorflow', 'numba', 'matplotlib', 'scipy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_doctor_finds_what_runs_this_test() -> None:
    findings = {row["name"]: row for row in json.loads(hardpoint("doctor", "--json").stdout)}
    assert findings["numpy"]["found"]
    assert findings["g++"]["enables"]
