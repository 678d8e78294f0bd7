"""The shipped tables say enough to judge a search by, and the search finds the optimum of a slice within its budget."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from hardpoint.errors import InputError
from hardpoint.files import load_npz, save_npz
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Space

pytestmark = pytest.mark.pc

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import search as bench  # noqa: E402 - benchmarks are scripts, not a package
import search_table  # noqa: E402


@pytest.mark.parametrize("name", list(search_table.SPACES))
def test_a_shipped_table_meets_the_requirements(name) -> None:
    story = bench.Table(name).story()
    assert story["points"] >= 2000
    assert 0 < story["feasible"] <= story["points"] / 5
    assert 1 <= len(story["within_2_percent"]) <= 5


@pytest.mark.parametrize("name", list(search_table.SPACES))
def test_the_estimate_orders_the_designs_of_a_network_as_campaigns_do(name) -> None:
    """Rank correlation of estimated and measured loss; constrained networks lose too little for a higher one."""
    _, arrays = load_npz(search_table.table_file(name), "search table")
    _, _, clean, accuracy, _, turned = arrays["values"].T
    q_scale = np.array([point[0] for point in search_table.SPACES[name].space.points])
    found = [spearmanr((clean - accuracy)[q_scale == q], turned[q_scale == q]).statistic for q in np.unique(q_scale)]
    assert found[0] > 0.95, found
    assert min(found) > 0.8, found


def test_a_table_that_says_too_little_is_refused(monkeypatch) -> None:
    monkeypatch.setitem(bench.CONSTRAINTS, "digits", bench.Constraints(0.5, 2.0))
    with pytest.raises(InputError, match="at most a fifth feasible"):
        bench.Table("digits")


def test_a_table_of_another_space_is_refused(tmp_path) -> None:
    about, arrays = load_npz(search_table.table_file("digits"), "search table")
    save_npz(tmp_path / "short.npz", about, {"values": arrays["values"][:-1]})
    with pytest.raises(InputError, match="must hold 3096 points"):
        bench.Table("digits", tmp_path / "short.npz")
    save_npz(tmp_path / "other.npz", {**about, "dimensions": {"x": [1]}}, arrays)
    with pytest.raises(InputError, match="no table of space digits"):
        bench.Table("digits", tmp_path / "other.npz")


def test_costs_are_those_of_the_designs(monkeypatch) -> None:
    """Every point's LUTs, worked out again as --costs does for a few of them."""
    table, asked = bench.Table("digits"), search_table.SPACES["digits"]
    for point in table.space.points[:: len(table.space.points) // 5]:
        assert table.costs[point] == search_table.array_cost(asked.settings(*point).array()).lut


def test_the_search_finds_the_optimum_of_a_slice() -> None:
    table = bench.Table("digits")
    space = Space(table.space.dimensions | {"rows": (8,), "q_scale": (0,)}, table.space.possible)
    optimum = min(table.costs[p] for p in space.points if min(table.margins[p]) >= 0)
    search = Search(space, 2, table.costs.__getitem__, seed=0, guides=(table.severities.__getitem__, None))
    for _ in range(bench.EVALUATIONS // 2):
        table.tell(search, search.ask())
    assert search.best is not None
    assert search.best[1] <= bench.NEAR * optimum


def test_verdict() -> None:
    found = {"bayesian": [10] * 9 + [None], "penalty": [30] * 10, "latin hypercube": [500] * 10, "random": [400] * 10}
    said = bench.verdict(found)
    assert (said["found_within_40"], said["of_penalty"], said["of_random"]) == (9, 1 / 3, 1 / 40)
    assert said["medians"]["bayesian"] == 10
