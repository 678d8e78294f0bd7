"""What the array multiplies: operands of a layer's GEMM in an image's state, and sums of their products."""



from __future__ import annotations

from typing import Any

import numpy as np

from hardpoint.host.jit import inlined, place
from hardpoint.host.program import AT_K, AT_M, DEPTHWISE, KIND, KW, C, H, K, W

__all__ = ["before", "decoded", "dot", "operand", "weight", "wrapped"]


@inlined
def operand(tables: Any, layer: Any, state: Any, m: int, k: int, n: int) -> int:
    """Code of the left operand of product (m, k, n) of an image with `state`; 0 in the padding."""
    at_m, at_k, places = place(layer[AT_M] + m), place(layer[AT_K] + k), tables.places
    h, w = places[at_m, 0] + places[at_k, 0], places[at_m, 1] + places[at_k, 1]
    if h < 0 or h >= layer[H] or w < 0 or w >= layer[W]:
        return 0
    channel = n if layer[KIND] == DEPTHWISE else 0
    return int(state[place(places[at_m, 2] + places[at_k, 2] + channel)])


@inlined
def weight(tables: Any, layer: Any, k: int, n: int, base: int) -> int:
    """Code of the GEMM's right operand (k, n); `base` says whose: see `dot`."""
    return int(tables.weights[place(base + n * layer[K] + k)])


@inlined
def dot(tables: Any, layer: Any, state: Any, m: int, n: int, start: int, stop: int, base: int) -> int:
    """Sum of a[m, k] * w[k, n] over k in [start, stop), row of the window by row, modulo 2**32 as all sums are.

    `base` is the offset of the transposed weights: the array's (`layer[TRANSPOSED]`) or those of the recompute unit, which
    knows no bypass (`layer[WHOLE]`).
    """
    total, line = np.int32(0), layer[KW] * layer[C]
    if start < stop:
        if layer[KIND] == DEPTHWISE:
            for k in range(start, stop):
                total = np.int32(total + operand(tables, layer, state, m, k, n) * weight(tables, layer, k, n, base))
            return int(total)
        places, weights, at_m = tables.places, tables.weights, place(layer[AT_M] + m)
        top, left = places[at_m, 0], places[at_m, 1]
        inside = max(0, -left) * layer[C]  # the part of a line that lies in the image
        outside = min(layer[KW], layer[W] - left) * layer[C]
        column = base + n * layer[K]
        first, last = places[place(layer[AT_K] + start), 0], places[place(layer[AT_K] + stop - 1), 0]
        for kh in range(first, last + 1):
            if 0 <= top + kh < layer[H]:
                low = max(start - kh * line, inside)
                high = min(stop - kh * line, outside)
                if low < high:
                    a = place(places[at_m, 2] + kh * layer[W] * layer[C] + low)
                    w = place(column + kh * line + low)
                    for i in range(place(high - low)):
                        total = np.int32(total + np.int32(state[a + i] * weights[w + i]))
    return int(total)


@inlined
def before(tables: Any, layer: Any, state: Any, m: int, n: int, stop: int, total: int, base: int) -> int:
    """As `dot` over k in [0, stop), `total` being the sum over all k: by the shorter of two ways."""
    late = 2 * stop > layer[K]
    part = dot(tables, layer, state, m, n, stop if late else 0, layer[K] if late else stop, base)
    return total - part if late else part


@inlined
def decoded(code: int, bits: int, signed: int) -> int:
    """Value of the low `bits` of `code`."""
    code &= (1 << bits) - 1
    if signed and code >> (bits - 1):
        code -= 1 << bits
    return code


@inlined
def wrapped(x: int, bits: int) -> int:
    """`x` modulo 2**bits as two's complement."""
    half = 1 << (bits - 1)
    return ((x + half) & ((1 << bits) - 1)) - half
