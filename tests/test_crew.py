"""Whoever plays the units, and whatever dies meanwhile, the result is the same: processes, a Dask cluster on loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.host.campaign import run_campaign
from hardpoint.host.crew import Crew, Item
from hardpoint.host.emulator import Emulator
from hardpoint.host.singles import run_singles
from hardpoint.host.store import Store

ARRAY = Array(4, 4, (Guard(), Guard(12)), (0, 1, 1, 1))
BERS = [1e-6, 3e-5]


class Slow(Emulator):
    """An emulator that takes its time, so that there is time to kill."""

    def observe(self, x: Any, faults: Any = None, first: int = 0) -> Any:
        time.sleep(0.02)
        return super().observe(x, faults, first)


Slow.__name__ = "Emulator"


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).integers(0, 256, (12, 6, 6, 2))
    return x, small_network(1)(x).argmax(axis=1)


def engine(batch: int = 256) -> Emulator:
    return Emulator(small_network(1), ARRAY, batch)


class Squares:
    """Work that says who did it."""

    def chunk(self, item: Item) -> tuple[list[int], int]:
        time.sleep(0.05)
        return [trial * trial for trial in item.trials], os.getpid()


def items(count: int) -> list[Item]:
    return [Item("p", range(3 * i, 3 * i + 3)) for i in range(count)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_played_once(jobs: int) -> None:
    with Crew(Squares(), jobs) as crew:
        found = list(crew.played(items(40)))
    assert sorted(item.trials[0] for item, _ in found) == list(range(0, 120, 3))
    assert all(result[0] == [trial * trial for trial in item.trials] for item, result in found)
    assert len({result[1] for _, result in found}) == jobs, "this process plays, too"
    assert os.getpid() in {result[1] for _, result in found}


def test_once_begun_a_crew_shares_out_even_two_items() -> None:
    with Crew(Squares(), 2) as crew:
        list(crew.played(items(1)))
        list(crew.played(items(2)))  # a worker starts
        found = list(crew.played(items(2)))
    assert len({pid for _, (_, pid) in found}) == 2


def test_a_crew_that_is_left_early_stops() -> None:
    with Crew(Squares(), 2) as crew:
        for number, _ in enumerate(crew.played(items(1000))):
            if number == 10:
                break
        begun = time.monotonic()
    assert time.monotonic() - begun < 20


class Dies:
    """Work that kills every process but the first."""

    def __init__(self) -> None:
        self.first = os.getpid()

    def chunk(self, item: Item) -> int:
        if os.getpid() != self.first:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)
        return 0


def test_a_worker_that_dies_is_one_line() -> None:
    with pytest.raises(InputError, match="a worker process died") as error, Crew(Dies(), 2) as crew:
        list(crew.played(items(200)))
    assert "\n" not in str(error.value)


def test_what_cannot_be_shared_out_says_so() -> None:
    work: Any = Squares()
    work.library = lambda: None
    with pytest.raises(InputError, match="this device cannot be shared out to other processes"), Crew(work, 2) as crew:
        list(crew.played(items(20)))


def test_bad_crews_are_named() -> None:
    for arguments, message in (
        ((0,), "jobs must be at least 1, not 0"),
        ((2, "tcp://127.0.0.1:1"), "to processes here .jobs. or to a cluster .scheduler., not to both"),
    ):
        with pytest.raises(InputError, match=message):
            Crew(Squares(), *arguments)  # type: ignore[arg-type]


@pytest.mark.pc
def test_a_scheduler_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match="no Dask scheduler with a worker at nonsense"), Crew(Squares(), 1, "nonsense") as crew:
        list(crew.played(items(1)))


KILLED = """
import os, sys, time
sys.path.insert(0, {tests!r})
import test_crew as t
x, labels = t.data()
t.run_campaign(t.Slow(t.small_network(1), t.ARRAY, {batch}), x, labels, t.BERS, 24, 5, jobs={jobs}, store={store!r})
"""


def combinations(everything: bool) -> list[Any]:
    whole = [(jobs, batch) for jobs in (1, 2, 4) for batch in (1, 7, 256)]
    few = {(1, 7), (2, 1), (4, 256)}
    return [pytest.param(*pair, marks=[] if pair in few else [pytest.mark.slow]) for pair in whole if everything or pair in few]


@pytest.mark.parametrize(("jobs", "batch"), combinations(True))
def test_killed_and_resumed_tables_are_byte_equal(jobs: int, batch: int, tmp_path: Path) -> None:
    x, labels = data()
    whole = json.dumps(run_campaign(engine(), x, labels, BERS, 24, 5).table())
    path = tmp_path / "s.db"
    code = KILLED.format(tests=str(Path(__file__).parent), batch=batch, jobs=jobs, store=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and stored(path) < 8:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)  # workers as well, as when the machine stops
    process.wait()
    assert 0 < stored(path) < 48, "the kill came too late to test anything"
    resumed = run_campaign(engine(batch), x, labels, BERS, 24, 5, jobs=jobs, store=path)
    assert json.dumps(resumed.table()) == whole
    assert stored(path) == 48


def stored(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        store = Store(path)
    except InputError:  # just being made
        return 0
    return sum(len(store.units(subject, point)) for subject in store.campaigns() for point in store.points(subject))


# A Dask cluster ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler of its own process, on loopback."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter"]
    process, log = dask(command, folder / "scheduler.log")
    try:
        yield waited(log, r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)", process)
    finally:
        process.kill()
        process.wait()


def dask(arguments: list[str], log: Path) -> tuple[subprocess.Popen[bytes], Path]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True), log


def waited(log: Path, pattern: str, process: subprocess.Popen[bytes], timeout_s: float = 60) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} within {timeout_s} s: {log.read_text()[-500:]}")


def worker(address: str, folder: Path, name: str) -> subprocess.Popen[bytes]:
    process, log = dask(
        ["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name, "--host", "127.0.0.1",
         "--local-directory", str(folder), "--death-timeout", "60"], folder / f"{name}.log"
    )  # fmt: skip
    waited(log, r"(Registered to)", process)
    return process


@pytest.mark.pc
def test_a_cluster_gives_the_same_table_though_a_worker_dies(scheduler: str, tmp_path: Path) -> None:
    x, labels = data()
    expected = run_campaign(engine(), x, labels, BERS, 60, 5).table()
    workers = [worker(scheduler, tmp_path, name) for name in ("a", "b")]
    path = tmp_path / "s.db"
    try:
        killed = False

        class Watched(Store):
            def add(self, campaign: str, point: str, units: Any) -> None:
                nonlocal killed
                super().add(campaign, point, units)
                if not killed:
                    os.killpg(workers[0].pid, signal.SIGKILL)
                    workers[0].wait()
                    killed = True

        slow = Slow(small_network(1), ARRAY)
        result = run_campaign(slow, x, labels, BERS, 60, 5, scheduler=scheduler, store=Watched(path))
        assert killed
        assert result.table() == expected
        assert stored(path) == 120
        singles = run_singles(engine(), x, labels, 2000, 5, scheduler=scheduler)
        assert singles.table() == run_singles(engine(), x, labels, 2000, 5).table()
    finally:
        for process in workers:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.pc
def test_a_scheduler_without_workers_or_none_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match=r"no Dask scheduler with a worker at tcp://127\.0\.0\.1:1:") as error:
        run_campaign(engine(), *data(), [1e-5], 2, scheduler="tcp://127.0.0.1:1")
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"a Dask scheduler needs dask\[distributed\], which is not installed"):
        run_campaign(engine(), *data(), [1e-5], 2, scheduler="tcp://127.0.0.1:1")


def test_dask_is_imported_only_for_a_scheduler() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_crew as t
x, labels = t.data()
t.run_campaign(t.engine(), x, labels, t.BERS, 2, 5)
print([name for name in sys.modules if name.split(".")[0] in ("dask", "distributed")])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
