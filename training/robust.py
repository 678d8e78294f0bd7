"""Strikes during training: networks learn to live with the faults that they will meet."""

from __future__ import annotations

from typing import Any

from hardpoint.errors import InputError
from hardpoint.training.backend import load

__all__ = ["strikes"]


def strikes(ber: float, steps: int, scale: int, columns: int, bits: int, name: str) -> Any:
    """A Keras layer that strikes accumulators of `bits` while it trains, and hands its input on when it does not.

    A sum of `steps` products meets a flip with probability 1 - (1 - ber)**(columns steps); the flip hits one of the lowest
    `columns` columns, all equally likely, and moves the sum by the bit's weight, up if the bit is 0 in the finished sum,
    down if it is 1, wrapping. That is the campaign's accumulator site with two simplifications: at most one flip per sum,
    and the finished sum's bit in place of the partial sum's. Sums are real values on the grid of 2**-`scale`; gradients
    pass as if nothing had happened.
    """
    if not 0 < ber < 1:
        raise InputError(f"a bit error rate lies between 0 and 1, not {ber}")
    if not 1 <= columns <= bits <= 30:
        raise InputError(
            f"strikes hit 1 to {bits} columns of an accumulator of at most 30 bits, not {columns} of {bits}"
        )
    backend = load()
    tf = backend.tf
    probability = 1 - (1 - ber) ** (columns * steps)

    class Strikes(backend.keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any, training: Any = None) -> Any:
            if not training:
                return x
            shape = tf.shape(x)
            code = tf.cast(tf.round(x * 2.0**scale), tf.int32)
            column = tf.random.uniform(shape, 0, columns, tf.int32)
            weight = tf.bitwise.left_shift(tf.ones_like(code), column)
            is_set = tf.bitwise.bitwise_and(code, weight) != 0
            half = 1 << (bits - 1)
            moved = tf.math.floormod(code + tf.where(is_set, -weight, weight) + half, 1 << bits) - half
            change = tf.cast(moved - code, x.dtype) * 2.0**-scale
            hit = tf.random.uniform(shape) < probability
            return x + tf.stop_gradient(tf.where(hit, change, tf.zeros_like(x)))

    return Strikes(name=name)
