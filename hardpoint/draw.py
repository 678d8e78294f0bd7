"""Drawing faults: keyed streams with geometric gaps, the same whatever batch, worker, order or engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import (
    BUFFERS,
    FAULT,
    SITES,
    UNIT_ROW,
    FaultList,
    Stream,
    bit_table,
    decode,
    live,
    population,
    streams,
)
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.streams import log, philox, uniform

__all__ = ["Plan", "check_ber", "check_weights", "draw", "draw_count", "draw_single"]

ANYWHERE = 0xFFFF0000  # the fourth counter word of draws that belong to no one layer and site
COUNT, SINGLE = 1, 2


def check_ber(ber: float) -> float:
    """`ber` if it is a probability, else an InputError.

    >>> check_ber(1.5)
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: a BER is a probability per live site bit and step, 0 to 1, not 1.5
    """
    if not 0 <= ber <= 1:
        raise InputError(f"a BER is a probability per live site bit and step, 0 to 1, not {ber}")
    return float(ber)


def check_weights(weights: Mapping[str, float] | None) -> dict[str, float]:
    """Weight of every site class; where `weights` names none 1, and 0 for buffers.

    >>> table = check_weights({"mul": 2.0})
    >>> table["mul"], table["acc"], table["wbuf"]
    (2.0, 1.0, 0.0)
    """
    table = {site: 0.0 if site in BUFFERS else 1.0 for site in SITES}
    for name, weight in (weights or {}).items():
        if name not in table:
            raise InputError(f"there is no site class {name!r}; site classes are {', '.join(SITES)}")
        if not 0 <= weight < float("inf"):
            raise InputError(f"the weight of site class {name} must be a finite number from 0, not {weight}")
        table[name] = float(weight)
    return table


def draw(
    array: Array,
    network: Network,
    images: Sequence[int] | int,
    ber: float,
    seed: int,
    trial: int = 0,
    weights: Mapping[str, float] | None = None,
) -> FaultList:
    """Flips at bit error rate `ber` per live site bit and step, for inferences `images` of trial `trial`.

    `images` are inference numbers (or how many, from 0): the faults of an inference do not depend on the others.
    `weights` multiplies the rate of site classes. Each (seed, image, trial, layer, site, copy) has a Philox stream of its
    own; inside it geometric gaps run over the enumeration of `hardpoint.faults.Stream`.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> u4, s4, s8 = (Fixed.parse(text) for text in ("u4.0", "s4.0", "s8.0"))
    >>> net = Network((2,), u4, (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, s8, s4),))
    >>> some = draw(Array(2, 2), net, 8, ber=0.01, seed=1)
    >>> len(some), len(draw(Array(2, 2), net, [3], ber=0.01, seed=1)) == int((some.faults["image"] == 3).sum())
    (32, True)
    """
    plan = Plan.of(array, network)
    numbers, rates = plan.arguments(images, ber, seed, trial, weights)
    chosen = [(stream, rate) for stream, rate in zip(plan.pools, rates, strict=True) if rate > 0]
    pools = [stream for stream, _ in chosen]
    parts = []
    for stream, (image, index) in zip(
        pools, gaps(pools, [rate for _, rate in chosen], numbers, seed, trial), strict=True
    ):
        part = decode(stream, index, array)
        part["image"] = image
        parts.append(part)
    faults = np.concatenate(parts) if parts else np.zeros(0, FAULT)
    faults = faults[live(faults, array, network)]
    order = np.lexsort([faults[key] for key in ("bit", "copy", "col", "row", "site", "step", "tile", "layer", "image")])
    return plan.listed(faults[order], numbers, seed, trial, convention_of(ber, weights), weights)


def draw_count(
    array: Array,
    network: Network,
    images: Sequence[int] | int,
    count: int,
    seed: int,
    trial: int = 0,
    weights: Mapping[str, float] | None = None,
) -> FaultList:
    """Exactly `count` different flips per inference, uniformly over its live site bits x steps (times `weights`).

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> u4, s4, s8 = (Fixed.parse(text) for text in ("u4.0", "s4.0", "s8.0"))
    >>> net = Network((2,), u4, (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, s8, s4),))
    >>> np.bincount(draw_count(Array(2, 2), net, images=4, count=3, seed=1).faults["image"]).tolist()
    [3, 3, 3, 3]
    """
    plan = Plan.of(array, network)
    numbers, _ = plan.arguments(images, 0.0, seed, trial, weights)
    most = plan.live_bits(weights)
    if not 0 <= count <= most // 2:
        raise InputError(
            f"strikes per inference must be 0 to {most // 2}, half its live site bits x steps, not {count}"
        )
    kept = np.zeros(0, FAULT)
    attempt, missing = 0, numbers if count else numbers[:0]
    while len(missing):
        tries = 2 * count + 16
        image, number = np.repeat(missing, tries), np.tile(np.arange(attempt, attempt + tries), len(missing))
        found, good = plan.at(uniform(philox(seed, (number, image, trial, ANYWHERE | COUNT))[0]), weights)
        found["image"] = image
        kept = np.concatenate([kept, found[good]])
        _, firsts = np.unique(kept, return_index=True)
        kept = kept[np.sort(firsts)]  # in order of the draws inside every image
        kept = kept[np.argsort(kept["image"], kind="stable")]
        rank = np.arange(len(kept)) - np.searchsorted(kept["image"], kept["image"])
        kept = kept[rank < count]
        image, have = np.unique(kept["image"], return_counts=True)
        missing = np.setdiff1d(numbers, image[have == count])
        attempt += tries
    convention = f"{count} flips per inference, uniform over live site bits and steps" + weights_of(weights)
    return plan.listed(np.sort(kept, order=list(KEYS)), numbers, seed, trial, convention, weights)


def draw_single(
    array: Array,
    network: Network,
    images: int,
    trials: Sequence[int] | int,
    seed: int,
    weights: Mapping[str, float] | None = None,
    layer: int | None = None,
    site: str | None = None,
) -> NDArray[Any]:
    """One flip per trial, independent and uniform over live site bits x steps (times `weights`) of `images` inferences.

    Returns records of dtype FAULT by trial; `layer` and `site` restrict the population to a stratum.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> u4, s4, s8 = (Fixed.parse(text) for text in ("u4.0", "s4.0", "s8.0"))
    >>> net = Network((2,), u4, (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, s8, s4),))
    >>> flips = draw_single(Array(2, 2), net, images=10, trials=1000, seed=1, site="acc")
    >>> {SITES[number] for number in flips["site"]}, sorted(set(flips["bit"].tolist())) == list(range(24))
    ({'acc'}, True)
    """
    plan = Plan.of(array, network)
    numbers, _ = plan.arguments(trials, 0.0, seed, 0, weights)
    if images < 1:
        raise InputError(f"faults need at least 1 image to strike, not {images}")
    if plan.live_bits(weights, layer, site) == 0:
        raise InputError(f"there is nothing to strike in layer {layer}, site {site}")
    faults, missing, attempt = np.zeros(len(numbers), FAULT), np.arange(len(numbers)), 0
    while len(missing):
        place, image = philox(seed, (attempt, 0, numbers[missing], ANYWHERE | SINGLE))
        found, good = plan.at(uniform(place), weights, layer, site)
        found["image"] = np.floor(uniform(image) * images)
        faults[missing[good]] = found[good]
        missing, attempt = missing[~good], attempt + 1
    return faults


KEYS = ("image", "layer", "tile", "step", "site", "row", "col", "copy", "bit")


@dataclass(frozen=True, eq=False)
class Plan:
    """What drawing for `array` and `network` needs to know, worked out once."""

    array: Array
    network: Network
    tilings: tuple[Tiling, ...]
    pools: tuple[Stream, ...]
    bits: NDArray[np.uint64]
    population: dict[str, int]

    @staticmethod
    @lru_cache(maxsize=8)
    def of(array: Array, network: Network) -> Plan:
        """The plan for `array` and `network`."""
        tilings = tuple(Tiling.of(network.gemm(i), array) for i in range(len(network.gemms)))
        pools = tuple(stream for layer in range(len(tilings)) for stream in streams(array, network, layer))
        return Plan(array, network, tilings, pools, bit_table(array), population(array, network, buffers=True))

    def arguments(
        self, images: Sequence[int] | int, ber: float, seed: int, trial: int, weights: Mapping[str, float] | None
    ) -> tuple[NDArray[np.int64], list[float]]:
        """Numbers of the inferences and the rate of every pool, or an InputError."""
        table = check_weights(weights)
        check_ber(ber)
        numbers = np.arange(images) if isinstance(images, (int, np.integer)) else np.asarray(images, np.int64)
        if not 0 <= trial < 1 << 32 or not 0 <= seed < 1 << 64:
            raise InputError(f"a seed is 0 to 2**64-1 and a trial 0 to 2**32-1, not {seed} and {trial}")
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < 1 << 32:
            raise InputError(f"inferences are numbered 0 to 2**32-1, not {numbers.min()} to {numbers.max()}")
        return numbers, [min(1.0, ber * table[SITES[stream.site]]) for stream in self.pools]

    def listed(
        self, faults: Any, numbers: Any, seed: int, trial: int, convention: str, weights: Mapping[str, float] | None
    ) -> FaultList:
        """The fault list of sorted, live records; buffers without a weight are no part of its population."""
        count, table = int(numbers.max()) + 1 if len(numbers) else 0, check_weights(weights)
        bits = {site: 0 if site in BUFFERS and not table[site] else n for site, n in self.population.items()}
        return FaultList.drawn(faults, count, self.array, self.network, seed, trial, convention, bits)

    def shares(self, weights: Mapping[str, float] | None, layer: int | None, site: str | None) -> NDArray[np.float64]:
        """Canonical size times weight of every pool, 0 outside `layer` and `site`."""
        table = check_weights(weights)
        if site is not None and site not in SITES:
            raise InputError(f"there is no site class {site!r}; site classes are {', '.join(SITES)}")
        inside = [layer in (None, s.layer) and site in (None, SITES[s.site]) for s in self.pools]
        sizes = [s.size * table[SITES[s.site]] * good for s, good in zip(self.pools, inside, strict=True)]
        return np.array(sizes, np.float64)

    def at(
        self,
        u: NDArray[np.float64],
        weights: Mapping[str, float] | None,
        layer: int | None = None,
        site: str | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Records at shares `u` of the canonical population, and which of them are live."""
        shares = self.shares(weights, layer, site)
        ends = np.cumsum(shares)
        position = u * ends[-1]
        pool = np.minimum(np.searchsorted(ends, position, side="right"), int(np.flatnonzero(shares)[-1]))
        inside = (position - (ends - shares)[pool]) / shares[pool]
        size = self._sizes[pool]
        index = np.clip(np.floor(inside * size), 0, size - 1).astype(np.uint64)
        found = self._decode(pool, index)
        return found, live(found, self.array, self.network)

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.array([stream.size for stream in self.pools], np.int64)

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        names = ("bits", "cols", "rows", "steps", "first", "layer", "site", "copy", "from_column", "unit")
        return np.array([[getattr(stream, name) for stream in self.pools] for name in names], np.int64)

    def _decode(self, pool: NDArray[np.int64], index: NDArray[np.uint64]) -> NDArray[Any]:
        """`hardpoint.faults.decode` of indices of many pools at once."""
        bits, cols, rows, steps, first, layer, site, copy, from_column, unit = self._table[:, pool]
        rest, bit = np.divmod(index.astype(np.int64), bits)
        rest, col = np.divmod(rest, cols)
        rest, row = np.divmod(rest, rows)
        tile, step = np.divmod(rest, steps)
        column = np.where(unit, self.array.unit_column, self.array.site_columns[row, np.where(unit, 0, col)])
        found = np.zeros(len(pool), FAULT)
        values = (layer, tile, step + first, row + UNIT_ROW * unit, col, site, copy, bit + from_column * column)
        for name, value in zip(("layer", "tile", "step", "row", "col", "site", "copy", "bit"), values, strict=True):
            found[name] = value
        return found

    def live_bits(
        self, weights: Mapping[str, float] | None = None, layer: int | None = None, site: str | None = None
    ) -> int:
        """Live site bits x steps per image, of site classes with a weight above 0, in `layer` and `site`."""
        table = check_weights(weights)
        if site is not None and site not in SITES:
            raise InputError(f"there is no site class {site!r}; site classes are {', '.join(SITES)}")
        if layer is not None and not 0 <= layer < len(self.tilings):
            raise InputError(f"array layers are 0 to {len(self.tilings) - 1}, not {layer}")
        counts = self.population if layer is None else population(self.array, self.network, layer, buffers=True)
        return sum(count for name, count in counts.items() if table[name] > 0 and site in (None, name))


