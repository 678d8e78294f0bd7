"""Fault maps by the dozen: spatial patterns of faulty PEs, how many a chip gets, yield models, and maps from a table."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit
from hardpoint.streams import philox, uniform

__all__ = ["PATTERNS", "Yield", "fleet", "from_table", "load_maps", "pattern", "with_stuck_bits"]

PATTERNS = ("uniform", "clustered", "rows", "columns")
SPREAD = 1.5  # standard deviation, in PEs, of a defect's distance from the centre of its cluster
CLUSTER = 8  # mean number of defects per cluster

Numbers = NDArray[np.float64]


class _Draws:
    """Numbers in (0, 1) that depend on (seed, chip, purpose) and their place alone."""

    def __init__(self, seed: int, chip: int, purpose: int) -> None:
        self.seed, self.chip, self.purpose, self.at = seed, chip, purpose, 0

    def take(self, count: int) -> Numbers:
        """The next `count` numbers."""
        word = np.arange(self.at, self.at + count)
        self.at += count
        low, high = philox(self.seed, (word, self.chip, self.purpose, 0xFA17))
        return uniform(low ^ high)


def pattern(kind: str, rows: int, cols: int, count: int, seed: int, chip: int = 0) -> FaultMap:
    """A map with exactly `count` faulty PEs in the given pattern; the same on every machine.

    `uniform`: every set of `count` PEs is equally likely. `clustered`: centres are uniform, each draws a geometric
    number of PEs at normal distances around it (a centre-satellite process, Meyer and Pradhan 1989). `rows` and
    `columns`: whole rows or columns in random order, the last one in part. For one (seed, chip) a smaller count is a
    subset of a larger one.

    >>> [len(pattern(kind, 8, 8, 10, seed=1)) for kind in PATTERNS]
    [10, 10, 10, 10]
    """
    pes = rows * cols
    if kind not in PATTERNS:
        raise InputError(f"a pattern of faulty PEs is {', '.join(PATTERNS)}, not {kind!r}")
    if not 0 <= count < pes:
        raise InputError(f"faulty PEs must be 0 to {pes - 1} of {rows} x {cols}, not {count}")
    if kind == "uniform":
        order = np.argsort(_Draws(seed, chip, 1).take(pes), kind="stable")
    elif kind == "clustered":
        order = _clustered(rows, cols, count, _Draws(seed, chip, 2))
    else:
        lines, length = (rows, cols) if kind == "rows" else (cols, rows)
        line = np.argsort(_Draws(seed, chip, 3).take(lines), kind="stable")
        within = np.argsort(_Draws(seed, chip, 4).take(lines * length).reshape(lines, length), axis=1, kind="stable")
        major, minor = np.repeat(line, length), within[line].reshape(-1)
        order = major * cols + minor if kind == "rows" else minor * cols + major
    table = np.zeros(pes, bool)
    table[order[:count]] = True
    name = f"{kind}, {count} of {rows} x {cols} PEs, seed {seed}, chip {chip}"
    return FaultMap.of(table.reshape(rows, cols), f"chip{chip:03d}", name)


def _clustered(rows: int, cols: int, count: int, draws: _Draws) -> NDArray[np.int64]:
    found: dict[int, None] = {}
    while len(found) < count:
        u = draws.take(3)
        centre = u[:2] * (rows, cols) - 0.5
        size = 1 + int(math.log(u[2]) / math.log1p(-1.0 / CLUSTER))
        for u1, u2 in draws.take(2 * size).reshape(size, 2).tolist():
            radius, angle = SPREAD * math.sqrt(-2 * math.log(u1)), 2 * math.pi * u2  # Box and Muller
            row, col = round(centre[0] + radius * math.cos(angle)), round(centre[1] + radius * math.sin(angle))
            if 0 <= row < rows and 0 <= col < cols:
                found[row * cols + col] = None
    return np.array(list(found), np.int64)


@dataclass(frozen=True)
class Yield:
    """How many defects a chip's array gets: `mean` of them on average, each one kills a PE.

    `model` "poisson": independent defects. "negative-binomial": their density varies from chip to chip by a gamma
    distribution of shape `alpha` (Stapper 1973). "murphy": by a triangular one (Murphy 1964).

    >>> [round(Yield(model, 2.0).fault_free, 4) for model in ("poisson", "murphy", "negative-binomial")]
    [0.1353, 0.1869, 0.25]
    """

    model: str
    mean: float
    alpha: float = 2.0

    def __post_init__(self) -> None:
        if self.model not in ("poisson", "negative-binomial", "murphy"):
            raise InputError(f"a yield model is poisson, negative-binomial or murphy, not {self.model!r}")
        if not (0 <= self.mean < math.inf and 0 < self.alpha < math.inf):
            raise InputError(
                f"a yield model needs a mean from 0 and an alpha above 0, not {self.mean} and {self.alpha}"
            )

    @property
    def fault_free(self) -> float:
        """Probability that a chip has no defect: e^-D, ((1 - e^-D) / D)^2 or (1 + D/alpha)^-alpha."""
        d = self.mean
        if self.model == "poisson" or d == 0:
            return math.exp(-d)
        if self.model == "murphy":
            return (-math.expm1(-d) / d) ** 2
        return float((1 + d / self.alpha) ** -self.alpha)

    def draw(self, chips: int, seed: int) -> list[int]:
        """Defects of each of `chips` chips."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x71E1D])))
        if self.model == "poisson":
            density = np.full(chips, self.mean)
        elif self.model == "murphy":
            density = rng.random((chips, 2)).sum(axis=1) * self.mean
        else:
            density = rng.gamma(self.alpha, self.mean / self.alpha, chips)
        return [int(x) for x in rng.poisson(density)]


