"""What Linux says about the board it runs on: temperatures, power, contiguous memory, and what overlays need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["contiguous_memory", "missing", "sensors"]


def sensors(sys: Path = Path("/sys")) -> dict[str, float]:
    """Every temperature (degrees Celsius, `..._c`) and power (watts, `..._w`) that the kernel's iio and hwmon show.

    A PYNQ-Z2 has one temperature, that of the die, and no power rail; Ultra96-V2, ZCU104 and KV260 have both. What
    cannot be read is left out. Conversions: sysfs-bus-iio ((raw + offset) * scale, in thousandths) and hwmon's sysfs
    interface (thousandths of a degree, millionths of a watt).
    """
    return dict([*_iio(sys / "bus/iio/devices"), *_hwmon(sys / "class/hwmon")])


def _iio(folder: Path) -> Iterator[tuple[str, float]]:
    for raw in sorted(folder.glob("iio:device*/in_temp*_raw")):
        stem = raw.name.removesuffix("_raw")
        value, scale = _number(raw), _number(raw.with_name(f"{stem}_scale"))
        offset = _number(raw.with_name(f"{stem}_offset"))
        if value is not None and scale is not None:
            chip, name = _text(raw.with_name("name")), stem.removeprefix("in_")
            yield f"{chip or raw.parent.name}_{name}_c", (value + (offset or 0.0)) * scale / 1000.0


def _hwmon(folder: Path) -> Iterator[tuple[str, float]]:
    for pattern, unit, parts in (("temp*_input", "c", 1e3), ("power*_input", "w", 1e6)):
        for path in sorted(folder.glob(f"hwmon*/{pattern}")):
            value = _number(path)
            if value is not None:
                stem = path.name.removesuffix("_input")
                name = _text(path.with_name(f"{stem}_label")) or stem
                chip = _text(path.with_name("name")) or path.parent.name
                yield f"{chip}_{name}_{unit}".replace(" ", "_").lower(), value / parts


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def contiguous_memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int] | None:
    """Bytes of physically contiguous memory (CMA) that are free, and in all; None where the kernel has none.

    Buffers that the accelerator reads come from there: 128 MB of a PYNQ-Z2's 512 MB, unless its boot arguments say
    otherwise.
    """
    lines = dict(line.split(":", 1) for line in _text(meminfo).splitlines() if ":" in line)
    try:
        free, total = (int(lines[key].split()[0]) * 1024 for key in ("CmaFree", "CmaTotal"))
    except (KeyError, ValueError, IndexError):
        return None
    return (free, total) if total else None


def missing() -> list[str]:
    """What loading an overlay needs and this process does not have, each with what to do about it."""
    wanted = (
        (os.geteuid() == 0, "root, for /dev/mem and the FPGA manager: run it after `sudo -i`"),
        (Path("/sys/class/fpga_manager/fpga0").exists(), "an FPGA manager: /sys/class/fpga_manager/fpga0 is not there"),
        (
            shutil.which("xclbinutil") is not None,
            "XRT's xclbinutil on PATH: run `source /etc/profile.d/xrt_setup.sh` first",
        ),
    )
    return [what for there, what in wanted if not there]
