"""The head of every Vivado report, and the way to its numbered sections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.hls.report.tables import Table, table_below
from hardpoint.part import Part

__all__ = ["Head", "Sections", "read_head"]

_TITLE = re.compile(r"([0-9]+(?:\.[0-9]+)*)\.? +(\S.*)")


@dataclass(frozen=True)
class Head:
    """Who wrote the report, of which design in which state.

    `state` is as printed (Synthesized, Fully Placed, Routed, ...) and None before 2019 in timing reports. It is the
    state of the database, not the name of the file: an out-of-context run may report "Fully Placed" after synthesis.
    """

    tool: str
    date: str
    command: str
    design: str
    part: Part
    state: str | None


def read_head(lines: Sequence[str]) -> Head:
    """The head between the first two lines of dashes; InputError names the line that it lacks."""
    rules = [i for i, line in enumerate(lines[:40]) if line.startswith("-----")]
    if len(rules) < 2:
        raise InputError("a Vivado report starts with a head between two lines of dashes")
    entries = (line[1:].partition(":") for line in lines[rules[0] + 1 : rules[1]] if line.startswith("|"))
    found = {name.strip(): value.strip() for name, _, value in entries}
    for name in ("Tool Version", "Date", "Command", "Design", "Device"):
        if name not in found:
            raise InputError(f"the report's head has no line '| {name} :'")
    return Head(
        tool=found["Tool Version"],
        date=found["Date"],
        command=found["Command"],
        design=found["Design"],
        part=Part.parse(found["Device"]),
        state=found.get("Design State"),
    )


class Sections:
    """The numbered sections of a report, each underlined; all that the table of contents lists must be there.

    >>> page = ["Table of Contents", "-----", "1. CLB Logic", "", "1. CLB Logic", "-------"]
    >>> Sections(page + ["", "+---+---+", "| a | 1 |", "+---+---+"]).table("CLB Logic", header=False).rows
    ((' a', ' 1'),)
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        titles = [(i, match) for i, line in enumerate(lines) if (match := _TITLE.fullmatch(line.rstrip()))]
        self.places = {m[2]: i for i, m in titles if lines[i + 1 : i + 2] and lines[i + 1].startswith("---")}
        listed = [match[2] for _, match in titles]
        missing = [title for title in listed if title not in self.places]
        if missing or not listed:
            raise InputError(
                f"the report ends before its section {missing[0][:60]!r}" if missing else "it has no sections"
            )

    def table(self, title: str, header: bool = True) -> Table:
        """The table of a section; InputError without one."""
        table = self.maybe(title, header)
        if table is None:
            raise InputError(f"the report has no table in a section {title!r}")
        return table

    def maybe(self, title: str, header: bool = True) -> Table | None:
        """The table of a section, None where there is no such section or it holds no table first."""
        at = self.places.get(title)
        return None if at is None else table_below(self._lines, at + 1, header)
