"""What is struck, where and when: sites, their enumeration, and the lists of faults that every engine plays."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.beside import buffer_codes, buffer_streams, live_buffers, live_unit, unit_population, unit_streams, words
from hardpoint.errors import InputError
from hardpoint.files import digest, load_npz, only_keys, save_npz
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.sites import (
    BUFFERS,
    CARRY_WIDTH,
    EFFECTS,
    FAULT,
    OVERHANG,
    PE_SITES,
    PERMANENT,
    SITES,
    UNIT_ROW,
    Stream,
)

__all__ = [
    "BUFFERS",
    "CARRY_WIDTH",
    "EFFECTS",
    "FAULT",
    "OVERHANG",
    "PERMANENT",
    "PE_SITES",
    "SITES",
    "UNIT_ROW",
    "FaultList",
    "Stream",
    "bit_table",
    "decode",
    "describe",
    "live",
    "live_pes",
    "pe_streams",
    "population",
    "streams",
]

U = NDArray[np.uint64]
I = NDArray[np.int64]  # noqa: E741 - an array of integers


def streams(array: Array, network: Network, layer: int) -> list[Stream]:
    """All enumerated populations of one layer that hold at least one bit: of the array, the recompute unit, buffers."""
    pes = pe_streams(array, Tiling.of(network.gemm(layer), array), layer)
    return pes + unit_streams(array, network, layer) + buffer_streams(array, network, layer)


def pe_streams(array: Array, tiling: Tiling, layer: int) -> list[Stream]:
    """Enumerated populations of the array itself, in (site, copy) order."""
    widths = {"act": array.act_bits, "wgt": array.pe_wgt_bits, "carry": CARRY_WIDTH}
    guarded = bool((array.column_map < array.acc_bits).any())
    carried = any(array.carry_bits(guard) for guard in array.guards)
    lanes = {
        "act": array.operand_lanes.max(),
        "wgt": array.operand_lanes.max(),
        "drain": array.drain_lanes.max() if array.dataflow == "os" else 0,
        "carry": int(carried),
    }
    found = []
    for site, name in enumerate(PE_SITES):
        copies = list(range(int(lanes.get(name, 3 if guarded else 1))))
        if name == "vote" and not guarded:
            continue
        if name == "mul" and carried:
            copies.append(OVERHANG)
        first, steps = _steps(tiling, name)
        for copy in copies:
            bits = CARRY_WIDTH if (name, copy) == ("mul", OVERHANG) else widths.get(name, array.acc_bits)
            found.append(Stream(layer, site, copy, tiling.tiles, first, steps, array.site_rows, array.cols, bits))
    return found


def _steps(tiling: Tiling, site: str) -> tuple[int, int]:
    """First step and number of steps that the enumeration of `site` runs over."""
    if tiling.stationary:
        return (0, tiling.period) if site == "wgt" else (tiling.rows, tiling.pixels)
    k = tiling.gemm.k
    return {"vote": (1, k), "drain": (k, tiling.rows)}.get(site, (0, k))


def decode(stream: Stream, index: U, array: Array) -> NDArray[Any]:
    """Faults at canonical indices `index` of `stream`: times, places and columns, for flips; dead indices included."""
    rest = index.astype(np.int64)
    rest, bit = np.divmod(rest, stream.bits)
    rest, col = np.divmod(rest, stream.cols)
    rest, row = np.divmod(rest, stream.rows)
    tile, step = np.divmod(rest, stream.steps)
    out = np.zeros(len(index), FAULT)
    if stream.from_column:
        bit = bit + (array.unit_column if stream.unit else array.site_columns[row, col])
    row = row + UNIT_ROW * stream.unit
    values = (stream.layer, tile, step + stream.first, row, col, stream.site, stream.copy, bit)
    for name, value in zip(("layer", "tile", "step", "row", "col", "site", "copy", "bit"), values, strict=True):
        out[name] = value
    return out


def live(faults: NDArray[Any], array: Array, network: Network) -> NDArray[np.bool_]:
    """Which records strike a bit that exists and holds live data at that step (stuck bits: that exists)."""
    found = live_pes(faults, array, [Tiling.of(network.gemm(i), array) for i in range(len(network.gemms))])
    if not found.all():
        found |= live_unit(faults, array, network) | live_buffers(faults, array, network)
    return found


def live_pes(faults: NDArray[Any], array: Array, tilings: list[Tiling]) -> NDArray[np.bool_]:
    """As `live`, of the array's own sites; layer l of the records is laid out as `tilings[l]`."""
    table = bit_table(array)
    row, col, site, copy, bit = (faults[key].astype(np.int64) for key in ("row", "col", "site", "copy", "bit"))
    good = (row < array.site_rows) & (col < array.cols) & (site < len(PE_SITES)) & (copy <= OVERHANG) & (bit < 64)
    good &= faults["layer"] < len(tilings)
    row, col, site, copy, bit = (np.where(good, x, 0) for x in (row, col, site, copy, bit))
    good &= (table[site, copy, row, col] >> bit.astype(np.uint64) & np.uint64(1)).astype(bool)
    flip = faults["effect"] == 0
    names = ("m", "k", "n", "depthwise")
    rows = [(*(getattr(t.gemm, key) for key in names), t.tiles, t.tiles_n, t.tiles_k, t.pixels) for t in tilings]
    m, k, n, depthwise, tiles, tiles_n, tiles_k, pixels = np.array(rows, np.int64)[np.where(good, faults["layer"], 0)].T
    tile, step = faults["tile"].astype(np.int64), faults["step"].astype(np.int64)
    rest, kt = np.divmod(tile, tiles_k)
    mt, nt = np.divmod(rest, tiles_n)
    last_col = np.where(depthwise, nt % array.cols, n - 1 - nt * array.cols)  # the last column in use
    used = np.where(depthwise, col == last_col, col <= last_col)
    passed = (site == SITES.index("act")) & (col <= last_col)  # activations pass idle columns to a used one
    if array.dataflow == "os":
        first, last, source = _output_stationary(site, copy, row, step, k, array.drain_lanes[row, col])
        when = (step >= first) & (step <= last) & (mt * array.rows + source < m) & (used | passed)
    else:
        compute = (step >= array.rows) & (mt * pixels + step - array.rows < m) & (step < array.rows + pixels)
        mine = kt * array.rows + row < k
        above = np.maximum(array.rows - 1 - step, row)  # the row whose weight the register takes, or holds
        when = np.select(
            [site == SITES.index("wgt"), site == SITES.index("act"), site == SITES.index("mul")],
            [
                used & (step < array.rows + pixels) & (kt * array.rows + above < k),
                compute & passed & mine,
                compute & used & ((row < array.rows) | (kt > 0)),
            ],
            compute & used,
        )
    return np.asarray(good & ((when & (tile < tiles)) | ~flip))


