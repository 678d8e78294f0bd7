"""From reports to a `Cost`, each number with its source."""

from __future__ import annotations

from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Number
from hardpoint.hls.report.csynth import CSynth
from hardpoint.hls.report.power import Power
from hardpoint.hls.report.timing import Timing
from hardpoint.hls.report.utilisation import Hierarchy, Utilisation

__all__ = ["to_cost"]


def to_cost(*reports: CSynth | Utilisation | Hierarchy | Timing | Power) -> Cost:
    """The cost that one csynth report, or Vivado reports of one design in one state, state together.

    BRAM is in blocks of 18 Kbit: Vivado's tiles of 36 Kbit (with halves) count double. `cycles` is csynth's worst
    latency and `period_ns` its longer period of target and estimate, as the tool's own absolute times are;
    from Vivado, `period_ns` is the clock's period less the worst slack, and only a power report gives `power_w`.
    What no report states stays None. InputError for reports of different designs or tools, for two of a kind, and
    for a utilisation report with black boxes, which counts a wrapper and not the design.
    """
    if len({type(report) for report in reports}) != len(reports) or not reports:
        raise InputError(f"a cost takes reports of different kinds, at least one, not {len(reports)} with repetition")
    for report in reports:
        if not isinstance(report, CSynth | Utilisation | Hierarchy | Timing | Power):  # read_report returns others, too
            raise InputError(f"a report of kind {type(report).__name__} states no cost")
    if isinstance(reports[0], CSynth):
        if len(reports) > 1:
            raise InputError("a csynth estimate does not mix with Vivado's reports: take one cost of each")
        return _csynth(reports[0])
    known: dict[str, float | None] = {}
    heads = set()
    for report in reports:
        if isinstance(report, CSynth):
            raise InputError("a csynth estimate does not mix with Vivado's reports: take one cost of each")
        heads.add(report.head.design)
        known.update(_vivado(report))
    if len(heads) > 1:
        raise InputError(f"reports of different designs make no cost: {', '.join(sorted(heads))[:200]}")
    return Cost.restore({"source": "vivado", **known})


def _plain(value: Number | None) -> float | None:
    """A number that is one; None for marks, bounds and spans."""
    return value if isinstance(value, int | float) else None


def _csynth(report: CSynth) -> Cost:
    cycles = report.latency.worst
    return Cost(
        "csynth",
        lut=_plain(report.used.lut),
        ff=_plain(report.used.ff),
        dsp=_plain(report.used.dsp),
        bram=_plain(report.used.bram_18k),
        uram=_plain(report.used.uram),
        cycles=cycles if isinstance(cycles, int) else None,
        period_ns=max(report.clock.target_ns, report.clock.estimated_ns),
    )


def _vivado(report: Utilisation | Hierarchy | Timing | Power) -> dict[str, float | None]:
    if isinstance(report, Power):
        return {"power_w": report.total_w}
    if isinstance(report, Timing):
        return {"period_ns": _period(report)}
    if isinstance(report, Hierarchy):
        top = report.rows[0]
        ramb36, ramb18 = _plain(top.ramb36), _plain(top.ramb18)
        bram = None if ramb36 is None or ramb18 is None else 2 * ramb36 + ramb18
        uram = _plain(top.uram)
        return {"lut": _plain(top.luts), "ff": _plain(top.ffs), "dsp": _plain(top.dsps), "bram": bram, "uram": uram}
    if report.black_boxes:
        names = ", ".join(name for name, _ in report.black_boxes)
        raise InputError(f"{report.head.design} was synthesised without {names[:200]}: take the placed report instead")
    return {
        "lut": _plain(report.site("Slice LUTs", "CLB LUTs").used),
        "ff": _plain(report.site("Slice Registers", "CLB Registers").used),
        "dsp": _plain(report.site("DSPs").used),
        "bram": report.bram_18k,
        "uram": _plain(report.site("URAM").used) if any(site.name == "URAM" for site in report.sites) else None,
    }


def _period(report: Timing) -> float | None:
    """Period less worst slack, where there is one clock and it was constrained; None otherwise."""
    slack = report.setup.worst_ns
    if len(report.clocks) != 1 or not isinstance(slack, int | float):
        return None
    return report.clocks[0].period_ns - slack
