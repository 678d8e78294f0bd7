"""The one error that bad input raises; the command line prints it as one line and exits with 2."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input: the message is one line naming what was wrong, the bound and the value.

    >>> raise InputError("guard column must be 0 to 24, the width of an accumulator, not 30")
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: guard column must be 0 to 24, the width of an accumulator, not 30
    """
