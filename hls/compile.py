"""The C++ of core and shell as a shared library, for simulation on a PC."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.files import atomic_path, digest
from hardpoint.hls.emit import config_header, cpp_sources, registers_header
from hardpoint.layers import Codes
from hardpoint.network import Network
from hardpoint.program import LIMITS, Limits, Program, decode, encode

__all__ = ["FLAGS", "ap_types", "build", "infer", "sources"]

FLAGS = ("-std=c++11", "-O2", "-DHARDPOINT_PLAIN", "-fPIC", "-shared", "-Wno-unknown-pragmas")
CORE_UNITS = ("core.cpp", "core_library.cpp", "faults.cpp", "recompute.cpp", "unit_library.cpp")


def ap_types() -> Path:
    """The folder of the open `ap_int.h` and `hls_stream.h` that hls4ml brings."""
    spec = importlib.util.find_spec("hls4ml")
    if spec is None or spec.origin is None:
        raise InputError("the C++ core needs the ap_types that hls4ml brings; install hardpoint[hls]")
    return Path(spec.origin).parent / "templates" / "vivado" / "ap_types"


def sources(array: Array, limits: Limits = LIMITS) -> dict[str, str]:
    """Everything that the library is compiled from, by file name."""
    folder = resources.files("hardpoint.hls") / "sim"
    sim = {
        item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith((".h", ".cpp"))
    }
    generated = {"hardpoint_config.h": config_header(array, limits), "hardpoint_registers.h": registers_header()}
    return {**cpp_sources(), **sim, **generated}


def build(array: Array, folder: str | os.PathLike[str], limits: Limits = LIMITS, *, shell: bool = True) -> Path:
    """Compile the accelerator of `array` into `folder`; returns the library, an earlier one where nothing changed.

    Without `shell` the library holds the core alone, enough for `hardpoint.host.compiled.CompiledCore`.
    """
    files = sources(array, limits)
    units = sorted(key for key in files if key.endswith(".cpp") and (shell or key in CORE_UNITS))
    files["all.cpp"] = "".join(f'#include "{unit}"\n' for unit in units)  # one unit compiles twice as fast as many
    name = digest(*(part for key in sorted(files) for part in (key, files[key])), " ".join(FLAGS))
    library = Path(folder) / f"csim-{name}.so"
    if library.exists():
        return library
    compiler = shutil.which("g++")
    if compiler is None:
        raise InputError("the C++ core is compiled with g++, which is not on PATH")
    with tempfile.TemporaryDirectory() as work, atomic_path(library) as part:
        for key, text in files.items():
            (Path(work) / key).write_text(text, encoding="utf-8")
        command = [compiler, *FLAGS, "-isystem", str(ap_types()), "-I.", "all.cpp", "-o", str(part)]
        logging.getLogger(__name__).info("compiling the C++ core: %s", shlex.join(command))
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(f"g++ refused the core:\n{done.stderr}")
    return library


def infer(
    library: str | os.PathLike[str], network: Network, array: Array, x: Any, limits: Limits = LIMITS, *, bypass: Any = None
) -> Codes:
    """Output codes (images, outputs) of `network` for codes `x` on a compiled accelerator, as a function call.

    PEs at which `bypass` (rows, cols) is true are bypassed. Faults, counters and devices are the business of `hardpoint.host.driver`.
    """
    x = network.check_input(x)
    program = Program.of(network, array, limits, bypass)
    source = encode(x, program.source_format, program.source_words)
    result = np.zeros((len(x), program.result_words), np.uint64)
    scratch = np.zeros(program.scratch_words, np.uint64)
    call = ctypes.CDLL(str(Path(library).resolve())).hp_infer
    call.restype, call.argtypes = ctypes.c_uint32, [ctypes.c_void_p] * 5 + [ctypes.c_uint32]
    words = (program.words, program.weights, source, result, scratch)
    status = call(*(part.ctypes.data_as(ctypes.c_void_p) for part in words), len(x))
    if status:
        raise RuntimeError(f"the compiled accelerator ended with status {status}")
    return network.ordered(decode(result, program.result_format, program.outputs))
