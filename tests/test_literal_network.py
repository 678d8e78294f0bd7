"""Whole networks on the literal array: the recompute unit and buffers do what docs/fault-model.md says."""

import dataclasses

import accelerators
import literal_network
import numpy as np
import pytest

from hardpoint.array import Array, Guard, Recompute
from hardpoint.faults import EFFECTS, FAULT, PERMANENT, SITES, UNIT_ROW, FaultList
from hardpoint.network import Network

RNG = np.random.default_rng(0)
PLAIN, DEPTHWISE = accelerators.plain_network(RNG), accelerators.depthwise_network(RNG)
ARRAYS = {
    "output-stationary": Array(3, 2),
    "weight-stationary": Array(
        3, 4, (Guard(), Guard(12, operand=True), Guard(9, kind="rpr")), (0, 1, 2, 1), dataflow="ws"
    ),
    "recompute": Array(2, 3, (Guard(10),), recompute=Recompute(4, Guard(14, True, True))),
    "recompute, one lane": Array(4, 3, recompute=Recompute(1), dataflow="ws", depth=16, ecc=True),
}


def listed(network: Network) -> Network:
    """`network` with a few important neurons in its first and last layers."""
    return network.with_important([[0, 7, 9], *([()] * (len(network.gemms) - 2)), [0, 2]])


def inputs(network: Network, count: int = 2) -> np.ndarray:
    fmt = network.input_format
    return np.random.default_rng(7).integers(fmt.min, fmt.max + 1, (count, *network.input_shape))


def strike(**record: object) -> np.ndarray:
    fault = np.zeros(1, FAULT)
    for key, value in record.items():
        fault[key] = SITES.index(value) if key == "site" else EFFECTS.index(value) if key == "effect" else value
    return fault


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("network", [PLAIN, DEPTHWISE], ids=["plain", "depthwise"])
def test_without_faults_it_is_the_network(name: str, network: Network) -> None:
    x = inputs(network)
    outputs, due = literal_network.run(listed(network), ARRAYS[name], x)
    assert (outputs == network(x)).all()
    assert not due.any()


@pytest.mark.parametrize("name", ARRAYS)
def test_random_faults_are_live_and_strike(name: str) -> None:
    network, array, rng = listed(PLAIN), ARRAYS[name], np.random.default_rng(3)
    x = inputs(network)
    faults = literal_network.random_faults(rng, array, network, len(x), 120)
    FaultList.of(faults, array, network, len(x))
    kinds = set(faults["site"].tolist())
    assert {SITES.index(site) for site in ("act", "acc", "wbuf", "abuf", "obuf")} <= kinds
    assert (faults["row"] == UNIT_ROW).any() == (array.recompute is not None)
    assert (literal_network.run(network, array, x, faults)[0] != network(x)).any()


def test_recomputed_sums_replace_those_of_the_array() -> None:
    network, array = PLAIN.with_important([range(40), range(3)]), ARRAYS["recompute"]
    x = inputs(network)
    stuck = [strike(row=r, col=1, site="acc", bit=9, effect="stuck1") for r in range(2)]
    faults = np.concatenate(stuck)
    for name, value in zip(("end_image", "end_layer", "end_tile", "end_step"), PERMANENT, strict=True):
        faults[name] = value
    assert (literal_network.run(PLAIN, array, x, faults)[0] != network(x)).any()
    assert (literal_network.run(network, array, x, faults)[0] == network(x)).all()


def test_a_struck_index_names_another_neuron() -> None:
    """Neuron 0 becomes 4: neuron 4 is computed twice, neuron 0 keeps what the array made of it."""
    array = Array(2, 3, recompute=Recompute(5))
    network = PLAIN.with_important([[], [0]])
    x = inputs(network)
    wrong = strike(layer=1, site="acc", bit=23, step=39)  # of neuron 0 in the array
    index = strike(layer=1, row=UNIT_ROW, site="index", bit=1)
    assert (literal_network.run(network, array, x, wrong)[0] == network(x)).all()
    out = literal_network.run(network, array, x, np.concatenate([wrong, index]))[0]
    assert out[0, 0] != network(x)[0, 0]
    assert (out[0, 1:] == network(x)[0, 1:]).all()
    index["bit"] = 23  # beyond the last neuron: nothing is computed
    assert (literal_network.run(network, array, x, np.concatenate([wrong, index]))[0] == out).all()


@pytest.mark.parametrize("copy", range(3))
def test_one_copy_of_a_guarded_unit_changes_nothing(copy: int) -> None:
    network, array = listed(PLAIN), ARRAYS["recompute"]
    x, rng = inputs(network), np.random.default_rng(copy)
    faults = literal_network.random_faults(rng, array, network, len(x), 400)
    faults = faults[(faults["row"] == UNIT_ROW) & (faults["copy"] == copy)]
    operand = faults["site"] <= SITES.index("wgt")
    high = (faults["bit"] >= 14) & ~np.isin(faults["site"], [SITES.index("index"), SITES.index("carry")])
    faults = faults[operand | high]
    assert len(faults) > 10
    assert (literal_network.run(network, array, x, faults)[0] == network(x)).all()


def test_a_struck_buffer_is_a_changed_code() -> None:
    array, x = Array(3, 2), inputs(PLAIN)
    conv, dense = PLAIN.gemms
    weight = conv.weight.copy()
    weight.reshape(-1)[17] ^= 1 << 3
    changed = dataclasses.replace(PLAIN, layers=(dataclasses.replace(conv, weight=weight), dense))
    out = literal_network.run(PLAIN, array, x, strike(image=1, site="wbuf", step=17, bit=3))[0]
    assert (out[0] == PLAIN(x)[0]).all()
    assert (out[1] == changed(x)[1]).all()
    other = x.copy()
    other[0].reshape(-1)[11] ^= 1 << 7
    out = literal_network.run(PLAIN, array, x, strike(site="abuf", step=11, bit=7))[0]
    assert (out == PLAIN(other)).all()
    values = PLAIN.trace(x)["conv"].copy()
    values[0].reshape(-1)[39] ^= 1 << 6
    out = literal_network.run(PLAIN, array, x, strike(site="obuf", step=39, bit=6))[0]
    assert (out == dense(values, 255)).all()
    sign = strike(layer=1, site="obuf", step=2, bit=15)
    assert (literal_network.run(PLAIN, array, x, sign)[0] - PLAIN(x)).tolist() in (
        [[0, 0, s << 15], [0] * 3] for s in (1, -1)
    )


@pytest.mark.parametrize("site", ["wbuf", "abuf", "obuf"])
def test_ecc_corrects_one_struck_bit_of_a_word_and_sees_two(site: str) -> None:
    array, x = Array(3, 2, ecc=True), inputs(PLAIN)
    first, second = strike(layer=1, site=site, step=1, bit=6), strike(layer=1, site=site, step=0, copy=1, bit=2)
    for faults in (first, second):
        outputs, due = literal_network.run(PLAIN, array, x, faults)
        assert (outputs == PLAIN(x)).all()
        assert not due.any()
    outputs, due = literal_network.run(PLAIN, array, x, np.concatenate([first, second]))
    assert due.tolist() == [True, False]
    bare = literal_network.run(PLAIN, dataclasses.replace(array, ecc=False), x, first)[0]
    assert (outputs == bare).all()
    assert (outputs[1] == PLAIN(x)[1]).all()
