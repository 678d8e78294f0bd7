"""What `ZynqDevice` does to a board: clock, resets, buffers, refusals; on the real pynq."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import board as boards
import design
import numpy as np
import pynq
import pytest
from accelerators import codes, plain_network
from contract import ARRAY
from pynq.pl_server.device import Device as PynqDevice
from pynq.ps import Clocks

from hardpoint.errors import InputError
from hardpoint.host import board as kernel
from hardpoint.host.device import DeviceError, Timeout
from hardpoint.host.driver import Driver
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.zynq import ZynqBuffer, ZynqDevice
from hardpoint.registers import CONTROL, REGISTERS, START, offsets

ZYNQ_7000 = int(pynq.__version__.split(".")[0]) < 4
ARCHITECTURES = ["zynq", "zynquplus"] if ZYNQ_7000 else ["zynquplus"]


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def board(architecture: str) -> boards.Board:
    board = PynqDevice.active_device
    assert isinstance(board, boards.Board)
    board.insert(EmulatedDevice(ARRAY), architecture)
    return board


@pytest.fixture
def bitstream(board: boards.Board, tmp_path: Path, architecture: str) -> Path:
    return design.write(tmp_path, architecture=architecture)


def test_registers_are_where_pynq_sees_them(bitstream: Path) -> None:
    device = ZynqDevice(bitstream)
    block = pynq.Overlay(str(bitstream), download=False)
    found = block.ip_dict[design.BLOCK]["registers"]
    at = offsets()
    for register in REGISTERS:
        name = f"{register.name}_1" if register.kind == "pointer" else register.name
        assert found[name]["address_offset"] == at[register.name]
    device.write(at["images"], 77)
    assert block.hardpoint_top_0.read(at["images"]) == 77
    assert int(block.hardpoint_top_0.register_map.images) == 77


def test_a_driver_runs_a_network(board: boards.Board, bitstream: Path) -> None:
    network = plain_network(np.random.default_rng(1))
    x = codes(np.random.default_rng(2), network.input_format, (20, *network.input_shape))
    device = ZynqDevice(bitstream, clock_mhz=50.0)
    assert np.array_equal(Driver(device, ARRAY, batch=8, timeout_s=5).run(network, x), network(x))
    assert board.events == ["load"]
    assert not board.buffers


@pytest.mark.parametrize("forgotten", ["flush", "invalidate"])
def test_a_forgotten_synchronisation_shows(bitstream: Path, monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    monkeypatch.setattr(ZynqBuffer, forgotten, lambda buffer: None)
    network = plain_network(np.random.default_rng(1))
    x = codes(np.random.default_rng(2), network.input_format, (5, *network.input_shape))
    with pytest.raises(DeviceError):
        Driver(ZynqDevice(bitstream), ARRAY, timeout_s=1).run(network, x)


@pytest.mark.parametrize(("wanted", "most"), [(100.0, 100.0), (76.0, 76.0), (33.4, 33.4), (250.0, 250.0)])
def test_the_clock_is_never_above_what_timing_closed_at(bitstream: Path, wanted: float, most: float) -> None:
    device = ZynqDevice(bitstream, clock_mhz=wanted)
    assert 0.85 * wanted <= device.clock_mhz <= most
    assert device.sensors()["clock_mhz"] == device.clock_mhz == Clocks.fclk0_mhz


def test_without_a_wish_the_clock_is_the_design_s(bitstream: Path) -> None:
    assert ZynqDevice(bitstream).clock_mhz == pytest.approx(100.0, abs=0.01)


def test_a_clock_that_does_not_take_is_refused(
    board: boards.Board, bitstream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "system", Stuck(board.system))
    with pytest.raises(DeviceError, match=r"PL clock 0 was set to 0\.\d+ MHz and reads back as .* MHz"):
        ZynqDevice(bitstream, clock_mhz=0.5)


class Stuck(dict):  # type: ignore[type-arg]
    """System registers in which the clock's second divisor stays 1."""

    def __setitem__(self, key: int, value: int) -> None:
        field = {0xF800_0170: 20, 0xFF5E_00C0: 16}.get(key)
        super().__setitem__(key, value if field is None else value & ~(0x3F << field) | 1 << field)


