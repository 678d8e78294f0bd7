"""The story of a campaign's store: every convention that it holds, from the store alone."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardpoint import __version__
from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.host.campaign import Campaign
from hardpoint.host.convention import CONVENTIONS, convention
from hardpoint.host.outcomes import OUTCOMES, Counts
from hardpoint.host.rows import RATES, Watch
from hardpoint.host.singles import SingleCampaign
from hardpoint.host.store import Store
from hardpoint.optimizer.report import Rate, Section, Story
from hardpoint.optimizer.sections import POINTS, between, of_breakdown, of_costs, of_rates
from hardpoint.optimizer.singles_story import stored_singles, told_singles
from hardpoint.statistics import Interval, cluster_wilson

__all__ = ["story_of_store"]

ORDER = (*CONVENTIONS, "single")
OPTIONS = {"ber": "--ber", "count": "--count", "neuron": "--ber", "permanent uniform": "--permanent-rate"}
OPTIONS["permanent clustered"] = OPTIONS["permanent uniform"]


@dataclass(frozen=True)
class Stored:
    """One campaign of a store: what was asked, and what else the store says of it; `design` names its array."""

    subject: str
    asked: Campaign | SingleCampaign
    about: Mapping[str, Any]
    array: Array | None
    design: str


def story_of_store(source: Path) -> Story:
    """The story of all campaigns of a store that have results."""
    store = Store(source)
    found = [campaign for campaign in _campaigns(store) if store.points(campaign.subject)]
    if not found:
        raise InputError(f"{source} holds no results yet")
    told: list[tuple[str, str, list[Section]]] = []
    for name in ORDER:
        mine = [campaign for campaign in found if campaign.asked.convention == name]
        for group in _comparable(mine):
            told += _singles(store, group) if name == "single" else [_lists(store, group)]
    asked, answer, _ = told[0]
    parts = [
        section if not place or number else dataclasses.replace(section, note=f"{said} {section.note}".strip())
        for place, (_, said, sections) in enumerate(told)
        for number, section in enumerate(sections)
    ]
    arrays = {campaign.design: campaign.array for campaign in found if campaign.array is not None}
    return Story(
        title="A fault-injection campaign" if len(found) == 1 else f"{len(found)} fault-injection campaigns",
        asked=asked,
        answer=answer,
        commands=[*(line for campaign in found for line in _commands(store, campaign)), f"hardpoint report {shlex.quote(source.name)}"],
        provenance={**_provenance(store, found), "page written by": f"hardpoint {__version__}"},
        array=next(iter(arrays.values())) if len(arrays) == 1 else None,
        sections=[*parts, *_costs(arrays)],
    )


def _campaigns(store: Store) -> list[Stored]:
    """The campaigns of a store; designs that would share a name are told apart by digests."""
    found = []
    for subject, about in store.campaigns().items():
        try:
            kind = SingleCampaign if about["convention"] == "single" else Campaign
            names = {item.name for item in dataclasses.fields(kind)}
            asked = kind(**{name: _tuples(value) for name, value in about.items() if name in names})
            table = about.get("accelerator")
            array = None if table is None else Array.restore({"format": "hardpoint array 1", **table})
            clean = about.get("clean_accuracy")
            if clean is not None and not 0 <= clean <= 1:
                raise InputError(f"a clean accuracy is 0 to 1, not {clean}")
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise InputError(f"store {store.path}: campaign {subject} cannot be read: {error}") from None
        found.append(Stored(subject, asked, about, array, _design(asked, array)))
    named: dict[tuple[str, str], set[str]] = {}
    for one in found:
        named.setdefault((one.asked.convention, one.design), set()).add(one.subject)
    return [
        dataclasses.replace(one, design=f"{one.design} ({one.subject[:6]})") if len(named[one.asked.convention, one.design]) > 1 else one
        for one in found
    ]


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _design(asked: Campaign | SingleCampaign, array: Array | None) -> str:
    """A name for what was struck."""
    if asked.convention == "neuron":
        return "network alone"
    if array is None:
        return f"array {asked.array[:8]}"
    guards = " and ".join(str(guard) for guard in array.guards)
    words = f"{array.rows}x{array.cols} {array.dataflow}, guard {guards}"
    if array.recompute is not None:
        words += f", recompute unit {array.recompute.lanes}"
    return words + (", bypassed" if "bypass" in asked.array else "")


def _comparable(campaigns: list[Stored]) -> list[list[Stored]]:
    """Campaigns by network, data, images and confidence: what may stand in one picture."""
    groups: dict[tuple[Any, ...], list[Stored]] = {}
    for one in campaigns:
        asked = one.asked
        groups.setdefault((asked.network, asked.data, asked.images, asked.confidence, asked.weights), []).append(one)
    return list(groups.values())


def _lists(store: Store, campaigns: list[Stored]) -> tuple[str, str, list[Section]]:
    """Question, answer and section of campaigns of fault lists or maps."""
    first = campaigns[0].asked
    rates: list[Rate] = []
    for one in campaigns:
        for text in sorted(store.points(one.subject), key=_number(store)):
            rates.append(_rate(one, float(text), store.units(one.subject, text)))
    clean = campaigns[0].about.get("clean_accuracy")
    name = POINTS[first.convention][0]
    worst = min(rates, key=lambda rate: (rate.accuracy.mean, -rate.point))
    a, c = worst.accuracy, worst.critical
    unit = convention(first.convention).unit
    answer = (
        f"At {name} {worst.point:.3g}, the worst measured, {worst.design} classifies {100 * a.mean:.2f} % of images as labelled "
        f"{between(a)}{'' if clean is None else f', against {100 * clean:.2f} % without faults'}; "
        f"{100 * c.mean:.2f} % {between(c)} of inferences are SDC-critical "
        f"({a.confidence:.0%} intervals, {worst.units:,} units, {unit} each)."
    )
    asked = f"How accurate is network {_network(campaigns[0])} under {convention(first.convention).point}?"
    says = first.says if isinstance(first, Campaign) else ""
    short = [f"{rate.design} at {rate.point:.3g}: {rate.units} units" for rate in rates if rate.units < 2]
    note = f"Convention: {says}. {a.method.capitalize()}." + (f" Too few units to rely on: {'; '.join(short)}." if short else "")
    title = {"ber": "Accuracy against BER", "count": "Accuracy against strikes per inference", "neuron": "Software convention"}
    section = of_rates(rates, first.convention, clean, None, note, title.get(first.convention, f"Accuracy against faulty PEs ({first.convention})"))
    return asked, answer, [section]


def _number(store: Store) -> Any:
    def value(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise InputError(f"store {store.path} holds a point that is no number: {text!r}") from None

    return value


def _rate(one: Stored, point: float, units: Mapping[int, Counts]) -> Rate:
    """Intervals over the stored units of a point, as the campaign itself makes them."""
    asked = one.asked
    shared = convention(asked.convention).shared
    taken = [units[trial] for trial in sorted(units)]
    watch = None
    if asked.until_error is not None:
        watch = Watch(asked.confidence, shared)
        for trial in range(len(units)):
            if trial not in units or watch.error() <= asked.until_error:
                break
            watch.update(units[trial])
        taken = taken[: watch.units] if watch.units else taken
    images = taken[0].images

    def interval(name: str) -> Interval:
        values = [RATES[name](unit) / images for unit in taken]
        if watch is not None and watch.units:
            return watch.interval(name, sum(values) / len(values))
        return cluster_wilson(values, asked.confidence, draws=1 if shared else images)

    outcomes = {name: sum(getattr(unit, name) for unit in taken) for name in OUTCOMES}
    rates = {name: interval(name) for name in RATES}
    return Rate(one.design, point, rates["accuracy"], rates["critical"], len(taken), images, rates["sdc"], rates["due"], outcomes)


def _singles(store: Store, campaigns: list[Stored]) -> list[tuple[str, str, list[Section]]]:
    """Question, answer and sections of campaigns of single faults, one after another."""
    told = []
    for one in campaigns:
        if one.array is None or not isinstance(one.asked, SingleCampaign):
            raise InputError(f"store {store.path}: campaign {one.subject} does not say its array")
        for result, lacks in stored_singles(store, one.subject, one.asked, one.about, one.array):
            told.append(told_singles(result, one.array, one.about, one.design, _network(one), lacks))
    return told


def _network(one: Stored) -> str:
    """A network's name, where it has one of its own, and its digest."""
    named = one.about.get("named")
    return f"{named} ({one.asked.network})" if named and named != "network" else one.asked.network


