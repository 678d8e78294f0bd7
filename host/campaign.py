"""Fault-injection campaigns: accuracy and outcomes under faults, with intervals over what was drawn independently."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

import hardpoint
from hardpoint.array import Array
from hardpoint.draw import check_ber, check_weights
from hardpoint.errors import InputError
from hardpoint.faults import FaultList, population
from hardpoint.files import digest, write_json
from hardpoint.host.device import DeviceError
from hardpoint.host.drawing import draw
from hardpoint.host.outcomes import DUE, Counts, classify, count
from hardpoint.host.store import Store
from hardpoint.layers import Codes
from hardpoint.network import Network
from hardpoint.statistics import BernoulliSequence, Interval, check_confidence, cluster_t

__all__ = ["Campaign", "Decision", "Engine", "Result", "Row", "decide", "run_campaign"]

FAULT_MODEL = "hardpoint fault model 1"
CHUNK = 8
"""Trials that are drawn, run and stored together."""


class Engine(Protocol):
    """Whatever plays fault lists: the emulator, the compiled core, the Verilated RTL, a board."""

    @property
    def network(self) -> Network: ...

    @property
    def array(self) -> Array: ...

    def run(self, x: Any, faults: FaultList | None = None) -> Codes: ...


@dataclass(frozen=True)
class Campaign:
    """What a campaign asks: `trials` fault lists at every BER, each over all `images` of the data with digest `data`.

    `weights` multiply the rates of site classes. Units (trials) are the same whatever engine plays them; `engine` says
    which one did.
    """

    network: str
    array: str
    data: str
    images: int
    bers: tuple[float, ...]
    trials: int
    seed: int = 0
    weights: tuple[tuple[str, float], ...] = ()
    engine: str = "Emulator"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for ber in self.bers:
            check_ber(ber)
        check_weights(dict(self.weights))
        check_confidence(self.confidence)
        if not self.bers or len(set(self.bers)) != len(self.bers):
            raise InputError(f"a campaign needs one or more different BERs, not {list(self.bers)}")
        if self.trials < 1 or self.images < 1:
            raise InputError(f"a campaign needs at least 1 trial and 1 image, not {self.trials} and {self.images}")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"a seed is 0 to 2**64-1, not {self.seed}")

    @property
    def subject(self) -> str:
        """Digest of all that a unit's result depends on besides its BER and trial."""
        return digest(FAULT_MODEL, self.network, self.array, self.data, str(self.seed), repr(self.weights), self.engine)

    @property
    def convention(self) -> str:
        """What a BER multiplies, in words."""
        weights = "".join(f", {name} weighted {weight:g}" for name, weight in self.weights)
        return f"transient flips, BER per live site bit and step{weights}; the unit is a fault list over {self.images} images"

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return {**dataclasses.asdict(self), "version": hardpoint.__version__, "fault_model": FAULT_MODEL}


