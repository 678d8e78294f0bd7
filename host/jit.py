"""Compilation of kernels by numba where it is installed; without it they run as plain Python, slower and the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["COMPILED", "compiled"]

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba  # type: ignore[import-untyped]
except ImportError:  # on a board, or in a small environment
    numba = None

COMPILED = numba is not None
"""Whether kernels are machine code."""


def compiled(kernel: F) -> F:
    """Compile `kernel` at its first call and keep the machine code beside the sources.

    numba's own cache looks at one file's time stamp only; kernels call kernels of other files, so the folder is
    named by the content of them all.
    """
    if numba is None:
        return kernel
    before = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = _folder() or before
        return numba.njit(cache=True, nogil=True, error_model="numpy")(kernel)  # type: ignore[no-any-return]
    finally:
        numba.config.CACHE_DIR = before


@cache
def _folder() -> str:
    """Where machine code of these sources is kept, or "" where numba has to choose."""
    here = Path(__file__).parent
    sources = [path.read_bytes() for path in sorted(here.glob("*.py"))]
    content = hashlib.sha256(b"".join(source for source in sources if b"@compiled" in source))
    folder = here / "__pycache__" / f"kernels-{content.hexdigest()[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder)
