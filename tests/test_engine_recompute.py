"""The Verilated recompute unit equals the literal one, whatever strikes it, in as many cycles as its closed form says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import literal
import numpy as np
import pytest

from hardpoint import injection
from hardpoint.array import Array, Guard, Recompute
from hardpoint.faults import PERMANENT, SITES, decode, live, streams
from hardpoint.fixed import Fixed
from hardpoint.hls import compile as csim
from hardpoint.hls import schedule, verilate
from hardpoint.host.compiled import CompiledUnit
from hardpoint.layers import Dense
from hardpoint.network import INPUT, Network

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
UNITS = {
    "none": Array(2, 2, recompute=Recompute(3)),
    "B=12, operands, result": Array(2, 2, recompute=Recompute(8, Guard(12, True, True))),
    "full TMR": Array(1, 1, act_bits=5, wgt_bits=4, acc_bits=12, recompute=Recompute(1, Guard(0, True))),
    "B=20": Array(1, 1, (Guard(14),), recompute=Recompute(5, Guard(20, drain=True))),
    "B=8": Array(1, 1, recompute=Recompute(4, Guard(8))),
}
ENGINES = {"rtl": {}, "engine": {"engine": True}, "stalling engine": {"engine": True, "stalls": True}}


def network(rng: np.random.Generator, array: Array, steps: int, signed: bool) -> Network:
    """A dense layer whose neurons take the unit `steps` steps, all of them listed."""
    assert array.recompute is not None
    n, lanes = int(rng.integers(1, 5)), array.recompute.lanes
    k = int(rng.integers((steps - 1) * lanes + 1, steps * lanes + 1))
    half = 1 << (array.wgt_bits - 1)
    weights, bias = rng.integers(-half, half, (k, n)), np.zeros(n, np.int64)
    a, w = Fixed(array.act_bits, 0, signed), Fixed(array.wgt_bits, 0, True)
    dense = Dense("dense", INPUT, weights, bias, np.zeros(n, np.int64), Fixed(array.acc_bits, 0, True), w)
    return Network((k,), a, (dense,)).with_important([range(n)])


def struck(rng: np.random.Generator, array: Array, net: Network, count: int) -> Any:
    """Up to `count` records of the unit's sites, a third of them stuck."""
    pools = [s for s in streams(array, net, 0) if s.unit and SITES[s.site] != "index"]
    found = []
    for _ in range(count):
        stream = pools[int(rng.integers(len(pools)))]
        found.append(decode(stream, rng.integers(0, stream.size, 1).astype(np.uint64), array))
    records = np.concatenate(found)
    records["effect"] = np.where(rng.random(len(records)) < 0.3, rng.integers(1, 3, len(records)), 0)
    records["end_image"], records["end_layer"], records["end_tile"], records["end_step"] = PERMANENT
    short = rng.random(len(records)) < 0.6
    records["end_image"][short], records["end_layer"][short] = 0, 0
    records["end_tile"][short] = records["tile"][short] + rng.integers(0, 2, short.sum())
    records["end_step"][short] = rng.integers(0, 4, short.sum())
    return records[live(records, array, net)]  # lanes beyond K hold nothing


def operands(array: Array, net: Network, x: Any) -> tuple[Any, Any]:
    """What the unit multiplies: (neurons, steps, lanes) of activations and weights."""
    assert array.recompute is not None
    lanes, w = array.recompute.lanes, net.gemms[0].matrix()
    k, n = w.shape
    padding = -k % lanes
    a = np.tile(np.pad(x.reshape(-1), (0, padding)), (n, 1)).reshape(n, -1, lanes)
    return a, np.pad(w, ((0, padding), (0, 0))).T.reshape(n, -1, lanes)


def words(strikes: injection.Strikes, faults: Any) -> Any:
    """The unit's list of the strike buffer."""
    buffer = strikes.words(faults, 0, 1)
    start = 1 + 1 + 2 * int(buffer[1])  # behind the block's length and the array's list
    return buffer[start + 1 : start + 1 + 2 * int(buffer[start])].reshape(-1, 2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", UNITS)
def test_equals_the_literal_unit_under_any_faults(name: str, engine: str) -> None:
    array, options = UNITS[name], ENGINES[engine]
    unit = CompiledUnit(verilate.build(array, BUILD, shell=False, **options))
    reference = CompiledUnit(csim.build(array, BUILD, shell=False))
    rng, hit, seen = np.random.default_rng(7), 0, 0
    for trial in range(120):
        steps, signed = int(rng.integers(1, 5)), bool(rng.integers(2))
        net = network(rng, array, steps, signed)
        fmt = net.input_format
        x = rng.integers(fmt.min, fmt.max + 1, (1, net.input_shape[0]))
        a, w = operands(array, net, x)
        faults = struck(rng, array, net, trial % 20 + 1)[: None if trial % 10 else 0]
        sums, cycles, votes = unit.dot(a, w, signed, words(injection.Strikes(array, net, bool(options)), faults))
        clean, gemm = x @ net.gemms[0].matrix(), net.gemm(0)
        expected = literal.recompute(array, gemm, x, net.gemms[0].matrix(), signed, net.important[0], clean, faults)
        assert np.array_equal(sums, expected[0]), faults
        assert cycles == schedule.unit_cycles(array, len(sums), steps)
        assert votes == reference.dot(a, w, signed, words(injection.Strikes(array, net), faults))[2]
        hit, seen = hit + bool((expected != clean).any()), seen + votes
    assert hit > 20
    assert (seen > 0) == (array.unit_column < array.acc_bits)
