"""Folders of files with an `index.json` of what they must be read to, and the comparison with what was read.

    {"items": [{"file": "a/b.rpt", "kind": "power", "sha256": "...", "expected": {"total_w": 0.161, ...}}, ...]}

`kind` may be absent; `expected` may be absent where a file must merely be readable. The comparison knows no kind:
it visits every leaf of `expected` and looks for the same place in what a reader says. A `null` in the index means
that it says nothing there.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardpoint.errors import InputError
from hardpoint.files import load_json

__all__ = ["Checked", "Leaf", "Outcome", "ViewOf", "check_folder", "check_folders", "compare", "leaves"]

_WHOLE = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}")
View = Callable[[Path], Mapping[str, Any]]
ViewOf = Callable[[Mapping[str, Any]], View | None]
"""The view that reads what an entry of an index names; None for what nobody was asked to read."""
_ABSENT = object()


@dataclass(frozen=True)
class Leaf:
    """One expected value and what was read in its place; `silent` where the index holds null."""

    place: str
    expected: Any
    found: Any
    equal: bool
    silent: bool = False


@dataclass(frozen=True)
class Checked:
    """One file: its leaves, why it could not be read, and lists of which the index holds only the beginning."""

    file: str
    kind: str
    leaves: tuple[Leaf, ...] = ()
    error: str | None = None
    longer: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the file was read and everything expected was found."""
        return self.error is None and all(leaf.equal for leaf in self.leaves)


@dataclass(frozen=True)
class Outcome:
    """A folder's files, and how many the index lists of kinds that nobody was asked to read."""

    folder: Path
    files: tuple[Checked, ...]
    unread: int

    @property
    def expected(self) -> int:
        """The number of values that the index states."""
        return sum(not leaf.silent for file in self.files for leaf in file.leaves)

    @property
    def equal(self) -> int:
        """The number of them that were read."""
        return sum(leaf.equal and not leaf.silent for file in self.files for leaf in file.leaves)

    def lines(self) -> Iterator[str]:
        """The outcome in words: a line of totals, then one for each difference and each file not read."""
        read = sum(file.error is None for file in self.files)
        rest = f"; {self.unread} files of other kinds left" if self.unread else ""
        yield f"{self.folder.name}: {read} of {len(self.files)} files read, {self.equal} of {self.expected} values equal{rest}"
        for file in self.files:
            if file.error is not None:
                yield f"  {file.file}: {file.error}"
            for leaf in file.leaves:
                if not leaf.equal:
                    yield f"  {file.file}: {leaf.place} is {leaf.found!r}, expected {leaf.expected!r}"

    def remarks(self) -> Iterator[str]:
        """Where the index says less than was read: a null, or the beginning of a list."""
        for file in self.files:
            yield from (f"  {file.file}: {text}" for text in file.longer)
            for leaf in file.leaves:
                if leaf.silent and leaf.found is not None:
                    yield f"  {file.file}: {leaf.place} is {leaf.found!r}, the index is silent"


def leaves(expected: Any, found: Any, place: str = "") -> Iterator[Leaf]:
    """Every leaf of `expected` beside what `found` holds there; lists must be at least as long.

    >>> [(leaf.place, leaf.equal) for leaf in leaves({"lut": 3, "rows": ["a", 1.0]}, {"lut": 3, "rows": ["a", 2]})]
    [('lut', True), ('rows[0]', True), ('rows[1]', False)]
    """
    if isinstance(expected, Mapping) and expected:
        for key, value in expected.items():
            inner = found.get(key, _ABSENT) if isinstance(found, Mapping) else _ABSENT
            yield from leaves(value, inner, f"{place}.{key}" if place else str(key))
    elif isinstance(expected, list) and expected:
        items = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
        for i, value in enumerate(expected):
            yield from leaves(value, items[i] if i < len(items) else _ABSENT, f"{place}[{i}]")
    else:
        shown = "nothing" if found is _ABSENT else found
        if expected is None:
            yield Leaf(place, None, None if found is _ABSENT else found, equal=True, silent=True)
        elif isinstance(expected, Mapping | list):
            yield Leaf(place, expected, shown, equal=found is not _ABSENT and not found)
        else:
            yield Leaf(place, expected, shown, equal=_same(expected, found))


