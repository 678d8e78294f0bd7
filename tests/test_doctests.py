"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("hardpoint", "hardpoint.training", "hardpoint.hls", "hardpoint.host", "hardpoint.optimizer")


def modules() -> list[str]:
    found = []
    for name in PACKAGES:
        package = importlib.import_module(name)
        skip = {"__main__"}
        found += [
            m.name for m in pkgutil.walk_packages(package.__path__, name + ".") if m.name.split(".")[-1] not in skip
        ]
    return sorted(set(found))


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0