def test_resets(board: boards.Board, bitstream: Path) -> None:
    device = ZynqDevice(bitstream)
    buffer = device.allocate(100)
    buffer.data[:] = 9
    buffer.flush()
    device.write(offsets()["images"], 5)
    device.reset()
    assert (board.events, device.read(offsets()["images"])) == (["load", "reset"], 0)
    assert board.system[boards.LOCKED] == 1, "the system registers are locked again"
    device.reset(hard=True)
    assert board.events == ["load", "reset", "load"]
    buffer.invalidate()
    assert (buffer.data == 9).all()


def test_a_hang_survives_until_the_reset(board: boards.Board, bitstream: Path) -> None:
    device = ZynqDevice(bitstream)
    device.write(CONTROL, START)  # every pointer is null
    begin = time.monotonic()
    with pytest.raises(Timeout, match=r"no done after 0\.\d+ s \(limit 0\.1 s\): control is 0x0"):
        device.wait(0.1)
    assert time.monotonic() - begin < 1.0
    board.logic.reset = lambda hard=False: None  # a reset line that is not connected
    with pytest.raises(DeviceError, match="not idle after a reset: control is 0x0"):
        device.reset()
    with pytest.raises(DeviceError, match="not idle after a reload"):
        device.reset(hard=True)


def test_a_block_that_went_away_is_named(board: boards.Board, bitstream: Path) -> None:
    device = ZynqDevice(bitstream)
    board.loaded = False
    with pytest.raises(DeviceError, match="no block at its address"):
        device.wait(1.0)
    with pytest.raises(DeviceError, match="not idle"):
        device.reset()


def test_registers_beyond_the_block_are_refused(bitstream: Path) -> None:
    device = ZynqDevice(bitstream)
    for offset in (-4, 2, design.SIZE):
        with pytest.raises(DeviceError, match="multiples of 4 from 0 to 0xfffc"):
            device.read(offset)
    with pytest.raises(DeviceError, match="0 to 0xffffffff, not 0x100000000"):
        device.write(offsets()["images"], 1 << 32)


def test_contiguous_memory_ends(board: boards.Board, bitstream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "contiguous_memory", lambda: (board.free, 128 << 20))
    device = ZynqDevice(bitstream)
    board.free = 1 << 20
    kept = device.allocate(1 << 19)
    with pytest.raises(DeviceError, match=r"no 600,000 bytes of contiguous memory \(524,288 of 134,217,728 are free\)"):
        device.allocate(600_000)
    assert device.sensors()["contiguous_free_bytes"] == 1 << 19
    kept.free()
    kept.free()
    assert len(kept.data) == 0
    device.allocate(600_000)
    device.close()
    assert (board.free, board.buffers) == (1 << 20, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("hardpoint_top_0", "other_0"), "the design has no IP 'hardpoint_top_0'"),
        (('NAME="CTRL"', 'NAME="FOO"'), "has AXI-Lite registers but no AP_CTRL"),
        (('TYPE="SLAVE"', 'TYPE="TARGET"'), "has no AXI-Lite interface"),
        (('MEMTYPE="REGISTER"', 'MEMTYPE="MEMORY"'), "no processor sees the registers"),
    ],
)
def test_a_design_that_cannot_be_driven_is_not_loaded(
    board: boards.Board, bitstream: Path, change: tuple[str, str], message: str
) -> None:
    handoff = bitstream.with_suffix(".hwh")
    handoff.write_text(handoff.read_text().replace(*change))
    with pytest.raises(InputError, match=message):
        ZynqDevice(bitstream)
    assert board.events == []


def test_a_file_that_is_no_bitstream_is_refused(board: boards.Board, bitstream: Path) -> None:
    bitstream.write_bytes(bitstream.read_bytes()[:-3])
    with pytest.raises(DeviceError, match="Invalid length"):
        ZynqDevice(bitstream)
    assert not board.loaded


def test_a_bitstream_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read hand-off .*none\.hwh"):
        ZynqDevice(tmp_path / "none.bit")


@pytest.mark.skipif(ZYNQ_7000, reason="pynq before 4.0 drives Zynq-7000")
def test_pynq_4_has_no_zynq_7000(tmp_path: Path) -> None:
    board: Any = PynqDevice.active_device
    board.insert(EmulatedDevice(ARRAY), "zynq")
    with pytest.raises(DeviceError, match=r"pynq 4\.\d+\.\d+ no longer drives Zynq-7000 .* image 3\.1"):
        ZynqDevice(design.write(tmp_path))
    assert board.events == []
