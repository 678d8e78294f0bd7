"""What is struck, where and when: sites, their enumeration, and the lists of faults that every engine plays."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.files import digest, load_npz, only_keys, save_npz
from hardpoint.mapping import Tiling
from hardpoint.network import Network

__all__ = ["EFFECTS", "FAULT", "PERMANENT", "SITES", "FaultList", "Stream", "live", "population", "streams"]

SITES = ("act", "wgt", "mul", "carry", "vote", "acc", "drain")
"""Core sites; a site's number is its place here."""

EFFECTS = ("flip", "stuck0", "stuck1")

OVERHANG = 3
"""Copy number of the bits of PL at and above the guard column (`mul`): they exist once, beside the three PH_i."""

CARRY_WIDTH = 4
"""Canonical width of a carry of up to 8-bit operands: no guard column needs more."""

PERMANENT = (0xFFFFFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
"""End of a fault that never ends."""

FAULT = np.dtype(
    [
        ("image", "<u4"),
        ("layer", "<u2"),
        ("tile", "<u4"),
        ("step", "<u4"),
        ("row", "u1"),
        ("col", "u1"),
        ("site", "u1"),
        ("copy", "u1"),
        ("bit", "u1"),
        ("effect", "u1"),
        ("end_image", "<u4"),
        ("end_layer", "<u2"),
        ("end_tile", "<u4"),
        ("end_step", "<u4"),
    ]
)
"""One fault: logical time (image, layer, tile, step), place (row, col, site, copy, bit), effect; stuck bits hold from
their time until before their end. `bit` is the column: a flip changes a sum by 2**bit (operands: the operand by 2**bit)."""

U = NDArray[np.uint64]


@dataclass(frozen=True)
class Stream:
    """One enumerated population: the bits of one copy of one site over all tiles, steps, rows and columns of a layer.

    Index i runs over (tile, step, row, col, bit), bit fastest. The enumeration is canonical: it depends on the array's
    size and widths, not on its guards, so that designs share their draws; indices without a live bit are skipped.
    `first` is the first step, `bits` the canonical width.
    """

    layer: int
    site: int
    copy: int
    tiles: int
    first: int
    steps: int
    rows: int
    cols: int
    bits: int

    @property
    def size(self) -> int:
        """Canonical number of site bits x steps."""
        return self.tiles * self.steps * self.rows * self.cols * self.bits

    @property
    def from_column(self) -> bool:
        """Whether bits count from the PE's guard column."""
        return SITES[self.site] == "carry" or (SITES[self.site] == "mul" and self.copy == OVERHANG)


def streams(array: Array, tiling: Tiling, layer: int) -> list[Stream]:
    """All enumerated populations of one layer that hold at least one bit on `array`, in (site, copy) order."""
    k, widths = tiling.gemm.k, {"act": array.act_bits, "wgt": array.wgt_bits, "carry": CARRY_WIDTH}
    guarded = bool((array.column_map < array.acc_bits).any())
    carried = any(array.carry_bits(guard) for guard in array.guards)
    lanes = {
        "act": array.operand_lanes.max(),
        "wgt": array.operand_lanes.max(),
        "drain": array.drain_lanes.max(),
        "carry": 1,
    }
    found = []
    for site, name in enumerate(SITES):
        copies = list(range(int(lanes.get(name, 3 if guarded else 1))))
        if (name == "carry" and not carried) or (name == "vote" and not guarded):
            continue
        if name == "mul" and carried:
            copies.append(OVERHANG)
        first, steps = {"vote": (1, k), "drain": (k, array.rows)}.get(name, (0, k))
        for copy in copies:
            bits = CARRY_WIDTH if (name, copy) == ("mul", OVERHANG) else widths.get(name, array.acc_bits)
            found.append(Stream(layer, site, copy, tiling.tiles, first, steps, array.rows, array.cols, bits))
    return found


def decode(stream: Stream, index: U, array: Array) -> NDArray[Any]:
    """Faults at canonical indices `index` of `stream`: times, places and columns, for flips; dead indices included."""
    rest = index.astype(np.int64)
    rest, bit = np.divmod(rest, stream.bits)
    rest, col = np.divmod(rest, stream.cols)
    rest, row = np.divmod(rest, stream.rows)
    tile, step = np.divmod(rest, stream.steps)
    out = np.zeros(len(index), FAULT)
    if stream.from_column:
        bit = bit + array.column_map[row, col]
    values = (stream.layer, tile, step + stream.first, row, col, stream.site, stream.copy, bit)
    for name, value in zip(("layer", "tile", "step", "row", "col", "site", "copy", "bit"), values, strict=True):
        out[name] = value
    return out


def live(faults: NDArray[Any], array: Array, tilings: list[Tiling]) -> NDArray[np.bool_]:
    """Which records strike a bit that exists and holds live data at that step (stuck bits: that exists)."""
    table = bit_table(array)
    row, col, site, copy, bit = (faults[key].astype(np.int64) for key in ("row", "col", "site", "copy", "bit"))
    good = (row < array.rows) & (col < array.cols) & (site < len(SITES)) & (copy <= OVERHANG) & (bit < 64)
    good &= faults["layer"] < len(tilings)
    row, col, site, copy, bit = (np.where(good, x, 0) for x in (row, col, site, copy, bit))
    good &= (table[site, copy, row, col] >> bit.astype(np.uint64) & np.uint64(1)).astype(bool)
    flip = faults["effect"] == 0
    layer = np.where(good, faults["layer"], 0)
    sizes = np.array([(t.gemm.m, t.gemm.k, t.gemm.n, t.tiles, t.tiles_n) for t in tilings], np.int64)
    m, k, n, tiles, tiles_n = sizes[layer].T
    tile, step = faults["tile"].astype(np.int64), faults["step"].astype(np.int64)
    drain, vote = site == SITES.index("drain"), site == SITES.index("vote")
    source = row - np.where(drain, step - k, 0)  # the row whose sum passes through
    first = np.where(vote, 1, np.where(drain, k, 0))
    last = np.where(
        vote, np.where((copy == 0) | (array.drain_lanes[row, col] == 3), k, k - 1), np.where(drain, k + row, k - 1)
    )
    when = (tile < tiles) & (step >= first) & (step <= last)
    when &= (tile // tiles_n * array.rows + source < m) & (tile % tiles_n * array.cols + col < n)
    return np.asarray(good & (when | ~flip))


def bit_table(array: Array) -> NDArray[np.uint64]:
    """Which bits exist: one 64-bit mask per (site, copy, row, col)."""

    def ones(low: Any, high: Any) -> NDArray[np.uint64]:
        low, high = np.broadcast_arrays(np.asarray(low, np.uint64), np.asarray(high, np.uint64))
        one = np.uint64(1)
        return np.where(high > low, (one << high) - (one << low), np.uint64(0)).astype(np.uint64)

    b, w = array.column_map, array.acc_bits
    cw = array.per_pe(array.carry_bits)
    reduced = array.per_pe(lambda guard: guard.kind == "rpr").astype(bool)  # one decision for all copies
    table = np.zeros((len(SITES), OVERHANG + 1, array.rows, array.cols), np.uint64)
    for copy in range(3):
        low = 0 if copy == 0 else b
        table[SITES.index("act"), copy] = np.where(copy < array.operand_lanes, ones(0, array.act_bits), 0)
        table[SITES.index("wgt"), copy] = np.where(copy < array.operand_lanes, ones(0, array.wgt_bits), 0)
        table[SITES.index("mul"), copy] = ones(low, w)
        table[SITES.index("vote"), copy] = np.where((copy == 0) | ~reduced, ones(b, w), 0)
        table[SITES.index("acc"), copy] = ones(low, w)
        table[SITES.index("drain"), copy] = np.where(copy < array.drain_lanes, ones(low, w), 0)
    table[SITES.index("mul"), OVERHANG] = table[SITES.index("carry"), 0] = ones(b, b + cw)
    return table


def population(array: Array, network: Network, layer: int | None = None) -> dict[str, int]:
    """Live site bits x steps per image and site, exact: what a BER multiplies; of array layer `layer`, or of all.

    A multiply-accumulate step of an unguarded 8x8-bit PE with a 24-bit accumulator holds 8 + 8 + 24 + 24 live bits.
    """
    table = bit_table(array)
    counts = np.zeros((len(SITES), OVERHANG + 1, array.rows, array.cols), np.int64)
    for bit in range(64):
        counts += (table >> np.uint64(bit) & np.uint64(1)).astype(np.int64)
    total = dict.fromkeys(SITES, 0)
    for index in range(len(network.gemms)) if layer is None else (layer,):
        tiling = Tiling.of(network.gemm(index), array)
        m, k, n = tiling.gemm.m, tiling.gemm.k, tiling.gemm.n
        # how many tiles use row r, and column c
        by_row = sum((np.arange(array.rows) + mt * array.rows < m).astype(np.int64) for mt in range(tiling.tiles_m))
        by_col = sum((np.arange(array.cols) + nt * array.cols < n).astype(np.int64) for nt in range(tiling.tiles_n))
        used = np.multiply.outer(by_row, by_col)
        through = np.multiply.outer(np.cumsum(by_row), by_col)  # sums that pass row r's drain register
        for site, name in enumerate(SITES):
            bits = counts[site]
            if name == "drain":
                total[name] += int((bits.sum(axis=0) * through).sum())
            elif name == "vote":
                steps = np.where(array.drain_lanes == 3, k, k - 1)
                total[name] += int((used * (bits[0] * k + (bits[1] + bits[2]) * steps)).sum())
            else:
                total[name] += int((bits.sum(axis=0) * used).sum() * k)
    return total


@dataclass(frozen=True, eq=False)
class FaultList:
    """The ordered, stored list of faults of one trial: `faults` (dtype FAULT) sorted by (image, layer, tile, step, site).

    `seed`, `trial` and `convention` say how it was drawn, `population` the live site bits x steps per image by site,
    `array` and `network` the digests of what it was drawn for.
    """

    faults: NDArray[Any]
    images: int
    array: str
    network: str
    seed: int = 0
    trial: int = 0
    convention: str = "given"
    population: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = np.array(self.faults, FAULT)
        order = np.lexsort(
            [faults[key] for key in ("bit", "copy", "col", "row", "site", "step", "tile", "layer", "image")]
        )
        faults = faults[order]
        faults.setflags(write=False)
        object.__setattr__(self, "faults", faults)
        if len(faults) and int(faults["image"].max()) >= self.images and (faults["effect"] == 0).any():
            raise InputError(f"a fault list for {self.images} images strikes image {int(faults['image'].max())}")
        if len(faults) and int(faults["effect"].max()) >= len(EFFECTS):
            raise InputError(
                f"fault effects are {', '.join(EFFECTS)} (0 to {len(EFFECTS) - 1}), not {int(faults['effect'].max())}"
            )

    def __len__(self) -> int:
        return len(self.faults)

    @classmethod
    def drawn(cls, faults: Any, images: int, array: Array, network: Network, *rest: Any) -> FaultList:
        """A list whose records are sorted and live by construction: neither is worked out again."""
        made = cls(np.zeros(0, FAULT), images, array.digest, network.digest, *rest)
        faults.setflags(write=False)
        object.__setattr__(made, "faults", faults)
        object.__setattr__(made, "_live", True)
        return made

    @classmethod
    def of(cls, faults: Any, array: Array, network: Network, images: int, **rest: Any) -> FaultList:
        """A list made by hand for `array` and `network`; a record that strikes nothing there is an InputError."""
        made = cls(faults, images, array.digest, network.digest, **rest)
        made.check(array, network)
        return made

    def check(self, array: Array, network: Network) -> None:
        """Raise an InputError unless the list was made for this array and network and every record strikes something."""
        if self.array != array.digest or self.network != network.digest:
            what = "array" if self.array != array.digest else "network"
            theirs, ours = (self.array, array.digest) if what == "array" else (self.network, network.digest)
            raise InputError(f"the fault list was made for {what} {theirs}, not for {ours}")
        if getattr(self, "_live", False):
            return
        tilings = [Tiling.of(network.gemm(i), array) for i in range(len(network.gemms))]
        dead = np.flatnonzero(~live(self.faults, array, tilings))
        if len(dead):
            raise InputError(f"fault {dead[0]} strikes no live bit: {describe(self.faults[dead[0]])}")

    @property
    def digest(self) -> str:
        """Names the list by content."""
        return digest(self.faults, self.array, self.network, str(self.images))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the list to a `.npz` without pickles."""
        header = {key: getattr(self, key) for key in _HEADER}
        save_npz(path, {"format": "hardpoint faults 1", **header}, {"faults": self.faults.view(np.uint8)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FaultList:
        """Read a list; anything else than what `save` writes is an InputError."""
        header, arrays = load_npz(path, "fault list")
        only_keys(header, {"format", *_HEADER}, "fault list")
        if header.pop("format", None) != "hardpoint faults 1" or set(arrays) != {"faults"}:
            raise InputError(f"{path} is no fault list of format 1")
        try:
            return cls(faults=arrays["faults"].view(FAULT), **header)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} is no fault list: {error}") from None


_HEADER = ("images", "array", "network", "seed", "trial", "convention", "population")


def describe(fault: Any) -> str:
    """One fault in words."""
    place = f"{SITES[fault['site']] if fault['site'] < len(SITES) else fault['site']} copy {fault['copy']} bit {fault['bit']}"
    time = f"image {fault['image']} layer {fault['layer']} tile {fault['tile']} step {fault['step']}"
    effect = EFFECTS[fault["effect"]] if fault["effect"] < len(EFFECTS) else fault["effect"]
    return f"{effect} of {place} of PE ({fault['row']}, {fault['col']}) at {time}"
