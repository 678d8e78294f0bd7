"""The emulator equals the literal array, whatever is struck, and its own clean run where nothing is."""

import pickle
import subprocess
import sys

import literal
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardpoint.array import Array, Guard, Recompute
from hardpoint.errors import InputError
from hardpoint.faults import EFFECTS, FAULT, PERMANENT, SITES, FaultList
from hardpoint.fixed import Fixed, wrap
from hardpoint.host.drawing import draw
from hardpoint.host.emulator import Emulator
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool, Rescale, requantise
from hardpoint.mapping import Tiling
from hardpoint.network import Network

GUARDS = ("none", "14", "10+operand", "12+drain", "0+operand+drain", "23+operand+drain", "1+drain", "16+operand", "7")


def matrix_network(rng: np.random.Generator, array: Array, tiles: int, k: int, signed: bool) -> Network:
    """One convolution whose sums are its outputs: `tiles` full tiles of `k` steps."""
    low = -(1 << array.wgt_bits - 1)
    weight = rng.integers(low, -low, (1, 1, k, array.cols))
    out = Fixed(array.acc_bits, 0, True)
    layer = Conv("c", "input", weight, np.zeros(array.cols, int), 0, out, Fixed(array.wgt_bits, 0, True))
    return Network((array.rows * tiles, 1, k), Fixed(array.act_bits, 0, signed), (layer,))


def local(faults: np.ndarray, image: int, layer: int) -> np.ndarray:
    """Faults that act in one layer of one image, their times made relative to it."""
    here, kept = (image, layer), []
    for fault in faults.copy():
        start, end = (fault["image"], fault["layer"]), (fault["end_image"], fault["end_layer"])
        if fault["effect"] == 0:
            if start == here:
                kept.append(fault)
            continue
        if here < start or here > end:
            continue
        if here > start:
            fault["tile"] = fault["step"] = 0
        if here < end:
            fault["end_tile"], fault["end_step"] = PERMANENT[2:]
        kept.append(fault)
    return np.array(kept, FAULT)


def reference(network: Network, array: Array, x: np.ndarray, faults: np.ndarray) -> np.ndarray:
    """The whole network with every GEMM on the literal array."""
    outputs = []
    for image in range(len(x)):
        values = {"input": x[image : image + 1].astype(np.int64)}
        for layer in network.layers:
            inputs = [values[name] for name in layer.inputs]
            if not isinstance(layer, (Conv, Dense)):
                extra = () if isinstance(layer, Add) else (network.formats[layer.input].magnitude,)
                values[layer.name] = layer(*inputs, *extra)
                continue
            index = network.gemms.index(layer)
            tiling = Tiling.of(network.gemm(index), array)
            gemm, rows, cols = tiling.gemm, array.rows, array.cols
            a = np.zeros((tiling.tiles_m * rows, gemm.k), np.int64)
            w = np.zeros((gemm.k, tiling.tiles_n * cols), np.int64)
            a[: gemm.m], w[:, : gemm.n] = layer.patches(inputs[0])[0], layer.matrix()
            tiles = [(mt, nt) for mt in range(tiling.tiles_m) for nt in range(tiling.tiles_n)]
            left = np.stack([a[mt * rows : mt * rows + rows].T for mt, _ in tiles])
            right = np.stack([w[:, nt * cols : nt * cols + cols] for _, nt in tiles])
            signed = network.formats[layer.input].signed
            sums = literal.run(array, left, right, signed, local(faults, image, index))
            full = np.zeros((tiling.tiles_m * rows, tiling.tiles_n * cols), np.int64)
            for (mt, nt), tile in zip(tiles, sums, strict=True):
                full[mt * rows : mt * rows + rows, nt * cols : nt * cols + cols] = tile
            acc = wrap(full[: gemm.m, : gemm.n] + layer.bias, array.acc_bits)
            shape = network.shapes[layer.name]
            values[layer.name] = requantise(acc.reshape(1, *shape), layer.shift, layer.out, layer.relu)
        outputs.append(values[network.layers[-1].name].reshape(-1))
    return network.ordered(np.array(outputs))


def small_network(rng: np.random.Generator) -> Network:
    """Every kind of layer, stride, padding and sign, on a 6x5 image."""
    u6, s7, w5 = Fixed(6, 3, False), Fixed(7, 3, True), Fixed(5, 4, True)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-16, 16, shape)

    def bias(n: int) -> np.ndarray:
        return rng.integers(-300, 300, n)

    layers = (
        Conv("a", "input", weight(3, 2, 2, 3), bias(3), rng.integers(0, 5, 3), u6, w5, (1, 1), (1, 1, 0, 1), True),
        MaxPool("b", "a", (2, 2), (1, 2), (0, 1, 1, 0)),
        Conv("c", "b", weight(1, 1, 3, 3), bias(3), 3, s7, w5),
        Rescale("d", "b", 1, s7),
        Add("e", ("c", "d"), (1, 0), 1, s7),
        AvgPool("f", "e", (2, 2), (2, 1), 2, s7),
        Dense("g", "f", weight(3 * 2 * 3, 4), bias(4), 2, Fixed(8, 3, True), w5),
    )
    network = Network((6, 5, 2), Fixed(5, 2, True), layers)
    return network.permuted("g", [2, 0, 3, 1])


