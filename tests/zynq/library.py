"""Print the path of the contract's accelerator, compiled from C++; nothing, and why, where it cannot be compiled."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from contract import ARRAY  # noqa: E402

from hardpoint.errors import InputError  # noqa: E402
from hardpoint.hls.compile import build  # noqa: E402

try:
    print(build(ARRAY, ROOT / "build" / "devices"))
except InputError as error:
    print(f"not over the compiled C++: {error}", file=sys.stderr)
