"""Fault lists as the words that the accelerator plays: which mask is loaded before which step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.beside import decoded
from hardpoint.faults import SITES, UNIT_ROW, live
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.program import code_bytes, weight_place
from hardpoint.schedule import ALL, FLIP, FORCE, KEEP, PLACE, STRIKE, in_cycles, merged, unit_in_cycles

__all__ = ["FLIP", "FORCE", "KEEP", "LISTS", "Strikes", "acting"]

I = NDArray[np.int64]  # noqa: E741 - an array of integers

LISTS = ("core", "unit", "index", "abuf", "obuf", "wbuf")
"""The lists of strikes of an array layer, in the order in which they lie in the strike buffer."""


def acting(site: I, tile: I, step: I, k: I, rows: int) -> I:
    """The first time at or after (`tile`, `step`) at which an output-stationary array writes or uses `site`.

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

    Per image the buffer holds the length of its block in words, then per array layer the lists of LISTS, each a count
    and that many strikes in order of time. A strike is two words: time in bits 0-47, kind in 48-49, site in 50-52 and (its
    fourth bit) 55, copy in 53-54; then the mask in columns (bit b of it is column b) in bits 0-39, row in 40-47, column
    in 48-55. Every layer starts with nothing struck, so stuck bits are said again at the start of each layer.

    Times of the array are tile * period + step for the C++ core, and cycles (`hardpoint.schedule`) for the Verilog core
    (`cycles`); of the recompute unit neuron * (S + 1) + step, or cycles; of its index memory the neuron's place in the list;
    of buffers the number of the code, or of a weight its byte in memory (`hardpoint.program.weight_place`). Of buffers with
    ECC, what its decoder leaves is struck, and copy 1 of a word's first code says that it gave up.
    """

    array: Array
    network: Network
    cycles: bool = False

    def words(self, faults: NDArray[Any], first: int, images: int) -> NDArray[np.uint64]:
        """The buffer for images `first` .. `first` + `images` - 1; what strikes nothing there is left out."""
        tilings = [Tiling.of(self.network.gemm(i), self.array) for i in range(len(self.network.gemms))]
        faults = faults[live(faults, self.array, self.network)]
        flips, stuck = faults[faults["effect"] == 0], faults[faults["effect"] != 0]
        flips = flips[(flips["image"] >= first) & (flips["image"] < first + images)]
        if self.array.ecc:
            flips = decoded(flips, self.network)
        parts = [self._timed(self._flips(flips, first, tilings), tilings)]
        if len(stuck):
            parts.extend(self._stuck(stuck, first, images, tilings))
        return _pack(np.concatenate(parts), images, len(tilings))

    def _flips(self, flips: NDArray[Any], first: int, tilings: list[Tiling]) -> NDArray[Any]:
        """Flips by image, layer and time; those of one register in one step are one strike, two of one bit cancel."""
        strikes = np.zeros(len(flips), STRIKE)
        for name in ("image", "layer", *PLACE):
            strikes[name] = flips[name]
        strikes["image"] -= first
        strikes["when"] = flips["tile"] * self._periods(tilings)[flips["layer"]] + flips["step"]
        which = _list(flips)
        unit, index, weights = (which == LISTS.index(name) for name in ("unit", "index", "wbuf"))
        strikes["when"][unit] = (
            flips["tile"][unit] * self._neuron_steps(tilings)[flips["layer"][unit]] + flips["step"][unit]
        )
        strikes["when"][index] = flips["tile"][index]
        for layer in np.unique(flips["layer"][weights]):
            here, tiling = weights & (flips["layer"] == layer), tilings[layer]
            k, n = np.divmod(flips["step"][here].astype(np.int64), tiling.gemm.n)
            strikes["when"][here] = weight_place(tiling, k, n)
        strikes["mask"] = np.int64(1) << flips["bit"].astype(np.int64)
        for i in np.flatnonzero(which >= LISTS.index("abuf")):
            strikes["mask"][i] = self._stored(flips[i])
        return merged(strikes, np.bitwise_xor)

    def _stored(self, flip: Any) -> int:
        """The bits of a code in memory that a flip in a buffer inverts: its sign fills all bytes that the code takes there."""
        layer = self.network.gemms[flip["layer"]]
        formats = {"wbuf": layer.weight_format, "abuf": self.network.formats[layer.input], "obuf": layer.out}
        fmt, bit = formats[SITES[flip["site"]]], int(flip["bit"])
        if flip["copy"] or not fmt.signed or bit < fmt.bits - 1:
            return 1 << bit
        return (1 << 8 * code_bytes(fmt)) - (1 << bit)

    def _stuck(self, stuck: NDArray[Any], first: int, images: int, tilings: list[Tiling]) -> list[NDArray[Any]]:
        """Changes of the stuck bits, image by image and layer by layer."""
        made: dict[bytes, NDArray[Any]] = {}
        parts, neuron_steps = [], self._neuron_steps(tilings)
        for image in range(first, first + images):
            for layer, tiling in enumerate(tilings):
                neurons = len(self.network.important[layer])
                start, end = _span(stuck, image, layer, tiling, neurons, int(neuron_steps[layer]))
                on = start < end
                if not on.any():
                    continue
                key = b"".join((layer.to_bytes(2, "little"), on.tobytes(), start[on].tobytes(), end[on].tobytes()))
                if key not in made:
                    made[key] = self._timed(_changes(stuck[on], start[on], end[on], layer), tilings)
                part = made[key].copy()
                part["image"] = image - first
                parts.append(part)
        return parts

    def _timed(self, strikes: NDArray[Any], tilings: list[Tiling]) -> NDArray[Any]:
        """`strikes` at the times that the core goes by."""
        if not self.cycles:
            return strikes
        sizes = [tiling.pixels if tiling.stationary else tiling.gemm.k for tiling in tilings]
        which, layer, parts = _list(strikes), strikes["layer"], [strikes[_list(strikes) > LISTS.index("unit")]]
        core, unit = (which == LISTS.index(name) for name in ("core", "unit"))
        parts.append(in_cycles(strikes[core], self.array, np.array(sizes, np.int64)[layer[core]]))
        if unit.any():
            parts.append(unit_in_cycles(strikes[unit], self.array, self._neuron_steps(tilings)[layer[unit]] - 1))
        return np.concatenate(parts)

    def _periods(self, tilings: list[Tiling]) -> I:
        return np.array([tiling.period for tiling in tilings], np.int64)

    def _neuron_steps(self, tilings: list[Tiling]) -> I:
        """Steps of the recompute unit per neuron, its hand-over included, layer by layer."""
        lanes = 1 if self.array.recompute is None else self.array.recompute.lanes
        return np.array([-(-tiling.gemm.k // lanes) + 1 for tiling in tilings], np.int64)


def _list(records: NDArray[Any]) -> I:
    """Number of the list of every record or strike."""
    by_site = [LISTS.index(name) if name in LISTS else 0 for name in SITES]
    number = np.array(by_site, np.int64)[records["site"]]
    return np.asarray(np.where((number == 0) & (records["row"] == UNIT_ROW), LISTS.index("unit"), number))


def _span(stuck: NDArray[Any], image: int, layer: int, tiling: Tiling, neurons: int, neuron_steps: int) -> tuple[I, I]:
    """From which time of a layer on, and until which, each stuck bit holds; an end beyond the layer is its end."""
    site, which = stuck["site"].astype(np.int64), _list(stuck)
    over = np.select(
        [which == 1, which == 2], [neurons * neuron_steps, neurons], (tiling.tiles + 1) * tiling.period + tiling.rows
    )
    out = []
    for prefix in ("", "end_"):
        where = stuck[prefix + "image"].astype(np.int64), stuck[prefix + "layer"].astype(np.int64)
        tile, step = (stuck[prefix + name].astype(np.int64) for name in ("tile", "step"))
        if tiling.stationary:
            here = tile * tiling.period + np.minimum(step, tiling.period)
        else:
            here = acting(site, tile, step, np.full(len(stuck), tiling.gemm.k, np.int64), tiling.rows)
        unit = tile * neuron_steps + np.minimum(step, neuron_steps)
        here = np.select([which == 1, which == 2], [unit, tile + (step > 0)], here)
        earlier = (where[0] < image) | ((where[0] == image) & (where[1] < layer))
        same = (where[0] == image) & (where[1] == layer)
        out.append(np.where(earlier, 0, np.where(same, np.minimum(here, over), over)))
    return out[0], out[1]


def _changes(stuck: NDArray[Any], start: I, end: I, layer: int) -> NDArray[Any]:
    """Strikes that set the stuck bits of one layer and lift them again."""
    found = []
    for place in np.unique(np.stack([stuck[name].astype(np.int64) for name in PLACE]), axis=1).T:
        mine = np.all([stuck[name] == value for name, value in zip(PLACE, place, strict=True)], axis=0)
        bits, effect = np.int64(1) << stuck["bit"][mine].astype(np.int64), stuck["effect"][mine]
        for now in np.unique(np.concatenate([start[mine], end[mine]])):
            active = (start[mine] <= now) & (now < end[mine])
            zero, one = (int(np.bitwise_or.reduce(bits[active & (effect == e)], initial=0)) for e in (1, 2))
            found.append((0, layer, now, KEEP, *place, ALL & ~zero))
            found.append((0, layer, now, FORCE, *place, one))
    return np.array(found, STRIKE)


def _pack(strikes: NDArray[Any], images: int, layers: int) -> NDArray[np.uint64]:
    """The words of the buffer."""
    which = _list(strikes)
    order = np.lexsort(
        [*(strikes[name] for name in (*PLACE, "kind", "when")), which, strikes["layer"], strikes["image"]]
    )
    image, layer, when, kind, row, col, site, copy, mask = (strikes[name][order] for name in STRIKE.names or ())
    group = (image * layers + layer) * len(LISTS) + which[order]
    counts = np.bincount(group.astype(np.intp), minlength=images * layers * len(LISTS))  # boards have 32 bits
    counts = counts.astype(np.int64).reshape(images, layers * len(LISTS))
    sizes = 1 + 2 * counts
    starts = np.concatenate([[0], np.cumsum(1 + sizes.sum(axis=1))])
    heads = starts[:-1, None] + 1 + np.cumsum(sizes, axis=1) - sizes
    out = np.zeros(starts[-1], np.uint64)
    out[starts[:-1]] = np.diff(starts)
    out[heads] = counts
    place = heads.reshape(-1)[group] + 1 + 2 * (np.arange(len(group)) - np.searchsorted(group, group))
    out[place] = (when | (kind | (site & 7) << 2 | copy << 5 | (site >> 3) << 7) << 48).astype(np.uint64)
    out[place + 1] = (mask | row << 40 | col << 48).astype(np.uint64)
    return out
