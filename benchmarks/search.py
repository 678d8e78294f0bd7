"""How quickly the search finds the cheapest design that meets its constraints, on exhaustively measured tables.

    python benchmarks/search.py        (make bench-search)

Tables come from benchmarks/search_table.py, and are refused unless they hold at least 2,000 points, of which at most a fifth
is feasible and at most five lie within 2 % of the cheapest feasible one. CONSTRAINTS says what is asked of a design; its
margins are the lower end of the 95 % t interval of its accuracy over fault lists less the target, and the share by which
it is faster than asked. The model-based search knows costs and estimates of harm beforehand, as it does in `hardpoint search`,
and is run without the estimates as well. Every method gets the same seeds and the same settings on all tables, and gives up after LIMITS
evaluations: enough to show whether it needs twice or four times as many as the model-based search should (40).
`evaluations_to_2_percent` is how many evaluations it took until a feasible point cost at most 2 % more than the
cheapest, null for more; a median beyond its limit counts as one more than the limit, so ratios to it are upper bounds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.progress import Progress
from search_table import FORMAT, MEASURES, SPACES, table_file

from hardpoint.errors import InputError
from hardpoint.files import load_json, load_npz, write_json
from hardpoint.optimizer.baselines import METHODS as BASELINES
from hardpoint.optimizer.estimate import severity
from hardpoint.optimizer.search import INITIAL as FIRST
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Point
from hardpoint.statistics import t_quantile

SEEDS = 10
EVALUATIONS = 40
UNGUIDED = "bayesian, no estimate"
METHODS = {**BASELINES, UNGUIDED: Search}
LIMITS = {"bayesian": 80, UNGUIDED: 80, "penalty": 80, "latin hypercube": 200, "random": 200}
INITIAL = {"latin hypercube": EVALUATIONS, "random": 1}
NEAR = 1.02


@dataclass(frozen=True)
class Constraints:
    """Accuracy under faults at least the best clean one less `loss`; at most `slowdown` times the cycles of the fastest."""

    loss: float
    slowdown: float


CONSTRAINTS = {"digits": Constraints(0.007, 1.1), "fashion": Constraints(0.006, 1.1)}


class Table:
    """A measured space under its constraints: cost and margins of every point."""

    def __init__(self, name: str, path: Path | None = None) -> None:
        path = path or table_file(name)
        about, arrays = load_npz(path, "search table")
        self.name, self.about, self.space = name, about, SPACES[name].space
        dimensions = {key: list(values) for key, values in self.space.dimensions.items()}
        if about.get("format") != FORMAT or about.get("dimensions") != dimensions:
            raise InputError(f"{path} is no table of space {name} of the format {FORMAT!r}")
        values = arrays["values"]
        if values.shape != (len(self.space.points), len(MEASURES)):
            raise InputError(
                f"{path} must hold {len(self.space.points)} points, {len(MEASURES)} measures of each, not {values.shape}"
            )
        lut, took, clean, accuracy, deviation, turned = values.T
        asked = CONSTRAINTS[name]
        lower = accuracy - t_quantile(0.975, about["lists"] - 1) * deviation / np.sqrt(about["lists"])
        self.target, self.limit = float(clean.max()) - asked.loss, float(took.min()) * asked.slowdown
        self.costs = dict(zip(self.space.points, lut.tolist(), strict=True))
        self.severities = dict(zip(self.space.points, map(severity, turned.tolist()), strict=True))
        margins = np.column_stack([lower - self.target, 1 - took / self.limit])
        self.margins = dict(zip(self.space.points, margins.tolist(), strict=True))
        good = (margins >= 0).all(axis=1)
        if not good.any():
            raise InputError(f"{path}: no point meets the constraints")
        self.optimum = float(lut[good].min())
        near = good & (lut <= NEAR * self.optimum)
        self.good = {point for point, at in zip(self.space.points, near, strict=True) if at}
        self.feasible = int(good.sum())
        self._check(path)

    def _check(self, path: Path) -> None:
        """Refuse a table on which finding the optimum would say little."""
        points = len(self.space.points)
        if points < 2000 or self.feasible > points / 5 or len(self.good) > 5:
            raise InputError(
                f"{path}: at least 2,000 points, at most a fifth feasible and at most 5 within 2 % of the optimum are "
                f"wanted, not {points}, {self.feasible} and {len(self.good)}"
            )

    def story(self) -> dict[str, Any]:
        """What must be known of the table to judge a method by it."""
        return {
            **{key: self.about[key] for key in ("data", "images", "lists", "seed", "ber", "costs")},
            "points": len(self.space.points),
            "feasible": self.feasible,
            "within_2_percent": [self.space.named(point) for point in sorted(self.good, key=self.costs.__getitem__)],
            "optimum_lut": self.optimum,
            "target": self.target,
            "most_cycles": self.limit,
        }

    def search(self, method: str, seed: int) -> Search:
        """The method, ready to be asked; only the model-based search knows costs and estimates beforehand."""
        known = self.costs.__getitem__ if METHODS[method] is Search else None
        guides = (self.severities.__getitem__, None) if method == "bayesian" else ()
        first = INITIAL.get(method, FIRST)
        return METHODS[method](self.space, 2, known, initial=first, seed=seed, guides=guides)

    def tell(self, search: Search, point: Point) -> None:
        """Tell what was measured of a point."""
        search.tell(point, self.costs[point], self.margins[point])


def evaluations(table: Table, method: str, seed: int) -> int | None:
    """Evaluations until a point within 2 % of the optimum was found, None if there were too many."""
    search = table.search(method, seed)
    for number in range(1, LIMITS[method] + 1):
        point = search.ask()
        table.tell(search, point)
        if point in table.good:
            return number
    return None


def overhead(table: Table) -> float:
    """The optimiser's own processor seconds over 100 evaluations."""
    search, begun = table.search("bayesian", 0), time.process_time()
    for _ in range(100):
        if search.exhausted:
            break
        table.tell(search, search.ask())
    return round(time.process_time() - begun, 2)


