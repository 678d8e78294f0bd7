"""One file for everything that a command line can say: TOML, a table per verb, keys named like the long options.

The settings that a result was made with are written the same way, so that they can be fed back.
"""

from __future__ import annotations

import difflib
import sqlite3
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from hardpoint.errors import InputError

__all__ = ["FOLDER_FILE", "as_toml", "key_of", "load", "note", "noted", "typed"]

FOLDER_FILE = "hardpoint.toml"
"""Where a result that is a folder keeps its settings; a file `digits.h5` keeps them in `digits.h5.toml` beside it."""

SQLITE = b"SQLite format 3\0"
TABLE = "CREATE TABLE IF NOT EXISTS settings (verb TEXT NOT NULL, toml TEXT NOT NULL, written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"


def key_of(parameter: Any) -> str:
    """The key of a command line's parameter: its long option without dashes, or the name of an argument."""
    long = [option[2:] for option in parameter.opts if option.startswith("--")]
    return str(long[0] if long else parameter.name)


def load(path: Path, verbs: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """The tables of a configuration file; `verbs` gives the keys that each verb knows. InputError names what is unknown.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "my.toml"
    >>> _ = file.write_text('[campaign]' + chr(10) + 'ber = [1e-6, 1e-5]')
    >>> load(file, {"campaign": ["ber", "trials"]})
    {'campaign': {'ber': [1e-06, 1e-05]}}
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read configuration {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors are ValueErrors
        raise InputError(f"{path} is no TOML: {error}") from None
    for verb, table in tables.items():
        if verb not in verbs:
            raise InputError(f"{path}: there is no verb {verb!r}{_nearest(verb, verbs)}")
        if not isinstance(table, dict):
            raise InputError(f"{path}: {verb} must be a table, [{verb}] with its options below, not {table!r}")
        for key in table:
            if key not in verbs[verb]:
                raise InputError(f"{path}: [{verb}] has no option {key!r}{_nearest(key, verbs[verb])}")
    return tables


def _nearest(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f"; the nearest is {found[0]!r}" if found else ""


def typed(value: Any, flag: bool, many: bool) -> Any:
    """A value of a file as the command line would give it, to be read by its option: text, true or false for flags, lists.

    >>> typed(14, flag=False, many=False), typed(1e-6, flag=False, many=True), typed(True, flag=True, many=False)
    ('14', ['1e-06'], True)
    """
    if many:
        return [typed(item, flag, False) for item in (value if isinstance(value, list) else [value])]
    if flag != isinstance(value, bool):
        raise InputError(f"takes {'true or false' if flag else 'a text or a number'}, not {_shown(value)}")
    if not isinstance(value, (bool, str, int, float)):
        raise InputError(f"takes one text or number, not {_shown(value)}")
    return value if flag else str(value)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def as_toml(verb: str, values: Mapping[str, Any]) -> str:
    """The settings of a verb as TOML, what is None left out.

    >>> print(as_toml("cost", {"rows": 8, "guard": "14", "array": None, "plot": Path("a.svg")}), end="")
    [cost]
    rows = 8
    guard = "14"
    plot = "a.svg"
    """
    import tomli_w

    return tomli_w.dumps({verb: {key: _plain(value) for key, value in values.items() if value is not None}})


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def note(result: Path, verb: str, text: str) -> None:
    """Keep settings with a result: in a database, in a folder, or beside a file; nothing where there is no result."""
    from hardpoint.files import write_text

    if result.is_dir():
        write_text(result / FOLDER_FILE, text)
    elif _is_database(result):
        _in_database(result, lambda db: _add(db, verb, text))
    elif result.is_file():
        write_text(result.with_name(result.name + ".toml"), text)


def noted(result: Path) -> list[str]:
    """All settings that a result was made with, oldest first, as TOML."""
    if _is_database(result):
        kept: list[str] = _in_database(result, _all)
        return kept
    beside = result / FOLDER_FILE if result.is_dir() else result.with_name(result.name + ".toml")
    try:
        return [beside.read_text(encoding="utf-8")]
    except (OSError, UnicodeDecodeError):
        return []


def _add(db: sqlite3.Connection, verb: str, text: str) -> None:
    db.execute(TABLE)
    if not db.execute("SELECT 1 FROM settings WHERE verb = ? AND toml = ?", (verb, text)).fetchone():
        db.execute("INSERT INTO settings (verb, toml) VALUES (?, ?)", (verb, text))


def _all(db: sqlite3.Connection) -> list[str]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'settings'").fetchone():
        return []
    return [str(row[0]) for row in db.execute("SELECT toml FROM settings ORDER BY rowid")]


def _in_database(path: Path, work: Callable[[sqlite3.Connection], Any]) -> Any:
    try:
        with closing(sqlite3.connect(path, timeout=60)) as db, db:
            return work(db)
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot hold settings: {error}") from None


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except OSError:
        return False
