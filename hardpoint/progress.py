"""Progress on standard error, with the time that is left: bars for people, nothing where machines read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Task", "progress"]

Task = Callable[[str, int], Callable[[int], None]]
"""task(label, total) gives a function to call with the number of finished pieces."""


@contextmanager
def progress(quiet: bool = False, transient: bool = False) -> Iterator[Task]:
    """Yield a `Task`; each of its labels gets a bar with what is finished, the time taken and the time left.

    `transient` bars go when the work is done.

    >>> with progress(quiet=True) as task:
    ...     done = task("images", 3)
    ...     done(3)
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    shown = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=Console(stderr=True), disable=quiet,
        transient=transient,
    )  # fmt: skip

    def task(label: str, total: int) -> Callable[[int], None]:
        shown.start()  # not before there is something to show: an error is one line and no more
        number = shown.add_task(label, total=total)
        return lambda done: shown.update(number, completed=done)

    try:
        yield task
    finally:
        if shown.tasks:
            shown.stop()
