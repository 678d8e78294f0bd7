"""A progress bar on standard error, where it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["bar"]


@contextmanager
def bar(show: bool, total: int) -> Iterator[Callable[[int], None]]:
    """Yields what is called with how many of `total` units were finished."""
    if not show:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    progress = Progress(transient=True, console=Console(stderr=True))
    task = progress.add_task("units", total=total)

    def advance(done: int) -> None:
        progress.start()  # not before there is something to show: an error is one line and no more
        progress.advance(task, done)

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()
