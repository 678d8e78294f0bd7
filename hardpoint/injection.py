"""Fault lists as the words that the accelerator plays: which mask is loaded before which step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.faults import SITES, live
from hardpoint.mapping import Tiling
from hardpoint.network import Network

__all__ = ["Strikes", "acting"]

FLIP, KEEP, FORCE = range(3)
"""Kinds of a strike: bits to invert in one step; bits to keep, and bits to force to one, from now on."""

I = NDArray[np.int64]  # noqa: E741 - an array of integers


def acting(site: I, tile: I, step: I, k: I, rows: int) -> I:
    """The first time at or after (`tile`, `step`) at which the register of `site` is written or its wire used.

    A time is tile * period + step with period = max(K, rows): an order in which every step of every PE lies after
    all that it depends on.

    >>> one = np.array([1])
    >>> acting(SITES.index("drain") * one, one, 0 * one, 9 * one, 8), acting(0 * one, one, 9 * one, 9 * one, 8)
    (array([18]), array([18]))
    """
    drain, vote = site == SITES.index("drain"), site == SITES.index("vote")
    first = np.where(drain, k, np.where(vote, 1, 0))
    last = np.where(drain, k + rows - 1, np.where(vote, k, k - 1))
    late = step > last
    return np.asarray((tile + late) * np.maximum(k, rows) + np.where(late, first, np.maximum(step, first)))


@dataclass(frozen=True)
class Strikes:
    """Translates faults of `network` on `array` into the words of the accelerator's strike buffer.

    A strike is two words: time in bits 0-47, kind in 48-49, site in 50-52, copy in 53-54; then the mask in columns
    (bit b of it is column b) in bits 0-39, row in 40-47, column in 48-55. Per image the buffer holds the length of its
    block in words, then per array layer a count and that many strikes in order of time. Every layer starts with
    nothing struck, so stuck bits are said again at the start of each layer.
    """

    array: Array
    network: Network

    def words(self, faults: NDArray[Any], first: int, images: int) -> NDArray[np.uint64]:
        """The buffer for images `first` .. `first` + `images` - 1; what strikes nothing there is left out."""
        tilings = [Tiling.of(self.network.gemm(i), self.array) for i in range(len(self.network.gemms))]
        faults = faults[live(faults, self.array, tilings)]
        flips, stuck = faults[faults["effect"] == 0], faults[faults["effect"] != 0]
        near = (flips["image"] >= first) & (flips["image"] < first + images)
        parts = [self._flips(flips[near], first, tilings)]
        if len(stuck):
            parts.extend(self._stuck(stuck, first, images, tilings))
        image, layer, when, low, high = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((low >> 48, high, when, layer, image))
        image, layer, low, high, when = image[order], layer[order], low[order], high[order], when[order]
        counts = np.zeros((images, len(tilings)), np.int64)
        np.add.at(counts, (image, layer), 1)
        lengths = 1 + (1 + 2 * counts).sum(axis=1)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        before = np.cumsum(1 + 2 * counts, axis=1) - (1 + 2 * counts)  # words of earlier layers
        heads = starts[:-1, None] + 1 + before
        out = np.zeros(starts[-1], np.uint64)
        out[starts[:-1]] = lengths
        out[heads] = counts
        group = image * len(tilings) + layer
        ranks = np.arange(len(group)) - np.searchsorted(group, group)
        place = heads[image, layer] + 1 + 2 * ranks
        out[place] = low.astype(np.uint64)
        out[place + 1] = high.astype(np.uint64)
        return out

    def _flips(self, flips: NDArray[Any], first: int, tilings: list[Tiling]) -> tuple[I, I, I, I, I]:
        """Flips by image, layer and time; those of one register in one step are one strike."""
        names = ("image", "layer", "tile", "step", "row", "col", "site", "copy", "bit")
        image, layer, tile, step, row, col, site, copy, bit = (flips[name].astype(np.int64) for name in names)
        period = np.array([tiling.period for tiling in tilings], np.int64)[layer]
        when = tile * period + step
        order = np.lexsort((copy, site, col, row, when, layer, image))
        image, layer, when, row, col, site, copy = (x[order] for x in (image, layer, when, row, col, site, copy))
        keys = np.stack([image, layer, when, row, col, site, copy])
        new = np.ones(len(order), bool)
        new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        at = np.flatnonzero(new)
        masks = np.bitwise_xor.reduceat(np.int64(1) << bit[order], at) if len(at) else np.zeros(0, np.int64)
        image, layer, when, row, col, site, copy = keys[:, at]
        return image - first, layer, when, *_pack(when, FLIP, row, col, site, copy, masks)

    def _stuck(self, stuck: NDArray[Any], first: int, images: int, tilings: list[Tiling]) -> list[tuple[I, I, I, I, I]]:
        """Changes of the stuck bits, image by image and layer by layer."""
        made: dict[bytes, tuple[I, I, I]] = {}
        parts = []
        for image in range(first, first + images):
            for layer, tiling in enumerate(tilings):
                start, end = self._span(stuck, image, layer, tiling)
                on = start < end
                if not on.any():
                    continue
                key = b"".join(
                    (bytes([layer & 255, layer >> 8]), stuck[on].tobytes(), start[on].tobytes(), end[on].tobytes())
                )
                if key not in made:
                    made[key] = _changes(stuck[on], start[on], end[on])
                when, low, high = made[key]
                parts.append((np.full(len(when), image - first), np.full(len(when), layer), when, low, high))
        return parts

    def _span(self, stuck: NDArray[Any], image: int, layer: int, tiling: Tiling) -> tuple[I, I]:
        """From which time of a layer on, and until which, each stuck bit holds; an end beyond the layer is its end."""
        site, k = stuck["site"].astype(np.int64), np.full(len(stuck), tiling.gemm.k, np.int64)
        over = (tiling.tiles + 1) * tiling.period + tiling.rows
        out = []
        for prefix in ("", "end_"):
            where = stuck[prefix + "image"].astype(np.int64), stuck[prefix + "layer"].astype(np.int64)
            tile, step = (np.minimum(stuck[prefix + name].astype(np.int64), 1 << 40) for name in ("tile", "step"))
            here = acting(site, tile, step, k, tiling.rows)
            earlier = (where[0] < image) | ((where[0] == image) & (where[1] < layer))
            same = (where[0] == image) & (where[1] == layer)
            out.append(np.where(earlier, 0, np.where(same, np.minimum(here, over), over)))
        return out[0], out[1]


def _changes(stuck: NDArray[Any], start: I, end: I) -> tuple[I, I, I]:
    """Strikes that set the stuck bits of one layer and lift them again."""
    names = ("row", "col", "site", "copy")
    places = np.unique(np.stack([stuck[name].astype(np.int64) for name in names]), axis=1).T
    found = []
    for place in places:
        mine = np.all([stuck[name] == value for name, value in zip(names, place, strict=True)], axis=0)
        bits = np.int64(1) << stuck["bit"][mine].astype(np.int64)
        effect = stuck["effect"][mine]
        for now in np.unique(np.concatenate([start[mine], end[mine]])):
            active = (start[mine] <= now) & (now < end[mine])
            zero = int(np.bitwise_or.reduce(bits[active & (effect == 1)], initial=0))
            one = int(np.bitwise_or.reduce(bits[active & (effect == 2)], initial=0))
            found.append((now, KEEP, *place, (1 << 40) - 1 & ~zero))
            found.append((now, FORCE, *place, one))
    when, kind, row, col, site, copy, mask = np.array(found, np.int64).T
    return when, *_pack(when, kind, row, col, site, copy, mask)


def _pack(when: I, kind: Any, row: I, col: I, site: I, copy: I, mask: I) -> tuple[I, I]:
    return when | (kind | site << 2 | copy << 5) << 48, mask | row << 40 | col << 48
