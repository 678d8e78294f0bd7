"""The report is one page that loads nothing and trusts no name."""

import re

import pytest

from hardpoint.array import Array, Guard
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.optimizer.report import Rate, Story, render


def story(name: str = "found design") -> Story:
    rates = [Rate(d, b, 0.9, 0.92, 0.94, 0.05, 20, 360) for d in ("unprotected", name) for b in (1e-6, 1e-5)]
    settings = Settings.all_columns(14, q_scale=4)
    return Story(
        title=f"Report on {name}",
        asked="What is cheapest?",
        answer=f"{name} is.",
        commands=["hardpoint demo"],
        provenance={"network": name},
        clean_accuracy=0.97,
        operating_ber=1e-5,
        rates=rates,
        costs={"unprotected": Cost("yosys", 100, 50, 0), name: Cost("yosys", 120, None, 0), "full TMR": Cost("yosys", 300, 90, 0)},
        points=[DesignPoint(settings, "faults", True, "holds", Cost("yosys", 120), None, 0.97, 1e-5, (0.95, 0.96, 0.97))],
        gates={f"{name} == Network": 64},
        array=Array.columns_hardened(4, 4, Guard(14), 2),
    )


def test_names_cannot_inject_markup() -> None:
    page = render(story("<script>alert(1)</script>"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_loads_nothing() -> None:
    page = render(story())
    for url in re.findall(r"""(?:src|href)=["']([^"']*)["']""", page):
        assert url.startswith(("#", "data:")), url
    assert "@import" not in page


def test_the_same_story_gives_the_same_page() -> None:
    assert render(story()) == render(story())


def test_unknown_is_written_as_unknown_and_never_as_zero() -> None:
    page = render(story())
    assert "not known" in page


@pytest.mark.parametrize("text", ["10 %", "92.00 %", "90.00 to 94.00 %", "1e-05", "64"])
def test_figures_appear(text: str) -> None:
    assert text in render(story())
