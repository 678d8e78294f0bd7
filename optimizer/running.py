"""What `hardpoint run` does: a network on a device, its accuracy, and whether the device computes what the emulator does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.draw import check_ber
from hardpoint.errors import InputError
from hardpoint.faults import FaultList
from hardpoint.host.campaign import Engine, seen
from hardpoint.host.drawing import draw
from hardpoint.host.equality import Equality, compare
from hardpoint.network import Network
from hardpoint.optimizer.flow import check_device, engine_on, samples

__all__ = ["run_on"]


def run_on(
    network: Network,
    array: Array,
    device: str,
    data: str,
    images: int | None,
    *,
    faults: Path | None = None,
    ber: float | None = None,
    seed: int = 0,
    check: bool = False,
    bitstream: Path | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Accuracy of `network` on a device, under the fault list of a file or one drawn at `ber`, as a table and as lines.

    With `check` every image is compared with the emulator's; the table's `check` says how many differ.
    """
    check_device(device)
    if faults is not None and ber is not None:
        raise InputError("faults come from a list or are drawn: give --faults or --ber, not both")
    if ber is not None:
        check_ber(ber)
    test = samples(data, network, images)
    engine = (
        _behind_registers(network, array)
        if check and device == "emulator"
        else engine_on(device, network, array, bitstream=bitstream)
    )
    played = _faults(network, array, len(test.x), faults, ber, seed)
    value: dict[str, Any] = {"device": device, "images": len(test.x)}
    golden = engine.run(test.x)
    found: Equality | None = None
    failed = np.zeros(len(test.x), bool)
    if check:
        found, outputs, failed = compare(engine, test.x, played)
    elif played is not None:
        outputs, _, failed = seen(engine, test.x, played)
    else:
        outputs = golden
    value["accuracy"] = float(((outputs.argmax(axis=1) == test.y) & ~failed).mean())
    lines = [f"{len(test.x)} images on {device}: accuracy {value['accuracy']:.4f}"]
    if played is not None:
        changed = int((outputs != golden).any(axis=1)[~failed].sum())
        value |= {"faults": len(played), "changed": changed, "failed": int(failed.sum())}
        lines[0] += f"; of {len(played)} faults {changed} images changed, {value['failed']} failed"
    if found is not None:
        value["check"] = found.table()
        lines += found.lines()
    return value, lines


def _faults(
    network: Network, array: Array, images: int, path: Path | None, ber: float | None, seed: int
) -> FaultList | None:
    """The faults to play, checked against network and array."""
    if ber is not None:
        return draw(array, network, images, ber, seed, 0)
    if path is None:
        return None
    played = FaultList.load(path)
    played.check(array, network)
    if played.images < images:
        raise InputError(f"{path} is for {played.images} images, not for {images}; give --images {played.images}")
    return played


def _behind_registers(network: Network, array: Array) -> Engine:
    """The emulator as a driver sees it: programs, strikes and results go through registers and memory as words."""
    from hardpoint.host.driver import Driver
    from hardpoint.host.emulated import EmulatedDevice

    return Driver(EmulatedDevice(array), array).load(network)
