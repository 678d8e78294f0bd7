"""A cross-layer problem on real data: a network for every quantisation constraint, the operating BER, and what is asked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint import __version__
from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import Settings
from hardpoint.errors import InputError
from hardpoint.files import digest, load_json, only_keys, write_json
from hardpoint.network import Network
from hardpoint.optimizer.dimensions import SPACE
from hardpoint.optimizer.evaluate import Candidate, Evaluator, accuracy_under, operating_ber
from hardpoint.optimizer.flow import Task, engine_on
from hardpoint.optimizer.goal import Goal
from hardpoint.optimizer.loop import Hunt
from hardpoint.optimizer.prices import Prices, Table
from hardpoint.optimizer.sequential import Looks
from hardpoint.optimizer.space import Space
from hardpoint.optimizer.study import Study
from hardpoint.ranking import Ranking

__all__ = ["EVALUATION", "FULL_TMR", "UNPROTECTED", "Problem", "Wish", "accuracy_of", "array_cost", "kept", "pose", "recipe_of"]

EVALUATION = 2
"""What an evaluation is; another number where the same settings come to be deployed or measured otherwise."""
UNPROTECTED = Settings()
FULL_TMR = Settings.all_columns(0, operand=True, drain=True)
LOSS_LISTS = 12  # fault lists per accuracy while the operating BER is sought
BOUND = 0.05  # share of outputs beyond their bound before training, in networks with a quantisation constraint
BOUNDS = {"mnist": 0.1}  # of data sets that can do with less range


@dataclass(frozen=True)
class Wish:
    """What is asked besides data and model: `goal`, and under faults an `accuracy` (else the best clean accuracy less `drop`)
    at `ber` (else the operating BER). Where the goal states no throughput, a design takes at most `slowdown` times the
    cycles of the unprotected 8x8 array. `images` validation images decide, all of them where None, on up to `lists` fault
    lists.
    """

    goal: Goal = field(default_factory=Goal)
    space: Space = SPACE
    ber: float | None = None
    accuracy: float | None = None
    drop: float = 0.01
    slowdown: float | None = None
    images: int | None = None
    lists: int = 64
    device: str = "emulator"

    def __post_init__(self) -> None:
        if self.ber is not None and not 0 < self.ber < 1:
            raise InputError(f"a BER lies between 0 and 1, not {self.ber:g}")
        if self.accuracy is not None and not 0 < self.accuracy <= 1:
            raise InputError(f"an accuracy to keep lies above 0, up to 1, not {self.accuracy:g}")
        if not 0 <= self.drop < 1:
            raise InputError(f"a drop of accuracy is 0 to 1, not {self.drop:g}")
        if self.slowdown is not None and not self.slowdown > 0:
            raise InputError(f"a slowdown is a positive factor, not {self.slowdown:g}")
        if self.lists < 4:
            raise InputError(f"a campaign needs at least 4 fault lists for an interval, not {self.lists}")


@dataclass(frozen=True)
class Problem:
    """What a search decides: `networks` by q_scale, images that decide, the BER and the accuracy `target` to keep there.

    Where the BER was sought, the unprotected 8x8 array loses `lost` (8 to 12 points) there while full TMR loses `kept` (at
    most half a point). `equal` counts the logits that gate 1 found equal when networks were trained. `names` are those under
    which `folder` keeps the networks, by q_scale.
    """

    networks: Mapping[int, Candidate]
    x: NDArray[np.int64]
    labels: NDArray[np.int64]
    ber: float
    lost: float | None
    kept: float | None
    target: float
    seed: int
    equal: int
    wish: Wish = field(default_factory=Wish)
    folder: Path = Path("build")
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> int:
        """The loosest q_scale: the network as it would be without the constraint."""
        return min(self.networks)

    def evaluator(self, prices: Prices | None = None) -> Evaluator:
        """Evaluates designs on the wish's device, with costs from `prices` (the shipped table)."""
        engine = functools.partial(engine_on, self.wish.device, build=self.folder / "devices")
        looks = Looks(min(4, self.wish.lists), self.wish.lists, self.wish.goal.confidence)
        cost = array_cost if prices is None else prices.measured
        candidates = functools.partial(_candidate, dict(self.networks))
        return Evaluator(
            candidates, engine, cost, self.x, self.labels, self.ber, self.target, self.seed, looks, goal=self.wish.goal
        )  # fmt: skip

    def hunt(self, study: Study, prices: Prices | None = None, warm: Sequence[Settings] = ()) -> Hunt:
        """The search of this problem, logged in `study`."""
        prices = Table() if prices is None else prices
        return Hunt(self.wish.space, self.evaluator(prices), prices, study, self.seed, warm)

    def asked(self, prices: Prices | None = None, warm: Sequence[Settings] = ()) -> dict[str, Any]:
        """Everything that evaluations and proposals depend on, to name the study."""
        digests = {str(q_scale): made.network.digest for q_scale, made in self.networks.items()}
        return {
            "evaluation": EVALUATION,
            "networks": digests,
            "ber": self.ber,
            "target": self.target,
            "seed": self.seed,
            "images": len(self.x),
            "lists": self.wish.lists,
            "goal": self.wish.goal.table(),
            "space": {name: list(values) for name, values in self.wish.space.dimensions.items()},
            "device": self.wish.device,
            "cost": "table" if prices is None else prices.source,
            "warm": [settings.table() for settings in warm],
        }


