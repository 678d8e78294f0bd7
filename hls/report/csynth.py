"""What C synthesis says of a design, whether in XML or in text."""

from __future__ import annotations

from dataclasses import dataclass

from hardpoint.hls.report.cells import Number
from hardpoint.part import Part

__all__ = ["CSynth", "Clock", "Instance", "Latency", "Loop", "Module", "Port", "Resources"]


@dataclass(frozen=True)
class Resources:
    """Counts of primitives, or percentages of a device; BRAM in blocks of 18 Kbit.

    None means that the report has no such column (URAM on a Zynq-7000 in 2018.3), `Mark.NONE` that it prints a dash.
    DSP48E (until 2020.1) and DSP (from 2020.2) are both `dsp`. Counts may exceed the device: csynth does not fail.
    """

    bram_18k: Number | None = None
    dsp: Number | None = None
    ff: Number | None = None
    lut: Number | None = None
    uram: Number | None = None


@dataclass(frozen=True)
class Clock:
    """Periods in nanoseconds; the estimate may lie above the target, and is 0 where nothing is clocked."""

    target_ns: float
    estimated_ns: float
    uncertainty_ns: float


@dataclass(frozen=True)
class Latency:
    """Clock cycles from start to done and from start to start, with times in nanoseconds.

    `Mark.UNDEF` where a loop has no bound; None where this kind of report does not say (no average in text, no
    times before 2019.2). `pipeline` is none, no, yes, function or dataflow, as printed; `throughput` is the
    interval of a dataflow region. Intervals in the text reports of Vivado HLS may be one cycle shorter than in its
    XML; both are kept as printed.
    """

    best: Number
    worst: Number
    average: Number | None = None
    best_ns: Number | None = None
    worst_ns: Number | None = None
    average_ns: Number | None = None
    interval_min: Number | None = None
    interval_max: Number | None = None
    pipeline: str | None = None
    throughput: Number | None = None


@dataclass(frozen=True)
class Loop:
    """One loop and the loops in it; cycles and counts are spans where they depend on data."""

    name: str
    trip_count: Number | None = None
    latency: Number | None = None
    latency_ns: Number | None = None
    iteration_latency: Number | None = None
    ii: Number | None = None
    target_ii: Number | None = None
    depth: Number | None = None
    slack_ns: Number | None = None
    pipelined: str | None = None
    instances: tuple[str, ...] = ()
    loops: tuple[Loop, ...] = ()


@dataclass(frozen=True)
class Instance:
    """A module as used in the top function, by the text report; latency only where it has a schedule of its own."""

    name: str
    module: str
    used: Resources | None = None
    latency: Latency | None = None


@dataclass(frozen=True)
class Module:
    """A synthesised function of the design, by Vitis' `csynth.xml`; only 2020.2 lists the ports of modules."""

    name: str
    latency: Latency
    clock: Clock
    used: Resources
    loops: tuple[Loop, ...] = ()
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True)
class Port:
    """One port of the RTL."""

    name: str
    direction: str
    bits: int
    protocol: str
    source: str


@dataclass(frozen=True)
class CSynth:
    """The C-synthesis report of one top function.

    `tool` is "Vivado HLS" or "Vitis HLS" where the report names it (XML does not); `modules` come with Vitis'
    `csynth.xml` alone, `instances` with text reports alone, and are None elsewhere.
    """

    tool: str | None
    version: str
    top: str
    part: Part
    family: str
    flow: str | None
    clock: Clock
    latency: Latency
    used: Resources
    available: Resources
    percent: Resources | None
    loops: tuple[Loop, ...]
    ports: tuple[Port, ...]
    modules: tuple[Module, ...] | None = None
    instances: tuple[Instance, ...] | None = None
