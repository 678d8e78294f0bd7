"""From an emitted project to a bitstream: runs the vendor's tools step by step, and resumes at the step that failed."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hardpoint.bitstream import Bitstream, sha256
from hardpoint.cost import Cost
from hardpoint.documents import load_text
from hardpoint.errors import InputError
from hardpoint.files import digest, load_json, only_keys, write_json
from hardpoint.hls.report import CSynth, Power, Timing, Utilisation, read_as, to_cost
from hardpoint.registers import REGISTERS

__all__ = ["HLS_TOOLS", "BuildError", "Step", "Tools", "build", "header_offsets", "steps", "synthesise"]

STATE = "build.json"
HLS_TOOLS = ("vitis-run", "vitis_hls", "vivado_hls")
"""Commands that synthesise C++, in the order in which they are looked for: Vitis from 2023.2, Vitis HLS, Vivado HLS."""

DESCRIPTIONS = ("hardpoint_engine.json", "hardpoint_recompute.json")
"""Descriptions of black boxes, beside the folders of a project."""

DAY = 24 * 3600.0


class BuildError(InputError):
    """A tool failed; the message names the step, what the tool said, and its log."""


@dataclass(frozen=True)
class Tools:
    """The vendor's commands on this machine, by path."""

    hls: str
    vivado: str

    @classmethod
    def find(cls, path: str | None = None, hls_only: bool = False) -> Tools:
        """The tools on `path` (PATH where None); an InputError says which are missing. `hls_only`: Vivado may be."""
        hls = next((found for name in HLS_TOOLS if (found := shutil.which(name, path=path))), None)
        vivado = shutil.which("vivado", path=path)
        missing = [] if hls else ["Vitis HLS (vitis-run or vitis_hls) or Vivado HLS (vivado_hls)"]
        missing += [] if vivado or hls_only else ["Vivado (vivado)"]
        if hls is None or missing:
            what = "C synthesis" if hls_only else "building a bitstream"
            raise InputError(f"{what} needs the vendor's tools; not on PATH: {', '.join(missing)}")
        return cls(hls, vivado or "vivado")


@dataclass(frozen=True)
class Step:
    """One run of a tool: `command` in the project's folder writes `log` and must leave `results` (glob patterns) there."""

    name: str
    command: tuple[str, ...]
    log: str
    results: tuple[str, ...]


def steps(bitstream: Bitstream, tools: Tools) -> tuple[Step, ...]:
    """The steps of a build.

    >>> from hardpoint.array import Array
    >>> from hardpoint.part import Part
    >>> made = Bitstream("demo", Array(2, 2), Part.parse("xc7z020clg400-1"), 100.0, sources="0123")
    >>> [" ".join(step.command) for step in steps(made, Tools("vitis_hls", "vivado"))]
    ['vitis_hls -f tcl/vitis_hls.tcl', 'vivado -mode batch -nojournal -log vivado.log -source tcl/build.tcl']
    """
    name = Path(tools.hls).name
    script = "tcl/vivado_hls.tcl" if name == "vivado_hls" else "tcl/vitis_hls.tcl"
    synthesise = (tools.hls, "--mode", "hls", "--tcl", script) if name == "vitis-run" else (tools.hls, "-f", script)
    implement = (tools.vivado, "-mode", "batch", "-nojournal", "-log", "vivado.log", "-source", "tcl/build.tcl")
    overlay = tuple(f"overlay/{bitstream.name}.{kind}" for kind in ("bit", "hwh"))
    return (
        Step("hls", synthesise, "hls.log", (HEADER, "hls/solution/impl/ip/component.xml")),
        Step("vivado", implement, "vivado.log", (*overlay, "utilization.rpt", "timing.rpt", "power.rpt")),
    )


HEADER = "hls/solution/impl/ip/drivers/*/src/x*_hw.h"


def build(
    project: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    tools: Tools | None = None,
    again: bool = False,
    say: Callable[[str], None] = print,
) -> Bitstream:
    """Build the bitstream of an emitted `project` into folder `out`; returns its manifest, written beside it.

    Steps that an earlier run finished for the same sources are not repeated unless `again`. The registers that the
    HLS tool made are compared with the manifest's before Vivado starts. BuildError where a tool fails.
    """
    folder = Path(project).resolve()
    bitstream = Bitstream.load(folder / "manifest.json")
    tools = tools or Tools.find()
    _take(folder, bitstream, steps(bitstream, tools), again, say)
    return _collect(folder, Path(out), bitstream, tools)


def synthesise(
    project: str | os.PathLike[str], *, tools: Tools | None = None, again: bool = False, say: Callable[[str], None] = print
) -> Cost:
    """What C synthesis estimates that an emitted `project` costs: the first step of its build, which a later one goes on from."""
    folder = Path(project).resolve()
    bitstream = Bitstream.load(folder / "manifest.json")
    _take(folder, bitstream, steps(bitstream, tools or Tools.find(hls_only=True))[:1], again, say)
    report = _csynth(folder)
    if report is None:
        raise BuildError(f"step hls: C synthesis of {folder} left no report; see {folder / 'hls.log'}")
    return to_cost(read_as(CSynth, report))


