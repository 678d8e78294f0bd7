"""Compare what the report readers say with the expected values of indexed folders: `make check-reports DIR=...`.

    python -m hardpoint.hls.check_reports ../shared/real

Each view below puts a typed report into the words of an index (`hardpoint.expected`). Exit code 1 on any difference
or file that was not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hardpoint.errors import InputError
from hardpoint.expected import Outcome, View, check_folders, compare
from hardpoint.hls.report import (
    Below,
    Cosim,
    CosimRun,
    CSynth,
    Head,
    Hierarchy,
    Latency,
    Loop,
    Mark,
    Module,
    Number,
    Overview,
    Power,
    Report,
    Resources,
    Slack,
    Span,
    Timing,
    Transactions,
    Utilisation,
    read_report,
)

__all__ = ["check", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each folder's outcome; the exit code is 1 on any difference."""
    return compare("check_reports", "reports", _view_of, arguments)


def check(folder: Path) -> tuple[Outcome, ...]:
    """The outcome of each folder at or below `folder` that indexes reports."""
    return check_folders(folder, _view_of)


def _view_of(item: Mapping[str, Any]) -> View | None:
    kind = item.get("kind")
    return partial(_view, kind) if kind in _KINDS else None


def _view(kind: str, path: Path) -> Mapping[str, Any]:
    """The report at `path` in the index's words; a report of another kind than the index says is an error."""
    report = read_report(path)
    if not isinstance(report, _KINDS[kind]):
        raise InputError(f"read as {type(report).__name__}, but the index says {kind}")
    return _words(report)


_KINDS: dict[str, tuple[type[Report], ...]] = {
    "csynth.rpt": (CSynth, Overview),
    "csynth.xml": (CSynth,),
    "cosim.rpt": (Cosim,),
    "lat.rpt": (CosimRun,),
    "result.transaction.rpt": (Transactions,),
    "utilization": (Utilisation,),
    "utilization_hierarchical": (Hierarchy,),
    "timing_summary": (Timing,),
    "power": (Power,),
}


def _words(report: Report) -> dict[str, Any]:
    match report:
        case CSynth():
            return _csynth(report)
        case Overview():
            return {"tool_version": report.version, "tool": None, "top": report.top, "part": report.part.spelling}
        case Cosim():
            return {
                "tool_version": None,
                "rows_rtl_status_latency_min_avg_max_interval_min_avg_max": [_run(run) for run in report.runs],
            }
        case Utilisation():
            return {**_head(report.head), "rows": _rows(report)}
        case Hierarchy():
            return {**_head(report.head), "top_row": _top_row(report)}
        case Timing():
            return {
                **_head(report.head),
                "summary": _slack("WNS", "TNS", report.setup)
                | _slack("WHS", "THS", report.hold)
                | _slack("WPWS", "TPWS", report.pulse_width),
                "constraints_met": report.met,
                "clocks": [
                    {"name": clock.name, "period_ns": clock.period_ns, "freq_mhz": clock.frequency_mhz}
                    for clock in report.clocks
                ],
            }
        case Power():
            return {
                **_head(report.head),
                "total_w": report.total_w,
                "dynamic_w": report.dynamic_w,
                "static_w": report.static_w,
                "junction_c": report.junction_c,
                "tja": report.theta_ja,
                "confidence": report.confidence,
                "budget": report.budget,
                "components": {part.name: _word(part.watts) for part in report.components},
            }
        case CosimRun() | Transactions():
            return {}


def _word(value: Number | None, undefined: str = "undef") -> Any:
    """A number as an index writes it: the mark's word, the bound alone of `<0.001`, `low ~ high`."""
    match value:
        case Mark.UNDEF:
            return undefined
        case Mark():
            return value.value
        case Below():
            return value.bound
        case Span():
            return f"{_word(value.low)} ~ {_word(value.high)}"
    return value


def _csynth(report: CSynth) -> dict[str, Any]:
    words: dict[str, Any] = {
        "tool_version": report.version,
        "tool": report.tool,
        "top": report.top,
        "part": report.part.spelling,
        "product_family": report.family,
        "flow_target": report.flow,
        "clock_unit": "ns",
        "target_clock_ns": report.clock.target_ns,
        "estimated_clock_ns": report.clock.estimated_ns,
        "clock_uncertainty_ns": report.clock.uncertainty_ns,
        "pipeline_type": report.latency.pipeline,
        "dataflow_throughput": _word(report.latency.throughput),
        "latency": _three(report.latency.best, report.latency.average, report.latency.worst),
        "interval": {"min": _word(report.latency.interval_min), "max": _word(report.latency.interval_max)},
        "latency_row": _latency_row(report.latency),
        "resources": _resources(report.used),
        "available": _resources(report.available),
        "top_loops": [_loop(loop) for loop in report.loops],
        "modules": [_module(module) for module in report.modules or ()],
        # every <RtlPorts> of the file: those of the top, and of modules where they are listed
        "n_rtl_ports": len(report.ports) + sum(len(module.ports) for module in report.modules or ()),
        "io_protocols": sorted({port.protocol for port in report.ports}),
    }
    times = (report.latency.best_ns, report.latency.average_ns, report.latency.worst_ns)
    words["latency_realtime"] = _three(*(_time(time) for time in times))
    if report.percent is not None:
        shares = {name: _share(value) for name, value in _resources(report.percent).items()}
        words["util"] = {"Total": words["resources"], "Available": words["available"], "Utilization (%)": shares}
    return words


