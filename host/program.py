"""A network and an array as flat tables of integers, the form in which kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array, Guard, baugh_wooley_constant, most_carry
from hardpoint.errors import InputError
from hardpoint.layers import Add, AvgPool, Conv, Dense, Layer, MaxPool, Rescale
from hardpoint.mapping import Tiling
from hardpoint.network import Network

__all__ = ["Program"]

# Kinds of layers.
GEMM, DEPTHWISE, MAXPOOL, AVGPOOL, ADD, RESCALE, FUSED = range(7)

# Columns of the layer table. Offsets count words: IN, OUT, SUMS in an image's state; WEIGHTS (K, N) and TRANSPOSED
# (N, K) in the weights, WHOLE (N, K) those without a bypass; REQUANTISE in the requantisation table; AT_M and AT_K rows in
# the table of places; ENTRIES in the lists of the recompute unit, of which COUNT are this layer's, and CELLS in the table
# that says which entry names a sum (-1: none). IN_ID, IN2_ID and OUT_ID number tensors. POOLED: the next layer is a
# max-pooling that alone reads this one; then that is FUSED into this one, whose own codes are kept nowhere:
# requantisation never decreases, so it may as well come after pooling. CHUNK: pixels of a weight-stationary tile. DEMAND: no
# state holds this layer's sums, because those of a pixel are sooner worked out than stored and fetched; SUMS counts words
# of the memory in which a replay works them out.
(
    KIND, IN, IN2, OUT, SUMS, IN_ID, IN2_ID, OUT_ID, INDEX, H, W, C, OH, OW, N, KH, KW, SH, SW, TOP, LEFT, M, K,
    WEIGHTS, TRANSPOSED, REQUANTISE, LOW, HIGH, SIGNED, ALIGN, ALIGN2, TILES_N, AT_M, AT_K, POOLED,
    WHOLE, TILES_K, CHUNK, ENTRIES, COUNT, CELLS, IN_BITS, WGT_BITS, OUT_BITS, OUT_SIGNED, DEMAND, COLUMNS,
) = range(47)  # fmt: skip

FEW = 32
"""Products of a sum up to which sums of the first layer are worked out on demand."""

# Columns of the table of tensors: their offset in the state, their size, codes per pixel, pixels of the tensors before.
OFFSET, _, ROW, PIXELS = range(4)

# Columns of the table of an array's PEs. BOUND: of reduced-precision redundancy, else -1.
COLUMN, CARRY, OPERAND, DRAIN, WRAPS, BOUND, BYPASS, PE_COLUMNS = range(8)

# Places in the description of the recompute unit.
UNIT_LANES, UNIT_COLUMN, UNIT_CARRY, UNIT_OPERAND, UNIT_DRAIN, UNIT_WRAPS = range(6)


@dataclass(frozen=True, eq=False)
class Program:
    """`layers` (layer, COLUMNS), `weights` (flat), `requantise` (4, channels: bias, shift, half, odd), `pes` (rows,
    cols, PE_COLUMNS), `sizes` (rows, cols, accumulator bits, operand bits, whether weights stay, whether PEs are
    bypassed). `places` (rows, 3) says where operand (m, k) lies in its input: height and width are sums of m's and k's
    (the padding aside), so is its place in the state. `unit` describes the recompute unit; `entries` are the neurons
    that it computes, `cells` says for every sum of a layer with such neurons which entry names it.

    An image's state is one vector of `words` int32: the codes of every tensor, then the sums of array layers (modulo
    2**32, without bias), except those worked out on demand. `tensors` (number, 4) describes codes, the input's first.
    """

    layers: NDArray[np.int64]
    weights: NDArray[np.int16]
    requantise: NDArray[np.int64]
    pes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    tensors: NDArray[np.int64]
    unit: NDArray[np.int64]
    entries: NDArray[np.int64]
    cells: NDArray[np.int32]
    words: int

    @classmethod
    def of(cls, network: Network, array: Array, bypass: NDArray[np.bool_]) -> Program:
        """The tables of `network` on `array`, PEs at which `bypass` (rows, cols) is true bypassed."""
        shapes, names = network.shapes, ["input", *(layer.name for layer in network.layers)]
        fused = {layer.name for i, layer in enumerate(network.layers) if _pooled(network, i)}
        sizes = [0 if name in fused else int(np.prod(shapes[name])) for name in names]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        words = int(offsets[-1])
        rows, weights, requantise, places, at, channel, index = [], [], [], [], 0, 0, 0
        place = 0
        entries, cells = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        named = cell = 0
        masked = array.dataflow == "ws" and bool(bypass.any())
        for i, layer in enumerate(network.layers):
            row = np.zeros(COLUMNS, np.int64)
            sources = [names.index(name) for name in layer.inputs]
            row[[IN_ID, IN, IN2_ID, IN2]] = sources[0], offsets[sources[0]], sources[-1], offsets[sources[-1]]
            row[[OUT_ID, OUT, INDEX, SUMS]] = i + 1, offsets[i + 1], -1, -1
            row[[LOW, HIGH]] = _bounds(network, layer)
            row[[KH, KW, SH, SW]] = 1
            kind, table = _geometry(row, layer, shapes[layer.inputs[0]], shapes[layer.name])
            row[KIND] = FUSED if layer.inputs[0] in fused else kind
            row[POOLED] = layer.name in fused
            if isinstance(layer, (Conv, Dense)):
                tiling = Tiling.of(network.gemm(index), array)
                gemm = tiling.gemm
                row[[M, K, N, INDEX, SUMS]] = gemm.m, gemm.k, gemm.n, index, words
                row[[WEIGHTS, TRANSPOSED, WHOLE]] = at, at + layer.weight.size, at + layer.weight.size
                row[[SIGNED, IN_BITS]] = network.formats[layer.input].signed, network.formats[layer.input].bits
                row[[WGT_BITS, OUT_BITS, OUT_SIGNED]] = layer.weight_format.bits, layer.out.bits, layer.out.signed
                row[[TILES_N, TILES_K, CHUNK]] = tiling.tiles_n, tiling.tiles_k, tiling.pixels
                row[[AT_M, AT_K]] = place, place + gemm.m
                places.append(_places(row))
                place += gemm.m + gemm.k
                matrix = layer.matrix()
                if masked:
                    kept = matrix * ~tiling.spread(bypass)
                    weights += [kept.ravel(), kept.T.ravel(), matrix.T.ravel()]
                    row[WHOLE] += layer.weight.size
                else:
                    weights += [matrix.ravel(), matrix.T.ravel()]
                at += (2 + masked) * layer.weight.size
                listed = important(network, array, index)
                row[DEMAND] = row[IN_ID] == 0 and kind == GEMM and gemm.k <= FEW and not bypass.any() and not len(listed)
                if row[DEMAND]:
                    row[SUMS] = 0
                else:
                    words += gemm.m * gemm.n
                row[[ENTRIES, COUNT, CELLS]] = named, len(listed), cell
                if len(listed):
                    entries.append(listed)
                    cells.append(np.full(gemm.m * gemm.n, -1, np.int32))
                    cells[-1][listed] = np.arange(len(listed))
                    named, cell = named + len(listed), cell + gemm.m * gemm.n
                index += 1
            row[REQUANTISE] = channel
            requantise.append(table)
            channel += table.shape[1]
            rows.append(row)
        flat = np.concatenate(weights).astype(np.int16) if weights else np.zeros(0, np.int16)
        channels = np.array([shapes[name][-1] for name in names])
        pixels = np.cumsum(np.array(sizes) // channels) - np.array(sizes) // channels
        tensors = np.stack([offsets[:-1], np.array(sizes), channels, pixels], axis=1).astype(np.int64)
        widths = array.rows, array.cols, array.acc_bits, array.act_bits, array.pe_wgt_bits
        limits = np.array([*widths, array.dataflow == "ws", bypass.any()], np.int64)
        return cls(
            np.array(rows), flat, np.concatenate(requantise, axis=1), _pes(array, bypass), limits, np.concatenate(places), tensors,
            _unit(array), np.concatenate(entries), np.concatenate(cells), words,
        )  # fmt: skip


def important(network: Network, array: Array, index: int) -> NDArray[np.int64]:
    """Neurons of array layer `index` that the recompute unit of `array` computes, in order; none without a unit."""
    return np.array(network.important[index] if array.recompute is not None else (), np.int64)


def _pooled(network: Network, i: int) -> bool:
    """Whether max-pooling alone reads layer i, and comes next."""
    layer, after = network.layers[i], network.layers[i + 1 : i + 2]
    readers = sum(layer.name in other.inputs for other in network.layers)
    return isinstance(layer, (Conv, Dense)) and readers == 1 and bool(after) and isinstance(after[0], MaxPool) and after[0].input == layer.name


def _bounds(network: Network, layer: Layer) -> tuple[int, int]:
    fmt = network.formats[layer.name]
    return (0 if getattr(layer, "relu", False) else fmt.min), fmt.max


def _geometry(row: Any, layer: Layer, source: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, NDArray[np.int64]]:
    """Fill in sizes; return the kind and the requantisation table of `layer`."""
    flat = isinstance(layer, Dense)
    row[[H, W, C]] = source if len(source) == 3 and not flat else (1, 1, int(np.prod(source)))
    row[[OH, OW, N]] = result if len(result) == 3 else (1, 1, int(np.prod(result)))
    if isinstance(layer, (Conv, MaxPool, AvgPool)):
        row[[KH, KW]] = layer.weight.shape[:2] if isinstance(layer, Conv) else layer.size
        row[[SH, SW]] = layer.stride
    if isinstance(layer, (Conv, MaxPool)):
        row[[TOP, LEFT]] = layer.pad[0], layer.pad[2]
    if isinstance(layer, (Conv, Dense)):
        depthwise = isinstance(layer, Conv) and layer.depthwise
        return (DEPTHWISE if depthwise else GEMM), _requantise(layer.bias, layer.shift)
    if isinstance(layer, MaxPool):
        return MAXPOOL, _requantise([0], [0])
    if isinstance(layer, AvgPool):
        return AVGPOOL, _requantise([0], [layer.shift])
    if isinstance(layer, Add):
        row[[ALIGN, ALIGN2]] = layer.align
        return ADD, _requantise([0], [layer.shift])
    if isinstance(layer, Rescale):
        row[ALIGN] = max(-layer.shift, 0)
        return RESCALE, _requantise([0], [max(layer.shift, 0)])
    raise InputError(f"layer {layer.name}: the emulator knows no {type(layer).__name__}")


def _places(row: Any) -> NDArray[np.int64]:
    """Height, width and place in the state: of output pixels m without padding, then what k adds to them."""
    m, k = np.arange(row[M]), np.arange(row[K])
    h, w = m // row[OW] * row[SH] - row[TOP], m % row[OW] * row[SW] - row[LEFT]
    kh, kw, c = k // (row[KW] * row[C]), k // row[C] % row[KW], k % row[C]
    if row[KIND] == DEPTHWISE:
        kh, kw, c = k // row[KW], k % row[KW], 0 * k
    outputs = np.stack([h, w, row[IN] + (h * row[W] + w) * row[C]], axis=1)
    return np.concatenate([outputs, np.stack([kh, kw, (kh * row[W] + kw) * row[C] + c], axis=1)])


def _requantise(bias: Any, shift: Any) -> NDArray[np.int64]:
    """Bias, shift, and what rounding half to even adds: half - 1, and 1 where the quotient's last bit counts."""
    bias, shift = np.asarray(bias, np.int64), np.asarray(shift, np.int64)
    half = np.where(shift > 0, (np.int64(1) << np.maximum(shift - 1, 0)) - 1, 0)
    return np.stack([bias, shift, half, (shift > 0).astype(np.int64)])


