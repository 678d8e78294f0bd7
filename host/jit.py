"""Compilation of kernels by numba where it is installed; without it they run as plain Python, slower and the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

__all__ = ["COMPILED", "compiled", "fetch", "fused", "inlined", "place"]

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba
except ImportError:  # on a board, or in a small environment
    numba = None

COMPILED = numba is not None
"""Whether kernels are machine code."""

OPTIONS = {"error_model": "numpy", "_nrt": False}
"""Kernels allocate nothing, so they need no reference counts, which would cost them ten times their own work."""

place: Any = int if numba is None else np.uint64
"""Type of an index that cannot be negative: loops over it become vector code."""


if numba is None:

    def fetch(array: Any, at: int) -> None:
        """Begin to load element `at` of a vector into the caches, without waiting for it."""

else:
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def fetch(typing: Any, array: Any, at: Any) -> Any:
        """Begin to load element `at` of a vector into the caches, without waiting for it."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
            kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            # to read, to be kept, in the cache of data
            builder.call(call, [address, *(cgutils.int32_t(number) for number in (0, 3, 1))])
            return context.get_dummy_value()

        return types.void(array, at), code


def inlined(kernel: F) -> F:
    """As `compiled`, for small kernels: their callers take them in, so that no table is passed on the stack."""
    return kernel if numba is None else numba.njit(**OPTIONS, forceinline=True)(kernel)


def compiled(kernel: F) -> F:
    """Compile `kernel` at its first call and keep the machine code beside the sources.

    numba's own cache looks at one file's time stamp only; kernels call kernels of other files, so the folder is
    named by the content of them all.
    """
    return kernel if numba is None else _cached(kernel)


def fused(kernel: F) -> F:
    """As `compiled`, a product and a sum in one instruction: for floats of which every product and every sum is exact."""
    return kernel if numba is None else _cached(kernel, fastmath={"contract"})


def _cached(kernel: F, **more: Any) -> F:
    before = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = _folder() or before
        return numba.njit(**OPTIONS, **more, cache=True, nogil=True)(kernel)  # type: ignore[no-any-return]
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
