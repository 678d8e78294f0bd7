"""The XML report of C synthesis: `<top>_csynth.xml`, and Vitis' `csynth.xml` with every module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hardpoint.documents import parse_xml
from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number, Span, count, nanoseconds, number, span
from hardpoint.hls.report.csynth import Clock, CSynth, Latency, Loop, Module, Port, Resources
from hardpoint.part import Part

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["parse_csynth_xml"]

_DEEPEST = 50  # nested loops
_CYCLES = {"TripCount", "Latency", "AbsoluteTimeLatency", "IterationLatency", "DataflowPipelineThroughput"}
_OF_A_LOOP = _CYCLES | {"Name", "Slack", "PipelineII", "PipelineDepth", "PipelineType", "InstanceList"}


def parse_csynth_xml(text: str) -> CSynth:
    """The values of an XML report; InputError names the element that is missing or no number."""
    root = parse_xml(text)
    if root.tag != "profile" or root.find("UserAssignments") is None:
        raise InputError(f"this is no C-synthesis report: its outermost element is <{root.tag[:40]}>, not <profile>")
    user = _need(root, "UserAssignments")
    performance = _need(root, "PerformanceEstimates")
    for unit in (_text(user, "unit"), _text(performance, "SummaryOfTimingAnalysis/unit")):
        if unit != "ns":
            raise InputError(f"clock periods are in ns, not {unit[:20]!r}")
    modules = root.find("ModuleInformation")
    return CSynth(
        tool=None,
        version=_text(root, "ReportVersion/Version"),
        top=_text(user, "TopModelName"),
        part=Part.parse(_text(user, "Part")),
        family=_text(user, "ProductFamily"),
        flow=_maybe(user, "FlowTarget"),
        clock=_clock(user, performance),
        latency=_latency(performance, _text(performance, "PipelineType")),
        used=_resources(_need(root, "AreaEstimates/Resources")),
        available=_resources(_need(root, "AreaEstimates/AvailableResources")),
        percent=None,
        loops=_loops(performance.find("SummaryOfLoopLatency")),
        ports=tuple(_port(element) for element in _need(root, "InterfaceSummary").iterfind("RtlPorts")),
        modules=None if modules is None else tuple(_module(element) for element in modules.iterfind("Module")),
    )


def _need(element: Element, path: str) -> Element:
    found = element.find(path)
    if found is None:
        raise InputError(f"the report's <{element.tag[:40]}> has no {path}")
    return found


def _text(element: Element, path: str) -> str:
    text = (_need(element, path).text or "").strip()
    if not text:
        raise InputError(f"{path} of the report's <{element.tag[:40]}> is empty")
    return text


def _maybe(element: Element, path: str) -> str | None:
    found = element.find(path)
    return None if found is None else (found.text or "").strip() or None


def _number(element: Element, path: str, read: Callable[[str], Number] = count) -> Number | None:
    """A number, or a span where the element holds <range><min/><max/></range>; None without the element."""
    found = element.find(path)
    if found is None:
        return None
    if found.find("range") is not None:
        return span(_text(found, "range/min"), _text(found, "range/max"))
    return read(_text(element, path))


def _counted(element: Element, path: str) -> Number:
    value = _number(element, path)
    if value is None:
        raise InputError(f"the report's <{element.tag[:40]}> has no {path}")
    return value


def _ns(text: str) -> float:
    time = nanoseconds(text)
    if not isinstance(time, int | float):
        raise InputError(f"a clock period is a number of nanoseconds, not {text[:30]!r}")
    return time


def _clock(user: Element, performance: Element) -> Clock:
    return Clock(
        target_ns=_ns(_text(user, "TargetClockPeriod")),
        estimated_ns=_ns(_text(performance, "SummaryOfTimingAnalysis/EstimatedClockPeriod")),
        uncertainty_ns=_ns(_text(user, "ClockUncertainty")),
    )


def _latency(performance: Element, pipeline: str | None) -> Latency:
    overall = _need(performance, "SummaryOfOverallLatency")
    again = _number(overall, "PipelineInitiationInterval")  # modules state their interval in this form
    first, last = (again.low, again.high) if isinstance(again, Span) else (again, again)
    return Latency(
        best=_counted(overall, "Best-caseLatency"),
        worst=_counted(overall, "Worst-caseLatency"),
        average=_counted(overall, "Average-caseLatency"),
        best_ns=_number(overall, "Best-caseRealTimeLatency", nanoseconds),
        worst_ns=_number(overall, "Worst-caseRealTimeLatency", nanoseconds),
        average_ns=_number(overall, "Average-caseRealTimeLatency", nanoseconds),
        interval_min=_number(overall, "Interval-min") if overall.find("Interval-min") is not None else first,
        interval_max=_number(overall, "Interval-max") if overall.find("Interval-max") is not None else last,
        pipeline=pipeline,
        throughput=_number(overall, "DataflowPipelineThroughput"),
    )


def _resources(element: Element) -> Resources:
    dsp = "DSP" if element.find("DSP") is not None else "DSP48E"
    bram, dsps, ff, lut = (_counted(element, name) for name in ("BRAM_18K", dsp, "FF", "LUT"))
    return Resources(bram, dsps, ff, lut, _number(element, "URAM"))


def _loops(element: Element | None, depth: int = 0) -> tuple[Loop, ...]:
    """Loops are elements named after the loop, among those that describe the enclosing one."""
    if element is None:
        return ()
    if depth > _DEEPEST:
        raise InputError(f"loops nest at most {_DEEPEST} deep")
    inner = (child for child in element if child.tag not in _OF_A_LOOP)
    return tuple(_loop(child, depth) for child in inner if any(fact.tag in _OF_A_LOOP for fact in child))


def _loop(element: Element, depth: int) -> Loop:
    time = _number(element, "AbsoluteTimeLatency", nanoseconds)
    return Loop(
        name=_maybe(element, "Name") or element.tag,
        trip_count=_number(element, "TripCount"),
        latency=_number(element, "Latency"),
        latency_ns=time,
        iteration_latency=_number(element, "IterationLatency"),
        ii=_number(element, "PipelineII"),
        depth=_number(element, "PipelineDepth"),
        slack_ns=_number(element, "Slack", number),
        pipelined=_maybe(element, "PipelineType"),
        instances=tuple((name.text or "").strip() for name in element.iterfind("InstanceList/*")),
        loops=_loops(element, depth + 1),
    )


def _module(element: Element) -> Module:
    performance = _need(element, "PerformanceEstimates")
    timing = _need(performance, "SummaryOfTimingAnalysis")
    return Module(
        name=_text(element, "Name"),
        latency=_latency(performance, _maybe(performance, "SummaryOfOverallLatency/PipelineType")),
        clock=Clock(
            *(_ns(_text(timing, name)) for name in ("TargetClockPeriod", "EstimatedClockPeriod", "ClockUncertainty"))
        ),
        used=_resources(_need(element, "AreaEstimates/Resources")),
        loops=_loops(performance.find("SummaryOfLoopLatency")),
        ports=tuple(_port(port) for port in element.iterfind("InterfaceSummary/RtlPorts")),
    )


def _port(element: Element) -> Port:
    bits = number(_text(element, "Bits"))
    if not isinstance(bits, int) or bits < 1:
        raise InputError(f"a port has at least one bit, not {bits}")
    return Port(
        name=_text(element, "name"),
        direction=_text(element, "Dir"),
        bits=bits,
        protocol=_text(element, "IOProtocol"),
        source=_maybe(element, "Object") or "",
    )
