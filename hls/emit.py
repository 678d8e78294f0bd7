"""Emission: from a network and an array to the files of an HLS project, as a pure function."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array, Guard, most_carry
from hardpoint.bitstream import CORES, Bitstream
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import digest
from hardpoint.hls import verilog
from hardpoint.hls.boards import board
from hardpoint.network import Network
from hardpoint.program import (
    EXTERNAL,
    HEADER_WORDS,
    LAYER_WORDS,
    LIMITS,
    MAGIC,
    Field,
    Header,
    Kind,
    Limits,
    Mode,
    Program,
    Status,
    encode,
    record_words,
)
from hardpoint.registers import DONE, IDLE, REGISTERS, START, offsets

__all__ = ["config_header", "cpp_sources", "emit", "registers_header", "render", "write_project"]

BLACK_BOXES = {verilog.ENGINE: "core.cpp", verilog.UNIT: "recompute.cpp"}
"""What enters a project as Verilog, and its C model."""

SCALARS = {
    verilog.ENGINE: ("tiles", "steps", "passes", "signed_act", "bypass", "strike_count", "limit"),
    verilog.UNIT: ("neurons", "steps", "signed_act", "strike_count", "limit"),
}
"""Scalar arguments of the black boxes, after their streams."""

CHECKED_IMAGES = 2
"""Images in the test bench's vectors."""


def emit(
    network: Network,
    array: Array,
    *,
    core: str = "rtl",
    limits: Limits = LIMITS,
    cost: Cost | None = None,
    unit_cost: Cost | None = None,
    name: str = "hardpoint",
) -> dict[str, str]:
    """The HLS project of `array` as {path: text}; `network` is checked to fit, and gives the test bench its vectors.

    `core` "rtl" brings the Verilog as black boxes: the array, whose resources are `cost`, and the recompute unit, whose
    resources are `unit_cost` (zeros where unknown); "hls" has the C++ synthesised. The accelerator runs any network within `limits`. The manifest's digest covers every other file.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> sorted({name.partition("/")[0] for name in emit(net, Array(2, 2, (Guard(14),)))})
    ['README.md', 'cpp', 'hardpoint_engine.json', 'manifest.json', 'rtl', 'tb', 'tcl']
    """
    if core not in CORES:
        raise InputError(f"a core is synthesised from {' or '.join(CORES)}, not {core!r}")
    files = {f"cpp/{key}": text for key, text in cpp_sources().items()}
    files["cpp/hardpoint_config.h"] = config_header(array, limits)
    if core == "rtl":
        rtl = verilog.flattened({**verilog.sources(), **verilog.engine_sources(array)})
        files.update({f"rtl/{key}": text for key, text in rtl.items()})
        files[f"{verilog.ENGINE}.json"] = _black_box(verilog.ENGINE, sorted(rtl), cost)
        if array.recompute is not None:
            files[f"{verilog.UNIT}.json"] = _black_box(verilog.UNIT, sorted(rtl), unit_cost)
    program = Program.of(network, array, limits)
    bench = _bench(network, program)
    files["tb/vectors.txt"] = bench.pop("text")
    values = _values(network, array, core, limits, name) | bench
    files["tb/testbench.cpp"] = render("testbench.cpp.j2", values)
    for tool, vitis in (("vivado_hls", False), ("vitis_hls", True)):
        command = f"{tool} -f tcl/{tool}.tcl"
        title = "Vitis HLS, 2022.2 or later" if vitis else "Vivado HLS, 2019.2 or 2020.1"
        standard = "-std=c++14" if vitis else "-std=c++0x"
        files[f"tcl/{tool}.tcl"] = render(
            "hls.tcl.j2", values | {"vitis": vitis, "title": title, "command": command, "standard": standard}
        )
    for key in ("directives.tcl", "build.tcl", "copies.xdc"):
        files[f"tcl/{key}"] = render(f"{key}.j2", values)
    sources = digest(*(part for key in sorted(files) for part in (key, files[key])))
    files["README.md"] = render("README.md.j2", values | {"digest": sources})
    manifest = Bitstream(name, array, board(array.board).part, 1000.0 / array.period_ns, sources, core, limits)
    files["manifest.json"] = json.dumps(manifest.table(), indent=1) + "\n"
    return files


