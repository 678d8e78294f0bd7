"""How long answers take: the largest tool reports, and costs from the shipped table: build/bench/answers.json.

    python benchmarks/answers.py ../shared/real

CPU seconds of one thread, the median of five. Reports are read where the folder holds any.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hardpoint.array import Array, Guard
from hardpoint.files import write_json
from hardpoint.hls.cost import array_cost, price
from hardpoint.hls.report import read_report

ARRAYS = {
    "8x8 unprotected": Array(8, 8),
    "8x8 full TMR": Array(8, 8, (Guard(0, True, True),)),
    "16x16, five columns guarded 12+drain": Array.columns_hardened(16, 16, Guard(12, drain=True), 5),
}


def seconds(work: Callable[[], Any]) -> float:
    """Median CPU seconds of five runs."""
    runs = []
    for _ in range(5):
        start = time.process_time()
        work()
        runs.append(time.process_time() - start)
    return round(statistics.median(runs), 4)


def main(folder: Path) -> None:
    price.cache_clear()
    table = {name: seconds(lambda array=array: array_cost(array)) for name, array in ARRAYS.items()}
    files = sorted(folder.glob("*_reports/*/*"), key=lambda path: -path.stat().st_size)[:5]
    reports = {path.name: {"bytes": path.stat().st_size, "seconds": seconds(lambda path=path: read_report(path))} for path in files}
    result = {"cost_from_table": table, "largest_reports": reports}
    write_json("build/bench/answers.json", result)
    for name, value in table.items():
        print(f"{name}: {1000 * value:.1f} ms")
    for name, row in reports.items():
        print(f"{name}: {row['bytes']:,} bytes in {row['seconds']:.3f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/real"))
