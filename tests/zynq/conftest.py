"""These tests run where pynq is installed: `make test-pynq` makes such places."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("pynq") else ["test_*.py"]
sys.path.insert(0, str(Path(__file__).parents[1]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--csim", help="a compiled accelerator (hardpoint.hls.compile), run behind the board as well")


def pytest_generate_tests(metafunc: Any) -> None:
    """Run what takes `logic` over everything that can stand for the programmable logic."""
    if "logic" in metafunc.fixturenames:
        csim = metafunc.config.getoption("--csim", None)
        metafunc.parametrize(
            "logic", ["emulator", *([csim] if csim else [])], ids=lambda name: Path(name).stem[:8], indirect=True
        )
