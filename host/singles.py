"""Campaigns of single faults: one flip per trial, drawn uniformly or in strata, classified, and told apart by where it struck."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.draw import check_weights
from hardpoint.errors import InputError
from hardpoint.faults import FAULT, FaultList, population
from hardpoint.files import digest, write_json
from hardpoint.host.campaign import WARM_UP, Engine, array_digest, engine_name, seen
from hardpoint.host.crew import Crew, Item
from hardpoint.host.device import DeviceError
from hardpoint.host.drawing import draw_single
from hardpoint.host.outcomes import CRITICAL, DUE, OUTCOMES, TOLERABLE, Block, classify
from hardpoint.host.places import GROUPINGS
from hardpoint.host.plan import Plan
from hardpoint.host.progress import bar
from hardpoint.host.provenance import FAULT_MODEL, versions
from hardpoint.host.store import Store
from hardpoint.statistics import (
    BernoulliSequence,
    Interval,
    check_confidence,
    sample_size,
    stratified_proportion,
    wilson,
)

__all__ = ["Group", "SingleCampaign", "SingleResult", "Singles", "Stratum", "Trials", "run_singles"]

FIRST, PILOT, MOST, SECONDS = 64, 1024, 8192, 0.5
"""Trials of the first block; of a second one, for a plan; at most of any block; and how long a block should take."""
UNKNOWN = 255
"""In place of an outcome: not played yet."""
LOOK = 256
"""Trials between two looks of a campaign that stops by itself."""
APART = 1 << 20
"""Trial numbers of a stratum: strata draw from streams of their own."""
RATES = {"sdc": (TOLERABLE, CRITICAL), "critical": (CRITICAL,), "due": (DUE,)}


@dataclass(frozen=True)
class Stratum:
    """A part of the population: array layer `layer`, or site class `site`, or both; `share` of all of it, weights included."""

    layer: int | None
    site: str | None
    share: float
    number: int = 0

    @property
    def name(self) -> str:
        """Names the stratum in tables and stores."""
        parts = [f"layer {self.layer}"] * (self.layer is not None) + [f"site {self.site}"] * (self.site is not None)
        return ", ".join(parts) or "all"


@dataclass(frozen=True)
class SingleCampaign:
    """What a campaign of single faults asks: `trials` flips in all, each alone in one of `images` inferences.

    Without `strata` ("layer", "site") flips are uniform over live site bits x steps (times `weights` of site classes);
    with them every stratum gets as many trials, and estimates weigh strata by their share of the population.
    """

    network: str
    array: str
    data: str
    images: int
    trials: int
    seed: int = 0
    weights: tuple[tuple[str, float], ...] = ()
    strata: tuple[str, ...] = ()
    engine: str = "Emulator"
    confidence: float = 0.95
    until_error: float | None = None
    convention: str = "single"

    def __post_init__(self) -> None:
        check_weights(dict(self.weights))
        check_confidence(self.confidence)
        if self.trials < 1 or self.images < 1:
            raise InputError(f"a campaign needs at least 1 trial and 1 image, not {self.trials} and {self.images}")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"a seed is 0 to 2**64-1, not {self.seed}")
        if set(self.strata) - {"layer", "site"} or len(set(self.strata)) != len(self.strata):
            raise InputError(f"strata are by layer, by site or by both, not {', '.join(self.strata)!r}")
        if self.until_error is not None and not 0 < self.until_error < 0.5:
            raise InputError(f"an error to stop at lies between 0 and 0.5, not {self.until_error}")
        if self.until_error is not None and self.strata:
            raise InputError("a stratified campaign has a fixed size: it cannot stop at an error")

    @property
    def subject(self) -> str:
        """Digest of all that a trial's result depends on besides its stratum and number."""
        parts = FAULT_MODEL, self.network, self.array, self.data, str(self.seed), repr(self.weights), self.engine
        return digest(*parts, self.convention)

    @property
    def says(self) -> str:
        """The convention in words."""
        weights = "".join(f", {name} weighted {weight:g}" for name, weight in self.weights)
        how = f"as many in every stratum of {' and '.join(self.strata)}" if self.strata else "uniform"
        return f"single transient flips, {how} over live site bits, steps and {self.images} images{weights}; the unit is a flip"

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return {**dataclasses.asdict(self), "fault_model": FAULT_MODEL}


