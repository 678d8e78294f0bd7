"""What QKeras' quantisers mean in integers, or why they mean nothing there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed

__all__ = ["Activation", "activation", "along", "lowest_bit", "weight_codes"]

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Activation:
    """An activation in integers: requantise to `grid`, with ReLU if `relu`; its codes then mean `out`.

    The two formats differ in their fraction where the quantiser multiplies by a power of two behind its rounding.
    """

    grid: Fixed
    out: Fixed
    relu: bool


def activation(name: str, quantiser: Any) -> Activation:
    """The activation `quantiser` of layer `name` in integers; an InputError says why there is none."""
    kind = type(quantiser).__name__
    if kind == "quantized_relu":
        return _relu(name, quantiser)
    if kind == "quantized_bits":
        return _bits(name, quantiser)
    raise InputError(
        f"layer {name}: an activation {kind} is no rounding of integers; quantized_relu and quantized_bits are"
    )


def _exact(name: str, quantiser: Any) -> None:
    if getattr(quantiser, "use_stochastic_rounding", False):
        raise InputError(f"layer {name}: {type(quantiser).__name__} rounds stochastically, integers round half to even")
    factor = float(np.asarray(getattr(quantiser, "qnoise_factor", 1.0)))
    if factor != 1.0:
        raise InputError(
            f"layer {name}: {type(quantiser).__name__} quantises only a share of {factor:g} (qnoise_factor), not all"
        )


def _relu(name: str, q: Any) -> Activation:
    _exact(name, q)
    if q.negative_slope:
        raise InputError(
            f"layer {name}: a leaky quantized_relu (negative_slope {q.negative_slope:g}) is not supported, only slope 0"
        )
    if q.use_sigmoid:
        raise InputError(f"layer {name}: quantized_relu with use_sigmoid is no rounding of integers")
    fmt = Fixed(int(q.bits), int(q.bits) - int(q.integer), signed=False)
    bound = q.relu_upper_bound
    if bound and not q.is_quantized_clip and bound < fmt.value(fmt.max):
        raise InputError(
            f"layer {name}: quantized_relu is cut at {bound:g}, below the largest code's {float(fmt.value(fmt.max)):g}"
        )
    return Activation(fmt, fmt, True)


def _bits(name: str, q: Any) -> Activation:
    _exact(name, q)
    negative = bool(q.keep_negative)
    if int(q.bits) - negative < 1:
        raise InputError(f"layer {name}: quantized_bits of one bit is a sign, not a rounding of integers")
    if isinstance(q.alpha, str):
        raise InputError(
            f"layer {name}: an activation whose scale follows the data (alpha {q.alpha!r}) has no fixed format"
        )
    if negative and q.symmetric:
        raise InputError(
            f"layer {name}: a symmetric activation saturates at minus the largest code, integers at one less"
        )
    grid = Fixed(int(q.bits), int(q.bits) - negative - int(q.integer), negative)
    scale = 0 if q.alpha is None else _exponent(name, np.asarray(q.alpha, np.float64).reshape(-1))
    return Activation(grid, Fixed(grid.bits, grid.frac - scale, negative), False)


def _exponent(name: str, alpha: NDArray[np.float64]) -> int:
    """log2 of a scale that all elements share."""
    if len(set(alpha.tolist())) != 1:
        raise InputError(f"layer {name}: its activation has {len(set(alpha.tolist()))} scales, one is supported")
    mantissa, exponent = np.frexp(alpha[0])
    if mantissa != 0.5:
        raise InputError(f"layer {name}: a scale (alpha) of {alpha[0]:g} is no power of two")
    return int(exponent) - 1


def weight_codes(
    name: str, quantiser: Any, kernel: NDArray[np.float32], channel_axis: int
) -> tuple[Codes, NDArray[np.int64], int]:
    """Quantise `kernel` with QKeras' own object: codes, fraction bits per channel, and bits of the codes.

    The step of a channel is the quantiser's own where it has a fixed one, else the largest power of two of which all the
    channel's weights are multiples. Weights without quantiser must lie on such a grid of at most 16 bits already.
    """
    if quantiser is None:
        values, declared = np.asarray(kernel, np.float64), None
    else:
        _exact(name, quantiser)
        values = np.asarray(quantiser(kernel), np.float64)
        declared = _declared_step(quantiser)
    channels = kernel.shape[channel_axis]
    flat = np.moveaxis(values, channel_axis, -1).reshape(-1, channels)
    if not np.isfinite(flat).all():
        raise InputError(f"layer {name}: its weights are not finite")
    bits = int(getattr(quantiser, "bits", 0)) if type(quantiser).__name__ == "quantized_bits" else 0
    if declared is not None:
        frac = np.full(channels, declared, np.int64)
    else:
        frac = np.array([lowest_bit(column) for column in flat.T], np.int64)
        scale = _channel_scales(quantiser, kernel.shape, channel_axis)
        if scale is not None:  # auto_po2: the step is the scale, whatever the weights happen to be
            frac = np.maximum(frac, -scale)
    codes = values * np.exp2(along(frac, values.ndim, channel_axis))
    if (codes != np.rint(codes)).any() or np.abs(codes).max(initial=0) > 1 << 15:
        raise InputError(
            f"layer {name}: its weights are {_why(quantiser)}, so no 16-bit integers times a power of two per channel express them"
        )
    whole = codes.astype(np.int64)
    needed = max(int(max(whole.max(initial=0), -1 - whole.min(initial=0))).bit_length() + 1, 2)
    return whole, frac, max(bits, needed)


def _why(quantiser: Any) -> str:
    if quantiser is None:
        return "floats without a quantiser (`convert --calibrate` quantises a float model)"
    return f"quantised by {type(quantiser).__name__} with alpha {getattr(quantiser, 'alpha', None)!r}"


def along(values: NDArray[np.int64], axes: int, axis: int) -> NDArray[np.int64]:
    """`values` (channels,) shaped to broadcast along `axis` of an array with so many `axes`."""
    shape = [1] * axes
    shape[axis] = -1
    return values.reshape(shape)


def _declared_step(q: Any) -> int | None:
    """Fraction bits of a quantized_bits with a fixed power-of-two scale."""
    if type(q).__name__ != "quantized_bits" or isinstance(q.alpha, str) or int(q.bits) - bool(q.keep_negative) < 1:
        return None
    alpha = np.asarray(1.0 if q.alpha is None else q.alpha, np.float64).reshape(-1)
    mantissa, exponent = np.frexp(alpha)
    if len(alpha) != 1 or mantissa[0] != 0.5:
        return None
    return int(q.bits) - bool(q.keep_negative) - int(q.integer) - (int(exponent[0]) - 1)


def _channel_scales(q: Any, shape: tuple[int, ...], channel_axis: int) -> NDArray[np.int64] | None:
    """log2 of the step of each channel of a quantized_bits with alpha auto_po2, as its last call left it."""
    if type(q).__name__ != "quantized_bits" or q.alpha != "auto_po2":
        return None
    # QKeras stores scale * 2**unsigned bits and multiplies it with z * 2**integer / 2**unsigned bits
    step = np.asarray(q.scale, np.float64) * 2.0 ** (int(q.integer) - (int(q.bits) - bool(q.keep_negative)))
    step = np.moveaxis(np.broadcast_to(step, shape), channel_axis, -1).reshape(-1, shape[channel_axis])
    mantissa, exponent = np.frexp(step)
    if (step != step[0]).any() or (mantissa != 0.5).any():
        return None
    return np.asarray(exponent[0], np.int64) - 1


def lowest_bit(values: NDArray[np.float64]) -> int:
    """Fraction bits of the coarsest power-of-two grid on which all `values` lie (float32 or coarser); 0 if all are zero.

    >>> lowest_bit(np.array([0.75, -2.0])), lowest_bit(np.array([4.0, 12.0]))
    (2, -2)
    """
    nonzero = values[values != 0]
    if not len(nonzero):
        return 0
    mantissa, exponent = np.frexp(nonzero)
    whole = np.abs(mantissa * 2.0**53).astype(np.int64)
    trailing = np.array([(int(w) & -int(w)).bit_length() - 1 for w in whole])
    return int((53 - exponent - trailing).max())
