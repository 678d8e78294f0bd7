"""What `hardpoint campaign` does: a question from options, its plan, its answer as a table and as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardpoint.array import Array
from hardpoint.draw import check_weights
from hardpoint.errors import InputError
from hardpoint.host import campaign as lists
from hardpoint.host import singles
from hardpoint.host.campaign import Engine
from hardpoint.host.convention import convention
from hardpoint.host.neurons import NeuronInjector
from hardpoint.host.plan import Plan
from hardpoint.network import Network
from hardpoint.optimizer.flow import check_device, engine_on, samples
from hardpoint.statistics import check_confidence

__all__ = ["Question", "answer", "weights_from"]

Lines = list[str]


@dataclass(frozen=True)
class Question:
    """The options of `hardpoint campaign`; exactly one of `bers`, `counts`, `single` and `permanent_rates` says what is drawn."""

    data: str = "digits"
    device: str = "emulator"
    images: int | None = None
    bers: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    single: int | None = None
    permanent_rates: tuple[float, ...] = ()
    pattern: str = "uniform"
    convention: str = "hardware"
    stratify: str = ""
    weights: tuple[str, ...] = ()
    trials: int = 20
    error: float = 0.01
    confidence: float = 0.95
    until_error: float | None = None
    seed: int = 0
    store: Path | None = None
    jobs: int = 1
    scheduler: str | None = None
    batch: int = 256
    bitstream: Path | None = None
    analyse: Path | None = None

    def __post_init__(self) -> None:
        given = [bool(self.bers), bool(self.counts), self.single is not None, bool(self.permanent_rates)]
        if sum(given) != 1:
            raise InputError("a campaign takes one of --ber, --count, --single and --permanent-rate")
        if self.convention not in ("hardware", "neuron"):
            raise InputError(f"a convention is hardware or neuron, not {self.convention!r}")
        if self.convention == "neuron" and not self.bers:
            raise InputError("the neuron convention takes a rate per output bit (--ber): it has neither sites, steps nor PEs")
        if self.convention == "neuron" and self.device != "emulator":
            raise InputError("the neuron convention runs on the network alone, on no device")
        if self.pattern not in ("uniform", "clustered"):
            raise InputError(f"a pattern of faulty PEs is uniform or clustered, not {self.pattern!r}")
        if (self.stratify or self.analyse is not None) and self.single is None:
            raise InputError("strata and an analysis by place need single faults (--single)")
        for point in self.points:
            convention(self.how).check(point, None)
        check_weights(weights_from(self.weights))
        check_confidence(self.confidence)
        if not 0 < self.error < 1:
            raise InputError(f"an error lies between 0 and 1, not {self.error}")
        if not self.batch >= 1 <= self.jobs:
            raise InputError(f"a batch and jobs are at least 1, not {self.batch} and {self.jobs}")
        if self.device != "emulator" and (self.jobs > 1 or self.scheduler is not None):
            raise InputError(f"device {self.device} exists once: jobs and schedulers share out the emulator")

    @property
    def how(self) -> str:
        """The convention's name in results."""
        if self.convention == "neuron":
            return "neuron"
        return "ber" if self.bers else "count" if self.counts else f"permanent {self.pattern}"

    @property
    def points(self) -> tuple[float, ...]:
        """What a point of the campaign is."""
        return self.bers or self.counts or self.permanent_rates


def answer(
    network: Network, array: Array, asked: Question, tell: Callable[[Lines], None], progress: bool, plan_only: bool = False
) -> tuple[dict[str, Any], Lines]:
    """Plan a campaign, `tell` the plan, run it; the answer as a table for machines and lines for people."""
    check_device(asked.device)
    weights = weights_from(asked.weights)
    test = samples(asked.data, network, asked.images)
    engine = _engine(network, array, asked)
    prepared: singles.Singles | lists.Prepared
    if asked.single is not None:
        strata = tuple(part.strip() for part in asked.stratify.split(",") if part.strip())
        one = singles.ask(
            engine, test.x, test.y, asked.single, asked.seed, strata, weights, asked.confidence, asked.until_error
        )
        prepared = singles.Singles(engine, test.x, test.y, one, asked.store, asked.jobs, asked.scheduler)
    else:
        many = lists.ask(
            engine, test.x, test.y, asked.points, asked.trials, asked.seed, weights, asked.confidence, asked.how,
            asked.until_error,
        )  # fmt: skip
        prepared = lists.prepare(engine, test.x, test.y, many, asked.store, asked.jobs, asked.scheduler)
    plan: Plan = prepared.plan(asked.error)
    if plan_only:
        return plan.table(), plan.lines()
    tell(plan.lines())
    if isinstance(prepared, singles.Singles):
        return _of_singles(prepared.run(progress), network, array, asked.analyse)
    result = prepared.run(progress=progress)
    return result.table(), lines_of(result.rows)


