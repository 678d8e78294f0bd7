"""The clean run's own kernels compute what the network does, exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardpoint.array import Array
from hardpoint.fixed import Fixed
from hardpoint.host.emulator import Emulator
from hardpoint.host.forward import FEWEST, SMALL, product
from hardpoint.layers import Conv, MaxPool
from hardpoint.network import Network


def pooled(rng: np.random.Generator, height: int, width: int, filters: int, wide: bool, pad: int) -> Network:
    """A convolution of one channel by windows of 3 x 3, pooled by 2 x 2."""
    weight = rng.integers(-128, 128, (3, 3, 1, filters))
    shifts, bias = rng.integers(0, 12, filters), rng.integers(-5000, 5000, filters)
    if wide:
        bias[0] = 1 << 24
    out, source = Fixed(8, 0, bool(rng.integers(2))), Fixed(8, 0, bool(rng.integers(2)))
    conv = Conv("c", "input", weight, bias, shifts, out, Fixed(8, 0, True), (1, 1), (pad,) * 4, bool(rng.integers(2)))
    return Network((height, width, 1), source, (conv, MaxPool("p", "c", (2, 2), (2, 2))))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(4, 12), st.integers(4, 12), st.integers(1, 37), st.booleans(), st.sampled_from([0, 0, 1]))
def test_pooled_convolutions_of_one_channel(seed: int, height: int, width: int, filters: int, wide: bool, pad: int) -> None:
    rng = np.random.default_rng(seed)
    network, array = pooled(rng, height, width, filters, wide, pad), Array(3, 4, acc_bits=32)
    fmt = network.input_format
    x = rng.integers(fmt.min, fmt.max + 1, (int(rng.integers(1, 20)), height, width, 1))
    extreme = rng.random(len(x)) < 0.2
    x[extreme] = rng.choice([fmt.min, fmt.max], x[extreme].shape)
    engine = Emulator(network, array)
    assert engine._forward.types["c"] == ("float64" if wide else "float32")
    if engine._forward.fast:
        assert engine._forward.direct == (set() if pad else {"c"})
    assert (engine.run(x) == network(x).reshape(len(x), -1)).all()


@pytest.mark.parametrize(("inner", "columns"), [(9, 16), (144, 32), (800, 64), (4000, 17)])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_products_in_parts_are_the_product(inner: int, columns: int, extra: int) -> None:
    rng = np.random.default_rng(inner)
    right = rng.integers(-7, 8, (inner, columns))
    at_once = max(SMALL // right.size, FEWEST)
    for rows in {1, at_once + extra, 2 * at_once + extra}:
        left = rng.integers(-255, 256, (rows, inner))
        out = np.full((rows, columns), np.nan, np.float32)
        product(left.astype(np.float32), right.astype(np.float32), out)
        assert (out == left @ right).all()
