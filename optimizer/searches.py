"""What `hardpoint search` does: a question from options, the search, the found design validated and emitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.optimizer.campaigns import weights_from
from hardpoint.optimizer.dimensions import SPACE, space_from
from hardpoint.optimizer.flow import Task, check_device, load_data
from hardpoint.optimizer.goal import Goal, Objective
from hardpoint.optimizer.prices import check_source, prices_from
from hardpoint.optimizer.problem import Problem, Wish, pose
from hardpoint.optimizer.search import INITIAL
from hardpoint.optimizer.study import Study
from hardpoint.optimizer.validation import rebuild, validate
from hardpoint.optimizer.verdict import Verdict

__all__ = ["Request", "search_on"]

Lines = list[str]


@dataclass(frozen=True)
class Request:
    """The options of `hardpoint search`."""

    study: Path
    data: str = "digits"
    model: str = "digits-cnn"
    evaluations: int = 24
    seed: int = 1
    minimise: Sequence[str] = ("lut",)
    ber: float | None = None
    accuracy: float | None = None
    drop: float = 0.01
    critical: float | None = None
    clean: float | None = None
    throughput: float | None = None
    slowdown: float | None = 1.1
    board: str = "pynq-z2"
    fit: float = 1.0
    weights: Sequence[str] = ()
    confidence: float = 0.95
    lists: int = 64
    images: int | None = None
    space: Path | None = None
    cost: str = "table"
    reports: Path | None = None
    device: str = "emulator"
    jobs: int = 1
    scheduler: str | None = None
    batch: int | None = None
    warm: Path | None = None
    validate: bool = True
    out: Path | None = None
    wish: Wish = field(init=False)

    def __post_init__(self) -> None:
        from hardpoint.hls.boards import board

        check_device(self.device)
        check_source(self.cost, self.reports)
        board(self.board)
        if self.device == "zynq":
            raise InputError("a bitstream holds one array, a search tries many: search on the emulator, csim or rtl, and validate on the board")
        if self.evaluations < 1 or self.jobs < 1 or (self.batch is not None and self.batch < 1):
            raise InputError(f"evaluations, jobs and batch are at least 1, not {self.evaluations}, {self.jobs} and {self.batch}")
        if self.warm is not None and not self.warm.is_file():
            raise InputError(f"there is no study {self.warm} to start from")
        goal = Goal(
            tuple(Objective.parse(text) for text in self.minimise), self.board, self.fit, self.throughput, self.clean,
            self.critical, self.confidence, tuple(sorted(weights_from(self.weights).items())),
        )  # fmt: skip
        wish = Wish(
            goal, SPACE if self.space is None else space_from(self.space), self.ber, self.accuracy, self.drop, self.slowdown,
            self.images, self.lists, self.device,
        )  # fmt: skip
        object.__setattr__(self, "wish", wish)


def search_on(request: Request, task: Task) -> tuple[dict[str, Any], Lines]:
    """Search as asked; the answer as a table for machines and lines for people. `value["verdict"]` says found or infeasible."""
    data = load_data(request.data)
    problem = pose(data, request.model, request.seed, request.study.parent, task, request.wish)
    reference = problem.networks[problem.reference].network
    prices = prices_from(request.cost, request.study.parent / "builds", reference, request.reports)
    warm = warm_from(request.warm, problem) if request.warm is not None else []
    if request.study.exists():
        warm = [Settings.restore(table) for table in Study(request.study).problem.get("warm", [])] if warm else []
    study = Study(request.study, {"data": request.data, "model": request.model, **problem.asked(prices, warm)})
    study.keep("networks", problem.names)
    hunt = problem.hunt(study, prices, warm)
    verdict = hunt.run(request.evaluations, request.jobs, request.scheduler, request.batch, task("search", request.evaluations))
    study.keep("verdict", verdict.table())
    value = {**verdict.table(), "ber": problem.ber, "target": problem.target, "evaluated": len(study.points), "study": str(request.study)}
    if verdict.found is None:
        return value, [verdict.says, f"study: {request.study}"]
    lines = _said(verdict, request)
    network, array = rebuild(Study(request.study), verdict.found)
    if request.out is not None:
        from hardpoint.hls.emit import write_project

        write_project(network, array, request.out)
        value["project"] = str(request.out)
        lines.append(f"emitted project, rebuilt from the study: {request.out}")
    if request.validate:
        test = np.asarray(data.test.x, np.int64), data.test.y
        tell = task("validation", 6)
        checked = validate(problem, hunt.evaluator, verdict.found, *test, request.jobs, request.scheduler, tell)
        study.keep("validation", checked)
        value["validation"] = checked
        lines += validation_lines(checked)
    return value, lines


def warm_from(path: Path, problem: Problem) -> list[Settings]:
    """Designs of an earlier study to begin with: its feasible ones by cost, then those that came closest."""

    def order(point: DesignPoint) -> tuple[bool, float, float]:
        cost = problem.wish.goal.minimise[0].of_cost(point.cost) if problem.wish.goal.minimise[0].weights else math.inf
        return not point.feasible, cost if point.feasible else 0.0, -min(point.margins.values(), default=-math.inf)

    points = [point for point in Study(path).points if point.stage != "failed"]
    return [point.settings for point in sorted(points, key=order)[:INITIAL]]


def _said(verdict: Verdict, request: Request) -> Lines:
    lines = []
    for point in verdict.front if len(request.wish.goal.minimise) == 2 else verdict.front[:1]:
        cost = point.cost
        luts = "" if cost is None or cost.lut is None else f"{cost.lut:,.0f} LUTs ({cost.source}); "
        lines.append(f"found: {point.settings}")
        lines.append(f"  {luts}{point.reason}")
    if verdict.found is not None and verdict.complete:
        lines.append("  all that could be better in the space was evaluated, and none of it was shown to hold")
    return [*lines, f"study: {request.study}"]


def validation_lines(checked: dict[str, Any]) -> Lines:
    """A validation for people."""
    lists, verdict = checked["lists"], "holds" if checked["holds"] else "is not shown to hold"
    lines = [
        f"validation: {lists} fault lists of seed {checked['seed']} over {checked['images']} test images at BER {checked['ber']:g}",
        f"accuracy of at least {checked['target']:.4f} under faults {verdict}",
        f"{'':24}{'LUT':>9}{'fault-free':>12}  accuracy under faults",
    ]
    for row in checked["designs"]:
        lut = (row["cost"] or {}).get("lut")
        low, mean, high = row["accuracy"]
        shown = "" if lut is None else f"{lut:,.0f}"
        lines.append(f"{row['name']:24}{shown:>9}{row['clean']:12.4f}  {mean:.4f} [{low:.4f}, {high:.4f}]")
    return lines