def _engine(network: Network, array: Array, asked: Question) -> Engine:
    if asked.convention == "neuron":
        return NeuronInjector(network, asked.batch)
    if asked.device != "emulator":
        return engine_on(asked.device, network, array, bitstream=asked.bitstream)
    if asked.bitstream is not None:
        raise InputError("a bitstream runs on device zynq, not on emulator")
    from hardpoint.host.emulator import Emulator

    return Emulator(network, array, asked.batch)


def weights_from(texts: Sequence[str]) -> dict[str, float]:
    """Weights of site classes from texts like `acc=2.5`.

    >>> weights_from(["acc=2", "drain=0"])
    {'acc': 2.0, 'drain': 0.0}
    """
    weights: dict[str, float] = {}
    for text in texts:
        name, found, value = text.partition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            found = ""
        if not found:
            raise InputError(f"a weight reads like acc=2.5, a site class and a number, not {text!r}")
    return weights


def lines_of(rows: Sequence[lists.Row]) -> Lines:
    """Rows of a campaign for people."""
    first = rows[0]
    lines = [
        f"clean accuracy {first.clean_accuracy:.4f} on {first.images} images; {first.convention}; seed {first.seed}",
        f"population: {first.population:,} {first.counted}; intervals at {first.accuracy.confidence:.0%}: {first.accuracy.method}",
        f"{'point':>9} {'units':>6} {'accuracy':>27} {'SDC':>27} {'SDC-critical':>27} {'DUE':>27} {'struck':>10}",
    ]
    for row in rows:
        rates = " ".join(f"{_rate(rate):>27}" for rate in (row.accuracy, row.sdc, row.critical, row.due))
        lines.append(f"{row.point:9.3g} {row.units:6} {rates} {row.strikes:10.2f}")
    return lines


def _of_singles(
    result: singles.SingleResult, network: Network, array: Array, folder: Path | None
) -> tuple[dict[str, Any], Lines]:
    asked, whole = result.campaign, result.overall
    lines = [
        f"clean accuracy {result.clean_accuracy:.4f} on {asked.images} images; {asked.says}; seed {asked.seed}",
        f"population: {result.population:,} live site bits x steps x images; intervals at {asked.confidence:.0%}: {whole.sdc.method}",
        f"{whole.trials:,} flips: accuracy {_rate(result.accuracy)}; SDC {_rate(whole.sdc)}; SDC-critical {_rate(whole.critical)}; DUE {_rate(whole.due)}",
        "outcomes: " + ", ".join(f"{name} {count:,}" for name, count in whole.outcomes.items()),
    ]
    for name in ("layer", "site", "guard"):
        lines.append(f"{name:>22} {'flips':>8} {'share':>7} {'SDC':>27} {'SDC-critical':>27} {'DUE':>27}")
        for group in result.groups[name]:
            cells = " ".join(f"{_rate(rate):>27}" for rate in (group.sdc, group.critical, group.due))
            lines.append(f"{_place(group.place, network):>22} {group.trials:8,} {group.share:7.4f} {cells}")
    if folder is not None:
        from hardpoint.host.analysis import analyse

        written = analyse(result, network, array, folder)
        lines.append(f"{folder}: {', '.join(path.name for path in written)}")
    return result.table(), lines


def _rate(interval: Any) -> str:
    return f"{interval.mean:.5f} [{interval.low:.5f}, {interval.high:.5f}]"


def _place(place: Mapping[str, Any], network: Network) -> str:
    if "layer" in place:
        return str(network.gemms[place["layer"]].name)
    return " ".join(str(value) for value in place.values())
