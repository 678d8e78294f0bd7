"""How often flips turn a decision, to first order: known of a design by its network's ranking before any fault is played."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array, Guard
from hardpoint.beside import unit_bits
from hardpoint.draw import check_weights
from hardpoint.errors import InputError
from hardpoint.faults import OVERHANG, PE_SITES, bit_table
from hardpoint.layers import Gemm
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.ranking import Ranking, channel_sums

__all__ = ["FEWEST", "Expectation", "expected_critical", "severity"]

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
    Neither two flips that meet nor what ReLU and pooling mask beyond the ranking's first order are seen, and small changes of
    many neurons, as struck operands make them, count for too little: an estimate to order designs by, not a measurement.
    Accumulators should be as wide as the ranking's.

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
    return Expectation(network, ranking, weights).critical(array)


class Expectation:
    """`expected_critical` for many arrays: what designs have in common is worked out once."""

    def __init__(self, network: Network, ranking: Ranking, weights: Mapping[str, float] | None = None) -> None:
        if not ranking.bits:
            raise InputError("an estimate needs a ranking that says what flips do to the columns of sums")
        ranking.check(network)
        table = check_weights(weights)
        self._network, self._ranking = network, ranking
        self._rates = np.array([table[site] for site in PE_SITES])
        gemms = [network.gemm(i) for i in range(len(network.gemms))]
        exposed = ranking.provenance.get("exposure", True)
        self._step = [
            scores / (gemm.k if exposed else 1) for scores, gemm in zip(ranking.neurons, gemms, strict=True)
        ]  # harm of the flips of one step, per neuron
        self._again = np.array(
            [step.reshape(-1)[list(listed)].sum() for step, listed in zip(self._step, network.important, strict=True)]
        )
        self._known: dict[Any, NDArray[np.float64]] = {}

    def critical(self, array: Array) -> float:
        """Expected SDC-critical flips per inference on `array` at a BER of 1."""
        flips = np.array([self._flips(array, guard) for guard in array.guards])
        numbers, total = array.per_pe(array.guards.index), 0.0
        for i, columns in enumerate(self._columns(array)):
            used = array.rows if array.dataflow == "ws" else min(self._network.gemm(i).m, array.rows)
            total += float(columns @ flips[numbers[:used], i].mean(axis=0))
        return total if array.recompute is None else total + float(self._again @ self._unit_flips(array))

    def _columns(self, array: Array) -> NDArray[np.float64]:
        """Harm of one step's flips in the neurons of every layer and array column: (layers, columns)."""
        guards = np.unique(array.column_map.mean(axis=0), return_inverse=True)[1]  # only their order matters
        key = ("columns", tuple(guards.tolist()))
        if key not in self._known:
            found = []
            orders = self._ranking.orders(self._network, array)
            for step, listed, order in zip(self._step, self._network.important, orders, strict=True):
                channels = channel_sums(step, listed)[order]
                found.append(np.bincount(np.arange(len(order)) % array.cols, channels, array.cols).astype(np.float64))
            self._known[key] = np.array(found, np.float64)
        return self._known[key]

    def _flips(self, array: Array, guard: Guard) -> NDArray[np.float64]:
        """Flips that count, per layer, in a PE of `array` with `guard`: bits of one copy x steps, by what they harm."""
        key = (guard, _frame(array))
        if key not in self._known:
            alike = dataclasses.replace(array, guards=(guard,), classes=(), recompute=None)
            alone = _alone(bit_table(alike)[:, :, : array.rows, 0]).mean(axis=1)
            self._known[key] = self._harmful(array, alone, lambda gemm: _reached(gemm, array))
        return self._known[key]

    def _unit_flips(self, array: Array) -> NDArray[np.float64]:
        """The same of a neuron in the recompute unit."""
        key = (array.recompute, _frame(array))
        if key not in self._known and array.recompute is not None:
            lanes = array.recompute.lanes
            self._known[key] = self._harmful(array, _alone(unit_bits(array)), lambda gemm: _recomputed(gemm, lanes))
        return self._known[key]

    def _harmful(
        self, array: Array, alone: NDArray[np.float64], steps: Callable[[Gemm], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Per layer, bits that are `alone`, (sites, 64), by what flips in them harm, times `steps` and rates of sites."""
        return np.array(
            [
                (alone * harm).sum(axis=1) @ (self._rates * steps(self._network.gemm(i)))
                for i, harm in enumerate(self._harms(array))
            ]
        )

    def _harms(self, array: Array) -> list[NDArray[np.float64]]:
        """Per layer, the share of a neuron's harm that a flip in each of 64 bits of every site does: (sites, 64)."""
        shifts = array.shifts(self._network)
        return [_by_bit(effects, shift, array) for effects, shift in zip(self._ranking.bits, shifts, strict=True)]


def _reached(gemm: Gemm, array: Array) -> NDArray[np.float64]:
    """Per site, in how many steps one of its bits may hurt a neuron, on average over the neurons of a layer.

    Of one step's operands a neuron has those that its PE takes and those of the PEs that passed them on.
    """
    tiling, reached = Tiling.of(gemm, array), np.full(len(PE_SITES), float(gemm.k))
    reached[ACT] *= np.mean(np.arange(gemm.n) % array.cols) + 1
    if tiling.stationary:  # sums pass all rows, and the accumulators below; weights are loaded through the rows, and stay
        reached[[MUL, CARRY, VOTE, ACC]] = tiling.tiles_k * (array.rows + 1)
        reached[MUL] -= 1
        reached[WGT] *= array.rows + (tiling.pixels + 1) / 2
        reached[DRAIN] = 0
    else:
        row = np.mean(np.arange(gemm.m) % array.rows)
        reached[WGT] *= row + 1
        reached[DRAIN] = array.rows - row
    return reached


def _recomputed(gemm: Gemm, lanes: int) -> NDArray[np.float64]:
    """The same of a neuron in a recompute unit of so many lanes, which passes no operand on."""
    steps = np.full(len(PE_SITES), float(-(-gemm.k // lanes)))
    steps[[ACT, WGT]], steps[DRAIN] = gemm.k, 1.0
    return steps


def _frame(array: Array) -> tuple[Any, ...]:
    """What matters of an array besides its guards."""
    size = (array.rows, array.cols, array.dataflow, array.depth)
    return (*size, array.act_bits, array.wgt_bits, array.acc_bits, array.policy, array.headroom)


def _alone(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """How many bits of which there is one copy lie in each of 64 columns: (site, copy, ...) -> (site, ..., 64)."""
    once = bits[: len(PE_SITES), 0] & ~bits[: len(PE_SITES), 2]
    found = _ones(once)
    found[MUL] += _ones(bits[MUL, OVERHANG])
    return found


def _ones(masks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The 64 bits of every mask."""
    return (masks[..., None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.float64)


def _by_bit(effects: NDArray[np.float64], shift: int, array: Array) -> NDArray[np.float64]:
    """How a neuron's harm is shared among bits; policy `configurable` moves columns up by `shift`."""
    harm = effects[:, 0] * effects[:, 1] ** 2
    kept = harm[: array.acc_bits - shift] / max(float(harm.sum()), 1e-300)
    found = np.zeros((len(PE_SITES), 64))
    found[:, shift : shift + len(kept)] = kept
    for site, other in ((ACT, array.pe_wgt_bits), (WGT, array.act_bits)):
        up = other - REACH
        found[site] = np.concatenate([found[site, up:], np.zeros(up)])
    return found
