"""Where the cost of a design comes from: the shipped table, synthesis by Yosys, the vendor's tools, or recorded reports."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.network import Network

__all__ = ["SOURCES", "Prices", "Recorded", "Synthesis", "Table", "Tools", "check_source", "prices_from"]

SOURCES = ("table", "yosys", "csynth", "vivado")


class Prices(Protocol):
    """What prices designs; picklable. Arrays are priced without injection taps."""

    @property
    def source(self) -> str:
        """The name that results give it."""

    def beforehand(self, array: Array) -> Cost | None:
        """What is known of `array` without running a tool; None where a tool must run. InputError: it is not priced at all."""

    def measured(self, array: Array) -> Cost:
        """The cost of `array`, by running what must be run."""


@dataclass(frozen=True)
class Table:
    """The shipped table of synthesised parts; arrays with parts that it lacks are refused."""

    source: str = "table"

    def beforehand(self, array: Array) -> Cost | None:
        from hardpoint.hls.cost import array_cost
        from hardpoint.hls.coverage import lacking

        if lacks := lacking(array):
            raise InputError(f"the shipped table of costs lacks {lacks[0]}{f' and {len(lacks) - 1} more' * (len(lacks) > 1)}")
        return array_cost(array)

    def measured(self, array: Array) -> Cost:
        cost = self.beforehand(array)
        assert cost is not None
        return cost


@dataclass(frozen=True)
class Synthesis:
    """The same table; parts that it lacks are synthesised by Yosys, in some seconds each, when a point is evaluated."""

    source: str = "yosys"

    def beforehand(self, array: Array) -> Cost | None:
        from hardpoint.hls.cost import array_cost
        from hardpoint.hls.coverage import lacking

        return None if lacking(array) else array_cost(array)

    def measured(self, array: Array) -> Cost:
        from hardpoint.hls.cost import array_cost

        return array_cost(array)


@dataclass(frozen=True)
class Tools:
    """The vendor's tools run on the emitted project: C synthesis alone (`csynth`), or up to the bitstream (`vivado`).

    Projects and bitstreams lie in `folder` by the array's digest, and are not built twice. `network` is what a project is
    tested with; it does not decide what an array costs.
    """

    source: str
    folder: Path
    network: Network

    def beforehand(self, array: Array) -> Cost | None:
        return None

    def measured(self, array: Array) -> Cost:
        from hardpoint.hls.build import build, synthesise
        from hardpoint.hls.emit import write_project

        bare = dataclasses.replace(array, taps=False)
        place = self.folder / bare.digest
        project = place / "project"
        if not (project / "manifest.json").is_file():
            write_project(self.network, bare, project)
        if self.source == "csynth":
            return synthesise(project, say=_silent)
        costs = build(project, place, say=_silent).costs
        return next(cost for cost in costs if cost.source == "vivado")


@dataclass(frozen=True)
class Recorded:
    """C synthesis reports that were kept: DIGEST.xml or DIGEST.rpt in `folder`, named by the digest of the array without
    injection taps; other arrays are refused.
    """

    folder: Path
    source: str = "csynth"

    def beforehand(self, array: Array) -> Cost | None:
        from hardpoint.hls.report import CSynth, read_as, to_cost

        name = dataclasses.replace(array, taps=False).digest
        found = [path for kind in ("xml", "rpt") if (path := self.folder / f"{name}.{kind}").is_file()]
        if not found:
            raise InputError(f"{self.folder} holds no C synthesis report {name}.xml or {name}.rpt")
        return to_cost(read_as(CSynth, found[0]))

    def measured(self, array: Array) -> Cost:
        cost = self.beforehand(array)
        assert cost is not None
        return cost


def check_source(source: str, reports: Path | None = None) -> None:
    """Raise an InputError unless costs can come from `source`: it exists, and so do its tools or recorded `reports`."""
    if source not in SOURCES:
        raise InputError(f"a source of costs is {', '.join(SOURCES)}, not {source!r}")
    if reports is not None and source != "csynth":
        raise InputError(f"recorded reports are those of C synthesis (csynth), not of {source}")
    if reports is not None and not reports.is_dir():
        raise InputError(f"there is no folder of reports {reports}")
    if reports is None and source in ("csynth", "vivado"):
        from hardpoint.hls.build import Tools as Commands

        Commands.find(hls_only=source == "csynth")


def prices_from(source: str, folder: Path, network: Network, reports: Path | None = None) -> Prices:
    """The source of costs called `source`; projects for the vendor's tools go into `folder`, `reports` are recorded ones."""
    check_source(source, reports)
    if reports is not None:
        return Recorded(reports)
    return Table() if source == "table" else Synthesis() if source == "yosys" else Tools(source, folder, network)


def _silent(line: str) -> None:
    pass
