"""Random accelerators, networks and fault lists on which every engine must equal the literal model, bit for bit.

`check` plays them; what differs is shrunk to few faults and said as lines that reproduce it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cases
import literal
import literal_network
import numpy as np

from hardpoint.array import Array, Guard, Recompute
from hardpoint.faults import FAULT, FaultList
from hardpoint.fixed import Fixed
from hardpoint.hls import compile as csim
from hardpoint.hls import verilate
from hardpoint.host.compiled import CompiledCore, CompiledDevice
from hardpoint.host.device import Device
from hardpoint.host.driver import Driver
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.emulator import Emulator
from hardpoint.layers import Add, Conv, Dense
from hardpoint.network import INPUT, Network
from hardpoint.program import Status

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
KINDS = ("none", "columns", "all", "rpr", "mixed")
DATAFLOWS = ("os", "ws")
LISTS = 50

Play = Callable[[Any], Any]
"""Plays fault records; an array of numbers comes back that must equal the literal one."""


@dataclass(frozen=True)
class Case:
    """A random array, its bypass map, and a small network that it can compute, with two images."""

    array: Array
    bypass: Any
    network: Network
    x: Any

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, seed: int) -> Case:
        """Seeds run through guards, then dataflows; odd ones have the configurable policy, every third DSP blocks. All else is random."""
        rng = np.random.default_rng(seed)
        array = random_array(rng, KINDS[seed % 5], DATAFLOWS[seed // 5 % 2], dsp=seed % 3 == 2)
        network = random_network(rng, array)
        if seed % 2:
            array, network = configurable(array, rng), narrowed(network, rng)
        fmt = network.input_format
        bypass = rng.random((array.rows, array.cols)) < rng.choice([0.0, 0.25])
        return cls(array, bypass, network, rng.integers(fmt.min, fmt.max + 1, (2, *network.input_shape)))


def random_array(rng: np.random.Generator, kind: str, dataflow: str, dsp: bool = False) -> Array:
    """An array of up to 3 x 3 PEs with guards of one kind, or of all; `dsp`: its multipliers are DSP blocks where they can."""
    m, n = (int(x) for x in rng.integers(2, 9, 2))
    w = int(rng.integers(max(14, m + n), 33))
    rows, cols = (int(x) for x in rng.integers(1, 4, 2))
    operand, drain = (bool(x) for x in rng.integers(0, 2, 2))
    column = int(rng.choice([1, m, m + n - 1, w - 1, rng.integers(1, w)]))
    reduced = Guard(int(rng.integers(0, w)), kind="rpr")
    guards = {
        "none": (Guard(),),
        "columns": (Guard(column, operand, drain), Guard(int(rng.integers(1, w))), Guard()),
        "all": (Guard(0, operand, drain),),
        "rpr": (reduced,),
        "mixed": (Guard(column, operand, drain), reduced, Guard(0, True, True)),
    }[kind]
    table = rng.integers(0, len(guards), (rows, cols)).tolist()
    classes = tuple(map(tuple, table)) if dataflow == "os" and rng.random() < 0.5 else tuple(table[0])
    unit = Recompute(
        int(rng.integers(1, 6)), [Guard(), Guard(column, operand, drain), Guard(0, True, drain)][rng.integers(3)]
    )
    extra = {"recompute": unit if rng.random() < 0.6 else None, "ecc": bool(rng.random() < 0.3)}
    if dsp and kind != "columns":  # a multiplier in a DSP block cannot be split at a column
        guards = tuple(guard if guard.kind == "rpr" or guard.column in (None, 0) else Guard() for guard in guards)
        extra["dsp"] = True
    return Array(rows, cols, guards, classes, m, n, w, dataflow, depth=16, **extra)


def random_network(rng: np.random.Generator, array: Array) -> Network:
    """About a hundred multiply-accumulates, depthwise ones and a residual addition among them, in codes that fit `array`."""
    m, n = array.act_bits, array.wgt_bits
    bits = int(rng.integers(max(1, m - 1), m + 1))
    act, weights = Fixed(bits, 0, bool(rng.integers(2))), Fixed(n, 0, True)
    first = Fixed(int(rng.integers(2, m + 1)), 0, bool(rng.integers(2)))
    channels, filters = (int(x) for x in rng.integers(1, 5, 2))
    low, shift = -(1 << n - 1), int(rng.integers(0, 4))

    def weight(*shape: int) -> Any:
        size = int(np.prod(shape[:-1]))  # small enough that sums fit the accumulator
        room = max(0, array.acc_bits - 2 - m - size.bit_length())
        return np.clip(rng.integers(low, -low, shape), -(1 << room), 1 << room)

    def bias(count: int) -> Any:
        return rng.integers(-3, 4, count)

    stride = (int(rng.integers(1, 3)), 1)
    out = Fixed(int(rng.integers(8, 25)), 0, True)
    a = Conv("a", INPUT, weight(2, 2, channels, filters), bias(filters), shift, act, weights, stride, (0, 1, 0, 0))
    if rng.random() < 0.5:
        b = Conv(
            "b", "a", weight(2, 1, filters, 1), bias(filters), shift, act, weights, pad=(1, 0, 0, 0), depthwise=True
        )
        layers: tuple[Any, ...] = (a, b, Conv("c", "b", weight(1, 1, filters, 2), bias(2), 0, out, weights))
    else:
        b = Conv("b", "a", weight(1, 1, filters, filters), bias(filters), shift, act, weights, relu=True)
        size = int(np.prod(Network((3, 3, channels), first, (a,)).shapes["a"]))
        layers = (
            a,
            b,
            Add("s", ("a", "b"), (0, 0), 1, act),
            Dense("c", "s", weight(size, 2), bias(2), 0, out, weights),
        )
    network = Network((3, 3, channels), first, layers)
    sizes = [network.gemm(i).m * network.gemm(i).n for i in range(len(network.gemms))]
    return network.with_important([rng.choice(size, int(rng.integers(0, min(size, 4) + 1)), False) for size in sizes])


def configurable(array: Array, rng: np.random.Generator) -> Array:
    """`array` with the configurable policy and as much headroom as its accumulators allow, or less."""
    room = array.acc_bits - array.act_bits - array.wgt_bits
    headroom = int(rng.integers(1, min(7, room) + 1)) if room and rng.random() < 0.7 else 0
    return replace(array, policy="configurable", headroom=headroom)


def narrowed(network: Network, rng: np.random.Generator) -> Network:
    """`network` with weights of fewer bits in some layers."""

    def layer(old: Any) -> Any:
        bits = max(1, old.weight_format.bits - int(rng.integers(0, 4)))
        fmt = Fixed(bits, 0, True)
        return replace(old, weight=np.clip(old.weight, fmt.min, fmt.max), weight_format=fmt)

    names = {x.name for x in network.gemms}
    return replace(network, layers=tuple(layer(x) if x.name in names else x for x in network.layers))


def fault_list(seed: int, number: int) -> Any:
    """Records of the `number`th list for the network of case `seed`."""
    rng, case = np.random.default_rng((seed, number)), Case.of(seed)
    count, stuck = int(rng.choice([1, 3, 10, 40])), float(rng.choice([0.0, 0.3, 1.0]))
    return literal_network.random_faults(rng, case.array, case.network, len(case.x), count, stuck)


def told(case: Case, outputs: Any, due: Any) -> Any:
    """Outputs, and as a last column whether ECC gave up."""
    return np.concatenate([outputs, np.asarray(due, np.int64)[:, None]], axis=1)


def literally(case: Case) -> Play:
    return lambda faults: told(case, *literal_network.run(case.network, case.array, case.x, faults, case.bypass))


def emulated(case: Case) -> Play:
    engine = Emulator(case.network, case.array, bypass=case.bypass)

    def play(faults: Any) -> Any:
        listed = FaultList.of(faults, case.array, case.network, len(case.x))
        outputs, _, *due = engine.observe(case.x, listed)
        return told(case, outputs, due[0] if due else np.zeros(len(outputs)))

    return play


def driven(case: Case, device: Device) -> Play:
    loaded = Driver(device, case.array).load(case.network, case.bypass)

    def play(faults: Any) -> Any:
        played = loaded.play(case.x, FaultList.of(faults, case.array, case.network, len(case.x)))
        bad = played.status & ~int(GIVEN_UP)
        assert not bad.any(), f"the accelerator ended with status {bad.tolist()}"
        return told(case, played.outputs, (played.status & int(GIVEN_UP)) != 0)

    return play


GIVEN_UP = Status.ECC
MEMORY = 1 << 20

NETWORKS: dict[str, Callable[[Case], Play]] = {
    "emulator": emulated,
    "emulated": lambda case: driven(case, EmulatedDevice(case.array, memory_bytes=MEMORY)),
    "cpp": lambda case: driven(case, CompiledDevice(csim.build(case.array, BUILD), MEMORY)),
    "rtl": lambda case: driven(case, CompiledDevice(verilate.build(case.array, BUILD), MEMORY)),
}
"""Engines that run networks; all but the emulator are driven through registers and memory."""

CORES: dict[str, Callable[[Array], Path]] = {
    "cpp": lambda array: csim.build(array, BUILD, shell=False),
    "rtl": lambda array: verilate.build(array, BUILD),
}
"""Engines that run streams of tiles on the array alone."""


@dataclass(frozen=True)
class Stream:
    """Random tiles for the array of a case, and faults in them."""

    tiles: int
    k: int
    signed: bool
    a: Any
    w: Any
    faults: Any
    bypass: Any

    @classmethod
    def of(cls, seed: int, number: int) -> Stream:
        array, rng = Case.of(seed).array, np.random.default_rng((seed, number, 1))
        tiles, k, signed = int(rng.integers(1, 4)), int(rng.integers(1, 7)), bool(rng.integers(2))
        a, w = cases.random_operands(int(rng.integers(1 << 30)), array, tiles, k, signed)
        count, stuck = int(rng.choice([1, 3, 10, 60])), float(rng.choice([0.0, 0.3, 1.0]))
        faults = literal.random_faults(rng, array, tiles, k, count, stuck)
        return cls(tiles, k, signed, a, w, faults, rng.random((array.rows, array.cols)) < rng.choice([0.0, 0.3]))

    def literally(self, array: Array) -> Play:
        return lambda faults: literal.run(array, self.a, self.w, self.signed, faults, self.bypass)

    def on(self, core: CompiledCore, array: Array) -> Play:
        if array.dataflow == "os":
            return lambda faults: core.gemm(self.a, self.w, self.signed, faults, bypass=self.bypass)[0]
        a, w = (x.reshape(-1, *x.shape[2:]) for x in (self.a, self.w))
        return lambda faults: core.gemm(a, w, self.signed, faults, bypass=self.bypass, passes=self.tiles)[0]


def check_network(engine: str, seed: int, lists: int = LISTS, play: Callable[[Case], Play] | None = None) -> None:
    """Raise an AssertionError unless `engine` equals the literal network of case `seed` under its fault lists."""
    case = Case.of(seed)
    tried, truth = (play or NETWORKS[engine])(case), literally(case)
    for number in range(lists):
        faults = fault_list(seed, number)
        if difference(tried, truth, faults):
            failed("network", engine, seed, number, tried, truth, faults)


def check_core(engine: str, seed: int, lists: int = LISTS) -> None:
    """Raise an AssertionError unless `engine` equals the literal array of case `seed` under its fault lists."""
    array = Case.of(seed).array
    core = CompiledCore(CORES[engine](array))
    for number in range(lists):
        stream = Stream.of(seed, number)
        tried, truth = stream.on(core, array), stream.literally(array)
        if difference(tried, truth, stream.faults):
            failed("core", engine, seed, number, tried, truth, stream.faults)


def replay(level: str, engine: str, seed: int, number: int, faults: Any) -> None:
    """Raise an AssertionError that says how `engine` differs under `faults`, if it does: what a report asks for."""
    case, records = Case.of(seed), np.array(faults, FAULT)
    if level == "network":
        tried, truth = NETWORKS[engine](case), literally(case)
    else:
        stream = Stream.of(seed, number)
        tried, truth = stream.on(CompiledCore(CORES[engine](case.array)), case.array), stream.literally(case.array)
    text = difference(tried, truth, records)
    assert not text, text


def difference(tried: Play, truth: Play, faults: Any) -> str:
    """How the two differ under `faults`, "" if they are equal."""
    found, expected = np.asarray(tried(faults)), np.asarray(truth(faults))
    if found.shape != expected.shape:
        return f"results of shape {found.shape}, not {expected.shape}"
    if (found == expected).all():
        return ""
    place = tuple(int(i) for i in np.argwhere(found != expected)[0])
    return f"result {place} is {found[place]}, not {expected[place]}"


def failed(level: str, engine: str, seed: int, number: int, tried: Play, truth: Play, faults: Any) -> None:
    """Raise an AssertionError that holds few faults, and lines that reproduce it."""
    faults = shrunk(faults, lambda records: bool(difference(tried, truth, records)))
    rows = ", ".join(str(tuple(int(x) for x in fault)) for fault in faults)
    raise AssertionError(
        f"{engine} is not the literal {level}: {difference(tried, truth, faults)}\n{Case.of(seed).array}\n"
        'import sys; sys.path.insert(0, "tests")\nimport gates\n'
        f'gates.replay("{level}", "{engine}", {seed}, {number}, [{rows}])'
    )


def shrunk(faults: Any, fails: Callable[[Any], bool]) -> Any:
    """A part of `faults` that still fails and of which no record can be left out."""
    size = max(1, len(faults) // 2)
    while True:
        at = 0
        while at < len(faults):
            rest = np.concatenate([faults[:at], faults[at + size :]])
            if fails(rest):
                faults = rest
            else:
                at += size
        if size == 1:
            return faults
        size //= 2
