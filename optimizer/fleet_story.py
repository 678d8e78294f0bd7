"""The story of a fleet: its resilience map, what each policy costs, and every chip's accuracy, from fleet.json."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint import __version__
from hardpoint.errors import InputError
from hardpoint.files import load_json, only_keys
from hardpoint.optimizer.figures import Mark, bars, curves
from hardpoint.optimizer.report import Figure, Section, Story, Table
from hardpoint.optimizer.sections import marked, percent
from hardpoint.statistics import Interval, wilson

__all__ = ["story_of_fleet"]

KEYS = {"clean", "target", "resilience", "resilience_epochs", "policies", "chips", "seconds_per_epoch", "asked", "versions"}
CHIP = {"chip", "rate", "network", "trained_for", "images", "validation", "test"}


def story_of_fleet(source: Path) -> Story:
    """The story of a fleet's table as `hardpoint fleet` writes it; unknown keys are errors."""
    table = only_keys(load_json(source, "fleet"), KEYS, f"fleet {source}")
    try:
        return _told(source, table)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"{source} is no fleet's table: {type(error).__name__} {error}") from None


def _told(source: Path, table: Mapping[str, Any]) -> Story:
    target, clean = float(table["target"]), table["clean"]
    chips = [only_keys(chip, CHIP, "chip") for chip in table["chips"]]
    if not chips:
        raise InputError(f"{source} is no fleet's table: it has no chips")
    epoch = float(table["resilience"]["spent"]) / table["resilience_epochs"] if table["resilience_epochs"] else math.nan
    meeting = sum(chip["validation"] is not None and chip["validation"] >= target for chip in chips)
    ours, method = next(iter(table["policies"].items()))
    tests = [(interval, str(chip["chip"])) for chip in chips if (interval := _interval(chip["test"])) is not None]
    worst = min(tests, key=lambda pair: pair[0].mean, default=None)
    answer = (
        f"{meeting} of {len(chips)} chips meet {100 * target:.2f} % validation accuracy on their own emulated hardware, "
        f"after {method['epochs']:.2f} epochs of retraining in all ({ours}) and {table['resilience_epochs']:.2f} for the resilience map; "
    ) + ("no chip got a network." if worst is None else f"the worst chip with a network, {worst[1]}, keeps {percent(worst[0])} on test data.")
    asked = table.get("asked", {})
    data = source.read_bytes()
    return Story(
        title="A fleet of chips with permanent faults",
        asked=f"How much retraining lets every chip keep {100 * target:.2f} % accuracy, where the fault-free network has "
        f"{100 * clean['validation']:.2f} %?",
        answer=answer,
        commands=[*_commands(asked), f"hardpoint report {shlex.quote(source.name)}"],
        provenance={
            "fleet table": f"{source.name}, SHA-256 {hashlib.sha256(data).hexdigest()}",
            **{str(key): value for key, value in asked.items()},
            **({"versions": "; ".join(f"{k} {v}" for k, v in table["versions"].items())} if table.get("versions") else {}),
            "clean accuracy": f"{100 * clean['validation']:.2f} % on validation data, {100 * clean['test']:.2f} % on test data",
            "time": f"{table['seconds_per_epoch']:.1f} s per epoch",
            "page written by": f"hardpoint {__version__}",
        },
        sections=[
            _resilience(table["resilience"], epoch),
            _need(chips, epoch),
            _policies(table["policies"], len(chips)),
            _chips(chips, target, clean, epoch),
            _groups(ours, method, chips),
        ],
    )


def _commands(asked: Mapping[str, Any]) -> list[str]:
    """What makes the fleet again, as far as the table says what was asked."""
    if not asked:
        return ["# the table does not say network, data, maps and seed", "hardpoint fleet NETWORK.npz --data DATA --maps MAPS --out FOLDER"]
    words = ["hardpoint", "fleet", "network.npz", "--data", "DATA", "--maps", "MAPS"]
    for option, key in (("--rows", "rows"), ("--cols", "cols"), ("--drop", "drop"), ("--budget", "budget"), ("--compensation", "compensation"), ("--seed", "seed")):
        words += [option, str(asked[key])] if key in asked else []
    return [f"# network {asked.get('network', 'not named')}", shlex.join([*words, "--compare", "--out", "FOLDER"])]


def _epochs(images: float | None, epoch: float) -> str:
    if images is None or math.isinf(images):
        return "more than the budget"
    return f"{images / epoch:.3g}" if math.isfinite(epoch) else f"{images:,.0f} images"


def _resilience(found: Mapping[str, Any], epoch: float) -> Section:
    """The retraining that each PE fault rate needs."""
    unit, name = (epoch, "epochs") if math.isfinite(epoch) else (1.0, "images")
    rates = [float(rate) for rate in found["rates"]]
    needs = [math.inf if images is None else float(images) for images in found["images"]]
    if len(rates) != len(needs):
        raise InputError("a resilience map needs one amount for each of its rates")
    rows = [[f"{100 * rate:.3g} %", _epochs(need, epoch)] for rate, need in zip(rates, needs, strict=True)]
    table = Table(["PE fault rate", name], rows, note=f"{100 * found['quantile']:.0f} % of the maps of a rate need no more.")
    marks = [
        Mark(100 * rate, math.nan, need / unit, math.nan, f"{100 * rate:.3g} % of PEs faulty: {need / unit:.3g} {name}")
        for rate, need in zip(rates, needs, strict=True)
        if math.isfinite(need)
    ]
    figures = []
    if marks:
        svg = curves({"needed": marks}, "PE fault rate (%)", f"retraining ({name})", "Resilience map", from_zero=True)
        figures.append(Figure(svg, "Retraining that a chip needs to meet the target, measured on drawn maps; rates that the budget does not save are left out."))
    return Section("Resilience map", figures, [table])