def write_project(network: Network, array: Array, folder: str | os.PathLike[str], **choices: Any) -> dict[str, Any]:
    """Write the files of `emit` into `folder`, all or none; returns their names and the digest of the sources.

    `choices` are those of `emit`; unless they say what the core costs, the black boxes state what array and recompute
    unit without taps do. A folder that holds anything else than an earlier project is an InputError.
    """
    if "cost" not in choices and choices.get("core", "rtl") == "rtl":
        choices["cost"] = _array_cost(array)
        choices.setdefault("unit_cost", _unit_cost(array))
    files = emit(network, array, **choices)
    target = Path(folder).resolve()
    if target.exists() and (
        not target.is_dir() or (any(target.iterdir()) and not (target / "manifest.json").is_file())
    ):
        raise InputError(f"{folder} is in the way: it exists and is no earlier project")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from None
    try:
        for key, text in files.items():
            path = work / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        work.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        work.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {"files": sorted(files), "digest": json.loads(files["manifest.json"])["sources"]}


def render(template: str, values: Mapping[str, object]) -> str:
    """The text of a whole-file template of `hls/templates`; a name that `values` lacks is an error."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.from_string(_text("templates", template)).render(values)


def cpp_sources() -> dict[str, str]:
    """The hand-written C++ of core and shell by file name."""
    folder = resources.files("hardpoint.hls") / "cpp"
    return {item.name: item.read_text(encoding="utf-8") for item in sorted(folder.iterdir(), key=lambda x: x.name)}


def config_header(array: Array, limits: Limits = LIMITS) -> str:
    """The one generated header: an array's sizes, guard classes, memories and word layouts as constants.

    >>> header = config_header(Array(2, 3, (Guard(14, operand=True),)))
    >>> "typedef guard::Columns<14, 2, 3, 1> Guard0;" in header
    True
    """
    guards = [_guard(array, guard, array.carry_bits(guard)) for guard in array.guards]
    return render(
        "hardpoint_config.h.j2",
        {
            "array": array,
            "digest": array.digest,
            "guards": guards + guards[:1] * (3 - len(guards)),
            "classes": array.class_map.tolist(),
            "dataflow": "WeightStationary" if array.dataflow == "ws" else "OutputStationary",
            "limits": limits,
            "magic": MAGIC,
            "external": EXTERNAL,
            "header_words": HEADER_WORDS,
            "layer_words": LAYER_WORDS,
            "record_words": record_words(array),
            "header": list(Header),
            "fields": list(Field),
            "kinds": ", ".join(f"KIND_{kind.name} = {kind.value}" for kind in Kind),
            "statuses": ", ".join(f"STATUS_{status.name} = {status.value}" for status in Status),
            "mode_check": Mode.CHECK.value,
            "mode_strikes": Mode.STRIKES.value,
            "unit": "guard::None" if array.recompute is None else _guard(array, array.recompute.guard, array.unit_carry_bits),
        },
    )


def registers_header() -> str:
    """Byte offsets of the control registers as C++ constants."""
    table = offsets()
    size = table[REGISTERS[-1].name] + REGISTERS[-1].size
    return render(
        "hardpoint_registers.h.j2", {"offsets": table, "size": size, "start": START, "done": DONE, "idle": IDLE}
    )


def _guard(array: Array, guard: Guard, carry: int) -> str:
    """A guard as the C++ type that stands for it, with a carry of `carry` bits."""
    if guard.column is None:
        return "guard::None"
    if guard.kind == "rpr":
        return f"guard::Reduced<{guard.column}, {most_carry(array.act_bits, array.pe_wgt_bits, guard.column)}>"
    return f"guard::Columns<{guard.column}, {carry}, {3 if guard.operand else 1}, {3 if guard.drain else 1}>"


def _values(network: Network, array: Array, core: str, limits: Limits, name: str) -> dict[str, object]:
    """What the templates of a project name."""
    chosen = board(array.board)
    ports = list(dict.fromkeys(register.port for register in REGISTERS if register.port))
    named = [verilog.ENGINE, *([] if array.recompute is None else [verilog.UNIT])]
    boxes = {name: BLACK_BOXES[name] for name in named} if core == "rtl" else {}
    return {
        "name": name,
        "network": network.name,
        "array": array,
        "core": core,
        "board": chosen,
        "part": chosen.part.spelling,
        "period": f"{array.period_ns:g}",
        "clock": f"{1000.0 / array.period_ns:g}",
        "guards": ", ".join(str(guard) for guard in array.guards),
        "units": sorted(key for key in cpp_sources() if key.endswith(".cpp") and key not in boxes.values()),
        "boxes": sorted(boxes),
        "registers": REGISTERS,
        "offsets": offsets(),
        "ports": ports,
        "modules": _copies(),
        "version": "1.0",
    }


def _bench(network: Network, program: Program) -> dict[str, Any]:
    """Vectors of the test bench, as text, and the sizes of its buffers in words."""
    rng = np.random.default_rng(1)
    fmt = network.input_format
    x = rng.integers(fmt.min, fmt.max + 1, (CHECKED_IMAGES, *network.input_shape))
    last = network.layers[-1]
    outputs = network.trace(x)[last.name].reshape(CHECKED_IMAGES, -1)
    buffers = {
        "program": program.words,
        "weights": program.weights if len(program.weights) else np.zeros(1, np.uint64),
        "source": encode(x, fmt, program.source_words).reshape(-1),
        "result": encode(outputs, program.result_format, program.result_words).reshape(-1),
    }
    lines = [line for words in buffers.values() for line in (f"{len(words):x}", *(f"{int(word):x}" for word in words))]
    depths = {name: len(words) for name, words in buffers.items()}
    depths |= {"scratch_in": program.scratch_words, "scratch_out": program.scratch_words, "strikes": 1}
    depths["records"] = CHECKED_IMAGES * 64
    return {
        "text": "\n".join(lines) + "\n",
        "images": CHECKED_IMAGES,
        "scratch_words": program.scratch_words,
        "depths": depths,
    }


def _copies() -> list[str]:
    """Modules of the Verilog that stand for one copy each: those whose hierarchy is kept."""
    kept = (text for name, text in verilog.sources().items() if name.endswith(".v") and "keep_hierarchy" in text)
    return sorted(found[1] for text in kept if (found := re.search(r"^module (\w+)", text, re.M)))


def _array_cost(array: Array) -> Cost | None:
    """What the array without taps and without its recompute unit costs, None where its parts' costs are unknown."""
    from hardpoint.hls.cost import array_cost

    try:
        return array_cost(dataclasses.replace(array, recompute=None))
    except InputError:
        return None


