"""The text report of C synthesis: `<top>_csynth.rpt` of Vivado HLS and Vitis HLS."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number, count, nanoseconds, number, percent, span
from hardpoint.hls.report.csynth import Clock, CSynth, Instance, Latency, Loop, Port, Resources
from hardpoint.hls.report.tables import Table, heading, table_below
from hardpoint.part import Part

__all__ = ["parse_csynth_rpt", "project_lines"]

_TITLE = re.compile(r"== (Vivado HLS|Vitis HLS) Report for '([^']+)'")
_LINE = re.compile(r"\s*\* (Version|Solution|Product family|Target device): +(\S.*)")
_DEPTH = re.compile(r"( {0,50})(?:-|\++) ")  # "- Loop 1", " + Loop 1.1", "  ++ Loop 1.1.1"


def parse_csynth_rpt(text: str) -> CSynth:
    """The values of a text report; InputError names the section that is missing, cut short or no number."""
    lines = text.split("\n")
    title = next((match for line in lines[:20] if (match := _TITLE.match(line))), None)
    if title is None:
        raise InputError("this is no C-synthesis report: it has no line '== Vivado HLS Report for' or Vitis'")
    project = project_lines(lines)
    performance, utilization = (_section(lines, f"== {name} Estimates") for name in ("Performance", "Utilization"))
    area = _need(utilization, "* Summary")
    total = {row[0].strip(): row for row in area.rows}
    if not {"Total", "Available", "Utilization (%)"} <= set(total):
        raise InputError("the utilization estimates have no row Total, Available or Utilization (%)")
    return CSynth(
        tool=title[1],
        version=project["Version"].split()[0],
        top=title[2],
        part=Part.parse(project["Target device"]),
        family=project["Product family"],
        flow=_flow(project["Solution"]),
        clock=_clock(_need(performance, "+ Timing", "* Summary")),
        latency=_overall(_need(performance, "+ Latency", "* Summary")),
        used=_resources(area, total["Total"]),
        available=_resources(area, total["Available"]),
        percent=_resources(area, total["Utilization (%)"], percent),
        loops=_loops(_table(performance, "+ Detail", "* Loop")),
        ports=_ports(_need(_section(lines, "== Interface"), "* Summary")),
        instances=_instances(performance, utilization),
    )


def project_lines(lines: Sequence[str]) -> dict[str, str]:
    """The lines "* Version: ..." at the head of a report, by name."""
    found = {match[1]: match[2].strip() for line in lines[:20] if (match := _LINE.match(line))}
    for name in ("Version", "Solution", "Product family", "Target device"):
        if name not in found:
            raise InputError(f"the report's head has no line '* {name}:'")
    return found


def _flow(solution: str) -> str | None:
    match = re.search(r"\((Vivado|Vitis) [A-Za-z ]*Target\)", solution)
    return match[1].lower() if match else None


def _section(lines: Sequence[str], name: str) -> list[str]:
    """The lines from "== name" to the next line that starts with "== "."""
    first = heading(lines, name)
    if first is None:
        raise InputError(f"the report has no section {name}")
    last = next((i for i in range(first + 1, len(lines)) if lines[i].startswith("== ")), len(lines))
    return list(lines[first:last])


def _need(section: Sequence[str], *path: str) -> Table:
    table = _table(section, *path)
    if table is None:
        raise InputError(f"the report has no table under {section[0].strip()} / {' / '.join(path)}")
    return table


def _table(section: Sequence[str], *path: str) -> Table | None:
    """The table under a heading, None where the report says N/A."""
    at = heading(section, *path)
    if at is None:
        raise InputError(f"the report has no {section[0].strip()} / {' / '.join(path)}")
    table = table_below(section, at)
    if table is None and section[at + 1].strip() != "N/A":
        raise InputError(f"there is neither a table nor N/A under {section[0].strip()} / {' / '.join(path)}")
    return table


def _ns(text: str) -> float:
    time = nanoseconds(text)
    if not isinstance(time, int | float):
        raise InputError(f"a clock period is a number of nanoseconds, not {text[:30]!r}")
    return time


def _clock(table: Table) -> Clock:
    if not table.rows:
        raise InputError("the timing summary has no clock")
    row = table.rows[0]
    return Clock(*(_ns(table.need(row, name)) for name in ("Target", "Estimated", "Uncertainty")))


def _overall(table: Table) -> Latency:
    if not table.rows:
        raise InputError("the latency summary has no row")
    return _latency(table, table.rows[0])


def _latency(table: Table, row: Sequence[str]) -> Latency:
    def time(name: str) -> Number | None:
        cell = table.cell(row, name)
        return None if cell is None else nanoseconds(cell)

    return Latency(
        best=count(table.need(row, "Latency (cycles) min", "Latency min")),
        worst=count(table.need(row, "Latency (cycles) max", "Latency max")),
        best_ns=time("Latency (absolute) min"),
        worst_ns=time("Latency (absolute) max"),
        interval_min=count(table.need(row, "Interval min")),
        interval_max=count(table.need(row, "Interval max")),
        pipeline=table.need(row, "Pipeline Type"),
    )


def _resources(table: Table, row: Sequence[str], read: Callable[[str], Number] = count) -> Resources:
    uram = table.cell(row, "URAM")
    return Resources(
        bram_18k=read(table.need(row, "BRAM_18K")),
        dsp=read(table.need(row, "DSP48E", "DSP")),
        ff=read(table.need(row, "FF")),
        lut=read(table.need(row, "LUT")),
        uram=None if uram is None else read(uram),
    )


def _loops(table: Table | None) -> tuple[Loop, ...]:
    """Loops as a tree: `- name` is outermost, each `+` is one level deeper."""
    if table is None:
        return ()
    flat: list[tuple[int, Loop]] = []
    for row in table.rows:
        match = _DEPTH.match(row[0])
        if match is None:
            raise InputError(f"a loop's name starts with - or +, at most 50 deep, not {row[0][:40]!r}")
        latency = [table.need(row, f"Latency (cycles) {end}", f"Latency {end}") for end in ("min", "max")]
        loop = Loop(
            name=row[0][match.end() :].strip(),
            trip_count=count(table.need(row, "Trip Count")),
            latency=span(*latency),
            iteration_latency=count(table.need(row, "Iteration Latency")),
            ii=count(table.need(row, "Initiation Interval achieved")),
            target_ii=count(table.need(row, "Initiation Interval target")),
            pipelined=table.need(row, "Pipelined"),
        )
        flat.append((len(match[1]), loop))
    return _tree(flat)


def _tree(flat: list[tuple[int, Loop]]) -> tuple[Loop, ...]:
    """Nest loops by their depth, from the last to the first, so that no recursion is needed."""
    waiting: list[tuple[int, Loop]] = []  # roots so far, the first in the file at the end
    for depth, loop in reversed(flat):
        inner = []
        while waiting and waiting[-1][0] > depth:
            inner.append(waiting.pop()[1])
        waiting.append((depth, replace(loop, loops=tuple(inner))))
    return tuple(loop for _, loop in reversed(waiting))


def _instances(performance: Sequence[str], utilization: Sequence[str]) -> tuple[Instance, ...]:
    """Instances of the utilization table, with the latency that the performance table gives some of them."""
    timed = _table(performance, "+ Detail", "* Instance")
    sized = _table(utilization, "+ Detail", "* Instance")
    found: dict[str, Instance] = {}
    if sized is not None:
        for row in sized.rows:
            name = sized.need(row, "Instance")
            if name != "Total":
                found[name] = Instance(name, sized.need(row, "Module"), used=_resources(sized, row))
    if timed is not None:
        for row in timed.rows:
            name = timed.need(row, "Instance")
            known = found.get(name, Instance(name, timed.need(row, "Module")))
            found[name] = replace(known, latency=_latency(timed, row))
    return tuple(found.values())


def _ports(table: Table) -> tuple[Port, ...]:
    if not table.rows:
        raise InputError("the interface has no ports")
    return tuple(
        Port(
            name=table.need(row, "RTL Ports"),
            direction=table.need(row, "Dir"),
            bits=_bits(table.need(row, "Bits")),
            protocol=table.need(row, "Protocol"),
            source=table.need(row, "Source Object"),
        )
        for row in table.rows
    )


def _bits(text: str) -> int:
    bits = number(text)
    if not isinstance(bits, int) or bits < 1:
        raise InputError(f"a port has at least one bit, not {text[:30]}")
    return bits