def _need(chips: Sequence[Mapping[str, Any]], epoch: float) -> Section:
    """How many chips meet the target after how much retraining, by PE fault rate."""
    unit, name = (epoch, "epochs") if math.isfinite(epoch) else (1.0, "images")
    edges = np.quantile([float(chip["rate"]) for chip in chips], [0, 0.25, 0.5, 0.75, 1])
    places = sorted({0.0} | {float(chip["images"]) for chip in chips if chip["network"]})
    series = {}
    for i, (low, high) in enumerate(pairwise(edges.tolist())):
        own = [chip for chip in chips if low < float(chip["rate"]) <= high or (i == 0 and float(chip["rate"]) == low)]
        if own:
            met = [wilson(sum(bool(chip["network"]) and chip["images"] <= place for chip in own), len(own)) for place in places]
            series[f"{100 * low:.1f} to {100 * high:.1f} % of PEs faulty"] = [
                Mark(place / unit, 100 * v.low, 100 * v.mean, 100 * v.high, f"{place / unit:.3g} {name}: {100 * v.mean:.0f} % of {v.units} chips")
                for place, v in zip(places, met, strict=True)
            ]
    svg = curves(series, f"retraining of a chip ({name})", "chips that meet the target (%)", "Resilience of the fleet")
    note = "A quarter of the chips per curve, by fault rate; a group's amount is that of all its chips. Bars are Wilson intervals over chips."
    return Section("Retraining that chips need", [Figure(svg, note)])


def _policies(policies: Mapping[str, Any], chips: int) -> Section:
    """What every policy costs and saves."""
    rows = [
        [name, f"{found['epochs']:.2f}", f"{found.get('map_epochs', 0.0):.2f}", f"{found['meeting']} of {chips}", str(len(found["groups"]) or "")]
        for name, found in policies.items()
    ]
    figure = Figure(
        bars({f"{name} ({found['meeting']} of {chips} meet)": float(found["epochs"]) for name, found in policies.items()}, "epochs of retraining for the fleet", "Epochs by policy"),
        "The resilience map's own cost is not part of the bars.",
    )
    note = "Chips that meet the target on validation data; epochs of the whole fleet."
    return Section("Policies", [figure], [Table(["policy", "epochs", "and its resilience map", "meet", "groups"], rows, note=note)])


def _interval(value: Any) -> Interval | None:
    return None if value is None else Interval(**only_keys(value, {"mean", "low", "high", "confidence", "units", "method"}, "interval"))


def _chips(chips: Sequence[Mapping[str, Any]], target: float, clean: Mapping[str, Any], epoch: float) -> Section:
    """Every chip's accuracy on its own emulated hardware."""
    tested, validated, rows = [], [], []
    for chip in chips:
        test, rate = _interval(chip["test"]), 100 * float(chip["rate"])
        says = f"{chip['chip']}, {rate:.3g} % of PEs faulty, {_epochs(chip['images'], epoch)} epochs"
        if test is not None:
            tested.append(marked(rate, test, f"{says}, test"))
        if chip["validation"] is not None:
            value = 100 * chip["validation"]
            validated.append(Mark(rate, math.nan, value, math.nan, f"{says}, validation {value:.2f} %"))
        meets = chip["validation"] is not None and chip["validation"] >= target
        rows.append(
            [
                str(chip["chip"]), str(chip["network"] or "none"), str(chip["trained_for"]), "yes" if meets else "no", f"{rate:.2f} %",
                _epochs(chip["images"], epoch) if chip["network"] else "",
                "" if chip["validation"] is None else f"{100 * chip['validation']:.2f} %", "" if test is None else percent(test),
            ]
        )  # fmt: skip
    rules = {"target (validation)": 100 * target, "fault-free (test)": 100 * clean["test"]}
    series = {name: marks for name, marks in (("validation", validated), ("test", tested)) if marks}
    figures = []
    if series:
        svg = curves(series, "PE fault rate of the chip (%)", "accuracy (%)", "Accuracy of every chip", rules, joined=False)
        figures.append(Figure(svg, "Bars are intervals over test images. Decisions are taken on validation data; test data only report."))
    heads = ["chip", "network", "trained for", "meets target", "PE fault rate", "epochs", "validation", "test"]
    return Section("Chips", figures, [Table(heads, rows, 4)])


def _groups(name: str, method: Mapping[str, Any], chips: Sequence[Mapping[str, Any]]) -> Section:
    """Which chips share a retraining."""
    rows = []
    for number, group in enumerate(method["groups"], 1):
        members = [chips[int(i)] for i in group]
        served = sum(chip["network"] is not None for chip in members)
        rates = [100 * float(chip["rate"]) for chip in members]
        shown = ", ".join(str(chip["chip"]) for chip in members[:50]) + (f" and {len(members) - 50} more" if len(members) > 50 else "")
        rows.append([shown, str(number), str(len(members)), str(served), f"{min(rates):.2f} to {max(rates):.2f} %"])
    shared = sum(len(group) > 1 for group in method["groups"])
    note = f"Policy {name}: {len(rows)} groups, {shared} of more than one chip. A group is retrained once, for the union of its maps."
    return Section("Groups", tables=[Table(["chips", "group", "size", "with a network", "PE fault rates"], rows, note=note)])