def _output_stationary(site: I, copy: I, row: I, step: I, k: I, drain_lanes: I) -> tuple[I, I, I]:
    """First and last live step of sites, and the row whose sum they hold."""
    drain, vote = site == SITES.index("drain"), site == SITES.index("vote")
    first = np.where(vote, 1, np.where(drain, k, 0))
    last = np.where(vote, np.where((copy == 0) | (drain_lanes == 3), k, k - 1), np.where(drain, k + row, k - 1))
    return first, last, row - np.where(drain, step - k, 0)


@lru_cache(maxsize=16)
def bit_table(array: Array) -> NDArray[np.uint64]:
    """Which bits exist: one 64-bit mask per (site, copy, row, col), read-only; row R is the accumulator row."""

    def ones(low: Any, high: Any) -> NDArray[np.uint64]:
        low, high = np.broadcast_arrays(np.asarray(low, np.uint64), np.asarray(high, np.uint64))
        one = np.uint64(1)
        return np.where(high > low, (one << high) - (one << low), np.uint64(0)).astype(np.uint64)

    b, w = array.column_map, array.acc_bits
    cw = array.per_pe(array.carry_bits)
    reduced = array.per_pe(lambda guard: guard.kind == "rpr").astype(bool)  # one decision for all copies
    drained = array.drain_lanes if array.dataflow == "os" else 0
    table = np.zeros((len(SITES), OVERHANG + 1, array.site_rows, array.cols), np.uint64)
    pes = table[:, :, : array.rows]
    act, wgt, mul, carry, vote, acc, drain = range(7)
    for copy in range(3):
        low = 0 if copy == 0 else b
        pes[act, copy] = np.where(copy < array.operand_lanes, ones(0, array.act_bits), 0)
        pes[wgt, copy] = np.where(copy < array.operand_lanes, ones(0, array.pe_wgt_bits), 0)
        pes[mul, copy] = pes[acc, copy] = ones(low, w)
        pes[vote, copy] = np.where((copy == 0) | ~reduced, ones(b, w), 0)
        pes[drain, copy] = np.where(copy < drained, ones(low, w), 0)
    pes[mul, OVERHANG] = pes[carry, 0] = ones(b, b + cw)
    if array.dataflow == "ws":
        table[acc, :, -1], table[vote, :, -1] = pes[acc, :, 0], pes[vote, :, 0]
        table[mul, :OVERHANG, -1] = pes[mul, :OVERHANG, 0]
        table[mul, 1:, -1] = np.where(reduced[0], 0, table[mul, 1:, -1])  # its addend is decided once
        table[carry, 0, -1] = ones(b[0], b[0] + (cw[0] > 0))
        table[vote, :, 0] = 0  # sums start above row 0
    table.setflags(write=False)
    return table


