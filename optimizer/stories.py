"""Stories from what is stored: a search's study, a campaign's store."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardpoint.design import DesignPoint
from hardpoint.errors import InputError
from hardpoint.optimizer.report import Rate, Story
from hardpoint.optimizer.study import Study
from hardpoint.statistics import cluster_wilson

__all__ = ["story_of"]


def story_of(source: Path) -> Story:
    """The story of a study or a store, whichever `source` is."""
    if not source.is_file():
        raise InputError(f"there is no study or store {source}")
    try:
        db = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        try:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            db.close()
    except sqlite3.Error as error:
        raise InputError(f"{source} is neither a study nor a store: {error}") from None
    if "problem" in tables:
        return _of_study(source)
    if "campaigns" in tables:
        return _of_store(source)
    raise InputError(f"{source} is neither a study nor a store")


def _of_study(source: Path) -> Story:
    study = Study(source)
    problem, points = study.problem, study.points
    feasible = [p for p in points if p.feasible and p.cost is not None and p.cost.lut is not None]
    best = min(feasible, key=_lut, default=None)
    if best is None:
        answer = f"None of {len(points)} designs met the constraints."
    else:
        answer = f"{best.settings}: {_lut(best):,.0f} LUTs, the cheapest of {len(points)} designs; {best.reason}."
    return Story(
        title="A search for the cheapest fault-tolerant design",
        asked=f"Which design is cheapest while its accuracy at BER {problem.get('ber', 0):g} is at least {problem.get('target', 0):.4f}?",
        answer=answer,
        commands=[f"hardpoint report {source.name}"],
        provenance={key: value for key, value in problem.items() if key != "networks"} | dict(_networks(problem)),
        points=points,
        costs={} if best is None or best.cost is None else {"found design": best.cost},
        array=None if best is None else best.settings.array(),
    )


def _networks(problem: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"network for q_scale {q_scale}", digest) for q_scale, digest in problem.get("networks", {}).items()]


def _lut(point: DesignPoint) -> float:
    return point.cost.lut if point.cost is not None and point.cost.lut is not None else float("inf")


def _of_store(source: Path) -> Story:
    from hardpoint.host.store import Store

    store = Store(source)
    rates: list[Rate] = []
    provenance: dict[str, Any] = {}
    for number, (digest, about) in enumerate(store.campaigns().items(), 1):
        design = f"array {about['array']}"
        provenance[f"campaign {number}"] = (
            f"{digest}: network {about['network']}, {design}, data {about['data']}, seed {about['seed']}, {about['engine']}, convention {about['convention']}"
        )
        if about["convention"] != "ber":
            continue  # another convention is no part of this picture
        for ber in sorted(float(point) for point in store.points(digest)):
            units = store.units(digest, repr(ber))
            images = about["images"]
            accuracy = cluster_wilson([unit.correct / images for unit in units.values()], about["confidence"], draws=images)
            critical = sum(unit.critical for unit in units.values()) / (images * len(units))
            rates.append(Rate(design, ber, accuracy.low, accuracy.mean, accuracy.high, critical, len(units), images))
    if not rates:
        raise InputError(f"{source} holds no results by BER yet")
    worst = min(rates, key=lambda rate: rate.mean)
    return Story(
        title="A fault-injection campaign",
        asked="How accurate is the network while bits flip?",
        answer=f"Accuracy is lowest for {worst.design} at BER {worst.ber:.3g}: {100 * worst.mean:.2f} % [{100 * worst.low:.2f}, {100 * worst.high:.2f}].",
        commands=[f"hardpoint report {source.name}"],
        provenance=provenance,
        clean_accuracy=None,
        rates=rates,
        convention="BER: flips per live site bit and step; Wilson intervals over fault lists.",
    )
