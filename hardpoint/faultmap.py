"""One chip's permanent faults: which PEs compute wrongly, which of their bits are stuck, and what bypassing them costs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import EFFECTS, FAULT, PE_SITES, PERMANENT, SITES
from hardpoint.files import digest, load_json, only_keys, write_json
from hardpoint.layers import Conv, Dense, Gemm, Layer
from hardpoint.mapping import Tiling
from hardpoint.network import Network

__all__ = ["FaultMap", "StuckBit", "mask", "masked", "masks", "union"]

FORMAT = "hardpoint fault map 1"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, order=True)
class StuckBit:
    """A bit of PE (`row`, `col`) that always reads `value`: site, copy and bit as in `hardpoint.faults`.

    >>> StuckBit(0, 0, "acc", 0, 25, 2)
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: a stuck bit's value must be a whole number from 0 to 1, not 2
    """

    row: int
    col: int
    site: str
    copy: int
    bit: int
    value: int

    def __post_init__(self) -> None:
        if self.site not in PE_SITES:
            raise InputError(f"a stuck bit's site is one of {', '.join(PE_SITES)}, not {self.site!r}")
        for key, high in (("row", 63), ("col", 63), ("copy", 3), ("bit", 31), ("value", 1)):
            _whole(f"a stuck bit's {key}", getattr(self, key), 0, high)


@dataclass(frozen=True)
class FaultMap:
    """The permanent faults of one chip's `rows` x `cols` array.

    `faulty` are the PEs that compute wrongly, `stuck` those of their bits that are known to be stuck (a PE with a
    stuck bit counts as faulty); both are kept sorted. `chip` names the chip, `origin` says where the map is from.

    >>> chip = FaultMap(4, 4, ((2, 1), (0, 3)), chip="A7")
    >>> chip.faulty, chip.rate, str(chip)
    (((0, 3), (2, 1)), 0.125, 'A7: 2 of 16 PEs faulty')
    >>> FaultMap(4, 4, ((0, 4),))
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: fault map: PE (0, 4) lies outside the array of 4 x 4 PEs
    """

    rows: int
    cols: int
    faulty: tuple[tuple[int, int], ...] = ()
    stuck: tuple[StuckBit, ...] = ()
    chip: str = ""
    origin: str = "given"

    def __post_init__(self) -> None:
        name = f"fault map {self.chip}".strip()
        for key in ("rows", "cols"):
            _whole(f"{name}: array {key}", getattr(self, key), 1, 64)
        faulty = [_pair(name, pe) for pe in self.faulty]
        seen: set[tuple[int, int]] = set()
        for pe in faulty:
            if pe in seen:
                raise InputError(f"{name}: PE {pe} is listed twice")
            seen.add(pe)
        if len(set(self.stuck)) < len(self.stuck):
            raise InputError(f"{name}: a stuck bit is listed twice")
        places = {(s.row, s.col, s.site, s.copy, s.bit) for s in self.stuck}
        if len(places) < len(self.stuck):
            raise InputError(f"{name}: a bit is stuck at 0 and at 1")
        seen |= {(s.row, s.col) for s in self.stuck}
        for row, col in sorted(seen):
            if not (0 <= row < self.rows and 0 <= col < self.cols):
                raise InputError(f"{name}: PE ({row}, {col}) lies outside the array of {self.rows} x {self.cols} PEs")
        if len(seen) == self.rows * self.cols:
            raise InputError(f"{name}: all {len(seen)} PEs are faulty, none is left to compute with")
        object.__setattr__(self, "faulty", tuple(sorted(seen)))
        object.__setattr__(self, "stuck", tuple(sorted(self.stuck)))

    @classmethod
    def of(cls, mask: Any, chip: str = "", origin: str = "given") -> FaultMap:
        """The map whose faulty PEs are where `mask` (rows, cols) is true.

        >>> FaultMap.of([[False, True], [False, False]]).faulty
        ((0, 1),)
        """
        table = np.asarray(mask, bool)
        if table.ndim != 2:
            raise InputError(f"a mask of faulty PEs has 2 axes, not {table.ndim}")
        rows, cols = table.shape
        return cls(rows, cols, tuple((int(r), int(c)) for r, c in np.argwhere(table)), (), chip, origin)

    def __len__(self) -> int:
        """Number of faulty PEs."""
        return len(self.faulty)

    def __str__(self) -> str:
        return f"{self.chip or 'chip'}: {len(self)} of {self.rows * self.cols} PEs faulty"

    @property
    def rate(self) -> float:
        """Share of faulty PEs."""
        return len(self) / (self.rows * self.cols)

    @cached_property
    def mask(self) -> Mask:
        """Where PEs are faulty: (rows, cols), read-only."""
        table = np.zeros((self.rows, self.cols), bool)
        if self.faulty:
            table[tuple(np.transpose(self.faulty))] = True
        table.setflags(write=False)
        return table

    @cached_property
    def retired_cols(self) -> tuple[int, ...]:
        """Columns that weight-stationary bypass cannot save: sums run through a stuck partial-sum register in them."""
        return tuple(sorted({s.col for s in self.stuck if s.site in ("acc", "drain")}))

    @cached_property
    def bypass(self) -> Mask:
        """PEs to bypass in weight-stationary use: (rows, cols), read-only.

        The faulty ones, and those that a stuck operand register of a faulty one feeds: activations run on to the
        right, weights are loaded downwards. A stuck partial-sum register is beyond bypass: see `retired_cols`.

        >>> FaultMap(3, 3, (), (StuckBit(1, 1, "act", 0, 0, 1),)).bypass.astype(int).tolist()
        [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
        """
        table = self.mask.copy()
        for s in self.stuck:
            if s.site == "act":
                table[s.row, s.col :] = True
            elif s.site == "wgt":
                table[s.row :, s.col] = True
        table.setflags(write=False)
        return table

    def without_retired(self) -> FaultMap:
        """The map of the array that is left when the retired columns are taken out of it."""
        gone = self.retired_cols
        if len(gone) == self.cols:
            raise InputError(f"fault map {self.chip}: all {self.cols} columns are retired".replace("  ", " "))
        left = {col: i for i, col in enumerate(c for c in range(self.cols) if c not in gone)}
        return dataclasses.replace(
            self,
            cols=len(left),
            faulty=tuple((r, left[c]) for r, c in self.faulty if c in left),
            stuck=tuple(dataclasses.replace(s, col=left[s.col]) for s in self.stuck if s.col in left),
            origin=f"{self.origin}; without columns {', '.join(map(str, gone))}" if gone else self.origin,
        )

    def relieved(self, pes: Iterable[tuple[int, int]]) -> FaultMap:
        """The map that is left when other hardware (a recompute unit, spares) does the work of `pes`."""
        done = set(pes)
        return dataclasses.replace(
            self,
            faulty=tuple(pe for pe in self.faulty if pe not in done),
            stuck=tuple(s for s in self.stuck if (s.row, s.col) not in done),
        )

    def faults(self, array: Array) -> NDArray[Any]:
        """The stuck bits as fault records (dtype `hardpoint.faults.FAULT`) that hold from the first step and for ever."""
        self.check(array)
        records = np.zeros(len(self.stuck), FAULT)
        for record, s in zip(records, self.stuck, strict=True):
            place = (s.row, s.col, SITES.index(s.site), s.copy, s.bit, EFFECTS.index(f"stuck{s.value}"))
            for key, value in zip(("row", "col", "site", "copy", "bit", "effect"), place, strict=True):
                record[key] = value
            for key, value in zip(("end_image", "end_layer", "end_tile", "end_step"), PERMANENT, strict=True):
                record[key] = value
        return records

    def check(self, array: Array) -> None:
        """Raise an InputError if the map is of an array of another shape."""
        if (self.rows, self.cols) != (array.rows, array.cols):
            raise InputError(
                f"fault map {self.chip or 'of a chip'} is of {self.rows} x {self.cols} PEs, the array has {array.rows} x {array.cols}"
            )

    @cached_property
    def digest(self) -> str:
        """Names the faults by content, whatever the chip is called."""
        return digest(repr((self.rows, self.cols, self.faulty, self.stuck)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as JSON."""
        table = {key: getattr(self, key) for key in ("chip", "origin", "rows", "cols", "faulty")}
        write_json(path, {"format": FORMAT, **table, "stuck": [dataclasses.asdict(s) for s in self.stuck]})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FaultMap:
        """Read a map from JSON; unknown keys are errors."""
        table = load_json(path, "fault map")
        try:
            return cls.restore(table)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def restore(cls, table: Any) -> FaultMap:
        """A map from its JSON table."""
        table = dict(only_keys(table, {item.name for item in dataclasses.fields(cls)} | {"format"}, "fault map"))
        if table.pop("format", None) != FORMAT:
            raise InputError(f"its format is not {FORMAT!r}")
        keys = {item.name for item in dataclasses.fields(StuckBit)}
        try:
            table["faulty"] = tuple(table.get("faulty", ()))
            table["stuck"] = tuple(StuckBit(**only_keys(row, keys, "stuck bit")) for row in table.get("stuck", ()))
            return cls(**table)
        except TypeError as error:
            raise InputError(f"it is no fault map: {error}") from None


def union(maps: Sequence[FaultMap], chip: str = "") -> FaultMap:
    """The map that holds every fault of `maps`: what a network must do without to run on each of the chips.

    Stuck bits become faulty PEs: those that bypassing them takes out.

    >>> union([FaultMap(2, 2, ((0, 0),)), FaultMap(2, 2, ((1, 0),))]).faulty
    ((0, 0), (1, 0))
    """
    if not maps:
        raise InputError("a union needs at least one fault map")
    shape = maps[0].mask.shape
    for other in maps:
        if other.mask.shape != shape:
            raise InputError(
                f"fault maps of {shape[0]} x {shape[1]} and {other.rows} x {other.cols} PEs cannot be fused"
            )
        _bypassable(other)
    table = np.logical_or.reduce([m.bypass for m in maps])
    return FaultMap.of(table, chip or "+".join(m.chip for m in maps), f"union of {len(maps)} maps")


def mask(gemm: Gemm, chip: FaultMap) -> Mask:
    """Which weights (K, N) of a GEMM survive on `chip` in weight-stationary use: false where their PE is bypassed.

    >>> mask(Gemm(1, 3, 2), FaultMap(2, 2, ((1, 0),))).astype(int).tolist()
    [[1, 1], [0, 1], [1, 1]]
    """
    _bypassable(chip)
    return Tiling(gemm, chip.rows, chip.cols, "ws").spread(~chip.bypass)


def masks(network: Network, chip: FaultMap) -> tuple[Mask, ...]:
    """Per array layer, which weights survive on `chip`: shaped as the layer's weight, false where it counts as zero.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> masks(net, FaultMap(2, 2, ((1, 0),)))[0].tolist()  # PE (1, 0) holds w[1, 0]
    [[True, True], [False, True]]
    """
    return tuple(mask(network.gemm(i), chip).reshape(layer.weight.shape) for i, layer in enumerate(network.gemms))


def masked(network: Network, chip: FaultMap) -> Network:
    """What `network` computes on `chip` with its faulty PEs bypassed: the weights that they hold are zero.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> masked(net, FaultMap(2, 2, ((1, 0),))).layers[0].weight.tolist()
    [[1, -1], [0, 1]]
    """
    keep = {layer.name: m for layer, m in zip(network.gemms, masks(network, chip), strict=True)}
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, (Conv, Dense)):
            layers.append(dataclasses.replace(layer, weight=layer.weight * keep[layer.name]))
        else:
            layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))


def _bypassable(chip: FaultMap) -> None:
    if chip.retired_cols:
        raise InputError(
            f"fault map {chip.chip or 'of a chip'}: column {chip.retired_cols[0]} has a stuck partial-sum register, which no bypass repairs; "
            "take the column out with without_retired()"
        )


def _whole(what: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{what} must be a whole number from {low} to {high}, not {value!r}")


def _pair(name: str, pe: Any) -> tuple[int, int]:
    good = (
        isinstance(pe, (tuple, list))
        and len(pe) == 2
        and all(isinstance(x, int) and not isinstance(x, bool) for x in pe)
    )
    if not good:
        raise InputError(f"{name}: a faulty PE is a row and a column, not {pe!r}")
    return int(pe[0]), int(pe[1])
