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

    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("units", total=total)
        yield lambda done: progress.advance(task, done)
