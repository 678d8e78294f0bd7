"""The search proposes nothing twice, goes on after a stop, and finds the optimum of a known problem quickly."""

import numpy as np
import pytest

from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Space
from hardpoint.optimizer.study import Study

SPACE = Space({"x": tuple(range(12)), "y": tuple(range(12)), "z": (False, True)}, lambda p: p["x"] or not p["z"])


def cost(point) -> float:
    x, y, z = point
    return 100.0 + 7 * x + 5 * y + 40 * z


def margin(point) -> float:
    x, y, z = point
    return float(np.tanh((x + 1.5 * y + 9 * z - 14.2) / 10))


def run(search: Search, evaluations: int) -> list:
    asked = []
    for _ in range(evaluations):
        point = search.ask()
        asked.append(point)
        search.tell(point, cost(point), [margin(point)])
    return asked


@pytest.mark.parametrize("known", [True, False])
def test_finds_the_cheapest_feasible_point(known) -> None:
    optimum = min(cost(p) for p in SPACE.points if margin(p) >= 0)
    hits = 0
    for seed in range(5):
        search = Search(SPACE, 1, cost if known else None, initial=6, seed=seed)
        run(search, 30)
        assert search.best is not None
        hits += search.best[1] <= 1.02 * optimum
    assert hits >= 4


def test_never_asks_twice_and_exhausts_the_space() -> None:
    space = Space({"x": (0, 1, 2), "y": (0, 1)})
    search = Search(space, 1, lambda p: 1.0 + p[0] + p[1], initial=2, seed=0)
    asked = [search.ask() for _ in range(2)]
    for point in asked:
        search.tell(point, 1.0 + sum(point), [-1.0])
    while not search.exhausted:
        point = search.ask()
        assert point not in asked
        asked.append(point)
        search.tell(point, 1.0 + sum(point), [point[0] - 1.5])
    assert sorted(asked) == sorted(space.points)
    with pytest.raises(StopIteration):
        search.ask()


def test_told_points_determine_the_next_one() -> None:
    first = Search(SPACE, 1, cost, initial=5, seed=3)
    asked = run(first, 12)
    second = Search(SPACE, 1, cost, initial=5, seed=3)
    for point in asked:
        second.tell(point, cost(point), [margin(point)])
    assert second.ask() == first.ask()


def test_impossible_points_are_never_proposed() -> None:
    search = Search(SPACE, 1, cost, initial=10, seed=1)
    assert all(x or not z for x, _, z in run(search, 25))


def test_narrowing_names_what_is_wrong() -> None:
    assert len(SPACE.narrowed({"x": [3]}).points) == 24
    with pytest.raises(InputError, match="the space has no dimension 'w'; dimensions are x, y, z"):
        SPACE.narrowed({"w": [1]})
    with pytest.raises(InputError, match="dimension y takes 0, 1, 2"):
        SPACE.narrowed({"y": [12]})


def test_a_study_keeps_points_and_refuses_another_problem(tmp_path) -> None:
    study = Study(tmp_path / "s.sqlite", {"seed": 1, "ber": 1e-6})
    point = DesignPoint(Settings.all_columns(14, q_scale=2), "faults", True, "holds", Cost("yosys", 10), 5, 0.97, 1e-6, (0.9, 0.95, 1.0))
    study.append(point)
    assert Study(tmp_path / "s.sqlite").points == [point]
    with pytest.raises(InputError, match="holds a search with ber = 1e-06, not 2e-06"):
        Study(tmp_path / "s.sqlite", {"seed": 1, "ber": 2e-6})
    (tmp_path / "bad.sqlite").write_text("this is no database, but it is long enough to be read as one")
    with pytest.raises(InputError, match="cannot be used as a study"):
        Study(tmp_path / "bad.sqlite", {})
    with pytest.raises(InputError, match="there is no study"):
        Study(tmp_path / "none.sqlite")
