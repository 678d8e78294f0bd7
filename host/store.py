"""Results that survive: an append-only SQLite file that several processes may write and any moment may cut off."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardpoint.errors import InputError
from hardpoint.host.outcomes import Counts

__all__ = ["Store"]

FORMAT = "hardpoint store 1"
COLUMNS = tuple(item.name for item in dataclasses.fields(Counts))
SCHEMA = f"""
CREATE TABLE about (format TEXT NOT NULL);
INSERT INTO about VALUES ('{FORMAT}');
CREATE TABLE campaigns (id TEXT PRIMARY KEY, about TEXT NOT NULL, written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE units (campaign TEXT NOT NULL REFERENCES campaigns (id), point TEXT NOT NULL, trial INTEGER NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL" for name in COLUMNS)}, PRIMARY KEY (campaign, point, trial)) WITHOUT ROWID;
CREATE TABLE readings (campaign TEXT NOT NULL REFERENCES campaigns (id), name TEXT NOT NULL, value REAL NOT NULL,
  taken TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')));
CREATE TRIGGER kept_units BEFORE UPDATE ON units BEGIN SELECT RAISE(ABORT, 'results are append-only'); END;
CREATE TRIGGER kept_units_too BEFORE DELETE ON units BEGIN SELECT RAISE(ABORT, 'results are append-only'); END;
"""


class Store:
    """Units of campaigns by (campaign digest, point, trial): written once, in whole transactions, never changed.

    >>> import tempfile
    >>> store = Store(Path(tempfile.mkdtemp()) / "s.db")
    >>> store.begin("c1", {"seed": 1})
    >>> unit = Counts(images=4, correct=3, masked=3, corrected=0, tolerable=0, critical=1, due=0, strikes=7)
    >>> store.add("c1", "1e-06", {0: unit})
    >>> store.add("c1", "1e-06", {0: unit, 1: unit})  # what is there stays
    >>> sorted(store.units("c1", "1e-06"))
    [0, 1]
    """

    def __init__(self, path: str | os.PathLike[str], timeout_s: float = 60.0) -> None:
        self.path, self.timeout_s = Path(path), timeout_s
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from None
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                for statement in _statements(SCHEMA):
                    db.execute(statement)
            found = db.execute("SELECT format FROM about").fetchall() if "about" in tables or not tables else []
            if found != [(FORMAT,)]:
                raise InputError(f"{self.path} is another program's database, not a store of campaigns")

    def begin(self, campaign: str, about: dict[str, Any]) -> None:
        """Note what the campaign with digest `campaign` is."""
        with self._open() as db:
            db.execute(
                "INSERT OR IGNORE INTO campaigns (id, about) VALUES (?, ?)", (campaign, json.dumps(about, sort_keys=True))
            )

    def add(self, campaign: str, point: str, units: dict[int, Counts]) -> None:
        """Add units by trial, all or none; those that are there already stay as they are."""
        marks = ", ".join("?" * (3 + len(COLUMNS)))
        rows = [(campaign, point, trial, *dataclasses.astuple(counts)) for trial, counts in sorted(units.items())]
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(f"INSERT OR IGNORE INTO units VALUES ({marks})", rows)

    def units(self, campaign: str, point: str) -> dict[int, Counts]:
        """Units of one campaign point by trial."""
        query = f"SELECT trial, {', '.join(COLUMNS)} FROM units WHERE campaign = ? AND point = ? ORDER BY trial"
        with self._open() as db:
            return {row[0]: Counts(*row[1:]) for row in db.execute(query, (campaign, point))}

    def measured(self, campaign: str, readings: dict[str, float]) -> None:
        """Add what a board's sensors read now: watts, degrees, by name."""
        if readings:
            with self._open() as db:
                db.executemany(
                    "INSERT INTO readings (campaign, name, value) VALUES (?, ?, ?)",
                    [(campaign, name, float(value)) for name, value in readings.items()],
                )

    def readings(self, campaign: str) -> list[tuple[str, str, float]]:
        """Time (UTC), name and value of everything that was measured during a campaign, in order."""
        query = "SELECT taken, name, value FROM readings WHERE campaign = ? ORDER BY rowid"
        with self._open() as db:
            return [(str(taken), str(name), float(value)) for taken, name, value in db.execute(query, (campaign,))]

    def campaigns(self) -> dict[str, dict[str, Any]]:
        """What is stored, by digest."""
        with self._open() as db:
            return {row[0]: json.loads(row[1]) for row in db.execute("SELECT id, about FROM campaigns ORDER BY id")}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction; what SQLite complains of becomes one line."""
        db = None
        try:
            db = sqlite3.connect(self.path, timeout=self.timeout_s, isolation_level=None)
            db.execute("PRAGMA foreign_keys = ON")
            yield db
            if db.in_transaction:
                db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise InputError(f"store {self.path}: {error}") from None
        finally:
            if db is not None:
                db.close()  # an open transaction is rolled back


def _statements(script: str) -> Iterable[str]:
    """The statements of a script, one by one, so that they share a transaction."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
