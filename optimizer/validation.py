"""The found design, rebuilt from its record alone and measured again: fresh faults, more of them, images that decided nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.network import Network
from hardpoint.optimizer.evaluate import Candidate, Evaluator
from hardpoint.optimizer.problem import Problem, accuracy_of, array_cost, kept
from hardpoint.optimizer.study import Study

__all__ = ["Check", "layers", "rebuild", "validate"]

LEAST = 20
"""Fault lists of a validation, at least; else twice as many as the search took for the point."""


def rebuild(study: Study, point: DesignPoint) -> tuple[Network, Array]:
    """Network and array of an evaluated point, from the study's file and the networks kept beside it alone.

    InputError where they are not those that were evaluated.
    """
    problem, names = study.problem, study.results.get("networks", {})
    q_scale = str(point.settings.q_scale)
    if q_scale not in names:
        raise InputError(f"{study.path} names no network for q_scale {q_scale}")
    found = kept(study.path.parent / names[q_scale])
    if found is None or found[0].digest != problem["networks"][q_scale]:
        raise InputError(f"{study.path.parent / names[q_scale]}.npz is not the network that was searched with")
    goal = dict(problem["goal"])
    made = Evaluator(
        lambda _: Candidate(found[0], found[1], 0.0), _no_engine, array_cost, np.zeros(0, np.int64), np.zeros(0, np.int64),
        problem["ber"], problem["target"], problem["seed"], array_fields={"board": goal["board"]},
    ).deployed(point.settings)  # fmt: skip
    for name, digest in zip(("network", "array"), (made[0].digest, made[1].digest), strict=True):
        if point.sample.get(name) not in (None, digest):
            raise InputError(f"the {name} rebuilt from {study.path} has digest {digest}, not {point.sample[name]} as evaluated")
    return made


def _no_engine(network: Network, array: Array) -> Any:
    raise AssertionError("a design is rebuilt without running it")


def layers(found: Settings, reference: int) -> dict[str, Settings]:
    """What each layer contributes is seen by taking its settings back: designs by what they lack.

    Algorithm: the network of `reference`, the loosest q_scale. Architecture: no recompute unit, all columns guarded like the
    important ones. Circuit: full TMR with operand and drain guards wherever something is guarded, multipliers of LUTs. And
    both ends: nothing guarded, and everything.

    >>> for name, settings in layers(Settings(q_scale=9, ib=14, hardened=4, drain=True), 0).items():
    ...     print(f"{name}: {settings}")
    found design: 8x8 os, q_scale 9, 4 columns guarded 14+drain, others unprotected
    without algorithm: 8x8 os, q_scale 0, 4 columns guarded 14+drain, others unprotected
    without architecture: 8x8 os, q_scale 9, all columns guarded 14+drain
    without circuit: 8x8 os, q_scale 9, 4 columns guarded 0+operand+drain, others unprotected
    unprotected: 8x8 os, q_scale 0, unprotected
    full TMR: 8x8 os, q_scale 0, all columns guarded 0+operand+drain
    """
    columns = [column for column in (found.ib, found.nb) if column is not None]
    guard = min(columns, default=None)
    flags: dict[str, Any] = {"operand": found.operand and guard is not None, "drain": found.drain and guard is not None}
    alike = dataclasses.replace(found, hardened=0, ib=None, nb=guard, dot_size=0, s_th=0.0, s_policy="layer", reuse=True, **flags)
    drain = found.dataflow == "os" or found.dot_size > 0
    tmr = dataclasses.replace(
        found, ib=None if found.ib is None else 0, nb=None if found.nb is None else 0, kind="columns", dsp=False,
        operand=bool(columns), drain=bool(columns) and drain, policy="direct", headroom=0,
    )  # fmt: skip
    bare: dict[str, Any] = {"rows": found.rows, "cols": found.cols, "q_scale": reference, "dataflow": found.dataflow}
    return {
        "found design": found,
        "without algorithm": dataclasses.replace(found, q_scale=reference),
        "without architecture": alike,
        "without circuit": tmr,
        "unprotected": Settings.all_columns(None, **bare),
        "full TMR": Settings.all_columns(0, operand=True, drain=found.dataflow == "os", **bare),
    }


@dataclass(frozen=True)
class Check:
    """One design measured anew: accuracy and SDC-critical share under faults as (low, mean, high), fault-free accuracy."""

    name: str
    settings: Settings
    cost: Cost | None
    clean: float
    accuracy: tuple[float, float, float]
    critical: tuple[float, float, float]

    def table(self) -> dict[str, Any]:
        """The same as plain values."""
        cost = None if self.cost is None else self.cost.table()
        return {**dataclasses.asdict(self), "settings": self.settings.table(), "cost": cost}


def validate(
    problem: Problem, evaluator: Evaluator, found: DesignPoint, x: NDArray[np.int64], labels: NDArray[np.int64],
    jobs: int = 1, scheduler: str | None = None, tell: Callable[[int], None] = lambda done: None, names: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Measure the found design, and it without each of its layers, on images `x` with a seed of their own.

    On the device of the problem the found design; the others on the emulator. `names` restricts the designs.
    """
    from hardpoint.host.campaign import run_campaign
    from hardpoint.optimizer.flow import engine_on

    lists = max(LEAST, 2 * int(found.sample.get("fault_lists", 0)))
    seed = problem.seed + 1
    checks: list[Check] = []
    measured: dict[Settings, Check] = {}
    designs = layers(found.settings, problem.reference)
    for name, settings in designs.items():
        if names and name not in names:
            continue
        if settings not in measured:
            network, array = evaluator.deployed(settings)
            engine = evaluator.engine(network, array) if settings == found.settings else engine_on("emulator", network, array)
            shared = jobs if problem.wish.device == "emulator" else 1
            rows = run_campaign(
                engine, x, labels, [problem.ber], lists, seed, weights=dict(problem.wish.goal.weights), jobs=shared,
                scheduler=scheduler if problem.wish.device == "emulator" else None,
            ).rows  # fmt: skip
            accuracy, critical = rows[0].accuracy, rows[0].critical
            measured[settings] = Check(
                name, settings, found.cost if settings == found.settings else _cost(evaluator, array, found.cost),
                accuracy_of(network, x, labels), (accuracy.low, accuracy.mean, accuracy.high),
                (critical.low, critical.mean, critical.high),
            )  # fmt: skip
        checks.append(dataclasses.replace(measured[settings], name=name))
        tell(len(checks))
    wish = problem.wish
    best = max(accuracy_of(made.network, x, labels) for made in problem.networks.values())
    target = best - wish.drop if wish.accuracy is None else wish.accuracy
    return {
        "seed": seed, "lists": lists, "images": len(x), "ber": problem.ber, "target": target,
        "holds": checks[0].accuracy[0] >= target, "designs": [check.table() for check in checks],
    }  # fmt: skip


def _cost(evaluator: Evaluator, array: Array, like: Cost | None) -> Cost | None:
    """The cost of a design beside the found one, by the same source; None where that takes the vendor's tools."""
    if like is None or like.source != "yosys":
        return None
    try:
        return array_cost(array)
    except InputError:
        return None
