"""The emulator equals the literal array, whatever is struck, and its own clean run where nothing is."""

import pickle
import subprocess
import sys
from pathlib import Path

import cases
import literal
import literal_network
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference import reference, small_network

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, masked
from hardpoint.faults import EFFECTS, FAULT, PE_SITES, PERMANENT, SITES, FaultList
from hardpoint.fixed import Fixed
from hardpoint.host.drawing import draw
from hardpoint.host.emulator import BLOCK, Emulator
from hardpoint.host.permanent import Permanent
from hardpoint.host.program import DEMAND
from hardpoint.layers import Conv, Dense, Layer, MaxPool
from hardpoint.network import Network

FLOWS = ("os", "ws")


def matrix_network(rng: np.random.Generator, array: Array, tiles: int, k: int, signed: bool) -> Network:
    """One convolution whose sums are its outputs and in which all PEs take part, see `literal.stream`."""
    gemm, low = literal.stream(array, tiles, k).gemm, -(1 << array.wgt_bits - 1)
    weight = rng.integers(low, -low, (1, 1, gemm.k, gemm.n))
    layer = Conv(
        "c", "input", weight, np.zeros(gemm.n, int), 0, Fixed(array.acc_bits, 0, True), Fixed(array.wgt_bits, 0, True)
    )
    network = Network((gemm.m, 1, gemm.k), Fixed(array.act_bits, 0, signed), (layer,))
    assume(network.accumulator_bits(layer) <= array.acc_bits)
    return network


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.pc  # minutes where nothing is compiled
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.integers(0, 1 << 32), st.sampled_from([1, 1, 2, 5, 30, 150]), st.sampled_from([0.0, 0.2, 1.0]), st.booleans(), st.booleans())
def test_it_equals_the_literal_array(flow: str, seed: int, count: int, stuck: float, signed: bool, bypassed: bool) -> None:
    rng = np.random.default_rng(seed)
    array = cases.random_array(seed, 4, 4, flow, reduced=True)
    tiles, k = int(rng.integers(1, 4)), int(rng.integers(1, 8))
    network = matrix_network(rng, array, tiles, k, signed)
    faults = literal.random_faults(rng, array, tiles, k, count, stuck)
    ended = (faults["end_tile"] != PERMANENT[2]) | (faults["end_step"] != PERMANENT[3])
    faults["end_image"][ended] = faults["end_layer"][ended] = 0
    bypass = rng.random((array.rows, array.cols)) < 0.3 * bypassed
    fmt = network.input_format
    x = rng.integers(fmt.min, fmt.max + 1, (1, *network.input_shape))
    engine = Emulator(network, array, bypass=bypass)
    found, voted = engine.observe(x, FaultList.of(faults, array, network, 1))
    struck = reference(network, array, x, faults, bypass)
    assert found.tolist() == struck.outputs.tolist()
    if (array.class_map == array.class_map[0]).all():
        assert voted.tolist() == struck.voted
    clean = reference(network, array, x, faults[:0], bypass).outputs
    assert (engine.run(x) == clean).all(), "faults left traces in what is kept"


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.pc  # minutes where nothing is compiled
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32), st.sampled_from([1e-5, 1e-4, 2e-3]), st.sampled_from([17, 24, 32]), st.booleans())
def test_a_whole_network_equals_the_literal_array(flow: str, seed: int, ber: float, acc_bits: int, bypassed: bool) -> None:
    rng = np.random.default_rng(seed)
    network = small_network(rng, depthwise=bool(seed % 2))
    guards = Guard(), Guard(acc_bits - 5, operand=True), Guard(11, kind="rpr"), Guard(9, drain=True)
    rows, cols = (int(i) for i in rng.integers(1, 5, 2))
    some = tuple(guards[i] for i in rng.choice(4, 3, replace=False))
    array = Array(rows, cols, some, tuple(rng.integers(0, 3, cols).tolist()), 7, 6, acc_bits, flow, depth=16)
    bypass = rng.random((rows, cols)) < 0.2 * bypassed
    x = rng.integers(-16, 16, (3, 6, 5, 2))
    faults = draw(array, network, 3, ber, seed).faults
    stuck = np.zeros(2, FAULT)
    stuck["effect"] = rng.integers(1, 3, 2)
    for name, high in (("image", 3), ("layer", 3), ("tile", 2), ("step", 5), ("row", array.rows), ("col", array.cols)):
        stuck[name] = rng.integers(0, high, 2)
    stuck["site"], stuck["bit"] = rng.choice([0, 1, 2, 5], 2), rng.integers(0, 6, 2)
    stuck["end_image"], stuck["end_layer"] = stuck["image"] + rng.integers(0, 2, 2), rng.integers(0, 3, 2)
    faults = np.concatenate([faults, stuck[: rng.integers(0, 3)]])
    engine = Emulator(network, array, batch=2, bypass=bypass)
    found = engine.run(x, FaultList.of(faults, array, network, 3))
    assert found.tolist() == reference(network, array, x, faults, bypass).outputs.tolist()
    flips = faults[faults["effect"] == 0]
    each, _ = engine.observe_each(x, flips[:20])
    for trial, flip in enumerate(flips[:20]):
        image = int(flip["image"])
        alone = engine.run(x[image : image + 1], FaultList.of(flips[trial : trial + 1], array, network, 3), first=image)
        assert (each[trial] == alone).all()


