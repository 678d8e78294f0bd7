"""After a run: how many tests of the device contract passed over each device."""

from __future__ import annotations

from collections import Counter
from typing import Any

DEVICES = {
    "TestEmulator": "emulator",
    "TestCsim": "csim",
    "TestRtl": "rtl",
    "TestEngine": "rtl, black box",
    "TestZynq": "zynq",
}
WORDS = {"passed": "passed", "failed": "failed", "error": "in error", "skipped": "skipped"}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line per device that the contract ran over."""
    found: dict[str, Counter[str]] = {}
    for outcome in WORDS:
        for report in terminalreporter.stats.get(outcome, ()):
            parts = report.nodeid.split("::")
            if len(parts) > 2 and "contract" in parts[0] and parts[1] in DEVICES:
                found.setdefault(device_of(parts[1], parts[2]), Counter())[outcome] += 1
    if found:
        terminalreporter.section("device contract")
    for device, counts in found.items():
        tests = ", ".join(f"{counts[outcome]} {word}" for outcome, word in WORDS.items() if counts[outcome])
        terminalreporter.line(f"{device}: {tests}")


def device_of(kind: str, test: str) -> str:
    """The device's name; over a board that is not there, with what stands behind it."""
    names = test.partition("[")[2].rstrip("]").split("-") if kind == "TestZynq" else []
    behind = [name for name in names if name.startswith(("emulator", "csim"))]
    return f"{DEVICES[kind]} over {behind[0]}" if behind else DEVICES[kind]
