"""Reports of HLS tools and Vivado as typed values with units.

`read_report(path)` reads every kind; the values are frozen dataclasses of plain numbers, spans and marks, so that
what a tool left undefined stays undefined. `to_cost` turns them into a `hardpoint.cost.Cost`.
"""

from hardpoint.hls.report.cells import Below, Mark, Number, Span
from hardpoint.hls.report.cosim import Cosim, CosimRun, Transactions, parse_cosim, parse_lat, parse_transactions
from hardpoint.hls.report.costs import to_cost
from hardpoint.hls.report.csynth import Clock, CSynth, Instance, Latency, Loop, Module, Port, Resources
from hardpoint.hls.report.csynth_rpt import parse_csynth_rpt
from hardpoint.hls.report.csynth_xml import parse_csynth_xml
from hardpoint.hls.report.overview import Overview, OverviewRow, parse_overview
from hardpoint.hls.report.power import Power, PowerPart, parse_power
from hardpoint.hls.report.read import Report, parse_report, read_as, read_report
from hardpoint.hls.report.timing import ConstrainedClock, Slack, Timing, parse_timing
from hardpoint.hls.report.utilisation import Hierarchy, HierarchyRow, Site, SlrSite, Utilisation, parse_utilisation
from hardpoint.hls.report.vivado import Head

__all__ = [
    "Below",
    "CSynth",
    "Clock",
    "ConstrainedClock",
    "Cosim",
    "CosimRun",
    "Head",
    "Hierarchy",
    "HierarchyRow",
    "Instance",
    "Latency",
    "Loop",
    "Mark",
    "Module",
    "Number",
    "Overview",
    "OverviewRow",
    "Port",
    "Power",
    "PowerPart",
    "Report",
    "Resources",
    "Site",
    "Slack",
    "SlrSite",
    "Span",
    "Timing",
    "Transactions",
    "Utilisation",
    "parse_cosim",
    "parse_csynth_rpt",
    "parse_csynth_xml",
    "parse_lat",
    "parse_overview",
    "parse_power",
    "parse_report",
    "parse_timing",
    "parse_transactions",
    "parse_utilisation",
    "read_as",
    "read_report",
    "to_cost",
]
