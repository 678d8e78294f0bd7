"""A fleet from maps to network files: learning curves, resilience map, groups, what each policy costs, and each chip's accuracy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardpoint.array import Array
from hardpoint.defects import fleet as draw_fleet
from hardpoint.defects import load_maps, pattern
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
from hardpoint.files import digest, write_json
from hardpoint.host.emulator import Emulator
from hardpoint.host.provenance import versions
from hardpoint.network import Network
from hardpoint.statistics import Interval, wilson
from hardpoint.training.fleet import Curves, Retraining, accuracy, hits
from hardpoint.training.fleet_curves import Curve, Resilience, Schedule
from hardpoint.training.fleet_groups import fused, in_groups_of
from hardpoint.training.fleet_policies import Outcome, by_groups, fixed, selection, untrained

__all__ = ["Chip", "Fleet", "FleetResult", "fleet_on", "lines", "retrain"]

Task = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Fleet:
    """What is asked: every chip is to lose at most `drop` of the clean accuracy.

    The resilience map is measured on `samples` uniform maps at each of `rates`, and says what `quantile` of them need.
    `budget` is the most that a map is retrained, in epochs; `every` policy is compared, or only the method's own run.
    """

    maps: tuple[FaultMap, ...]
    drop: float = 0.01
    rates: tuple[float, ...] = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25)
    samples: int = 2
    quantile: float = 0.5
    budget: float = 8.0
    group: int = 4
    seed: int = 0
    every: bool = True

    def __post_init__(self) -> None:
        if not self.maps:
            raise InputError("a fleet has at least 1 chip, not 0")
        if not 0 < self.drop < 1:
            raise InputError(f"the accuracy that a chip may lose is above 0 and below 1, not {self.drop}")
        if self.samples < 1 or not self.rates:
            raise InputError(f"a resilience map needs rates and at least 1 map at each, not {self.samples}")


@dataclass(frozen=True)
class Chip:
    """One chip's result: which network file it gets, and its accuracy on that chip's emulated hardware."""

    chip: str
    rate: float
    network: str | None
    trained_for: str
    images: int
    validation: float | None
    test: Interval | None


@dataclass(frozen=True)
class FleetResult:
    """All that was found: policies with their training images, chips, the resilience map and what it cost."""

    clean_validation: float
    clean_test: float
    target: float
    epoch: int
    resilience: Resilience
    outcomes: tuple[Outcome, ...]
    chips: tuple[Chip, ...]
    seconds_per_epoch: float

    def table(self) -> dict[str, Any]:
        """Values for JSON."""
        policies = {
            o.policy: {"epochs": o.images / self.epoch, "meeting": o.meeting, "groups": [list(g) for g in o.groups]}
            for o in self.outcomes
        }
        return {
            "clean": {"validation": self.clean_validation, "test": self.clean_test},
            "target": self.target,
            "resilience": {
                **dataclasses.asdict(self.resilience),
                "images": [_finite(n) for n in self.resilience.images],
            },
            "resilience_epochs": self.resilience.spent / self.epoch,
            "policies": policies,
            "chips": [dataclasses.asdict(chip) for chip in self.chips],
            "seconds_per_epoch": self.seconds_per_epoch,
        }


def retrain(fleet: Fleet, network: Network, data: Any, folder: Path, task: Task) -> FleetResult:
    """Run the whole method in `folder`; what is there already is not done again."""
    clean = accuracy(network, data)
    curves = _curves(fleet, network, data, folder, clean)
    ask = curves.retraining
    target, schedule = ask.target, ask.schedule

    rows, cols = fleet.maps[0].rows, fleet.maps[0].cols
    probes = [
        pattern("uniform", rows, cols, max(1, round(rate * rows * cols)), fleet.seed + 1, i)
        for rate in fleet.rates
        for i in range(fleet.samples)
    ]
    done = task("resilience map", len(probes))
    measured: list[Curve] = []
    for i, probe in enumerate(probes):
        measured.append(curves.curve(probe))
        done(i + 1)
    resilience = Resilience.of(measured, target, fleet.quantile)

    groups = fused(fleet.maps, resilience.needed)
    done = task("groups", len(groups))
    for i, group in enumerate(groups):
        curves.curve(group.map)
        done(i + 1)
    ours = by_groups("fused", groups, fleet.maps, curves.curve, target, schedule, resilience)
    outcomes = [ours, *(_compared(fleet, curves, resilience, task) if fleet.every else ())]
    chips = _measured(fleet, ours, curves, data, task)
    seconds, images = curves.seconds()
    epoch = len(data.train)
    result = FleetResult(
        clean, hits(network, data.test) / len(data.test), target, epoch, resilience, tuple(outcomes), chips,
        seconds / max(images, 1) * epoch,
    )  # fmt: skip
    write_json(folder / "fleet.json", {**result.table(), "asked": said(fleet, network, data), "versions": versions()})
    return result


def _finite(images: float) -> float | None:
    """None for an amount beyond the budget: JSON has no infinity."""
    return None if math.isinf(images) else images


def said(fleet: Fleet, network: Network, data: Any) -> dict[str, Any]:
    """What fleet.json says of the question: all that the answer depends on."""
    maps = fleet.maps
    asked = {item.name: getattr(fleet, item.name) for item in dataclasses.fields(fleet) if item.name != "maps"}
    named = {"network": network.digest, "data": str(data.name), "maps": digest(*(chip.digest for chip in maps))}
    return {**named, "rows": maps[0].rows, "cols": maps[0].cols, **asked}


def _curves(fleet: Fleet, network: Network, data: Any, folder: Path, clean: float) -> Curves:
    schedule = Schedule.epochs(len(data.train), fleet.budget)
    return Curves(Retraining(network, data, schedule, clean - fleet.drop, seed=fleet.seed), folder)


def _compared(fleet: Fleet, curves: Curves, resilience: Resilience, task: Task) -> list[Outcome]:
    """The policies that the method is compared with, from one learning curve per chip and one per random group."""
    target, schedule = curves.retraining.target, curves.retraining.schedule
    maps, need = fleet.maps, resilience.needed
    done = task("one chip at a time", len(maps))
    for i, chip in enumerate(maps):
        curves.curve(chip)
        done(i + 1)
    longest = max((n for m in maps if (n := curves.curve(m).reached(target)) is not None), default=0)
    done = task(f"every chip for {longest:,} images", len(maps))
    for i, chip in enumerate(maps):
        if curves.curve(chip).reached(target) is not None:
            curves.curve(chip, longest)
        done(i + 1)
    some = in_groups_of(fleet.group, maps, need, fleet.seed)
    return [
        untrained(maps, curves.curve, target),
        fixed(maps, curves.curve, target, schedule),
        selection(maps, curves.curve, target, schedule, resilience),
        by_groups(f"random groups of {fleet.group}", some, maps, curves.curve, target, schedule, resilience),
    ]


def _measured(fleet: Fleet, outcome: Outcome, curves: Curves, data: Any, task: Task) -> tuple[Chip, ...]:
    """Every chip's network on its own emulated hardware, faulty PEs bypassed."""
    done = task("chips on emulated hardware", len(fleet.maps))
    chips = []
    for i, (chip, served) in enumerate(zip(fleet.maps, outcome.served, strict=True)):
        name = chip.chip or f"chip {i}"
        if served is None:
            chips.append(Chip(name, chip.rate, None, "", 0, None, None))
            continue
        path = curves.network(served)
        network = Network.load(path)
        array = Array(chip.rows, chip.cols, dataflow="ws")
        engine = Emulator(network, array, bypass=chip.bypass)
        validation = hits(engine.run, data.validation) / len(data.validation)
        interval = wilson(hits(engine.run, data.test), len(data.test))
        reached = curves.curve(served).reached(curves.retraining.target)
        chips.append(
            Chip(name, chip.rate, str(path.relative_to(curves.folder)), served.chip, reached or 0, validation, interval)
        )
        done(i + 1)
    return tuple(chips)


