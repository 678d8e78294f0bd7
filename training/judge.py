"""How good a ranking is, judged by injections that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.network import Network
from hardpoint.ranking import Ranking
from hardpoint.statistics import cluster_t, t_quantile
from hardpoint.training.injection import Injections

__all__ = ["Judgement", "coverage", "rank_correlation", "spearman"]

GROUPS = 50  # of images, for the jackknife


@dataclass(frozen=True)
class Judgement:
    """A figure with its 95 % interval; the sampling unit is the image."""

    mean: float
    low: float
    high: float

    def value(self) -> dict[str, float]:
        """As a table for JSON."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def coverage(masks: Sequence[NDArray[np.bool_]], truth: Injections) -> Judgement:
    """Share of the critical flips of `truth` that struck neurons in `masks`, one mask per array layer.

    Faults of one image stand and fall together, so images are the units: the interval is Student's t over the linearised
    residuals of the ratio of their sums.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> from hardpoint.training.injection import inject
    >>> from hardpoint.network import Network
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 2, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(40).reshape(20, 2)
    >>> one = coverage([np.array([True, False])], inject(net, x, trials=500, seed=1))  # the first of two neurons
    >>> 0 < one.low < one.mean < one.high < 1
    True
    """
    critical, inside = _critical_per_image(truth), np.zeros(len(truth), bool)
    for layer, mask in enumerate(masks):
        mine = truth.layer == layer
        inside[mine] = mask.ravel()[truth.neuron[mine]]
    covered = np.bincount(truth.image[truth.critical & inside], minlength=len(critical))
    share = covered.sum() / critical.sum()
    if share in (0, 1):  # all images agree, which is no certainty
        agreed = cluster_t(np.full(int((critical > 0).sum()), share))
        return Judgement(float(share), agreed.low, agreed.high)
    residual = cluster_t((covered - share * critical) / critical.mean(), bounds=(-math.inf, math.inf))
    return Judgement(float(share), max(0.0, float(share + residual.low)), min(1.0, float(share + residual.high)))


def rank_correlation(ranking: Ranking, truth: Injections, network: Network, channels: bool = False) -> Judgement:
    """Spearman's rank correlation of the scores and the critical flips per neuron (or per channel), over all layers.

    Its interval is Student's t over a jackknife that leaves out one of GROUPS groups of images at a time. (Drawing
    images anew would not do: images drawn twice look like neurons hit twice, and ties fall apart.)
    """
    shapes = [network.shapes[layer.name] for layer in network.gemms]
    if [score.shape for score in ranking.neurons] != shapes:
        raise InputError(f"the ranking was made for network {ranking.network}, not for {network.digest}")
    sizes = [shape[-1] if channels else math.prod(shape) for shape in shapes]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    unit = truth.neuron % np.array([shape[-1] for shape in shapes])[truth.layer] if channels else truth.neuron
    place = (starts[truth.layer] + unit)[truth.critical]
    group = truth.image[truth.critical] % min(GROUPS, len(_critical_per_image(truth)))
    scores = [ranking.channels(i) if channels else s for i, s in enumerate(ranking.neurons)]
    ranked = np.concatenate([np.asarray(s, np.float64).ravel() for s in scores])

    def against(kept: NDArray[np.bool_]) -> float:
        return spearman(ranked, np.bincount(place[kept], minlength=starts[-1]).astype(np.float64))

    whole = against(np.ones(len(place), bool))
    groups = np.unique(group)
    if len(groups) < 2:
        return Judgement(whole, -1.0, 1.0)
    without = np.array([against(group != g) for g in groups])
    n = len(without)
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    half = t_quantile(0.975, n - 1) * error
    return Judgement(whole, max(-1.0, whole - half), min(1.0, whole + half))


def _critical_per_image(truth: Injections) -> NDArray[np.int64]:
    if not truth.critical.any():
        raise InputError(f"none of {len(truth)} injections was critical: nothing can be judged by them")
    return np.bincount(truth.image[truth.critical], minlength=int(truth.image.max()) + 1)


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation, ties at their mean rank.

    >>> spearman(np.array([1.0, 2.0, 2.0, 9.0]), np.array([0.0, 1.0, 1.0, 5.0]))
    1.0
    """

    def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])

    x, y = (r - r.mean() for r in (ranks(a), ranks(b)))
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return round(float(x @ y) / scale, 12) if scale else 0.0
