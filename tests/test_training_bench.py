"""The benchmark of training: what it writes, and that it never trains anything twice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(out: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    command = [sys.executable, "benchmarks/training.py", "--data", "digits", "--seeds", "1", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=900)
    return json.loads((out / "training.json").read_text()), done.stderr


@pytest.mark.slow
def test_results_are_written_part_by_part_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    table, said = run(tmp_path, "--parts", "accuracy", "--bits", "8")
    assert "digits in floats, seed 0" in said
    accuracy = table["accuracy"]["digits"]["8"]
    assert accuracy["seeds"] == 1
    assert accuracy["mean"] >= 0.97
    assert accuracy["runs"][0]["gate1_equal"] == 359 * 10
    table, said = run(tmp_path, "--parts", "curve", "ranking", "--scales", "10", "--trials", "20000")
    assert "in floats" not in said
    assert said.count("digits 8 bit") == 1  # q_scale 10; the unconstrained model was there
    free, bound = table["qscale_curve"]["digits"]["rows"]
    assert (free["q_scale"], bound["q_scale"]) == (0, 10)
    assert min(bound["smallest_shifts"]) >= 10
    assert bound["pe_lut"]["4"] <= free["pe_lut"]["4"]
    methods = table["ranking"]["digits"]["methods"]
    assert methods["second-order"]["global"]["0.1"]["mean"] > 3 * methods["random"]["global"]["0.1"]["mean"]
    for row in methods.values():
        shares = [row["global"][s]["mean"] for s in ("0.05", "0.1", "0.2", "0.3")]
        assert shares == sorted(shares)
    again, said = run(tmp_path, "--parts", "accuracy", "curve", "ranking", "--bits", "8", "--scales", "10", "--trials", "20000")
    assert "of CPU" not in said, "a model was trained again"
    assert again == table
    assert (tmp_path / "qscale_curve.svg").stat().st_size > 1000
    tables = subprocess.run(
        [sys.executable, "benchmarks/tables.py", str(tmp_path / "training.json")], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert f"| digits | 8 | {accuracy['mean']:.4f} |" in tables
