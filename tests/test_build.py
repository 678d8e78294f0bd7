"""Builds with invented vendor commands that record how they are called, make what they should, or fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from accelerators import plain_network

from hardpoint.array import Array
from hardpoint.bitstream import Bitstream
from hardpoint.errors import InputError
from hardpoint.hls.build import BuildError, Tools, build, header_offsets
from hardpoint.hls.emit import write_project
from hardpoint.registers import offsets

REPORTS = Path(__file__).parent / "reports"
FAKE = """#!{python}
import json, pathlib, sys
name = pathlib.Path(sys.argv[0]).name
with open({record!r}, "a") as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + chr(10))
if "ersion" in sys.argv[-1]:
    print(name, "v2022.2 (64-bit)")
    sys.exit()
orders = pathlib.Path({orders!r})
if (orders / name).exists():
    exec((orders / name).read_text())
kind = "vivado" if name == "vivado" else "hls"
for path, source in json.loads(pathlib.Path({makes!r}).read_text())[kind].items():
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(source)
"""


class Vendor:
    """A folder of invented commands, what they were called with, and what they are to do."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.bin, self.record, self.orders = folder / "bin", folder / "calls", folder / "orders"
        self.makes = folder / "makes.json"
        self.bin.mkdir()
        self.orders.mkdir()
        self.made = {"hls": self.synthesised(offsets()), "vivado": self.implemented()}
        self.save()
        for name in names:
            text = FAKE.format(
                python=sys.executable, record=str(self.record), orders=str(self.orders), makes=str(self.makes)
            )
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def save(self) -> None:
        self.makes.write_text(json.dumps(self.made))

    @property
    def calls(self) -> list[list[str]]:
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [call for line in lines if "ersion" not in (call := json.loads(line))[-1]]

    @property
    def tools(self) -> Tools:
        return Tools.find(str(self.bin))

    @staticmethod
    def synthesised(table: dict[str, int]) -> dict[str, str]:
        lines = [
            f"#define XHARDPOINT_TOP_CONTROL_ADDR_{name.upper()}_DATA {offset:#04x}" for name, offset in table.items()
        ]
        top = "hls/solution/impl/ip/"
        return {
            top + "component.xml": "<component/>",
            top + "drivers/hardpoint_top_v1_0/src/xhardpoint_top_hw.h": "\n".join(lines),
            "hls/solution/syn/report/csynth.xml": (REPORTS / "csynth.xml").read_text(),
        }

    @staticmethod
    def implemented() -> dict[str, str]:
        return {
            "overlay/hardpoint.bit": "bits",
            "overlay/hardpoint.hwh": "<hwh/>",
            "utilization.rpt": (REPORTS / "tilt_utilization_placed.rpt").read_text(),
            "timing.rpt": (REPORTS / "tilt_timing_failed.rpt").read_text(),
            "power.rpt": (REPORTS / "tilt_power_routed.rpt").read_text(),
        }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(plain_network(np.random.default_rng(1)), Array(2, 3), tmp_path / "project", cost=None)
    return tmp_path / "project"


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path, "vitis_hls", "vivado")


def silent(text: str) -> None:
    pass


def test_the_exact_commands(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    said: list[str] = []
    built = build(project, tmp_path / "out", tools=vendor.tools, say=said.append)
    assert vendor.calls == [
        ["vitis_hls", "-f", "tcl/vitis_hls.tcl"],
        ["vivado", "-mode", "batch", "-nojournal", "-log", "vivado.log", "-source", "tcl/build.tcl"],
    ]
    assert [line.split(":")[0] for line in said] == ["hls", "vivado"]
    assert built == Bitstream.load(tmp_path / "out" / "hardpoint.json")
    assert built.built
    assert dict(built.tools) == {"vitis_hls": "2022.2", "vivado": "2022.2"}
    assert [cost.source for cost in built.costs] == ["csynth", "vivado"]
    built.check_files(tmp_path / "out")
    (tmp_path / "out" / "hardpoint.bit").write_text("other bits")
    with pytest.raises(InputError, match=r"hardpoint.bit is not what was built: its SHA-256 is"):
        built.check_files(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vivado_hls", ["-f", "tcl/vivado_hls.tcl"]),
        ("vitis-run", ["--mode", "hls", "--tcl", "tcl/vitis_hls.tcl"]),
    ],
)
def test_older_and_newer_tools(project: Path, tmp_path: Path, name: str, arguments: list[str]) -> None:
    vendor = Vendor(tmp_path, name, "vivado")
    build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    assert vendor.calls[0] == [name, *arguments]


def test_missing_tools_are_named(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError) as error:
        Tools.find(str(tmp_path / "none"))
    assert str(error.value) == (
        "building a bitstream needs the vendor's tools; not on PATH: "
        "Vitis HLS (vitis-run or vitis_hls) or Vivado HLS (vivado_hls), Vivado (vivado)"
    )
    with pytest.raises(InputError, match=r"not on PATH: Vivado \(vivado\)$"):
        Tools.find(str(Vendor(tmp_path, "vitis_hls").bin))


