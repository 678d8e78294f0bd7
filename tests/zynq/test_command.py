"""The command line on a board: `hardpoint run --device zynq` and a campaign, as they are typed there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import design
import numpy as np
import pytest
from accelerators import codes, plain_network
from board import Board
from contract import ARRAY
from pynq.pl_server.device import Device as PynqDevice

from hardpoint.bitstream import Bitstream, sha256
from hardpoint.cli import main
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.store import Store
from hardpoint.part import Part


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board with a built overlay, a network and test images in the current folder."""
    board: Any = PynqDevice.active_device
    board.insert(EmulatedDevice(ARRAY), "zynquplus")
    monkeypatch.chdir(tmp_path)
    design.write(tmp_path, architecture="zynquplus")
    files = {name: sha256(tmp_path / name) for name in ("overlay.bit", "overlay.hwh")}
    made = Bitstream("overlay", ARRAY, Part.parse("xczu3eg-sbva484-1-i"), 100.0, sources="0", core="hls", files=files)
    made.save("overlay.json")  # the emulator behind the board goes by steps, as the C++ core does
    network = plain_network(np.random.default_rng(0))
    network.save("network.npz")
    x = codes(np.random.default_rng(1), network.input_format, (40, *network.input_shape))
    y = network(x).argmax(axis=1)
    x = x.astype(np.uint8)  # pixels, u8.8
    np.savez("samples.npz", x_train=x, y_train=y, x_test=x[:24], y_test=y[:24])
    return board


def hardpoint(
    *arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["hardpoint", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    out, err = capsys.readouterr()
    return int(exit.value.code or 0), out, err


def test_run(board: Board, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = "run network.npz --device zynq --bitstream overlay.json --data npz=samples.npz --json"
    code, out, err = hardpoint(*words.split(), capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (0, "")
    assert json.loads(out) == {"device": "zynq", "images": 24, "accuracy": 1.0}
    assert board.events[0] == "load"


def test_run_is_compared_with_the_emulator(
    board: Board, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "run network.npz --device zynq --bitstream overlay.json --data npz=samples.npz --ber 1e-4 --check --json"
    code, out, err = hardpoint(*words.split(), capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (0, "")
    value = json.loads(out)
    assert value["check"] == {"equal": 24, "different": 0, "failed": 0, "first": ""}
    assert value["changed"] > 3


def test_strikes_go_by_the_clock_of_the_core_that_was_built(
    board: Board, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of a Verilog core has strikes sent by cycle; what stands behind this board takes them as steps."""
    made = Bitstream.load("overlay.json")
    replace(made, core="rtl").save("overlay.json")
    words = "run network.npz --device zynq --bitstream overlay.json --data npz=samples.npz --ber 1e-4 --check --json"
    code, out, _ = hardpoint(*words.split(), capsys=capsys, monkeypatch=monkeypatch)
    assert code == 1
    assert json.loads(out)["check"]["different"] > 0


def test_campaign_is_stored_and_goes_on(
    board: Board, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "campaign network.npz --device zynq --bitstream overlay.json --data npz=samples.npz --ber 1e-4 --trials 3"
    code, out, _ = hardpoint(*words.split(), "--store", "s.sqlite", "--json", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    first = json.loads(out)
    code, out, _ = hardpoint(*words.split(), "--store", "s.sqlite", "--json", capsys=capsys, monkeypatch=monkeypatch)
    assert json.loads(out) == first
    store = Store("s.sqlite")
    (subject,) = store.campaigns()
    assert len(store.units(subject, repr(1e-4))) == 3
    assert {name for _, name, _ in store.readings(subject)} >= {"clock_mhz"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "device zynq needs a bitstream"),
        (["--bitstream", "none.json"], "cannot read bitstream manifest none.json"),
        (["--bitstream", "overlay.json"], "overlay.bit is not what was built"),
    ],
)
def test_refusals_are_one_line(
    board: Board, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: list[str], message: str
) -> None:
    Path("overlay.bit").write_bytes(b"")
    words = ["run", "network.npz", "--device", "zynq", "--data", "npz=samples.npz"]
    code, _, err = hardpoint(*words, *change, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert board.events == []
