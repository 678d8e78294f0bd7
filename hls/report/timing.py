"""Vivado's timing summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number, count, number
from hardpoint.hls.report.tables import heading
from hardpoint.hls.report.vivado import Head, read_head

__all__ = ["ConstrainedClock", "Slack", "Timing", "parse_timing"]

_CLOCK = re.compile(r"( *)(\S+) +(\{[^}]*\}) +(\S+) +(\S+) *")
_VERDICTS = {
    "All user specified timing constraints are met.": True,
    "Timing constraints are not met.": False,
    "There are no user specified timing constraints.": None,
}


@dataclass(frozen=True)
class Slack:
    """Worst and total (negative) slack of one kind of check in nanoseconds, with its endpoints.

    Everything is `Mark.NA` where no path was constrained: then "met" says nothing.
    """

    worst_ns: Number
    total_ns: Number
    failing: Number
    endpoints: Number


@dataclass(frozen=True)
class ConstrainedClock:
    """A clock as constrained; `depth` is above 0 for clocks generated from the one above."""

    name: str
    depth: int
    waveform: str
    period_ns: float
    frequency_mhz: float


@dataclass(frozen=True)
class Timing:
    """The design timing summary; `met` is the report's own verdict, None where there were no constraints."""

    head: Head
    setup: Slack
    hold: Slack
    pulse_width: Slack
    met: bool | None
    clocks: tuple[ConstrainedClock, ...]


def parse_timing(text: str) -> Timing:
    """The values of a timing summary; InputError names what is missing, cut short or no number."""
    lines = text.split("\n")
    head = read_head(lines)
    table = heading(lines, "| Design Timing Summary", "WNS(ns)")
    clocks = heading(lines, "| Design Timing Summary", "| Clock Summary")
    end = heading(lines, "| Design Timing Summary", "| Clock Summary", "| Intra Clock Table")
    if table is None or clocks is None or end is None or not table + 2 < clocks:
        raise InputError("the report has no Design Timing Summary, Clock Summary and Intra Clock Table")
    cells = lines[table + 2].split()
    if len(cells) != 12:
        raise InputError(f"the design timing summary has 12 numbers, not {len(cells)}")
    verdicts = [_VERDICTS[line.strip()] for line in lines[table:clocks] if line.strip() in _VERDICTS]
    if len(verdicts) != 1:
        raise InputError("the report does not say whether timing constraints are met")
    setup, hold, pulse_width = (_slack(cells[i : i + 4]) for i in (0, 4, 8))
    return Timing(head, setup, hold, pulse_width, verdicts[0], _clocks(lines[clocks:end]))


def _slack(cells: Sequence[str]) -> Slack:
    return Slack(number(cells[0]), number(cells[1]), count(cells[2]), count(cells[3]))


def _clocks(lines: Sequence[str]) -> tuple[ConstrainedClock, ...]:
    """The lines between the underlined titles "Clock  Waveform(ns) ..." and the next blank line."""
    first = heading(lines, "Clock ", "-----")
    found = []
    for line in lines[first + 1 :] if first is not None else ():
        if not line.strip():
            break
        match = _CLOCK.fullmatch(line)
        if match is None:
            raise InputError(f"a clock has a name, a waveform, a period and a frequency, not {line.strip()[:60]!r}")
        period, frequency = number(match[4]), number(match[5])
        if not isinstance(period, int | float) or not isinstance(frequency, int | float) or period <= 0:
            raise InputError(f"a clock has a period in nanoseconds and a frequency in MHz, not {line.strip()[:60]!r}")
        found.append(ConstrainedClock(match[2], len(match[1]) // 2, match[3], float(period), float(frequency)))
    return tuple(found)
