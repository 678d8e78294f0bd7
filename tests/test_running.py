"""`hardpoint run`: a chip's fault map is played as its stuck bits, on the emulator as a driver sees it, and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit
from hardpoint.faults import FaultList
from hardpoint.host.emulator import Emulator

pytestmark = pytest.mark.pc

ARRAYS = Array(4, 4), Array(4, 4, dataflow="ws", policy="configurable", headroom=2)
CHIP = FaultMap(4, 4, (), (StuckBit(1, 2, "acc", 0, 13, 1), StuckBit(0, 0, "wgt", 0, 6, 0)), chip="A7")


@pytest.fixture
def data(tmp_path: Path) -> str:
    network = small_network()
    x = np.random.default_rng(1).integers(0, 256, (40, *network.input_shape)).astype(np.uint8)
    y = network(x).argmax(axis=1)
    np.savez(tmp_path / "samples.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return f"npz={tmp_path / 'samples.npz'}"


@pytest.mark.parametrize("array", ARRAYS, ids=("os", "ws configurable"))
def test_a_fault_map_is_played_as_its_stuck_bits(tmp_path: Path, data: str, array: Array) -> None:
    from hardpoint.optimizer.flow import samples
    from hardpoint.optimizer.running import run_on

    CHIP.save(tmp_path / "A7.json")
    network = small_network()
    x = samples(data, network, 40).x
    value, lines = run_on(network, array, "emulator", data, 40, chip=tmp_path / "A7.json", check=True)
    faults = FaultList.of(CHIP.faults(array), array, network, 40)
    changed = (Emulator(network, array).run(x, faults) != network(x)).any(axis=1)
    assert changed.any()
    assert (value["faults"], value["changed"], value["failed"]) == (2, int(changed.sum()), 0)
    assert value["check"]["different"] == 0
    assert "of 2 faults" in lines[0]


@pytest.mark.parametrize(
    ("chip", "message"),
    [
        (FaultMap(4, 4, ((3, 1),)), "PE (3, 1) is faulty, but none of its bits is said to be stuck"),
        (FaultMap(8, 8, (), (StuckBit(0, 0, "acc", 0, 1, 1),)), "is of 8 x 8 PEs, the array has 4 x 4"),
        (FaultMap(4, 4, (), (StuckBit(0, 0, "acc", 1, 20, 1),)), "fault 0 strikes no live bit"),
    ],
)
def test_a_map_that_cannot_be_played_is_refused(tmp_path: Path, data: str, chip: FaultMap, message: str) -> None:
    from hardpoint.optimizer.running import run_on

    chip.save(tmp_path / "chip.json")
    with pytest.raises(InputError) as caught:
        run_on(small_network(), Array(4, 4), "emulator", data, 4, chip=tmp_path / "chip.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "chip.json"))


def test_faults_come_from_one_place(tmp_path: Path, data: str) -> None:
    from hardpoint.optimizer.running import run_on

    with pytest.raises(InputError, match="give one of --faults, --ber and --map"):
        run_on(small_network(), Array(4, 4), "emulator", data, 4, chip=tmp_path / "chip.json", ber=1e-6)
