"""The configurable policy: layers of one network use different windows of guarded columns, and these protect as documented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import literal
import numpy as np
import pytest
from accelerators import mixed_network

from hardpoint.array import Array, Guard, Recompute
from hardpoint.errors import InputError
from hardpoint.faults import FAULT, SITES, live_pes
from hardpoint.fixed import Fixed
from hardpoint.layers import Conv, Dense
from hardpoint.mapping import Tiling
from hardpoint.network import Network

CONFIGURABLE = Array(3, 2, (Guard(16),), policy="configurable", headroom=5)


def network() -> Network:
    """A convolution whose sums need 21 bits and a dense layer whose sums need 16, for accumulators of 24."""
    rng = np.random.default_rng(5)
    u8, s8 = Fixed.parse("u8.8"), Fixed.parse("s8.7")
    weight = rng.integers(-64, 64, (3, 3, 7, 2))
    few = rng.integers(-40, 41, (4, 3))
    return Network(
        (4, 3, 7), u8, (Conv("conv", "input", weight, [900, -900], 9, u8, s8), Dense("fc", "conv", few, [7, 7, -7], 4, s8, s8))
    )


def test_layers_of_one_network_have_different_windows() -> None:
    net = network()
    assert [net.accumulator_bits(layer) for layer in net.gemms] == [21, 16]
    assert CONFIGURABLE.shifts(net) == (3, 5)
    assert replace(CONFIGURABLE, policy="direct", headroom=0).shifts(net) == (0, 0)


@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_window_protects_and_what_is_below_it_counts_for_little(dataflow: str, layer: int) -> None:
    """Every single flip of a copy above the guard column is corrected; any other changes the sum by less than 2**(B_l + cw)."""
    array, net = replace(CONFIGURABLE, dataflow=dataflow), network()
    d, cw = array.shifts(net)[layer], array.carry_bits(array.guards[0])
    own = 16 - d  # B_l, in columns of the layer's own sums
    clean = sums(array, net, layer)
    assert (clean == sums(replace(array, policy="direct", headroom=0), net, layer)).all()
    biggest = 0.0
    places = [(site, 0, bit) for site in ("mul", "acc") for bit in range(16)]
    places += [(site, copy, bit) for site in ("mul", "vote", "acc") for copy in range(3) for bit in range(16, 24)]
    for site, copy, bit in places:
        off = np.abs(sums(array, net, layer, flip(array, net, layer, site, copy, bit)) - clean).max()
        assert off == 0 if bit >= 16 else off < 2 ** (own + cw), (site, copy, bit)
        biggest = max(biggest, off)
    for bit in range(16, 16 + cw):
        off = np.abs(sums(array, net, layer, flip(array, net, layer, "carry", 0, bit)) - clean).max()
        assert off < 2 ** (own + cw)
    assert biggest > 2 ** (own - 2), "columns just below the window were struck, and matter"


def test_the_direct_policy_leaves_those_columns_open() -> None:
    """Column 13 of the first layer's sums lies in its window with the configurable policy, and below it with the direct one."""
    net, direct = network(), replace(CONFIGURABLE, policy="direct", headroom=0)
    for array, column, changes in ((CONFIGURABLE, 13 + 3, False), (direct, 13, True)):
        struck = sums(array, net, 0, flip(array, net, 0, "acc", 0, column))
        assert (struck != sums(array, net, 0)).any() == changes


def flip(array: Array, net: Network, layer: int, site: str, copy: int, bit: int) -> Any:
    """A flip in a PE that is used, in its last step of the first sum."""
    gemm, fault = net.gemm(layer), np.zeros(1, FAULT)
    stays = array.dataflow == "ws"
    step, row = (array.rows, 1) if stays else (gemm.k - 1, min(1, gemm.m - 1))
    for name, value in {"step": step, "row": row, "col": 1, "site": SITES.index(site), "copy": copy, "bit": bit}.items():
        fault[name] = value
    assert live_pes(fault, array, [Tiling.of(gemm, array)]).all()
    return fault


def sums(array: Array, net: Network, layer: int, faults: Any = None) -> Any:
    """The layer's sums in its own units, as the literal array makes them."""
    item, d = net.gemms[layer], array.shifts(net)[layer]
    x = np.random.default_rng(9).integers(0, 256, (1, *net.input_shape))
    a, tiling = item.patches(net.trace(x)[item.input])[0], Tiling.of(net.gemm(layer), array)
    return literal.layer(array, tiling, a, item.matrix() << d, net.formats[item.input].signed, faults) / 2.0**d


def test_deployed_networks_compute_the_same() -> None:
    net = mixed_network(np.random.default_rng(2))
    x = np.random.default_rng(3).integers(net.input_format.min, net.input_format.max + 1, (5, *net.input_shape))
    array = Array(4, 4, acc_bits=26, policy="configurable", headroom=4, recompute=Recompute(2))
    moved = array.deployed(net.with_important([[1], [0], [2]]))
    assert any(array.shifts(net))
    assert (moved(x) == net(x)).all()
    assert moved.important == ((1,), (0,), (2,))
    for old, new, d in zip(net.gemms, moved.gemms, array.shifts(net), strict=True):
        assert (new.matrix() == old.matrix() << d).all()
        assert new.weight_format.bits == old.weight_format.bits + d <= array.pe_wgt_bits
        assert moved.accumulator_bits(new) <= array.acc_bits
    assert Array(4, 4, acc_bits=26).deployed(net) is net


def test_narrow_weights_need_no_headroom() -> None:
    net = network()
    narrow = replace(net.gemms[1], weight=net.gemms[1].weight >> 4, weight_format=Fixed.parse("s4.3"))
    array = Array(3, 2, policy="configurable")
    assert array.shifts(replace(net, layers=(net.layers[0], narrow))) == (0, 4)
    assert array.pe_wgt_bits == 8


def test_arrays_with_the_direct_policy_keep_their_names(tmp_path: Path) -> None:
    array = Array(2, 2)
    assert {"policy", "headroom"}.isdisjoint(array.table())
    array.save(tmp_path / "direct.json")
    CONFIGURABLE.save(tmp_path / "configurable.json")
    assert Array.load(tmp_path / "direct.json") == array
    assert Array.load(tmp_path / "configurable.json") == CONFIGURABLE
    assert CONFIGURABLE.digest != replace(CONFIGURABLE, headroom=4).digest != array.digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"headroom": 3}, "headroom serves the configurable policy: with policy direct it must be 0, not 3"),
        ({"policy": "configurable", "headroom": 8}, "headroom above weights, in bits, must be 0 to 7, not 8"),
        ({"policy": "moving"}, "the guard policy is direct or configurable, not 'moving'"),
        (
            {"policy": "configurable", "headroom": 3, "acc_bits": 18},
            "accumulator bits must be at least 19, the width of a product, not 18",
        ),
    ],
)
def test_bad_policies_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Array(2, 2, **fields)
    assert str(caught.value) == message
