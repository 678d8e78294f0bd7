"""The one door to TensorFlow, Keras 2 and QKeras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hardpoint.errors import InputError
from hardpoint.legacy_keras import legacy_keras

__all__ = ["Backend", "load", "seeded"]


@dataclass(frozen=True)
class Backend:
    """The libraries that training needs, imported."""

    tf: Any
    keras: Any
    qkeras: Any


def load() -> Backend:
    """Import TensorFlow, tf-keras and QKeras (about 7 s the first time) without their log lines."""
    try:
        with legacy_keras():
            import tensorflow as tf

            tf.constant(0)  # the first operation logs, too
            import qkeras
            import tf_keras as keras
    except ImportError as error:
        raise InputError(
            f"training needs TensorFlow, tf-keras and qkeras: pip install 'hardpoint[train]' ({error})"
        ) from None
    tf.get_logger().setLevel("ERROR")  # a model per width or seed makes TensorFlow warn of retracing
    return Backend(tf, keras, qkeras)


def seeded(seed: int) -> Backend:
    """`load()`, with every random stream seeded and deterministic operations: same seed and machine, same weights."""
    backend = load()
    backend.keras.utils.set_random_seed(seed)
    backend.tf.config.experimental.enable_op_determinism()
    return backend
