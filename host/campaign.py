"""Fault-injection campaigns: accuracy and outcomes under faults, with intervals over what was drawn independently."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.draw import check_weights
from hardpoint.errors import InputError
from hardpoint.files import digest
from hardpoint.host.buffers import noticed
from hardpoint.host.convention import checked, convention
from hardpoint.host.crew import Crew, Item
from hardpoint.host.device import DeviceError
from hardpoint.host.outcomes import DUE, Counts, classify, count
from hardpoint.host.plan import Plan
from hardpoint.host.progress import bar
from hardpoint.host.provenance import FAULT_MODEL, versions
from hardpoint.host.rows import Result, Row, Watch, row
from hardpoint.host.store import Store
from hardpoint.layers import Codes
from hardpoint.network import Network
from hardpoint.statistics import BernoulliSequence, Interval, check_confidence, sample_size

__all__ = ["Campaign", "Decision", "Engine", "Prepared", "Result", "Row", "decide", "prepare", "run_campaign"]

CHUNK = 8
"""Trials that are drawn, run and stored together; fast ones in larger chunks (`CHUNK_SECONDS`)."""
CHUNK_SECONDS, MOST_IN_CHUNK = 0.5, 64
WARM_UP = 30.0
"""Seconds that a first unit may take to be played twice for a plan, the second time with everything compiled."""


class Engine(Protocol):
    """Whatever plays fault lists: the emulator, the compiled core, the Verilated RTL, a board; without an array, the
    injector of the neuron convention.
    """

    @property
    def network(self) -> Network: ...

    @property
    def array(self) -> Array | None: ...

    def run(self, x: Any, faults: Any = None) -> Codes: ...


@dataclass(frozen=True)
class Campaign:
    """What a campaign asks: `trials` units at every point, each over all `images` of the data with digest `data`.

    `convention` says what points and units are. `weights` multiply the rates of site classes. Units are the same whatever
    engine plays them; `engine` says which one did. With `until_error` a point ends as soon as its accuracy is known to
    +-`until_error`, after at most `trials` units, by intervals that stay valid under looking.
    """

    network: str
    array: str
    data: str
    images: int
    points: tuple[float, ...]
    trials: int
    seed: int = 0
    weights: tuple[tuple[str, float], ...] = ()
    engine: str = "Emulator"
    confidence: float = 0.95
    convention: str = "ber"
    until_error: float | None = None

    def __post_init__(self) -> None:
        convention(self.convention)
        check_weights(dict(self.weights))
        check_confidence(self.confidence)
        if not self.points or len(set(self.points)) != len(self.points):
            raise InputError(f"a campaign needs one or more different points, not {list(self.points)}")
        if self.trials < 1 or self.images < 1:
            raise InputError(f"a campaign needs at least 1 trial and 1 image, not {self.trials} and {self.images}")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"a seed is 0 to 2**64-1, not {self.seed}")
        if self.until_error is not None and not 0 < self.until_error < 0.5:
            raise InputError(f"an error to stop at lies between 0 and 0.5, not {self.until_error}")
        if self.weights and self.convention == "neuron":
            raise InputError("the neuron convention has no site classes to be weighted")

    @property
    def subject(self) -> str:
        """Digest of all that a unit's result depends on besides its point and trial."""
        parts = FAULT_MODEL, self.network, self.array, self.data, str(self.seed), repr(self.weights), self.engine
        return digest(*parts, self.convention)

    @property
    def says(self) -> str:
        """The convention in words."""
        return convention(self.convention).says(self.images, dict(self.weights))

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return {**dataclasses.asdict(self), "fault_model": FAULT_MODEL}


@dataclass(frozen=True)
class Decision:
    """Whether accuracy at `ber` is at least `target`: `met`, `missed`, or `open` after all trials; and by what."""

    verdict: str
    target: float
    ber: float
    trials: int
    accuracy: Interval


