"""A cross-layer problem on real data: a network for every quantisation constraint, the operating BER, and the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.optimizer.evaluate import Candidate, Evaluator, accuracy_under, operating_ber
from hardpoint.optimizer.flow import Task, engine_on
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Point, Space
from hardpoint.optimizer.study import Study

__all__ = ["SPACE", "Problem", "accuracy_of", "array_cost", "pose", "search", "settings_of"]

SPACE = Space(
    {
        "q_scale": (7, 8, 9),
        "shape": ((8, 8), (4, 16), (16, 4)),
        "hardened": (0.25, 0.5, 0.75, 1.0),  # share of the array's columns
        "column": (0, 8, 10, 12, 13, 14, 15, 16, 17, 18, 20),
        "operand": (False, True),
        "drain": (False, True),
    }
)
UNPROTECTED = Settings()
FULL_TMR = Settings.all_columns(0, operand=True, drain=True)
SLOWDOWN = 1.1  # a design may take at most this many times the 8x8 array's steps
LOSS_LISTS = 12  # fault lists per accuracy while the operating BER is sought


def settings_of(point: Point) -> Settings:
    """A point of the space as settings."""
    q_scale, (rows, cols), share, column, operand, drain = point
    return Settings(q_scale, ib=column, rows=rows, cols=cols, hardened=round(share * cols), operand=operand, drain=drain)


@dataclass(frozen=True)
class Problem:
    """What a search decides: `networks` by q_scale, images that decide, the operating BER and the accuracy to keep.

    `ber` is where the unprotected 8x8 array loses `lost` (8 to 12 points) while full TMR loses `kept` (at most half a
    point); `target` is the best clean accuracy less one point; `equal` counts the logits that gate 1 found equal.
    """

    networks: Mapping[int, Candidate]
    x: NDArray[np.int64]
    labels: NDArray[np.int64]
    ber: float
    lost: float
    kept: float
    target: float
    seed: int
    equal: int

    @property
    def reference(self) -> int:
        """The loosest q_scale: the network as it would be without the constraint."""
        return min(self.networks)

    def evaluator(self) -> Evaluator:
        """Evaluates designs on the emulator, with costs from the shipped table."""

        def network(q_scale: int) -> Candidate:
            return self.networks[q_scale]

        def emulator(network: Network, array: Array) -> Any:
            return engine_on("emulator", network, array)

        return Evaluator(network, emulator, array_cost, self.x, self.labels, self.ber, self.target, self.seed)

    def asked(self) -> dict[str, Any]:
        """Everything that an evaluation depends on, to name the study."""
        digests = {str(q_scale): made.network.digest for q_scale, made in self.networks.items()}
        return {"networks": digests, "ber": self.ber, "target": self.target, "seed": self.seed, "images": len(self.x)}


def array_cost(array: Array) -> Cost:
    """What an array costs without injection taps, by the shipped table of synthesised parts."""
    from hardpoint.hls.cost import array_cost as price

    return price(array)


def accuracy_of(network: Network, x: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Fault-free accuracy."""
    return float((network(x).argmax(axis=1) == labels).mean())


def pose(data: Any, model: str, seed: int, folder: Path, task: Task) -> Problem:
    """Train a network for each q_scale of the space, prove it equal to its integers, and find the operating BER."""
    x, labels = np.asarray(data.validation.x, np.int64), data.validation.y
    networks, equal = _train(data, model, seed, folder, task)
    reference = networks[min(networks)]

    def loss(settings: Settings, ber: float) -> float:
        array = settings.array()
        engine = engine_on("emulator", reference.network, array)
        lists = range(LOSS_LISTS)
        under = [accuracy_under(engine, reference.network, array, x, labels, ber, seed, trial) for trial in lists]
        return reference.accuracy - float(np.mean(under))

    ber, lost, kept = operating_ber(loss, UNPROTECTED, FULL_TMR, progress=task("operating BER", 24))
    target = max(made.accuracy for made in networks.values()) - 0.01
    return Problem(networks, x, labels, ber, lost, kept, target, seed, equal)


def _train(data: Any, model: str, seed: int, folder: Path, task: Task) -> tuple[dict[int, Candidate], int]:
    """A network for each q_scale: trained, converted, proved equal and ranked."""
    from hardpoint.hls.frontend import conversion, gate1
    from hardpoint.training.models import architecture
    from hardpoint.training.ranking import default, rank
    from hardpoint.training.train import train

    scales = SPACE.dimensions["q_scale"]
    blocks = architecture(model, data.shape, data.classes)
    x, labels = np.asarray(data.validation.x, np.int64), data.validation.y
    done = task("training", len(scales))
    networks: dict[int, Candidate] = {}
    equal = 0
    for q_scale in scales:
        trained = train(blocks, data, q_scale=q_scale, seed=seed)
        trained.save(folder / f"{model}-q{q_scale}.h5")
        made = conversion(trained.model, data.format, q_scale=q_scale, name=f"{model}-q{q_scale}")
        network = made.network
        equal += gate1(trained.model, network, data.test.x)
        ranking = rank(default(network), network, x, data=data.name)
        networks[q_scale] = Candidate(network, ranking, accuracy_of(network, x, labels))
        done(len(networks))
    return networks, equal


def search(problem: Problem, study: Study, evaluations: int, task: Task) -> DesignPoint:
    """Evaluate designs until the budget is spent; a study that was stopped goes on where it was."""
    evaluator = problem.evaluator()
    network = problem.networks[problem.reference].network
    limit = SLOWDOWN * _steps(network, UNPROTECTED.array())
    fast = {shape for shape in SPACE.dimensions["shape"] if _steps(network, Array(*shape)) <= limit}
    space = Space(SPACE.dimensions, lambda point: point["shape"] in fast)
    optimiser = Search(space, 1, lambda point: float(_luts(array_cost(settings_of(point).array()))), seed=problem.seed)
    places = {settings_of(point): point for point in space.points}

    def tell(point: DesignPoint) -> None:
        optimiser.tell(places[point.settings], _luts(point.cost), [evaluator.margin(point)])

    done = task("search", evaluations)
    for point in study.points:
        tell(point)
    done(len(optimiser.told))
    while len(optimiser.told) < evaluations and not optimiser.exhausted:
        point = evaluator(settings_of(optimiser.ask()))
        study.append(point)
        tell(point)
        done(len(optimiser.told))
    feasible = [point for point in study.points if point.feasible]
    if not feasible:
        count = len(study.points)
        raise InputError(f"none of {count} designs keeps accuracy {problem.target:.4f} at BER {problem.ber:g}")
    return min(feasible, key=lambda point: _luts(point.cost))


def _luts(cost: Cost | None) -> float:
    return float("inf") if cost is None or cost.lut is None else cost.lut


def _steps(network: Network, array: Array) -> int:
    """Array steps per image."""
    tilings = [Tiling.of(network.gemm(i), array) for i in range(len(network.gemms))]
    return sum(tiling.tiles * tiling.period for tiling in tilings)
