"""Repair of faulty PEs: by recomputation, or by spare PEs in rows, columns and diagonals; when it holds, what is left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from hardpoint.array import Array
from hardpoint.defects import pattern
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.statistics import wilson

__all__ = ["KINDS", "Estimate", "Scheme", "estimate", "exact", "takeover", "throughput"]

KINDS = ("none", "recompute", "rows", "columns", "diagonal")
ENUMERABLE = 20  # PEs and spares of which every combination of faults is tried


@dataclass(frozen=True)
class Scheme:
    """A `rows` x `cols` array with `spares` units that can stand in for faulty PEs.

    `columns`: spare PEs beside the rows (a spare column is one per row); one repairs any PE of its row. `rows`: below
    the columns, likewise. `diagonal`: on the diagonal; one repairs any PE of its row or of its column. Fewer spares
    than lines are shared by adjacent lines, more are spread evenly. `recompute`: lanes of a recompute unit; each does
    the work of one PE wherever it lies (HyCA, Liu et al., arXiv 2106.04772).

    All units multiply and accumulate, so schemes with the same number of spares cost about the same.

    >>> s = Scheme("diagonal", 4, 4, 4)
    >>> s.columns_left([(0, 1), (1, 0), (3, 1)]), s.columns_left([(0, 0), (1, 0), (0, 1)])
    (4, 1)
    """

    kind: str
    spares: int
    rows: int
    cols: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"a repair scheme is {', '.join(KINDS)}, not {self.kind!r}")
        if not (1 <= self.rows <= 64 and 1 <= self.cols <= 64):
            raise InputError(f"an array has 1 to 64 rows and columns, not {self.rows} and {self.cols}")
        if self.spares < (self.kind != "none") or (self.kind == "none" and self.spares):
            raise InputError(f"repair scheme {self.kind} cannot have {self.spares} spares")
        lines = self.lines
        if lines and max(lines, self.spares) % min(lines, self.spares):
            raise InputError(f"{self.spares} spares cannot be shared evenly by {lines} {self.kind} lines")

    def __str__(self) -> str:
        return self.kind if self.kind == "none" else f"{self.kind} {self.spares}"

    @property
    def lines(self) -> int:
        """Lines of PEs that have spares of their own; 0 where spares serve all PEs."""
        if self.kind == "diagonal" and self.rows != self.cols:
            raise InputError(f"diagonal spares need a square array, not {self.rows} x {self.cols}")
        return {"rows": self.cols, "columns": self.rows, "diagonal": self.rows}.get(self.kind, 0)

    @cached_property
    def capacity(self) -> tuple[int, ...]:
        """Spares of each group."""
        if not self.lines:
            return (self.spares,)
        groups = min(self.lines, self.spares)
        return (self.spares // groups,) * groups

    def groups(self, row: int, col: int) -> tuple[int, ...]:
        """Groups of spares that can repair PE (row, col)."""
        if not self.lines:
            return (0,)
        share = self.lines // len(self.capacity)
        if self.kind == "columns":
            return (row // share,)
        if self.kind == "rows":
            return (col // share,)
        return (row // share,) if row // share == col // share else (row // share, col // share)

    def columns_left(self, faulty: Sequence[tuple[int, int]], broken: Sequence[int] = ()) -> int:
        """Columns that work, from the left: all before the first one that cannot be repaired together with those before it.

        `faulty` are PEs, `broken` the numbers of spares that are faulty themselves. Columns on the left are fed first,
        so an array that has lost one also loses what lies behind it. Repair is assigned optimally, by augmenting paths.
        """
        free = list(self.capacity)
        for spare in broken:
            free[spare * len(free) // self.spares] -= 1
        taken: list[list[tuple[int, int]]] = [[] for _ in free]  # PEs that each group repairs

        def place(pe: tuple[int, int], tried: set[int]) -> bool:
            for group in self.groups(*pe):
                if group in tried:
                    continue
                tried.add(group)
                if free[group] > 0:
                    free[group] -= 1
                    taken[group].append(pe)
                    return True
                for i, other in enumerate(taken[group]):
                    if place(other, tried):
                        taken[group][i] = pe
                        return True
            return False

        for pe in sorted(faulty, key=lambda rc: (rc[1], rc[0])):
            if not place(pe, set()):
                return pe[1]
        return self.cols


def _at_most(n: int, most: int, p: float) -> float:
    """P(X <= most) of a binomial X of n trials."""
    if most >= n:
        return 1.0
    return math.fsum(_exactly(n, k, p) for k in range(most + 1))


def _exactly(n: int, k: int, p: float) -> float:
    if p <= 0.0 or p >= 1.0:
        return float(k == (n if p >= 1.0 else 0))
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    return math.exp(log)


def exact(scheme: Scheme, rate: float) -> float | None:
    """Probability that every PE works or is repaired, each PE and spare being faulty with probability `rate`, independently.

    Closed forms where one group of spares serves each PE; by enumeration where there are at most 20 PEs and spares;
    None otherwise.

    >>> exact(Scheme("none", 0, 32, 32), 0.01) == 0.99**1024
    True
    >>> [round(exact(Scheme(kind, 32, 32, 32), 0.02), 4) for kind in ("recompute", "columns")]
    [0.9907, 0.0078]
    """
    if not 0 <= rate <= 1:
        raise InputError(f"a PE fault rate is 0 to 1, not {rate}")
    pes, spares = scheme.rows * scheme.cols, scheme.spares
    if scheme.kind == "none":
        return float((1 - rate) ** pes)
    if scheme.kind != "diagonal":
        groups = len(scheme.capacity)
        total, each = (pes + spares) // groups, spares // groups
        return _at_most(total, each, rate) ** groups
    if pes + spares > ENUMERABLE:
        return None
    return math.fsum(weight for left, weight in _enumerated(scheme, rate) if left == scheme.cols)


def _enumerated(scheme: Scheme, rate: float) -> Iterator[tuple[int, float]]:
    """Columns left and probability of every combination of faulty PEs and spares."""
    pes = [(r, c) for r in range(scheme.rows) for c in range(scheme.cols)]
    for bits in product((0, 1), repeat=len(pes) + scheme.spares):
        bad = sum(bits)
        faulty = [pe for pe, bit in zip(pes, bits, strict=False) if bit]
        broken = [i for i, bit in enumerate(bits[len(pes) :]) if bit]
        yield scheme.columns_left(faulty, broken), rate**bad * (1 - rate) ** (len(bits) - bad)


@dataclass(frozen=True)
class Estimate:
    """Over `maps` drawn maps: how often everything was repaired, and the mean share of columns left, with 95 % intervals.

    Maps are independent, so the frequency has Wilson's interval and the mean Student's (here: the normal one, for
    hundreds of maps).
    """

    maps: int
    functional: float
    functional_low: float
    functional_high: float
    left: float
    left_low: float
    left_high: float


def estimate(scheme: Scheme, rate: float, maps: int, seed: int, kind: str = "uniform") -> Estimate:
    """Monte Carlo over `maps` maps at PE fault rate `rate`: the number of faults is binomial, their places follow `kind`.

    Spares fail with the same rate, independently. One (seed, kind) gives all schemes the same maps.

    >>> scheme = Scheme("recompute", 4, 8, 8)
    >>> found = estimate(scheme, 0.02, maps=500, seed=1)
    >>> found.functional_low < exact(scheme, 0.02) < found.functional_high
    True
    """
    if not 0 <= rate < 1:
        raise InputError(f"a PE fault rate is 0 to below 1, not {rate}")
    if maps < 2:
        raise InputError(f"an estimate needs at least 2 maps, not {maps}")
    pes = scheme.rows * scheme.cols
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, pes, round(rate * 1e9)])))
    counts = rng.binomial(pes, rate, maps)
    broken = rng.random((maps, 4096))[:, : scheme.spares] < rate
    left = np.empty(maps)
    for i, count in enumerate(counts.tolist()):
        faulty = pattern(kind, scheme.rows, scheme.cols, min(count, pes - 1), seed, i).faulty
        left[i] = scheme.columns_left(faulty, np.flatnonzero(broken[i]).tolist())
    share = left / scheme.cols
    whole = int((left == scheme.cols).sum())
    found = wilson(whole, maps)
    half = 1.96 * float(share.std(ddof=1)) / math.sqrt(maps)
    mean = float(share.mean())
    return Estimate(maps, found.mean, found.low, found.high, mean, max(0.0, mean - half), min(1.0, mean + half))


def throughput(network: Network, array: Array, chip: FaultMap, lanes: int) -> float:
    """Fault-free cycles over cycles with repair: an output-stationary array whose faulty PEs' neurons are recomputed.

    While a tile takes max(K, rows) steps, the unit recomputes the neurons of that tile's faulty PEs, ceil(K / lanes)
    steps each; where that takes longer, the array waits. PEs that the tile does not use need no repair.
    """
    if lanes < 1:
        raise InputError(f"a recompute unit has at least 1 lane, not {lanes}")
    chip.check(array)
    clean = repaired = 0
    for i in range(len(network.gemms)):
        tiling = Tiling.of(network.gemm(i), array)
        each = -(-tiling.gemm.k // lanes)
        for mt in range(tiling.tiles_m):
            for nt in range(tiling.tiles_n):
                used = chip.mask[: tiling.gemm.m - mt * array.rows, : tiling.gemm.n - nt * array.cols]
                clean += tiling.period
                repaired += max(tiling.period, int(used.sum()) * each)
    return clean / repaired


def takeover(chip: FaultMap, lanes: int, dataflow: str = "os") -> FaultMap:
    """What is left of `chip`'s faults when a recompute unit of `lanes` does what it can without slowing the array down.

    Output-stationary: one PE per lane. Weight-stationary: a neuron's sum runs through a whole column, so the unit
    computes all channels of a column instead, `rows` lanes per column; the columns with most faulty PEs come first.

    >>> len(takeover(FaultMap(4, 4, ((0, 0), (1, 0), (2, 3))), 4, "ws")), len(takeover(FaultMap(4, 4, ((0, 0), (1, 0))), 1))
    (1, 1)
    """
    if dataflow == "os":
        return chip.relieved(chip.faulty[:lanes])
    if dataflow != "ws":
        raise InputError(f"dataflow is os or ws, not {dataflow!r}")
    worst = np.argsort(-chip.mask.sum(axis=0), kind="stable")[: lanes // chip.rows].tolist()
    return chip.relieved([pe for pe in chip.faulty if pe[1] in worst])