@dataclass(frozen=True, eq=False)
class Trials:
    """Every trial of a campaign: its flip, outcome number, whether it was classified as labelled, and its stratum."""

    faults: NDArray[Any]
    outcomes: NDArray[np.uint8]
    correct: NDArray[np.bool_]
    stratum: NDArray[np.int64]
    strata: tuple[Stratum, ...]

    def __len__(self) -> int:
        return len(self.faults)

    @property
    def weight(self) -> NDArray[np.float64]:
        """Share of the population that every trial stands for; their sum is 1."""
        drawn = np.bincount(np.asarray(self.stratum, np.intp), minlength=len(self.strata))
        shares = np.array([stratum.share for stratum in self.strata])
        return np.asarray((shares / np.maximum(drawn, 1) / shares[drawn > 0].sum())[self.stratum])


@dataclass(frozen=True)
class Group:
    """Trials whose flip struck `place`: how many, their outcomes, their share of the population, and rates with intervals."""

    place: Mapping[str, Any]
    trials: int
    share: float
    outcomes: Mapping[str, int]
    sdc: Interval
    critical: Interval
    due: Interval


@dataclass(frozen=True, eq=False)
class SingleResult:
    """What single faults did: over all, per stratum, and per grouping (`layer`, `site`, `bit`, `pe`, `copy`, `guard`)."""

    campaign: SingleCampaign
    population: int
    clean_accuracy: float
    accuracy: Interval
    overall: Group
    strata: tuple[Group, ...]
    groups: Mapping[str, tuple[Group, ...]]
    trials: Trials = field(repr=False)
    seconds: float = 0.0

    def table(self) -> dict[str, Any]:
        """What was asked and found, for JSON; equal for equal campaigns, so without times."""
        return {
            "campaign": self.campaign.table(),
            "convention": self.campaign.says,
            "population": self.population,
            "clean_accuracy": self.clean_accuracy,
            "accuracy": dataclasses.asdict(self.accuracy),
            "overall": dataclasses.asdict(self.overall),
            "strata": [dataclasses.asdict(group) for group in self.strata],
            "groups": {name: [dataclasses.asdict(group) for group in found] for name, found in self.groups.items()},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON."""
        write_json(path, self.table())


def empty(trials: int) -> Block:
    """Room for the outcomes of `trials` trials."""
    return Block(0, np.zeros(trials, FAULT), np.full(trials, UNKNOWN, np.uint8), np.zeros(trials, bool))


class SingleJob:
    """An engine with its data and golden run: plays single flips."""

    def __init__(self, engine: Engine, x: Any, labels: Any, campaign: SingleCampaign, strata: Iterable[Stratum]) -> None:
        self.engine, self.x, self.labels = engine, engine.network.check_input(x), np.asarray(labels)
        if self.labels.shape != (len(self.x),):
            raise InputError(f"{len(self.x)} images need as many labels, not shape {self.labels.shape}")
        if engine.array is None:
            raise InputError("single faults strike sites of an array; the neuron convention has none")
        self.array = engine.array
        self.campaign, self.strata = campaign, {stratum.name: stratum for stratum in strata}
        self.golden = engine.run(self.x)

    @property
    def clean_accuracy(self) -> float:
        """Accuracy without faults."""
        return float((self.golden.argmax(axis=1) == self.labels).mean())

    def chunk(self, item: Item) -> Block:
        """Play the trials of one stratum."""
        campaign, stratum, engine = self.campaign, self.strata[item.point], self.engine
        numbers = np.asarray(item.trials) + stratum.number * APART
        faults = draw_single(
            self.array, engine.network, len(self.x), numbers.tolist(), campaign.seed, dict(campaign.weights), stratum.layer, stratum.site
        )  # fmt: skip
        images = faults["image"].astype(np.int64)
        try:
            outputs, voted, failed = self._each(faults, images)
        except DeviceError:
            return Block(item.trials[0], faults, np.full(len(faults), DUE, np.uint8), np.zeros(len(faults), bool))
        outcomes = classify(self.golden[images], outputs, voted, engine.network.criterion).astype(np.uint8)
        outcomes[failed] = DUE
        return Block(item.trials[0], faults, outcomes, (outputs.argmax(axis=1) == self.labels[images]) & (outcomes != DUE))

    def _each(self, faults: NDArray[Any], images: NDArray[np.int64]) -> Any:
        """Per trial: outputs, whether a vote disagreed, whether the engine failed."""
        observe_each: Callable[..., Any] | None = getattr(self.engine, "observe_each", None)
        if observe_each is not None:
            outputs, voted, *failed = observe_each(self.x, faults)
            return outputs, voted, failed[0] if failed else np.zeros(len(faults), bool)
        alone = faults.copy()
        alone["image"] = np.arange(len(faults))  # trial i as inference i
        return seen(self.engine, self.x[images], FaultList(alone, len(alone), self.array.digest, self.engine.network.digest))


def run_singles(
    engine: Engine,
    x: Any,
    labels: Any,
    trials: int,
    seed: int = 0,
    *,
    strata: tuple[str, ...] = (),
    weights: Mapping[str, float] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    confidence: float = 0.95,
    until_error: float | None = None,
    progress: bool = False,
) -> SingleResult:
    """Strike `trials` single flips, one at a time, and say what they did and where; as `run_campaign` otherwise.

    >>> from hardpoint.array import Array
    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.host.emulator import Emulator
    >>> from hardpoint.layers import Dense
    >>> from hardpoint.network import Network
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(8).reshape(4, 2)
    >>> found = run_singles(Emulator(net, Array(1, 2)), x, net(x).argmax(axis=1), 200, strata=("site",))
    >>> len(found.trials), [group.place["site"] for group in found.groups["site"]]
    (200, ['act', 'wgt', 'mul', 'acc', 'drain'])
    """
    campaign = ask(engine, x, labels, trials, seed, strata, weights, confidence, until_error)
    return Singles(engine, x, labels, campaign, store, jobs, scheduler).run(progress)


def ask(
    engine: Engine, x: Any, labels: Any, trials: int, seed: int, strata: tuple[str, ...], weights: Any, confidence: float,
    until_error: float | None = None,
) -> SingleCampaign:  # fmt: skip
    """The campaign's value."""
    x, labels = np.asarray(x), np.asarray(labels)
    return SingleCampaign(
        engine.network.digest, array_digest(engine),
        digest(x.astype(np.int64), labels.astype(np.int64)), len(x), int(trials), int(seed),
        tuple(sorted((weights or {}).items())), tuple(strata), engine_name(engine), confidence, until_error,
    )  # fmt: skip


def strata_of(engine: Engine, by: tuple[str, ...], weights: Mapping[str, float]) -> tuple[tuple[Stratum, ...], int]:
    """The strata that hold anything, and the live site bits x steps per image of site classes with a weight."""
    array, network = engine.array, engine.network
    if array is None:
        raise InputError("single faults strike sites of an array; the neuron convention has none")
    live = [population(array, network, layer, buffers=True) for layer in range(len(network.gemms))]
    return strata_from(live, by, weights)


def strata_from(
    live: Iterable[Mapping[str, int]], by: tuple[str, ...], weights: Mapping[str, float]
) -> tuple[tuple[Stratum, ...], int]:
    """As `strata_of`, from the live site bits x steps per image of every array layer, by site."""
    table = check_weights(weights)
    sizes: dict[tuple[int | None, str | None], float] = {}
    total = 0
    for layer, sites in enumerate(live):
        for site, bits in sites.items():
            key = layer if "layer" in by else None, site if "site" in by else None
            sizes[key] = sizes.get(key, 0.0) + bits * table[site]
            total += bits * (table[site] > 0)
    everything = sum(sizes.values())
    if not everything:
        raise InputError("all site classes have weight 0: there is nothing to strike")
    held = [(key, size / everything) for key, size in sizes.items() if size]
    if len(held) > 1 << 12:
        raise InputError(f"a campaign has at most {1 << 12} strata, not {len(held)}")
    return tuple(Stratum(*key, share, number) for number, (key, share) in enumerate(held)), total


class Singles:
    """A campaign of single faults that is about to run."""

    def __init__(
        self, engine: Engine, x: Any, labels: Any, campaign: SingleCampaign, store: Store | str | os.PathLike[str] | None = None,
        jobs: int = 1, scheduler: str | None = None,
    ) -> None:  # fmt: skip
        self.campaign = campaign
        self.strata, self.population = strata_of(engine, campaign.strata, dict(campaign.weights))
        self.each = -(-campaign.trials // len(self.strata))  # trials per stratum
        if self.each > APART and len(self.strata) > 1:
            raise InputError(f"a stratum has at most {APART} trials, not {self.each}")
        self.job = SingleJob(engine, x, labels, campaign, self.strata)
        self.store = Store(store) if isinstance(store, (str, os.PathLike)) else store
        self.crew = Crew(self.job, jobs, scheduler)
        self.found = {stratum.name: empty(self.each) for stratum in self.strata}
        self.sequence, self.looked = BernoulliSequence(campaign.confidence), 0
        if self.store is not None:
            self.store.begin(campaign.subject, self.about(), versions())
            for name in self.found:
                for block in self.store.blocks(campaign.subject, name):
                    self._enter(name, block)

    def about(self) -> dict[str, Any]:
        """What the store says of the campaign: enough to analyse it without the network."""
        network, array = self.job.engine.network, self.job.array
        layers = [
            {"name": layer.name, "shape": list(network.shapes[layer.name]), "gemm": dataclasses.astuple(network.gemm(i))}
            for i, layer in enumerate(network.gemms)
        ]
        live = [population(array, network, layer, buffers=True) for layer in range(len(network.gemms))]
        more = {"accelerator": array.table(), "live": live, "clean_accuracy": self.job.clean_accuracy, "named": network.name}
        return {**self.campaign.table(), "layers": layers, **more}

    def plan(self, error: float = 0.01) -> Plan:
        """What is going to happen; a first block is played, to know how long the others take."""
        campaign = self.campaign
        population = self.population * campaign.images
        missing, seconds = self._missing(), 0.0
        if missing:
            spent = self._pilot(missing[0], FIRST)
            if spent * FIRST < WARM_UP:  # what the first one compiled and loaded is no part of the others' time
                missing = self._missing()
                spent = self._pilot(missing[0], FIRST if spent * FIRST > 1 else PILOT) if missing else 0.0
            seconds = spent * sum(len(item.trials) for item in self._missing()) / self.crew.jobs
        return Plan(
            campaign.says, population, "live site bits x steps x images", len(self.strata), self.each,
            sample_size(error, campaign.confidence, population), error, campaign.confidence,
            sum(len(item.trials) for item in self._missing()), seconds, campaign.until_error is not None, "strata",
        )  # fmt: skip

    def _pilot(self, item: Item, trials: int) -> float:
        """Play the first `trials` of an item; returns seconds per trial."""
        begun = time.monotonic()
        block = self.job.chunk(Item(item.point, item.trials[:trials]))
        spent = time.monotonic() - begun
        self._keep(item.point, block)
        return spent / len(block)

    def run(self, progress: bool = False) -> SingleResult:
        """Play what is missing and sum up."""
        begun = time.monotonic()
        stop = self._stopped()
        if stop is None:
            with self.crew, bar(progress, sum(len(item.trials) for item in self._missing())) as advance:
                for item, block in self.crew.played(self._items()):
                    self._keep(item.point, block)
                    advance(len(block))
                    stop = self._stopped()
                    if stop is not None:
                        break
        return self._summed(self._trials(stop), time.monotonic() - begun)

    def _missing(self) -> list[Item]:
        """Runs of trials that are not there yet."""
        found = []
        for stratum in self.strata:
            have = self.found[stratum.name].outcomes != UNKNOWN
            edges = np.flatnonzero(np.diff(np.concatenate([[True], have, [True]]).astype(np.int8)))
            found += [Item(stratum.name, range(int(a), int(b))) for a, b in edges.reshape(-1, 2)]
        return found

    def _items(self) -> Iterator[Item]:
        """What is missing, in blocks: larger ones once the first has shown how fast trials are."""
        size = FIRST
        for item in self._missing():
            at = 0
            while at < len(item.trials):
                begun = time.monotonic()
                yield Item(item.point, item.trials[at : at + size])
                at += size
                if size == FIRST and self.crew.scheduler is None:
                    fast = SECONDS * size / max(time.monotonic() - begun, 1e-9)
                    size = max(FIRST, min(MOST, int(fast) // LOOK * LOOK))

    def _enter(self, point: str, block: Block) -> None:
        """Put a block in its place; what is beyond the campaign's trials is left out."""
        into, stop = self.found[point], block.first + len(block)
        for name in ("faults", "outcomes", "correct"):
            getattr(into, name)[block.first : stop] = getattr(block, name)[: max(0, self.each - block.first)]

    def _keep(self, point: str, block: Block) -> None:
        self._enter(point, block)
        if self.store is not None:
            self.store.add_block(self.campaign.subject, point, block)
            sensors: Callable[[], dict[str, Any]] | None = getattr(self.job.engine, "sensors", None)
            self.store.measured(self.campaign.subject, sensors() if sensors is not None else {})

    def _stopped(self) -> int | None:
        """After how many trials, in order, the critical share is known well enough; None while it is not."""
        if self.campaign.until_error is None:
            return None
        outcomes = self.found[self.strata[0].name].outcomes
        while (self.sequence.bounds[1] - self.sequence.bounds[0]) / 2 > self.campaign.until_error:
            block = outcomes[self.looked : self.looked + LOOK]
            if len(block) < LOOK or (block == UNKNOWN).any():
                return None
            self.sequence.update(int((block == CRITICAL).sum()), LOOK)
            self.looked += LOOK
        return self.looked

    def _trials(self, stop: int | None) -> Trials:
        """Trials 0 .. `stop` - 1 of every stratum, in order; all if `stop` is None."""
        parts = [self.found[stratum.name] for stratum in self.strata]
        columns = [np.concatenate([getattr(part, name)[:stop] for part in parts]) for name in ("faults", "outcomes", "correct")]
        number = np.repeat(np.arange(len(parts)), len(columns[0]) // len(parts))
        return Trials(columns[0], columns[1], columns[2], number, self.strata)

    def _summed(self, trials: Trials, seconds: float) -> SingleResult:
        size = self.population * self.campaign.images
        return summed(self.campaign, self.job.array, trials, size, self.job.clean_accuracy, seconds)


def summed(
    campaign: SingleCampaign, array: Array, trials: Trials, size: int, clean_accuracy: float, seconds: float = 0.0
) -> SingleResult:
    """What `trials` say, drawn from a population of `size` live site bits x steps x images."""
    sequential = campaign.until_error is not None
    everything = np.zeros(len(trials), np.int64)
    overall = groups_of(trials, everything, [{}], campaign.confidence, sequential)[0]
    names = [{"stratum": stratum.name} for stratum in trials.strata]
    strata = groups_of(trials, trials.stratum, names, campaign.confidence, sequential)
    groups = {
        name: tuple(groups_of(trials, *grouping(trials.faults, array), campaign.confidence, sequential))
        for name, grouping in GROUPINGS.items()
    }
    accuracy = rates_of(trials, everything, trials.correct, 1, campaign.confidence, sequential)[0]
    return SingleResult(campaign, size, clean_accuracy, accuracy, overall, tuple(strata), groups, trials, seconds)


def groups_of(
    trials: Trials, key: NDArray[np.int64], places: list[dict[str, Any]], confidence: float, sequential: bool
) -> list[Group]:
    """One group per place that was struck: trials with `key` i struck `places[i]`, those with -1 none of them."""
    inside = key >= 0
    counts = np.zeros((len(places), len(OUTCOMES)), np.int64)
    np.add.at(counts, (key[inside], trials.outcomes[inside]), 1)
    shares = np.bincount(key[inside].astype(np.intp), trials.weight[inside], len(places))
    rates = {
        name: rates_of(trials, key, np.isin(trials.outcomes, outcomes), len(places), confidence, sequential)
        for name, outcomes in RATES.items()
    }
    return [
        Group(
            place, int(counts[i].sum()), float(shares[i]), dict(zip(OUTCOMES, counts[i].tolist(), strict=True)),
            **{name: found[i] for name, found in rates.items()},
        )
        for i, place in enumerate(places)
        if counts[i].any()
    ]  # fmt: skip


def rates_of(
    trials: Trials, key: NDArray[np.int64], hit: NDArray[np.bool_], size: int, confidence: float, sequential: bool
) -> list[Interval]:
    """Share of `hit` trials in every group, strata weighed by their share of the population."""
    inside, n = key >= 0, len(trials.strata)
    flat = trials.stratum[inside] * size + key[inside]
    drawn = np.bincount(np.asarray(trials.stratum, np.intp), minlength=n)
    held = np.bincount(flat.astype(np.intp), minlength=n * size).reshape(n, size)
    good = np.bincount(flat.astype(np.intp), hit[inside], n * size).reshape(n, size).astype(np.int64)
    found = []
    for i in range(size):
        some = np.flatnonzero(held[:, i])
        if not len(some):
            found.append(Interval(0.0, 0.0, 1.0, confidence, 0, "nothing was struck"))
        elif sequential:
            sequence = BernoulliSequence(confidence)
            sequence.update(int(good[:, i].sum()), int(held[:, i].sum()))
            mean = sequence.successes / sequence.draws
            found.append(Interval(mean, *sequence.bounds, confidence, sequence.draws, "confidence sequence over flips"))
        elif n == 1:
            found.append(wilson(int(good[0, i]), int(held[0, i]), confidence))
        else:
            rows = [(trials.strata[s].share, int(drawn[s]), int(held[s, i]), int(good[s, i])) for s in some]
            found.append(stratified_proportion(rows, confidence))
    return found
