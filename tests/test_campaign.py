"""Campaigns give the same table however they are run, cut off, resumed and shared out; the store outlives all of it."""

import concurrent.futures
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.faults import FaultList
from hardpoint.host.campaign import Campaign, decide, run_campaign
from hardpoint.host.device import Timeout
from hardpoint.host.emulator import Emulator
from hardpoint.host.outcomes import Counts
from hardpoint.host.store import Store
from hardpoint.layers import Codes

BERS = [1e-6, 3e-5]
ARRAY = Array(4, 4, (Guard(), Guard(12)), (0, 1, 1, 1))


def data(images: int = 12) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).integers(0, 256, (images, 6, 6, 2))
    return x, small_network(1)(x).argmax(axis=1)


def engine(batch: int = 256) -> Emulator:
    return Emulator(small_network(1), ARRAY, batch)


def test_a_row_says_what_happened() -> None:
    x, labels = data()
    result = run_campaign(engine(), x, labels, [0.0, *BERS, 1e-3], trials=6, seed=3, design="guarded")
    clean, rare, some, many = result.rows
    assert clean.accuracy.mean == clean.clean_accuracy == 1.0
    assert clean.outcomes["masked"] == 6 * 12
    assert clean.strikes == 0 < rare.strikes < some.strikes < many.strikes
    assert many.accuracy.mean < 0.9
    assert many.accuracy.low < many.accuracy.mean < many.accuracy.high
    assert many.drop.mean == pytest.approx(1 - many.accuracy.mean)
    assert (many.drop.low, many.drop.high) == pytest.approx((1 - many.accuracy.high, 1 - many.accuracy.low))
    assert some.outcomes["corrected"] > 0
    for row in result.rows:
        assert sum(row.outcomes.values()) == 6 * 12
        assert row.critical.mean == pytest.approx(row.outcomes["critical"] / 72)
        assert row.sdc.mean == pytest.approx((row.outcomes["critical"] + row.outcomes["tolerable"]) / 72)
        assert row.strikes == pytest.approx(row.population * row.point, rel=0.5, abs=0.2)
    assert "fault list over 12 images" in some.convention


def test_tables_are_byte_equal_whatever_runs_them(tmp_path: Path) -> None:
    x, labels = data()
    tables = []
    for batch, jobs, stored in ((256, 1, False), (1, 1, True), (7, 2, True), (5, 4, False)):
        store = tmp_path / f"{batch}.db" if stored else None
        result = run_campaign(engine(batch), x, labels, BERS, trials=18, seed=5, jobs=jobs, store=store)
        result.save(tmp_path / "table.json")
        tables.append((tmp_path / "table.json").read_bytes())
    assert len(set(tables)) == 1


def test_what_is_stored_is_not_played_again(tmp_path: Path) -> None:
    x, labels = data()
    path = tmp_path / "results.db"
    first = run_campaign(engine(), x, labels, BERS, trials=5, store=path)

    class Broken(Emulator):
        def observe(self, x: object, faults: FaultList | None = None, first: int = 0) -> tuple[Codes, np.ndarray]:
            if faults is None:
                return super().observe(x, faults, first)
            raise AssertionError("played again")

    Broken.__name__ = "Emulator"
    broken = Broken(small_network(1), ARRAY)
    assert run_campaign(broken, x, labels, BERS, trials=5, store=path).table() == first.table()
    with pytest.raises(AssertionError, match="played again"):
        run_campaign(broken, x, labels, BERS, trials=6, store=path)
    more = run_campaign(engine(), x, labels, BERS, trials=9, store=path)
    assert more.table() == run_campaign(engine(), x, labels, BERS, trials=9).table()
    other = run_campaign(engine(), x, labels, BERS, trials=5, seed=1, store=path)
    assert other.table() != first.table()
    assert len(Store(path).campaigns()) == 2


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import test_campaign as t
class Slow(t.Emulator):
    def observe(self, x, faults=None, first=0):
        time.sleep(0.01)
        return super().observe(x, faults, first)
