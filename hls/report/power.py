"""Vivado's power report."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number, number
from hardpoint.hls.report.tables import Table
from hardpoint.hls.report.vivado import Head, Sections, read_head

__all__ = ["Power", "PowerPart", "parse_power"]

_REMARK = re.compile(r"(\S+) +\((.*)\)")


@dataclass(frozen=True)
class PowerPart:
    """What one kind of resource, or one instance, takes in watts; `depth` 0 is outermost."""

    name: str
    depth: int
    watts: Number


@dataclass(frozen=True)
class Power:
    """Watts on chip, degrees Celsius at the junction, and how much the tool trusts them (Low, Medium, High).

    `overheated` is the report's remark that the junction is above what the part bears. `budget` is as printed.
    """

    head: Head
    total_w: float
    dynamic_w: float
    static_w: float
    junction_c: float
    theta_ja: float
    budget: str
    confidence: str
    overheated: bool
    components: tuple[PowerPart, ...]
    instances: tuple[PowerPart, ...]


def parse_power(text: str) -> Power:
    """The values of a power report; InputError names what is missing, cut short or no number."""
    lines = text.split("\n")
    head = read_head(lines)
    sections = Sections(lines)
    summary = _pairs(sections.table("Summary", header=False))
    overheated = any("exceeded" in value for value in summary.values())

    def plain(name: str) -> float:
        cell = _REMARK.sub(r"\1", _entry(summary, name))
        value = number(cell)
        if not isinstance(value, int | float):
            raise InputError(f"{name} is a number, not {cell[:30]!r}")
        return float(value)

    return Power(
        head,
        total_w=_watts(plain("Total On-Chip Power (W)")),
        dynamic_w=_watts(plain("Dynamic (W)")),
        static_w=_watts(plain("Device Static (W)")),
        junction_c=plain("Junction Temperature (C)"),
        theta_ja=plain("Effective TJA (C/W)"),
        budget=_entry(summary, "Design Power Budget (W)"),
        confidence=_entry(summary, "Confidence Level"),
        overheated=overheated,
        components=_parts(sections.table("On-Chip Components"), "On-Chip"),
        instances=_parts(sections.table("By Hierarchy"), "Name"),
    )


def _pairs(table: Table) -> dict[str, str]:
    if len(table.columns) != 2:
        raise InputError(f"the power summary has two columns, not {len(table.columns)}")
    return {row[0].strip(): row[1].strip() for row in table.rows}


def _entry(summary: dict[str, str], name: str) -> str:
    if name not in summary:
        raise InputError(f"the power summary has no {name}")
    return summary[name]


def _watts(value: float) -> float:
    if value < 0:
        raise InputError(f"power is a number of watts from 0, not {value}")
    return value


def _parts(table: Table, column: str) -> tuple[PowerPart, ...]:
    if not table.rows:
        raise InputError(f"the table of {column} has no rows")
    found = []
    for row in table.rows:
        cell = row[table.columns.index(column)] if column in table.columns else table.need(row, column)
        name = cell.strip()
        depth = max(0, len(cell) - len(cell.lstrip()) - 1) // 2
        found.append(PowerPart(name, depth, number(table.need(row, "Power (W)"))))
    return tuple(found)
