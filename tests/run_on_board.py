"""Install the wheel as a board does, on Python 3.10 with NumPy 1.26, and run the tests that need nothing more.

    python tests/run_on_board.py VENV WHEELS NUMPY

VENV is an empty virtual environment, WHEELS a folder with the wheel. Which tests run follows from what they import:
all that take only hardpoint, hardpoint.host, NumPy and the test tools.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
TOOLS = {"pytest", "hypothesis"}
ALLOWED = {*sys.stdlib_module_names, *TOOLS, "numpy", "typer", "hardpoint"}
PC_ONLY = {"training", "hls", "optimizer"}
BROUGHT = """
import importlib.metadata as m, importlib.util, sys
from pip._vendor.packaging.requirements import Requirement
seen, todo = set(), ["hardpoint"]
while todo:
    name = todo.pop()
    if name not in seen:
        seen.add(name)
        needed = [Requirement(line) for line in m.requires(name) or []]
        todo += [r.name.lower() for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
print("pip install hardpoint brings", ", ".join(f"{name} {m.version(name)}" for name in sorted(seen - {"hardpoint"})))
heavy = [n for n in ("numba", "tensorflow", "hls4ml", "skopt", "scipy", "sklearn", "pydantic", "dask") if importlib.util.find_spec(n)]
assert not heavy, heavy
assert sys.version_info[:2] == (3, 10) and m.version("numpy") == sys.argv[1], (sys.version, m.version("numpy"))
"""


def imports(path: Path) -> set[str]:
    """Names of all modules that a file imports, helpers beside it included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    for name in list(found):
        helper = TESTS / f"{name.split('.')[0]}.py"
        if helper.exists() and helper != path:
            found |= imports(helper)
    return found


def runs_on_board(path: Path) -> bool:
    """Whether a test file needs nothing beyond what a board has."""
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "hardpoint" and len(parts) > 1 and parts[1] in PC_ONLY:
            return False
        if parts[0] not in ALLOWED and not (TESTS / f"{parts[0]}.py").exists():
            return False
    return True


def main() -> None:
    venv, wheels, numpy = *(Path(argument).resolve() for argument in sys.argv[1:3]), sys.argv[3]
    python = str(venv / "bin" / "python")
    wheel = max(wheels.glob("hardpoint-*.whl"), key=lambda path: path.stat().st_mtime)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pins = [line for line in (ROOT / "requirements-pynq.txt").read_text().splitlines() if not line.startswith("numpy==")]
    constraints = wheels / "constraints.txt"
    constraints.write_text("\n".join([*pins, f"numpy=={numpy}"]))
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(wheel)], check=True, timeout=300)
    pip += ["--constraint", str(constraints)]
    subprocess.run([*pip, str(wheel), f"numpy=={numpy}"], check=True, timeout=600)
    subprocess.run([python, "-c", BROUGHT, numpy], check=True, cwd=wheels, timeout=60)
    subprocess.run([*pip, *sorted(TOOLS)], check=True, timeout=600)
    tests = [str(path) for path in sorted(TESTS.glob("test_*.py")) if runs_on_board(path)]
    print(f"{len(tests)} test files need nothing more: {', '.join(Path(test).stem for test in tests)}")
    others = " or ".join(f"hardpoint.{package}" for package in sorted(PC_ONLY))
    run = [python, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow and not pc", "-k", f"not ({others})"]
    run += ["--rootdir", str(ROOT), "--hypothesis-profile", "board", "--durations", "8", *tests]
    sys.exit(subprocess.run(run, cwd=wheels, timeout=1800).returncode)


if __name__ == "__main__":
    main()