def population(array: Array, network: Network, layer: int | None = None, buffers: bool = False) -> dict[str, int]:
    """Live site bits x steps per image and site, exact: what a BER multiplies; of array layer `layer`, or of all.

    Those of buffers are counted if `buffers`, else 0, as they are struck only if they are given a weight. A multiply-accumulate step of an unguarded 8x8-bit PE with a 24-bit accumulator holds 8 + 8 + 24 + 24 live bits.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> u4, s4, s8 = (Fixed.parse(text) for text in ("u4.0", "s4.0", "s8.0"))
    >>> net = Network((2,), u4, (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, s8, s4),))
    >>> found = population(Array(1, 2), net)  # two PEs, two steps
    >>> {site: found[site] for site in ("act", "wgt", "mul", "acc", "drain")}
    {'act': 32, 'wgt': 32, 'mul': 96, 'acc': 96, 'drain': 48}
    """
    table = bit_table(array)
    counts = np.zeros(table.shape, np.int64)
    for bit in range(64):
        counts += (table >> np.uint64(bit) & np.uint64(1)).astype(np.int64)
    count = _stationary_population if array.dataflow == "ws" else _output_population
    total = dict.fromkeys(SITES, 0)
    for index in range(len(network.gemms)) if layer is None else (layer,):
        for name, bits in count(array, Tiling.of(network.gemm(index), array), counts).items():
            total[name] += bits
        for name, bits in unit_population(array, network, index).items():
            total[name] += bits
        for name, (codes, bits) in buffer_codes(network, index).items() if buffers else ():
            total[name] += codes * bits + 8 * words(codes, bits) * array.ecc
    return total


def _uses(tiling: Tiling) -> tuple[I, I]:
    """How many of the tiles along the channels use array column c, and how many any column from c on: (cols,) each."""
    tiles, cols = np.arange(tiling.tiles_n)[:, None], np.arange(tiling.cols)
    used = tiling.channel(tiles, cols) >= 0
    return used.sum(axis=0), np.logical_or.accumulate(used[:, ::-1], axis=1)[:, ::-1].sum(axis=0)


