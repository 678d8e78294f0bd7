"""One setting of all cross-layer parameters, and what was measured of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hardpoint.array import Array, Guard
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import only_keys

__all__ = ["STAGES", "DesignPoint", "Settings"]

STAGES = ("failed", "cost", "clean", "faults")
"""Where an evaluation ended: it failed; the cost, the clean accuracy or the campaign under faults decided it."""


@dataclass(frozen=True)
class Settings:
    """The parameters that a search sets.

    Algorithm: `q_scale`, the quantisation constraint; `column`, the guard column of hardened array columns (None:
    nothing is guarded). Architecture: `rows`, `cols`, `hardened` (array columns that are guarded; important channels
    are brought there). Circuit: `operand` and `drain` guards.

    >>> Settings(q_scale=4, column=14, hardened=8, operand=False, drain=True).array().guard(0, 0).drain
    True
    """

    q_scale: int = 0
    column: int | None = None
    rows: int = 8
    cols: int = 8
    hardened: int = 0
    operand: bool = False
    drain: bool = False

    def __post_init__(self) -> None:
        if (self.column is None) != (self.hardened == 0):
            raise InputError(f"{self.hardened} hardened columns and guard column {self.column} contradict each other")
        if self.column is None and (self.operand or self.drain):
            raise InputError("operand and drain guards need hardened columns")

    def guard(self) -> Guard:
        """Guard of the hardened columns."""
        return Guard() if self.column is None else Guard(self.column, self.operand, self.drain)

    def array(self, **rest: Any) -> Array:
        """The array that the settings describe; `rest` are fields of `Array` that the search does not set."""
        return Array.columns_hardened(self.rows, self.cols, self.guard(), self.hardened, **rest)

    @classmethod
    def restore(cls, table: Any) -> Settings:
        """Settings from their table; unknown keys are errors."""
        return cls(**only_keys(table, {item.name for item in dataclasses.fields(cls)}, "settings"))

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        guard = "unprotected" if self.column is None else f"{self.hardened} columns guarded {self.guard()}"
        return f"{self.rows}x{self.cols}, q_scale {self.q_scale}, {guard}"


@dataclass(frozen=True)
class DesignPoint:
    """Settings with their measurements: `cost`, clean accuracy, accuracy under faults as (low, mean, high) at `ber`.

    `feasible` says whether all constraints hold, `stage` where that was decided, `reason` why in words; `sample` says
    how accuracy under faults was measured (trials, images, seed, convention).
    """

    settings: Settings
    stage: str
    feasible: bool
    reason: str = ""
    cost: Cost | None = None
    cycles: int | None = None
    clean_accuracy: float | None = None
    ber: float | None = None
    accuracy: tuple[float, float, float] | None = None
    sample: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise InputError(f"a design point's stage is one of {', '.join(STAGES)}, not {self.stage!r}")

    def table(self) -> dict[str, Any]:
        """Values by name, for JSON."""
        table = dataclasses.asdict(self)
        table["settings"] = self.settings.table()
        table["cost"] = None if self.cost is None else self.cost.table()
        return table

    @classmethod
    def restore(cls, table: Any) -> DesignPoint:
        """A design point from its table; unknown keys are errors."""
        table = dict(only_keys(table, {item.name for item in dataclasses.fields(cls)}, "design point"))
        table["settings"] = Settings.restore(table["settings"])
        table["cost"] = None if table.get("cost") is None else Cost.restore(table["cost"])
        table["accuracy"] = None if table.get("accuracy") is None else tuple(table["accuracy"])
        return cls(**table)
