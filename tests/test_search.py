"""The search proposes nothing twice, goes on after a stop, and finds the optimum of a known problem quickly."""

from itertools import pairwise

import numpy as np
import pytest

from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.space import Condition, Empty, Space
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


def test_a_guide_makes_it_quicker() -> None:
    """On a rough space, where values of a dimension are not ordered, and harm is known to a tenth."""
    space, rng = Space({name: tuple(range(6)) for name in "abcd"}), np.random.default_rng(4)
    effects, price = rng.random((4, 6)), rng.random((4, 6))
    harm = {point: float(effects[range(4), point].sum()) for point in space.points}
    told = {point: (value + 0.1 * rng.standard_normal()) / 4 for point, value in harm.items()}
    costs = {point: 1 + float(price[range(4), point].sum()) for point in space.points}
    optimum = min(costs[point] for point in space.points if harm[point] <= 1)

    def needed(guide, seed: int) -> int:
        search = Search(space, 1, costs.__getitem__, seed=seed, guides=[guide])
        while (search.best is None or search.best[1] > 1.02 * optimum) and len(search.told) < 60:
            point = search.ask()
            search.tell(point, costs[point], [1 - harm[point]])
        return len(search.told)

    with_guide, without = (sum(needed(guide, seed) for seed in range(4)) for guide in (told.__getitem__, None))
    assert with_guide < 0.8 * without


def test_a_guide_that_misleads_does_little_harm() -> None:
    optimum = min(cost(p) for p in SPACE.points if margin(p) >= 0)
    search = Search(SPACE, 1, cost, seed=0, guides=[lambda p: (p[0] + p[1]) / 22])  # rises with what it should fall with
    run(search, 40)
    assert search.best is not None
    assert search.best[1] <= 1.02 * optimum


def test_each_constraint_has_a_guide_or_none() -> None:
    with pytest.raises(ValueError, match="each of its 2 constraints, not 1"):
        Search(SPACE, 2, cost, guides=[None])


def test_what_is_known_to_be_no_better_is_not_asked_for() -> None:
    search = Search(SPACE, 1, cost, initial=4, seed=2)
    run(search, 4)
    for _ in range(30):
        best = search.best
        point = search.ask()
        assert best is None or cost(point) < best[1]
        search.tell(point, cost(point), [margin(point)])


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
        search.tell(point, 1.0 + sum(point), [-1.0])
    assert sorted(asked) == sorted(space.points)
    with pytest.raises(StopIteration):
        search.ask()


@pytest.mark.parametrize("known", [True, False])
def test_it_ends_where_nothing_better_is_left(known) -> None:
    """Where costs are known, what costs more than a feasible point need not be looked at to know the best one."""
    space = SPACE.narrowed({"x": range(2, 9), "y": range(3, 10), "z": [False]})
    search = Search(space, 1, cost if known else None, seed=0)
    while not search.exhausted:
        point = search.ask()
        search.tell(point, cost(point), [margin(point)])
    assert search.best is not None
    assert search.best[1] == min(cost(p) for p in space.points if margin(p) >= 0)
    assert (len(search.told) < len(space.points)) == known
    assert not known or all(p in search.told for p in space.points if cost(p) < search.best[1])


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


LARGE = Space({f"d{i}": tuple(range(10)) for i in range(8)}, lambda p: p["d0"] in (1, 5) and p["d1"] == p["d2"])


def test_a_large_space_is_drawn_from_and_searched_around_its_best_points() -> None:
    assert not LARGE.small
    with pytest.raises(InputError, match="more than 20,000 combinations"):
        LARGE.points  # noqa: B018 - a property
    search = Search(LARGE, 0, lambda p: 1.0 + sum(x * x for x in p), initial=4, seed=2)
    asked = []
    for _ in range(14):
        point = search.ask()
        asked.append(point)
        search.tell(point, 1.0 + sum(x * x for x in point), [])
    assert len(set(asked)) == 14
    assert all(LARGE.holds(point) for point in asked)
    assert search.best[1] < min(1.0 + sum(x * x for x in point) for point in search._pool), "neighbours were looked at"
    again = Search(LARGE, 0, lambda p: 1.0 + sum(x * x for x in p), initial=4, seed=2)
    for point in reversed(asked):
        again.tell(point, 1.0 + sum(x * x for x in point), [])
    assert again.ask() == search.ask(), "the order of telling matters"


def test_a_space_without_a_point_says_so() -> None:
    nothing = Space(LARGE.dimensions, lambda p: False)
    with pytest.raises(Empty, match="none of 76,800 points drawn"):
        Search(nothing, 0, seed=1)
    with pytest.raises(Empty, match="holds no possible point"):
        Search(Space({"x": (1, 2)}, lambda p: False), 0, seed=1)


def test_dimensions_count_only_where_they_have_an_effect() -> None:
    space = Space({"n": (0, 4, 8), "s": (1, 2, 3)}, conditions={"s": Condition(lambda p: p["n"] > 0, None)})
    assert len(space.points) == 7
    assert {point for point in space.drawn(50, [1])} == set(space.points)
    assert set(space.neighbours((0, None), [2])) <= {(4, 1), (4, 2), (4, 3), (8, 1), (8, 2), (8, 3)}
    assert not space.holds((0, 1))
    assert space.point({"n": 0, "s": 3}) == (0, None)


def test_two_objectives_spread_over_the_front() -> None:
    space = Space({"x": tuple(range(15)), "y": tuple(range(15))})

    def objectives(p):
        return 1.0 + p[0] + 0.3 * p[1], 1.0 + (14 - p[0]) + 0.3 * abs(p[1] - 3)

    search = Search(space, 1, (lambda p: objectives(p)[0], None), initial=5, seed=0)
    for _ in range(25):
        point = search.ask()
        search.tell(point, objectives(point), [float(point[0]) - 2])
    front = [objectives(point) for point in search.front]
    assert len(front) >= 6
    assert front == sorted(front)
    assert all(a[1] > b[1] for a, b in pairwise(front))
    assert all(point[0] >= 2 for point in search.front)