def test_a_failing_tool_is_reported_and_the_build_resumes_there(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    order = vendor.orders / "vivado"
    order.write_text("print('INFO: working'); print('ERROR: [Place 30-640] Place Check : too many LUTs'); sys.exit(1)")
    with pytest.raises(BuildError) as error:
        build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    assert str(error.value) == (
        f"step vivado: {vendor.bin / 'vivado'} ended with 1 ([Place 30-640] Place Check : too many LUTs); "
        f"see {project / 'vivado.log'}"
    )
    assert not (tmp_path / "out").exists()
    order.unlink()
    build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    assert [call[0] for call in vendor.calls] == ["vitis_hls", "vivado", "vivado"]
    build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    assert len(vendor.calls) == 3
    build(project, tmp_path / "out", tools=vendor.tools, again=True, say=silent)
    assert len(vendor.calls) == 5


def test_a_tool_that_leaves_nothing_has_failed(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    """HLS tools end with 0 after some errors; what an earlier run left must not pass for a result."""
    build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    (vendor.orders / "vitis_hls").write_text("print('ERROR: [HLS 200-70] no licence'); sys.exit(0)")
    with pytest.raises(BuildError, match=r"ended well but left no .*_hw.h \(\[HLS 200-70\] no licence\)"):
        build(project, tmp_path / "out", tools=vendor.tools, again=True, say=silent)


def test_a_register_that_the_tool_moved_stops_the_build(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    vendor.made["hls"] = vendor.synthesised(offsets() | {"mode": 0xA0})
    vendor.save()
    with pytest.raises(InputError, match="register mode lies at 0xa0, not at 0x80"):
        build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    assert [call[0] for call in vendor.calls] == ["vitis_hls"]


def test_a_changed_project_is_refused(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    (project / "cpp" / "pe.h").write_text("// better")
    with pytest.raises(InputError, match="was changed since it was emitted"):
        build(project, tmp_path / "out", tools=vendor.tools, say=silent)
    assert vendor.calls == []


def test_a_command_that_cannot_run(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="step hls: cannot run /nowhere/vitis_hls: No such file"):
        build(project, tmp_path / "out", tools=Tools("/nowhere/vitis_hls", vendor.tools.vivado), say=silent)


def test_the_header_of_another_block_is_refused(project: Path) -> None:
    found = header_offsets((REPORTS / "xweave_hw.h").read_text())
    assert found == {"weights": 0x10}, "a name that both have"
    with pytest.raises(InputError, match="bitstream hardpoint: the hardware has no register program"):
        Bitstream.load(project / "manifest.json").check_registers(found)


def hardpoint(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with nothing but `path` on PATH."""
    command = [sys.executable, "-m", "hardpoint", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": str(path)}, check=False
    )


def test_the_command_builds_and_resumes(project: Path, vendor: Vendor, tmp_path: Path) -> None:
    order = vendor.orders / "vivado"
    order.write_text("print('ERROR: [Common 17-39] no licence'); sys.exit(1)")
    out = tmp_path / "out"
    failed = hardpoint(vendor.bin, "build", str(project), "--out", str(out))
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1].startswith("hardpoint: step vivado: ")
    assert "([Common 17-39] no licence)" in failed.stderr
    order.unlink()
    made = hardpoint(vendor.bin, "build", str(project), "--out", str(out), "--json")
    assert made.returncode == 0, made.stderr
    assert Bitstream.restore(json.loads(made.stdout)) == Bitstream.load(out / "hardpoint.json")
    assert [call[0] for call in vendor.calls] == ["vitis_hls", "vivado", "vivado"], "HLS was not repeated"


def test_the_command_names_missing_tools_in_one_line(project: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = hardpoint(tmp_path / "none", "build", str(project), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr == (
        "hardpoint: building a bitstream needs the vendor's tools; not on PATH: "
        "Vitis HLS (vitis-run or vitis_hls) or Vivado HLS (vivado_hls), Vivado (vivado)\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "its format is not 'hardpoint bitstream 1'"),
        ({"name": "a/b"}, "a bitstream's name is a file name without folders, not 'a/b'"),
        ({"core": "asic"}, "a core is synthesised from rtl or hls, not 'asic'"),
        ({"clock_mhz": 0}, "a clock runs at 1 to 1000 MHz, not 0"),
        ({"colour": 1}, "bitstream manifest has no key 'colour'"),
        ({"files": 3}, "files of a bitstream manifest must be a table, not int"),
    ],
)
def test_manifests_are_checked(project: Path, change: dict[str, object], message: str) -> None:
    table = json.loads((project / "manifest.json").read_text()) | change
    (project / "manifest.json").write_text(json.dumps(table))
    with pytest.raises(InputError) as error:
        Bitstream.load(project / "manifest.json")
    assert message in str(error.value)
