"""Vivado's utilisation reports: flat (by kind of site) and hierarchical (by instance)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number, count, number
from hardpoint.hls.report.tables import Table
from hardpoint.hls.report.vivado import Head, Sections, read_head

__all__ = ["Hierarchy", "HierarchyRow", "Site", "SlrSite", "Utilisation", "parse_utilisation"]


@dataclass(frozen=True)
class Site:
    """One line of a table of sites, without the star of a footnote; `depth` 0 is outermost.

    `prohibited` came with 2022.2 and is None before. A Block RAM Tile is 36 Kbit and its count may end in .5; RAMB18
    counts blocks of 18 Kbit, RAMB36 of 36 Kbit. `percent` is of the device.
    """

    name: str
    section: str
    depth: int
    used: Number
    fixed: Number
    prohibited: Number | None
    available: Number
    percent: Number


@dataclass(frozen=True)
class SlrSite:
    """How one kind of site spreads over the dies of a large device, in counts and percentages per die (SLR)."""

    name: str
    depth: int
    dies: tuple[str, ...]
    used: tuple[Number, ...]
    percent: tuple[Number, ...]


@dataclass(frozen=True)
class Utilisation:
    """A flat utilisation report, of a whole design or of an IP synthesised out of context.

    `black_boxes` are netlists that were not there: after synthesis the wrapper of a block design reads 0 LUT because
    all its IPs are black boxes. Such a report counts the wrapper, not the design.
    """

    head: Head
    sites: tuple[Site, ...]
    slrs: tuple[SlrSite, ...]
    primitives: tuple[tuple[str, int], ...]
    black_boxes: tuple[tuple[str, int], ...]

    def site(self, *names: str) -> Site:
        """The first site, in the order of the report, that bears one of `names`."""
        for site in self.sites:
            if site.name in names:
                return site
        raise InputError(f"the utilisation report has no {' or '.join(names)}")

    @property
    def bram_18k(self) -> float:
        """Block RAM in units of 18 Kbit: two per tile, where a tile may count half."""
        used = self.site("Block RAM Tile").used
        if not isinstance(used, int | float):
            raise InputError("the utilisation report counts no Block RAM Tile")
        return 2 * used


@dataclass(frozen=True)
class HierarchyRow:
    """One instance with all below it; a name in brackets is that instance without what is below it."""

    name: str
    module: str
    depth: int
    luts: Number
    logic_luts: Number
    lutrams: Number
    srls: Number
    ffs: Number
    ramb36: Number
    ramb18: Number
    dsps: Number
    uram: Number | None = None


@dataclass(frozen=True)
class Hierarchy:
    """A hierarchical utilisation report; its first row is the top of the design."""

    head: Head
    rows: tuple[HierarchyRow, ...]


def parse_utilisation(text: str) -> Utilisation | Hierarchy:
    """The values of a utilisation report; InputError names what is missing, cut short or no number."""
    lines = text.split("\n")
    head = read_head(lines)
    sections = Sections(lines)
    if "Utilization by Hierarchy" in sections.places and "Primitives" not in sections.places:
        return Hierarchy(head, _hierarchy(sections.table("Utilization by Hierarchy")))
    sites: list[Site] = []
    slrs: list[SlrSite] = []
    for title in sections.places:
        table = sections.maybe(title)
        if table is None or not table.columns[0].startswith("Site Type"):
            continue
        if table.columns[0] != "Site Type" or not table.rows:
            raise InputError(f"the table of {title} is cut short, or its header not ruled off")
        if "Used" in table.columns:
            sites += [_site(title, table, row) for row in table.rows if any(cell.strip() for cell in row[1:])]
        elif "SLR0" in table.columns:
            slrs += [_slr(table, row) for row in table.rows]
    if not sites:
        raise InputError("the utilisation report has no table of sites")
    cells = (_names(sections.table(title)) for title in ("Primitives", "Black Boxes"))
    return Utilisation(head, tuple(sites), tuple(slrs), *cells)


def _name(cell: str) -> tuple[str, int]:
    """A name without the star of a footnote, and its depth: one blank, then two per level."""
    name = cell.strip()
    return name.rstrip("*"), max(0, len(cell) - len(cell.lstrip()) - 1) // 2


def _site(section: str, table: Table, row: Sequence[str]) -> Site:
    name, depth = _name(row[0])
    prohibited = table.cell(row, "Prohibited")
    return Site(
        name,
        section,
        depth,
        used=_used(table.need(row, "Used")),
        fixed=number(table.need(row, "Fixed")),
        prohibited=None if prohibited is None else number(prohibited),
        available=number(table.need(row, "Available")),
        percent=number(table.need(row, "Util%")),
    )


def _used(text: str) -> Number:
    """A count of sites, or of tiles of block RAM with a half."""
    value = number(text)
    if isinstance(value, int | float) and (value < 0 or value % 0.5):
        raise InputError(f"a count of sites is whole, or of tiles with a half, not {text.strip()[:30]}")
    return value


def _slr(table: Table, row: Sequence[str]) -> SlrSite:
    name, depth = _name(row[0])
    dies = tuple(column for column in table.columns[1:] if not column.endswith("%"))
    used = tuple(_used(table.need(row, die)) for die in dies)
    return SlrSite(name, depth, dies, used, tuple(number(table.need(row, f"{die} %")) for die in dies))


def _names(table: Table) -> tuple[tuple[str, int], ...]:
    found = []
    for row in table.rows:
        used = number(table.need(row, "Used"))
        if not isinstance(used, int) or used < 0:
            raise InputError(f"a count of cells is a whole number from 0, not {table.need(row, 'Used')[:30]}")
        found.append((table.need(row, "Ref Name"), used))
    return tuple(found)


def _hierarchy(table: Table) -> tuple[HierarchyRow, ...]:
    if not table.rows:
        raise InputError("the hierarchy is empty")
    return tuple(_hierarchy_row(table, row) for row in table.rows)


def _hierarchy_row(table: Table, row: Sequence[str]) -> HierarchyRow:
    name, depth = _name(row[0])
    uram = table.cell(row, "URAM")
    return HierarchyRow(
        name,
        table.need(row, "Module"),
        depth,
        luts=count(table.need(row, "Total LUTs")),
        logic_luts=count(table.need(row, "Logic LUTs")),
        lutrams=count(table.need(row, "LUTRAMs")),
        srls=count(table.need(row, "SRLs")),
        ffs=count(table.need(row, "FFs")),
        ramb36=count(table.need(row, "RAMB36")),
        ramb18=count(table.need(row, "RAMB18")),
        dsps=count(table.need(row, "DSP Blocks", "DSP48 Blocks", "DSP Slices")),
        uram=None if uram is None else count(uram),
    )