def _unit_cost(array: Array) -> Cost | None:
    """What the recompute unit without taps costs."""
    from hardpoint.hls.parts import price, unit

    if array.recompute is None:
        return None
    part = price(unit(dataclasses.replace(array, taps=False)))
    return Cost("yosys", lut=part.lut, ff=part.ff, dsp=part.dsp)


def _black_box(name: str, modules: list[str], cost: Cost | None) -> str:
    """The description of a Verilog module for HLS: UG1399, "JSON File for RTL Blackbox"."""

    def reading(name: str) -> dict[str, Any]:
        ports = {
            "FIFO_empty_flag": f"{name}_empty_n",
            "FIFO_read_enable": f"{name}_read",
            "FIFO_data_read_in": f"{name}_dout",
        }
        return {"c_name": name, "c_port_direction": "in", "rtl_ports": ports}

    def writing(name: str) -> dict[str, Any]:
        ports = {
            "FIFO_full_flag": f"{name}_full_n",
            "FIFO_write_enable": f"{name}_write",
            "FIFO_data_write_out": f"{name}_din",
        }
        return {"c_name": name, "c_port_direction": "out", "rtl_ports": ports}

    def scalar(name: str) -> dict[str, Any]:
        return {"c_name": name, "c_port_direction": "in", "rtl_ports": {"data_read_in": name}}

    used = {key: int(getattr(cost, key, None) or 0) for key in ("ff", "lut", "bram", "uram", "dsp")}
    table = {
        "c_function_name": name,
        "rtl_top_module_name": name,
        "c_files": [{"c_file": f"cpp/{BLACK_BOXES[name]}", "cflag": "-Icpp"}],
        "rtl_files": [f"rtl/{name}" for name in modules],
        "c_parameters": [
            *(reading(stream) for stream in ("beats", "strikes")),
            *(writing(stream) for stream in ("sums", "counts")),
            *(scalar(argument) for argument in SCALARS[name]),
        ],
        "rtl_common_signal": {
            "module_clock": "ap_clk",
            "module_reset": "ap_rst",
            "module_clock_enable": "ap_ce",
            **{
                f"ap_ctrl_chain_protocol_{signal}": f"ap_{signal}"
                for signal in ("idle", "start", "ready", "done", "continue")
            },
        },
        "rtl_performance": {"latency": "1", "II": "1"},
        "rtl_resource_usage": {key.upper(): str(value) for key, value in used.items()},
    }
    return json.dumps(table, indent=1) + "\n"


def _text(folder: str, name: str) -> str:
    return (resources.files("hardpoint.hls") / folder / name).read_text(encoding="utf-8")
