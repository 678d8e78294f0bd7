"""`hardpoint campaign` as it is typed: answers with intervals, plans, and one clear line for every bad question."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from command import hardpoint, written

from hardpoint.array import Array
from hardpoint.draw import draw
from hardpoint.host.store import Store

pytestmark = pytest.mark.pc


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    network = written(tmp_path)
    other = Array(4, 4)
    draw(other, network, 12, 1e-4, 0).save(tmp_path / "other.npz")
    (tmp_path / "corrupt.db").write_bytes(b"no database at all" * 100)
    with sqlite3.connect(tmp_path / "foreign.db") as db:
        db.execute("CREATE TABLE songs (name TEXT)")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "a campaign takes one of --ber, --count, --single and --permanent-rate"),
        ("--ber 1e-6 --count 3", "a campaign takes one of --ber, --count, --single and --permanent-rate"),
        ("--ber 2", "a BER is a probability per live site bit and step, 0 to 1, not 2.0"),
        ("--ber -0.1", "a BER is a probability per live site bit and step, 0 to 1, not -0.1"),
        ("--ber nan", "a BER is a probability per live site bit and step, 0 to 1, not nan"),
        ("--ber 1e-6 --ber 1e-6", "one or more different points, not [1e-06, 1e-06]"),
        ("--count -1", "strikes per inference are a whole number from 0, not -1"),
        ("--count 999999999", "strikes per inference must be 0 to"),
        ("--single 0", "at least 1 trial and 1 image, not 0 and 12"),
        ("--permanent-rate 1", "a PE fault rate must be from 0 to below 1, not 1.0"),
        ("--permanent-rate 0.1 --pattern zigzag", "a pattern of faulty PEs is uniform or clustered, not 'zigzag'"),
        ("--ber 1e-6 --convention software", "a convention is hardware or neuron, not 'software'"),
        ("--count 3 --convention neuron", "the neuron convention takes a rate per output bit (--ber)"),
        ("--ber 1e-6 --convention neuron --device csim", "runs on the network alone, on no device"),
        ("--ber 1e-6 --convention neuron --weight acc=2", "the neuron convention has no site classes to be weighted"),
        ("--ber 1e-6 --stratify layer", "strata and an analysis by place need single faults (--single)"),
        ("--ber 1e-6 --analyse out", "strata and an analysis by place need single faults (--single)"),
        ("--single 9 --stratify channel", "strata are by layer, by site or by both, not 'channel'"),
        ("--single 9 --stratify site --until-error 0.1", "it cannot stop at an error"),
        ("--ber 1e-6 --weight acc", "a weight reads like acc=2.5, a site class and a number, not 'acc'"),
        ("--ber 1e-6 --weight mac=1", "there is no site class 'mac'"),
        ("--ber 1e-6 --weight acc=-1", "the weight of site class acc must be a finite number from 0, not -1.0"),
        ("--ber 1e-6 --confidence 1", "a confidence lies between 0 and 1, not 1.0"),
        ("--ber 1e-6 --error 0", "an error lies between 0 and 1, not 0.0"),
        ("--ber 1e-6 --until-error 0.9", "an error to stop at lies between 0 and 0.5, not 0.9"),
        ("--ber 1e-6 --trials 1", "'--trials'"),
        ("--ber 1e-6 --jobs 2 --scheduler tcp://127.0.0.1:1", "to processes here (jobs) or to a cluster (scheduler), not to both"),
        ("--ber 1e-6 --jobs 2 --device rtl", "device rtl exists once: jobs and schedulers share out the emulator"),
        ("--ber 1e-6 --scheduler nonsense", "no Dask scheduler with a worker at nonsense"),
        ("--ber 1e-6 --store corrupt.db", "store corrupt.db: file is not a database"),
        ("--ber 1e-6 --store foreign.db", "foreign.db is another program's database, not a store of campaigns"),
        ("--ber 1e-6 --store network.npz/s.db", "cannot write network.npz/s.db"),
        ("--ber 1e-6 --device abacus", "abacus"),
    ],
)
def test_bad_questions_get_one_line(
    folder: Path, words: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, _, err = hardpoint(f"campaign network.npz --data npz=samples.npz --rows 4 --cols 4 {words}", capsys, monkeypatch)
    assert code == 2, err
    assert err.count("\n") == 1
    assert err.startswith("hardpoint: ")
    assert message in err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_fault_list_for_another_array_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "run network.npz --data npz=samples.npz --faults other.npz --rows 4 --cols 4 --guard 12"
    code, _, err = hardpoint(words, capsys, monkeypatch)
    assert code == 2
    assert err.count("\n") == 1
    assert "the fault list was made for array" in err


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("--ber 1e-6 --ber 1e-4", "rows"),
        ("--count 5", "rows"),
        ("--permanent-rate 0.2 --pattern clustered", "rows"),
        ("--ber 1e-3 --convention neuron", "rows"),
        ("--single 500 --stratify layer,site --weight act=2", "groups"),
    ],
)
def test_answers_name_what_they_are(
    folder: Path, words: str, key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"campaign network.npz --data npz=samples.npz --rows 4 --cols 4 --guard 12 --trials 4 --seed 7 {words}"
    code, out, err = hardpoint(f"{base} --json --store s.db", capsys, monkeypatch)
    assert code == 0, err
    assert err.startswith("plan: "), "before the run, and beside the table"
    table = json.loads(out)
    rows = table["rows"] if key == "rows" else [table["overall"]]
    for row in rows:
        for rate in ("sdc", "critical", "due"):
            assert row[rate]["low"] <= row[rate]["mean"] <= row[rate]["high"]
        assert sum(row["outcomes"].values()) == (4 * 12 if key == "rows" else 504)
    named = rows[0] if key == "rows" else table
    assert named["convention"]
    assert named["population"] > 0
    assert table["campaign"]["seed"] == 7
    code, again, _ = hardpoint(f"{base} --json --store s.db --batch 5", capsys, monkeypatch)
    assert again == out
    code, text, err = hardpoint(f"{base} --out table.json", capsys, monkeypatch)
    assert text.startswith("plan: ")
    assert json.loads(Path("table.json").read_text()) == table
    assert f"{rows[0]['critical']['mean']:.5f} [{rows[0]['critical']['low']:.5f}, " in text, "the SDC-critical share has an interval"


def test_a_plan_alone_does_nothing_more(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "campaign network.npz --data npz=samples.npz --rows 4 --cols 4 --single 3000 --error 0.02 --plan --store s.db"
    code, out, _ = hardpoint(words, capsys, monkeypatch)
    assert code == 0
    assert out.count("\n") == 4
    assert "units give +-0.02 at 95%" in out
    (subject,) = Store("s.db").campaigns()
    assert sum(len(block) for block in Store("s.db").blocks(subject, "all")) < 3000


def test_an_analysis_lands_in_its_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "campaign network.npz --data npz=samples.npz --rows 4 --cols 4 --single 500 --analyse out"
    code, text, _ = hardpoint(words, capsys, monkeypatch)
    assert code == 0
    for name in ("outcomes.json", "bit.csv", "pe.csv", "neuron.csv", "ranking.npz"):
        assert (folder / "out" / name).is_file()
        assert name in text


def test_a_full_disk_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = "campaign network.npz --data npz=samples.npz --rows 4 --cols 4 --ber 1e-5 --trials 4000 --store s.db --json"
    assert hardpoint(words.replace("4000", "9"), capsys, monkeypatch)[0] == 0  # and everything is compiled and kept
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))
sys.argv = "hardpoint {words}".split()
from hardpoint.cli import main
main()
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert told.returncode == 2, told.stderr
    lines = [line for line in told.stderr.splitlines() if line.startswith("hardpoint: ")]
    assert len(lines) == 1
    assert lines[0].startswith("hardpoint: store s.db: ")
    assert "Traceback" not in told.stderr
    store = Store("s.db")
    (subject,) = store.campaigns()
    assert len(store.units(subject, "1e-05")) > 8
