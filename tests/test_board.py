"""What runs on a board: what Linux says about it, and the command line with NumPy alone."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from accelerators import codes, plain_network

from hardpoint import doctor
from hardpoint.host import board

ROOT = Path(__file__).resolve().parents[1]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_sensors_of_a_zynq_7000(tmp_path: Path) -> None:
    """The XADC: degrees are (raw + offset) * scale / 1000, the die's transfer function (UG480, equation 1-2)."""
    folder = "bus/iio/devices/iio:device0"
    write(
        tmp_path,
        {
            f"{folder}/name": "xadc\n",
            f"{folder}/in_temp0_raw": "2560\n",
            f"{folder}/in_temp0_offset": "-2219\n",
            f"{folder}/in_temp0_scale": "123.040771484\n",
            f"{folder}/in_voltage0_vccint_raw": "1365\n",
        },
    )
    assert board.sensors(tmp_path) == {"xadc_temp0_c": pytest.approx(341 * 0.123040771484)}


def test_sensors_of_a_board_with_power_rails(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "bus/iio/devices/iio:device0/name": "ams\n",
            "bus/iio/devices/iio:device0/in_temp0_ps_temp_raw": "44000\n",
            "bus/iio/devices/iio:device0/in_temp0_ps_temp_offset": "-36058\n",
            "bus/iio/devices/iio:device0/in_temp0_ps_temp_scale": "7.771514892\n",
            "class/hwmon/hwmon0/name": "ina260_u14\n",
            "class/hwmon/hwmon0/power1_input": "4250000\n",
            "class/hwmon/hwmon1/name": "irps5401\n",
            "class/hwmon/hwmon1/power1_input": "broken\n",
            "class/hwmon/hwmon1/temp1_input": "51000\n",
            "class/hwmon/hwmon1/temp1_label": "PL Int\n",
        },
    )
    assert board.sensors(tmp_path) == {
        "ams_temp0_ps_temp_c": pytest.approx(61.721371, abs=1e-5),
        "ina260_u14_power1_w": 4.25,
        "irps5401_pl_int_c": 51.0,
    }


def test_a_machine_without_sensors_has_none(tmp_path: Path) -> None:
    assert board.sensors(tmp_path) == {}


def test_contiguous_memory(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:         504148 kB\nCmaTotal:         131072 kB\nCmaFree:          120400 kB\n")
    assert board.contiguous_memory(meminfo) == (120_400 * 1024, 128 << 20)
    meminfo.write_text("MemTotal:         504148 kB\nCmaTotal:              0 kB\nCmaFree:               0 kB\n")
    assert board.contiguous_memory(meminfo) is None
    assert board.contiguous_memory(tmp_path / "absent") is None


def test_what_is_missing_says_what_to_do() -> None:
    """Here is no FPGA manager; whether this is root and has XRT depends on who runs it."""
    assert any("FPGA manager" in line for line in board.missing())


@pytest.mark.parametrize("path", [*ROOT.glob("hardpoint/*.py"), *ROOT.glob("host/*.py")], ids=lambda path: path.name)
def test_counts_are_by_the_index_type_of_the_processor(path: Path) -> None:
    """NumPy's bincount takes no 64-bit integers where the processor has 32 bits, as a PYNQ-Z2's has."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.bincount":
            assert "np.intp" in ast.unparse(node.args[0]), f"line {node.lineno}"


def test_the_doctor_examines_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_board", lambda: "Pynq Z2 Development Board")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/xclbinutil" if name == "xclbinutil" else None)
    findings = {finding.name: finding.found for finding in doctor.examine()}
    assert findings["board"] == "Pynq Z2 Development Board"
    assert (findings["root"], findings["XRT"], findings["FPGA manager"]) == ("", "/usr/bin/xclbinutil", "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert [finding.found for finding in doctor._on_board(tmp_path)] == ["yes", "/usr/bin/xclbinutil", str(tmp_path)]
    monkeypatch.setattr(doctor, "_board", lambda: "")
    assert "root" not in {finding.name for finding in doctor.examine()}, "a PC loads no overlay"


def test_the_command_line_needs_numpy_only(tmp_path: Path) -> None:
    """A network, samples and a fault campaign on the emulator: what a board does without its overlay."""
    network = plain_network(np.random.default_rng(0))
    network.save(tmp_path / "network.npz")
    x = codes(np.random.default_rng(1), network.input_format, (30, *network.input_shape)).astype(np.uint8)
    labels = network(x).argmax(axis=1)
    np.savez(tmp_path / "samples.npz", x_train=x, y_train=labels, x_test=x[:12], y_test=labels[:12])

    def hardpoint(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hardpoint", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    ran = hardpoint("run", "network.npz", "--data", "npz=samples.npz", "--json")
    assert json.loads(ran.stdout) == {"device": "emulator", "images": 12, "accuracy": 1.0}, ran.stderr
    words = [
        "campaign",
        "network.npz",
        "--data",
        "npz=samples.npz",
        "--ber",
        "1e-4",
        "--trials",
        "3",
        "--store",
        "s.sqlite",
    ]
    first = hardpoint(*words, "--guard", "14", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(hardpoint(*words, "--guard", "14", "--json").stdout) == json.loads(first.stdout)
    refused = hardpoint("run", "network.npz", "--data", "npz=samples.npz", "--device", "zynq")
    assert (refused.returncode, refused.stderr) == (
        2,
        "hardpoint: device zynq needs a bitstream: name its manifest with --bitstream\n",
    )
    findings = {row["name"]: row["found"] for row in json.loads(hardpoint("doctor", "--json").stdout)}
    assert findings["python"] == ".".join(map(str, sys.version_info[:3]))