def _candidate(networks: Mapping[int, Candidate], q_scale: int) -> Candidate:
    if q_scale not in networks:
        raise InputError(f"networks were trained for q_scale {', '.join(map(str, networks))}, not for {q_scale}")
    return networks[q_scale]


def array_cost(array: Array) -> Cost:
    """What an array costs without injection taps, by Yosys' synthesis of its parts."""
    from hardpoint.hls.cost import array_cost as price

    return price(array)


def accuracy_of(network: Network, x: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Fault-free accuracy."""
    return float((network(x).argmax(axis=1) == labels).mean())


def recipe_of(data: str, q_scale: int) -> Any:
    """How a network of a search is trained: where it is constrained, with bounded outputs and twice the quantised epochs."""
    from hardpoint.training.train import RECIPES, Recipe

    usual = RECIPES.get(data, Recipe())
    return dataclasses.replace(usual, bound=BOUNDS.get(data, BOUND), epochs=2 * usual.epochs) if q_scale else usual


def pose(data: Any, model: str, seed: int, folder: Path, task: Task, wish: Wish | None = None) -> Problem:
    """Train a network for each q_scale of the space, prove it equal to its integers, and find the operating BER.

    Constrained networks have bounded outputs as well; q_scale 0 is the network as it is.

    Networks, rankings and the BER are kept in `folder` by all that they depend on, and are not made twice.
    """
    wish = wish or Wish()
    x, labels = np.asarray(data.validation.x, np.int64), data.validation.y
    networks, names, equal = _networks(data, model, seed, folder, task, wish.space.dimensions["q_scale"])
    if wish.images is not None and wish.images < len(x):
        x, labels = x[: wish.images], labels[: wish.images]
        networks = {
            q: Candidate(made.network, made.ranking, accuracy_of(made.network, x, labels)) for q, made in networks.items()
        }  # fmt: skip
    reference = networks[min(networks)]
    lost, kept = None, None
    if wish.ber is None:
        ber, lost, kept = _operating(reference, x, labels, seed, dict(wish.goal.weights), folder, task)
    else:
        ber = wish.ber
    target = max(made.accuracy for made in networks.values()) - wish.drop if wish.accuracy is None else wish.accuracy
    if wish.goal.throughput is None and wish.slowdown is not None:
        from hardpoint.hls.timing import timing

        least = timing(reference.network, UNPROTECTED.array()).images_per_second / wish.slowdown
        wish = dataclasses.replace(wish, goal=dataclasses.replace(wish.goal, throughput=least))
    return Problem(networks, x, labels, ber, lost, kept, target, seed, equal, wish, folder, names)


def _operating(
    reference: Candidate, x: NDArray[np.int64], labels: NDArray[np.int64], seed: int, weights: dict[str, float],
    folder: Path, task: Task,
) -> tuple[float, float, float]:  # fmt: skip
    """The operating BER with what the unprotected array and full TMR lose there."""
    key = digest(reference.network.digest, x, labels, str(seed), repr(sorted(weights.items())), __version__)
    kept = folder / f"operating-{key}.json"
    if kept.is_file():
        table = only_keys(load_json(kept, "operating BER"), {"ber", "unprotected_loses", "full_tmr_loses"}, "operating BER")
        return float(table["ber"]), float(table["unprotected_loses"]), float(table["full_tmr_loses"])

    def loss(settings: Settings, ber: float) -> float:
        array = settings.array()
        engine = engine_on("emulator", reference.network, array)
        lists = range(LOSS_LISTS)
        under = [accuracy_under(engine, reference.network, array, x, labels, ber, seed, trial, weights) for trial in lists]
        return reference.accuracy - float(np.mean(under))

    found = operating_ber(loss, UNPROTECTED, FULL_TMR, progress=task("operating BER", 24))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(kept, dict(zip(("ber", "unprotected_loses", "full_tmr_loses"), found, strict=True)))
    return found


def _networks(
    data: Any, model: str, seed: int, folder: Path, task: Task, scales: Sequence[int]
) -> tuple[dict[int, Candidate], dict[str, str], int]:
    """A network for each q_scale: trained, converted, proved equal and ranked, or as an earlier run kept it."""
    x, labels = np.asarray(data.validation.x, np.int64), data.validation.y
    given = digest(data.train.x, data.train.y, x, labels, data.test.x, str(data.format), model, str(seed), __version__)
    done = task("training", len(scales))
    networks: dict[int, Candidate] = {}
    names: dict[str, str] = {}
    equal = 0
    for q_scale in scales:
        name = folder / f"{model}-q{q_scale}-{digest(given, repr(recipe_of(data.name, q_scale)))}"
        names[str(q_scale)] = name.name
        network, ranking, compared = kept(name) or _trained(data, model, q_scale, seed, name, x)
        equal += compared
        networks[q_scale] = Candidate(network, ranking, accuracy_of(network, x, labels))
        done(len(networks))
    return networks, names, equal


def kept(name: Path) -> tuple[Network, Ranking, int] | None:
    """What an earlier run kept under `name`."""
    record = name.with_suffix(".json")
    if not record.is_file():
        return None
    table = only_keys(load_json(record, "trained network"), {"network", "equal"}, "trained network")
    network = Network.load(name.with_suffix(".npz"))
    if network.digest != table["network"]:
        raise InputError(f"{name.with_suffix('.npz')} is not the network of {record}: its digest is {network.digest}")
    return network, Ranking.load(name.with_suffix(".ranking.npz")), int(table["equal"])


def _trained(data: Any, model: str, q_scale: int, seed: int, name: Path, x: NDArray[np.int64]) -> tuple[Network, Ranking, int]:
    """A network trained, converted, proved equal and ranked, and kept under `name`."""
    from hardpoint.hls.frontend import conversion, gate1
    from hardpoint.training.models import architecture
    from hardpoint.training.ranking import default, rank
    from hardpoint.training.train import train

    recipe = recipe_of(data.name, q_scale)
    trained = train(architecture(model, data.shape, data.classes), data, q_scale=q_scale, seed=seed, recipe=recipe)
    name.parent.mkdir(parents=True, exist_ok=True)
    trained.save(name.with_suffix(".h5"))
    network = conversion(trained.model, data.format, q_scale=q_scale, name=f"{model}-q{q_scale}").network
    equal = gate1(trained.model, network, data.test.x)
    ranking = rank(default(network), network, x, data=data.name)
    network.save(name.with_suffix(".npz"))
    ranking.save(name.with_suffix(".ranking.npz"))
    write_json(name.with_suffix(".json"), {"network": network.digest, "equal": equal})
    return network, ranking, equal