def _take(folder: Path, bitstream: Bitstream, wanted: tuple[Step, ...], again: bool, say: Callable[[str], None]) -> None:
    """Run the steps that were not done before for the same sources."""
    check_sources(folder, bitstream)
    done = [] if again else _done(folder, bitstream)
    for step in wanted:
        if step.name in done and not _missing(folder, step):
            say(f"{step.name}: done before")
        else:
            say(f"{step.name}: {' '.join(step.command)} (log: {folder / step.log})")
            _run(folder, step)
            done = [*done, step.name]
            write_json(folder / STATE, {"sources": bitstream.sources, "done": sorted(set(done))})
        if step.name == "hls":
            bitstream.check_registers(header_offsets(load_text(next(folder.glob(HEADER)), "driver header")))


def check_sources(folder: Path, bitstream: Bitstream) -> None:
    """Raise an InputError unless the project's files are those that were emitted."""
    made = ("cpp", "rtl", "tb", "tcl")
    names = sorted(
        str(path.relative_to(folder)) for part in made for path in (folder / part).rglob("*") if path.is_file()
    )
    names += [name for name in DESCRIPTIONS if (folder / name).is_file()]
    found = digest(*(part for name in sorted(names) for part in (name, (folder / name).read_text(encoding="utf-8"))))
    if found != bitstream.sources:
        raise InputError(
            f"{folder} was changed since it was emitted: its sources have digest {found}, not {bitstream.sources}"
        )


def header_offsets(text: str) -> dict[str, int]:
    """Byte offsets of the registers in the driver header `x*_hw.h` that HLS tools write.

    >>> header_offsets("#define XHARDPOINT_TOP_CONTROL_ADDR_IMAGES_DATA 0x70\\n")
    {'images': 112}
    """
    found = {}
    for register in REGISTERS:
        match = re.search(rf"^#define\s+\w+_ADDR_{register.name.upper()}_DATA\s+(0x[0-9a-fA-F]+)", text, re.M)
        if match:
            found[register.name] = int(match[1], 16)
    return found


def _done(folder: Path, bitstream: Bitstream) -> list[str]:
    """Steps that an earlier run finished for these sources."""
    if not (folder / STATE).is_file():
        return []
    state = only_keys(load_json(folder / STATE, "state of a build"), {"sources", "done"}, "state of a build")
    return list(state["done"]) if state.get("sources") == bitstream.sources else []


def _missing(folder: Path, step: Step) -> list[str]:
    return [pattern for pattern in step.results if not any(folder.glob(pattern))]


def _run(folder: Path, step: Step) -> None:
    """Run a tool; a BuildError unless it ends with 0 and leaves its results."""
    for pattern in step.results:
        for old in folder.glob(pattern):
            old.unlink()
    log = folder / step.log
    try:
        with log.open("w", encoding="utf-8") as file:
            ended = subprocess.run(
                step.command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, timeout=DAY, check=False
            )
    except OSError as error:
        raise BuildError(f"step {step.name}: cannot run {step.command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise BuildError(f"step {step.name}: {step.command[0]} ran for a day without an end; see {log}") from None
    if ended.returncode != 0:
        raise BuildError(f"step {step.name}: {step.command[0]} ended with {ended.returncode}{_reason(log)}; see {log}")
    if missing := _missing(folder, step):
        raise BuildError(
            f"step {step.name}: {step.command[0]} ended well but left no {missing[0]}{_reason(log)}; see {log}"
        )


def _reason(log: Path) -> str:
    """The first error in a log, as words of a message."""
    found = re.search(r"^(?:@E|ERROR:?|CRITICAL WARNING:)\s*(.+)$", load_text(log, "log"), re.M)
    return f" ({found[1].strip()[:200]})" if found else ""


def _collect(folder: Path, out: Path, bitstream: Bitstream, tools: Tools) -> Bitstream:
    """Copy the overlay to `out`, with the manifest that says how it was made and what it costs."""
    names = [f"{bitstream.name}.{kind}" for kind in ("bit", "hwh")]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(folder / "overlay" / name, out / name)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from None
    built = dataclasses.replace(
        bitstream,
        tools={Path(tool).name: _version(tool) for tool in (tools.hls, tools.vivado)},
        files={name: sha256(out / name) for name in names},
        costs=_costs(folder),
    )
    built.save(out / f"{bitstream.name}.json")
    return built


def _version(tool: str) -> str:
    """What a tool says of its version, or nothing where it says nothing."""
    option = "--version" if Path(tool).name == "vitis-run" else "-version"
    try:
        said = subprocess.run([tool, option], capture_output=True, text=True, timeout=300, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"v?(\d{4}\.\d(?:\.\d)?)", said)
    return found[1] if found else ""


def _costs(folder: Path) -> tuple[Cost, ...]:
    """What the tools' reports state, each by its source."""
    vivado = to_cost(
        read_as(Utilisation, folder / "utilization.rpt"),
        read_as(Timing, folder / "timing.rpt"),
        read_as(Power, folder / "power.rpt"),
    )
    csynth = _csynth(folder)
    return (vivado,) if csynth is None else (to_cost(read_as(CSynth, csynth)), vivado)


def _csynth(folder: Path) -> Path | None:
    """The report of C synthesis, under the name that either tool gives it."""
    names = ("hardpoint_top_csynth.xml", "csynth.xml")
    return next((path for name in names if (path := folder / "hls/solution/syn/report" / name).is_file()), None)
