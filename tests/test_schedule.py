"""Cycles of strikes, against the closed form of the Verilog core."""

from __future__ import annotations

import numpy as np

from hardpoint.array import Array, Guard, Recompute
from hardpoint.faults import OVERHANG, SITES
from hardpoint.hls.schedule import acting_cycle
from hardpoint.schedule import ALL, FLIP, FORCE, KEEP, STRIKE, in_cycles, unit_in_cycles

ARRAY = Array(3, 4, (Guard(), Guard(12, True, True), Guard(10)), (0, 1, 2, 1))


def strike(when: int, kind: int, row: int, col: int, site: str, copy: int, mask: int) -> np.ndarray:
    return np.array([(0, 0, when, kind, row, col, SITES.index(site), copy, mask)], STRIKE)


def test_every_site_acts_in_the_cycle_of_the_closed_form() -> None:
    for k in (1, 2, 5, 9):
        period = max(k, ARRAY.rows)
        for site in SITES:
            for copy in range(OVERHANG + 1):
                for tile, step in ((0, 0), (0, 1), (2, k - 1), (1, k), (1, k + 1), (3, k + 2)):
                    for row, col, bit in ((0, 0, 0), (2, 1, 3), (1, 1, 20), (2, 2, 11), (0, 3, 12)):
                        cycle = acting_cycle(ARRAY, k, tile, step, row, col, site, copy, bit)
                        made = in_cycles(
                            strike(tile * period + step, FLIP, row, col, site, copy, 1 << bit), ARRAY, np.array([k])
                        )
                        if cycle is not None:
                            assert made["when"].tolist() == [cycle], (k, site, copy, tile, step, row, col, bit)


def test_weight_stationary_sites_act_in_the_cycle_of_the_closed_form() -> None:
    """Tiles of one row and a pixel or two take four cycles; the accumulators are a row of their own."""
    for array in (
        Array(3, 4, (Guard(), Guard(12, True), Guard(10)), (0, 1, 2, 1), dataflow="ws"),
        Array(1, 2, (Guard(8),), dataflow="ws"),
    ):
        for pixels in (1, 2, 5):
            for site in SITES[:6]:
                for tile, step in ((0, 0), (0, 1), (2, array.rows), (3, array.rows + pixels - 1)):
                    for row, col, bit in ((0, 0, 0), (array.rows, 1, 3), (array.rows - 1, 1, 20)):
                        cycle = acting_cycle(array, pixels, tile, step, row, col, site, 0, bit)
                        when = tile * (array.rows + pixels) + step
                        made = in_cycles(strike(when, FLIP, row, col, site, 0, 1 << bit), array, np.array([pixels]))
                        if cycle is not None:
                            assert made["when"].tolist() == [cycle], (pixels, site, tile, step, row, col, bit)


def test_strikes_of_the_recompute_unit_follow_its_pipeline() -> None:
    array = Array(2, 2, recompute=Recompute(5, Guard(12)))  # five lanes: a tree of three levels
    steps = np.array([4])
    for site, step, bit, cycle in (
        ("act", 1, 0, 9), ("mul", 1, 3, 15), ("carry", 1, 12, 15), ("acc", 1, 3, 15), ("acc", 1, 13, 16), ("vote", 1, 13, 16),
        ("vote", 4, 13, 19), ("drain", 4, 3, 19), ("drain", 4, 13, 19),
    ):  # fmt: skip
        made = unit_in_cycles(strike(2 * 5 + step, FLIP, 254, 0, site, 0, 1 << bit), array, steps)
        assert made["when"].tolist() == [cycle], (site, step, bit)
    stuck = unit_in_cycles(strike(2 * 5, FORCE, 254, 0, "drain", 0, 1), array, steps)  # it acts when a sum is stored
    assert stuck["when"].tolist() == [19]


def test_a_flip_on_both_sides_of_the_guard_column_becomes_two() -> None:
    made = in_cycles(strike(4, FLIP, 1, 1, "acc", 0, 1 << 3 | 1 << 15), ARRAY, np.array([6]))
    assert sorted(zip(made["when"].tolist(), made["mask"].tolist(), strict=True)) == [(8, 1 << 3), (9, 1 << 15)]


def test_stuck_bits_of_both_halves_are_said_together() -> None:
    """The word is loaded whole: when its upper half changes a cycle later, the lower half is said again."""
    changes = np.concatenate([strike(4, FORCE, 1, 1, "acc", 0, 1 << 3 | 1 << 15), strike(7, FORCE, 1, 1, "acc", 0, 0)])
    made = in_cycles(changes, ARRAY, np.array([6, 6]))
    assert sorted(zip(made["when"].tolist(), made["mask"].tolist(), strict=True)) == [
        (8, 1 << 3), (9, 1 << 3 | 1 << 15), (11, 1 << 15), (12, 0)
    ]  # fmt: skip
    kept = in_cycles(strike(4, KEEP, 1, 1, "acc", 0, ALL & ~(1 << 15)), ARRAY, np.array([6]))
    assert sorted(zip(kept["when"].tolist(), kept["mask"].tolist(), strict=True)) == [(8, ALL), (9, ALL & ~(1 << 15))]


def test_no_strikes_stay_none() -> None:
    assert len(in_cycles(np.zeros(0, STRIKE), ARRAY, np.zeros(0, np.int64))) == 0
