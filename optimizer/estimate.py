"""How often flips turn a decision, to first order: known of a design by its network's ranking before any fault is played."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.beside import unit_bits
from hardpoint.draw import check_weights
from hardpoint.errors import InputError
from hardpoint.faults import OVERHANG, PE_SITES, bit_table
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.ranking import Ranking

__all__ = ["expected_critical", "severity"]

REACH = 2
"""A flip of bit j of an operand moves a product about as far as column j + b - REACH does, with b bits of the other one."""

ACT, WGT, MUL, CARRY, VOTE, ACC, DRAIN = range(len(PE_SITES))

FEWEST = 1e-5
"""Share of turned inferences below which designs are alike."""


def severity(turned: float) -> float:
    """A share of turned inferences on a logarithmic scale, 0 for a hundred thousandth and less, 1 for all.

    >>> severity(0.0), round(severity(0.01), 9), severity(1.0)
    (0.0, 0.6, 1.0)
    """
    return 1 - math.log(max(turned, FEWEST)) / math.log(FEWEST)


def expected_critical(
    network: Network, ranking: Ranking, array: Array, weights: Mapping[str, float] | None = None
) -> float:
    """Expected SDC-critical flips per inference at a BER of 1; times a small BER, the share of inferences that flips turn.

    `network` is the one that was ranked, with the neurons that a recompute unit computes again. The harm of a flip in a
    neuron's accumulator is the neuron's score (of the ranking by `flips` the number of columns whose flip turns the
    decision), shared among columns as the squares of how far they move the output code on average. It counts once for
    every bit x step in which a bit of which there is one copy holds live data, by `weights` of site classes; a bit in three
    copies never fails, nor do buffers and the index memory. Flips of operands reach the neurons that they are passed on to.
    Neither two flips that meet nor what ReLU and pooling mask beyond the ranking's first order are seen: an estimate to order
    designs by, not a measurement.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> net = Network((2,), Fixed.parse("u4.0"), (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s4.0")),))
    >>> from hardpoint.training.ranking import rank
    >>> ranking = rank("flips", net, np.array([[3, 4], [1, 5]]))
    >>> from hardpoint.array import Guard
    >>> guards = Guard(), Guard(4), Guard(0), Guard(0, operand=True, drain=True)
    >>> [round(expected_critical(net, ranking, Array(2, 2, (guard,))), 1) for guard in guards]
    [174.6, 89.9, 88.0, 0.0]
    """
    if not ranking.bits:
        raise InputError("an estimate needs a ranking that says what flips do to the columns of sums")
    table = check_weights(weights)
    rate = np.array([table[site] for site in PE_SITES])[:, None]
    pes, unit = _alone(bit_table(array)[:, :, : array.rows]).mean(axis=1), _alone(unit_bits(array))
    lanes = 1 if array.recompute is None else array.recompute.lanes
    total = 0.0
    rows = zip(ranking.neurons, ranking.bits, ranking.orders(network, array), array.shifts(network), strict=True)
    for i, (scores, effects, order, shift) in enumerate(rows):
        gemm, tiling = network.gemm(i), Tiling.of(network.gemm(i), array)
        harm = _by_column(effects, shift, array.acc_bits)
        step = scores.reshape(-1) / (gemm.k if ranking.provenance.get("exposure", True) else 1)  # of one step's flips
        again = list(network.important[i])
        once = step.copy()
        once[again] = 0
        channels = once.reshape(-1, scores.shape[-1]).sum(axis=0)[order]
        columns = np.bincount(np.arange(len(channels)) % array.cols, channels, array.cols)
        used = min(gemm.m, array.rows)
        reached = np.ones(len(PE_SITES))
        reached[ACT] = 1.0 if gemm.depthwise else (min(gemm.n, array.cols) + 1) / 2
        reached[WGT] = (tiling.pixels + 1) / 2 if tiling.stationary else (used + 1) / 2
        steps = np.full(len(PE_SITES), float(gemm.k))
        steps[DRAIN] = 0.0 if tiling.stationary else array.rows - (used - 1) / 2
        total += float(columns @ (_harms(pes, harm, array) * rate * (steps * reached)[:, None]).sum(axis=0))
        if again:
            steps = np.full(len(PE_SITES), float(-(-gemm.k // lanes)))
            steps[[ACT, WGT]], steps[DRAIN] = gemm.k, 1.0
            total += float(step[again].sum() * (_harms(unit[:, None], harm, array)[:, 0] * rate[:, 0] * steps).sum())
    return total


def _alone(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """How many bits of which there is one copy lie in each of 64 columns: (site, copy, ...) -> (site, ..., 64)."""
    once = bits[: len(PE_SITES), 0] & ~bits[: len(PE_SITES), 2]
    found = _columns(once)
    found[MUL] += _columns(bits[MUL, OVERHANG])
    return found


def _columns(masks: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (masks[..., None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.float64)


def _by_column(effects: NDArray[np.float64], shift: int, bits: int) -> NDArray[np.float64]:
    """How a neuron's harm is shared among columns, which policy `configurable` moves up by `shift`."""
    known = effects[: bits - shift]
    harm = known[:, 0] * known[:, 1] ** 2
    found = np.zeros(64)
    found[shift : shift + len(harm)] = harm / max(float(harm.sum()), 1e-300)
    return found


def _harms(alone: NDArray[np.float64], harm: NDArray[np.float64], array: Array) -> NDArray[np.float64]:
    """Harm per site and array column of flips in all bits that are `alone`: (site, columns, 64) -> (site, columns)."""
    found: Any = alone @ harm
    for site, other in ((ACT, array.pe_wgt_bits), (WGT, array.act_bits)):
        moved = np.zeros(64)
        up = other - REACH
        moved[: 64 - up] = harm[up:]
        found[site] = alone[site] @ moved
    return np.asarray(found)
