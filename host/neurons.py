"""The convention of software fault injectors: bits of layers' outputs flip, and no hardware is asked where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.draw import check_ber, gaps
from hardpoint.errors import InputError
from hardpoint.layers import Add, Codes
from hardpoint.network import INPUT, Network

__all__ = ["NeuronFaults", "NeuronInjector", "draw_neurons", "output_bits"]

STREAMS = 0xFFFE0000  # in the place of a layer's number in the counter words of `hardpoint.draw`: no layer has it


@dataclass(frozen=True, eq=False)
class NeuronFaults:
    """Flips of output codes of array layers: of neuron `neuron` (flat index) of layer `layer` in image `image`, bit `bit`."""

    image: NDArray[np.int64]
    layer: NDArray[np.int64]
    neuron: NDArray[np.int64]
    bit: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class _Outputs:
    """The bits of an array layer's outputs, enumerated (neuron, bit), as `hardpoint.draw.gaps` takes populations."""

    key: int
    size: int


def widths(network: Network) -> list[tuple[int, int]]:
    """Neurons and bits per code of every array layer's output."""
    return [(int(np.prod(network.shapes[layer.name])), network.formats[layer.name].bits) for layer in network.gemms]


def output_bits(network: Network) -> int:
    """Output bits of all array layers per image.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> output_bits(net)
    16
    """
    return sum(neurons * bits for neurons, bits in widths(network))


def draw_neurons(network: Network, images: int, rate: float, seed: int, trial: int = 0) -> NeuronFaults:
    """Flips at `rate` per output bit, from streams keyed by (seed, image, trial, layer), by geometric gaps."""
    check_ber(rate)
    sizes = widths(network)
    if len(sizes) > 256:
        raise InputError(f"the neuron convention draws for up to 256 array layers, not {len(sizes)}")
    pools: Any = [_Outputs(STREAMS | i, neurons * bits) for i, (neurons, bits) in enumerate(sizes)]
    found = gaps(pools, [rate] * len(pools), np.arange(images), seed, trial) if rate else []
    parts = [
        (image.astype(np.int64), np.full(len(image), i), index.astype(np.int64) // bits, index.astype(np.int64) % bits)
        for i, ((image, index), (_, bits)) in enumerate(zip(found, sizes, strict=False))
    ]
    none = np.zeros(0, np.int64)
    return NeuronFaults(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else NeuronFaults(none, none, none, none)


class NeuronInjector:
    """`network` in integers with flips of its array layers' outputs, after requantisation and ReLU; it has no array.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> flip = NeuronFaults(*(np.array([value]) for value in (0, 0, 1, 7)))
    >>> NeuronInjector(Network((2,), Fixed.parse("u4.0"), (fc,))).run(np.array([[3, 4]]), flip).tolist()
    [[11, -126]]
    """

    array = None

    def __init__(self, network: Network, batch: int = 256) -> None:
        if batch < 1:
            raise InputError(f"a batch holds at least 1 image, not {batch}")
        self.network, self.batch = network, batch

    def run(self, x: Any, faults: NeuronFaults | None = None) -> Codes:
        """Output codes (images, outputs) of codes `x` while `faults` strike."""
        x = self.network.check_input(x)
        parts = [self._batch(x[start : start + self.batch], faults, start) for start in range(0, len(x), self.batch)]
        return np.concatenate(parts) if parts else self.network(x)

    def _batch(self, x: Codes, faults: NeuronFaults | None, first: int) -> Codes:
        network, values, index = self.network, {INPUT: x}, 0
        for layer in network.layers:
            if isinstance(layer, Add):
                result = layer(*(values[name] for name in layer.inputs))
            else:
                result = layer(values[layer.input], network.formats[layer.input].magnitude)
            if index < len(network.gemms) and layer is network.gemms[index]:
                if faults is not None:
                    result = self._struck(result, faults, index, first)
                index += 1
            values[layer.name] = result
        return network.ordered(result.reshape(len(x), -1))

    def _struck(self, codes: Codes, faults: NeuronFaults, index: int, first: int) -> Codes:
        """Output codes of array layer `index` with their flips; two flips of one bit cancel."""
        here = (faults.layer == index) & (faults.image >= first) & (faults.image < first + len(codes))
        if not here.any():
            return codes
        fmt = self.network.formats[self.network.gemms[index].name]
        raw = codes.reshape(len(codes), -1) & ((1 << fmt.bits) - 1)
        np.bitwise_xor.at(raw, (faults.image[here] - first, faults.neuron[here]), np.int64(1) << faults.bit[here])
        return np.where(raw > fmt.max, raw - (1 << fmt.bits), raw).reshape(codes.shape)
