"""Stories from what is stored: a search's study, a campaign's store, a fleet's table."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

from hardpoint.errors import InputError
from hardpoint.optimizer.report import Story
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
        from hardpoint.optimizer.search_story import story_of_study

        return story_of_study(source)
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

