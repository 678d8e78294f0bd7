"""The one grammar of the box-drawn tables in every text report.

+------+---------------+       rules of `+` and `-` enclose blocks of rows; the first block is the header, alone
|      |   Latency     |       where there are no rows. Its last line that starts with `|` shows every column;
| Loop |  min  |  max  |       cells of the lines above may span several, and name them together with what stands
+------+-------+-------+       below: "Latency min". Cells of rows are found at the columns' places, so that a
|- L1  |     49|     49|       cell may hold a `|`. Tables of names and values have no header.
+------+-------+-------+
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hardpoint.errors import InputError

__all__ = ["Table", "heading", "table_below"]

_HEADER = 4  # lines of the tallest header; there are three in co-simulation reports
_WIDEST = 20_000  # characters of a line; the widest seen has 399
_RULE = re.compile(r"\+(?:-+\+)+")


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns, which are named '' in a table without header.

    Cells keep their leading blanks, which show how deep a row lies.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def place(self, *names: str) -> int | None:
        """The index of the first column that bears one of `names`."""
        return next((self.columns.index(name) for name in names if name in self.columns), None)

    def cell(self, row: Sequence[str], *names: str) -> str | None:
        """The stripped cell of `row` in the first column that bears one of `names`; None without such a column."""
        place = self.place(*names)
        return None if place is None else row[place].strip()

    def need(self, row: Sequence[str], *names: str) -> str:
        """`cell`, where a missing column is an InputError."""
        cell = self.cell(row, *names)
        if cell is None:
            raise InputError(f"a table has no column {names[0]!r}; it has {', '.join(self.columns)[:200]}")
        return cell


def heading(lines: Sequence[str], *path: str, start: int = 0) -> int | None:
    """The index of the line that starts with the last of `path`, found after the lines that start with those before.

    >>> heading(["== Timing", "* Summary:", "== Area", "* Summary:"], "== Area", "* Summary")
    3
    """
    at = start - 1
    for step in path:
        found = next((i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(step)), None)
        if found is None:
            return None
        at = found
    return at


def table_below(lines: Sequence[str], at: int, header: bool = True) -> Table | None:
    """The table that follows line `at` after blank lines and notes; None where another text stands there.

    `header` says whether this kind of table has one.

    >>> page = ["* Loop:", "+----+---------+", "|    | Latency |", "| L  | min|max |", "+----+----+----+"]
    >>> page += ["|a|b |   1|   2|", "+----+----+----+"]
    >>> table_below(page, 0)
    Table(columns=('L', 'Latency min', 'Latency max'), rows=(('a|b', '   1', '   2'),))
    """
    first = next((i for i in range(at + 1, len(lines)) if lines[i].strip() and "PS:" not in lines[i]), len(lines))
    if first == len(lines):
        raise InputError(f"the report ends where a table was to follow line {at + 1}")
    if not _RULE.fullmatch(lines[first].strip()):
        if lines[first].lstrip().startswith("+-"):
            raise InputError(f"the table at line {first + 1} is cut short")
        return None
    last = first
    while last < len(lines) and lines[last].lstrip()[:1] in ("|", "+"):
        last += 1
    return _table([line.strip() for line in lines[first:last]], first + 1, header)


def _table(lines: list[str], where: int, header: bool) -> Table:
    if max(map(len, lines)) > _WIDEST:
        raise InputError(f"the table at line {where} has lines of more than {_WIDEST:,} characters")
    rules = [i for i, line in enumerate(lines) if _RULE.fullmatch(line)]
    if len(rules) < 2 or rules[-1] != len(lines) - 1:
        raise InputError(f"the table at line {where} is cut short")
    if not header:
        edges = [i for i, char in enumerate(lines[0]) if char == "+"]
        columns = [""] * (len(edges) - 1)
        body = lines
    else:
        titles = lines[rules[0] + 1 : rules[1]]
        named = [line for line in titles if line.startswith("|")]
        if not named:
            raise InputError(f"the table at line {where} has no header")
        edges = [i for i, char in enumerate(named[-1]) if char == "|"]
        if len(edges) < 2 or len(titles) > _HEADER:
            raise InputError(f"the table at line {where} has no header of 1 to {_HEADER} lines")
        columns = _names(titles, edges)
        body = lines[rules[1] + 1 :]
    rows = (_cells(line, edges, len(lines[0]), where) for line in body if not _RULE.fullmatch(line))
    return Table(tuple(columns), tuple(rows))


def _names(titles: list[str], edges: list[int]) -> list[str]:
    names: list[list[str]] = [[] for _ in edges[1:]]
    for line in titles:
        start = 0
        for end in range(1, len(edges)):
            if line[edges[end] : edges[end] + 1] in ("|", "+"):
                text = line[edges[start] + 1 : edges[end]].strip(" -")
                for column in names[start:end]:
                    column += [text] * bool(text)
                start = end
    return [" ".join(pieces) for pieces in names]


def _cells(line: str, edges: list[int], width: int, where: int) -> tuple[str, ...]:
    if len(line) == width > edges[-1] and all(line[edge] == "|" for edge in edges):
        return tuple(line[a + 1 : b].rstrip() for a, b in pairwise(edges))
    cells = line.split("|")[1:-1]  # a name with wide characters moves the bars
    if len(cells) != len(edges) - 1 or not line.endswith("|"):
        raise InputError(f"a row of the table at line {where} has {len(cells)} cells, not {len(edges) - 1}")
    return tuple(cell.rstrip() for cell in cells)
