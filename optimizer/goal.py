"""What a user asks of a search: what to minimise, and what must hold."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from hardpoint.cost import Cost
from hardpoint.draw import check_weights
from hardpoint.errors import InputError
from hardpoint.statistics import check_confidence

__all__ = ["Goal", "Objective"]

RESOURCES = ("lut", "ff", "dsp", "bram", "uram")
MEASURED = ("loss", "critical")
"""Objectives that only a campaign knows: the accuracy that faults cost, the share of SDC-critical inferences."""
OTHERS = ("share", "cycles", *MEASURED)


@dataclass(frozen=True)
class Objective:
    """What is minimised: a weighted sum of resources, or one of: `share` of the board's scarcest resource (0 to 1), `cycles`
    per image, `loss` of accuracy under faults against fault-free (0 to 1), `critical` share of inferences (0 to 1).

    >>> Objective.parse("lut+50*dsp").weights, str(Objective.parse("share"))
    ((('lut', 1.0), ('dsp', 50.0)), 'share')
    >>> Objective.parse("lut+50*dsp").of_cost(Cost("yosys", lut=1000, dsp=3))
    1150.0
    """

    name: str
    weights: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Read `lut`, `lut+50*dsp`, `share`, `cycles`, `loss` or `critical`."""
        name = text.strip().lower()
        if name in OTHERS:
            return cls(name)
        weights: dict[str, float] = {}
        for term in name.split("+"):
            found = re.fullmatch(r"(?:([0-9.e-]+)\*)?([a-z]+)", term.strip())
            if found is None or found[2] not in RESOURCES or found[2] in weights:
                raise InputError(
                    f"what is minimised reads like lut, lut+50*dsp+80*bram (of {', '.join(RESOURCES)}), or is one of "
                    f"{', '.join(OTHERS)}, not {text!r}"
                )
            try:
                weights[found[2]] = float(found[1] or 1)
            except ValueError:
                weights[found[2]] = math.nan
            if not 0 < weights[found[2]] < math.inf:
                raise InputError(f"the weight of {found[2]} must be a positive number, not {found[1]}")
        return cls("+".join(part if w == 1 else f"{w:g}*{part}" for part, w in weights.items()), tuple(weights.items()))

    @property
    def measured(self) -> bool:
        """Whether only a campaign knows it."""
        return self.name in MEASURED

    def of_cost(self, cost: Cost | None) -> float:
        """The weighted sum of resources; infinite where one of them is not known."""
        values = [(weight, None if cost is None else getattr(cost, part)) for part, weight in self.weights]
        return float(sum(math.inf if value is None else weight * value for weight, value in values))

    @property
    def label(self) -> str:
        """What it is, with its unit, for an axis."""
        said = {
            "share": "share of the board's scarcest resource", "cycles": "cycles per image",
            "loss": "accuracy lost under faults", "critical": "SDC-critical share of inferences",
        }  # fmt: skip
        return said.get(self.name, self.name.upper() if len(self.weights) == 1 else self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Goal:
    """Objectives (one, or two for a Pareto front) and constraints; a limit that is None is not asked for.

    `fit`: the most that a design with its shell's memories takes of each resource of `board` (0 to 1). `throughput`: images
    per second at least, transfers hidden. `clean`: fault-free accuracy at least. Under faults the lower bound of accuracy
    must be at least that of the problem, and the upper bound of the SDC-critical share at most `critical`, together with
    `confidence`. `weights` multiply the BER of site classes.

    >>> Goal(fit=0.7).table()["fit"]
    0.7
    """

    minimise: tuple[Objective, ...] = (Objective("lut", (("lut", 1.0),)),)
    board: str = "pynq-z2"
    fit: float | None = None
    throughput: float | None = None
    clean: float | None = None
    critical: float | None = None
    confidence: float = 0.95
    weights: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.minimise) <= 2 or len({one.name for one in self.minimise}) != len(self.minimise):
            raise InputError(f"a search minimises one or two different things, not {', '.join(map(str, self.minimise))}")
        for name, low, high in (("fit", 0.0, 1.0), ("clean", 0.0, 1.0), ("critical", 0.0, 1.0), ("throughput", 0.0, math.inf)):
            value = getattr(self, name)
            if value is not None and not low < value <= high:
                raise InputError(f"{name} must lie above {low:g}{'' if high == math.inf else f', up to {high:g}'}, not {value:g}")
        check_confidence(self.confidence)
        check_weights(dict(self.weights))

    @property
    def whole(self) -> bool:
        """Whether campaigns are played to their end, as what they measure is an objective."""
        return any(one.measured for one in self.minimise)

    def table(self) -> dict[str, Any]:
        """Values by name, for JSON."""
        return {
            "minimise": [str(one) for one in self.minimise], "board": self.board, "fit": self.fit,
            "throughput": self.throughput, "clean": self.clean, "critical": self.critical,
            "confidence": self.confidence, "weights": dict(self.weights),
        }  # fmt: skip
