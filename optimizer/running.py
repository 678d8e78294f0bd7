"""What `hardpoint run` does: a network on a device, its accuracy, and whether the device computes what the emulator does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.draw import check_ber
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
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
    chip: Path | None = None,
    seed: int = 0,
    check: bool = False,
    bitstream: Path | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Accuracy of `network` on a device, as a table and as lines: under the fault list of a file, one drawn at `ber`, or the
    stuck bits of the fault map in file `chip`.

    With `check` every image is compared with the emulator's; the table's `check` says how many differ.
    """
    check_device(device)
    if sum(given is not None for given in (faults, ber, chip)) > 1:
        raise InputError("faults come from a list, are drawn, or are a chip's: give one of --faults, --ber and --map")
    if ber is not None:
        check_ber(ber)
    test = samples(data, network, images)
    engine = (
        _behind_registers(network, array)
        if check and device == "emulator"
        else engine_on(device, network, array, bitstream=bitstream)
    )
    played = _faults(network, array, len(test.x), faults, ber, seed) if chip is None else _stuck(network, array, len(test.x), chip)
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


def _stuck(network: Network, array: Array, images: int, path: Path) -> FaultList:
    """The stuck bits of a fault map, from the first image to the last."""
    chip = FaultMap.load(path)
    unknown = sorted(set(chip.faulty) - {(bit.row, bit.col) for bit in chip.stuck})
    if unknown:
        raise InputError(f"{path}: PE {unknown[0]} is faulty, but none of its bits is said to be stuck: nothing can be played")
    try:
        return FaultList.of(chip.faults(array), array, network, images, convention="given map")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _behind_registers(network: Network, array: Array) -> Engine:
    """The emulator as a driver sees it: programs, strikes and results go through registers and memory as words."""
    from hardpoint.host.driver import Driver
    from hardpoint.host.emulated import EmulatedDevice

    return Driver(EmulatedDevice(array), array).load(network)
