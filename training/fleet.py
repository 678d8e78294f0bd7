"""Fault-aware retraining of a fleet: one stored learning curve per fault map, from which every policy is worked out."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, masked, masks
from hardpoint.files import digest
from hardpoint.network import Network
from hardpoint.training.data import DataSet, Split
from hardpoint.training.fleet_compensation import Compensation
from hardpoint.training.fleet_curves import Curve, Schedule
from hardpoint.training.fleet_twin import Adam, Twin

__all__ = ["Curves", "Retraining", "accuracy", "hits"]

FORMAT = "hardpoint fleet 1"
SCHEMA = f"""
CREATE TABLE about (format TEXT NOT NULL, subject TEXT NOT NULL);
CREATE TABLE curves (map TEXT PRIMARY KEY, images TEXT NOT NULL, accuracy TEXT NOT NULL, seconds REAL NOT NULL) WITHOUT ROWID;
INSERT INTO about VALUES ('{FORMAT}', ?);
"""


@dataclass(frozen=True, eq=False)
class Retraining:
    """How maps are retrained: `network` on `data`, looked at after the amounts of `schedule`, until `target` is reached.

    `target` is the accuracy on the validation part that counts as met. The samples of every map come in an order of
    their own, drawn from `seed` and the map, epoch by epoch. A map starts from the network without its weights, or,
    where `compensation` is above 0, from what `Compensation` makes of that with as many samples, the same ones for
    all maps.
    """

    network: Network
    data: DataSet
    schedule: Schedule
    target: float
    adam: Adam = field(default_factory=Adam)
    seed: int = 0
    compensation: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.compensation <= len(self.data.train):
            raise InputError(
                f"samples for compensation must be 0 to {len(self.data.train)}, the training part, not {self.compensation}"
            )

    @property
    def subject(self) -> str:
        """Digest of all that a learning curve depends on besides its map."""
        data = digest(self.data.train.x, self.data.train.y, self.data.validation.x, self.data.validation.y)
        return digest(
            self.network.digest, data, repr((self.schedule, self.target, self.adam, self.seed, self.compensation))
        )

    def order(self, chip: FaultMap) -> NDArray[np.int64]:
        """Numbers of the training samples in the order in which `chip` sees them, as many as the schedule's budget."""
        count, key = len(self.data.train), int(chip.digest[:12], 16)
        rounds = -(-self.schedule.budget // count)
        draws = [np.random.default_rng([self.seed, key, i]).permutation(count) for i in range(rounds)]
        return np.concatenate(draws)[: self.schedule.budget]

    @cached_property
    def _moments(self) -> Compensation:
        draw = np.random.default_rng([self.seed, 0xC0]).permutation(len(self.data.train))[: self.compensation]
        return Compensation.of(self.network, np.asarray(self.data.train.x[np.sort(draw)], np.int64))

    def start(self, chip: FaultMap) -> Network:
        """Where retraining for `chip` starts: weights in its bypassed PEs are zero."""
        return self._moments.start(chip) if self.compensation else masked(self.network, chip)


class Curves:
    """Learning curves of fault maps, made when they are asked for and kept in `folder`: fleet.sqlite, and one network per map.

    What is there is not trained again; a folder made for another network, data set or schedule is refused.
    """

    def __init__(self, retraining: Retraining, folder: str | os.PathLike[str]) -> None:
        self.retraining, self.folder = retraining, Path(folder)
        self._trainer: tuple[Twin, Any, Any] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        path, subject = self.folder / "fleet.sqlite", retraining.subject
        with self._store(path) as db:
            if not db.execute("SELECT name FROM sqlite_master").fetchall():
                for statement in SCHEMA.split(";"):
                    if statement.strip():
                        db.execute(statement, (subject,) if "?" in statement else ())
            try:
                found = db.execute("SELECT format, subject FROM about").fetchone()
            except sqlite3.OperationalError:
                found = None
            if found is None or found[0] != FORMAT:
                raise InputError(f"{path} is no store of a fleet")
            if found[1] != subject:
                raise InputError(f"{path} holds learning curves of another network, data set, target or schedule")

    def known(self, chip: FaultMap) -> Curve | None:
        """The curve of `chip` as far as it was made."""
        with self._store(self.folder / "fleet.sqlite") as db:
            row = db.execute("SELECT images, accuracy FROM curves WHERE map = ?", (chip.digest,)).fetchone()
        return (
            None if row is None else Curve(chip.digest, chip.rate, tuple(json.loads(row[0])), tuple(json.loads(row[1])))
        )

    def network(self, chip: FaultMap) -> Path:
        """Where the network that reached the target on `chip` lies."""
        return self.folder / "networks" / f"{chip.digest}.npz"

    def curve(self, chip: FaultMap, least: int = 0) -> Curve:
        """Retrain for `chip` until the target is reached, and on to `least` images; at most to the schedule's budget.

        The network kept is that of the first look at which the target was met.
        """
        have = self.known(chip)
        ask = self.retraining
        if (
            have is not None
            and have.spent >= least
            and (have.reached(ask.target) is not None or have.spent == ask.schedule.budget)
        ):
            return have
        begun = time.process_time()
        looks = self._retrained(chip, least)
        made = Curve(chip.digest, chip.rate, tuple(n for n, _ in looks), tuple(a for _, a in looks))
        if have is not None and made.accuracy[: len(have.accuracy)] != have.accuracy:
            raise InputError(
                f"retraining {chip} again took another course: this machine's TensorFlow does not repeat itself"
            )
        row = (chip.digest, json.dumps(made.images), json.dumps(made.accuracy), time.process_time() - begun)
        with self._store(self.folder / "fleet.sqlite") as db:
            db.execute("INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?)", row)
        return made

    def seconds(self) -> tuple[float, int]:
        """CPU seconds that all curves took, looks and starts included, and their training images."""
        with self._store(self.folder / "fleet.sqlite") as db:
            rows = db.execute("SELECT seconds, images FROM curves").fetchall()
        return sum(row[0] for row in rows), sum(json.loads(row[1])[-1] for row in rows)

    def _retrained(self, chip: FaultMap, least: int) -> list[tuple[int, float]]:
        """Amounts and accuracies of one course of retraining."""
        ask = self.retraining
        start = ask.start(chip)
        looks = [(0, accuracy(start, ask.data))]
        if looks[0][1] >= ask.target:
            start.save(self.network(chip))
        trained = looks[0][1] >= ask.target
        if trained and least == 0:
            return looks
        twin, x, y = self._trainer or self._prepared()
        twin.load(masks(ask.network, chip), start)
        order = ask.order(chip)
        for n in ask.schedule.images[1:]:
            twin.train(x, y, order[looks[-1][0] : n])
            codes = twin.outputs(ask.data.validation.x)
            looks.append((n, float((codes.argmax(axis=1) == ask.data.validation.y).mean())))
            if looks[-1][1] >= ask.target and not trained:
                trained = True
                twin.network().save(self.network(chip))
            if trained and n >= least:
                break
        return looks

    def _prepared(self) -> tuple[Twin, Any, Any]:
        """The trainer, with the training data where it reads them."""
        from hardpoint.training.backend import seeded

        tf = seeded(self.retraining.seed).tf
        twin = Twin(self.retraining.network, self.retraining.adam)
        train = self.retraining.data.train
        self._trainer = (twin, tf.constant(train.x), tf.constant(twin.targets(train.x, train.y)))
        return self._trainer

    @contextmanager
    def _store(self, path: Path) -> Iterator[sqlite3.Connection]:
        try:
            db = sqlite3.connect(path, timeout=60)
            try:
                with db:
                    yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise InputError(f"{path}: {error}") from None


def hits(run: Callable[[NDArray[np.int64]], NDArray[np.int64]], part: Split, batch: int = 1000) -> int:
    """Samples of `part` whose first largest output, as `run` answers (a network, a device), is their label."""
    return sum(
        int((run(np.asarray(part.x[i : i + batch], np.int64)).argmax(axis=1) == part.y[i : i + batch]).sum())
        for i in range(0, len(part), batch)
    )


def accuracy(network: Network, data: DataSet) -> float:
    """Accuracy of `network` on the validation part, by its integers."""
    return hits(network, data.validation) / len(data.validation)
