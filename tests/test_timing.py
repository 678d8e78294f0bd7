"""Cycles of networks: those of the schedule, layer by layer, and a bandwidth model beside them."""

import accelerators
import numpy as np
import pytest

from hardpoint.array import Array, Recompute
from hardpoint.hls import schedule
from hardpoint.hls.timing import timing

NETWORK = accelerators.plain_network(np.random.default_rng(0))


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_cycles_are_those_of_the_schedule(dataflow):
    array = Array(4, 4, dataflow=dataflow)
    found = timing(NETWORK, array)
    assert [one.name for one in found.layers] == [layer.name for layer in NETWORK.gemms]
    for index, one in enumerate(found.layers):
        gemm = NETWORK.gemm(index)
        cols, deep = -(-gemm.n // 4), -(-gemm.k // 4)
        tiles, k = (-(-gemm.m // 4) * cols, gemm.k) if dataflow == "os" else (cols * deep, gemm.m)
        assert gemm.m <= array.depth
        assert one.array == schedule.cycles(array, tiles, k)
        assert one.unit == 0
        assert one.transfer * 8 >= gemm.k * gemm.n  # every weight once
    assert found.least < found.serial == sum(one.array + one.transfer for one in found.layers)


def test_the_recompute_unit_runs_beside_the_array():
    array = Array(4, 4, recompute=Recompute(4))
    network = NETWORK.with_important([[0, 1, 3], *[[] for _ in NETWORK.gemms[1:]]])
    found = timing(network, array)
    assert found.layers[0].unit == schedule.unit_cycles(array, 3, -(-network.gemm(0).k // 4))
    assert [one.unit for one in found.layers[1:]] == [0] * (len(network.gemms) - 1)


def test_numbers_and_text_agree():
    found = timing(NETWORK, Array(2, 2, period_ns=8.0))
    assert found.images_per_second == pytest.approx(1e9 / (8.0 * found.least))
    assert found.value()["cycles_least"] == found.least
    text = "\n".join(found.lines())
    assert f"{found.serial:,} cycles per image at 8.0 ns" in text
    assert "bandwidth model" in text
