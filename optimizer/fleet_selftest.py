"""What `hardpoint selftest` does: a device's self-test, its fault map written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
from hardpoint.host.driver import Driver
from hardpoint.host.selftest import on_driver, self_test
from hardpoint.optimizer.flow import check_device

__all__ = ["selftest_on"]


def selftest_on(
    array: Array, device: str, out: Path, *, planted: Path | None = None, chip: str = "", bitstream: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Test a device built as `array` and write its map to `out`; a table for machines, lines for people.

    The stuck bits of the map in file `planted` are injected meanwhile.
    """
    check_device(device)
    faults = None if planted is None else FaultMap.load(planted)
    if faults is not None and not faults.stuck:
        raise InputError(f"{planted}: no bit is said to be stuck: nothing can be planted")
    driver = _driver(array, device, bitstream)
    found = self_test(driver.array, on_driver(driver, faults), chip or device, f"self-test of {driver.device.name}")
    found.save(out)
    value: dict[str, Any] = {
        "device": driver.device.name,
        "rows": found.rows,
        "cols": found.cols,
        "faulty": [list(pe) for pe in found.faulty],
        "stuck": len(found.stuck),
        "retired_cols": list(found.retired_cols),
    }
    if faults is not None:
        value |= {
            "missed": [list(pe) for pe in sorted(set(faults.faulty) - set(found.faulty))],
            "invented": [list(pe) for pe in sorted(set(found.faulty) - set(faults.faulty))],
        }
    lines = [
        f"{found}; {len(found.stuck)} stuck bits named",
        *([_compared(value)] if faults is not None else []),
        f"{out}: fault map",
    ]
    return value, lines


def _compared(value: dict[str, Any]) -> str:
    return f"of the planted faulty PEs {len(value['missed'])} were missed, {len(value['invented'])} were invented"


def _driver(array: Array, device: str, bitstream: Path | None) -> Driver:
    if device == "zynq":
        from hardpoint.host.overlay import open_board

        if bitstream is None:
            raise InputError("device zynq needs a bitstream: name its manifest with --bitstream")
        board, made = open_board(bitstream)
        return Driver(board, made.array, limits=made.limits, timeout_s=30.0, core=made.core)
    if device == "emulator":
        from hardpoint.host.emulated import EmulatedDevice

        return Driver(EmulatedDevice(array), array)
    from hardpoint.hls import compile as csim
    from hardpoint.hls import verilate as rtl
    from hardpoint.host.compiled import CompiledDevice

    build = Path("build/devices")
    return Driver(CompiledDevice(csim.build(array, build) if device == "csim" else rtl.build(array, build)), array)