Slow.__name__ = "Emulator"
x, labels = t.data()
t.run_campaign(Slow(t.small_network(1), t.ARRAY), x, labels, t.BERS, trials=40, seed=5, store={store!r})
"""


def script(store: Path) -> str:
    return SCRIPT.format(tests=str(Path(__file__).parent), store=str(store))


def test_a_killed_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    x, labels = data()
    path = tmp_path / "results.db"
    for kills in range(2):
        process = subprocess.Popen([sys.executable, "-c", script(path)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if path.exists() and stored(path) > 16 * kills + 8:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = stored(path)
    assert 0 < before < 80, "the kill came too late to test anything"
    resumed = run_campaign(engine(), x, labels, BERS, trials=40, seed=5, store=path)
    assert resumed.table() == run_campaign(engine(), x, labels, BERS, trials=40, seed=5).table()
    assert stored(path) == 80


def stored(path: Path) -> int:
    try:
        with sqlite3.connect(path) as db:
            return int(db.execute("SELECT COUNT(*) FROM units").fetchone()[0])
    except sqlite3.Error:  # not yet made
        return 0


def test_two_processes_share_a_store(tmp_path: Path) -> None:
    x, labels = data()
    path = tmp_path / "results.db"
    both = [subprocess.Popen([sys.executable, "-c", script(path)]) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert stored(path) == 80
    kept = run_campaign(engine(), x, labels, BERS, trials=40, seed=5, store=path)
    assert kept.table() == run_campaign(engine(), x, labels, BERS, trials=40, seed=5).table()


def add_units(path: str, start: int) -> None:
    store = Store(path)
    store.begin("c", {})
    for trial in range(start, 60, 2):
        store.add("c", "p", {t: Counts(1, 1, 1, 0, 0, 0, 0, t) for t in (trial, trial + 1)})


def test_writers_do_not_lose_each_others_units(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(add_units, [path] * 2, range(2)))
    assert sorted(Store(path).units("c", "p")) == list(range(61))


def test_results_are_append_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.begin("c", {})
    store.add("c", "p", {0: Counts(1, 1, 1, 0, 0, 0, 0, 0)})
    store.add("c", "p", {0: Counts(1, 0, 0, 0, 0, 1, 0, 9)})
    assert store.units("c", "p")[0].correct == 1
    with sqlite3.connect(store.path) as db:
        for statement in ("UPDATE units SET correct = 0", "DELETE FROM units"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


def test_bad_stores_are_named(tmp_path: Path) -> None:
    x, labels = data()
    corrupt, foreign, folder = tmp_path / "corrupt.db", tmp_path / "foreign.db", tmp_path / "file" / "s.db"
    corrupt.write_bytes(b"no database at all" * 100)
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE songs (name TEXT)")
    (tmp_path / "file").write_text("")
    for path, text in (
        (corrupt, "file is not a database"),
        (foreign, "another program's database, not a store of campaigns"),
        (folder, "cannot write"),
        (Path("/proc/none.db"), "unable to open database file"),
    ):
        with pytest.raises(InputError, match=text) as error:
            run_campaign(engine(), x, labels, BERS, 1, store=path)
        assert "\n" not in str(error.value)
    with sqlite3.connect(foreign) as db:
        assert db.execute("SELECT COUNT(*) FROM songs").fetchone() == (0,)


def test_a_full_disk_leaves_the_store_readable(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.begin("c", {})
    unit = Counts(1, 1, 1, 0, 0, 0, 0, 0)
    store.add("c", "p", {0: unit})

    code = f"""
import resource
from pathlib import Path
from hardpoint.errors import InputError
from hardpoint.host.outcomes import Counts
from hardpoint.host.store import Store
store = Store({str(store.path)!r})
size = Path(store.path).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, size + 4096))
try:
    store.add("c", "p", {{trial: Counts(1, 1, 1, 0, 0, 0, 0, 0) for trial in range(1, 20000)}})
