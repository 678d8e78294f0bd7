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

import numpy as np

from hardpoint.errors import InputError
from hardpoint.faults import FAULT
from hardpoint.host.outcomes import OUTCOMES, Block, Counts

__all__ = ["Store"]

FORMAT = "hardpoint store 2"
COLUMNS = tuple(item.name for item in dataclasses.fields(Counts))
SCHEMA = f"""
CREATE TABLE about (format TEXT NOT NULL);
INSERT INTO about VALUES ('{FORMAT}');
CREATE TABLE campaigns (id TEXT PRIMARY KEY, about TEXT NOT NULL, written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE runs (campaign TEXT NOT NULL REFERENCES campaigns (id), versions TEXT NOT NULL,
  begun TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE units (campaign TEXT NOT NULL REFERENCES campaigns (id), point TEXT NOT NULL, trial INTEGER NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL" for name in COLUMNS)}, PRIMARY KEY (campaign, point, trial)) WITHOUT ROWID;
CREATE TABLE blocks (campaign TEXT NOT NULL REFERENCES campaigns (id), point TEXT NOT NULL, first INTEGER NOT NULL,
  size INTEGER NOT NULL, faults BLOB NOT NULL, outcomes BLOB NOT NULL, correct BLOB NOT NULL,
  PRIMARY KEY (campaign, point, first, size));
CREATE TABLE readings (campaign TEXT NOT NULL REFERENCES campaigns (id), name TEXT NOT NULL, value REAL NOT NULL,
  taken TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')));
""" + "".join(
    f"CREATE TRIGGER {verb}_{table} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'results are append-only'); END;\n"
    for table in ("campaigns", "units", "blocks")
    for verb in ("UPDATE", "DELETE")
)


class Store:
    """Units of campaigns by (campaign digest, point, trial): written once, in whole transactions, never changed.

    >>> import tempfile
    >>> store = Store(Path(tempfile.mkdtemp()) / "s.db")
    >>> store.begin("c1", {"seed": 1})
    >>> unit = Counts(images=4, correct=3, masked=3, corrected=0, tolerable=0, critical=1, due=0, strikes=7)
    >>> store.add("c1", "1e-06", {0: unit})
    >>> store.add("c1", "1e-06", {0: unit, 1: unit})  # what is there stays
    >>> sorted(store.units("c1", "1e-06")), store.points("c1")
    ([0, 1], ['1e-06'])
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
            found = db.execute("SELECT * FROM about").fetchall() if "about" in tables or not tables else []
            if found != [(FORMAT,)]:
                theirs = found[0][0] if len(found) == 1 and str(found[0][0]).startswith("hardpoint store ") else None
                other = f"a {theirs}" if theirs else "another program's database"
                raise InputError(f"{self.path} is {other}, not a store of campaigns ({FORMAT})")
            damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise InputError(f"store {self.path} is damaged: {' '.join(str(damage).split())}")

    def begin(self, campaign: str, about: dict[str, Any], versions: dict[str, str] | None = None) -> None:
        """Note what the campaign with digest `campaign` is, and which versions of what go on with it now."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            text = json.dumps(about, sort_keys=True)
            db.execute("INSERT OR IGNORE INTO campaigns (id, about) VALUES (?, ?)", (campaign, text))
            if versions:
                text = json.dumps(versions, sort_keys=True)
                db.execute("INSERT INTO runs (campaign, versions) VALUES (?, ?)", (campaign, text))

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
            rows = db.execute(query, (campaign, point)).fetchall()
        try:
            return {row[0]: Counts(*row[1:]) for row in rows}
        except (TypeError, ValueError) as error:
            raise InputError(f"store {self.path} holds a unit that is no result: {error}") from None

    def add_block(self, campaign: str, point: str, block: Block) -> None:
        """Add the single-fault trials of a block, all or none."""
        row = campaign, point, block.first, len(block), block.faults.tobytes(), block.outcomes.tobytes(), block.correct.tobytes()
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def blocks(self, campaign: str, point: str) -> list[Block]:
        """Blocks of one campaign point in order of trials; they may overlap, with equal results where they do."""
        query = "SELECT first, size, faults, outcomes, correct FROM blocks WHERE campaign = ? AND point = ? ORDER BY first, size"
        with self._open() as db:
            rows = db.execute(query, (campaign, point)).fetchall()
        made = []
        for first, size, faults, outcomes, correct in rows:
            try:
                block = Block(int(first), np.frombuffer(faults, FAULT), np.frombuffer(outcomes, np.uint8), np.frombuffer(correct, np.bool_))
            except (TypeError, ValueError) as error:
                raise InputError(f"store {self.path} holds a block that is no result: {error}") from None
            if len(block) != size or (size and int(block.outcomes.max()) >= len(OUTCOMES)):
                raise InputError(f"store {self.path} holds a block that is no result: trials from {first}")
            made.append(block)
        return made

    def points(self, campaign: str) -> list[str]:
        """Points of a campaign of which anything is stored."""
        query = "SELECT DISTINCT point FROM units WHERE campaign = ? UNION SELECT DISTINCT point FROM blocks WHERE campaign = ? ORDER BY 1"
        with self._open() as db:
            return [str(row[0]) for row in db.execute(query, (campaign, campaign))]

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
            rows = db.execute("SELECT id, about FROM campaigns ORDER BY id").fetchall()
        try:
            return {row[0]: dict(json.loads(row[1])) for row in rows}
        except (TypeError, ValueError) as error:
            raise InputError(f"store {self.path} holds a campaign that cannot be read: {error}") from None

    def versions(self, campaign: str) -> list[dict[str, str]]:
        """Versions of everything that worked on a campaign, run by run."""
        with self._open() as db:
            rows = db.execute("SELECT versions FROM runs WHERE campaign = ? ORDER BY rowid", (campaign,)).fetchall()
        return [dict(json.loads(row[0])) for row in rows]

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
