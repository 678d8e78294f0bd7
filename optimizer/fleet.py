"""A fleet from maps to network files: learning curves, resilience map, groups, what each policy costs, and each chip's accuracy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
from hardpoint.training.fleet_groups import Group, fused, in_groups_of
from hardpoint.training.fleet_policies import Outcome, by_groups, fixed, selection, untrained
from hardpoint.training.fleet_twin import Adam

__all__ = ["Chip", "Fleet", "FleetResult", "fleet_on", "lines", "retrain"]

Task = Callable[[str, int], Callable[[int], None]]

COMPENSATED = Adam(6e-4, 32)
"""How a compensated chip is retrained: gently, for it starts close to its target."""

BARE = Adam(2e-3, 32)
"""How a chip is retrained that starts without its weights: of the rates tried, the one that needs the fewest images."""


@dataclass(frozen=True)
class Fleet:
    """What is asked: every chip is to lose at most `drop` of the clean accuracy.

    Chips start compensated from the moments of `compensation` training samples (all, if there are fewer; 0: they start
    without their weights). The resilience map is measured on `samples` uniform maps at each of `rates`, and says what
    `quantile` of them need. `budget` is the most that a map is retrained, in epochs; `every` policy is compared, or only
    the method's own run; `group` is the size of the random groups.
    """

    maps: tuple[FaultMap, ...]
    drop: float = 0.01
    rates: tuple[float, ...] = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25)
    samples: int = 2
    quantile: float = 0.5
    budget: float = 8.0
    group: int = 2
    seed: int = 0
    every: bool = True
    compensation: int = 8000

    def __post_init__(self) -> None:
        if not self.maps:
            raise InputError("a fleet has at least 1 chip, not 0")
        if not 0 < self.drop < 1:
            raise InputError(f"the accuracy that a chip may lose is above 0 and below 1, not {self.drop}")
        if self.samples < 1 or not self.rates:
            raise InputError(f"a resilience map needs rates and at least 1 map at each, not {self.samples}")
        if self.compensation < 0:
            raise InputError(f"samples for compensation must be 0 or more, not {self.compensation}")


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
            o.policy: {
                "epochs": o.images / self.epoch,
                "map_epochs": o.measuring / self.epoch,
                "meeting": o.meeting,
                "groups": [list(g) for g in o.groups],
            }
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
    resilience = _resilience(fleet, curves, task)
    ours = _fused("method" if fleet.compensation else "fused", fleet, curves, resilience, task)
    chips = _measured(fleet, ours, curves, data, task)
    outcomes = [ours, *(_compared(fleet, curves, folder, clean, task) if fleet.every else ())]
    seconds, images = curves.seconds()
    epoch = len(data.train)
    result = FleetResult(
        clean, hits(network, data.test) / len(data.test), curves.retraining.target, epoch, resilience, tuple(outcomes), chips,
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


def _curves(fleet: Fleet, network: Network, data: Any, folder: Path, clean: float, bare: bool = False) -> Curves:
    """The learning curves of compensated chips, or of `bare` ones, which lie in a folder of their own."""
    schedule = Schedule.epochs(len(data.train), fleet.budget)
    samples = 0 if bare else min(fleet.compensation, len(data.train))
    adam = COMPENSATED if samples else BARE
    ask = Retraining(network, data, schedule, clean - fleet.drop, adam, fleet.seed, samples)
    return Curves(ask, folder / "bare" if bare else folder)


def _resilience(fleet: Fleet, curves: Curves, task: Task) -> Resilience:
    """What drawn maps need at each rate."""
    rows, cols = fleet.maps[0].rows, fleet.maps[0].cols
    probes = [
        pattern("uniform", rows, cols, max(1, round(rate * rows * cols)), fleet.seed + 1, i)
        for rate in fleet.rates
        for i in range(fleet.samples)
    ]
    measured = _trained("resilience map", probes, curves, task)
    return Resilience.of(measured, curves.retraining.target, fleet.quantile)


def _trained(what: str, maps: Sequence[FaultMap], curves: Curves, task: Task) -> list[Curve]:
    """The learning curves of `maps`."""
    done = task(what, len(maps))
    made = []
    for i, chip in enumerate(maps):
        made.append(curves.curve(chip))
        done(i + 1)
    return made


def _fused(policy: str, fleet: Fleet, curves: Curves, resilience: Resilience, task: Task) -> Outcome:
    """Maps fused where the resilience map says that it saves training."""
    return _grouped(policy, fused(fleet.maps, resilience.needed), fleet, curves, task, resilience.spent)


def _grouped(
    policy: str, groups: Sequence[Group], fleet: Fleet, curves: Curves, task: Task, measuring: int = 0
) -> Outcome:
    """One retraining per group, and what compensation took."""
    _trained(policy, [group.map for group in groups], curves, task)
    ask = curves.retraining
    made = by_groups(policy, groups, fleet.maps, curves.curve, ask.target, ask.schedule)
    return dataclasses.replace(made, images=made.images + ask.compensation, measuring=measuring)


def _compared(fleet: Fleet, curves: Curves, folder: Path, clean: float, task: Task) -> list[Outcome]:
    """The policies that the method is compared with: those of chips that start bare, and the parts of the method alone."""
    ask, maps = curves.retraining, fleet.maps
    outcomes: list[Outcome] = []
    if ask.compensation:
        _trained("compensated, one chip at a time", maps, curves, task)
        parts = [
            untrained(maps, curves.curve, ask.target, "compensation alone"),
            selection(maps, curves.curve, ask.target, ask.schedule, "compensation, selection"),
        ]
        outcomes = [dataclasses.replace(part, images=part.images + ask.compensation) for part in parts]
        curves = _curves(fleet, ask.network, ask.data, folder, clean, bare=True)
    _trained("one chip at a time", maps, curves, task)
    outcomes += [
        untrained(maps, curves.curve, ask.target),
        fixed(maps, curves.curve, ask.target),
        selection(maps, curves.curve, ask.target, ask.schedule),
    ]
    resilience = _resilience(fleet, curves, task)
    if ask.compensation:
        outcomes.append(_fused("fused", fleet, curves, resilience, task))
    some = in_groups_of(fleet.group, maps, resilience.needed, fleet.seed)
    outcomes.append(_grouped(f"random groups of {fleet.group}", some, fleet, curves, task))
    if all(np.logical_or.reduce([chip.bypass for chip in maps]).ravel()):
        outcomes.append(Outcome("one union model", 0, (None,) * len(maps)))  # it would be left without a PE
    else:
        one = in_groups_of(len(maps), maps, resilience.needed, fleet.seed)
        outcomes.append(_grouped("one union model", one, fleet, curves, task))
    return outcomes


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
    compensation: int,
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
    asked = Fleet(tuple(found), drop=drop, budget=budget, seed=seed, every=compare, compensation=compensation)
    result = retrain(asked, network, data, folder, task)
    return result.table(), [*lines(result), f"{folder}: fleet.json, and a network file per chip under networks/"]


def lines(result: FleetResult) -> Sequence[str]:
    """What people read of a result."""
    meeting = sum(chip.validation is not None and chip.validation >= result.target for chip in result.chips)
    said = [
        f"clean accuracy {result.clean_validation:.4f} (validation), {result.clean_test:.4f} (test); target {result.target:.4f} on validation",
        f"{meeting} of {len(result.chips)} chips meet it on their own emulated hardware",
        f"{'policy':>24} {'epochs':>9} {'and its map':>12} {'chips that meet':>16}",
    ]
    said += [
        f"{o.policy:>24} {o.images / result.epoch:9.2f} {o.measuring / result.epoch:12.2f} {o.meeting:16d}"
        for o in result.outcomes
    ]
    return said
