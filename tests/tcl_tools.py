"""A real Tcl interpreter in which the tools' commands are recording stubs that refuse what they do not know.

Commands and options are those of UG902 v2020.1 and UG1399 v2022.2 (HLS Tcl command reference) and of UG835 v2020.1
(Vivado Tcl command reference), as far as the emitted scripts need them.
"""

from __future__ import annotations

import tkinter
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Command:
    """A tool's command: options with a value, options without, least and most further words, and what it returns."""

    valued: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    words: tuple[int, int] = (0, 0)
    answer: str = ""


VIVADO_HLS = {
    "open_project": Command(flags=("-reset",), words=(1, 1)),
    "set_top": Command(words=(1, 1)),
    "add_files": Command(("-cflags", "-csimflags"), ("-tb", "-blackbox"), (1, 1)),
    "open_solution": Command(flags=("-reset",), words=(1, 1)),
    "set_part": Command(words=(1, 1)),
    "create_clock": Command(("-period", "-name"), words=(0, 1)),
    "config_interface": Command(flags=("-m_axi_addr64",)),
    "set_directive_interface": Command(("-mode", "-bundle", "-offset", "-depth", "-name", "-latency"), words=(1, 2)),
    "csim_design": Command(("-argv", "-ldflags"), ("-clean", "-O", "-setup")),
    "csynth_design": Command(),
    "export_design": Command(
        ("-format", "-vendor", "-library", "-version", "-display_name", "-description", "-ipname", "-rtl", "-flow")
    ),
}
VITIS_HLS = VIVADO_HLS | {
    "open_solution": Command(("-flow_target",), ("-reset",), (1, 1)),
    "config_interface": Command(flags=("-m_axi_addr64=true", "-m_axi_addr64=false")),
}
VIVADO = {
    "create_project": Command(("-part",), ("-force", "-in_memory"), (0, 2)),
    "current_project": Command(answer="hardpoint"),
    "set_property": Command(("-dict",), ("-quiet",), (1, 3)),
    "get_property": Command(words=(2, 2), answer="100%"),
    "update_ip_catalog": Command(flags=("-rebuild",)),
    "add_files": Command(("-fileset",), ("-norecurse",), (1, 9)),
    "create_bd_design": Command(words=(1, 1)),
    "get_ipdefs": Command(("-filter",), ("-all",), (0, 1), "xilinx.com:ip:a:1.9 xilinx.com:ip:a:1.10"),
    "create_bd_cell": Command(("-type", "-vlnv"), words=(1, 1)),
    "apply_bd_automation": Command(("-rule", "-config"), words=(1, 1)),
    "get_bd_cells": Command(("-filter",), ("-quiet",), (0, 1)),
    "get_bd_pins": Command(("-of_objects",), ("-quiet",), (0, 1)),
    "get_bd_intf_pins": Command(("-of_objects",), ("-quiet",), (0, 1)),
    "assign_bd_address": Command(),
    "validate_bd_design": Command(flags=("-force",)),
    "save_bd_design": Command(),
    "make_wrapper": Command(("-files",), ("-top", "-import", "-force")),
    "get_files": Command(("-of_objects",), words=(0, 1)),
    "current_fileset": Command(answer="sources_1"),
    "update_compile_order": Command(("-fileset",)),
    "launch_runs": Command(("-to_step", "-jobs"), ("-force",), (1, 9)),
    "wait_on_run": Command(("-timeout",), words=(1, 1)),
    "get_runs": Command(words=(1, 1), answer="impl_1"),
    "open_run": Command(("-name",), words=(1, 1)),
    "report_utilization": Command(("-file",), ("-hierarchical",)),
    "report_timing_summary": Command(("-file", "-max_paths")),
    "report_power": Command(("-file",)),
    "get_cells": Command(("-filter",), ("-quiet", "-hierarchical"), (0, 1)),
    "exit": Command(words=(0, 1)),
}
VIVADO_HLS["exit"] = VITIS_HLS["exit"] = Command(words=(0, 1))
KEPT = ("file", "glob", "source")  # recorded, never done


def run(script: Path, commands: dict[str, Command]) -> list[list[str]]:
    """Every call of a tool's command that `script` makes, as words; a TclError where a stub refuses one."""
    tcl = tkinter.Tcl()
    calls: list[list[str]] = []
    refused: list[str] = []  # the interpreter drops the message of a Python error

    def stub(name: str) -> Any:
        def called(*given: str) -> str:
            calls.append([name, *given])
            return answered(name, commands[name], given)

        return called

    def recorded(name: str) -> Any:
        def called(*given: str) -> str:
            calls.append([name, *given])
            if name == "source":
                tcl.call("_source", str(script.parents[1] / given[0]))
            return given[-1] if name == "glob" else ""

        return called

    tcl.call("rename", "source", "_source")
    for name in commands:
        tcl.createcommand(name, checked(stub(name), refused))
    for name in KEPT:
        tcl.createcommand(name, checked(recorded(name), refused))
    try:
        tcl.call("_source", str(script))
    except tkinter.TclError as error:
        raise tkinter.TclError(refused[0] if refused else str(error)) from None
    return calls


def checked(call: Any, refused: list[str]) -> Any:
    """`call`, whose ValueErrors become errors of the interpreter; what they say is added to `refused`."""

    def safe(*given: str) -> str:
        try:
            return str(call(*given))
        except ValueError as error:
            refused.append(str(error))
            raise

    return safe


def answered(name: str, command: Command, given: tuple[str, ...]) -> str:
    """What a command answers to the words `given`; a ValueError where the tool would refuse them."""
    words, rest = [], list(given)
    while rest:
        word = rest.pop(0)
        if word in command.flags:
            continue
        if word in command.valued:
            if not rest:
                raise ValueError(f"{name}: {word} needs a value")
            rest.pop(0)
        elif word.startswith("-"):
            raise ValueError(f"{name}: no option {word}")
        else:
            words.append(word)
    least, most = command.words
    if not least <= len(words) <= most:
        raise ValueError(f"{name} takes {least} to {most} words, not {len(words)}: {words}")
    return command.answer