def convention_of(ber: float, weights: Mapping[str, float] | None) -> str:
    """What was drawn, in words."""
    return f"ber {ber:g} per live site bit and step, flips" + weights_of(weights)


def weights_of(weights: Mapping[str, float] | None) -> str:
    """Site weights in words."""
    return ", site weights " + ", ".join(f"{k}={v:g}" for k, v in sorted(weights.items())) if weights else ""


def gaps(
    pools: Sequence[Stream], rates: Sequence[float], images: NDArray[np.int64], seed: int, trial: int
) -> list[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Per stream: (image, canonical index) of every strike, by geometric gaps floor(log U / log(1 - p))."""
    if not pools:
        return []
    n = len(images)
    pool = np.repeat(np.arange(len(pools)), n)
    image = np.tile(images, len(pools))
    size = np.array([s.size for s in pools], np.float64)[pool]
    key = np.array([s.key for s in pools], np.uint64)[pool]
    scale = np.array([gap_scale(p) for p in rates])[pool]
    position = np.full(len(pool), -1.0)
    hits: list[tuple[Any, Any, Any]] = []
    draws = 0
    while len(pool):
        if draws % 2 == 0:
            words = philox(seed, (draws // 2, image, trial, key))
        with np.errstate(over="ignore"):  # a gap of infinity leaves the population as any other does
            position = position + 1 + np.floor(log(uniform(words[draws % 2])) * scale)
        keep = position < size
        pool, image, size, key, scale, position = (x[keep] for x in (pool, image, size, key, scale, position))
        words = (words[0][keep], words[1][keep])
        hits.append((pool, image, position.astype(np.uint64)))
        draws += 1
    pools_hit, images_hit, index = (np.concatenate([hit[i] for hit in hits]) for i in range(3))
    order = np.lexsort((index, images_hit, pools_hit))
    cut = np.searchsorted(pools_hit[order], np.arange(len(pools) + 1))
    return [(images_hit[order[a:b]], index[order[a:b]]) for a, b in pairwise(cut)]


def gap_scale(p: float) -> float:
    """1 / log(1 - p), what a logarithm is multiplied by to give a gap."""
    return 0.0 if p >= 1 else float(1 / _log1m(p))


def _log1m(p: float) -> float:
    """log(1 - p), exact for small p, by the same arithmetic everywhere (log1p(x) = log(u) x / (u - 1), u = 1 + x)."""
    u = 1.0 - p
    return -p if u == 1.0 else float(log(u)) * p / (1.0 - u)
