"""Stuck bits that hold through whole runs: clean runs, with the sums that they reach worked out anew, batch by batch."""


from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.faults import SITES
from hardpoint.host.jit import compiled, inlined, place
from hardpoint.host.program import SIGNED, TILES_K, TRANSPOSED, K, M, N, Program
from hardpoint.layers import Conv
from hardpoint.network import Network

__all__ = ["Permanent"]

ACT, WGT, MUL, ACC, DRAIN = (SITES.index(name) for name in ("act", "wgt", "mul", "acc", "drain"))
ROW, COL, FIRST = range(3)  # columns of a row: which PE; then what is kept and what is set of its values:
A, W, P, S, D, FIELDS = 2, 4, 6, 8, 10, 12  # operands, product, accumulator, what leaves its drain registers


@dataclass(frozen=True, eq=False)
class Permanent:
    """What stuck bits make of the PEs of an array without copies: `pes` (PEs, FIELDS), on a weight-stationary array whole
    columns of them, the accumulator row last (its P is what it reads of its memory).
    """

    program: Program
    pes: NDArray[np.int64]

    @classmethod
    def of(cls, faults: NDArray[Any], first: int, images: int, network: Network, array: Array, program: Program) -> Permanent | None:
        """Of `faults`, if they hold through images `first` .. `first` + `images` - 1 and the array is of that kind; else None."""
        begun = (faults["image"] < first) | ((faults["image"] == first) & (faults["layer"] + faults["tile"] + faults["step"] == 0))
        lasting = (faults["effect"] > 0) & begun & (faults["end_image"] >= first + images)
        plain = not program.sizes[6] and bool((array.column_map == array.acc_bits).all())
        plain &= not any(isinstance(layer, Conv) and layer.depthwise for layer in network.gemms)
        known = np.isin(faults["site"], (ACT, WGT, MUL, ACC, DRAIN)) & (faults["row"] < array.site_rows)
        narrow = all(np.abs(layer.bias).max() <= 1 << 23 for layer in network.gemms) and array.acc_bits <= 24
        if not (plain and narrow and lasting.all() and known.all()):
            return None
        found = []
        for col in range(array.cols):
            masks = [_masks(faults, row, col) for row in range(array.site_rows)]
            struck = [row[2:] != [-1, 0] * 5 for row in masks]
            found += [row for row, mine in zip(masks, struck, strict=True) if mine or (array.dataflow == "ws" and any(struck))]
        return cls(program, np.array(found, np.int64).reshape(-1, FIELDS))

    def strike(self, left: Any, sums: Any, layer: Any, bias: Any) -> None:
        """Give struck sums (images * M, N) of layer row `layer` their values; `left` (images * M, K) are its operands."""
        sizes = self.program.sizes
        if sizes[5]:
            pes = self.pes.reshape(-1, sizes[0] + 1, FIELDS)
            weights = np.zeros(layer[TILES_K] * sizes[0], np.int32)
            stick_columns(left, sums, self.program.weights, layer, sizes, pes, bias, weights)
            return
        weights = np.empty(layer[K], np.int32)
        stick(left, sums, self.program.weights, layer, sizes, self.pes, bias, weights)


def _masks(faults: NDArray[Any], row: int, col: int) -> list[int]:
    """Row of `Permanent.pes` for PE (row, col)."""
    site, r, c = (faults[name].astype(np.int64) for name in ("site", "row", "col"))
    upstream = {
        A: (site == ACT) & (r == row) & (c <= col), W: (site == WGT) & (c == col) & (r <= row),
        P: (site == MUL) & (r == row) & (c == col), S: (site == ACC) & (r == row) & (c == col),
        D: (site == DRAIN) & (c == col) & (r >= row),
    }  # fmt: skip
    made = [row, col] + [-1, 0] * 5
    for field, here in upstream.items():
        for fault in sorted(faults[here], key=lambda fault: (fault["row"], fault["col"], fault["effect"])):
            bit = 1 << int(fault["bit"])
            if fault["effect"] == 1:
                made[field], made[field + 1] = made[field] & ~bit, made[field + 1] & ~bit
            else:
                made[field + 1] |= bit
    return made


@inlined
def sign(code: Any, bits: int, signed: int) -> Any:
    """Value of a code of `bits` bits."""
    half = np.int32(signed << (bits - 1))
    return ((code & np.int32((1 << bits) - 1)) ^ half) - half


