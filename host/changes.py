"""What a replay changes in an image's state, with the log that undoes it."""

# ruff: noqa: I001 - the columns of a table read better side by side

from __future__ import annotations

from typing import Any

from hardpoint.host.jit import inlined, place
from hardpoint.host.program import (
    AT_M, DEMAND, DEPTHWISE, KH, KIND, KW, LEFT, OH, OW, SH, SUMS, SW, TOP, WEIGHTS, C, H, N, W,
)  # fmt: skip

__all__ = ["added_inputs", "remember", "summed", "touch"]


@inlined
def remember(work: Any, state: Any, start: int, size: int) -> None:
    """Log `size` words of the state, about to change."""
    log, used = work.log, work.used
    entry, words, source = used[0], place(used[1]), place(start)
    work.log_at[entry], work.log_size[entry] = start, size
    for j in range(place(size)):
        log[words + j] = state[source + j]
    used[0], used[1] = entry + 1, used[1] + size


@inlined
def summed(tables: Any, work: Any, layer: Any, state: Any, sums: Any, m: int) -> None:
    """Work out the sums of output pixel m of a layer that has them on demand, unless that is done."""
    if work.known[m]:
        return
    work.known[m] = 1
    work.made[work.used[4]] = m
    work.used[4] += 1
    n, line, at_m, weights = place(layer[N]), layer[KW] * layer[C], place(layer[AT_M] + m), tables.weights
    top, left, target = tables.places[at_m, 0], tables.places[at_m, 1], place(layer[SUMS] + m * layer[N])
    low, high = max(0, -left) * layer[C], min(layer[KW], layer[W] - left) * layer[C]  # the part of a line that lies in the image
    for j in range(n):
        sums[target + j] = 0
    for kh in range(max(0, -top), min(layer[KH], layer[H] - top)):
        source = tables.places[at_m, 2] + kh * layer[W] * layer[C]
        for i in range(low, high):
            a, row = state[place(source + i)], place(layer[WEIGHTS]) + place(kh * line + i) * n
            for j in range(n):
                sums[target + j] += a * weights[row + j]


@inlined
def touch(tables: Any, work: Any, layer: Any, state: Any, sums: Any, m: int, dirty: int) -> int:
    """Have and log the sums of output pixel m before their first change; returns how many pixels are dirty."""
    if work.mark[m]:
        return dirty
    work.mark[m] = 1
    work.dirty[dirty] = m
    if layer[DEMAND]:
        summed(tables, work, layer, state, sums, m)
    else:
        remember(work, sums, layer[SUMS] + m * layer[N], layer[N])
    return dirty + 1


@inlined
def added_inputs(
    tables: Any, work: Any, layer: Any, state: Any, sums: Any, pixel: int, first: int, found: int, dirty: int
) -> int:
    """Add to an array layer's sums what `found` channels of input pixel `pixel`, `work.which` and `first` on, contribute
    by changing by `work.delta`; returns how many output pixels are dirty.
    """
    n, c, weights = place(layer[N]), layer[C], tables.weights
    h, w = pixel // layer[W] + layer[TOP], pixel % layer[W] + layer[LEFT]
    for oh in range(max(0, (h - layer[KH] + layer[SH]) // layer[SH]), min(layer[OH], h // layer[SH] + 1)):
        for ow in range(max(0, (w - layer[KW] + layer[SW]) // layer[SW]), min(layer[OW], w // layer[SW] + 1)):
            m = oh * layer[OW] + ow
            dirty = touch(tables, work, layer, state, sums, m, dirty)
            k = ((h - oh * layer[SH]) * layer[KW] + w - ow * layer[SW]) * c + first
            target = place(layer[SUMS] + m * layer[N])
            for i in range(found):
                channel, delta = int(work.which[i]), work.delta[i]
                if layer[KIND] == DEPTHWISE:
                    sums[target + place(channel)] += delta * weights[layer[WEIGHTS] + k + channel]
                else:
                    row = place(layer[WEIGHTS]) + place(k + channel) * n
                    for j in range(n):
                        sums[target + j] += delta * weights[row + j]
    return dirty
