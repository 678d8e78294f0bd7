"""The environment in which QKeras and hls4ml can be imported; this module itself imports nothing heavy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["legacy_keras"]


@contextmanager
def legacy_keras() -> Iterator[None]:
    """Make imports of TensorFlow inside the block choose Keras 2, and keep what its C++ side logs off the terminal.

    QKeras 0.9 and hls4ml 1.3 know Keras 2 only (see docs/traps.md). TensorFlow reads these variables once, when it
    is first imported; they are the one way to tell it. Python errors inside the block are raised as usual.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Keras 2 warns about its own files and about what QKeras hands it; neither is the user's to change
    warnings.filterwarnings("ignore", category=UserWarning, module="tf_keras")
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