def fleet_on(
    network: Network,
    data_text: str,
    maps: Path | None,
    drawn: tuple[int, str, float],
    shape: tuple[int, int],
    drop: float,
    budget: float,
    compare: bool,
    seed: int,
    folder: Path,
    task: Task,
) -> tuple[dict[str, Any], Sequence[str]]:
    """The verb `fleet`: maps from files, or (how many, pattern, highest rate) `drawn`; a table for machines, lines for people."""
    from hardpoint.optimizer.flow import load_data

    rows, cols = shape
    chips, kind, most = drawn
    if (maps is None) == (chips == 0):
        raise InputError("a fleet's maps are either read with --maps or drawn with --generate N")
    found = load_maps(maps, rows, cols) if maps is not None else draw_fleet(kind, rows, cols, chips, seed, (0.0, most))
    data = load_data(data_text)
    if data.format != network.input_format or tuple(data.shape) != tuple(network.input_shape):
        raise InputError(
            f"data set {data.name} holds samples of shape {data.shape} in {data.format}, "
            f"the network takes {network.input_shape} in {network.input_format}"
        )
    asked = Fleet(tuple(found), drop=drop, budget=budget, seed=seed, every=compare)
    result = retrain(asked, network, data, folder, task)
    return result.table(), [*lines(result), f"{folder}: fleet.json, and a network file per chip under networks/"]


def lines(result: FleetResult) -> Sequence[str]:
    """What people read of a result."""
    meeting = sum(chip.validation is not None and chip.validation >= result.target for chip in result.chips)
    said = [
        f"clean accuracy {result.clean_validation:.4f} (validation), {result.clean_test:.4f} (test); target {result.target:.4f} on validation",
        f"{meeting} of {len(result.chips)} chips meet it on their own emulated hardware",
        f"resilience map: {result.resilience.spent / result.epoch:.2f} epochs",
        f"{'policy':>22} {'epochs':>9} {'chips that meet':>16}",
    ]
    said += [f"{o.policy:>22} {o.images / result.epoch:9.2f} {o.meeting:16d}" for o in result.outcomes]
    return said
