"""Small networks and arrays that many tests share."""

import numpy as np
import pytest
from hypothesis import settings
from summary import pytest_terminal_summary  # noqa: F401 - a hook: device -> tests passed

from hardpoint.fixed import Fixed
from hardpoint.layers import Conv, Dense, MaxPool
from hardpoint.network import Network

settings.register_profile("hardpoint", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("board", settings.get_profile("hardpoint"), max_examples=8)  # where nothing is compiled
settings.load_profile("hardpoint")


def small_network(seed: int = 0, size: int = 6, channels: int = 2, filters: int = 5, outputs: int = 4) -> Network:
    """Convolution, pooling, dense; random 8-bit weights; sums fit 24 bits."""
    rng = np.random.default_rng(seed)
    u8, s8 = Fixed.parse("u8.8"), Fixed.parse("s8.7")
    pooled = (size - 2) // 2
    return Network(
        (size, size, channels),
        u8,
        (
            Conv("conv", "input", rng.integers(-128, 128, (3, 3, channels, filters)), rng.integers(-999, 999, filters), 8, u8, s8),
            MaxPool("pool", "conv", (2, 2), (2, 2)),
            Dense("fc", "pool", rng.integers(-128, 128, (pooled * pooled * filters, outputs)), rng.integers(-999, 999, outputs), 9, Fixed.parse("s8.6"), s8),
        ),
    )  # fmt: skip


@pytest.fixture
def network() -> Network:
    return small_network()


@pytest.fixture
def images(network: Network) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (9, *network.input_shape))