def _same(expected: Any, found: Any) -> bool:
    """Equality of two leaves: numbers by value, also where the index writes a whole one as text ("0x10", "16")."""
    numbers = (int, float)
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, numbers) and isinstance(found, numbers):
        exact = isinstance(expected, int) and isinstance(found, int)
        return expected == found if exact else math.isclose(expected, found, rel_tol=1e-12, abs_tol=0.0)
    if isinstance(expected, str) and isinstance(found, int):
        return bool(_WHOLE.fullmatch(expected)) and int(expected, 16 if expected[:2] in ("0x", "0X") else 10) == found
    return type(expected) is type(found) and bool(expected == found)


def _longer(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            yield from _longer(value, found.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(expected, list) and isinstance(found, Sequence) and not isinstance(found, str):
        if len(found) > len(expected):
            yield f"{place} has {len(found)} entries, the index lists {len(expected)}"
        for i, (a, b) in enumerate(zip(expected, found, strict=False)):
            yield from _longer(a, b, f"{place}[{i}]")


def check_folder(folder: Path, view_of: ViewOf) -> Outcome:
    """Read each file of the folder's index with the view that `view_of` names for its entry, and compare."""
    index = load_json(folder / "index.json", "index")
    items = index.get("items") if isinstance(index, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) and "file" in item for item in items):
        raise InputError(f"{folder / 'index.json'} has no list 'items' of entries that each name a 'file'")
    checked, unread = [], 0
    for item in items:
        view = view_of(item)
        if view is None:
            unread += 1
        else:
            checked.append(_check(folder, item, view))
    return Outcome(folder, tuple(checked), unread)


def _check(folder: Path, item: Mapping[str, Any], view: View) -> Checked:
    path, kind = folder / item["file"], str(item.get("kind", ""))
    try:
        if "sha256" in item and hashlib.sha256(path.read_bytes()).hexdigest() != item["sha256"]:
            return Checked(item["file"], kind, error="the file is not the one that the index describes (sha256)")
        found = view(path)
    except (InputError, OSError) as error:
        return Checked(item["file"], kind, error=str(error))
    expected = item.get("expected", {})
    compared = tuple(leaves(expected, found)) if expected else ()
    return Checked(item["file"], kind, compared, longer=tuple(_longer(expected, found)))


def check_folders(root: Path, view_of: ViewOf) -> tuple[Outcome, ...]:
    """`check_folder` of each folder at or below `root` that holds an `index.json` with at least one such file."""
    if not root.is_dir():
        raise InputError(f"{root} is no folder")
    outcomes = []
    for index in sorted(root.rglob("index.json")):
        contents = load_json(index, "index")
        if isinstance(contents, dict) and "items" in contents:
            outcomes.append(check_folder(index.parent, view_of))
    return tuple(outcome for outcome in outcomes if outcome.files)


def compare(name: str, files: str, view_of: ViewOf, arguments: Sequence[str] | None = None) -> int:
    """The command `name`: print each folder's outcome for the `files` that `view_of` reads.

    The exit code is 0 where everything expected was read, 1 on any difference or file that was not read, 2 on bad input.
    """
    parser = argparse.ArgumentParser(prog=name, description=f"Check the readers of {files} on indexed folders.")
    parser.add_argument("folder", nargs="?", default="../shared/real", type=Path)
    parser.add_argument("--remarks", action="store_true", help="also print where an index says less than was read")
    options = parser.parse_args(arguments)
    try:
        outcomes = check_folders(options.folder, view_of)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for outcome in outcomes:
        print(*outcome.lines(), sep="\n")
        if options.remarks:
            print(*outcome.remarks(), sep="\n")
    if not outcomes:
        print(f"no index.json below {options.folder} lists {files}")
    return 0 if all(file.right for outcome in outcomes for file in outcome.files) else 1
