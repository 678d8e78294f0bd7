"""The contract of all devices, over `ZynqDevice` on the real pynq and a board that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import design
import pytest
from board import Board
from pynq.pl_server.device import Device as PynqDevice

pytest.register_assert_rewrite("contract")
from contract import ARRAY, DeviceContract, network, x  # noqa: E402, F401 - fixtures

from hardpoint.host.compiled import CompiledDevice  # noqa: E402
from hardpoint.host.device import Device  # noqa: E402
from hardpoint.host.emulated import EmulatedDevice  # noqa: E402
from hardpoint.host.zynq import ZynqDevice  # noqa: E402


@pytest.fixture
def logic(request: pytest.FixtureRequest) -> Any:
    """What is behind the board: the emulator, or a compiled accelerator."""
    return EmulatedDevice(ARRAY) if request.param == "emulator" else CompiledDevice(request.param)


class TestZynq(DeviceContract):
    @pytest.fixture
    def device(self, logic: Any, tmp_path: Path) -> Iterator[Device]:
        board = PynqDevice.active_device
        assert isinstance(board, Board)
        board.insert(logic, "zynquplus")
        device = ZynqDevice(design.write(tmp_path, architecture="zynquplus"))
        yield device
        device.close()
        assert not board.buffers, "closing frees every buffer"
