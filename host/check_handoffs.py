"""Compare what the readers of hand-offs and driver headers say with the expected values of indexed folders.

    python -m hardpoint.host.check_handoffs ../shared/real

Exit code 1 on any difference or file that was not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardpoint.expected import Outcome, View, check_folders, compare
from hardpoint.host.handoff import Handoff, Ip, RegisterHeader, read_handoff, read_header

__all__ = ["check", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each folder's outcome; the exit code is 1 on any difference."""
    return compare("check_handoffs", "hand-offs or driver headers", _view_of, arguments)


def check(folder: Path) -> tuple[Outcome, ...]:
    """The outcome of each folder at or below `folder` that indexes hand-offs or driver headers."""
    return check_folders(folder, _view_of)


def _view_of(item: Mapping[str, Any]) -> View | None:
    if str(item["file"]).endswith(".hwh"):
        return lambda path: _handoff(read_handoff(path))
    if str(item["file"]).endswith("_hw.h"):
        return lambda path: _header(read_header(path))
    return None


def _header(header: RegisterHeader) -> dict[str, Any]:
    macros = {name: value for bundle in header.bundles for name, value in bundle.macros.items()}
    return {
        "addr": {name: value for name, value in macros.items() if "_ADDR_" in name},
        "bits": {name: value for name, value in macros.items() if "_BITS_" in name},
        "comments": [text for bundle in header.bundles for text in _comments(bundle.comments)],
        "tool": header.tool,
        "version": header.version,
        "has_ap_ctrl": header.has_ap_ctrl,
    }


def _comments(comments: tuple[tuple[int, str], ...]) -> list[str]:
    """The comments as the tools print them, with as many digits as the largest offset of the bundle needs."""
    digits = max((len(f"{offset:x}") for offset, _ in comments), default=1)
    return [f"0x{offset:0{digits}x} : {text}" for offset, text in comments]


def _handoff(handoff: Handoff) -> dict[str, Any]:
    device, package, speed = handoff.part.spelling.split("-", 2)
    system = {"ARCH": handoff.architecture, "DEVICE": device, "NAME": handoff.name, "PACKAGE": package}
    system |= {"SPEEDGRADE": f"-{speed}"} | ({} if handoff.board is None else {"BOARD": handoff.board})
    return {
        "systeminfo": system,
        "vivado_version": handoff.vivado,
        "timestamp": handoff.timestamp,
        "n_modules": len(handoff.ips),
        "ip_modules": [{"name": ip.path, "modtype": ip.kind, "vlnv": ip.vlnv} for ip in handoff.ips],
        "axi_dma": [_dma(ip) for ip in handoff.ips if ip.kind == "axi_dma"],
        # the index lists here what HLS tools made and, by its own rule, the IPs of other vendors
        "hls_ip": [_hls(handoff, ip) for ip in handoff.ips if ip.is_hls or not ip.vlnv.startswith("xilinx.com:")],
        "memranges_n": len(handoff.ranges),
        "ps_address_map": [
            {"BASEVALUE": span.base, "HIGHVALUE": span.high, "INSTANCE": span.instance, "MEMTYPE": "REGISTER"}
            for span in handoff.ranges
            if span.is_register
        ],
    }


def _registers(ip: Ip) -> list[dict[str, Any]]:
    return [{"name": register.name, "offset": register.offset, "size": register.bits} for register in ip.registers]


def _dma(ip: Ip) -> dict[str, Any]:
    registers = _registers(ip)
    words = {"name": ip.path, "vlnv": ip.vlnv, "params": ip.parameters}
    return words | {"n_registers": len(registers), "registers": registers}


def _hls(handoff: Handoff, ip: Ip) -> dict[str, Any]:
    span = handoff.address(ip)
    return {
        "name": ip.path,
        "vlnv": ip.vlnv,
        "base": None if span is None else span.base,
        "high": None if span is None else span.high,
        "registers": _registers(ip),
        "buses": [{"name": bus.name, "type": bus.role, "vlnv": bus.kind} for bus in ip.buses],
    }


if __name__ == "__main__":
    raise SystemExit(main())
