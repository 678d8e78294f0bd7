"""Files that are either whole or absent: written beside their place and moved there in one step."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.errors import InputError

__all__ = ["atomic_path", "digest", "load_json", "load_npz", "only_keys", "save_npz", "write_json", "write_text"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path` that replaces `path` if the block succeeds.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as part:
    ...     _ = part.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    os.close(handle)
    part = Path(name)
    try:
        yield part
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)  # mkstemp makes private files; a result is as readable as any other file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def load_json(path: str | os.PathLike[str], what: str) -> Any:
    """Read JSON from `path`; an InputError names `what` it should have been."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no {what}: {error}") from None


def save_npz(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Write a JSON header and named arrays as a compressed `.npz` without pickles."""
    text = json.dumps(header, allow_nan=False).encode()
    pickled = [name for name, array in arrays.items() if array.dtype.hasobject]
    if pickled:  # savez's own allow_pickle is new in NumPy 2; before, it stores an array of that name
        raise InputError(f"array {pickled[0]!r} holds objects, which only pickles can store")
    with atomic_path(path) as part, part.open("wb") as file:
        named: dict[str, Any] = {"header": np.frombuffer(text, np.uint8), **arrays}
        np.savez_compressed(file, **named)


def load_npz(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Read what `save_npz` wrote; an InputError names `what` it should have been."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
        if not isinstance(header, dict):
            raise ValueError("its header is no table")
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror or error}") from None
    except KeyError:
        raise InputError(f"{path} is no {what}: it has no header") from None
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen types for a corrupt file
        raise InputError(
            f"{path} is no {what}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None
    return header, arrays


def only_keys(table: Any, allowed: set[str], what: str) -> dict[str, Any]:
    """Return `table` if it is a mapping that holds no key outside `allowed`.

    >>> only_keys({"rows": 8, "colums": 8}, {"rows", "cols"}, "array")
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: array has no key 'colums'; keys are cols, rows
    """
    if not isinstance(table, dict):
        raise InputError(f"{what} must be a table of keys and values, not {type(table).__name__}")
    for key in table:
        if key not in allowed:
            raise InputError(f"{what} has no key {key!r}; keys are {', '.join(sorted(allowed))}")
    return table


def digest(*parts: bytes | str | np.ndarray[Any, Any]) -> str:
    """First 16 hex digits of the SHA-256 over `parts`, each preceded by its type, shape and length.

    >>> digest("a", "bc") != digest("ab", "c")
    True
    """
    h = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            data = np.ascontiguousarray(part)
            h.update(f"{data.dtype.str}{data.shape}".encode())
            part = data.tobytes()
        elif isinstance(part, str):
            part = part.encode()
        h.update(f"{len(part)}:".encode())
        h.update(part)
    return h.hexdigest()[:16]