class Job:
    """An engine with its data and golden run: plays units of one convention."""

    def __init__(self, engine: Engine, x: Any, labels: Any, seed: int, weights: Mapping[str, float], how: str = "ber") -> None:
        self.engine, self.x, self.labels = engine, engine.network.check_input(x), np.asarray(labels)
        if self.labels.shape != (len(self.x),):
            raise InputError(f"{len(self.x)} images need as many labels, not shape {self.labels.shape}")
        self.seed, self.weights, self.how = seed, dict(weights), how
        checked(engine.network, engine.array, convention(how))
        self.golden = engine.run(self.x)

    def about(self) -> dict[str, Any]:
        """What a store says of network and array besides their digests: enough for a report."""
        array = self.engine.array
        return {
            "clean_accuracy": self.clean_accuracy,
            "accelerator": None if array is None else array.table(),
            "named": self.engine.network.name,
        }

    @property
    def clean_accuracy(self) -> float:
        """Accuracy without faults."""
        return float((self.golden.argmax(axis=1) == self.labels).mean())

    def trial(self, point: float, trial: int) -> Counts:
        """Draw and play one unit."""
        network, array = self.engine.network, self.engine.array
        faults = convention(self.how).faults(network, array, len(self.x), point, self.seed, trial, self.weights)
        try:
            outputs, voted, failed = seen(self.engine, self.x, faults)
        except DeviceError:
            return count(np.full(len(self.x), DUE), self.golden, self.labels, len(faults))
        outcomes = classify(self.golden, outputs, voted, network.criterion)
        outcomes[failed] = DUE
        return count(outcomes, outputs, self.labels, len(faults))

    def chunk(self, item: Item) -> dict[int, Counts]:
        """Play several."""
        return {trial: self.trial(float(item.point), trial) for trial in item.trials}


def engine_name(engine: Engine) -> str:
    """What a store calls an engine: a device's kind (csim, rtl, zynq), or the class of what runs in this process."""
    return str(getattr(engine, "engine", type(engine).__name__))


