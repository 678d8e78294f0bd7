"""Gates 2 and 3: the same fault list gives the same bits in the literal model, the emulator, C++ and the Verilated RTL.

Configurations are random over guards, dataflows, widths, recompute units, bypass maps, ECC and every site (`gates.Case`).
"""

from __future__ import annotations

from typing import Any

import gates
import numpy as np
import pytest

from hardpoint.array import Array
from hardpoint.faults import SITES

FEW, MANY = 40, 600
"""Configurations of `make test`, and of `make check-all`."""

FEW_RTL, MANY_RTL = 12, 150
"""Those of them that run in the Verilated RTL."""


@pytest.mark.parametrize("seed", range(FEW))
def test_the_emulator_is_the_literal_network(seed: int) -> None:
    gates.check_network("emulator", seed)


@pytest.mark.parametrize("seed", range(FEW_RTL))
def test_the_emulated_device_is_the_literal_network(seed: int) -> None:
    """What a driver writes as words is decoded to the same network and the same faults."""
    gates.check_network("emulated", seed)


@pytest.mark.parametrize("seed", range(FEW))
def test_the_cpp_core_is_the_literal_array(seed: int) -> None:
    gates.check_core("cpp", seed)


@pytest.mark.parametrize("seed", range(FEW_RTL))
def test_the_rtl_is_the_literal_array(seed: int) -> None:
    gates.check_core("rtl", seed)


@pytest.mark.parametrize("seed", range(FEW_RTL))
@pytest.mark.parametrize("engine", ["cpp", "rtl"])
def test_accelerators_are_the_literal_network(engine: str, seed: int) -> None:
    gates.check_network(engine, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, MANY))
def test_many_configurations_in_the_emulator_and_in_cpp(seed: int) -> None:
    gates.check_network("emulator", seed)
    gates.check_core("cpp", seed)
    gates.check_network("cpp", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW_RTL, MANY_RTL))
def test_many_configurations_in_rtl(seed: int) -> None:
    gates.check_core("rtl", seed)
    gates.check_network("rtl", seed)


def in_blocks(arrays: list[Array]) -> set[str]:
    """Guards of those arrays whose multipliers are DSP blocks."""
    guards = [guard for array in arrays if array.dsp for guard in array.guards]
    return {"rpr" if guard.kind == "rpr" else str(guard).partition("+")[0] for guard in guards}


def test_the_configurations_cover_what_they_should() -> None:
    few = [gates.Case.of(seed) for seed in range(FEW)]
    for dataflow in gates.DATAFLOWS:
        arrays = [case.array for case in few if case.array.dataflow == dataflow]
        guards = [guard for array in arrays for guard in array.guards]
        assert {guard.kind for guard in guards} == {"columns", "rpr"}
        assert {None, 0} < {guard.column for guard in guards}
        assert any(guard.operand for guard in guards)
        assert any(guard.drain for guard in guards)
        assert {array.recompute is None for array in arrays} == {True, False}
        assert {array.ecc for array in arrays} == {True, False}
        assert {"none", "0", "rpr"} <= in_blocks(arrays)
        assert any(case.bypass.any() for case in few if case.array.dataflow == dataflow)
        assert any(case.network.gemm(1).depthwise for case in few if case.array.dataflow == dataflow)
        assert {bool(array.headroom) for array in arrays if array.policy == "configurable"} == {True, False}
        moved = [case.array.shifts(case.network) for case in few if case.array.dataflow == dataflow]
        assert sum(len(set(shifts)) > 1 for shifts in moved) >= 5, "layers of one network are moved by different bits"
    assert {"none", "0", "rpr"} <= in_blocks([case.array for case in few[:FEW_RTL]])
    lists = np.concatenate([gates.fault_list(seed, number) for seed in range(10) for number in range(gates.LISTS)])
    assert set(lists["site"].tolist()) == set(range(len(SITES)))
    assert set(lists["effect"].tolist()) == {0, 1, 2}
    for case in few[:10]:
        assert (gates.literally(case)(lists[:0])[:, :-1] == case.network(case.x)).all() or case.bypass.any()


def test_a_difference_is_said_in_lines_that_reproduce_it() -> None:
    """An emulator that forgets the high bits of accumulators is found, with one fault to show it."""

    def forgetful(case: gates.Case) -> gates.Play:
        right = gates.emulated(case)
        lost = SITES.index("acc")
        return lambda faults: right(faults[~((faults["site"] == lost) & (faults["bit"] > 8))])

    with pytest.raises(AssertionError) as caught:
        gates.check_network("emulator", 0, play=forgetful)
    report = str(caught.value).splitlines()
    assert report[0].startswith("emulator is not the literal network: result (")
    assert report[2:4] == ['import sys; sys.path.insert(0, "tests")', "import gates"]
    assert report[4].startswith('gates.replay("network", "emulator", 0, ')
    assert report[4].count("(") == 2, "one fault is enough to show it"
    names: dict[str, Any] = {"gates": gates}
    exec("\n".join(report[4:]), names)  # the emulator itself is right
    faults = gates.fault_list(0, int(report[4].split(", ")[3]))
    assert len(gates.shrunk(faults, lambda records: len(records) >= 2)) == min(2, len(faults))