except InputError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert told.stdout.startswith(f"store {store.path}: "), told.stderr
    assert told.stdout.count("\n") == 1
    assert store.units("c", "p") == {0: unit}


def test_decisions_are_early_and_right() -> None:
    x, labels = data(60)
    result = run_campaign(engine(), x, labels, [1e-4], trials=40, seed=2)
    truth = result.rows[0].accuracy.mean
    assert 0.5 < truth < 0.99
    met = decide(engine(), x, labels, 1e-4, truth - 0.1, trials=40, seed=2)
    missed = decide(engine(), x, labels, 1e-4, min(1.0, truth + 0.1), trials=40, seed=2)
    still_open = decide(engine(), x, labels, 1e-4, truth, trials=2, seed=2)
    assert (met.verdict, missed.verdict, still_open.verdict) == ("met", "missed", "open")
    assert met.trials < 40
    assert missed.trials < 40
    assert met.accuracy.low >= met.target
    assert missed.accuracy.high < missed.target


def test_engines_that_only_run_and_engines_that_hang() -> None:
    x, labels = data()

    class Plain:
        network, array = small_network(1), ARRAY

        def run(self, x: object, faults: FaultList | None = None) -> Codes:
            return Emulator(self.network, self.array).run(x, faults)

    class Hanging(Plain):
        def run(self, x: object, faults: FaultList | None = None) -> Codes:
            if faults is not None and faults.trial % 2:
                raise Timeout("the core did not finish within 1 s")
            return super().run(x, faults)

    seeing = run_campaign(engine(), x, labels, BERS, trials=4).rows[1]
    plain = run_campaign(Plain(), x, labels, BERS, trials=4).rows[1]
    hung = run_campaign(Hanging(), x, labels, BERS, trials=4).rows[1]
    assert plain.accuracy == seeing.accuracy
    assert plain.outcomes["masked"] == seeing.outcomes["masked"] + seeing.outcomes["corrected"]
    assert hung.outcomes["due"] == 24
    assert hung.accuracy.mean <= 0.5, "what hung was not classified"


def test_bad_questions_are_named() -> None:
    x, labels = data()
    for arguments, text in (
        (([1.5], 1), "a BER is a probability per live site bit and step, 0 to 1, not 1.5"),
        (([], 1), "one or more different points"),
        (([1e-6, 1e-6], 1), "one or more different points"),
        (([1e-6], 0), "at least 1 trial and 1 image, not 0 and 12"),
        (([1e-6], 1, -1), r"a seed is 0 to 2\*\*64-1, not -1"),
    ):
        with pytest.raises(InputError, match=text):
            run_campaign(engine(), x, labels, *arguments)
    with pytest.raises(InputError, match="12 images need as many labels"):
        run_campaign(engine(), x, labels[:3], BERS, 1)
    with pytest.raises(InputError, match="jobs must be at least 1, not 0"):
        run_campaign(engine(), x, labels, BERS, 1, jobs=0)
    with pytest.raises(InputError, match="there is no site class 'mac'"):
        run_campaign(engine(), x, labels, BERS, 1, weights={"mac": 1})


def test_a_campaign_names_itself_by_content() -> None:
    a = Campaign("n", "a", "d", 10, (1e-6,), 4)
    assert a.subject == Campaign("n", "a", "d", 10, (1e-5, 1e-6), 9).subject, "more of the same is the same subject"
    assert len({a.subject, *(Campaign("n", "a", "d", 10, (1e-6,), 4, **{k: v}).subject for k, v in (
        ("seed", 1), ("weights", (("acc", 2.0),)), ("engine", "Board"))), Campaign("m", "a", "d", 10, (1e-6,), 4).subject}) == 5  # fmt: skip
    assert json.dumps(a.table())