def fleet(
    kind: str, rows: int, cols: int, chips: int, seed: int, rates: tuple[float, float] | Yield = (0.0, 0.2)
) -> tuple[FaultMap, ...]:
    """Maps of `chips` chips in pattern `kind`: PE fault rates evenly spaced over `rates`, or counts of a yield model.

    >>> [len(m) for m in fleet("uniform", 10, 10, 5, seed=0)]
    [0, 5, 10, 15, 20]
    """
    if chips < 1:
        raise InputError(f"a fleet has at least 1 chip, not {chips}")
    if isinstance(rates, Yield):
        counts = [min(count, rows * cols - 1) for count in rates.draw(chips, seed)]
    else:
        low, high = rates
        if not 0 <= low <= high < 1:
            raise InputError(f"PE fault rates must rise from 0 to below 1, not {low} to {high}")
        counts = [round(rate * rows * cols) for rate in np.linspace(low, high, chips).tolist()]
    return tuple(pattern(kind, rows, cols, count, seed, chip) for chip, count in enumerate(counts))


def with_stuck_bits(chip: FaultMap, seed: int, site: str = "mul", bits: int = 24) -> FaultMap:
    """The same faulty PEs, each with one of `bits` bits of `site` stuck at 0 or 1, drawn uniformly.

    >>> len(with_stuck_bits(FaultMap(4, 4, ((0, 0), (1, 2))), seed=0).stuck)
    2
    """
    u = uniform(philox(seed, (np.arange(len(chip)), 0, 5, 0xFA17))[0])
    stuck = tuple(
        StuckBit(row, col, site, 0, int(x * 2 * bits) // 2, int(x * 2 * bits) % 2)
        for (row, col), x in zip(chip.faulty, u.tolist(), strict=True)
    )
    return FaultMap(chip.rows, chip.cols, chip.faulty, stuck, chip.chip, chip.origin)


def from_table(path: str | os.PathLike[str], rows: int, cols: int) -> tuple[FaultMap, ...]:
    """Maps from a CSV table with a header: `chip`, `row`, `col`, and for stuck bits `site`, `copy`, `bit`, `value`.

    One line per faulty PE or stuck bit, chips in the order in which they appear. A chip without faults has a line with
    empty `row` and `col`.

    >>> import tempfile
    >>> table = Path(tempfile.mkdtemp()) / "chips.csv"
    >>> _ = table.write_text("chip,row,col\\na,0,1\\nb,,\\na,3,3\\n")
    >>> [(chip.chip, chip.faulty) for chip in from_table(table, 4, 4)]
    [('a', ((0, 1), (3, 3))), ('b', ())]
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read fault table {path}: {error}") from None
    reader = csv.DictReader(text.splitlines())
    keys = set(reader.fieldnames or ())
    known = {"chip", "row", "col", "site", "copy", "bit", "value"}
    if not {"chip", "row", "col"} <= keys or keys - known:
        raise InputError(
            f"{path}: a fault table has columns chip, row, col and perhaps site, copy, bit, value, not {', '.join(sorted(keys)) or 'none'}"
        )
    pes: dict[str, list[tuple[int, int]]] = {}
    stuck: dict[str, list[StuckBit]] = {}
    for line in reader:
        where = f"{path}, line {reader.line_num}"
        if None in line or None in line.values():
            raise InputError(f"{where}: it has not as many fields as the header")
        chip = line["chip"].strip()
        pes.setdefault(chip, [])
        stuck.setdefault(chip, [])
        if not line["row"].strip() and not line["col"].strip():
            continue
        try:
            row, col = int(line["row"]), int(line["col"])
            if (line.get("site") or "").strip():
                stuck[chip].append(
                    StuckBit(row, col, line["site"].strip(), *(int(line[key]) for key in ("copy", "bit", "value")))
                )
            else:
                pes[chip].append((row, col))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except (ValueError, KeyError):
            raise InputError(f"{where}: row, col, copy, bit and value must be whole numbers") from None
    if not pes:
        raise InputError(f"{path} lists no chip")
    try:
        return tuple(
            FaultMap(rows, cols, tuple(pes[chip]), tuple(stuck[chip]), chip, f"table {Path(path).name}") for chip in pes
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def load_maps(path: str | os.PathLike[str], rows: int, cols: int) -> tuple[FaultMap, ...]:
    """Maps from a folder of `.json` maps, one such file, or a `.csv` table; they must be of `rows` x `cols` PEs."""
    path = Path(path)
    if path.suffix == ".csv":
        maps: Sequence[FaultMap] = from_table(path, rows, cols)
    else:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path} holds no fault maps (.json)")
        maps = [FaultMap.load(file) for file in files]
    names: set[str] = set()
    for found in maps:
        if (found.rows, found.cols) != (rows, cols):
            raise InputError(
                f"fault map {found.chip} is of {found.rows} x {found.cols} PEs, the array has {rows} x {cols}"
            )
        if not found.chip or found.chip in names:
            raise InputError(
                f"{path}: {'a chip has no name' if not found.chip else f'two chips are called {found.chip!r}'}"
            )
        names.add(found.chip)
    return tuple(maps)