def verdict(found: dict[str, list[int | None]]) -> dict[str, Any]:
    """The three aims: within 40 evaluations in 9 of 10 seeds, half of the penalty method's, a quarter of random search's."""
    medians = {method: median(LIMITS[method] + 1 if n is None else n for n in ns) for method, ns in found.items()}
    mine = medians["bayesian"]
    return {
        "medians": medians,
        "found_within_40": sum(n is not None and n <= EVALUATIONS for n in found["bayesian"]),
        "of_penalty": mine / medians["penalty"],
        "of_random": mine / medians["random"],
    }


def note(file: Path, table: Table, found: dict[str, list[int | None]]) -> None:
    """Add what was found on a table to the file of results; other tables' and methods' results stay."""
    spent = overhead(table)
    report = dict(load_json(file, "file of results")) if file.exists() else {}
    rows = report.setdefault("evaluations_to_2_percent", {})
    rows[table.name] = {**rows.get(table.name, {}), **found}
    report.setdefault("tables", {})[table.name] = table.story()
    report.setdefault("overhead_seconds_100", {})[table.name] = spent
    if set(rows[table.name]) == set(METHODS):
        report.setdefault("verdict", {})[table.name] = verdict(rows[table.name])
    write_json(file, report)
    print(table.name, rows[table.name], report.get("verdict", {}).get(table.name), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables", nargs="+", choices=list(SPACES), default=[n for n in SPACES if table_file(n).exists()]
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("build/bench/search.json"))
    given = parser.parse_args()
    with Progress() as progress:
        for name in given.tables:
            table, found = Table(name), dict[str, list[int | None]]()
            for method in given.methods:
                task = progress.add_task(f"{name}: {method}", total=SEEDS)
                found[method] = []
                for seed in range(SEEDS):
                    found[method].append(evaluations(table, method, seed))
                    progress.advance(task)
            note(given.out, table, found)
    print(given.out)


if __name__ == "__main__":
    main()
