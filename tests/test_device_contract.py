"""The contract, over every device of a PC; the one over a board runs where pynq is installed (tests/zynq)."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("contract")
from contract import ARRAY, DeviceContract, network, x  # noqa: E402, F401 - fixtures

from hardpoint.host.compiled import CompiledDevice  # noqa: E402
from hardpoint.host.device import Device  # noqa: E402
from hardpoint.host.emulated import EmulatedDevice  # noqa: E402

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"


class TestEmulator(DeviceContract):
    @pytest.fixture
    def device(self) -> Iterator[Device]:
        device = EmulatedDevice(ARRAY)
        yield device
        device.close()


@pytest.mark.skipif(shutil.which("g++") is None, reason="the C++ core is compiled with g++")
class TestCsim(DeviceContract):
    @pytest.fixture
    def device(self) -> Iterator[Device]:
        pytest.importorskip("hls4ml", reason="the C++ core needs the ap_types that hls4ml brings")
        build = importlib.import_module("hardpoint.hls.compile").build  # not at the top: a board has no hls4ml
        device = CompiledDevice(build(ARRAY, BUILD))
        yield device
        device.close()
