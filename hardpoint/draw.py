"""Drawing faults: keyed streams with geometric gaps, the same whatever batch, worker, order or engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import FAULT, SITES, FaultList, Stream, decode, live, population, streams
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.streams import log, philox, uniform

__all__ = ["check_ber", "check_weights", "draw"]


def check_ber(ber: float) -> float:
    """`ber` if it is a probability, else an InputError."""
    if not 0 <= ber <= 1:
        raise InputError(f"a BER is a probability per live site bit and step, 0 to 1, not {ber}")
    return float(ber)


def check_weights(weights: Mapping[str, float] | None) -> dict[str, float]:
    """Weight of every site class, 1 where `weights` names none."""
    table = dict.fromkeys(SITES, 1.0)
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
    """
    check_ber(ber)
    rates = {name: min(1.0, ber * weight) for name, weight in check_weights(weights).items()}
    numbers = np.arange(images) if isinstance(images, (int, np.integer)) else np.asarray(images, np.int64)
    if not 0 <= trial < 1 << 32 or not 0 <= seed < 1 << 64:
        raise InputError(f"a seed is 0 to 2**64-1 and a trial 0 to 2**32-1, not {seed} and {trial}")
    tilings = [Tiling.of(network.gemm(i), array) for i in range(len(network.gemms))]
    pools = [stream for layer, tiling in enumerate(tilings) for stream in streams(array, tiling, layer)]
    pools = [stream for stream in pools if rates[SITES[stream.site]] > 0]
    found = gaps(pools, [rates[SITES[s.site]] for s in pools], numbers, seed, trial)
    parts = []
    for stream, (image, index) in zip(pools, found, strict=True):
        part = decode(stream, index, array)
        part["image"] = image
        parts.append(part)
    faults = np.concatenate(parts) if parts else np.zeros(0, FAULT)
    faults = faults[live(faults, array, tilings)]
    convention = f"ber {ber:g} per live site bit and step, flips"
    if weights:
        convention += ", site weights " + ", ".join(f"{k}={v:g}" for k, v in sorted(weights.items()))
    count = int(numbers.max()) + 1 if len(numbers) else 0
    return FaultList(faults, count, array.digest, network.digest, seed, trial, convention, population(array, network))


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
    key = np.array([s.layer << 16 | s.site << 8 | s.copy for s in pools], np.uint64)[pool]
    scale = np.array([0.0 if p >= 1 else float(1 / _log1m(p)) for p in rates])[pool]
    position = np.full(len(pool), -1.0)
    hits: list[tuple[Any, Any, Any]] = []
    draws = 0
    while len(pool):
        if draws % 2 == 0:
            words = philox(seed, (draws // 2, image, trial, key))
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


def _log1m(p: float) -> float:
    """log(1 - p), exact for small p, by the same arithmetic everywhere (log1p(x) = log(u) x / (u - 1), u = 1 + x)."""
    u = 1.0 - p
    return -p if u == 1.0 else float(log(u)) * p / (1.0 - u)
