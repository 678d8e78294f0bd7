"""The log of a search: append-only SQLite, so that a killed search goes on where it was."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardpoint.design import DesignPoint
from hardpoint.errors import InputError

__all__ = ["Study"]


class Study:
    """Design points of one search in the order in which they were evaluated, with what was asked.

    `problem` is a table that names everything an evaluation depends on (digests, BER, target, seed, sample sizes). A
    file that holds another problem is refused: its points would not compare.

    >>> import tempfile
    >>> study = Study(tempfile.mkdtemp() + "/study.sqlite", {"seed": 1})
    >>> study.points
    []
    """

    def __init__(self, path: str | os.PathLike[str], problem: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        if problem is None and not self.path.exists():
            raise InputError(f"there is no study {path}")
        with self._open() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS problem (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL)"
            )
            db.execute(
                "CREATE TABLE IF NOT EXISTS point (number INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE, value TEXT NOT NULL)"
            )
            db.execute("CREATE TABLE IF NOT EXISTS result (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            row = db.execute("SELECT value FROM problem").fetchone()
            if row is None and problem is None:
                raise InputError(f"{path} is no study: it states no problem")
            if row is None:
                db.execute("INSERT INTO problem VALUES (1, ?)", (json.dumps(problem, sort_keys=True),))
            elif problem is not None and json.loads(row[0]) != json.loads(json.dumps(problem)):
                old, new = json.loads(row[0]), json.loads(json.dumps(problem))
                key, was, now = _difference(old, new)
                raise InputError(f"{path} holds a search with {key} = {was}, not {now}")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=30)
            try:
                with db:
                    yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{self.path} cannot be used as a study: {error}") from None

    @property
    def problem(self) -> dict[str, Any]:
        """What was asked."""
        with self._open() as db:
            table: dict[str, Any] = json.loads(db.execute("SELECT value FROM problem").fetchone()[0])
        return table

    @property
    def points(self) -> list[DesignPoint]:
        """All evaluated points, oldest first."""
        with self._open() as db:
            rows = db.execute("SELECT value FROM point ORDER BY number").fetchall()
        return [DesignPoint.restore(json.loads(row[0])) for row in rows]

    @property
    def results(self) -> dict[str, Any]:
        """What was made of the points, by name: the verdict, the validation of the found design."""
        with self._open() as db:
            return {str(name): json.loads(value) for name, value in db.execute("SELECT name, value FROM result ORDER BY name")}

    def keep(self, name: str, value: Any) -> None:
        """Keep a result in place of an earlier one of this name."""
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO result VALUES (?, ?)", (name, json.dumps(value)))

    def append(self, point: DesignPoint) -> None:
        """Add a point; one with the same settings must not be there yet."""
        settings = json.dumps(point.settings.table(), sort_keys=True)
        with self._open() as db:
            db.execute("INSERT INTO point (settings, value) VALUES (?, ?)", (settings, json.dumps(point.table())))


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """The first key in which two problems differ, inside tables as well, with both values."""
    key = next(k for k in sorted({*old, *new}) if old.get(k) != new.get(k))
    was, now = old.get(key), new.get(key)
    if isinstance(was, dict) and isinstance(now, dict):
        inner, was, now = _difference(was, now)
        return f"{key}.{inner}", was, now
    return key, was, now