def _share(percent: Any) -> Any:
    """A percentage as csynth prints it; a bound is its "~0", more than nothing and less than 1."""
    return "~0" if isinstance(percent, float) else percent


def _three(best: Any, average: Any, worst: Any) -> dict[str, Any]:
    return {"best": _word(best), "avg": _word(average), "worst": _word(worst)}


def _time(nanoseconds: Number | None) -> Any:
    """A time as the tools print it: three decimals of the unit that keeps it below 100,000; "0 ns" for nothing."""
    if not isinstance(nanoseconds, int | float):
        return nanoseconds
    if nanoseconds == 0:
        return "0 ns"
    for unit, scale in (("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("sec", 1e9)):
        if nanoseconds < 100 * scale or unit == "sec":
            break
    return f"{nanoseconds / scale:.3f} {unit}"


def _latency_row(latency: Latency) -> list[Any]:
    """The row of a text report: cycles, times where the tool prints them, interval, kind of pipeline."""
    times = [] if latency.best_ns is None else [_time(latency.best_ns), _time(latency.worst_ns)]
    cycles = (latency.best, latency.worst), (latency.interval_min, latency.interval_max)
    first, last = ([str(_word(value, "?")) for value in pair] for pair in cycles)
    return [*first, *("?" if time is Mark.UNDEF else time for time in times), *last, latency.pipeline]


def _resources(used: Resources) -> dict[str, Any]:
    dsp = _word(used.dsp)
    names = {"BRAM_18K": _word(used.bram_18k), "DSP": dsp, "DSP48E": dsp, "FF": _word(used.ff), "LUT": _word(used.lut)}
    return names | ({} if used.uram is None else {"URAM": _word(used.uram)})


def _loop(loop: Loop) -> dict[str, Any]:
    return {
        "name": loop.name,
        "TripCount": _word(loop.trip_count),
        "Latency": _word(loop.latency),
        "AbsoluteTimeLatency": _word(loop.latency_ns),
        "IterationLatency": _word(loop.iteration_latency),
        "PipelineII": _word(loop.ii),
        "PipelineDepth": _word(loop.depth),
        "Slack": _word(loop.slack_ns),
        "InstanceList": " ".join(loop.instances),
    }


def _module(module: Module) -> dict[str, Any]:
    latency = module.latency
    return {
        "name": module.name,
        "latency": [_word(cycles) for cycles in (latency.best, latency.average, latency.worst)],
        "est_clock_ns": module.clock.estimated_ns,
        "resources": _resources(module.used),
    }


def _run(run: CosimRun) -> list[str]:
    cells = [run.latency_min, run.latency_average, run.latency_max]
    cells += [run.interval_min, run.interval_average, run.interval_max]
    total = [] if run.total is None else [str(_word(run.total))]
    return [run.rtl, run.status, *(str(_word(cell)) for cell in cells), *total]


def _head(head: Head) -> dict[str, Any]:
    return {
        "tool_version": head.tool,
        "date": head.date,
        "command": head.command,
        "design": head.design,
        "device": head.part.spelling,
        "state": head.state,
    }


def _rows(report: Utilisation) -> dict[str, dict[str, Any]]:
    """The first line of each name, in the order of the report; dies where only they name it."""
    rows: dict[str, dict[str, Any]] = {}
    for site in report.sites:
        row = {"Used": site.used, "Fixed": site.fixed, "Available": site.available, "Util%": site.percent}
        if site.prohibited is not None:
            row["Prohibited"] = site.prohibited
        rows.setdefault(site.name, {name: _word(value) for name, value in row.items()})
    for spread in report.slrs:
        used = dict(zip(spread.dies, map(_word, spread.used), strict=True))
        shares = {f"{die} %": _word(share) for die, share in zip(spread.dies, spread.percent, strict=True)}
        rows.setdefault(spread.name, used | shares)
    return rows


def _top_row(report: Hierarchy) -> dict[str, Any]:
    top = report.rows[0]
    return {
        "Instance": top.name,
        "Module": top.module,
        "Total LUTs": _word(top.luts),
        "Logic LUTs": _word(top.logic_luts),
        "LUTRAMs": _word(top.lutrams),
        "SRLs": _word(top.srls),
        "FFs": _word(top.ffs),
        "RAMB36": _word(top.ramb36),
        "RAMB18": _word(top.ramb18),
        "DSP Blocks": _word(top.dsps),
    }


def _slack(worst: str, total: str, slack: Slack) -> dict[str, Any]:
    return {
        worst: _word(slack.worst_ns),
        total: _word(slack.total_ns),
        f"{total}_failing": _word(slack.failing),
        f"{total}_total": _word(slack.endpoints),
    }


if __name__ == "__main__":
    raise SystemExit(main())
