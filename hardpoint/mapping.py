"""How a layer's GEMM is laid on the array: tiles and steps of the dataflows, and which PE holds which weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.layers import Gemm

__all__ = ["Tiling"]


@dataclass(frozen=True)
class Tiling:
    """Tiles of `gemm` on a `rows` x `cols` array; tile t = (mt * tiles_n + nt) * tiles_k + kt.

    Output-stationary ("os"): tile t covers outputs m in [mt*rows, ...) and n in [nt*cols, ...), tiles_k is 1.
    PE (r, c) owns (mt*rows + r, nt*cols + c) and does step k, the product a[m, k] * w[k, n], for k = 0 .. K-1; step K
    hands the sum over to the drain register; drain step K + d moves the value of row r - d into row r's register.

    Weight-stationary ("ws"): PE (r, c) holds w[kt*rows + r, nt*cols + c], loaded in steps 0 .. rows-1; in step
    rows + i it multiplies pixel m = mt*pixels + i. `depth` sums fit into the accumulator memory below a column.

    A depthwise convolution has tiles per channel, nt = n, of which only array column n mod cols is used.

    >>> t = Tiling(Gemm(20, 9, 10), 8, 8)
    >>> t.tiles_m, t.tiles_n, t.tiles, t.period
    (3, 2, 6, 9)
    >>> t = Tiling(Gemm(20, 9, 10), 4, 8, "ws", depth=16)
    >>> t.tiles_m, t.tiles_n, t.tiles_k, t.tiles, t.pixels, t.period
    (2, 2, 3, 12, 10, 14)
    """

    gemm: Gemm
    rows: int
    cols: int
    dataflow: str = "os"
    depth: int = 512

    @classmethod
    def of(cls, gemm: Gemm, array: Array) -> Tiling:
        """Tiles of `gemm` on `array`."""
        return cls(gemm, array.rows, array.cols, array.dataflow, array.depth)

    @property
    def stationary(self) -> bool:
        """Whether weights stay (weight-stationary)."""
        return self.dataflow == "ws"

    @property
    def tiles_m(self) -> int:
        """Tiles along the output pixels; weight-stationary: chunks of pixels that fit the accumulator memory."""
        return -(-self.gemm.m // (self.depth if self.stationary else self.rows))

    @property
    def tiles_n(self) -> int:
        """Tiles along the output channels."""
        return self.gemm.n if self.gemm.depthwise else -(-self.gemm.n // self.cols)

    @property
    def tiles_k(self) -> int:
        """Tiles along the reduction, 1 where sums stay."""
        return -(-self.gemm.k // self.rows) if self.stationary else 1

    @property
    def tiles(self) -> int:
        """Tiles per image."""
        return self.tiles_m * self.tiles_n * self.tiles_k

    @property
    def pixels(self) -> int:
        """Output pixels per tile: the rows, or P of the weight-stationary schedule."""
        return -(-self.gemm.m // self.tiles_m) if self.stationary else self.rows

    @property
    def period(self) -> int:
        """Steps from one tile's first step to the next one's.

        Output-stationary max(K, rows): a column of sums must leave before the next arrives; weight-stationary rows + P.
        """
        return self.rows + self.pixels if self.stationary else max(self.gemm.k, self.rows)

    def part(self, tile: Any) -> tuple[Any, Any, Any]:
        """(mt, nt, kt) of `tile`, a number or an array of them.

        >>> Tiling(Gemm(20, 9, 10), 4, 8, "ws", depth=16).part(7)
        (1, 0, 1)
        """
        rest, kt = divmod(tile, self.tiles_k)
        return *divmod(rest, self.tiles_n), kt

    def channel(self, nt: Any, col: Any) -> Any:
        """Output channel n that array column `col` works for in tiles `nt`, -1 where it is idle.

        >>> Tiling(Gemm(20, 9, 10), 4, 8).channel(1, np.arange(4)), Tiling(Gemm(20, 9, 10, True), 4, 8).channel(9, 1)
        (array([ 8,  9, -1, -1]), array(9))
        """
        if self.gemm.depthwise:
            return np.where(np.asarray(col) == nt % self.cols, nt, -1)
        n = nt * self.cols + np.asarray(col)
        return np.where(n < self.gemm.n, n, -1)

    def spread(self, per_pe: NDArray[Any]) -> NDArray[Any]:
        """`per_pe` (rows, cols) as seen by the weights: (K, N), entry (k, n) that of PE (k mod rows, n mod cols).

        That PE holds w[k, n] in weight-stationary use, in whatever tile, and no other one does.
        """
        row, col = np.arange(self.gemm.k) % self.rows, np.arange(self.gemm.n) % self.cols
        return per_pe[np.ix_(row, col)]
