"""Which versions of what made a result."""

from __future__ import annotations

import platform

import numpy as np

import hardpoint
from hardpoint.host.jit import COMPILED

__all__ = ["FAULT_MODEL", "versions"]

FAULT_MODEL = "hardpoint fault model 1"


def versions() -> dict[str, str]:
    """Versions of everything that a result may rest on, by name.

    >>> sorted(versions())
    ['fault_model', 'hardpoint', 'kernels', 'numpy', 'python']
    """
    if COMPILED:
        import numba

        kernels = f"numba {numba.__version__}"
    else:
        kernels = "plain Python"
    return {
        "fault_model": FAULT_MODEL,
        "hardpoint": hardpoint.__version__,
        "kernels": kernels,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
