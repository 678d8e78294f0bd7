"""How a layer's GEMM is laid on the array: tiles, steps and cycles of the dataflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.layers import Gemm

__all__ = ["Stationary", "Tiling"]


@dataclass(frozen=True)
class Tiling:
    """Tiles of `gemm` on a `rows` x `cols` array.

    Output-stationary: tile t covers outputs m in [mt*rows, ...) and n in [nt*cols, ...) with t = mt*tiles_n + nt;
    PE (r, c) owns (mt*rows + r, nt*cols + c) and does step k, the product a[m, k] * w[k, n], for k = 0 .. K-1; step K
    hands the sum over to the drain register; drain step K + d moves the value of row r - d into row r's register.

    >>> t = Tiling(Gemm(20, 9, 10), 8, 8)
    >>> t.tiles_m, t.tiles_n, t.tiles, t.period
    (3, 2, 6, 9)
    """

    gemm: Gemm
    rows: int
    cols: int

    @classmethod
    def of(cls, gemm: Gemm, array: Array) -> Tiling:
        """Tiles of `gemm` on `array`."""
        return cls(gemm, array.rows, array.cols)

    @property
    def tiles_m(self) -> int:
        """Tiles along the output pixels."""
        return -(-self.gemm.m // self.rows)

    @property
    def tiles_n(self) -> int:
        """Tiles along the output channels."""
        return -(-self.gemm.n // self.cols)

    @property
    def tiles(self) -> int:
        """Tiles per image."""
        return self.tiles_m * self.tiles_n

    @property
    def period(self) -> int:
        """Cycles from one tile's first step to the next one's: a column of sums must leave before the next arrives."""
        return max(self.gemm.k, self.rows)


@dataclass(frozen=True)
class Stationary:
    """Weight tiles of `gemm` on a `rows` x `cols` array in weight-stationary use.

    Tile (kt, nt) covers k in [kt*rows, ...) and n in [nt*cols, ...); PE (r, c) holds w[kt*rows + r, nt*cols + c], or
    zero beyond K or N. So PE (r, c) holds the weights with k mod rows = r and n mod cols = c, and no others. For a
    depthwise convolution k is the place in the window and n the channel.

    >>> s = Stationary(Gemm(20, 9, 10), 4, 8)
    >>> s.tiles_k, s.tiles_n, s.tiles
    (3, 2, 6)
    """

    gemm: Gemm
    rows: int
    cols: int

    @classmethod
    def of(cls, gemm: Gemm, array: Array) -> Stationary:
        """Weight tiles of `gemm` on `array`."""
        return cls(gemm, array.rows, array.cols)

    @property
    def tiles_k(self) -> int:
        """Tiles along the reduction."""
        return -(-self.gemm.k // self.rows)

    @property
    def tiles_n(self) -> int:
        """Tiles along the output channels."""
        return -(-self.gemm.n // self.cols)

    @property
    def tiles(self) -> int:
        """Weight tiles per image."""
        return self.tiles_k * self.tiles_n

    def spread(self, per_pe: NDArray[Any]) -> NDArray[Any]:
        """`per_pe` (rows, cols) as seen by the weights: (K, N), entry (k, n) that of the PE which holds w[k, n]."""
        row, col = np.arange(self.gemm.k) % self.rows, np.arange(self.gemm.n) % self.cols
        return per_pe[np.ix_(row, col)]
