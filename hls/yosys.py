"""Yosys as a process of its own: passes in, log out, with a time-out; a crash there is an error here."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hardpoint.errors import InputError

__all__ = ["YosysError", "run", "version"]

_CHILD = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in sys.stdin:
    design.run_pass(line.rstrip("\\n"))
"""


class YosysError(RuntimeError):
    """Yosys refused a pass, crashed or ran out of time."""


def version() -> str:
    """Version of the installed Yosys (package pyosys); an InputError without one."""
    try:
        return importlib.metadata.version("pyosys")
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            "synthesis needs Yosys, and the package pyosys is not installed: pip install 'hardpoint[hls]'"
        ) from None


def run(passes: Iterable[str], timeout_s: float, files: Mapping[str, str] | None = None, folder: str = ".") -> str:
    """Run `passes` in `folder`, after writing `files` there, and return Yosys' log.

    >>> "hello" in run(["log hello"], timeout_s=60)
    True
    """
    version()
    for name, text in (files or {}).items():
        (Path(folder) / name).write_text(text, encoding="utf-8")
    script = "\n".join(passes) + "\n"
    logging.getLogger(__name__).info("Yosys:\n%s", script.rstrip())
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # abc is a child of its own and has to go with it
    )
    try:
        log, _ = child.communicate(script, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise YosysError(f"Yosys did not finish within {timeout_s:g} s") from None
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if child.returncode != 0:
        errors = [line for line in log.splitlines() if "ERROR" in line] or log.splitlines()[-1:]
        raise YosysError(f"Yosys ended with code {child.returncode}: {errors[-1] if errors else 'it said nothing'}")
    return log
