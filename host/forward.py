"""Clean inference at full speed: integers in floats, only where every one of them is provably exact."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.fixed import Fixed
from hardpoint.host.jit import COMPILED, compiled, fused, inlined, place
from hardpoint.host.permanent import Permanent
from hardpoint.host.program import (
    DEMAND, DEPTHWISE, KH, KIND, KW, LEFT, OH, OW, POOLED, SH, SUMS, SW, TOP, C, H, K, M, N, Program, W, important,
)  # fmt: skip
from hardpoint.layers import Add, AvgPool, Codes, Conv, Dense, MaxPool, Rescale
from hardpoint.layers import requantise as requantised
from hardpoint.mapping import Tiling
from hardpoint.network import Network

__all__ = ["Bypass", "Forward"]

CHUNK = 16
"""Images that go through all layers together: enough to make calls cheap, few enough for caches."""

SMALL, FEWEST = 1_000_000, 16
"""Products in a matrix product up to which OpenBLAS (for AVX-512) does not first copy its operands, so that several small
ones take a tenth to a quarter less time than one large; fewer rows than `FEWEST` at a time are not worth a call.
"""


class Forward:
    """Clean runs of `network`, chunk by chunk.

    `types` names the number type in which each layer's sums are computed: float32 while no partial sum can reach 2**24,
    else float64 below 2**53; a network with any wider number is run by `Network` itself in int64.
    """

    def __init__(self, network: Network, program: Program, bypass: Bypass | None = None) -> None:
        self.network, self.program = network, program
        self.bypass = {} if bypass is None else bypass.layers
        self.types = {layer.name: sum_type(network, layer) for layer in network.layers}
        exact = all(fmt.magnitude <= 1 << 24 for fmt in network.formats.values()) and None not in self.types.values()
        self.fast = COMPILED and exact
        self.direct = {layer.name for i, layer in enumerate(network.layers) if self._direct(i)}
        self.buffers: dict[tuple[str, str], NDArray[Any]] = {}
        self.constants = {layer.name: self._constants(layer) for layer in network.layers} if self.fast else {}

    def clean(self, x: Codes, stuck: Permanent | None = None) -> Codes:
        """Output codes (images, outputs) of input codes `x`, with `stuck` bits only where the network is `fast`."""
        if not self.fast:
            last = self.network.layers[-1].name
            return self.network.ordered(self._exact(x)[last].reshape(len(x), -1))
        outputs = np.empty((len(x), int(self.program.tensors[-1, 1])), np.float32)
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            outputs[start : start + CHUNK] = self._chunk(part, None, stuck)
        return self.network.ordered(outputs.astype(np.int64))

    def states(self, x: Codes, states: NDArray[np.int32]) -> None:
        """Fill in `states` (images, words): of every image of `x` all codes, and sums without bias; see `Program`."""
        if self.fast:
            for start in range(0, len(x), CHUNK):
                self._chunk(x[start : start + CHUNK], states[start : start + CHUNK])
            return
        for (start, size), codes in zip(self.program.tensors[:, :2], self._exact(x, states).values(), strict=True):
            if size:
                states[:, start : start + size] = codes.reshape(len(x), -1)

    def _exact(self, x: Codes, states: Any = None) -> dict[str, Codes]:
        """Codes of every layer in int64; with `states`, sums go there."""
        values = {"input": x}
        for layer, row in zip(self.network.layers, self.program.layers, strict=True):
            inputs = [values[name] for name in layer.inputs]
            if isinstance(layer, Add):
                values[layer.name] = layer(*inputs)
                continue
            magnitude = self.network.formats[layer.inputs[0]].magnitude
            if not isinstance(layer, (Conv, Dense)):
                values[layer.name] = layer(inputs[0], magnitude)
                continue
            part = self.bypass.get(layer.name)
            sums = (layer if part is None else part.layer).accumulate(inputs[0], magnitude) - layer.bias
            if part is not None:
                flat = sums.reshape(len(x), -1)
                whole = layer.accumulate(inputs[0], magnitude).reshape(flat.shape) - np.tile(layer.bias, row[M])
                sums = part.kept(flat, whole).reshape(sums.shape)
            if states is not None and not row[DEMAND]:
                states[:, row[SUMS] : row[SUMS] + sums[0].size] = sums.reshape(len(x), -1)
            values[layer.name] = requantised(sums + layer.bias, layer.shift, layer.out, layer.relu)
        return values

    def _chunk(self, x: Codes, states: Any = None, stuck: Permanent | None = None) -> Any:
        """Codes of the last layer for a chunk; with `states`, every layer's codes and sums go there."""
        values: dict[str, Any] = {"input": x.reshape(len(x), -1).astype(np.float32)}
        layers, fused = self.network.layers, None
        if states is not None:
            keep(values["input"], states, 0)
        for i, layer in enumerate(layers):
            row = self.program.layers[i]
            if fused == layer.name:
                continue
            sources = [values[name] for name in layer.inputs]
            target, pool = layer.name, None
            if isinstance(layer, (Conv, Dense)):
                if row[POOLED]:
                    pool, fused = self.program.layers[i + 1], layers[i + 1].name
                    target = fused
                result = self._weighted(layer, row, sources[0], target, pool, states, stuck)
            else:
                result = self._other(layer, row, sources)
            values[target] = result
            if states is not None:
                keep(result, states, self.program.tensors[i + 1 + (pool is not None), 0])
        return values[layers[-1].name]

    def _weighted(self, layer: Any, row: Any, x: Any, target: str, pool: Any, states: Any, stuck: Permanent | None) -> Any:
        """Sums of a convolution or dense layer, pooled if `pool`, requantised."""
        n, m, k = len(x), int(row[M]), int(row[K])
        weights, bias, scale, bounds = self.constants[layer.name]
        part = self.bypass.get(layer.name)
        if row[KIND] == DEPTHWISE:
            return self._depthwise(layer, row, x, pool, states)
        if layer.name in self.direct and stuck is None and (states is None or row[DEMAND]):
            out = self._buffer(target, "codes", (CHUNK, int(pool[OH] * pool[OW] * pool[N])), np.dtype(np.float32))[:n]
            convolved(x, weights, bias, scale, bounds, row, pool, out)
            return out
        if row[KH] == row[H] == row[OH] == 1 and row[KW] == row[W] == row[OW] == 1:
            left = x if x.dtype == weights.dtype else x.astype(weights.dtype)
        else:
            left = self._buffer(layer.name, "columns", (CHUNK * m, k), weights.dtype)[: n * m]
            columns(x, left, row)
        sums = self._buffer(layer.name, "sums", (CHUNK * m, int(row[N])), weights.dtype)[: n * m]
        product(left, weights, sums)
        if part is not None:
            whole = np.dot(left, layer.matrix().astype(sums.dtype)) if part.listed is not None else sums
            sums = part.kept(sums.reshape(n, -1), whole.reshape(n, -1)).reshape(sums.shape)
        if stuck is not None:
            stuck.strike(left, sums, row, bias)
        if states is not None and not row[DEMAND]:
            keep(sums.reshape(n, -1), states, row[SUMS])
        pool = unpooled(row) if pool is None else pool
        size = int(pool[OH] * pool[OW] * pool[N])
        out = self._buffer(target, "codes", (CHUNK, size), np.dtype(np.float32))[:n]
        requantise(sums, bias, scale, bounds, pool, out)
        return out

    def _depthwise(self, layer: Any, row: Any, x: Any, pool: Any, states: Any) -> Any:
        """Codes of a depthwise convolution, window column by window column."""
        weights, bias, scale, bounds = self.constants[layer.name]
        top, bottom, left, right = layer.pad
        images = np.pad(x.reshape(len(x), *row[[H, W, C]]), ((0, 0), (top, bottom), (left, right), (0, 0)))
        sums = np.zeros((len(x), *row[[OH, OW, N]]), weights.dtype)
        (kh, kw), (sh, sw) = layer.weight.shape[:2], layer.stride
        for i in range(kh * kw):
            part = images[:, i // kw : i // kw + sh * (row[OH] - 1) + 1 : sh, i % kw : i % kw + sw * (row[OW] - 1) + 1 : sw]
            sums += part * weights[i]
        bypass = self.bypass.get(layer.name)
        if bypass is not None:
            whole = layer.accumulate(x.reshape(len(x), *row[[H, W, C]]).astype(np.int64), 1) - layer.bias
            sums = bypass.kept(sums.reshape(len(x), -1), whole.reshape(len(x), -1).astype(sums.dtype)).reshape(sums.shape)
        if states is not None:
            keep(sums.reshape(len(x), -1), states, row[SUMS])
        pool = unpooled(row) if pool is None else pool
        out = np.empty((len(x), int(pool[OH] * pool[OW] * pool[N])), np.float32)
        requantise(sums.reshape(-1, row[N]), bias, scale, bounds, pool, out)
        return out

    def _other(self, layer: Any, row: Any, sources: list[Any]) -> Any:
        """Codes of a layer without weights."""
        x = sources[0]
        if isinstance(layer, MaxPool):
            _, bias, scale, bounds = self.constants[layer.name]
            out = self._buffer(layer.name, "codes", (CHUNK, int(row[OH] * row[OW] * row[N])), np.dtype(np.float32))[: len(x)]
            requantise(x.reshape(-1, row[C]), bias, scale, bounds, row, out)
            return out
        dtype, (low, high), shift = self.types[layer.name], bounds_of(self.network, layer), layer.shift
        if isinstance(layer, AvgPool):
            window = np.lib.stride_tricks.sliding_window_view(x.reshape(len(x), *row[[H, W, C]]), layer.size, axis=(1, 2))
            total = window[:, :: layer.stride[0], :: layer.stride[1]].sum(axis=(4, 5), dtype=dtype).reshape(len(x), -1)
        elif isinstance(layer, Add):
            total = x.astype(dtype) * 2.0 ** layer.align[0] + sources[1].astype(dtype) * 2.0 ** layer.align[1]
        else:
            total = x.astype(dtype)
        return np.clip(np.rint(total * total.dtype.type(2.0**-shift)), low, high).astype(np.float32)

    def _constants(self, layer: Any) -> tuple[Any, Any, Any, Any]:
        """Weights, bias, 2**-shift and (low, high, rounding constant) of a layer, in the type of its sums."""
        dtype = np.dtype(self.types[layer.name])
        low, high = bounds_of(self.network, layer)
        # a float this large has no fraction bits left: adding it rounds half to even
        rounding = 1.5 * 2.0 ** (23 if dtype == np.float32 else 52)
        bounds = np.array([low, high, rounding], dtype)
        if isinstance(layer, (Conv, Dense)):
            part = self.bypass.get(layer.name)
            weights = np.ascontiguousarray((layer if part is None else part.layer).matrix().astype(dtype))
            return weights, layer.bias.astype(dtype), (2.0**-layer.shift.astype(np.float64)).astype(dtype), bounds
        channels = int(self.network.shapes[layer.name][-1])
        return None, np.zeros(channels, dtype), np.ones(channels, dtype), bounds

    def _direct(self, i: int) -> bool:
        """Whether `convolved` knows layer i and the pooling after it."""
        row = self.program.layers[i]
        if not row[POOLED] or row[KIND] == DEPTHWISE or self.network.layers[i].name in self.bypass:
            return False
        pool = self.program.layers[i + 1]
        window, pooling = row[[KH, KW, SH, SW, C, TOP, LEFT]].tolist(), pool[[KH, KW, SH, SW, TOP, LEFT]].tolist()
        inside = row[OH] + 2 <= row[H] and row[OW] + 2 <= row[W] and 2 * pool[OH] <= row[OH] and 2 * pool[OW] <= row[OW]
        return bool(inside) and window == [3, 3, 1, 1, 1, 0, 0] and pooling == [2, 2, 2, 2, 0, 0]

    def _buffer(self, name: str, use: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Memory that a layer uses again for every chunk."""
        if (name, use) not in self.buffers:
            self.buffers[name, use] = np.empty(shape, dtype)
        return self.buffers[name, use]


@dataclass(frozen=True, eq=False)
class BypassedLayer:
    """What bypassed PEs leave of a layer: `layer` with the array's weights, and flat maps of its sums: `zero` where sums
    stay in a bypassed PE (None: where weights stay), `listed` where the recompute unit computes them (None: nowhere).
    """

    layer: Conv | Dense
    zero: NDArray[np.bool_] | None
    listed: NDArray[np.bool_] | None

    def kept(self, sums: Any, whole: Any) -> Any:
        """Sums (images, M * N) of the array after the recompute unit's, `whole`, have overwritten them."""
        if self.zero is not None:
            sums = np.where(self.zero, 0, sums)
        return sums if self.listed is None else np.where(self.listed, whole, sums)


class Bypass:
    """Which of `network`'s sums on `array` change when PEs at which `bypass` (rows, cols) is true are bypassed."""

    def __init__(self, network: Network, array: Array, bypass: NDArray[np.bool_]) -> None:
        self.layers: dict[str, BypassedLayer] = {}
        for index, layer in enumerate(network.gemms if bypass.any() else ()):
            tiling = Tiling.of(network.gemm(index), array)
            gemm, zero, masked = tiling.gemm, None, layer
            if tiling.stationary:
                weight = layer.weight * ~tiling.spread(bypass).reshape(layer.weight.shape)
                masked = replace(layer, weight=weight)
            else:
                rows, cols = np.arange(gemm.m) % array.rows, np.arange(gemm.n) % array.cols
                zero = bypass[np.ix_(rows, cols)].ravel()
            numbers, listed = important(network, array, index), None
            if len(numbers):
                listed = np.zeros(gemm.m * gemm.n, bool)
                listed[numbers] = True
            self.layers[layer.name] = BypassedLayer(masked, zero, listed)


SHORT = 16
"""Codes of a line of a window (its width times channels) up to which im2col goes place by place."""


def bounds_of(network: Network, layer: Any) -> tuple[int, int]:
    """Least and largest code of a layer's output."""
    fmt = network.formats[layer.name]
    return (0 if getattr(layer, "relu", False) else fmt.min), fmt.max


def sum_type(network: Network, layer: Any) -> str | None:
    """The narrowest float in which no sum of `layer`, in whatever order it is added up, and no code can be inexact; None if
    none is.
    """
    sources: list[Fixed] = [network.formats[name] for name in layer.inputs]
    if isinstance(layer, (Conv, Dense)):
        terms = int(np.abs(layer.matrix()).sum(axis=0).max()) * sources[0].magnitude
        bound = terms + int(np.abs(layer.bias).max())
    elif isinstance(layer, AvgPool):
        bound = layer.size[0] * layer.size[1] * sources[0].magnitude
    elif isinstance(layer, Add):
        bound = sum(fmt.magnitude << align for fmt, align in zip(sources, layer.align, strict=True))
    else:
        bound = sources[0].magnitude << max(0, -layer.shift if isinstance(layer, Rescale) else 0)
    narrow = bound < 1 << 24 and network.formats[layer.name].magnitude < 1 << 22  # which `code` rounds in float32
    return "float32" if narrow else "float64" if bound < 1 << 53 else None


def unpooled(row: Any) -> Any:
    """The layer row of a pooling that takes every output of layer `row` as it is."""
    same = row.copy()
    same[[H, W, C]] = row[[OH, OW, N]]
    same[[KH, KW, SH, SW]], same[[TOP, LEFT]] = 1, 0
    return same


def keep(values: Any, states: Any, offset: int) -> None:
    """Write float integers to their place in the states."""
    states[:, offset : offset + values.shape[1]] = values


def product(left: Any, right: Any, out: Any) -> None:
    """`left` @ `right` into `out`, as many rows at a time as are fastest."""
    rows = SMALL // right.size
    if rows < FEWEST or rows >= len(left):
        np.dot(left, right, out=out)
        return
    for start in range(0, len(left), rows):
        np.dot(left[start : start + rows], right, out=out[start : start + rows])


@fused
def convolved(x: Any, weights: Any, bias: Any, scale: Any, bounds: Any, layer: Any, pool: Any, out: Any) -> None:
    """Codes (images, OH * OW * N) of one-channel images x (images, H * W), convolved by windows of 3 x 3 and pooled by 2 x 2,
    whose four windows share 4 x 4 codes; no product is stored.
    """
    low, high, rounding = bounds[0], bounds[1], bounds[2]
    n, width, one, two, three = place(pool[N]), place(layer[W]), place(1), place(2), place(3)
    for image in range(len(out)):
        for oh in range(pool[OH]):
            for ow in range(pool[OW]):
                at = place((oh * pool[OW] + ow) * pool[N])
                a = place(2 * oh * layer[W] + 2 * ow)
                b, c, d = a + width, a + two * width, a + three * width
                a0, a1, a2, a3 = x[image, a], x[image, a + one], x[image, a + two], x[image, a + three]
                b0, b1, b2, b3 = x[image, b], x[image, b + one], x[image, b + two], x[image, b + three]
                c0, c1, c2, c3 = x[image, c], x[image, c + one], x[image, c + two], x[image, c + three]
                d0, d1, d2, d3 = x[image, d], x[image, d + one], x[image, d + two], x[image, d + three]
                for j in range(n):
                    t, u, v = weights[0, j], weights[1, j], weights[2, j]
                    p, q, r = weights[3, j], weights[4, j], weights[5, j]
                    e, f, g = weights[6, j], weights[7, j], weights[8, j]
                    s0 = a0 * t + a1 * u + a2 * v + b0 * p + b1 * q + b2 * r + c0 * e + c1 * f + c2 * g
                    s1 = a1 * t + a2 * u + a3 * v + b1 * p + b2 * q + b3 * r + c1 * e + c2 * f + c3 * g
                    s2 = b0 * t + b1 * u + b2 * v + c0 * p + c1 * q + c2 * r + d0 * e + d1 * f + d2 * g
                    s3 = b1 * t + b2 * u + b3 * v + c1 * p + c2 * q + c3 * r + d1 * e + d2 * f + d3 * g
                    best = max(max(s0, s1), max(s2, s3))
                    out[image, at + j] = code((best + bias[j]) * scale[j], low, high, rounding)


@compiled
def columns(x: Any, left: Any, layer: Any) -> None:
    """im2col of images x (images, H * W * C) into (images * M, K), zeros for padding."""
    line, width = layer[KW] * layer[C], layer[W] * layer[C]
    if line <= SHORT:
        return columns_by_place(x, left, layer)
    row = 0
    for image in range(len(x)):
        for oh in range(layer[OH]):
            for ow in range(layer[OW]):
                first = (ow * layer[SW] - layer[LEFT]) * layer[C]
                inside, outside = max(0, -first), min(line, width - first)
                for kh in range(layer[KH]):
                    h, target = oh * layer[SH] - layer[TOP] + kh, kh * line
                    if h < 0 or h >= layer[H]:
                        for j in range(place(line)):
                            left[row, place(target) + j] = 0
                        continue
                    for j in range(inside):
                        left[row, target + j] = 0
                    source, target_inside = place(h * width + first + inside), place(target + inside)
                    for j in range(place(outside - inside)):
                        left[row, target_inside + j] = x[image, source + j]
                    for j in range(outside, line):
                        left[row, target + j] = 0
                row += 1


@inlined
def columns_by_place(x: Any, left: Any, layer: Any) -> None:
    """As `columns`, place by place of the window: loops over pixels are longer than lines of few codes."""
    height, width, c, sh, sw = layer[H], layer[W], layer[C], layer[SH], layer[SW]
    m, out_width = layer[M], layer[OW]
    for image in range(len(x)):
        for kh in range(layer[KH]):
            for kw in range(layer[KW]):
                inside = max(0, (layer[LEFT] - kw + sw - 1) // sw)
                outside = max(inside, min(out_width, (width - 1 + layer[LEFT] - kw) // sw + 1))
                for channel in range(c):
                    k = place((kh * layer[KW] + kw) * c + channel)
                    for oh in range(layer[OH]):
                        h, row = oh * sh - layer[TOP] + kh, image * m + oh * out_width
                        first, last = inside, outside
                        if h < 0 or h >= height:
                            first = last = 0
                        for ow in range(first):
                            left[row + ow, k] = 0
                        at, target = place((h * width + first * sw - layer[LEFT] + kw) * c + channel), place(row + first)
                        for i in range(place(last - first)):
                            left[target + i, k] = x[image, at + i * place(sw * c)]
                        for ow in range(last, out_width):
                            left[row + ow, k] = 0


@inlined
def code(x: Any, low: Any, high: Any, rounding: Any) -> Any:
    """`x` saturated and rounded half to even."""
    x = min(max(x, low), high)
    return (x + rounding) - rounding


@compiled
def requantise(sums: Any, bias: Any, scale: Any, bounds: Any, pool: Any, out: Any) -> None:
    """Codes (images, OH * OW * N) of sums (images * H * W, N): the largest of every window of `pool`, requantised.

    Requantisation never decreases, so pooling before it is pooling after it.
    """
    low, high, rounding = bounds[0], bounds[1], bounds[2]
    n, height, width = place(pool[N]), pool[H], pool[W]
    for image in range(len(out)):
        for oh in range(pool[OH]):
            for ow in range(pool[OW]):
                at = place((oh * pool[OW] + ow) * pool[N])
                top, left = oh * pool[SH] - pool[TOP], ow * pool[SW] - pool[LEFT]
                row = (image * height + top) * width + left
                if pool[KH] == 1 and pool[KW] == 1:
                    for j in range(n):
                        out[image, at + j] = code((sums[row, j] + bias[j]) * scale[j], low, high, rounding)
                elif pool[KH] == 2 and pool[KW] == 2 and top >= 0 and left >= 0 and top + 2 <= height and left + 2 <= width:
                    for j in range(n):
                        best = max(max(sums[row, j], sums[row + 1, j]), max(sums[row + width, j], sums[row + width + 1, j]))
                        out[image, at + j] = code((best + bias[j]) * scale[j], low, high, rounding)
                else:
                    for j in range(n):
                        best = sums[(image * height + max(top, 0)) * width + max(left, 0), j]
                        for h in range(max(top, 0), min(top + pool[KH], height)):
                            for w in range(max(left, 0), min(left + pool[KW], width)):
                                best = max(best, sums[(image * height + h) * width + w, j])
                        out[image, at + j] = code((best + bias[j]) * scale[j], low, high, rounding)
