"""The examples run as they stand, in a folder of their own, and show what their first lines promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = [pytest.mark.slow, pytest.mark.pc]


def run(name: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3600, env={**os.environ, "COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{path.stem}"' in text for path in EXAMPLES.glob("*.py"))


def test_a_model_of_ones_own_is_struck(tmp_path: Path) -> None:
    said = run("inject_into_your_model", tmp_path)
    assert "3,590 outputs of the model and of the integers compared: equal" in said
    accuracy = {(guard, ber): float(value) for guard, ber, value in re.findall(r"guard (\S+) +BER (\S+): accuracy ([0-9.]+)", said)}
    assert len(accuracy) == 4
    assert accuracy["none", "1e-05"] < accuracy["none", "1e-06"]
    assert accuracy["none", "1e-05"] < accuracy["14+drain", "1e-05"] - 0.05


def test_guards_are_compared(tmp_path: Path) -> None:
    said = run("compare_guards", tmp_path)
    clean = re.search(r"without faults: accuracy ([0-9.]+)", said)
    rows = {name: (int(lut.replace(",", "")), accuracy, critical) for name, lut, accuracy, critical in re.findall(r"^ *(\S+) +([0-9,]+) +([0-9.]+) \[.*?\] +([0-9.]+) \[", said, re.M)}  # fmt: skip
    assert len(rows) == 8
    assert clean is not None
    assert rows["0+operand+drain"][1:] == (clean[1], "0.0000"), "one flip at a time does not defeat full TMR"
    assert rows["none"][0] < rows["16"][0] < rows["14"][0] < rows["12"][0] < rows["0"][0] < rows["0+operand+drain"][0]
    assert float(rows["none"][1]) < float(rows["14"][1])


def test_reports_are_read(tmp_path: Path) -> None:
    said = run("read_your_vivado_report", tmp_path)
    assert "csynth: lut 2000, ff 1500, dsp 9" in said
    assert "vivado: lut 850, ff 1490, dsp 9, bram 3.0, uram 2, period_ns 8.75, power_w 17.25" in said
    assert "HLS estimated 2.35 times the LUTs that Vivado placed" in said
    own = run("read_your_vivado_report", tmp_path, str(EXAMPLES.parent / "tests" / "reports" / "tilt_2018.3_csynth.xml"))
    assert "tilt: worst latency undef cycles" in own


def test_a_campaign_runs_through_the_driver(tmp_path: Path) -> None:
    said = run("campaign_on_a_board", tmp_path)
    assert re.search(r"^\d+ faults on 32 images; compared with the emulator, image by image: 32 equal, 0 different$", said, re.M)
    assert len(re.findall(r"^BER .* DUE 0\.0000$", said, re.M)) == 2


def test_a_fleet_is_retrained(tmp_path: Path) -> None:
    said = run("fleet", tmp_path)
    assert "6 of 6 chips meet it on their own emulated hardware" in said
    folder = Path(re.findall(r"one network per chip: (\S+);", said)[0])
    assert (folder / "fleet.json").is_file()
    assert list(folder.glob("networks/*.npz"))
