"""What Verilog costs: Yosys synthesises it, the mapped netlist is counted, and the answer is kept."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import digest, load_json, write_json
from hardpoint.hls.netlist import Levels, Netlist, resources
from hardpoint.hls.yosys import rtl_sources, run, version

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


def synthesise(
    top: str,
    parameters: Mapping[str, int],
    family: str = "xc7",
    dsp: bool = False,
    *,
    sources: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
) -> Synthesis:
    """Module `top` of `sources` (the core's Verilog) with `parameters`, mapped to `family`; `dsp` allows DSP blocks.

    The answer is kept under the user's cache folder, by digest of sources, parameters and Yosys' version. LUTs are
    counted as `hardpoint.hls.netlist.resources` says. Raises YosysError when Yosys fails or runs out of time.

    >>> synthesise("hp_vote", {"WIDTH": 8}).cost.lut
    8
    """
    sources = rtl_sources() if sources is None else sources
    key = digest(_FLOW, version(), top, family, str(dsp), repr(sorted(parameters.items())), repr(sorted(sources.items())))
    path = cache_folder() / "synthesis" / f"{key}.json"
    if path.exists():
        try:
            return _restore(load_json(path, "synthesis"))
        except (InputError, KeyError, TypeError):
            pass  # a damaged file of the cache is made anew
    netlist = map_netlist(top, parameters, family, dsp, sources=sources, timeout_s=timeout_s)
    made = Synthesis(top, resources(netlist.counts), netlist.counts, netlist.levels)
    write_json(path, {**dataclasses.asdict(made), "cost": made.cost.table()})
    return made


def _restore(table: Mapping[str, object]) -> Synthesis:
    row = dict(table)
    return Synthesis(
        str(row["top"]),
        Cost.restore(row["cost"]),
        row["cells"],  # type: ignore[arg-type]
        Levels(**row["levels"]),  # type: ignore[arg-type]
    )


_FLOW = "3"
"""Changes whenever the passes below or what is kept of their result change."""


def map_netlist(
    top: str,
    parameters: Mapping[str, int],
    family: str = "xc7",
    dsp: bool = False,
    *,
    sources: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
) -> Netlist:
    """The mapped, flat netlist of `top`; modules whose hierarchy is to be kept are optimised alone, then flattened.

    The flow is Yosys' `synth_xilinx` without pads and clock buffers.
    """
    if family not in FAMILIES:
        raise InputError(f"a device family is one of {', '.join(FAMILIES)}, not {family!r}")
    sources = rtl_sources() if sources is None else sources
    if not any(f"module {top}" in text for text in sources.values()):
        raise InputError(f"no source has a module {top!r}")
    settings = " ".join(f"-set {name} {_constant(value)}" for name, value in parameters.items())
    passes = [f"read_verilog -I. {name}" for name in sorted(sources) if name.endswith(".v")]
    passes += [
        *([f"chparam {settings} {top}"] if settings else []),
        f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf {'' if dsp else '-nodsp'} -top {top} -run begin:check",
        "setattr -mod -unset keep_hierarchy",
        "flatten",
        "blackbox =A:whitebox",
        "write_json netlist.json",
    ]
    with tempfile.TemporaryDirectory(prefix="hardpoint-") as folder:
        run(passes, timeout_s, sources, folder)
        return Netlist.load(Path(folder) / "netlist.json", top)


def _constant(value: int) -> str:
    """A parameter as Yosys reads it; wide ones with their width.

    >>> _constant(14), _constant(1 << 40)
    ('14', "41'h10000000000")
    """
    return str(value) if value < 1 << 31 else f"{value.bit_length()}'h{value:x}"


def cache_folder() -> Path:
    """Where results that can be made again are kept: the user's cache folder on this system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hardpoint"
