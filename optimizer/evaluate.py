"""Staged evaluation: cost first, then clean accuracy, then a campaign that stops as soon as the constraint is decided."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array, Guard
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.host.campaign import Engine, Job
from hardpoint.host.drawing import draw
from hardpoint.network import Network
from hardpoint.optimizer.estimate import Expectation, severity
from hardpoint.optimizer.goal import Goal, Objective
from hardpoint.optimizer.sequential import Looks
from hardpoint.ranking import Ranking
from hardpoint.statistics import Interval

__all__ = ["CONSTRAINTS", "Candidate", "Evaluator", "Tried", "accuracy_under", "operating_ber"]

CONSTRAINTS = ("board fit", "throughput", "clean accuracy", "accuracy under faults", "SDC-critical share")
"""What may have to hold, in the order in which it is looked at; a margin is >= 0 where it does."""


@dataclass(frozen=True)
class Candidate:
    """A trained network with its ranking and its clean accuracy on the data that decides."""

    network: Network
    ranking: Ranking
    accuracy: float
    _listed: dict[tuple[float, str], Network] = field(default_factory=dict, init=False, repr=False, compare=False)
    _expected: dict[Any, Expectation] = field(default_factory=dict, init=False, repr=False, compare=False)

    def listed(self, share: float, policy: str) -> Network:
        """The network with its most vulnerable neurons listed for a recompute unit (`Ranking.important`), if any."""
        if share == 0:
            return self.network
        if (share, policy) not in self._listed:
            chosen = self.ranking.important(share, policy)
            self._listed[share, policy] = self.network.with_important(np.flatnonzero(mask).tolist() for mask in chosen)
        return self._listed[share, policy]

    def expectation(self, share: float, policy: str, weights: tuple[tuple[str, float], ...]) -> Expectation:
        """What flips are expected to do to the network, listed so, with `weights` of site classes."""
        key = (share, policy, weights)
        if key not in self._expected:
            self._expected[key] = Expectation(self.listed(share, policy), self.ranking, dict(weights))
        return self._expected[key]


@dataclass(frozen=True)
class Tried:
    """What a campaign found: accuracy and, where it was looked at, the SDC-critical share, after `lists` fault lists."""

    accuracy: Interval
    critical: Interval | None
    lists: int
    mean: float

    @property
    def range(self) -> tuple[float, float, float]:
        """Accuracy as (low, mean, high)."""
        return self.accuracy.low, self.mean, self.accuracy.high


@dataclass(frozen=True)
class Evaluator:
    """Evaluates settings: what does the design cost, and does it hold what `goal` asks and accuracy `target` at `ber`?

    `candidates` gives the network trained for a q_scale, `engine` runs a network on an array, `cost` prices an array.
    `x` (codes) and `labels` are the data that decides. Fault list t of every design is drawn from (`seed`, trial t), so
    that designs share their draws. A campaign plays fault lists until the intervals of one of the `looks` decide, or, where
    what it measures is minimised, until one excludes the target or all are played.
    """

    candidates: Callable[[int], Candidate]
    engine: Callable[[Network, Array], Engine]
    cost: Callable[[Array], Cost]
    x: NDArray[np.int64]
    labels: NDArray[np.int64]
    ber: float
    target: float
    seed: int
    looks: Looks = field(default_factory=Looks)
    array_fields: Mapping[str, Any] = field(default_factory=dict)
    goal: Goal = field(default_factory=Goal)

    def deployed(self, settings: Settings) -> tuple[Network, Array]:
        """The network as the settings run it, and the array.

        Important neurons are listed for the recompute unit, important channels brought into hardened columns.
        """
        array, network = self.array(settings), self.listed(settings)
        if 0 < settings.hardened < settings.cols:
            network = self.candidates(settings.q_scale).ranking.permute(network, array)
        return network, array

    def listed(self, settings: Settings) -> Network:
        """The network with the neurons that a recompute unit computes again, its channels in their own order."""
        return self.candidates(settings.q_scale).listed(settings.s_th, settings.s_policy)

    def expected(self, settings: Settings) -> float | None:
        """Share of inferences that flips are expected to turn at the BER, to first order; it may exceed 1. None where the
        ranking does not say what flips do to columns."""
        candidate = self.candidates(settings.q_scale)
        if not candidate.ranking.bits:
            return None
        expectation = candidate.expectation(settings.s_th, settings.s_policy, self.goal.weights)
        return self.ber * expectation.critical(self.array(settings))

    def severity(self, settings: Settings) -> float:
        """The same on a logarithmic scale from 0 to 1 (`hardpoint.optimizer.estimate`), 0 where it is not known."""
        return severity(self.expected(settings) or 0.0)

    def array(self, settings: Settings) -> Array:
        """The array of the settings on the goal's board."""
        return settings.array(**{"board": self.goal.board, **self.array_fields})

    def __call__(self, settings: Settings) -> DesignPoint:
        """Evaluate one design; whatever goes wrong is recorded as a failed point with the reason, not raised."""
        started = time.perf_counter()
        try:
            point = self._staged(settings)
        except Exception as error:  # bad settings, a tool or a device that failed: one point must not end a search
            logging.getLogger(__name__).debug("%s failed", settings, exc_info=True)
            name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            point = DesignPoint(settings, "failed", False, name + " ".join(str(error).split()))
        reached = {str(one): self.objective(one, point) for one in self.goal.minimise}
        reached = {name: value for name, value in reached.items() if math.isfinite(value)}
        return dataclasses.replace(point, objectives=reached, seconds=round(time.perf_counter() - started, 3))

    def _staged(self, settings: Settings) -> DesignPoint:
        array = self.array(settings)
        cost = self.cost(array)
        margins: dict[str, float] = {}
        reasons: dict[str, str] = {}
        if self.goal.fit is not None:
            share, binding = self.share(cost, array)
            margins["board fit"] = self.goal.fit - share
            reasons["board fit"] = f"takes {100 * share:.1f} % of {array.board}'s {binding}, above {100 * self.goal.fit:g} %"
        candidate = self.candidates(settings.q_scale)
        array.check(candidate.network)
        network, _ = self.deployed(settings)
        cycles = self.cycles(network, array)
        if self.goal.throughput is not None:
            rate = self.rate(cycles, array.period_ns, cost)
            margins["throughput"] = math.log(rate / self.goal.throughput)
            reasons["throughput"] = f"computes {rate:,.0f} images per second, below {self.goal.throughput:,.0f}"
        point = DesignPoint(settings, "cost", False, "", cost, cycles, margins=margins)
        if failed := _first(margins):
            return dataclasses.replace(point, reason=reasons[failed])
        clean = candidate.accuracy - max(self.target, self.goal.clean or 0.0)
        point = dataclasses.replace(point, clean_accuracy=candidate.accuracy, margins={**margins, "clean accuracy": clean})
        if clean < 0:
            need = f"below the target {max(self.target, self.goal.clean or 0.0):.4f}"
            return dataclasses.replace(point, stage="clean", reason=f"clean accuracy {candidate.accuracy:.4f} is {need}")
        return self._judged(point, self.campaign(settings), network, array)

    def share(self, cost: Cost, array: Array) -> tuple[float, str]:
        """The share that a design takes of its board's scarcest resource, and that resource. The cost of an array alone is
        taken with the memories of its shell."""
        from hardpoint.hls.boards import board, fit

        if cost.source == "yosys":
            unguarded = None if array.recompute is None else dataclasses.replace(array.recompute, guard=Guard())
            plain = dataclasses.replace(array, guards=(Guard(),), classes=(), recompute=unguarded, policy="direct", headroom=0)
            cost = dataclasses.replace(cost, source="estimate") + _shell(plain)
        found = fit(cost, board(array.board))
        return found.share, found.binding

    def cycles(self, network: Network, array: Array) -> int:
        """Cycles per image where transfers are hidden."""
        from hardpoint.hls.timing import timing

        return timing(network, array).least

    def rate(self, cycles: int, clock_ns: float, cost: Cost | None = None) -> float:
        """Images per second; a cost with a longer period than the array's clock sets the pace."""
        period = 0.0 if cost is None or cost.period_ns is None else cost.period_ns
        return 1e9 / (cycles * max(clock_ns, period))

    def objective(self, one: Objective, point: DesignPoint) -> float:
        """What `point` has of an objective; infinite where it is not known."""
        if one.weights:
            return one.of_cost(point.cost)
        if one.name == "share":
            return math.inf if point.cost is None else self.share(point.cost, self.array(point.settings))[0]
        if one.name == "cycles":
            return math.inf if point.cycles is None else float(point.cycles)
        if one.name == "critical":
            return math.inf if point.critical is None else max(point.critical[1], 1e-5)
        if point.accuracy is None or point.clean_accuracy is None:
            return math.inf
        return max(point.clean_accuracy - point.accuracy[1], 1e-5)

    def campaign(self, settings: Settings) -> Tried:
        """Play fault lists until what is asked is decided."""
        network, array = self.deployed(settings)
        engine = self.engine(network, array)
        judge = self.goal.critical is not None or any(one.name == "critical" for one in self.goal.minimise)
        job = Job(engine, self.x, self.labels, self.seed, dict(self.goal.weights)) if judge or hasattr(engine, "play") else None
        accuracies: list[float] = []
        criticals: list[float] = []
        tried = Tried(Interval(0.5, 0.0, 1.0, self.looks.confidence, 0, ""), None, 0, 0.5)
        for look in self.looks.at:
            while (trial := len(accuracies)) < look:
                if job is None:
                    accuracies.append(
                        accuracy_under(
                            engine, network, array, self.x, self.labels, self.ber, self.seed, trial, dict(self.goal.weights)
                        )
                    )
                else:
                    counts = job.trial(self.ber, trial)
                    accuracies.append(counts.correct / counts.images)
                    criticals.append(counts.critical / counts.images)
            among = 1 + (judge and self.goal.critical is not None)
            accuracy = self.looks.interval(accuracies, len(self.x), among)
            critical = self.looks.interval(criticals, len(self.x), among) if judge else None
            tried = Tried(accuracy, critical, look, float(np.mean(accuracies)))
            if self._excluded(tried) or (self._decided(tried) and not self.goal.whole):
                break
        return tried

    def _excluded(self, tried: Tried) -> bool:
        """Whether a constraint is known to fail."""
        limit = self.goal.critical
        return tried.accuracy.high < self.target or (limit is not None and tried.critical is not None and tried.critical.low > limit)

    def _decided(self, tried: Tried) -> bool:
        """Whether each constraint is known to hold or to fail, or one to fail."""
        limit = self.goal.critical
        holds = tried.accuracy.low >= self.target and (limit is None or (tried.critical is not None and tried.critical.high <= limit))
        return holds or self._excluded(tried)

    def _judged(self, point: DesignPoint, tried: Tried, network: Network, array: Array) -> DesignPoint:
        """The point with what its campaign found."""
        accuracy, critical, limit = tried.accuracy, tried.critical, self.goal.critical
        if accuracy.low >= self.target:
            holds, reason = True, f"accuracy is at least {accuracy.low:.4f}"
        elif accuracy.high < self.target:
            holds, reason = False, f"accuracy is at most {accuracy.high:.4f}, below {self.target:.4f}"
        else:
            holds, reason = False, f"not decided in {tried.lists} fault lists: {accuracy.low:.4f} to {accuracy.high:.4f}"
        distance = abs(tried.mean - self.target)
        margins = {**point.margins, "accuracy under faults": distance if holds else -max(distance, 1e-4)}
        if limit is not None and critical is not None:
            few = critical.high <= limit
            said = f"SDC-critical share is at most {critical.high:.4f}" if few else f"SDC-critical share is {critical.low:.4f} to {critical.high:.4f}, not at most {limit:g}"
            reason = f"{reason}; {said}" if holds else reason
            gap = abs(critical.mean - limit)
            margins["SDC-critical share"] = gap if few else -max(gap, 1e-4)
            holds = holds and few
        sample = {
            "fault_lists": tried.lists, "images": len(self.x), "seed": self.seed, "confidence": self.looks.confidence,
            "decided": self._decided(tried), "network": network.digest, "array": array.digest,
        }  # fmt: skip
        return dataclasses.replace(
            point, stage="faults", feasible=holds, reason=reason, ber=self.ber, accuracy=tried.range, sample=sample,
            critical=None if critical is None else (critical.low, critical.mean, critical.high), margins=margins,
            expected=self.expected(point.settings),
        )  # fmt: skip

    def margin(self, point: DesignPoint) -> float:
        """How far a point is from its constraints, the least margin deciding: >= 0 if and only if it is feasible."""
        if not point.margins:
            return -1.0
        return max(0.0, min(point.margins.values())) if point.feasible else min(-1e-4, *point.margins.values())