def first_layer_network(rng: np.random.Generator, channels: int, pooling: int) -> Network:
    """A first convolution of 3 x 3, one of one channel as the fused kernel knows it: `pooling` 0 not pooled, 1 by 2 x 2, 2 by
    overlapping windows; where it has more channels, padded and with a stride.
    """
    u8, s8 = Fixed(8, 0, False), Fixed(8, 0, True)
    filters, stride, pad = int(rng.integers(1, 4)), (1, 1), (0, 0, 0, 0)
    if channels > 1:
        stride, pad = tuple(rng.integers(1, 3, 2).tolist()), tuple(rng.integers(0, 2, 4).tolist())
    weight, bias = rng.integers(-128, 128, (3, 3, channels, filters)), rng.integers(-5000, 5000, filters)
    first = Conv("a", "input", weight, bias, rng.integers(3, 9, filters), u8 if rng.integers(2) else s8, s8, stride, pad)
    layers: tuple[Layer, ...] = (first,)
    if pooling:
        size = (2, 2) if pooling == 1 else (2, 3)
        layers += (MaxPool("p", "a", size, (2, 2) if pooling == 1 else (1, 2), (0, 0, 0, 0) if pooling == 1 else (1, 0, 0, 1)),)
    source = u8 if rng.integers(2) else s8
    shape = Network((6, 7, channels), source, layers).shapes[layers[-1].name]
    last = rng.integers(-8, 8, (int(np.prod(shape)), 3))
    return Network((6, 7, channels), source, (*layers, Dense("d", layers[-1].name, last, [0, 1, 2], 4, s8, s8)))


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.pc  # minutes where nothing is compiled
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 1 << 32), st.integers(1, 3), st.integers(0, 2), st.sampled_from([1, 4, 40]), st.sampled_from([0.0, 0.3]),
    st.sampled_from([0, 1 << 30]),
)  # fmt: skip
def test_sums_of_first_layers_are_worked_out_on_demand(
    flow: str, seed: int, channels: int, pooling: int, count: int, stuck: float, keep: int
) -> None:
    """Strikes on everything, buffers included, in layers whose sums no state holds."""
    rng = np.random.default_rng(seed)
    network = first_layer_network(rng, channels, pooling)
    array = Array(2, 3, (Guard(), Guard(12, operand=True)), (0, 1, 0), dataflow=flow, depth=16)
    engine = Emulator(network, array, batch=2, keep=keep)
    assert engine.program.layers[:, DEMAND].tolist() == [1] + [0] * (len(network.layers) - 1)
    assert engine.program.words == sum(int(np.prod(network.shapes[name])) for name in ("input", "d", network.layers[-2].name)) + 3
    fmt = network.input_format
    x = rng.integers(fmt.min, fmt.max + 1, (3, *network.input_shape))
    faults = literal_network.random_faults(rng, array, network, 3, count, stuck)
    expected, _ = literal_network.run(network, array, x, faults)
    for _ in range(2):
        assert engine.run(x, FaultList.of(faults, array, network, 3)).tolist() == expected.tolist()
    assert (engine.run(x) == network(x).reshape(3, -1)).all()
    flips = faults[faults["effect"] == 0][:10]
    each, _ = engine.observe_each(x, flips)
    for flip, outputs in zip(flips, each, strict=True):
        image, alone = int(flip["image"]), np.array([flip], FAULT)
        assert outputs.tolist() == literal_network.run(network, array, x, alone)[0][image].tolist()


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.pc  # minutes where nothing is compiled
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32), st.integers(1, 4))
def test_stuck_bits_that_hold_throughout(flow: str, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    network, array = small_network(rng), Array(3, 4, dataflow=flow, depth=16)
    faults = np.zeros(count, FAULT)
    sites = ("act", "wgt", "mul", "acc", *(("drain",) if flow == "os" else ()))
    faults["site"] = [SITES.index(str(site)) for site in rng.choice(sites, count)]
    rows = np.where(faults["site"] >= SITES.index("mul"), array.site_rows, array.rows)
    faults["row"], faults["col"], faults["effect"] = rng.integers(0, rows), rng.integers(0, 4, count), rng.integers(1, 3, count)
    faults["bit"] = rng.integers(0, np.where(faults["site"] < 2, 8, 24))
    for name, value in zip(("end_image", "end_layer", "end_tile", "end_step"), PERMANENT, strict=True):
        faults[name] = value
    x = rng.integers(-16, 16, (2, 6, 5, 2))
    listed = FaultList.of(faults, array, network, 2)
    engine = Emulator(network, array)
    known = Permanent.of(listed.faults, 0, 2, network, array, engine.program)
    assert known is not None
    assert engine.run(x, listed).tolist() == reference(network, array, x, listed.faults).outputs.tolist()


def test_stationary_bypass_is_a_network_without_those_weights() -> None:
    rng = np.random.default_rng(4)
    network = small_network(rng, depthwise=True)
    array = Array(3, 2, dataflow="ws")
    chip = FaultMap(3, 2, ((1, 0), (2, 1)))
    x = rng.integers(-16, 16, (9, 6, 5, 2))
    assert (Emulator(network, array, bypass=chip.bypass).run(x) == masked(network, chip)(x)).all()


def test_results_do_not_depend_on_batches() -> None:
    rng = np.random.default_rng(5)
    network, array = small_network(rng), Array(3, 2, (Guard(), Guard(9, drain=True)), (0, 1))
    count = BLOCK + 9
    x = rng.integers(-16, 16, (count, 6, 5, 2))
    faults = draw(array, network, count, 1e-3, 1)
    parts = [Emulator(network, array).run(x[i : i + 1], draw(array, network, [i], 1e-3, 1), i) for i in range(count)]
    whole = np.concatenate(parts)
    for batch, keep in ((1, 1 << 30), (7, 1 << 30), (7, 0), (256, 1 << 30), (256, 0)):
        engine = Emulator(network, array, batch, keep)
        assert (engine.run(x, faults) == whole).all()
        assert (engine.run(x, faults) == whole).all()
        for _ in range(2):
            assert engine.run(x[:0], faults).shape == (0, 4)
    engine = pickle.loads(pickle.dumps(engine))
    parts = [engine.run(x[i : i + 6], draw(array, network, range(i, min(i + 6, count)), 1e-3, 1), i) for i in range(0, count, 6)]
    assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("flow", FLOWS)
def test_votes_are_seen(flow: str) -> None:
    rng = np.random.default_rng(6)
    array = Array(2, 2, (Guard(4, operand=True, drain=True),), dataflow=flow)
    network = small_network(rng)
    x = rng.integers(1, 16, (1, 6, 5, 2))
    k, row = network.gemm(0).k, int(flow == "ws")
    step = {"drain": k, "vote": 1}
    for site in PE_SITES:
        if site == "carry" or (site, flow) == ("drain", "ws"):  # exists once, does not exist
            continue
        for copy in range(3):
            fault = np.zeros(1, FAULT)
            fault["site"], fault["copy"], fault["row"] = SITES.index(site), copy, row * (site == "vote")
            fault["bit"] = 3 if site in ("act", "wgt") else 11
            fault["step"] = step.get(site, 0) if flow == "os" else 7 + array.rows
            if site in ("act", "wgt"):
                fault["step"] += 9  # not in the padding
            outputs, voted = Emulator(network, array).observe(x, FaultList.of(fault, array, network, 1))
            assert (outputs == network(x)).all()
            assert voted.tolist() == [True], (site, copy)


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_unguarded_strike_is_no_correction(effect: str) -> None:
    rng = np.random.default_rng(7)
    network, array = small_network(rng), Array(2, 2)
    fault = np.zeros(1, FAULT)
    fault["site"], fault["bit"], fault["effect"] = SITES.index("acc"), 9, EFFECTS.index(effect)
    fault["end_image"] = 1
    x = rng.integers(-16, 16, (1, 6, 5, 2))
    assert not Emulator(network, array).observe(x, FaultList.of(fault, array, network, 1))[1].any()


def test_bad_input_is_named() -> None:
    rng = np.random.default_rng(8)
    network, array = small_network(rng), Array(2, 2)
    x = rng.integers(-16, 16, (2, 6, 5, 2))
    engine = Emulator(network, array)
    other = Array(2, 3)
    with pytest.raises(InputError, match=f"made for array {other.digest}, not for {array.digest}"):
        engine.run(x, draw(other, network, 2, 1e-3, 1))
    with pytest.raises(InputError, match="the fault list is for 1 images, not for 2"):
        engine.run(x, draw(array, network, 1, 1e-3, 1))
    with pytest.raises(InputError, match="input codes must be -16 to 15"):
        engine.run(x * 100)
    with pytest.raises(InputError, match="at least 1 image, not 0"):
        Emulator(network, array, batch=0)
    with pytest.raises(InputError, match="a bypass map is of 2 x 2 PEs"):
        Emulator(network, array, bypass=np.zeros((3, 2), bool))


def test_kernels_run_without_numba() -> None:
    code = """
import sys; sys.modules["numba"] = None
import numpy as np
import test_emulator as t
from hardpoint.host import jit
assert not jit.COMPILED
rng = np.random.default_rng(3)
network = t.small_network(rng, depthwise=True)
x = rng.integers(-16, 16, (2, 6, 5, 2))
bypass = np.array([[0, 0, 1], [0, 0, 0]], bool)
for flow in t.FLOWS:
    array = t.Array(2, 3, (t.Guard(), t.Guard(9, operand=True), t.Guard(10, kind="rpr")), (0, 1, 2), dataflow=flow)
    faults = t.draw(array, network, 2, 3e-4, 1)
    assert len(faults) > 20
    found = t.Emulator(network, array, bypass=bypass).run(x, faults)
    assert (found == t.reference(network, array, x, faults.faults, bypass).outputs).all()
"""
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=300, cwd=here)
