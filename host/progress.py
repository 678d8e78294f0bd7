"""Progress of a campaign's units, where it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hardpoint.progress import progress

__all__ = ["bar"]


@contextmanager
def bar(show: bool, total: int) -> Iterator[Callable[[int], None]]:
    """Yield what is called with how many of `total` units were finished; the bar goes when they are."""
    with progress(quiet=not show, transient=True) as task:
        finished, update = 0, None

        def advance(done: int) -> None:
            nonlocal finished, update
            finished += done
            update = update or task("units", total)
            update(finished)

        yield advance
