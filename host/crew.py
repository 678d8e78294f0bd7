"""Who plays a campaign's units: this process, worker processes beside it, or a Dask cluster; results do not depend on it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import hardpoint
from hardpoint.errors import InputError

__all__ = ["Crew", "Item", "Work"]

AHEAD = 2
"""Items that wait at every worker, so that none is idle while a result travels."""


class Item(NamedTuple):
    """Units `trials` of point `point` of a campaign."""

    point: str
    trials: Sequence[int]


class Work(Protocol):
    """What can be played: picklable, so that it reaches workers."""

    def chunk(self, item: Item) -> Any: ...


class Crew:
    """Plays items of `work` by `jobs` processes, of which this is one, or by the cluster of a Dask scheduler.

    Use it as a context. Workers start after the first item, so that they find compiled what it compiled.
    """

    def __init__(self, work: Work, jobs: int = 1, scheduler: str | None = None) -> None:
        if jobs < 1:
            raise InputError(f"jobs must be at least 1, not {jobs}")
        if scheduler is not None and jobs > 1:
            raise InputError("units are shared out to processes here (jobs) or to a cluster (scheduler), not to both")
        self.work, self.jobs, self.scheduler = work, jobs, scheduler
        self._begun = False
        self._pool: Any = None
        self._cluster: Any = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._cluster is not None:
            self._cluster.close()

    def played(self, items: Iterable[Item]) -> Iterator[tuple[Item, Any]]:
        """Every item with its result, as they come; `items` are asked for one by one, shortly before they are played."""
        if self.scheduler is not None:
            yield from self._by_cluster(iter(items))
        elif self.jobs == 1:
            for item in items:
                yield item, self.work.chunk(item)
        else:
            yield from self._by_processes(iter(items))

    def _by_processes(self, items: Iterator[Item]) -> Iterator[tuple[Item, Any]]:
        import concurrent.futures
        from concurrent.futures.process import BrokenProcessPool

        waiting = dict[Any, Item]()
        mine = next(items, None)
        try:
            if mine and self._begun:
                self._submit(items, waiting)
            while mine or waiting:
                if mine:
                    played = self.work.chunk(mine)
                    self._begun = True
                    yield mine, played
                else:
                    concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in [future for future in waiting if future.done()]:
                    yield waiting.pop(future), future.result()
                mine = next(items, None)
                if mine:
                    self._submit(items, waiting)
        except BrokenProcessPool:
            raise InputError("a worker process died (is there enough memory for so many jobs?); what was stored is kept") from None
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, items: Iterator[Item], waiting: dict[Any, Item]) -> None:
        """Give the workers what they may have ahead."""
        while len(waiting) < AHEAD * (self.jobs - 1) and (theirs := next(items, None)):
            waiting[self._processes().submit(_work, theirs)] = theirs

    def _processes(self) -> Any:
        if self._pool is None:
            import concurrent.futures
            import multiprocessing

            context = multiprocessing.get_context("spawn")
            self._pool = concurrent.futures.ProcessPoolExecutor(self.jobs - 1, context, _start, (self._shared(),))
        return self._pool

    def _by_cluster(self, items: Iterator[Item]) -> Iterator[tuple[Item, Any]]:
        distributed, client = self._connected()
        # a task, not scattered data: it is computed again wherever a worker that held it died
        work = client.submit(_taken, self._shared(), hardpoint.__version__, pure=False)
        threads = max(1, sum(client.nthreads().values()))
        waiting = dict[Any, Item]()
        done = distributed.as_completed(loop=client.loop)
        try:
            while True:
                while len(waiting) < AHEAD * threads and (item := next(items, None)):
                    future = client.submit(_work_there, work, item, pure=False)
                    waiting[future] = item
                    done.add(future)
                if not waiting:
                    return
                future = next(done)
                yield waiting.pop(future), future.result()
        except (OSError, distributed.CancelledError, distributed.KilledWorker) as error:
            raise InputError(f"the Dask cluster at {self.scheduler} failed: {type(error).__name__} {error}; what was stored is kept") from None
        finally:
            client.cancel([*waiting, work], force=True)

    def _connected(self) -> tuple[Any, Any]:
        try:
            import distributed
        except ModuleNotFoundError:
            raise InputError("a Dask scheduler needs dask[distributed], which is not installed") from None
        if self._cluster is None:
            try:
                self._cluster = distributed.Client(self.scheduler, timeout=10, set_as_default=False)
                self._cluster.wait_for_workers(1, timeout=60)
            except (OSError, ValueError, TimeoutError) as error:
                raise InputError(f"no Dask scheduler with a worker at {self.scheduler}: {str(error).splitlines()[0]}") from None
        return distributed, self._cluster

    def _shared(self) -> Work:
        try:
            pickle.dumps(self.work)
        except Exception as error:  # every library has a type of its own for what cannot be pickled
            raise InputError(f"this device cannot be shared out to other processes ({error}); use one job") from None
        return self.work


_here: list[Work] = []  # a pool offers no other way for a worker process to keep what it was started with
_one_at_a_time = threading.Lock()


def _start(work: Work) -> None:
    try:
        import threadpoolctl  # type: ignore[import-untyped]

        threadpoolctl.threadpool_limits(1)  # processes are the parallelism here
    except ModuleNotFoundError:
        pass
    _here[:] = [work]


def _work(item: Item) -> Any:
    return _here[0].chunk(item)


def _taken(work: Work, version: str) -> Work:
    if version != hardpoint.__version__:
        raise InputError(f"a Dask worker runs hardpoint {hardpoint.__version__}, this is {version}")
    return work


def _work_there(work: Work, item: Item) -> Any:
    with _one_at_a_time:  # an engine plays one list at a time, however many threads a worker has
        return work.chunk(item)