def _costs(arrays: Mapping[str, Array]) -> list[Section]:
    """What the designs of a campaign cost, where that is known."""
    from hardpoint.hls.cost import array_cost

    costs: dict[str, Cost] = {}
    for name, array in arrays.items():
        try:
            costs[name] = array_cost(array)
        except InputError:
            continue
    if not costs:
        return []
    made: list[Section | None] = [of_costs(costs, next(iter(arrays.values())))]
    if len(arrays) == 1:
        made.append(of_breakdown(next(iter(arrays.values())), next(iter(arrays))))
    return [section for section in made if section is not None]


def _commands(store: Store, one: Stored) -> list[str]:
    """What plays a campaign again; files are named by what they must hold."""
    asked, points = one.asked, store.points(one.subject)
    words = ["hardpoint", "campaign", f"{one.about.get('named') or 'network'}.npz", "--data", "DATA"]
    if isinstance(asked, SingleCampaign):
        words += ["--single", str(asked.trials), *(["--stratify", ",".join(asked.strata)] if asked.strata else [])]
    else:
        for point in sorted(points, key=_number(store)):
            words += [OPTIONS[asked.convention], f"{float(point):.0f}" if asked.convention == "count" else f"{float(point):g}"]
        most = max(len(store.units(one.subject, point)) for point in points)
        words += ["--trials", str(most if asked.until_error is None else asked.trials)]
        words += ["--pattern", "clustered"] if asked.convention == "permanent clustered" else []
        words += ["--convention", "neuron"] if asked.convention == "neuron" else []
    for site, weight in asked.weights:
        words += ["--weight", f"{site}={weight:g}"]
    words += [] if asked.until_error is None else ["--until-error", f"{asked.until_error:g}"]
    words += [] if asked.confidence == 0.95 else ["--confidence", f"{asked.confidence:g}"]
    words += ["--images", str(asked.images), "--seed", str(asked.seed)]
    if asked.convention != "neuron":
        words += ["--array", "array.json"]
        words += ["--device", asked.engine] if asked.engine in ("csim", "rtl", "zynq") else []
    needs = f"# network {asked.network}, array {asked.array}, data {asked.data}"
    return [needs, shlex.join([*words, "--store", store.path.name])]


def _provenance(store: Store, found: list[Stored]) -> dict[str, str]:
    """Digests, seeds, conventions and versions of everything, one line per campaign."""
    told = {}
    for number, one in enumerate(found, 1):
        asked = one.asked
        made = list(dict.fromkeys("; ".join(f"{name} {text}" for name, text in sorted(run.items())) for run in store.versions(one.subject)))
        told[f"campaign {number}"] = (
            f"{one.subject}: {one.design}; network {_network(one)}; array {asked.array}; data {asked.data}; {asked.images:,} images; "
            f"seed {asked.seed}; engine {asked.engine}; convention {asked.convention}: {asked.says}; confidence {asked.confidence:g}; "
            f"{one.about.get('fault_model', 'fault model not named')}"
        )
        if made:
            told[f"versions of campaign {number}"] = " | ".join(made)
        read: dict[str, list[float]] = {}
        for _, name, value in store.readings(one.subject):
            read.setdefault(name, []).append(value)
        if read:
            told[f"sensors during campaign {number}"] = "; ".join(
                f"{name}: {min(values):.4g} to {max(values):.4g}, {len(values)} readings" for name, values in read.items()
            )
    return told
