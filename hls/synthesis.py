"""What Verilog costs: Yosys synthesises it, the mapped netlist is counted, and the answer is kept."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import digest, load_json, write_json
from hardpoint.hls import verilog
from hardpoint.hls.netlist import Levels, Netlist, resources
from hardpoint.hls.yosys import run, version

__all__ = ["FAMILIES", "Synthesis", "cache_folder", "map_netlist", "synthesise"]

FAMILIES = ("xc7", "xcup")
"""7-series (Zynq-7000) and UltraScale+."""


@dataclass(frozen=True)
class Synthesis:
    """A module as synthesised: its cost, its primitives by type, and its longest paths."""

    top: str
    cost: Cost
    cells: Mapping[str, int]
    levels: Levels
    shared: Cost
    """The part of `cost` that `control` alone decides: copies of it that see the same inputs merge."""


def synthesise(
    top: str,
    parameters: Mapping[str, int | str],
    family: str = "xc7",
    dsp: bool = False,
    *,
    memories: bool = False,
    sources: Mapping[str, str] | None = None,
    control: Sequence[str] = (),
    timeout_s: float = 600.0,
) -> Synthesis:
    """Module `top` of `sources` (the core's Verilog) with `parameters`, mapped to `family`; `dsp` allows DSP blocks,
    `memories` memories (without it they are refused, which saves the time to look for them); `control`
    names inputs whose followers are counted apart.

    The answer is kept under the user's cache folder, by digest of sources, parameters and Yosys' version. LUTs are
    counted as `hardpoint.hls.netlist.resources` says. Raises YosysError when Yosys fails or runs out of time.

    >>> synthesise("hp_vote", {"WIDTH": 8}).cost.lut
    8
    """
    sources = verilog.sources() if sources is None else sources
    key = digest(
        _FLOW[dsp],
        version(),
        top,
        family,
        repr((dsp, memories, control)),
        repr(sorted(parameters.items())),
        repr(sorted(sources.items())),
    )
    path = cache_folder() / "synthesis" / f"{key}.json"
    if path.exists():
        try:
            return _restore(load_json(path, "synthesis"))
        except (InputError, KeyError, TypeError):
            pass  # a damaged file of the cache is made anew
    netlist = map_netlist(top, parameters, family, dsp, memories=memories, sources=sources, timeout_s=timeout_s)
    shared = resources(netlist.following(control))
    made = Synthesis(top, resources(netlist.counts), netlist.counts, netlist.levels, shared)
    write_json(path, {**dataclasses.asdict(made), "cost": made.cost.table(), "shared": made.shared.table()})
    return made


def _restore(table: Mapping[str, object]) -> Synthesis:
    row = dict(table)
    return Synthesis(
        str(row["top"]),
        Cost.restore(row["cost"]),
        row["cells"],  # type: ignore[arg-type]
        Levels(**row["levels"]),  # type: ignore[arg-type]
        Cost.restore(row["shared"]),
    )


_FLOW = {False: "6", True: "7"}
"""With DSP blocks or without: changes whenever the passes below or what is kept of their result change."""


_ADDERS = r"""
(* techmap_celltype = "$add" *)
module add #(parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1) (
    input [A_WIDTH-1:0] A,
    input [B_WIDTH-1:0] B,
    output [Y_WIDTH-1:0] Y
);
    wire [Y_WIDTH-1:0] half, carries;
    \$alu #(.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH))
        _TECHMAP_REPLACE_ (.A(A), .B(B), .CI(1'b0), .BI(1'b0), .Y(Y), .X(half), .CO(carries));
endmodule
"""
"""Sums become adders as they are written, before Yosys sorts their operands."""


def map_netlist(
    top: str,
    parameters: Mapping[str, int | str],
    family: str = "xc7",
    dsp: bool = False,
    *,
    memories: bool = False,
    sources: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
) -> Netlist:
    """The mapped, flat netlist of `top`; modules whose hierarchy is to be kept are optimised alone, then flattened.

    The flow is Yosys' `synth_xilinx` without pads and clock buffers; libraries that nothing needs are not read, and the
    first operand of a sum goes straight to the carry chain. (Left alone, Yosys chooses by internal names: the same PE
    then takes 140 LUTs or 163.)
    """
    if family not in FAMILIES:
        raise InputError(f"a device family is one of {', '.join(FAMILIES)}, not {family!r}")
    sources = verilog.sources() if sources is None else sources
    if not any(f"module {top}" in text for text in sources.values()):
        raise InputError(f"no source has a module {top!r}")
    flow = f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf {'' if dsp else '-nodsp'} -top {top} -run"
    settings = "".join(f" -chparam {name} {value}" for name, value in parameters.items())
    passes = [
        *(f"read_verilog -defer -I. {name}" for name in sorted(sources) if name.endswith(".v")),
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        *(["read_verilog -lib +/xilinx/cells_xtra.v"] if dsp or memories else []),
        f"hierarchy -check -top {top}{settings}",
        f"{flow} prepare:coarse",
        "techmap -map adders.v",
        f"{flow} coarse:map_memory",
        f"{flow} map_memory:map_ffram" if memories else "select -assert-none t:$mem*",
        f"{flow} map_ffram:check",
        "setattr -mod -unset keep_hierarchy",
        "flatten",
        "blackbox =A:whitebox",
        "write_json netlist.json",
    ]
    with tempfile.TemporaryDirectory(prefix="hardpoint-") as folder:
        run(passes, timeout_s, {**sources, "adders.v": _ADDERS}, folder)
        return Netlist.load(Path(folder) / "netlist.json", top)


def cache_folder() -> Path:
    """Where results that can be made again are kept: the user's cache folder on this system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hardpoint"
