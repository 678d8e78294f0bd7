"""What HLS estimated and what Vivado placed: `read_your_vivado_report.py top_csynth.xml utilization.rpt timing.rpt power.rpt`.

Without arguments it reads invented reports that the tests use.
"""

import sys
from pathlib import Path

from hardpoint.hls.report import CSynth, Mark, read_report, to_cost

INVENTED = Path(__file__).resolve().parents[1] / "tests" / "reports"
NAMES = ("weave_2023.1_csynth.rpt", "weave_utilization_synth.rpt", "weave_timing_summary.rpt", "weave_power_hot.rpt")

reports = [read_report(path) for path in sys.argv[1:] or [INVENTED / name for name in NAMES]]
estimates = [report for report in reports if isinstance(report, CSynth)]
placed = [report for report in reports if not isinstance(report, CSynth)]
costs = [to_cost(report) for report in estimates] + ([to_cost(*placed)] if placed else [])
for cost in costs:
    print(f"{cost.source}: " + ", ".join(f"{name} {value}" for name, value in cost.table().items() if name != "source"))
for report in estimates:
    worst = report.latency.worst  # the tool may have found no bound
    print(f"{report.top}: worst latency {worst.value if isinstance(worst, Mark) else worst} cycles, clock {report.clock.estimated_ns} ns for a target of {report.clock.target_ns} ns")
if estimates and placed and costs[0].lut and costs[-1].lut:
    print(f"HLS estimated {costs[0].lut / costs[-1].lut:.2f} times the LUTs that Vivado placed")