def random_array(rng: np.random.Generator, **rest: int) -> Array:
    rows, cols = (int(i) for i in rng.integers(1, 5, 2))
    guards = tuple(Guard.parse(str(text)) for text in rng.choice(GUARDS, 3))
    classes = tuple(tuple(int(i) for i in row) for row in rng.integers(0, 3, (rows, cols)))
    return Array(rows, cols, guards, classes, **rest)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32), st.sampled_from([1, 2, 5, 30, 150]), st.sampled_from([0.0, 0.2, 1.0]), st.booleans())
def test_it_equals_the_literal_array(seed: int, count: int, stuck: float, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    tiles, k = (int(i) for i in rng.integers(1, (4, 7)))
    array = random_array(rng)
    network = matrix_network(rng, array, tiles, k, signed)
    fmt = network.input_format
    x = rng.integers(fmt.min, fmt.max + 1, (1, *network.input_shape))
    faults = literal.random_faults(rng, array, tiles, k, count, stuck)
    ended = (faults["end_tile"] != PERMANENT[2]) | (faults["end_step"] != PERMANENT[3])
    faults["end_image"][ended] = faults["end_layer"][ended] = 0
    a = x.reshape(tiles, array.rows, k).transpose(0, 2, 1)
    w = np.repeat(network.gemms[0].matrix()[None], tiles, 0)
    engine = Emulator(network, array)
    found = engine.run(x, FaultList.of(faults, array, network, 1)).reshape(tiles, array.rows, array.cols)
    assert found.tolist() == literal.run(array, a, w, signed, faults).tolist()
    assert (engine.run(x) == network(x)).all(), "faults left traces in what is kept"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32), st.sampled_from([1e-5, 1e-4, 2e-3]), st.sampled_from([17, 24, 32]))
def test_a_whole_network_equals_the_literal_array(seed: int, ber: float, acc_bits: int) -> None:
    rng = np.random.default_rng(seed)
    network = small_network(rng)
    array = random_array(rng, acc_bits=24)
    if acc_bits != 24:
        array = Array(array.rows, array.cols, (Guard(), Guard(acc_bits - 5, operand=True)), (1,) * array.cols, 7, 6, acc_bits)
    x = rng.integers(-16, 16, (3, 6, 5, 2))
    faults = draw(array, network, 3, ber, seed).faults
    stuck = np.zeros(2, FAULT)
    stuck["effect"] = rng.integers(1, 3, 2)
    for name, high in (("image", 3), ("layer", 3), ("tile", 2), ("step", 5), ("row", array.rows), ("col", array.cols)):
        stuck[name] = rng.integers(0, high, 2)
    stuck["site"], stuck["bit"] = rng.choice([0, 1, 2, 5], 2), rng.integers(0, 6, 2)
    stuck["end_image"], stuck["end_layer"] = stuck["image"] + rng.integers(0, 2, 2), rng.integers(0, 3, 2)
    faults = np.concatenate([faults, stuck[: rng.integers(0, 3)]])
    engine = Emulator(network, array, batch=2)
    found = engine.run(x, FaultList.of(faults, array, network, 3))
    assert found.tolist() == reference(network, array, x, faults).tolist()


def test_results_do_not_depend_on_batches() -> None:
    rng = np.random.default_rng(5)
    network, array = small_network(rng), Array(3, 2, (Guard(), Guard(9, drain=True)), (0, 1))
    x = rng.integers(-16, 16, (20, 6, 5, 2))
    faults = draw(array, network, 20, 1e-3, 1)
    whole = Emulator(network, array).run(x, faults)
    for batch, keep in ((1, 1 << 30), (7, 1 << 30), (7, 0)):
        engine = Emulator(network, array, batch, keep)
        assert (engine.run(x, faults) == whole).all()
        assert (engine.run(x, faults) == whole).all()
    engine = pickle.loads(pickle.dumps(engine))
    parts = [engine.run(x[i : i + 6], draw(array, network, range(i, min(i + 6, 20)), 1e-3, 1), i) for i in range(0, 20, 6)]
    assert (np.concatenate(parts) == whole).all()


def test_votes_are_seen() -> None:
    rng = np.random.default_rng(6)
    array = Array(2, 2, (Guard(10, operand=True, drain=True),))
    network = small_network(rng)
    x = rng.integers(-16, 16, (1, 6, 5, 2))
    step = {"drain": network.gemm(0).k, "vote": 1}
    for site in SITES:
        if site == "carry":  # exists once
            continue
        for copy in range(3):
            bit = 4 if site in ("act", "wgt") else 11
            fault = np.zeros(1, FAULT)
            fault["site"], fault["copy"], fault["bit"], fault["step"] = SITES.index(site), copy, bit, step.get(site, 0)
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
    for wrong in (Array(2, 2, (Guard(12, kind="rpr"),)), Array(2, 2, dataflow="ws"), Array(2, 2, recompute=Recompute(4))):
        with pytest.raises(InputError, match="output-stationary"):
            Emulator(network, wrong)


def test_kernels_run_without_numba() -> None:
    code = """
import sys; sys.modules["numba"] = None
import numpy as np
import test_emulator as t
from hardpoint.host import jit
assert not jit.COMPILED
rng = np.random.default_rng(3)
network = t.small_network(rng)
array = t.Array(2, 3, (t.Guard(), t.Guard(9, operand=True)), (0, 1, 0))
x = rng.integers(-16, 16, (2, 6, 5, 2))
faults = t.draw(array, network, 2, 3e-4, 1)
assert len(faults) > 20
assert (t.Emulator(network, array).run(x, faults) == t.reference(network, array, x, faults.faults)).all()
"""
    from pathlib import Path

    here = Path(__file__).parent
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=300, cwd=here)
