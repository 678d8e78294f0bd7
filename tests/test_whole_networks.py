"""Compiled accelerators on real images: every output of whole networks equals the specification's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardpoint.array import Array, Guard
from hardpoint.fixed import Fixed
from hardpoint.hls import compile as csim
from hardpoint.host.compiled import CompiledDevice
from hardpoint.host.driver import Driver
from hardpoint.layers import Conv, Dense, Layer, MaxPool
from hardpoint.network import Network
from hardpoint.training.data import load

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
REAL = Path(__file__).resolve().parents[2] / "shared/real/datasets"
ARRAYS = {
    "os": Array(8, 8, (Guard(), Guard(14, True, True)), (1, 1, 0, 0, 0, 0, 0, 0)),
    "ws": Array(8, 8, (Guard(), Guard(14, True)), (1, 1, 0, 0, 0, 0, 0, 0), dataflow="ws"),
}


def network_of(shape: tuple[int, int, int], fmt: Fixed, filters: tuple[int, int], hidden: int, pad: int = 0) -> Network:
    """Two convolutions with pooling and two dense layers; weights distributed as trained ones are, shifts to match."""
    rng, s8 = np.random.default_rng(1), Fixed(8, 7, True)
    layers: list[Layer] = []
    size, depth, source = shape[0], shape[2], "input"

    def weights(*axes: int) -> Any:
        return np.clip(np.rint(rng.normal(0, 32, axes)), -128, 127).astype(np.int64)

    for i, count in enumerate(filters):
        bias = rng.integers(-500, 500, count)
        shift = 5 + round(np.log2(9 * depth) / 2)
        layers.append(
            Conv(
                f"c{i}", source, weights(3, 3, depth, count), bias, shift, Fixed(8, 7, False), s8, (1, 1), (pad,) * 4, True
            )
        )
        layers.append(MaxPool(f"p{i}", f"c{i}", (2, 2), (2, 2)))
        size, depth, source = (size - 2 + 2 * pad) // 2, count, f"p{i}"
    inputs = size * size * depth
    shift = 5 + round(np.log2(inputs) / 2)
    layers.append(
        Dense("d0", source, weights(inputs, hidden), rng.integers(-500, 500, hidden), shift, Fixed(8, 7, False), s8, True)
    )
    layers.append(Dense("d1", "d0", weights(hidden, 10), rng.integers(-500, 500, 10), 4, Fixed(16, 8, True), s8))
    return Network(shape, fmt, tuple(layers))


def digits() -> tuple[Network, Any]:
    """A network of scikit-learn's digits, and all test images."""
    data = load("digits")
    return network_of(data.shape, data.format, (8, 16), 32, pad=1), data.test.x.astype(np.int64)


def mnist() -> tuple[Network, Any]:
    """28x28x1, conv 16, pool, conv 32, pool, dense 64, dense 10, and the first 256 test images of MNIST."""
    if not (REAL / "mnist").is_dir():
        pytest.skip(f"no {REAL / 'mnist'}")
    data = load("mnist", REAL / "mnist")
    return network_of(data.shape, data.format, (16, 32), 64), data.test.x[:256].astype(np.int64)


def equal(device: CompiledDevice, array: Array, network: Network, x: Any) -> bool:
    expected = network(x)
    assert len(np.unique(expected.argmax(axis=1))) > 2, "outputs that hardly depend on the image show little"
    return np.array_equal(Driver(device, array).run(network, x), expected)


@pytest.mark.parametrize("dataflow", ARRAYS)
def test_c_plus_plus_equals_the_network_on_all_test_digits(dataflow: str) -> None:
    array, (network, x) = ARRAYS[dataflow], digits()
    assert len(x) == 359
    assert equal(CompiledDevice(csim.build(array, BUILD)), array, network, x)


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", ARRAYS)
def test_c_plus_plus_equals_the_network_on_mnist(dataflow: str) -> None:
    array, (network, x) = ARRAYS[dataflow], mnist()
    assert len(x) == 256
    assert equal(CompiledDevice(csim.build(array, BUILD)), array, network, x)


@pytest.mark.slow
@pytest.mark.parametrize("data", [digits, mnist])
@pytest.mark.parametrize("dataflow", ARRAYS)
def test_verilated_verilog_equals_the_network(dataflow: str, data: Any) -> None:
    verilate = pytest.importorskip("hardpoint.hls.verilate")
    array, (network, x) = ARRAYS[dataflow], data()
    assert equal(CompiledDevice(verilate.build(array, BUILD)), array, network, x[:32])