def seen(engine: Engine, x: Any, faults: Any) -> tuple[Codes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Per image: outputs, whether a vote disagreed, whether the engine failed; as much as the engine can tell."""
    play: Callable[..., Any] | None = getattr(engine, "play", None)
    observe: Callable[..., Any] | None = getattr(engine, "observe", None)
    if play is not None:
        played = play(x, faults)
        voted = played.votes.any(axis=1)
        if faults is not None and engine.array is not None and engine.array.ecc:
            voted |= np.isin(np.arange(len(x)), noticed(faults.faults, engine.network))  # strikes are sent decoded
        return played.outputs, voted, played.status != 0
    if observe is not None:
        outputs, voted, *failed = observe(x, faults)
        return outputs, voted, failed[0] if failed else np.zeros(len(x), bool)
    return engine.run(x, faults), np.zeros(len(x), bool), np.zeros(len(x), bool)


def run_campaign(
    engine: Engine,
    x: Any,
    labels: Any,
    points: Sequence[float],
    trials: int,
    seed: int = 0,
    *,
    how: str = "ber",
    weights: Mapping[str, float] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    confidence: float = 0.95,
    until_error: float | None = None,
    design: str = "",
    progress: bool = False,
) -> Result:
    """Play `trials` units of convention `how` per point over all images `x` on `engine` and sum up what they did.

    With a `store`, units already there are not played again, and new ones are kept as they come. `jobs` processes, or the
    cluster of a Dask `scheduler`, work in parallel; results do not depend on them.

    >>> from hardpoint.array import Array
    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.host.emulator import Emulator
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(8).reshape(4, 2)
    >>> labels = net(x).argmax(axis=1)
    >>> rows = run_campaign(Emulator(net, Array(1, 2)), x, labels, points=(0.0, 0.01), trials=10).rows
    >>> rows[0].accuracy.mean, rows[1].accuracy.mean < 1, rows[1].strikes > 0
    (1.0, True, True)
    """
    campaign = ask(engine, x, labels, points, trials, seed, weights, confidence, how, until_error)
    return prepare(engine, x, labels, campaign, store, jobs, scheduler).run(design, progress)


def ask(
    engine: Engine, x: Any, labels: Any, points: Sequence[float], trials: int, seed: int, weights: Any, confidence: float,
    how: str = "ber", until_error: float | None = None,
) -> Campaign:  # fmt: skip
    """The campaign's value."""
    one = convention(how)
    for point in points:
        one.check(point, engine.array)
    x, labels = np.asarray(x), np.asarray(labels)
    return Campaign(
        engine.network.digest, array_digest(engine),
        digest(x.astype(np.int64), labels.astype(np.int64)), len(x), tuple(float(point) for point in points), int(trials),
        int(seed), tuple(sorted((weights or {}).items())), engine_name(engine), confidence, how, until_error,
    )  # fmt: skip


def array_digest(engine: Engine) -> str:
    """Digest of the engine's array, with the PEs that it bypasses; "none" where it has no array."""
    if engine.array is None:
        return "none"
    bypass = getattr(engine, "bypass", None)
    return engine.array.digest + (f"+bypass {digest(bypass)}" if bypass is not None and np.any(bypass) else "")


def prepare(
    engine: Engine, x: Any, labels: Any, campaign: Campaign, store: Store | str | os.PathLike[str] | None = None,
    jobs: int = 1, scheduler: str | None = None,
) -> Prepared:  # fmt: skip
    """A campaign with its golden run and what is stored of it already, ready to be planned and run."""
    job = Job(engine, x, labels, campaign.seed, dict(campaign.weights), campaign.convention)
    kept = Store(store) if isinstance(store, (str, os.PathLike)) else store
    return Prepared(campaign, job, kept, jobs, scheduler)


class Prepared:
    """A campaign that is about to run."""

    def __init__(self, campaign: Campaign, job: Job, store: Store | None, jobs: int = 1, scheduler: str | None = None) -> None:
        self.campaign, self.job, self.store = campaign, job, store
        self.crew = Crew(job, jobs, scheduler)
        self.units: dict[float, dict[int, Counts]] = {point: {} for point in campaign.points}
        self.chunk = CHUNK
        if store is not None:
            store.begin(campaign.subject, {**campaign.table(), **job.about()}, versions())
            for point in campaign.points:
                stored = store.units(campaign.subject, repr(point))
                self.units[point] = {trial: unit for trial, unit in stored.items() if trial < campaign.trials}

    def plan(self, error: float = 0.01) -> Plan:
        """What is going to happen; the first missing unit is played, to know how long the others take."""
        campaign, one = self.campaign, convention(self.campaign.convention)
        draws = 1 if one.shared else campaign.images
        needed = max(2, math.ceil(sample_size(error, campaign.confidence) / draws))
        missing, seconds = self._missing(), 0.0
        if missing:
            point, trial = missing[0]
            item = Item(repr(point), [trial])
            found, spent = _timed(self.job, item)
            if spent < WARM_UP:  # what the first one compiled and loaded is no part of the others' time
                found, spent = _timed(self.job, item)
            self._keep(item, found)
            seconds = spent * (len(missing) - 1) / self.crew.jobs
        population = one.population(self.job.engine.network, self.job.engine.array, dict(campaign.weights))
        return Plan(
            campaign.says, population, one.counted, len(campaign.points), campaign.trials, needed, error, campaign.confidence,
            len(self._missing()), seconds, campaign.until_error is not None,
        )  # fmt: skip

    def run(self, design: str = "", progress: bool = False) -> Result:
        """Play what is missing and sum up."""
        begun = time.monotonic()
        with self.crew, bar(progress, len(self._missing())) as advance:
            if self.campaign.until_error is None:
                for item, found in self.crew.played(self._items()):
                    self._keep(item, found)
                    advance(len(found))
                watches: dict[float, Watch | None] = dict.fromkeys(self.campaign.points)
            else:
                watches = {point: self._watched(point, advance) for point in self.campaign.points}
        rows = tuple(self._row(design, point, watches[point]) for point in self.campaign.points)
        return Result(self.campaign, rows, time.monotonic() - begun)

    def _missing(self) -> list[tuple[float, int]]:
        return [(point, trial) for point, units in self.units.items() for trial in range(self.campaign.trials) if trial not in units]

    def _items(self, only: float | None = None) -> Iterator[Item]:
        """What is missing, of one point or all, in chunks: larger ones once the first has shown how fast trials are."""
        for point, units in self.units.items():
            missing = [trial for trial in range(self.campaign.trials) if trial not in units] if only in (None, point) else []
            while missing:
                size, begun = self.chunk, time.monotonic()
                yield Item(repr(point), missing[:size])
                missing = missing[size:]
                if size == CHUNK and self.crew.scheduler is None:
                    fast = CHUNK_SECONDS * size / max(time.monotonic() - begun, 1e-9)
                    self.chunk = max(CHUNK, min(MOST_IN_CHUNK, int(fast)))

    def _watched(self, point: float, advance: Callable[[int], None]) -> Watch:
        """Play units of `point`, looking after each in order of trials, until its accuracy is known well enough."""
        campaign, units = self.campaign, self.units[point]
        watch = Watch(campaign.confidence, convention(campaign.convention).shared)

        def known() -> bool:
            while watch.units in units and watch.error() > (campaign.until_error or 0.0):
                watch.update(units[watch.units])
            return watch.error() <= (campaign.until_error or 0.0)

        if not known():
            for item, found in self.crew.played(self._items(point)):
                self._keep(item, found)
                advance(len(found))
                if known():
                    break
        return watch

    def _keep(self, item: Item, found: dict[int, Counts]) -> None:
        self.units[float(item.point)].update(found)
        if self.store is not None:
            self.store.add(self.campaign.subject, item.point, found)
            sensors: Callable[[], dict[str, Any]] | None = getattr(self.job.engine, "sensors", None)
            self.store.measured(self.campaign.subject, sensors() if sensors is not None else {})

    def _row(self, design: str, point: float, watch: Watch | None) -> Row:
        campaign, one, units = self.campaign, convention(self.campaign.convention), self.units[point]
        trials = sorted(units) if watch is None else range(watch.units)
        return row(
            (units[trial] for trial in trials), campaign.confidence, one.shared, self.job.clean_accuracy, watch, design=design,
            point=point, population=one.population(self.job.engine.network, self.job.engine.array, dict(campaign.weights)), counted=one.counted,
            convention=campaign.says, seed=campaign.seed,
        )  # fmt: skip


def decide(
    engine: Engine,
    x: Any,
    labels: Any,
    ber: float,
    target: float,
    trials: int,
    seed: int = 0,
    *,
    weights: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> Decision:
    """Play trials until it is certain at `confidence` that accuracy on `x` under faults reaches `target`, or does not.

    Looks after every trial; the interval is a confidence sequence, valid at every look (`BernoulliSequence`: faults of
    different images and trials are independent draws).

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> from hardpoint.array import Array
    >>> from hardpoint.host.emulator import Emulator
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(40).reshape(20, 2)
    >>> decide(Emulator(net, Array(1, 2)), x, net(x).argmax(axis=1), 1e-4, target=0.9, trials=100).verdict
    'met'
    """
    campaign = ask(engine, x, labels, [ber], trials, seed, weights, confidence)
    if not 0 <= target <= 1:
        raise InputError(f"a target accuracy must be 0 to 1, not {target}")
    job, sequence, verdict, trial = Job(engine, x, labels, seed, dict(weights or {})), BernoulliSequence(confidence), "open", 0
    while verdict == "open" and trial < campaign.trials:
        unit = job.trial(campaign.points[0], trial)
        sequence.update(unit.correct, unit.images)
        low, high = sequence.bounds
        verdict = "met" if low >= target else "missed" if high < target else "open"
        trial += 1
    mean = sequence.successes / sequence.draws
    interval = Interval(mean, *sequence.bounds, confidence, trial, "confidence sequence over fault lists")
    return Decision(verdict, target, campaign.points[0], trial, interval)


def _timed(job: Job, item: Item) -> tuple[dict[int, Counts], float]:
    """Results of an item, and how long they took."""
    begun = time.monotonic()
    return job.chunk(item), time.monotonic() - begun