def _pes(array: Array, bypass: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Per PE: guard column, carry bits, operand lanes, drain lanes, whether a flip below the column may wrap PL + lo or lag
    beyond the bound, that bound, whether it is bypassed. The row below the PEs of a weight-stationary array is like them.
    """
    pes = np.zeros((array.rows, array.cols, PE_COLUMNS), np.int64)
    m, n, width = array.act_bits, array.pe_wgt_bits, array.acc_bits
    pes[..., COLUMN], pes[..., BYPASS] = array.column_map, bypass
    pes[..., CARRY] = array.per_pe(array.carry_bits)
    pes[..., WRAPS] = array.per_pe(lambda guard: _wraps(m, n, width, guard, 1, array.carry_bits(guard)))
    pes[..., BOUND] = array.per_pe(lambda guard: most_carry(m, n, guard.column or 0) if guard.kind == "rpr" else -1)
    pes[..., OPERAND] = array.operand_lanes
    pes[..., DRAIN] = array.drain_lanes
    return pes


def _wraps(m: int, n: int, width: int, guard: Guard, lanes: int, carry: int) -> bool:
    """Whether a flip of one of PL's bits below the guard column can push lo + PL beyond its column + carry bits.

    For reduced-precision redundancy: whether it can make the copies lag by more than their bound.
    """
    if guard.column is None or guard.column in (0, width):
        return False
    most = lanes * _most(m, n, guard.column)
    if guard.kind == "rpr":
        return most % (1 << guard.column) == 0
    return most + (1 << guard.column) - 1 + (1 << (guard.column - 1)) >= 1 << (guard.column + carry)


def _most(m: int, n: int, column: int) -> int:
    """The largest PL of one product."""
    entries = sum(1 << (i + j) for i in range(n) for j in range(m) if i + j < column)
    return entries + max(baugh_wooley_constant(m, n, signed) % (1 << column) for signed in (False, True))


def _unit(array: Array) -> NDArray[np.int64]:
    """Lanes of the recompute unit, its guard column, carry bits, operand and drain lanes, and `_wraps`; without one, zeros."""
    unit = array.recompute
    if unit is None:
        return np.zeros(UNIT_WRAPS + 1, np.int64)
    guard = unit.guard
    wraps = _wraps(array.act_bits, array.pe_wgt_bits, array.acc_bits, guard, unit.lanes, array.unit_carry_bits)
    return np.array([unit.lanes, array.unit_column, array.unit_carry_bits, 3 if guard.operand else 1, 3 if guard.drain else 1, wraps], np.int64)
