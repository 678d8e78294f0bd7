"""The emulator's recompute unit and buffers equal their plain model, together with strikes on the array."""

import literal_network
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import reference, small_network

from hardpoint.array import Array, Guard, Recompute
from hardpoint.faults import FAULT, SITES, FaultList
from hardpoint.host.emulator import Emulator
from hardpoint.network import Network

UNIT_GUARDS = ("none", "10", "8+operand+drain", "0+operand", "12+drain")


def important(rng: np.random.Generator, network: Network, most: int = 12) -> Network:
    """The same with a few important neurons in every layer."""
    gemms = [network.gemm(i) for i in range(len(network.gemms))]
    sizes = [rng.integers(0, min(most, gemm.m * gemm.n)) for gemm in gemms]
    return network.with_important(
        [rng.choice(gemm.m * gemm.n, size, replace=False).tolist() for gemm, size in zip(gemms, sizes, strict=True)]
    )


def random_list(rng: np.random.Generator, array: Array, network: Network, count: int, stuck: float) -> FaultList:
    """Strikes on PEs, the recompute unit and buffers of two images."""
    faults = literal_network.random_faults(rng, array, network, 2, 4 * count, stuck)
    if count < 10:
        faults = faults[rng.choice(len(faults), min(count, len(faults)), replace=False)]
    return FaultList.of(faults, array, network, 2)


@pytest.mark.parametrize("flow", ["os", "ws"])
@pytest.mark.pc  # minutes where nothing is compiled
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 1 << 32), st.sampled_from([1, 1, 2, 5, 30]), st.sampled_from([0.0, 0.3]), st.sampled_from(UNIT_GUARDS),
    st.sampled_from([17, 24, 32]), st.booleans(),
)  # fmt: skip
def test_unit_and_buffers_equal_their_model(
    flow: str, seed: int, count: int, stuck: float, guard: str, acc_bits: int, bypassed: bool
) -> None:
    rng = np.random.default_rng(seed)
    network = important(rng, small_network(rng, depthwise=bool(seed % 2)))
    guards = Guard(), Guard(acc_bits - 5, operand=True), Guard(11, kind="rpr"), Guard(9, drain=True)
    rows, cols = (int(i) for i in rng.integers(1, 5, 2))
    some = tuple(guards[i] for i in rng.choice(4, 3, replace=False))
    unit = Recompute(int(rng.choice([1, 3, 4, 8])), Guard.parse(guard))
    classes = tuple(rng.integers(0, 3, cols).tolist())
    array = Array(rows, cols, some, classes, 7, 6, acc_bits, flow, recompute=unit, depth=16, ecc=bool(seed // 2 % 2))
    bypass = rng.random((rows, cols)) < 0.3 * bypassed
    x = rng.integers(-16, 16, (2, 6, 5, 2))
    faults = random_list(rng, array, network, count, stuck)
    engine = Emulator(network, array, bypass=bypass)
    found, voted, *due = engine.observe(x, faults)
    struck = reference(network, array, x, faults.faults, bypass)
    assert found.tolist() == struck.outputs.tolist()
    assert [list(part) for part in due] == [struck.due] * array.ecc
    buffered = (faults.faults["site"] >= SITES.index("wbuf")).any() and array.ecc
    assert stuck > 0 or buffered or voted.tolist() == struck.voted
    clean = reference(network, array, x, faults.faults[:0], bypass).outputs
    assert (engine.run(x) == clean).all(), "faults left traces"


@pytest.mark.parametrize(("flips", "seen"), [(1, (True, False)), (2, (True, True))])
def test_ecc_corrects_one_flip_of_a_word_and_detects_two(flips: int, seen: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(9)
    network, array = small_network(rng), Array(2, 2, ecc=True)
    x = rng.integers(-16, 16, (2, 6, 5, 2))
    for site, bits in (("wbuf", 5), ("abuf", 5), ("obuf", 6)):
        faults = np.zeros(flips, FAULT)
        faults["image"], faults["site"], faults["step"] = 1, SITES.index(site), rng.integers(0, 8)
        faults["bit"] = rng.choice(bits, flips, replace=False)
        outputs, voted, due = Emulator(network, array).observe(x, FaultList.of(faults, array, network, 2))
        assert (voted.tolist(), due.tolist()) == ([False, seen[0]], [False, seen[1]])
        assert (outputs[0] == network(x)[0]).all()
        assert (flips > 1 or (outputs == network(x)).all())
        each = Emulator(network, array).observe_each(x, faults)
        assert (each[0] == network(x)[1]).all()
        assert each[1].all()


def test_a_unit_changes_nothing_without_faults_and_repairs_what_it_computes() -> None:
    rng = np.random.default_rng(2)
    network = small_network(rng)
    everything = network.with_important([range(network.gemm(i).m * network.gemm(i).n) for i in range(3)])
    array = Array(3, 2, recompute=Recompute(4))
    x = rng.integers(-16, 16, (4, 6, 5, 2))
    engine = Emulator(everything, array)
    assert (engine.run(x) == network(x)).all()
    faults = np.zeros(40, FAULT)
    faults["site"], faults["bit"] = SITES.index("acc"), 15
    faults["image"], faults["tile"], faults["step"] = rng.integers(0, (4, 6, 12), (40, 3)).T
    assert (engine.run(x, FaultList.of(faults, array, everything, 4)) == network(x)).all()
    bare = Array(3, 2)
    assert (Emulator(network, bare).run(x, FaultList.of(faults, bare, network, 4)) != network(x)).any()


def test_a_struck_index_names_another_neuron() -> None:
    rng = np.random.default_rng(3)
    network = small_network(rng).with_important([[4, 5], [], []])
    array = Array(2, 2, recompute=Recompute(2))
    x = rng.integers(-16, 16, (1, 6, 5, 2))
    faults = np.zeros(2, FAULT)
    faults["row"], faults["site"], faults["bit"], faults["tile"] = 254, SITES.index("index"), (0, 3), (0, 1)
    assert (Emulator(network, array).run(x, FaultList.of(faults, array, network, 1)) == network(x)).all()
    struck = np.concatenate([faults, np.zeros(1, FAULT)])
    struck["site"][2], struck["bit"][2], struck["row"][2], struck["step"][2] = SITES.index("acc"), 9, 254, 5
    found = Emulator(network, array).run(x, FaultList.of(struck, array, network, 1))
    assert (found == reference(network, array, x, struck).outputs).all()


def test_a_struck_index_beyond_the_last_neuron_writes_nothing_but_its_votes_count() -> None:
    rng = np.random.default_rng(4)
    network = small_network(rng).with_important([[4, 5], [], []])
    array = Array(2, 2, recompute=Recompute(2, Guard(8, True)))
    x = rng.integers(-16, 16, (1, 6, 5, 2))
    faults = np.zeros(2, FAULT)
    faults["row"], faults["site"], faults["bit"] = 254, (SITES.index("index"), SITES.index("acc")), (20, 9)
    faults["copy"][1] = 1
    for some, disagreed in ((faults[:1], False), (faults, True)):
        outputs, voted = Emulator(network, array).observe(x, FaultList.of(some, array, network, 1))
        seen = reference(network, array, x, some)
        assert voted.tolist() == seen.voted == [disagreed]
        assert outputs.tolist() == seen.outputs.tolist()
