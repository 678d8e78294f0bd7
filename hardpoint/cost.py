"""What a design costs, and who says so."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hardpoint.errors import InputError
from hardpoint.files import only_keys

__all__ = ["SOURCES", "Cost"]

SOURCES = ("estimate", "yosys", "csynth", "vivado", "calibrated")


@dataclass(frozen=True)
class Cost:
    """Resources, time and power of a design; None is "not known", never zero.

    `lut`, `ff`, `dsp`, `uram` count primitives, `bram` counts 18 Kbit blocks; `cycles` are clock cycles per image,
    `period_ns` nanoseconds, `power_w` watts. `source` is one of estimate, yosys, csynth, vivado, calibrated;
    costs of different sources do not add.

    >>> Cost("yosys", lut=10, ff=4) + Cost("yosys", lut=5)
    Cost(source='yosys', lut=15, ff=None, dsp=None, bram=None, uram=None, cycles=None, period_ns=None, power_w=None)
    """

    source: str
    lut: float | None = None
    ff: float | None = None
    dsp: float | None = None
    bram: float | None = None
    uram: float | None = None
    cycles: int | None = None
    period_ns: float | None = None
    power_w: float | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise InputError(f"a cost's source is one of {', '.join(SOURCES)}, not {self.source!r}")
        for item in dataclasses.fields(self)[1:]:
            value = getattr(self, item.name)
            if value is not None and not 0 <= value < float("inf"):
                raise InputError(f"{item.name} must be a finite number from 0, not {value}")

    def __add__(self, other: Cost) -> Cost:
        """Resources side by side: counts add, unknown stays unknown; times and power of a sum are unknown."""
        if self.source != other.source:
            raise InputError(f"costs of different sources do not add: {self.source} and {other.source}")
        counts = {}
        for name in ("lut", "ff", "dsp", "bram", "uram"):
            a, b = getattr(self, name), getattr(other, name)
            counts[name] = None if a is None or b is None else a + b
        return Cost(self.source, **counts)

    def __mul__(self, copies: int) -> Cost:
        """`copies` of the same thing side by side."""
        counts = {name: getattr(self, name) for name in ("lut", "ff", "dsp", "bram", "uram")}
        return Cost(self.source, **{name: None if value is None else value * copies for name, value in counts.items()})

    def table(self) -> dict[str, Any]:
        """Known values by name."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def restore(cls, table: Any) -> Cost:
        """A cost from its table; unknown keys are errors."""
        return cls(**only_keys(table, {item.name for item in dataclasses.fields(cls)}, "cost"))
