"""Stories from what is stored: a search's study, a campaign's store, a fleet's table."""

from __future__ import annotations

import dataclasses
import shlex
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardpoint import __version__
from hardpoint.design import DesignPoint
from hardpoint.errors import InputError
from hardpoint.optimizer.report import Story
from hardpoint.optimizer.sections import of_breakdown
from hardpoint.optimizer.study import Study
from hardpoint.settings import noted

__all__ = ["story_of"]


def story_of(source: Path) -> Story:
    """The story of a study, a store, or a fleet's table (fleet.json or its folder), whichever `source` is, with its settings."""
    told = _told(source)
    kept = noted(source) or (noted(source.parent) if source.name == "fleet.json" else [])
    return dataclasses.replace(told, settings=kept)


def _told(source: Path) -> Story:
    if (source / "fleet.json").is_file():
        source = source / "fleet.json"
    if not source.is_file():
        raise InputError(f"there is no study, store or fleet {source}")
    with source.open("rb") as file:
        head = file.read(64)
    if head.lstrip().startswith(b"{"):
        from hardpoint.optimizer.fleet_story import story_of_fleet

        return story_of_fleet(source)
    tables = _tables(source)
    if "problem" in tables:
        return _of_study(source)
    if "campaigns" in tables:
        from hardpoint.optimizer.campaign_story import story_of_store

        return story_of_store(source)
    if "curve" in tables or "curves" in tables:
        raise InputError(f"{source} holds a fleet's learning curves; its report is made of the fleet.json beside it")
    raise InputError(f"{source} is neither a study, a store nor a fleet")


def _tables(source: Path) -> set[str]:
    """Names of the tables of an SQLite file."""
    try:
        db = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            db.close()
    except sqlite3.Error as error:
        raise InputError(f"{source} is neither a study, a store nor a fleet: {error}") from None


def _of_study(source: Path) -> Story:
    study = Study(source)
    problem, points = study.problem, study.points
    feasible = [p for p in points if p.feasible and p.cost is not None and p.cost.lut is not None]
    best = min(feasible, key=_lut, default=None)
    breakdown = None
    if best is None:
        answer = f"None of {len(points)} designs met the constraints."
    else:
        answer = f"{best.settings}: {_lut(best):,.0f} LUTs, the cheapest of {len(points)} designs; {best.reason}."
        breakdown = of_breakdown(best.settings.array(), str(best.settings))
    return Story(
        title="A search for the cheapest fault-tolerant design",
        asked=f"Which design is cheapest while its accuracy at BER {problem.get('ber', 0):g} is at least {problem.get('target', 0):.4f}?",
        answer=answer,
        commands=[
            f"hardpoint search --study {shlex.quote(source.name)} --evaluations {max(len(points), 1)} --seed {problem.get('seed', 0)}",
            f"hardpoint report {shlex.quote(source.name)}",
        ],
        provenance={
            **{key: value for key, value in problem.items() if key != "networks"},
            **dict(_networks(problem)),
            "page written by": f"hardpoint {__version__}",
        },
        points=points,
        costs={} if best is None or best.cost is None else {"found design": best.cost},
        array=None if best is None else best.settings.array(),
        sections=[] if breakdown is None else [breakdown],
    )


def _networks(problem: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"network for q_scale {q_scale}", digest) for q_scale, digest in problem.get("networks", {}).items()]


def _lut(point: DesignPoint) -> float:
    return point.cost.lut if point.cost is not None and point.cost.lut is not None else float("inf")
