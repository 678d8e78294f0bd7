"""What co-simulation measured: `<top>_cosim.rpt`, `lat.rpt` and `result.transaction.rpt`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Mark, Number, count
from hardpoint.hls.report.tables import Table, table_below

__all__ = ["Cosim", "CosimRun", "Transactions", "parse_cosim", "parse_lat", "parse_transactions"]

_LAT = re.compile(r'\$([A-Z_]+) = "([^"\n]*)"')
_LAT_NAMES = tuple(f"{end}_{what}" for what in ("LATENCY", "THROUGHPUT") for end in ("MIN", "AVER", "MAX"))
_TRANSACTION = re.compile(r"transaction +([0-9]{1,9}):? +(\S+) +(\S+)")
_VHDL_UNKNOWN = "-2147483648"  # an integer that a VHDL simulation never assigned


@dataclass(frozen=True)
class CosimRun:
    """One simulated language: cycles from start to done, from start to start, and of the whole test.

    `status` is Pass, Fail or NA; `total` is None before 2020.1. Cycles are `Mark.NA` where nothing was measured: an
    interval needs two transactions.
    """

    rtl: str
    status: str
    latency_min: Number
    latency_average: Number
    latency_max: Number
    interval_min: Number
    interval_average: Number
    interval_max: Number
    total: Number | None = None


@dataclass(frozen=True)
class Cosim:
    """The co-simulation report: one run for VHDL, one for Verilog."""

    runs: tuple[CosimRun, ...]

    def run(self, rtl: str) -> CosimRun:
        """The run of "VHDL" or "Verilog"."""
        for run in self.runs:
            if run.rtl == rtl:
                return run
        raise InputError(f"the co-simulation holds {', '.join(run.rtl for run in self.runs)}, not {rtl!r}")


@dataclass(frozen=True)
class Transactions:
    """Cycles of each transaction; the interval to a next one that never came is `Mark.UNDEF`."""

    latency: tuple[Number, ...]
    interval: tuple[Number, ...]


def parse_cosim(text: str) -> Cosim:
    """The runs of a `<top>_cosim.rpt`; InputError where its table is missing or cut short."""
    lines = text.split("\n")
    rule = next((i for i, line in enumerate(lines) if line.startswith("+-")), None)
    table = None if rule is None else table_below(lines, rule - 1)
    if table is None or not table.rows:
        raise InputError("the co-simulation report has no table")
    return Cosim(tuple(_run(table, row) for row in table.rows))


def _run(table: Table, row: Sequence[str]) -> CosimRun:
    def cycles(what: str, end: str) -> Number:
        return count(table.need(row, f"{what}(Clock Cycles) {end}", f"{what} {end}"))

    total = table.cell(row, "Total Execution Time (Clock Cycles)")
    return CosimRun(
        rtl=table.need(row, "RTL"),
        status=table.need(row, "Status"),
        latency_min=cycles("Latency", "min"),
        latency_average=cycles("Latency", "avg"),
        latency_max=cycles("Latency", "max"),
        interval_min=cycles("Interval", "min"),
        interval_average=cycles("Interval", "avg"),
        interval_max=cycles("Interval", "max"),
        total=None if total is None else count(total),
    )


def parse_lat(text: str) -> CosimRun:
    """The cycles of a `lat.rpt`, which names neither language nor status; an interval of 0 means none was measured."""
    found = {}
    for line in text.split("\n"):
        if line.strip():
            match = _LAT.fullmatch(line.strip())
            if match is None:
                raise InputError(f'a line of lat.rpt reads $NAME = "cycles", not {line[:60]!r}')
            found[match[1]] = count(match[2])
    missing = [name for name in _LAT_NAMES if name not in found]
    if missing:
        raise InputError(f"lat.rpt has no ${missing[0]}")
    measured = any(found[f"{end}_THROUGHPUT"] != 0 for end in ("MIN", "AVER", "MAX"))
    return CosimRun(
        rtl="",
        status="",
        latency_min=found["MIN_LATENCY"],
        latency_average=found["AVER_LATENCY"],
        latency_max=found["MAX_LATENCY"],
        interval_min=found["MIN_THROUGHPUT"] if measured else Mark.NA,
        interval_average=found["AVER_THROUGHPUT"] if measured else Mark.NA,
        interval_max=found["MAX_THROUGHPUT"] if measured else Mark.NA,
        total=found.get("TOTAL_EXECUTE_TIME"),
    )


def parse_transactions(text: str) -> Transactions:
    """The rows of a `result.transaction.rpt`; one that is not ended by a newline was cut short, an InputError."""
    head, *rows = text.split("\n")
    if head.split() != ["latency", "interval"] or not rows or rows.pop().strip():
        raise InputError("result.transaction.rpt starts with 'latency interval' and ends with a newline")
    latency: list[Number] = []
    interval: list[Number] = []
    for row in rows:
        match = _TRANSACTION.fullmatch(row.strip())
        if match is None or int(match[1]) != len(latency):
            raise InputError(f"transaction {len(latency)} is no row of number, latency and interval: {row[:60]!r}")
        latency.append(_cycles(match[2]))
        interval.append(_cycles(match[3]))
    if len(latency) == 1 and interval == [0]:
        interval = [Mark.UNDEF]
    return Transactions(tuple(latency), tuple(interval))


def _cycles(text: str) -> Number:
    return Mark.UNDEF if text == _VHDL_UNKNOWN else count(text)
