"""Build the wheel, install it into an empty folder, and run tests of every package from there.

The editable install finds sources where they lie; only a wheel shows whether everything that is needed is packed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "test_fixed.py",
    "test_network.py",
    "test_faults.py",
    "test_architecture.py",
    "test_report_page.py",
    "test_cli.py",
)
CHECK = """
import pathlib, sys
import hardpoint, hardpoint.host, hardpoint.hls, hardpoint.training, hardpoint.optimizer
for package in (hardpoint, hardpoint.host, hardpoint.hls, hardpoint.training, hardpoint.optimizer):
    assert pathlib.Path(package.__file__).is_relative_to(sys.argv[1]), package.__file__
root = pathlib.Path(sys.argv[1]) / "hardpoint"
for pattern in ("hls/cpp/*.h", "hls/rtl/*.v", "hls/templates/*.j2", "optimizer/templates/*.j2", "py.typed"):
    assert any(root.glob(pattern)), f"the wheel holds no {pattern}"
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
        ]
        subprocess.run([*build, str(ROOT)], check=True, timeout=300)
        wheel = next(Path(folder).glob("*.whl"))
        site = Path(folder) / "site"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
        subprocess.run(install, check=True, timeout=300)
        env = {**os.environ, "PYTHONPATH": str(site)}
        subprocess.run([sys.executable, "-c", CHECK, str(site)], check=True, cwd=folder, env=env, timeout=60)
        tests = [str(ROOT / "tests" / name) for name in TESTS]
        run = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow",
            "--rootdir",
            str(ROOT),
            *tests,
        ]
        subprocess.run(run, check=True, cwd=folder, env=env, timeout=600)


if __name__ == "__main__":
    main()
