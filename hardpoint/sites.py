"""Sites of faults and the record of a fault: what every engine, file and drawing shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    "Stream",
]

PE_SITES = ("act", "wgt", "mul", "carry", "vote", "acc", "drain")
"""Sites of processing elements, and of the recompute unit."""

BUFFERS = ("wbuf", "abuf", "obuf")
"""Weight, input and output codes of a layer in on-chip memory."""

SITES = (*PE_SITES, "index", *BUFFERS)
"""All sites, the recompute unit's index memory among them; a site's number is its place here."""

EFFECTS = ("flip", "stuck0", "stuck1")

OVERHANG = 3
"""Copy number of the bits of PL at and above the guard column (`mul`): they exist once, beside the three PH_i."""

CARRY_WIDTH = 4
"""Canonical width of a carry of up to 8-bit operands: no guard column needs more."""

UNIT_ROW = 254
"""Row of the recompute unit in a fault record."""

UNIT_CARRY_WIDTH = 10
"""Canonical width of a recompute unit's carry: no guard column of up to 64 lanes needs more."""

INDEX_BITS = 24
"""Bits of a neuron's number in the recompute unit's index memory."""

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


@dataclass(frozen=True)
class Stream:
    """One enumerated population: the bits of one copy of one site over all tiles, steps, rows and columns of a layer.

    Index i runs over (tile, step, row, col, bit), bit fastest. The enumeration is canonical: it depends on the array's
    size and widths, not on its guards, so that designs share their draws; indices without a live bit are skipped.
    `first` is the first step, `bits` the canonical width. `unit`: of the recompute unit, tiles being its neurons.
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
    unit: bool = False

    @property
    def size(self) -> int:
        """Canonical number of site bits x steps."""
        return self.tiles * self.steps * self.rows * self.cols * self.bits

    @property
    def from_column(self) -> bool:
        """Whether bits count from the guard column."""
        return SITES[self.site] == "carry" or (SITES[self.site] == "mul" and self.copy == OVERHANG)

    @property
    def key(self) -> int:
        """The fourth counter word of its random numbers."""
        return self.layer << 16 | self.site << 8 | self.copy + 64 * self.unit
