"""What each way of retraining a fleet costs and which chips it saves, worked out from stored learning curves. No TensorFlow.

Every policy looks at validation accuracy after the amounts of the schedule and keeps the network of the first look that meets
the target, so none pays for more than it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hardpoint.faultmap import FaultMap
from hardpoint.training.fleet_curves import Curve, Schedule
from hardpoint.training.fleet_groups import Group

__all__ = ["Outcome", "amount", "by_groups", "fixed", "selection", "untrained"]

CurveOf = Callable[[FaultMap], Curve]
"""The learning curve of a map, made where it is not known yet."""


@dataclass(frozen=True)
class Outcome:
    """A policy's result: its training images in all, and the map that each chip's network was trained for.

    `images` counts the fleet's training, `measuring` that of the resilience map which the policy needs. `served[i]` is the
    map whose network chip i gets, None where the chip is beyond saving.
    """

    policy: str
    images: int
    served: tuple[FaultMap | None, ...]
    groups: tuple[tuple[int, ...], ...] = ()
    measuring: int = 0

    @property
    def meeting(self) -> int:
        """Chips whose network meets the target on validation data."""
        return sum(chip is not None for chip in self.served)


def untrained(maps: Sequence[FaultMap], curve: CurveOf, target: float, policy: str = "no retraining") -> Outcome:
    """No retraining: chips that meet the target as they are."""
    return Outcome(policy, 0, tuple(m if curve(m).accuracy[0] >= target else None for m in maps))


def fixed(maps: Sequence[FaultMap], curve: CurveOf, target: float, policy: str = "fixed amount") -> Outcome:
    """The smallest amount of the schedule that, given to every chip, saves all chips that any amount saves.

    A chip keeps the network of the first look that meets the target, so the amount is what the neediest chip takes.
    """
    reached = [curve(m).reached(target) for m in maps]
    longest = max((n for n in reached if n is not None), default=0)
    served = tuple(None if n is None else m for m, n in zip(maps, reached, strict=True))
    return Outcome(policy, longest * len(maps), served)


def amount(curve: Curve, target: float, schedule: Schedule) -> int:
    """Images that `curve`'s map takes: up to the first look that meets the target, the budget if none does.

    >>> s = Schedule((0, 10, 20, 40))
    >>> c = Curve("A", 0.1, (0, 10, 20, 40), (0.1, 0.5, 0.8, 0.9))
    >>> amount(c, 0.7, s), amount(c, 0.95, s)
    (20, 40)
    """
    reached = curve.reached(target)
    return schedule.budget if reached is None else reached


def selection(
    maps: Sequence[FaultMap], curve: CurveOf, target: float, schedule: Schedule, policy: str = "selection"
) -> Outcome:
    """Every chip on its own, for as long as it needs."""
    images = sum(amount(curve(m), target, schedule) for m in maps)
    return Outcome(policy, images, tuple(m if curve(m).reached(target) is not None else None for m in maps))


def by_groups(
    policy: str, groups: Sequence[Group], maps: Sequence[FaultMap], curve: CurveOf, target: float, schedule: Schedule
) -> Outcome:
    """One retraining per group, for the union of its maps; chips of a group that fails are retrained one by one.

    What a failed group took counts, too.
    """
    images = 0
    found: list[FaultMap | None] = [None] * len(maps)
    for group in groups:
        joint = curve(group.map)
        images += amount(joint, target, schedule)
        if joint.reached(target) is not None:
            for chip in group.chips:
                found[chip] = group.map
            continue
        if len(group.chips) == 1:
            continue  # that was the individual retraining, at the full budget
        alone = selection([maps[chip] for chip in group.chips], curve, target, schedule)
        images += alone.images
        for chip, served in zip(group.chips, alone.served, strict=True):
            found[chip] = served
    return Outcome(policy, images, tuple(found), tuple(group.chips for group in groups))
