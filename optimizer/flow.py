"""What the command's verbs do: data in, models, networks, devices, results out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.host.campaign import Engine
from hardpoint.network import Network

__all__ = ["DEVICES", "Samples", "engine_on", "load_data", "samples"]

DEVICES = ("emulator", "csim", "rtl", "zynq")

Task = Callable[[str, int], Callable[[int], None]]
"""task(label, total) gives a function to call with the number of finished pieces."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Test images as codes, with labels."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]


def load_data(text: str, seed: int = 0) -> Any:
    """Data set from `digits` or `NAME=PATH`."""
    from hardpoint.training.data import load

    name, _, path = text.partition("=")
    return load(name, path or None, seed)


def samples(text: str, network: Network, images: int | None) -> Samples:
    """The first `images` test images of a data set, as input codes of `network`."""
    data = load_data(text)
    if data.format != network.input_format:
        raise InputError(f"data set {text} holds codes of {data.format}, the network takes {network.input_format}")
    test = data.test[: images or len(data.test)]
    return Samples(np.asarray(test.x, np.int64), test.y)


def check_device(device: str) -> None:
    """Raise an InputError unless `device` is one of DEVICES."""
    if device not in DEVICES:
        raise InputError(f"a device is {', '.join(DEVICES)}, not {device!r}")


def engine_on(
    device: str, network: Network, array: Array, build: Path = Path("build/devices"), bitstream: Path | None = None
) -> Engine:
    """`network` on `array`, ready to run on a device: emulator, csim (compiled C++), rtl (Verilated Verilog) or zynq."""
    check_device(device)
    array.check(network)
    if bitstream is not None and device != "zynq":
        raise InputError(f"a bitstream runs on device zynq, not on {device}")
    if device == "emulator":
        from hardpoint.host.emulator import Emulator

        return Emulator(network, array)
    if device == "zynq":
        return _on_board(network, bitstream)
    from hardpoint.hls import compile as csim
    from hardpoint.hls import verilate as rtl
    from hardpoint.host.compiled import CompiledDevice
    from hardpoint.host.driver import Driver

    library = csim.build(array, build) if device == "csim" else rtl.build(array, build)
    return Driver(CompiledDevice(library), array).load(network)


def _on_board(network: Network, bitstream: Path | None) -> Engine:
    """`network` on the board that this runs on, checked with random inputs whenever it failed."""
    from hardpoint.host.driver import Driver
    from hardpoint.host.overlay import open_board
    from hardpoint.host.recovery import Surviving

    if bitstream is None:
        raise InputError("device zynq needs a bitstream: name its manifest with --bitstream")
    device, made = open_board(bitstream)
    fmt = network.input_format
    check = np.random.default_rng(0).integers(fmt.min, fmt.max + 1, (4, *network.input_shape))
    evidence = bitstream.with_suffix(".evidence.json")
    driver = Driver(device, made.array, limits=made.limits, timeout_s=30.0, core=made.core)
    return Surviving(driver, network, check, evidence=evidence)


def report_on(source: Path, out: Path) -> str:
    """Write the report of a search's study, a campaign's store or a fleet's table; returns its title."""
    from hardpoint.optimizer.report import write
    from hardpoint.optimizer.stories import story_of

    story = story_of(source)
    write(story, out)
    return story.title
