"""Vulnerability measured: single flips of accumulator bits, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import wrap
from hardpoint.layers import Add, Codes, Conv, requantise
from hardpoint.network import Network

__all__ = ["Injections", "inject"]


@dataclass(frozen=True, eq=False)
class Injections:
    """Flips drawn uniformly over images, MACs and accumulator columns, one row each, and whether each was critical.

    `layer`, `neuron` (flat index into the layer's output), `image`, `step` (the product after which the register is
    struck), `column`, `critical`, all of shape (trials,).
    A neuron is struck in proportion to its MACs: that is its exposure.
    """

    layer: NDArray[np.int64]
    neuron: NDArray[np.int64]
    image: NDArray[np.int64]
    step: NDArray[np.int64]
    column: NDArray[np.int64]
    critical: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.layer)

    def vulnerability(self, network: Network) -> tuple[NDArray[np.float64], ...]:
        """Critical flips per neuron of every array layer, with exposure: counts over all trials."""
        return tuple(
            np.bincount(
                self.neuron[(self.layer == i) & self.critical], minlength=int(np.prod(network.shapes[layer.name]))
            ).reshape(network.shapes[layer.name]).astype(np.float64)
            for i, layer in enumerate(network.gemms)
        )  # fmt: skip


def inject(
    network: Network, x: NDArray[Any], trials: int, seed: int = 0, bits: int = 24, batch: int = 256
) -> Injections:
    """Flip one bit of one accumulator of `bits` at one step, `trials` times, and judge the outputs by the criterion.

    Exact: the partial sum at the struck step decides the sign of the change, the sum wraps, and the layers behind are
    computed again. It is one site class (the unguarded accumulator register of an output-stationary array), for judging
    rankings; campaigns on all sites are the host's.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 2, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, x = Network((2,), Fixed.parse("u8.0"), (fc,)), np.arange(40).reshape(20, 2)
    >>> found = inject(net, x, trials=500, seed=1)
    >>> len(found), bool(0 < found.critical.mean() < 1)
    (500, True)
    """
    if trials < 1 or len(x) < 1:
        raise InputError(f"injection needs images and trials, not {len(x)} and {trials}")
    for layer in network.gemms:
        if network.accumulator_bits(layer) > bits:
            raise InputError(
                f"layer {layer.name}: its sums need {network.accumulator_bits(layer)} bits, the accumulator has {bits}"
            )
    rng = np.random.default_rng([seed, 0x1213])
    macs = np.array([network.gemm(i).macs for i in range(len(network.gemms))], np.float64)
    layer = np.sort(rng.choice(len(macs), trials, p=macs / macs.sum()))
    image, column = rng.integers(0, len(x), trials), rng.integers(0, bits, trials)
    outputs = np.array([int(np.prod(network.shapes[g.name])) for g in network.gemms])
    neuron = rng.integers(0, outputs[layer])
    step = rng.integers(0, np.array([network.gemm(i).k for i in range(len(macs))])[layer])
    used = np.unique(image)
    golden = network.trace(x[used])
    position = np.searchsorted(used, image)
    critical = np.zeros(trials, bool)
    for index in range(len(macs)):
        mine = np.flatnonzero(layer == index)
        if not len(mine):
            continue
        before, after = _struck(network, index, golden, position[mine], neuron[mine], step[mine], column[mine], bits)
        changed = mine[before != after]
        code = after[before != after]
        for start in range(0, len(changed), batch):
            part = changed[start : start + batch]
            critical[part] = _critical(
                network, index, golden, position[part], neuron[part], code[start : start + batch]
            )
    return Injections(layer, neuron, image, step, column, critical)


def _struck(
    network: Network,
    index: int,
    golden: dict[str, Codes],
    image: Codes,
    neuron: Codes,
    step: Codes,
    column: Codes,
    bits: int,
) -> tuple[Codes, Codes]:
    """Output codes of the struck neurons, before and after the flip."""
    layer = network.gemms[index]
    m, n = np.divmod(neuron, layer.channels)
    source = golden[layer.input]
    sums = layer.accumulate(source, network.formats[layer.input].magnitude).reshape(len(source), -1, layer.channels)
    total = sums[image, m, n]  # with the bias, which is added behind the array: partial sums have none
    partial = np.empty(len(image), np.int64)
    matrix = layer.matrix()
    for each in np.unique(image):  # patches of one image at a time: im2col of all would not fit
        rows = np.flatnonzero(image == each)
        patches = layer.patches(source[each : each + 1])[0]
        depthwise = isinstance(layer, Conv) and layer.depthwise
        operands = patches[m[rows], :, n[rows]] if depthwise else patches[m[rows]]
        done = np.arange(operands.shape[1])[None] <= step[rows, None]
        partial[rows] = (operands * matrix.T[n[rows]] * done).sum(axis=1)
    change = np.where((partial >> column) & 1, -1, 1) << column
    shift = layer.shift[n]
    before = requantise(total, shift, layer.out, layer.relu)
    return before, requantise(wrap(total + change, bits), shift, layer.out, layer.relu)


def _critical(
    network: Network, index: int, golden: dict[str, Codes], image: Codes, neuron: Codes, code: Codes
) -> NDArray[np.bool_]:
    """Whether replacing one output code of array layer `index` per image fails the criterion."""
    layer = network.gemms[index]
    values = {layer.name: golden[layer.name][image].copy()}
    values[layer.name].reshape(len(image), -1)[np.arange(len(image)), neuron] = code
    last = network.layers[-1].name
    for follower in network.layers:
        if not values.keys() & set(follower.inputs):
            continue
        reads = [values[name] if name in values else golden[name][image] for name in follower.inputs]
        if isinstance(follower, Add):
            values[follower.name] = follower(*reads)
        else:
            values[follower.name] = follower(reads[0], network.formats[follower.inputs[0]].magnitude)
    want = network.ordered(golden[last][image].reshape(len(image), -1))
    return ~network.criterion.holds(want, network.ordered(values[last].reshape(len(image), -1)))
