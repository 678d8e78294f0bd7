"""Staged evaluation: cost first, then clean accuracy, then a campaign that stops as soon as the constraint is decided."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.host.campaign import Engine
from hardpoint.host.drawing import draw
from hardpoint.network import Network
from hardpoint.optimizer.sequential import Looks
from hardpoint.ranking import Ranking

__all__ = ["Candidate", "Evaluator", "operating_ber"]


@dataclass(frozen=True)
class Candidate:
    """A trained network with its ranking and its clean accuracy on the data that decides."""

    network: Network
    ranking: Ranking
    accuracy: float


@dataclass(frozen=True)
class Evaluator:
    """Evaluates settings: is the accuracy under faults at `ber` at least `target`, and what does the design cost?

    `candidates` gives the network trained for a q_scale, `engine` runs a network on an array, `cost` prices an array.
    `x` (codes) and `labels` are the data that decides. Fault list t of every design is drawn from (`seed`, trial t), so
    that designs share their draws. A campaign plays fault lists until the interval of one of the `looks` excludes the target.
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

    def deployed(self, settings: Settings) -> tuple[Network, Array]:
        """The network as the settings run it, and the array.

        Important neurons are listed for the recompute unit, important channels brought into hardened columns.
        """
        candidate = self.candidates(settings.q_scale)
        array, network = settings.array(**self.array_fields), candidate.network
        if settings.dot_size:
            chosen = candidate.ranking.important(settings.s_th, settings.s_policy)
            network = network.with_important(np.flatnonzero(mask).tolist() for mask in chosen)
        if 0 < settings.hardened < settings.cols:
            network = candidate.ranking.permute(network, array)
        return network, array

    def __call__(self, settings: Settings) -> DesignPoint:
        """Evaluate one design; bad settings are recorded as a failed point with the reason, not raised."""
        started = time.perf_counter()
        try:
            point = self._staged(settings)
        except InputError as error:
            point = DesignPoint(settings, "failed", False, str(error))
        seconds = round(time.perf_counter() - started, 3)
        return DesignPoint(**{**{k: getattr(point, k) for k in point.__dataclass_fields__}, "seconds": seconds})

    def _staged(self, settings: Settings) -> DesignPoint:
        array = settings.array(**self.array_fields)
        cost = self.cost(array)
        candidate = self.candidates(settings.q_scale)
        array.check(candidate.network)
        if candidate.accuracy < self.target:
            reason = f"clean accuracy {candidate.accuracy:.4f} is below the target {self.target:.4f}"
            return DesignPoint(settings, "clean", False, reason, cost, clean_accuracy=candidate.accuracy)
        low, mean, high, used, decided = self.campaign(settings)
        if low >= self.target:
            feasible, reason = True, f"accuracy is at least {low:.4f}"
        elif high < self.target:
            feasible, reason = False, f"accuracy is at most {high:.4f}, below {self.target:.4f}"
        else:
            feasible, reason = False, f"not decided in {used} fault lists: {low:.4f} to {high:.4f}"
        sample = {
            "fault_lists": used,
            "images": len(self.x),
            "seed": self.seed,
            "confidence": self.looks.confidence,
            "decided": decided,
        }
        return DesignPoint(
            settings, "faults", feasible, reason, cost, None, candidate.accuracy, self.ber, (low, mean, high), sample
        )

    def campaign(self, settings: Settings) -> tuple[float, float, float, int, bool]:
        """Accuracy under faults (low, mean, high), fault lists used, and whether the target was excluded from the interval."""
        network, array = self.deployed(settings)
        engine = self.engine(network, array)
        accuracies: list[float] = []
        low, high = 0.0, 1.0
        for look in self.looks.at:
            while len(accuracies) < look:
                trial = len(accuracies)
                accuracies.append(
                    accuracy_under(engine, network, array, self.x, self.labels, self.ber, self.seed, trial)
                )
            interval = self.looks.interval(accuracies, draws=len(self.x))
            low, high = interval.low, interval.high
            if low >= self.target or high < self.target:
                break
        decided = low >= self.target or high < self.target
        return low, float(np.mean(accuracies)), high, len(accuracies), decided

    def margin(self, point: DesignPoint) -> float:
        """How far a point is from its constraint, in points of accuracy: >= 0 if and only if it is feasible."""
        if point.stage == "clean" and point.clean_accuracy is not None:
            return point.clean_accuracy - self.target
        if point.accuracy is None:
            return -1.0
        distance = abs(point.accuracy[1] - self.target)
        return distance if point.feasible else -max(distance, 1e-4)


def accuracy_under(
    engine: Engine,
    network: Network,
    array: Array,
    x: NDArray[np.int64],
    labels: NDArray[np.int64],
    ber: float,
    seed: int,
    trial: int,
) -> float:
    """Accuracy on `x` under the fault list of (`seed`, `trial`) at `ber`."""
    faults = draw(array, network, len(x), ber, seed, trial)
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