@compiled
def stick(left: Any, sums: Any, weights: Any, layer: Any, sizes: Any, pes: Any, bias: Any, column: Any) -> None:
    """See `Permanent.strike`; `column` is memory for the weights of one output."""
    rows, cols, acc_bits, act_bits, wgt_bits = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    k_end, mask, signed = place(layer[K]), np.int32((1 << acc_bits) - 1), layer[SIGNED]
    half = 1 << (acc_bits - 1)
    a_half, a_mask = np.int32(signed << (act_bits - 1)), np.int32((1 << act_bits) - 1)
    for i in range(len(pes)):
        pe = pes[i]
        a_keep, a_set = np.int32(pe[A] & a_mask), np.int32(pe[A + 1])
        w_keep, w_set = np.int32(pe[W]), np.int32(pe[W + 1])
        p_keep, p_set = np.int32(pe[P] & mask), np.int32(pe[P + 1])
        s_keep, s_set = np.int32(pe[S] & mask), np.int32(pe[S + 1])
        for n in range(pe[COL], layer[N], cols):
            at = place(layer[TRANSPOSED] + n * layer[K])
            for k in range(k_end):
                column[k] = sign((np.int32(weights[at + k]) & w_keep) | w_set, wgt_bits, 1)
            offset = int(bias[n])
            for top in range(0, len(sums), layer[M]):
                for row in range(top + pe[ROW], top + layer[M], rows):
                    total = np.int32(0)
                    if pe[S] == -1 and pe[S + 1] == 0:
                        for k in range(k_end):
                            a = (((np.int32(left[place(row), k]) & a_keep) | a_set) ^ a_half) - a_half
                            total += ((a * column[k]) & p_keep) | p_set
                    else:
                        for k in range(k_end):
                            a = (((np.int32(left[place(row), k]) & a_keep) | a_set) ^ a_half) - a_half
                            total = ((total + (((a * column[k]) & p_keep) | p_set)) & s_keep) | s_set
                    total = ((total & mask & np.int32(pe[D])) | np.int32(pe[D + 1])) + np.int32(offset)
                    sums[row, n] = ((total + half) & ((1 << acc_bits) - 1)) - half - offset


@compiled
def stick_columns(left: Any, sums: Any, weights: Any, layer: Any, sizes: Any, pes: Any, bias: Any, column: Any) -> None:
    """As `stick`, weight-stationary: `pes` (columns, rows + 1, FIELDS); `column` is zeroed memory for the weights of one output."""
    rows, cols, acc_bits, act_bits, wgt_bits = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    mask, half, signed, end = (1 << acc_bits) - 1, 1 << (acc_bits - 1), layer[SIGNED], layer[K]
    for i in range(len(pes)):
        below = pes[i, rows]
        summed = below[P] != -1 or below[P + 1] != 0
        for row in range(rows + 1):
            summed |= pes[i, row, S] != -1 or pes[i, row, S + 1] != 0
        for n in range(pes[i, 0, COL], layer[N], cols):
            at = place(layer[TRANSPOSED] + n * layer[K])
            for k in range(layer[TILES_K] * rows):
                w = int(weights[at + place(k)]) if k < end else 0
                column[k] = sign((w & pes[i, k % rows, W]) | pes[i, k % rows, W + 1], wgt_bits, 1)
            offset = int(bias[n])
            for pixel in range(len(sums)):
                if not summed:  # only products change
                    total = int(sums[pixel, n])
                    for row in range(rows):
                        pe = pes[i, row]
                        if pe[A] == -1 and pe[A + 1] == 0 and pe[W] == -1 and pe[W + 1] == 0 and pe[P] == -1 and pe[P + 1] == 0:
                            continue
                        for k in range(row, layer[TILES_K] * rows, rows):
                            a = int(left[pixel, k]) if k < end else 0
                            if k < end:
                                total -= a * int(weights[at + place(k)])
                            product = sign((a & pe[A]) | pe[A + 1], act_bits, signed) * column[k]
                            total += ((product & mask) & pe[P]) | pe[P + 1]
                else:
                    total = 0
                    for kt in range(layer[TILES_K]):
                        part = 0
                        for row in range(rows):
                            pe, k = pes[i, row], kt * rows + row
                            a = int(left[pixel, k]) if k < end else 0
                            product = sign((a & pe[A]) | pe[A + 1], act_bits, signed) * column[k]
                            part = (((part + (((product & mask) & pe[P]) | pe[P + 1])) & mask) & pe[S]) | pe[S + 1]
                        word = (total & below[P]) | below[P + 1] if kt else 0
                        total = (((part + word) & mask) & below[S]) | below[S + 1]
                sums[pixel, n] = ((total + offset + half) & mask) - half - offset