def _output_population(array: Array, tiling: Tiling, counts: I) -> dict[str, int]:
    """Live site bits x steps of one layer on an output-stationary array; `counts` of bits (site, copy, row, col)."""
    m, k = tiling.gemm.m, tiling.gemm.k
    by_row = sum((np.arange(array.rows) + mt * array.rows < m).astype(np.int64) for mt in range(tiling.tiles_m))
    by_col, passing = _uses(tiling)
    through = np.cumsum(by_row)  # sums that pass row r's drain register
    vote_steps = np.stack([np.full(array.drain_lanes.shape, k)] + [np.where(array.drain_lanes == 3, k, k - 1)] * 2)
    total = {}
    for name, bits in zip(PE_SITES, counts, strict=False):
        steps = vote_steps if name == "vote" else 1 if name == "drain" else k
        uses = np.multiply.outer(through if name == "drain" else by_row, passing if name == "act" else by_col)
        total[name] = int((bits[:3] * steps * uses).sum() + (bits[3] * uses).sum() * k)
    return total


def _stationary_population(array: Array, tiling: Tiling, counts: I) -> dict[str, int]:
    """Live site bits x steps of one layer on a weight-stationary array; `counts` of bits (site, copy, row, col)."""
    rows, m, kts = array.rows, tiling.gemm.m, tiling.tiles_k
    by_col, passing = _uses(tiling)
    held = np.array([sum(kt * rows + r < tiling.gemm.k for kt in range(kts)) for r in range(rows)], np.int64)
    through = np.cumsum(held[::-1])[::-1] + (np.arange(rows) + tiling.pixels) * held  # weights that pass, then its own
    steps = {"act": m * np.append(held, 0), "wgt": tiling.tiles_m * np.append(through, 0)}
    steps["mul"] = m * np.append(np.full(rows, kts), kts - 1)
    every = np.full(rows + 1, m * kts)
    return {
        name: int((bits * np.multiply.outer(steps.get(name, every), passing if name == "act" else by_col)).sum())
        for name, bits in zip(PE_SITES, counts, strict=False)
    }


@dataclass(frozen=True, eq=False)
class FaultList:
    """The ordered, stored list of faults of one trial: `faults` (dtype FAULT) sorted by (image, layer, tile, step, site).

    `seed`, `trial` and `convention` say how it was drawn, `population` the live site bits x steps per image by site,
    `array` and `network` the digests of what it was drawn for.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> u4, s4, s8 = (Fixed.parse(text) for text in ("u4.0", "s4.0", "s8.0"))
    >>> net = Network((2,), u4, (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, s8, s4),))
    >>> fault = np.zeros(1, FAULT)
    >>> fault["site"], fault["step"], fault["bit"] = SITES.index("acc"), 1, 20
    >>> len(FaultList.of(fault, Array(1, 2), net, images=1))
    1
    >>> fault["col"] = 2
    >>> FaultList.of(fault, Array(1, 2), net, images=1)
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: fault 0 strikes no live bit: flip of acc copy 0 bit 20 of PE (0, 2) at image 0 layer 0 tile 0 step 1
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
        dead = np.flatnonzero(~live(self.faults, array, network))
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
    """One fault in words.

    >>> describe(np.zeros(1, FAULT)[0])
    'flip of act copy 0 bit 0 of PE (0, 0) at image 0 layer 0 tile 0 step 0'
    """
    site = SITES[fault["site"]] if fault["site"] < len(SITES) else fault["site"]
    where = f"PE ({fault['row']}, {fault['col']})"
    if site in BUFFERS:
        where = "its code"
    elif fault["row"] == UNIT_ROW:
        where = f"lane {fault['col']} of the recompute unit"
    time = f"image {fault['image']} layer {fault['layer']} tile {fault['tile']} step {fault['step']}"
    effect = EFFECTS[fault["effect"]] if fault["effect"] < len(EFFECTS) else fault["effect"]
    return f"{effect} of {site} copy {fault['copy']} bit {fault['bit']} of {where} at {time}"
