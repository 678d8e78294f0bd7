"""The one direction of imports, and imports that stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "hardpoint": {"hardpoint"},
    "training": {"hardpoint", "training"},
    "hls": {"hardpoint", "hls"},
    "host": {"hardpoint", "host"},
    "optimizer": {"hardpoint", "training", "hls", "host", "optimizer"},
}
HOMES = {
    "tensorflow": "training",
    "tf_keras": "training",
    "qkeras": "training",
    "hls4ml": "hls",
    "pyosys": "hls",
    "skopt": "optimizer",
    "pynq": "host",
}
EXEMPT = {
    # the command line is a thin door on top of everything; it imports inside its verbs
    ("hardpoint", "cli"),
    # hls4ml's front end reads Keras models, so the module that owns it prepares Keras
    ("hls", "keras_env"), ("hls", "backend"),
}  # fmt: skip


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def owner(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "hardpoint":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "hardpoint"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        top = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if (package, top) in EXEMPT and package == "hardpoint":
            continue
        for module in imports(path):
            target = owner(module)
            assert target is None or target in MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_one_home(library: str) -> None:
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*.py"):
            top = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
            if package == HOMES[library] or (package, top) in EXEMPT:
                continue
            used = {module for module in imports(path) if module.split(".")[0] == library}
            assert not used, f"{path.relative_to(ROOT)} imports {library}; its home is {HOMES[library]}/"


def test_core_and_host_import_with_heavy_libraries_blocked() -> None:
    code = """
import sys, importlib, pkgutil
for name in ("tensorflow", "tf_keras", "keras", "qkeras", "hls4ml", "numba", "skopt", "scipy", "sklearn", "pyosys", "dask", "matplotlib"):
    sys.modules[name] = None
import hardpoint, hardpoint.host
for package in (hardpoint, hardpoint.host):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if module.name.split(".")[-1] not in ("training", "hls", "optimizer", "__main__"):
            importlib.import_module(module.name)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
