"""What one cell of a report says: a number, or in which way there is none."""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass

from hardpoint.errors import InputError

__all__ = ["Below", "Mark", "Number", "Span", "count", "nanoseconds", "number", "percent", "span"]


class Mark(enum.Enum):
    """Why a cell holds no number."""

    UNDEF = "undef"  #: the tool found no bound: `undef`, `?`, `x`
    NONE = "-"  #: the row has no such thing: `-`, `---`, an empty cell
    NA = "NA"  #: not applicable, or not run: `NA`, `N/A`

    def __repr__(self) -> str:
        return f"Mark.{self.name}"


@dataclass(frozen=True)
class Below:
    """More than nothing and less than `bound`: `<0.001` of a watt, `~0` (less than 1) of a percentage."""

    bound: float


@dataclass(frozen=True)
class Span:
    """From `low` to `high`, both included, as trip counts and latencies of data-dependent loops are given."""

    low: int | float | Mark
    high: int | float | Mark


Number = int | float | Mark | Below | Span

_MARKS = {
    "undef": Mark.UNDEF,
    "?": Mark.UNDEF,
    "x": Mark.UNDEF,
    "": Mark.NONE,
    "-": Mark.NONE,
    "--": Mark.NONE,
    "---": Mark.NONE,
    "_": Mark.NONE,
    "na": Mark.NA,
    "n/a": Mark.NA,
}
_WHOLE = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")
_UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9, "sec": 1e9, "min": 60e9, "hour": 3600e9}
_DIGITS = 20  # 2^64 has 20 digits; latencies above 2^53 occur and stay exact


def number(text: str) -> Number:
    """The number, mark, bound or span that `text` holds.

    >>> [number(text) for text in ("53200", "0.5", "2.627e+06", "?", "-", "NA", "<0.001", "~0", "1 ~ 25")]
    [53200, 0.5, 2627000.0, Mark.UNDEF, Mark.NONE, Mark.NA, Below(bound=0.001), Below(bound=1.0), Span(low=1, high=25)]
    >>> number("9007199254740993")
    9007199254740993
    >>> number("twelve")
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: a cell of a report holds a number or undef, not 'twelve'
    """
    word = text.strip().lower()
    plain = _plain(word)
    if plain is not None:
        return plain
    if word == "~0":
        return Below(1.0)
    bound = _plain(word[1:]) if word.startswith("<") else None
    if isinstance(bound, int | float) and bound > 0:
        return Below(float(bound))
    low, tilde, high = word.partition("~")
    if tilde and low and "~" not in high:
        return span(low, high)
    raise InputError(f"a cell of a report holds a number or undef, not {text.strip()[:60]!r}")


def _plain(word: str) -> int | float | Mark | None:
    """The number or mark that a stripped word in lower case is; None for all else."""
    mark = _MARKS.get(word)
    if mark is not None:
        return mark
    if _WHOLE.fullmatch(word):
        if len(word) > _DIGITS:
            raise InputError(f"a count has at most {_DIGITS} digits, not {len(word)}")
        return int(word)
    if _REAL.fullmatch(word) and math.isfinite(float(word)):
        return float(word)
    return None


def count(text: str) -> Number:
    """`number`, which must not be a negative or broken number of things."""
    value = number(text)
    if isinstance(value, float) or (isinstance(value, int) and value < 0):
        raise InputError(f"a count is a whole number from 0, not {text.strip()[:60]}")
    return value


def span(low: str, high: str) -> Number:
    """What a column `min` and a column `max` say together: one number where they agree.

    >>> span("49", "49"), span("2", "26"), span("?", "?"), span("3", "?")
    (49, Span(low=2, high=26), Mark.UNDEF, Span(low=3, high=Mark.UNDEF))
    """
    return _span(count(low), count(high), f"{low.strip()} ~ {high.strip()}")


def _span(low: Number, high: Number, text: str) -> Number:
    if low == high:
        return low
    if isinstance(low, Below | Span) or isinstance(high, Below | Span):
        raise InputError(f"a range has two plain ends, not {text[:60]}")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        raise InputError(f"a range rises, not {text[:60]}")
    return Span(low, high)


def percent(text: str) -> Number:
    """`number` of a percentage, which may stand in brackets: `(~0%)`."""
    return number(text.strip().strip("()").rstrip("%"))


def nanoseconds(text: str) -> Number:
    """A time in nanoseconds from `7.224`, `7.224 ns`, `0.480 ms` or `24.830 sec`; a bare number is nanoseconds.

    >>> nanoseconds("50.000 ns"), nanoseconds("0.480 ms"), nanoseconds("5.0"), nanoseconds("undef")
    (50.0, 480000.0, 5.0, Mark.UNDEF)
    """
    low, tilde, high = text.partition(" ~ ")
    if tilde and "~" not in high:
        return _span(nanoseconds(low), nanoseconds(high), text)
    value, _, unit = text.strip().partition(" ")
    scale = _UNITS.get(unit.strip() or "ns")
    if scale is None:
        raise InputError(f"a time is in {', '.join(_UNITS)}, not {unit.strip()[:20]!r}")
    time = number(value)
    if isinstance(time, Mark):
        return time
    if isinstance(time, Below | Span) or not 0 <= time * scale < math.inf:
        raise InputError(f"a time is a number from 0, not {text.strip()[:60]}")
    return time * scale