@dataclass(frozen=True)
class Row:
    """One design at one BER: intervals over `units` trials, counts over all their inferences.

    `accuracy` compares with labels; `sdc` (outputs differ) and `critical` (criterion fails) with the golden run. `drop`
    is clean accuracy less accuracy, on the same images. `strikes` counts struck bits per image, `population` the live
    site bits x steps per image.
    """

    design: str
    ber: float
    units: int
    images: int
    clean_accuracy: float
    accuracy: Interval
    drop: Interval
    sdc: Interval
    critical: Interval
    outcomes: Mapping[str, int]
    strikes: float
    population: int
    convention: str
    seed: int

    def table(self) -> dict[str, Any]:
        """Values by name, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Result:
    """A campaign's rows, one per BER, and how long what was new took."""

    campaign: Campaign
    rows: tuple[Row, ...]
    seconds: float = 0.0

    def table(self) -> dict[str, Any]:
        """What was asked and found, for JSON; equal for equal campaigns, so without times."""
        return {"campaign": self.campaign.table(), "rows": [row.table() for row in self.rows]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON."""
        write_json(path, self.table())


@dataclass(frozen=True)
class Decision:
    """Whether accuracy at `ber` is at least `target`: `met`, `missed`, or `open` after all trials; and by what."""

    verdict: str
    target: float
    ber: float
    trials: int
    accuracy: Interval


class Job:
    """An engine with its data and golden run: plays trials."""

    def __init__(self, engine: Engine, x: Any, labels: Any, seed: int, weights: Mapping[str, float]) -> None:
        self.engine, self.x, self.labels = engine, engine.network.check_input(x), np.asarray(labels)
        if self.labels.shape != (len(self.x),):
            raise InputError(f"{len(self.x)} images need as many labels, not shape {self.labels.shape}")
        self.seed, self.weights = seed, dict(weights)
        self.golden = engine.run(self.x)

    def trial(self, ber: float, trial: int) -> Counts:
        """Draw and play one fault list."""
        faults = draw(self.engine.array, self.engine.network, len(self.x), ber, self.seed, trial, self.weights)
        try:
            outputs, voted, failed = self._seen(faults)
        except DeviceError:
            return count(np.full(len(self.x), DUE), self.golden, self.labels, len(faults))
        outcomes = classify(self.golden, outputs, voted, self.engine.network.criterion)
        outcomes[failed] = DUE
        return count(outcomes, outputs, self.labels, len(faults))

    def _seen(self, faults: FaultList) -> tuple[Codes, Any, Any]:
        """Per image: outputs, whether a vote disagreed, whether the engine failed; as much as the engine can tell."""
        play: Callable[..., Any] | None = getattr(self.engine, "play", None)
        observe: Callable[..., Any] | None = getattr(self.engine, "observe", None)
        if play is not None:
            played = play(self.x, faults)
            return played.outputs, played.votes.any(axis=1), played.status != 0
        if observe is not None:
            return *observe(self.x, faults), np.zeros(len(self.x), bool)
        return self.engine.run(self.x, faults), np.zeros(len(self.x), bool), np.zeros(len(self.x), bool)

    def chunk(self, ber: float, trials: Sequence[int]) -> dict[int, Counts]:
        """Play several."""
        return {trial: self.trial(ber, trial) for trial in trials}


def run_campaign(
    engine: Engine,
    x: Any,
    labels: Any,
    bers: Sequence[float],
    trials: int,
    seed: int = 0,
    *,
    weights: Mapping[str, float] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    jobs: int = 1,
    confidence: float = 0.95,
    design: str = "",
    progress: bool = False,
) -> Result:
    """Play `trials` fault lists per BER over all images `x` on `engine` and sum up what they did.

    With a `store`, units already there are not played again, and new ones are kept as they come. `jobs` processes work in
    parallel; results do not depend on them.
    """
    begun = time.monotonic()
    campaign = ask(engine, x, labels, bers, trials, seed, weights, confidence)
    kept = Store(store) if isinstance(store, (str, os.PathLike)) else store
    if kept is not None:
        kept.begin(campaign.subject, campaign.table())
    units: dict[float, dict[int, Counts]] = {}
    items: list[tuple[float, list[int]]] = []
    for ber in campaign.bers:
        units[ber] = {} if kept is None else {t: u for t, u in kept.units(campaign.subject, repr(ber)).items() if t < trials}
        missing = [trial for trial in range(trials) if trial not in units[ber]]
        items += [(ber, missing[i : i + CHUNK]) for i in range(0, len(missing), CHUNK)]
    job = Job(engine, x, labels, seed, dict(weights or {}))
    sensors: Callable[[], dict[str, Any]] | None = getattr(engine, "sensors", None)
    for ber, found in _reported(_played(job, items, jobs), items, progress):
        units[ber].update(found)
        if kept is not None:
            kept.add(campaign.subject, repr(ber), found)
            kept.measured(campaign.subject, sensors() if sensors is not None else {})
    clean = float((job.golden.argmax(axis=1) == job.labels).mean())
    rows = tuple(summary(campaign, engine, design, ber, units[ber], clean) for ber in campaign.bers)
    return Result(campaign, rows, time.monotonic() - begun)


def ask(
    engine: Engine, x: Any, labels: Any, bers: Sequence[float], trials: int, seed: int, weights: Any, confidence: float
) -> Campaign:
    """The campaign's value."""
    x, labels = np.asarray(x), np.asarray(labels)
    return Campaign(
        engine.network.digest, engine.array.digest, digest(x.astype(np.int64), labels.astype(np.int64)), len(x),
        tuple(float(ber) for ber in bers), int(trials), int(seed), tuple(sorted((weights or {}).items())),
        type(engine).__name__, confidence,
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
    """
    campaign = ask(engine, x, labels, [ber], trials, seed, weights, confidence)
    if not 0 <= target <= 1:
        raise InputError(f"a target accuracy must be 0 to 1, not {target}")
    job, sequence, verdict, trial = Job(engine, x, labels, seed, dict(weights or {})), BernoulliSequence(confidence), "open", 0
    while verdict == "open" and trial < campaign.trials:
        unit = job.trial(campaign.bers[0], trial)
        sequence.update(unit.correct, unit.images)
        low, high = sequence.bounds
        verdict = "met" if low >= target else "missed" if high < target else "open"
        trial += 1
    mean = sequence.successes / sequence.draws
    interval = Interval(mean, *sequence.bounds, confidence, trial, "confidence sequence over fault lists")
    return Decision(verdict, target, campaign.bers[0], trial, interval)


def summary(campaign: Campaign, engine: Engine, design: str, ber: float, units: dict[int, Counts], clean: float) -> Row:
    """One row from its units, in order of trials."""
    rows = [units[trial] for trial in sorted(units)]
    images = campaign.images

    def rate(values: Iterable[int]) -> Interval:
        return cluster_t([value / images for value in values], campaign.confidence, draws=images)

    accuracy = rate(unit.correct for unit in rows)
    drop = Interval(
        clean - accuracy.mean, clean - accuracy.high, clean - accuracy.low, campaign.confidence, len(rows), accuracy.method
    )
    names = ("masked", "corrected", "tolerable", "critical", "due")
    return Row(
        design, ber, len(rows), images, clean, accuracy, drop,
        rate(unit.tolerable + unit.critical for unit in rows), rate(unit.critical for unit in rows),
        {name: sum(getattr(unit, name) for unit in rows) for name in names},
        sum(unit.strikes for unit in rows) / (images * len(rows)),
        sum(population(engine.array, engine.network).values()), campaign.convention, campaign.seed,
    )  # fmt: skip


def _played(job: Job, items: list[tuple[float, list[int]]], jobs: int) -> Iterator[tuple[float, dict[int, Counts]]]:
    """Results of all items, as they come."""
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, not {jobs}")
    if jobs == 1 or len(items) < 2:
        for ber, trials in items:
            yield ber, job.chunk(ber, trials)
        return
    import concurrent.futures
    import multiprocessing

    (ber, trials), *items = items
    yield ber, job.chunk(ber, trials)  # compiles what workers then find compiled
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(jobs, len(items)), context, _start, (job,)) as pool:
        waiting = {pool.submit(_work, ber, trials): ber for ber, trials in items}
        try:
            for done in concurrent.futures.as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


_job: list[Job] = []  # a pool offers no other way for a worker process to keep what it was started with


def _start(job: Job) -> None:
    _job[:] = [job]


def _work(ber: float, trials: list[int]) -> dict[int, Counts]:
    return _job[0].chunk(ber, trials)


def _reported(results: Iterator[Any], items: list[tuple[float, list[int]]], progress: bool) -> Iterator[Any]:
    """Pass results on, with a bar if `progress`."""
    if not progress:
        yield from results
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("fault lists", total=sum(len(trials) for _, trials in items))
        for ber, found in results:
            bar.advance(task, len(found))
            yield ber, found
