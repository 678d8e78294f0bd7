"""How quickly the search finds the cheapest design that meets the constraint, on exhaustively measured tables.

    python benchmarks/search.py        (make bench-search)

Tables come from benchmarks/search_table.py. A point's margin is the lower end of its accuracy's 95 % t interval over fault
lists, less the target; the target is the accuracy above which a share FEASIBLE of the points lies. Every method is asked
and told 40 points (baselines: as many as they need, at most BUDGET) for each of 10 seeds; settings are the same for all tables.
`evaluations_to_2_percent` is how many evaluations it took until a feasible point cost at most 2 % more than the cheapest.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from hardpoint.files import load_npz, write_json
from hardpoint.optimizer.baselines import METHODS, first_within
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Space
from hardpoint.statistics import t_quantile

SEEDS = 10
EVALUATIONS = 40
BUDGET = 400
FEASIBLE = 0.15
HERE = Path(__file__).parent


class Table:
    """A measured space: cost and margin of every point."""

    def __init__(self, path: Path) -> None:
        about, arrays = load_npz(path, "search table")
        self.about = about
        from search_table import SPACE

        self.space = Space({k: tuple(v) for k, v in about["dimensions"].items()}, SPACE.possible)
        values = arrays["values"]
        if len(values) != len(self.space.points):
            raise SystemExit(f"{path} holds {len(values)} of {len(self.space.points)} points")
        lut, _, _, accuracy, deviation = values.T
        lower = accuracy - t_quantile(0.975, about["lists"] - 1) * deviation / np.sqrt(about["lists"])
        self.target = float(np.quantile(lower, 1 - FEASIBLE))
        self.cost = dict(zip(self.space.points, lut.tolist(), strict=True))
        self.margin = dict(zip(self.space.points, (lower - self.target).tolist(), strict=True))
        self.feasible = [p for p in self.space.points if self.margin[p] >= 0]
        self.optimum = min(self.cost[p] for p in self.feasible)
        self.limit = 1.02 * self.optimum

    def story(self) -> dict[str, Any]:
        """What must be known of the table to judge a method by it."""
        near = sum(self.cost[p] <= self.limit for p in self.feasible)
        return {
            **{k: self.about[k] for k in ("data", "model", "images", "lists", "seed", "ber")},
            "points": len(self.space.points),
            "feasible": len(self.feasible),
            "within_2_percent": near,
            "optimum_lut": self.optimum,
            "target": self.target,
        }


def course(table: Table, method: str, seed: int, budget: int) -> tuple[int | None, float]:
    """Evaluations until a point within 2 % of the optimum was found (None: not within `budget`), and the method's seconds."""
    space = table.space
    cost = (lambda point: table.cost[point]) if method == "bayesian" else None
    search: Search = METHODS[method](space, 1, cost, initial=8, seed=seed)
    asked: list[Any] = []
    spent = 0.0
    while len(asked) < budget:
        begun = time.perf_counter()
        point = search.ask()
        search.tell(point, table.cost[point], [table.margin[point]])
        spent += time.perf_counter() - begun
        asked.append(point)
        if table.margin[point] >= 0 and table.cost[point] <= table.limit:
            break
    costs, good = [table.cost[p] for p in asked], [table.margin[p] >= 0 for p in asked]
    return first_within(asked, costs, good, table.limit), spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tables", type=Path, nargs="*", default=sorted(HERE.glob("search_*.npz")))
    parser.add_argument("--out", type=Path, default=Path("build/bench/search.json"))
    given = parser.parse_args()
    report: dict[str, Any] = {"tables": {}, "evaluations_to_2_percent": {}}
    with Progress() as progress:
        for path in given.tables:
            table = Table(path)
            report["tables"][path.stem] = table.story()
            found: dict[str, list[int | None]] = {}
            for method in METHODS:
                budget = EVALUATIONS if method == "bayesian" else BUDGET if method != "penalty" else 3 * EVALUATIONS
                task = progress.add_task(f"{path.stem}: {method}", total=SEEDS)
                found[method] = []
                for seed in range(SEEDS):
                    found[method].append(course(table, method, seed, budget)[0])
                    progress.advance(task)
            report["evaluations_to_2_percent"][path.stem] = found
            print(path.stem, table.story(), found)
        report["overhead_seconds_100"] = overhead(Table(given.tables[0])) if given.tables else None
    write_json(given.out, report)
    print(given.out)


def overhead(table: Table) -> float:
    """The optimiser's own processor seconds over 100 evaluations."""
    search = Search(table.space, 1, lambda point: table.cost[point], initial=8, seed=0)
    begun = time.process_time()
    for _ in range(100):
        point = search.ask()
        search.tell(point, table.cost[point], [table.margin[point]])
    return round(time.process_time() - begun, 2)


if __name__ == "__main__":
    main()
