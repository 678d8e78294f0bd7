"""Integer layers: what each kind computes, said once and exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed, shift_half_even

__all__ = ["MOST_SHIFT", "Add", "AvgPool", "Codes", "Conv", "Dense", "Gemm", "Layer", "MaxPool", "Rescale", "requantise", "windows"]

Codes = NDArray[np.int64]
Shape = tuple[int, ...]

MOST_SHIFT = 31
"""Bits by which a requantiser shifts at most."""


def requantise(acc: Codes, shift: Any, out: Fixed, relu: bool) -> Codes:
    """Right shift half to even, optional ReLU, saturation to `out`; the last axis is the channel.

    >>> requantise(np.array([[-9, 10, 14, 999]]), 2, Fixed.parse("s8.0"), relu=False).tolist()  # 2.5 and 3.5: to the even one
    [[-2, 2, 4, 127]]
    """
    x = shift_half_even(acc, shift)
    return np.clip(x, 0 if relu else out.min, out.max)


def windows(x: Codes, size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int]) -> Codes:
    """Windows of `x` (N, H, W, C), zero-padded (top, bottom, left, right): (N, OH, OW, KH, KW, C), a view.

    >>> windows(np.zeros((1, 8, 8, 3), np.int64), (3, 3), (2, 2), (1, 1, 1, 1)).shape
    (1, 4, 4, 3, 3, 3)
    """
    top, bottom, left, right = pad
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))) if any(pad) else x
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def _spatial(
    shape: Shape, size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int]
) -> tuple[int, int]:
    return (shape[0] + pad[0] + pad[1] - size[0]) // stride[0] + 1, (shape[1] + pad[2] + pad[3] - size[1]) // stride[
        1
    ] + 1


def _image(name: str, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise InputError(f"layer {name}: its input must be an image (height, width, channels), not shape {shape}")
    return shape


def _frozen(value: Any) -> Codes:
    codes = np.array(value, np.int64, order="C")
    codes.setflags(write=False)
    return codes


@dataclass(frozen=True)
class Gemm:
    """What the array computes of a layer: (M, K) x (K, N) per image; k runs over (kh, kw, cin), m over (oh, ow).

    `depthwise`: k is the place in the window, and channel n has activations of its own, (M, K) per channel.
    """

    m: int
    k: int
    n: int
    depthwise: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return self.m * self.k * self.n


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution on codes: weight (KH, KW, CIN, COUT), or (KH, KW, C, 1) if `depthwise`; bias at accumulator scale.

    >>> ones = np.ones((3, 3, 1, 2), np.int64)
    >>> s8 = Fixed.parse("s8.0")
    >>> conv = Conv("conv", "input", ones, [0, 8], 3, s8, s8, pad=(1, 1, 1, 1))
    >>> conv(np.full((1, 4, 4, 1), 8), 8)[0, 0, 0].tolist()  # four pixels at a corner: 32 and 40, shifted by 3
    [4, 5]
    >>> conv.gemm((4, 4, 1))
    Gemm(m=16, k=9, n=2, depthwise=False)
    """

    name: str
    input: str
    weight: Codes
    bias: Codes
    shift: Codes
    out: Fixed
    weight_format: Fixed
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    relu: bool = False
    depthwise: bool = False

    def __post_init__(self) -> None:
        _check_weighted(self, 4)
        if self.depthwise and self.weight.shape[3] != 1:
            raise InputError(f"layer {self.name}: a depthwise weight ends in 1, not {self.weight.shape[3]}")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weight.shape[2] if self.depthwise else self.weight.shape[3])

    def shape(self, *inputs: Shape) -> Shape:
        (h, w, c) = _image(self.name, inputs[0])
        if c != self.weight.shape[2]:
            raise InputError(
                f"layer {self.name}: its weight expects {self.weight.shape[2]} channels, its input has {c}"
            )
        oh, ow = _spatial((h, w), self.weight.shape[:2], self.stride, self.pad)
        if oh < 1 or ow < 1:
            raise InputError(f"layer {self.name}: its window does not fit an input of {h} x {w}")
        return oh, ow, self.channels

    def gemm(self, shape: Shape) -> Gemm:
        oh, ow, n = self.shape(shape)
        k = int(np.prod(self.weight.shape[: 2 if self.depthwise else 3]))
        return Gemm(oh * ow, k, n, self.depthwise)

    def matrix(self) -> Codes:
        """Weights as (K, N)."""
        return np.asarray(self.weight.reshape(-1, self.channels))

    def patches(self, x: Codes) -> Codes:
        """im2col: (images, M, K), or (images, M, K, C) if depthwise."""
        view = windows(x, self.weight.shape[:2], self.stride, self.pad)
        n, oh, ow, kh, kw, c = view.shape
        return np.asarray(view.reshape((n, oh * ow, kh * kw, c) if self.depthwise else (n, oh * ow, kh * kw * c)))

    def accumulate(self, x: Codes, magnitude: int) -> Codes:
        """Sums with bias, exact: (images, OH, OW, N)."""
        oh, ow, n = self.shape(x.shape[1:])
        patches = self.patches(x)
        if self.depthwise:
            sums = np.einsum("imkc,kc->imc", patches, self.matrix())
        else:
            sums = exact_matmul(patches.reshape(-1, patches.shape[2]), self.matrix(), magnitude)
        return np.asarray(sums.reshape(len(x), oh, ow, n) + self.bias)

    def __call__(self, x: Codes, magnitude: int) -> Codes:
        return requantise(self.accumulate(x, magnitude), self.shift, self.out, self.relu)


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer on codes: weight (K, N); any input is flattened in (height, width, channel) order."""

    name: str
    input: str
    weight: Codes
    bias: Codes
    shift: Codes
    out: Fixed
    weight_format: Fixed
    relu: bool = False

    def __post_init__(self) -> None:
        _check_weighted(self, 2)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def channels(self) -> int:
        """Outputs."""
        return int(self.weight.shape[1])

    def shape(self, *inputs: Shape) -> Shape:
        if int(np.prod(inputs[0])) != self.weight.shape[0]:
            raise InputError(
                f"layer {self.name}: its weight expects {self.weight.shape[0]} inputs, its input has {int(np.prod(inputs[0]))}"
            )
        return (self.channels,)

    def gemm(self, shape: Shape) -> Gemm:
        return Gemm(1, int(self.weight.shape[0]), self.channels)

    def matrix(self) -> Codes:
        """Weights as (K, N)."""
        return self.weight

    def patches(self, x: Codes) -> Codes:
        """The GEMM's left side: (images, 1, K)."""
        return x.reshape(len(x), 1, -1)

    def accumulate(self, x: Codes, magnitude: int) -> Codes:
        """Sums with bias, exact: (images, N)."""
        return exact_matmul(x.reshape(len(x), -1), self.weight, magnitude) + self.bias

    def __call__(self, x: Codes, magnitude: int) -> Codes:
        return requantise(self.accumulate(x, magnitude), self.shift, self.out, self.relu)


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows; codes keep their format. Padding never wins: a window takes only what lies inside.

    >>> MaxPool("pool", "input", (2, 2), (2, 2))(np.arange(16).reshape(1, 4, 4, 1), 15).ravel().tolist()
    [5, 7, 13, 15]
    """

    name: str
    input: str
    size: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def shape(self, *inputs: Shape) -> Shape:
        (h, w, c) = _image(self.name, inputs[0])
        return (*_spatial((h, w), self.size, self.stride, self.pad), c)

    def __call__(self, x: Codes, magnitude: int) -> Codes:
        if any(self.pad):
            top, bottom, left, right = self.pad
            x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-(1 << 40))
        return np.asarray(windows(x, self.size, self.stride, (0, 0, 0, 0)).max(axis=(3, 4)))


@dataclass(frozen=True)
class AvgPool:
    """Sum over windows, then `shift` half to even and saturation: an average where the window holds 2**n codes."""

    name: str
    input: str
    size: tuple[int, int]
    stride: tuple[int, int]
    shift: int
    out: Fixed

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def shape(self, *inputs: Shape) -> Shape:
        (h, w, c) = _image(self.name, inputs[0])
        return (*_spatial((h, w), self.size, self.stride, (0, 0, 0, 0)), c)

    def __call__(self, x: Codes, magnitude: int) -> Codes:
        sums = windows(x, self.size, self.stride, (0, 0, 0, 0)).sum(axis=(3, 4))
        return requantise(sums, self.shift, self.out, False)


@dataclass(frozen=True)
class Add:
    """Residual addition: each input is shifted left by its `align`, the sum requantised."""

    name: str
    inputs: tuple[str, str]
    align: tuple[int, int]
    shift: int
    out: Fixed
    relu: bool = False

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0] != inputs[1]:
            raise InputError(f"layer {self.name}: it adds shapes {inputs[0]} and {inputs[1]}")
        return inputs[0]

    def __call__(self, x: Codes, y: Codes) -> Codes:
        return requantise((x << self.align[0]) + (y << self.align[1]), self.shift, self.out, self.relu)


@dataclass(frozen=True)
class Rescale:
    """An activation on its own: `shift` half to even (negative: to the left), ReLU, saturation."""

    name: str
    input: str
    shift: int
    out: Fixed
    relu: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def __call__(self, x: Codes, magnitude: int) -> Codes:
        return requantise(x << max(-self.shift, 0), max(self.shift, 0), self.out, self.relu)


Layer = Conv | Dense | MaxPool | AvgPool | Add | Rescale


def exact_matmul(a: Codes, b: Codes, magnitude: int) -> Codes:
    """`a @ b` in the narrowest float whose integers are exact for |a| <= `magnitude`, by the sums of |b|'s columns.

    >>> exact_matmul(np.array([[3, -2]]), np.array([[5], [7]]), 3).tolist()
    [[1]]
    """
    bound = int(np.abs(b).sum(axis=0).max(initial=0)) * magnitude
    if bound < 1 << 24:
        return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.int64)
    if bound < 1 << 53:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return np.asarray(a @ b)


def _check_weighted(layer: Any, axes: int) -> None:
    """Freeze and check weight, bias and shift of a convolution or dense layer."""
    name = layer.name
    for key in ("weight", "bias", "shift"):
        object.__setattr__(layer, key, _frozen(getattr(layer, key)))
    if layer.weight.ndim != axes or 0 in layer.weight.shape:
        raise InputError(f"layer {name}: its weight must have {axes} axes, none empty, not shape {layer.weight.shape}")
    fmt = layer.weight_format
    if not fmt.signed:
        raise InputError(f"layer {name}: weights are signed, not {fmt}")
    low, high = int(layer.weight.min()), int(layer.weight.max())
    if low < fmt.min or high > fmt.max:
        raise InputError(
            f"layer {name}: weight codes must be {fmt.min} to {fmt.max} as {fmt}, not {low if low < fmt.min else high}"
        )
    if layer.bias.shape != (layer.channels,):
        raise InputError(f"layer {name}: it needs {layer.channels} bias codes, not shape {layer.bias.shape}")
    if layer.shift.ndim == 0:
        object.__setattr__(layer, "shift", _frozen(np.full(layer.channels, int(layer.shift))))
    if layer.shift.shape != (layer.channels,) or layer.shift.min() < 0 or layer.shift.max() > MOST_SHIFT:
        raise InputError(
            f"layer {name}: it needs a right shift of 0 to {MOST_SHIFT} for each of {layer.channels} channels"
        )