@lru_cache(1024)
def _shell(array: Array) -> Cost:
    """The memories of an array's shell, which do not depend on its guards."""
    from hardpoint.hls.buffers import shell_cost

    return shell_cost(array)


def _first(margins: Mapping[str, float]) -> str | None:
    """The first constraint that fails."""
    return next((name for name in CONSTRAINTS if margins.get(name, 0.0) < 0), None)


def accuracy_under(
    engine: Engine,
    network: Network,
    array: Array,
    x: NDArray[np.int64],
    labels: NDArray[np.int64],
    ber: float,
    seed: int,
    trial: int,
    weights: Mapping[str, float] | None = None,
) -> float:
    """Accuracy on `x` under the fault list of (`seed`, `trial`) at `ber`, times `weights` of site classes."""
    faults = draw(array, network, len(x), ber, seed, trial, weights)
    return float((engine.run(x, faults).argmax(axis=1) == labels).mean())


def operating_ber(
    loss: Callable[[Settings, float], float],
    unprotected: Settings,
    full_tmr: Settings,
    low: float = 1e-8,
    high: float = 1e-2,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[float, float, float]:
    """BER at which the unprotected array loses 8 to 12 points while full TMR loses at most half a point.

    `loss(settings, ber)` is the accuracy lost, 0 to 1. Bisection on log BER; returns (BER, loss of the unprotected
    array, loss of full TMR), or raises an InputError where no such BER exists.

    >>> from hardpoint.design import Settings
    >>> tmr = Settings.all_columns(0, operand=True, drain=True)
    >>> ber, lost, kept = operating_ber(lambda s, ber: min(1.0, ber * (1e4 if s.nb is None else 1.0)), Settings(), tmr)
    >>> 0.08 <= lost <= 0.12, kept < 0.005
    (True, True)
    """
    a, b = math.log(low), math.log(high)
    for step in range(24):
        ber = math.exp((a + b) / 2)
        ber = float(f"{ber:.2e}")  # a figure that can be written down
        lost = loss(unprotected, ber)
        progress(step + 1)
        if 0.08 <= lost <= 0.12:
            kept = loss(full_tmr, ber)
            if kept > 0.005:
                raise InputError(
                    f"at BER {ber:g}, where the unprotected array loses {lost:.3f}, full TMR loses {kept:.4f}, above 0.005"
                )
            return ber, lost, kept
        a, b = (a, math.log(ber)) if lost > 0.1 else (math.log(ber), b)
    raise InputError(f"no BER from {low:g} to {high:g} costs the unprotected array 8 to 12 points of accuracy")
