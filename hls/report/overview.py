"""The overview page of Vitis HLS, `csynth.rpt`: every module and loop of a design in one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number, count, number, percent
from hardpoint.hls.report.csynth import Resources
from hardpoint.hls.report.csynth_rpt import project_lines
from hardpoint.hls.report.tables import Table, heading, table_below
from hardpoint.part import Part

__all__ = ["Overview", "OverviewRow", "parse_overview"]

_TITLE = re.compile(r"== Synthesis Summary Report of '([^']+)'")
_NAME = re.compile(r"( *)([+o]) (.*)")
_SHARE = re.compile(r"(\S+) +\((~?[0-9]+)%\)")


@dataclass(frozen=True)
class OverviewRow:
    """One module or loop; `depth` counts from 0, the top function.

    Resources are those of modules only; a dash means none. BRAM is in blocks of 18 Kbit.
    """

    name: str
    depth: int
    is_loop: bool
    is_dataflow: bool
    issue: str
    slack_ns: Number
    latency: Number
    latency_ns: Number
    iteration_latency: Number
    interval: Number
    trip_count: Number
    pipelined: str
    used: Resources
    percent: Resources


@dataclass(frozen=True)
class Overview:
    """The overview page of one design; the page does not name its tool."""

    version: str
    top: str
    part: Part
    family: str
    rows: tuple[OverviewRow, ...]


def parse_overview(text: str) -> Overview:
    """The values of an overview page; InputError names what is missing, cut short or no number."""
    lines = text.split("\n")
    title = next((match for line in lines[:20] if (match := _TITLE.match(line))), None)
    at = heading(lines, "== Synthesis Summary Report of", "+ Performance & Resource Estimates")
    table = None if at is None else table_below(lines, at)
    if title is None or table is None or not table.rows:
        raise InputError("this is no overview page: it has no table of Performance & Resource Estimates")
    project = project_lines(lines)
    return Overview(
        version=project["Version"].split()[0],
        top=title[1],
        part=Part.parse(project["Target device"]),
        family=project["Product family"],
        rows=tuple(_row(table, row) for row in table.rows),
    )


def _row(table: Table, row: Sequence[str]) -> OverviewRow:
    match = _NAME.fullmatch(row[0])
    if match is None:
        raise InputError(f"a row of the overview starts with + or o, not {row[0][:40]!r}")
    shares = [_share(table.need(row, name)) for name in ("BRAM", "DSP", "FF", "LUT", "URAM")]
    return OverviewRow(
        name=match[3].rstrip("*"),
        depth=len(match[1]),
        is_loop=match[2] == "o",
        is_dataflow=match[3].endswith("*"),
        issue=table.need(row, "Issue Type"),
        slack_ns=number(table.need(row, "Slack")),
        latency=count(table.need(row, "Latency (cycles)")),
        latency_ns=number(table.need(row, "Latency (ns)")),
        iteration_latency=count(table.need(row, "Iteration Latency")),
        interval=count(table.need(row, "Interval")),
        trip_count=count(table.need(row, "Trip Count")),
        pipelined=table.need(row, "Pipelined"),
        used=Resources(*(used for used, _ in shares)),
        percent=Resources(*(share for _, share in shares)),
    )


def _share(cell: str) -> tuple[Number, Number]:
    """Count and percentage from `493 (~0%)`; both are the mark of a cell without a number."""
    match = _SHARE.fullmatch(cell)
    return (count(match[1]), percent(match[2])) if match else (count(cell), count(cell))
