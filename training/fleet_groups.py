"""Which chips share a retrained network: fusing fault maps while that saves training. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, union

__all__ = ["Group", "fused", "in_groups_of", "separate"]

Need = Callable[[float], float]
"""Training images needed at a PE fault rate, inf where it is beyond the budget: `Resilience.needed`."""


@dataclass(frozen=True)
class Group:
    """Chips that get one network, trained for the union of their maps; `images` is what that is expected to take."""

    chips: tuple[int, ...]
    map: FaultMap
    images: float


def separate(maps: Sequence[FaultMap], need: Need) -> tuple[Group, ...]:
    """Every chip on its own, with the amount that its own map needs."""
    return tuple(_group([i], maps, need) for i in range(len(maps)))


def in_groups_of(size: int, maps: Sequence[FaultMap], need: Need, seed: int) -> tuple[Group, ...]:
    """Groups of `size` chips drawn at random, the last one perhaps smaller; `size` = number of chips: one union map.

    A union that leaves no PE is an InputError.
    """
    if size < 1:
        raise InputError(f"a group has at least 1 chip, not {size}")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(maps))
    parts = [sorted(order[i : i + size].tolist()) for i in range(0, len(maps), size)]
    return tuple(_group(part, maps, need) for part in parts)


def fused(maps: Sequence[FaultMap], need: Need, most: int | None = None) -> tuple[Group, ...]:
    """Fuse groups, the pair that saves most first, while a union needs less than its parts together.

    Ties go to the pair of the earliest chips, so the result depends on nothing but the maps. `most` limits a group's
    chips. Groups come in the order of their first chips.

    >>> maps = [FaultMap(2, 4, ((0, 0),)), FaultMap(2, 4, ((0, 0), (0, 1))), FaultMap(2, 4, ((1, 3),))]
    >>> [(g.chips, g.images) for g in fused(maps, lambda rate: 100 if rate < 0.3 else 999)]
    [((0, 1), 100), ((2,), 100)]
    """
    if not maps:
        raise InputError("a fleet has at least 1 chip, not 0")
    bits = [_bits(chip) for chip in maps]
    pes = maps[0].rows * maps[0].cols
    for chip in maps:
        if (chip.rows, chip.cols) != (maps[0].rows, maps[0].cols):
            raise InputError(
                f"a fleet's maps have one shape, not {maps[0].rows} x {maps[0].cols} and {chip.rows} x {chip.cols} PEs"
            )
    costs: dict[int, float] = {}

    def cost(count: int) -> float:
        if count not in costs:
            costs[count] = need(count / pes) if count < pes else math.inf
        return costs[count]

    alive: dict[int, tuple[tuple[int, ...], int, float]] = {
        i: ((i,), b, cost(b.bit_count())) for i, b in enumerate(bits)
    }
    savings: dict[tuple[int, int], float] = {}

    def weigh(a: int, b: int) -> None:
        (chips_a, bits_a, cost_a), (chips_b, bits_b, cost_b) = alive[a], alive[b]
        together = cost((bits_a | bits_b).bit_count())
        if math.isinf(together) or (most is not None and len(chips_a) + len(chips_b) > most):
            return  # beyond the budget: whatever the parts need, their union is no way out
        if cost_a + cost_b > together:
            savings[min(a, b), max(a, b)] = cost_a + cost_b - together

    for a in alive:
        for b in alive:
            if a < b:
                weigh(a, b)
    while savings:
        a, b = min(savings, key=lambda pair: (-savings[pair], pair))
        joined = tuple(sorted(alive[a][0] + alive[b][0])), alive[a][1] | alive[b][1]
        del alive[b]
        alive[a] = (*joined, cost(joined[1].bit_count()))
        for pair in [pair for pair in savings if a in pair or b in pair]:
            del savings[pair]
        for other in list(alive):
            if other != a:
                weigh(a, other)
    return tuple(_group(list(chips), maps, need) for chips, _, _ in sorted(alive.values()))


def _group(chips: list[int], maps: Sequence[FaultMap], need: Need) -> Group:
    map_ = maps[chips[0]] if len(chips) == 1 else union([maps[i] for i in chips])
    return Group(tuple(chips), map_, need(float(map_.bypass.mean())))


def _bits(chip: FaultMap) -> int:
    """The PEs that a network on `chip` must do without, as the bits of one number."""
    return int.from_bytes(np.packbits(chip.bypass).tobytes(), "big")
