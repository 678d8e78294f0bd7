"""One door for every report: what a file is, it says in its first lines."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TypeVar

from hardpoint.documents import load_text
from hardpoint.errors import InputError
from hardpoint.hls.report.cosim import Cosim, CosimRun, Transactions, parse_cosim, parse_lat, parse_transactions
from hardpoint.hls.report.csynth import CSynth
from hardpoint.hls.report.csynth_rpt import parse_csynth_rpt
from hardpoint.hls.report.csynth_xml import parse_csynth_xml
from hardpoint.hls.report.overview import Overview, parse_overview
from hardpoint.hls.report.power import Power, parse_power
from hardpoint.hls.report.timing import Timing, parse_timing
from hardpoint.hls.report.utilisation import Hierarchy, Utilisation, parse_utilisation

__all__ = ["Report", "parse_report", "read_as", "read_report"]

Report = CSynth | Overview | Cosim | CosimRun | Transactions | Utilisation | Hierarchy | Timing | Power
Kind = TypeVar("Kind", CSynth, Overview, Cosim, CosimRun, Transactions, Utilisation, Hierarchy, Timing, Power)

_KINDS: tuple[tuple[str, Callable[[str], Report]], ...] = (
    (r"\s*<", parse_csynth_xml),
    (r"(?s).{0,400}^== Synthesis Summary Report of ", parse_overview),
    (r"(?s).{0,400}^== (?:Vivado|Vitis) HLS Report for ", parse_csynth_rpt),
    (r"\s*\$[A-Z_]+ = ", parse_lat),
    (r" +latency +interval\n", parse_transactions),
    (r"(?s).{0,2000}^\+ +RTL +\+ +Status ", parse_cosim),
    (r"(?s).{0,6000}^Utilization Design Information$", parse_utilisation),
    (r"(?s).{0,6000}^Timing Summary Report$", parse_timing),
    (r"(?s).{0,6000}^Power Report$", parse_power),
)


def parse_report(text: str) -> Report:
    """The values of a report, whatever its kind; InputError says what is wrong with it.

    >>> parse_report("some text")
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: no known report: neither C synthesis, co-simulation, utilisation, timing nor power
    """
    for pattern, parse in _KINDS:
        if re.compile(pattern, re.M).match(text):
            return parse(text)
    raise InputError("no known report: neither C synthesis, co-simulation, utilisation, timing nor power")


def read_report(path: str | os.PathLike[str]) -> Report:
    """The values of the report at `path`; InputError names the file and what is wrong with it."""
    text = load_text(path)
    try:
        return parse_report(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_as(kind: type[Kind], path: str | os.PathLike[str]) -> Kind:
    """`read_report` of a file that must be of one kind: `read_as(CSynth, path)`."""
    report = read_report(path)
    if not isinstance(report, kind):
        raise InputError(f"{path} is a report of kind {type(report).__name__}, not {kind.__name__}")
    return report
