"""The story of single faults: how often a flip matters, and in which layer, site, bit and PE."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import SITES
from hardpoint.host.outcomes import OUTCOMES, Block
from hardpoint.host.plots import pe_map
from hardpoint.host.singles import Group, SingleCampaign, SingleResult, Stratum, Trials, strata_from, summed
from hardpoint.host.store import Store
from hardpoint.optimizer.figures import Mark, curves, groups, heat_map, outcome_bars
from hardpoint.optimizer.report import Figure, Section, Table
from hardpoint.optimizer.sections import between, marked, percent

__all__ = ["stored_singles", "told_singles"]

WAYS: tuple[tuple[str, ...], ...] = ((), ("layer",), ("site",), ("layer", "site"))


def stored_singles(
    store: Store, subject: str, asked: SingleCampaign, about: Mapping[str, Any], array: Array
) -> Iterator[tuple[SingleResult, str]]:
    """What the store holds of a campaign, once per way in which its flips were drawn; and what is missing, in words."""
    points = set(store.points(subject))
    for by in WAYS:
        strata, population = _strata(store, about, by, asked)
        held = [stratum for stratum in strata if stratum.name in points]
        if not held:
            continue
        points -= {stratum.name for stratum in held}
        blocks = [_joined(store.blocks(subject, stratum.name)) for stratum in held]
        number = np.repeat(np.arange(len(held)), [len(block) for block in blocks])
        faults, outcomes, correct = (
            np.concatenate([getattr(block, name) for block in blocks]) for name in ("faults", "outcomes", "correct")
        )
        trials = Trials(faults, outcomes, correct, number, tuple(held))
        lacks = [stratum.name for stratum in strata if stratum not in held]
        note = f"Not struck yet, and not part of the estimates: {'; '.join(lacks[:10])}." if lacks else ""
        clean = about.get("clean_accuracy")
        sized = population * asked.images
        yield summed(_as_drawn(asked, by), array, trials, sized, math.nan if clean is None else clean), note
    if points:
        raise InputError(f"store {store.path}: campaign {subject} has strata that it does not describe: {', '.join(sorted(points)[:3])}")


def _as_drawn(asked: SingleCampaign, by: tuple[str, ...]) -> SingleCampaign:
    """`asked`, drawn in strata `by`: a store says of its first run only how it was drawn."""
    return asked if asked.strata == by else dataclasses.replace(asked, strata=by, until_error=None if by else asked.until_error)


def _strata(store: Store, about: Mapping[str, Any], by: tuple[str, ...], asked: SingleCampaign) -> tuple[tuple[Stratum, ...], int]:
    live = about.get("live")
    if live is None:  # a store that does not say the population: all of it is one stratum
        return ((Stratum(None, None, 1.0),), 0) if not by else ((), 0)
    try:
        return strata_from([{str(site): int(bits) for site, bits in sites.items()} for sites in live], by, dict(asked.weights))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"store {store.path} describes a population that is none") from None


def _joined(blocks: Sequence[Block]) -> Block:
    """Trials of overlapping blocks, each once, in order."""
    numbers = np.concatenate([np.arange(block.first, block.first + len(block)) for block in blocks])
    _, first = np.unique(numbers, return_index=True)
    faults, outcomes, correct = (
        np.concatenate([getattr(block, name) for block in blocks])[first] for name in ("faults", "outcomes", "correct")
    )
    return Block(0, faults, outcomes, correct)


def told_singles(
    result: SingleResult, array: Array, about: Mapping[str, Any], design: str, network: str, lacks: str
) -> tuple[str, str, list[Section]]:
    """Question, answer in one sentence, and sections."""
    asked, whole = result.campaign, result.overall
    names = [str(layer["name"]) for layer in about.get("layers", ())]
    clean = result.clean_accuracy
    size = f"{whole.trials:,} of {result.population:,} possible flips" if result.population else f"{whole.trials:,} flips"
    answer = (
        f"A single flip in {design} is SDC-critical in {percent(whole.critical)} of cases and changes outputs in "
        f"{percent(whole.sdc)} ({asked.confidence:.0%} intervals, {size}); highest rates measured: {_most(result, names)}."
    )
    question = f"How often, and where, does a single bit flip hurt network {network}?"
    note = f"Convention: {asked.says}. {whole.critical.method}. {lacks}"
    rows = [
        ["accuracy under a flip", percent(result.accuracy)],
        *([] if math.isnan(clean) else [["fault-free accuracy", f"{100 * clean:.2f} %"]]),
        ["SDC (outputs differ)", percent(whole.sdc)],
        ["SDC-critical (criterion fails)", percent(whole.critical)],
        ["DUE (detected, no result)", percent(whole.due)],
        *([name, f"{whole.outcomes[name]:,} flips"] for name in OUTCOMES),
    ]
    overall = Section(
        "Single flips",
        [Figure(outcome_bars({"all": whole.outcomes, **_by_layer(result, names)}, "Outcomes of single flips"), "Flips as drawn.")],
        [Table(["", "estimate with interval"], rows, note=note)],
    )
    found = [overall, *_places(result, names), *_bits(result), *_pes(result, array), *_strata_table(result, names)]
    drawn = f"flips in strata by {' and '.join(asked.strata)}" if asked.strata else "flips drawn uniformly"
    return question, answer, [dataclasses.replace(section, title=f"{section.title}: {drawn}") for section in found]


def _most(result: SingleResult, names: Sequence[str]) -> str:
    """The layer and the site in which a flip is critical most often."""
    layer = max(result.groups["layer"], key=lambda group: group.critical.mean)
    site = max(result.groups["site"], key=lambda group: group.critical.mean)
    return f"layer {_name(layer, names)} ({percent(layer.critical)}), site {site.place['site']} ({percent(site.critical)})"


def _name(group: Group, names: Sequence[str]) -> str:
    if "layer" in group.place:
        number = int(group.place["layer"])
        return names[number] if number < len(names) else str(number)
    return " ".join(str(value) for value in group.place.values())


def _by_layer(result: SingleResult, names: Sequence[str]) -> dict[str, Mapping[str, int]]:
    found = result.groups["layer"]
    return {f"layer {_name(group, names)}": group.outcomes for group in found} if len(found) <= 24 else {}


def _places(result: SingleResult, names: Sequence[str]) -> list[Section]:
    """Vulnerability by layer, site and guard: pictures with intervals, and tables."""
    figures, tables = [], []
    for name, label in (("layer", "layer"), ("site", "site"), ("guard", "guard of the PE struck"), ("copy", "site and copy")):
        found = result.groups[name]
        ticks = [_name(group, names) for group in found]
        if name != "copy" and 2 <= len(found) <= 40:
            series = {
                "outputs differ (SDC)": [marked(0, group.sdc, f"{tick}, SDC") for tick, group in zip(ticks, found, strict=True)],
                "criterion fails (SDC-critical)": [marked(0, group.critical, f"{tick}, SDC-critical") for tick, group in zip(ticks, found, strict=True)],
            }
            figures.append(Figure(groups(ticks, series, "share of single flips (%)", f"Vulnerability by {label}"), f"By {label}, with intervals."))
        tables.append(_table(label, ticks, found))
    return [Section("Vulnerability by layer, site and guard", figures, tables)]


def _table(label: str, ticks: Sequence[str], found: Sequence[Group]) -> Table:
    heads = [label, "flips", "share of population", "SDC-critical", "interval", "SDC", "interval", "DUE", "interval"]
    rows = []
    for tick, group in zip(ticks, found, strict=True):
        row = [tick, f"{group.trials:,}", f"{100 * group.share:.2f} %"]
        for rate in (group.critical, group.sdc, group.due):
            row += [f"{100 * rate.mean:.2f} %", between(rate)]
        rows.append(row)
    return Table(heads, rows)


def _bits(result: SingleResult) -> list[Section]:
    """SDC-critical share by struck bit, one curve per site."""
    series: dict[str, list[Mark]] = {}
    for group in sorted(result.groups["bit"], key=lambda group: (SITES.index(group.place["site"]), group.place["bit"])):
        site, bit = str(group.place["site"]), int(group.place["bit"])
        series.setdefault(site, []).append(marked(bit, group.critical, f"{site} bit {bit}, SDC-critical"))
    label = "bit struck (a flip of it weighs 2^bit)"
    parts = [{site: marks for site, marks in series.items() if (site in ("act", "wgt")) == operand} for operand in (False, True)]
    figures = [
        Figure(curves(part, label, "SDC-critical flips (%)", f"Vulnerability by bit: {', '.join(part)}", from_zero=True), f"{', '.join(part)}, with intervals.")
        for part in parts
        if part
    ]
    return [Section("Vulnerability by bit", figures)]


def _pes(result: SingleResult, array: Array) -> list[Section]:
    """The array as a heat map."""
    found = result.groups["pe"]
    if not found:
        return []
    says = {
        (int(g.place["row"]), int(g.place["col"])): f"SDC-critical {percent(g.critical)}, {g.trials:,} flips, guard "
        f"{array.guard(int(g.place['row']), int(g.place['col']))}"
        for g in found
    }
    label = "SDC-critical flips in the PE (%)"
    figure = Figure(
        heat_map(100 * pe_map(result, array), says, label, "Vulnerability by PE"),
        "Means; a PE's interval is in its hover text. An empty cell was not struck. Operand faults travel right (act) and down (wgt).",
    )
    return [Section("Vulnerability by PE", [figure])]


def _strata_table(result: SingleResult, names: Sequence[str]) -> list[Section]:
    if len(result.strata) < 2:
        return []

    def named(found: re.Match[str]) -> str:
        number = int(found[1])
        return f"layer {names[number]}" if number < len(names) else found[0]

    ticks = [re.sub(r"^layer (\d+)", named, str(group.place["stratum"])) for group in result.strata]
    return [Section("Strata", tables=[_table("stratum", ticks, result.strata)])]
