"""What each way of retraining a fleet costs and which chips it saves, worked out from stored learning curves. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap
from hardpoint.training.fleet_curves import Curve, Resilience, Schedule
from hardpoint.training.fleet_groups import Group

__all__ = ["Outcome", "amount", "by_groups", "fixed", "selection", "untrained"]

CurveOf = Callable[[FaultMap], Curve]
"""The learning curve of a map, made where it is not known yet."""


@dataclass(frozen=True)
class Outcome:
    """A policy's result: training images per chip's share, in all, and the map that each chip's network was trained for.

    `images` counts the fleet's training, the resilience map's apart. `served[i]` is the map whose network chip i gets, None
    where the chip is beyond saving.
    """

    policy: str
    images: int
    served: tuple[FaultMap | None, ...]
    groups: tuple[tuple[int, ...], ...] = ()

    @property
    def meeting(self) -> int:
        """Chips whose network meets the target on validation data."""
        return sum(chip is not None for chip in self.served)


def untrained(maps: Sequence[FaultMap], curve: CurveOf, target: float) -> Outcome:
    """No retraining: chips that meet the target as they are."""
    return Outcome("no retraining", 0, tuple(m if curve(m).accuracy[0] >= target else None for m in maps))


def fixed(maps: Sequence[FaultMap], curve: CurveOf, target: float, schedule: Schedule) -> Outcome:
    """The smallest amount of the schedule, the same for every chip, after which all chips meet the target that ever do.

    Curves must reach as far as that amount; a curve that ends before is an InputError.
    """
    saved = [m for m in maps if curve(m).reached(target) is not None]
    for n in schedule.images:
        reached = [curve(m).at(n) for m in saved]
        if any(a is None for a in reached):
            raise InputError(f"not every learning curve reaches {n} images; make them longer to find the fixed amount")
        if all(a is not None and a >= target for a in reached):
            break
    else:
        raise InputError("no fixed amount of the schedule lets all chips meet the target")
    return Outcome("fixed amount", n * len(maps), tuple(m if m in saved else None for m in maps))


def amount(curve: Curve, planned: float, target: float, schedule: Schedule) -> int:
    """Images that `curve`'s map takes when `planned` are given and accuracy is looked at from then on.

    A map that needs more goes on to the next amounts of the schedule, up to the budget.

    >>> s = Schedule((0, 10, 20, 40))
    >>> c = Curve("A", 0.1, (0, 10, 20, 40), (0.1, 0.5, 0.8, 0.9))
    >>> amount(c, 5, 0.8, s), amount(c, 30, 0.8, s), amount(c, 0, 0.95, s)
    (20, 40, 40)
    """
    reached = curve.reached(target, schedule.up(planned) if planned > 0 else 0)
    return schedule.budget if reached is None else reached


def selection(
    maps: Sequence[FaultMap], curve: CurveOf, target: float, schedule: Schedule, resilience: Resilience
) -> Outcome:
    """Every chip on its own, for the amount that the resilience map gives for its rate, and on where that falls short."""
    images = [amount(curve(m), _planned(m, resilience, schedule), target, schedule) for m in maps]
    served = tuple(m if curve(m).reached(target) is not None else None for m in maps)
    return Outcome("selection", sum(images), served)


def by_groups(
    policy: str,
    groups: Sequence[Group],
    maps: Sequence[FaultMap],
    curve: CurveOf,
    target: float,
    schedule: Schedule,
    resilience: Resilience,
) -> Outcome:
    """One retraining per group, for the union of its maps; chips of a group that fails are retrained one by one.

    What a failed group took counts, too.
    """
    images = 0
    found: list[FaultMap | None] = [None] * len(maps)
    for group in groups:
        joint = curve(group.map)
        images += amount(joint, min(group.images, schedule.budget), target, schedule)
        if joint.reached(target) is not None:
            for chip in group.chips:
                found[chip] = group.map
            continue
        if len(group.chips) == 1:
            continue  # that was the individual retraining, at the full budget
        for chip in group.chips:
            alone = curve(maps[chip])
            images += amount(alone, _planned(maps[chip], resilience, schedule), target, schedule)
            found[chip] = maps[chip] if alone.reached(target) is not None else None
    return Outcome(policy, images, tuple(found), tuple(group.chips for group in groups))


def _planned(chip: FaultMap, resilience: Resilience, schedule: Schedule) -> float:
    need = resilience.needed(float(chip.bypass.mean()))
    return schedule.budget if math.isinf(need) else need
