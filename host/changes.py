"""What a replay changes in an image's state, with the log that undoes it."""



from __future__ import annotations

from typing import Any

from hardpoint.host.jit import inlined, place
from hardpoint.host.program import DEPTHWISE, KH, KIND, KW, LEFT, OH, OW, SH, SUMS, SW, TOP, WEIGHTS, C, N, W

__all__ = ["added_inputs", "remember", "touch"]


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
def touch(work: Any, layer: Any, state: Any, m: int, dirty: int) -> int:
    """Log the sums of output pixel m before their first change; returns how many pixels are dirty."""
    if work.mark[m]:
        return dirty
    work.mark[m] = 1
    work.dirty[dirty] = m
    remember(work, state, layer[SUMS] + m * layer[N], layer[N])
    return dirty + 1


@inlined
def added_inputs(tables: Any, work: Any, layer: Any, state: Any, pixel: int, first: int, found: int, dirty: int) -> int:
    """Add to an array layer's sums what `found` channels of input pixel `pixel`, `work.which` and `first` on, contribute
    by changing by `work.delta`; returns how many output pixels are dirty.
    """
    n, c, weights = place(layer[N]), layer[C], tables.weights
    h, w = pixel // layer[W] + layer[TOP], pixel % layer[W] + layer[LEFT]
    for oh in range(max(0, (h - layer[KH] + layer[SH]) // layer[SH]), min(layer[OH], h // layer[SH] + 1)):
        for ow in range(max(0, (w - layer[KW] + layer[SW]) // layer[SW]), min(layer[OW], w // layer[SW] + 1)):
            m = oh * layer[OW] + ow
            dirty = touch(work, layer, state, m, dirty)
            k = ((h - oh * layer[SH]) * layer[KW] + w - ow * layer[SW]) * c + first
            sums = place(layer[SUMS] + m * layer[N])
            for i in range(found):
                channel, delta = int(work.which[i]), work.delta[i]
                if layer[KIND] == DEPTHWISE:
                    state[sums + place(channel)] += delta * weights[layer[WEIGHTS] + k + channel]
                else:
                    row = place(layer[WEIGHTS]) + place(k + channel) * n
                    for j in range(n):
                        state[sums + j] += delta * weights[row + j]
    return dirty
