"""The store outlives damage, foreigners and full disks, and says so in one line."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import FAULT
from hardpoint.host.campaign import run_campaign
from hardpoint.host.emulator import Emulator
from hardpoint.host.outcomes import Block, Counts
from hardpoint.host.singles import run_singles
from hardpoint.host.store import Store

UNIT = Counts(1, 1, 1, 0, 0, 0, 0, 0)


def block(first: int, size: int) -> Block:
    faults = np.zeros(size, FAULT)
    faults["image"] = first + np.arange(size)
    return Block(first, faults, np.arange(size, dtype=np.uint8) % 5, np.arange(size) % 2 == 0)


def one_line(error: pytest.ExceptionInfo[InputError]) -> None:
    assert "\n" not in str(error.value)


def test_blocks_come_back_as_they_were(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.begin("c", {})
    store.add_block("c", "all", block(0, 10))
    store.add_block("c", "all", block(10, 3))
    store.add_block("c", "all", block(10, 3))
    store.add_block("c", "all", block(8, 7))
    found = store.blocks("c", "all")
    assert [(one.first, len(one)) for one in found] == [(0, 10), (8, 7), (10, 3)]
    assert all(np.array_equal(one.faults, block(one.first, len(one)).faults) for one in found)
    assert all(np.array_equal(one.outcomes, block(one.first, len(one)).outcomes) for one in found)
    assert store.points("c") == ["all"]


def test_nothing_is_changed_or_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.begin("c", {})
    store.add("c", "p", {0: UNIT})
    store.add_block("c", "p", block(0, 4))
    with sqlite3.connect(store.path) as db:
        for statement in ("UPDATE blocks SET size = 0", "DELETE FROM blocks", "UPDATE campaigns SET about = ''", "DELETE FROM units"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


def test_an_older_or_newer_store_is_named(tmp_path: Path) -> None:
    for number in (1, 3):
        path = tmp_path / f"{number}.db"
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE about (format TEXT)")
            db.execute("INSERT INTO about VALUES (?)", (f"hardpoint store {number}",))
        with pytest.raises(InputError, match=f"is a hardpoint store {number}, not a store of campaigns .hardpoint store 2"):
            Store(path)


def test_damage_is_one_line(tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole.db")
    whole.begin("c", {})
    whole.add("c", "p", {trial: UNIT for trial in range(20_000)})
    size = whole.path.stat().st_size
    rng = np.random.default_rng(0)
    for kind in ("cut", "scribbled", "zeroed"):
        path = tmp_path / f"{kind}.db"
        shutil.copy(whole.path, path)
        data = bytearray(path.read_bytes())
        if kind == "cut":
            data = data[: size // 2]
        elif kind == "scribbled":
            data[size // 3 : size // 3 + 20_000] = rng.bytes(20_000)
        else:
            data[4096 : 4096 * 8] = bytes(4096 * 7)
        path.write_bytes(data)
        with pytest.raises(InputError, match=str(path)) as error:
            Store(path)
        one_line(error)
    assert len(whole.units("c", "p")) == 20_000


def test_contents_that_are_no_results_are_one_line(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.begin("c", {})
    with sqlite3.connect(store.path) as db:
        db.execute("INSERT INTO units VALUES ('c', 'p', 0, 5, 1, 1, 1, 1, 1, 2, 0)")
        db.execute("INSERT INTO units VALUES ('c', 'q', 0, 'many', 1, 1, 1, 1, 1, 2, 0)")
        db.execute("INSERT INTO blocks VALUES ('c', 'p', 0, 2, x'00', x'0000', x'0000')")
        db.execute("INSERT INTO blocks VALUES ('c', 'q', 0, 1, ?, x'09', x'00')", (np.zeros(1, FAULT).tobytes(),))
        db.execute("INSERT INTO campaigns (id, about) VALUES ('d', 'no json')")
    for call, message in (
        (lambda: store.units("c", "p"), "a unit that is no result"),
        (lambda: store.units("c", "q"), "a unit that is no result"),
        (lambda: store.blocks("c", "p"), "a block that is no result"),
        (lambda: store.blocks("c", "q"), "a block that is no result"),
        (store.campaigns, "a campaign that cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as error:
            call()
        one_line(error)


FULL = """
import json, resource, sys
sys.path.insert(0, {tests!r})
import test_store as t
from hardpoint.errors import InputError
size = t.Path({path!r}).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, size + 8192))
try:
    t.{run}({path!r}, 20000)
except InputError as error:
    print(error)
"""


def lists(path: str, trials: int) -> dict[str, object]:
    x = np.random.default_rng(1).integers(0, 256, (1, 6, 6, 2))
    network = small_network(1)
    return run_campaign(Emulator(network, Array(4, 4)), x, network(x).argmax(axis=1), [1e-5], trials, store=path).table()


def singles(path: str, trials: int) -> dict[str, object]:
    x = np.random.default_rng(1).integers(0, 256, (1, 6, 6, 2))
    network = small_network(1)
    return run_singles(Emulator(network, Array(4, 4)), x, network(x).argmax(axis=1), trials, store=path).table()


@pytest.mark.parametrize("run", ["lists", "singles"])
def test_a_campaign_on_a_full_disk_stops_in_one_line_and_goes_on_later(tmp_path: Path, run: str) -> None:
    path = tmp_path / "s.db"
    campaign = {"lists": lists, "singles": singles}[run]
    campaign(str(path), 40)
    code = FULL.format(tests=str(Path(__file__).parent), path=str(path), run=run)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"store {path}: "), told.stdout
    assert told.stdout.count("\n") == 1
    assert Store(path).points(next(iter(Store(path).campaigns())))
    assert json.dumps(campaign(str(path), 60)) == json.dumps(campaign(str(tmp_path / "new.db"), 60))
