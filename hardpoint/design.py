"""One setting of all cross-layer parameters, and what was measured of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hardpoint.array import Array, Guard, Recompute
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import only_keys

__all__ = ["STAGES", "DesignPoint", "Settings"]

STAGES = ("failed", "cost", "clean", "faults")
"""Where an evaluation ended: it failed; the cost, the clean accuracy or the campaign under faults decided it."""


@dataclass(frozen=True)
class Settings:
    """The parameters that a search sets.

    Algorithm: `q_scale`, the quantisation constraint; `s_th`, the share of neurons that count as important, by layer or
    globally (`s_policy`): the recompute unit computes them again; `ib` and `nb`, the guard columns of what computes
    important results (hardened array columns, recompute unit) and of the other array columns (None: nothing is guarded).
    Architecture: `dot_size` lanes of the recompute unit (0: there is none) with data `reuse` or without, `rows`, `cols`,
    `dataflow`, `hardened` array columns, to which important channels are brought. Circuit: `operand` and `drain` guards
    wherever columns are guarded, `kind` of guard (columns or rpr), whether multipliers sit in DSP blocks (`dsp`), and the
    guard `policy`, direct or configurable with so many bits of `headroom`.

    >>> Settings(q_scale=4, ib=14, hardened=8, drain=True).array().guard(0, 0).drain
    True
    >>> str(Settings(ib=12, nb=16, hardened=2, s_th=0.1, dot_size=8))
    '8x8 os, q_scale 0, 2 columns guarded 12, others 16, 10 % of neurons recomputed by 8 lanes'
    """

    q_scale: int = 0
    s_th: float = 0.0
    s_policy: str = "layer"
    ib: int | None = None
    nb: int | None = None
    dot_size: int = 0
    reuse: bool = True
    rows: int = 8
    cols: int = 8
    dataflow: str = "os"
    hardened: int = 0
    operand: bool = False
    drain: bool = False
    kind: str = "columns"
    dsp: bool = False
    policy: str = "direct"
    headroom: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.hardened <= self.cols:
            raise InputError(f"hardened columns must be 0 to {self.cols}, the array's width, not {self.hardened}")
        if self.hardened and self.ib is None:
            raise InputError(f"{self.hardened} hardened columns need a guard column ib")
        if self.ib is not None and not (self.hardened or self.dot_size):
            raise InputError(f"guard column ib = {self.ib} guards nothing: there are neither hardened columns nor a recompute unit")
        if self.nb is not None and self.hardened == self.cols:
            raise InputError(f"guard column nb = {self.nb} guards nothing: all {self.cols} columns are hardened")
        if (self.dot_size == 0) != (self.s_th == 0):
            raise InputError(
                f"a recompute unit of {self.dot_size} lanes and {100 * self.s_th:g} % important neurons contradict each other"
            )
        if self.ib is None and self.nb is None and (self.operand or self.drain):
            raise InputError("operand and drain guards need guarded columns")

    @classmethod
    def all_columns(cls, column: int | None, rows: int = 8, cols: int = 8, **rest: Any) -> Settings:
        """An array with one guard everywhere, or with none (`column` None)."""
        return cls(nb=column, rows=rows, cols=cols, **rest)

    def guard(self, column: int | None) -> Guard:
        """The guard from `column` on."""
        if column is None:
            return Guard()
        return Guard(column, kind="rpr") if self.kind == "rpr" else Guard(column, self.operand, self.drain)

    def array(self, **rest: Any) -> Array:
        """The array that the settings describe; `rest` are fields of `Array` that the search does not set."""
        others, important = self.guard(self.nb), self.guard(self.ib)
        guards: tuple[Guard, ...] = (others,)
        classes = (0,) * self.cols
        if self.hardened == self.cols:
            guards = (important,)
        elif self.hardened and important != others:
            guards, classes = (others, important), (1,) * self.hardened + (0,) * (self.cols - self.hardened)
        unit = None
        if self.dot_size:
            unit = Recompute(self.dot_size, Guard() if self.ib is None else Guard(self.ib, self.operand, self.drain), self.reuse)
        own = {"dataflow": self.dataflow, "recompute": unit, "dsp": self.dsp, "policy": self.policy, "headroom": self.headroom}
        fields: dict[str, Any] = {**own, **rest}
        return Array(self.rows, self.cols, guards, classes, **fields)

    @classmethod
    def restore(cls, table: Any) -> Settings:
        """Settings from their table; unknown keys are errors."""
        return cls(**only_keys(table, {item.name for item in dataclasses.fields(cls)}, "settings"))

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        words = [f"{self.rows}x{self.cols} {self.dataflow}", f"q_scale {self.q_scale}"]
        important, others = self.guard(self.ib), self.guard(self.nb)
        if self.hardened == self.cols:
            words.append(f"all columns guarded {important}")
        elif self.hardened:
            words.append(f"{self.hardened} columns guarded {important}")
            words.append("others unprotected" if self.nb is None else f"others {others}")
        else:
            words.append("unprotected" if self.nb is None else f"all columns guarded {others}")
        if self.dot_size:
            words.append(f"{100 * self.s_th:g} % of neurons recomputed by {self.dot_size} lanes")
        if self.dsp:
            words.append("multipliers in DSP blocks")
        if self.policy != "direct":
            words.append(f"{self.policy} policy with {self.headroom} bits of headroom")
        return ", ".join(words)


@dataclass(frozen=True)
class DesignPoint:
    """Settings with their measurements: `cost`, clean accuracy, accuracy under faults as (low, mean, high) at `ber`.

    `critical` is the SDC-critical share of inferences as (low, mean, high), `cycles` are per image. `feasible` says whether
    all constraints hold, `stage` where that was decided, `reason` why in words; `margins` holds by how much each constraint
    does that was looked at (>= 0: it holds), `objectives` what is known of what was minimised. `sample` says how accuracy under
    faults was measured (trials, images, seed), `expected` is the share of inferences that flips were expected to turn there.
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
    critical: tuple[float, float, float] | None = None
    margins: dict[str, float] = dataclasses.field(default_factory=dict)
    objectives: dict[str, float] = dataclasses.field(default_factory=dict)
    expected: float | None = None

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
        for name in ("accuracy", "critical"):
            table[name] = None if table.get(name) is None else tuple(table[name])
        return cls(**table)
