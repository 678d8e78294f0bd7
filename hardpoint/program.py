"""A network as the words that the accelerator reads: descriptors, channel parameters, weights, tile by tile."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.fixed import Fixed, wrap
from hardpoint.layers import Add, AvgPool, Codes, Conv, Dense, Layer, MaxPool, Rescale
from hardpoint.mapping import Tiling
from hardpoint.network import INPUT, Network

__all__ = [
    "LIMITS",
    "Field",
    "Header",
    "Kind",
    "Limits",
    "Mode",
    "Program",
    "Status",
    "bypass_words",
    "counted",
    "decode",
    "encode",
    "record_words",
    "row_bytes",
    "weight_place",
    "weight_rows",
]

MAGIC = 0x48504E32
"""First half-word of a program, `HPN2`: format and its version."""

EXTERNAL = 0xFFFFFFFF
"""Offset of a tensor that lies in the batch's input or output, not in the scratch memory."""


class Kind(IntEnum):
    """What a layer is to the shell."""

    GEMM = 0
    MAXPOOL = 1
    AVGPOOL = 2
    SUM = 3  # residual addition and rescaling: up to two tensors, element by element


class Status(IntEnum):
    """Bits of the status register and of an image's record."""

    BAD_PROGRAM = 1  # magic, version, design or a size beyond the build's limits
    PROGRAM_CRC = 2
    WEIGHTS_CRC = 4
    WATCHDOG = 8  # a layer ran into its limit of iterations
    BAD_STRIKES = 16  # the strikes' blocks do not match the network
    ECC = 32  # a buffer's decoder found an error that it cannot correct


class Mode(IntEnum):
    """Bits of the mode register."""

    CHECK = 1  # compare the weights with their CRC before the first image
    STRIKES = 2  # play strikes


class Header(IntEnum):
    """32-bit places in a program's header."""

    MAGIC = 0
    DESIGN = 1
    LAYERS = 2
    WEIGHT_WORDS = 3
    WEIGHT_CRC = 4
    SOURCE_WORDS = 5  # 64-bit words of an input image
    RESULT_WORDS = 6
    CRC = 7  # of all other half-words of the program before the recompute unit's lists, in order
    LIST_WORDS = 8  # 64-bit words of those lists, which end the program
    LIST_CRC = 9


class Field(IntEnum):
    """32-bit places in a layer's block of the program."""

    KIND = 0
    HEIGHT = 1
    WIDTH = 2
    CHANNELS = 3
    OUT_HEIGHT = 4
    OUT_WIDTH = 5
    OUT_CHANNELS = 6
    KERNEL_HEIGHT = 7
    KERNEL_WIDTH = 8
    STRIDE_Y = 9
    STRIDE_X = 10
    PAD_TOP = 11
    PAD_LEFT = 12
    STEPS = 13  # of a tile: K, or rows and pixels of a weight-stationary array
    TILES_M = 14
    TILES_N = 15
    SOURCE = 16  # 64-bit words into the scratch memory, or EXTERNAL
    SECOND = 17  # the second operand of a sum
    TARGET = 18
    SOURCE_WORDS = 19
    SECOND_WORDS = 20  # 0: there is no second operand
    SOURCE_BYTES = 21  # bytes per code: 1, 2 or 4
    SECOND_BYTES = 22
    TARGET_BYTES = 23
    SOURCE_SIGNED = 24
    SECOND_SIGNED = 25
    SHIFT = 26
    ALIGN = 27  # left shift of the first operand of a sum, or of an array layer's weights and biases
    SECOND_ALIGN = 28
    LOW = 29  # saturation bounds, two's complement; ReLU raises LOW to 0
    HIGH = 30
    WEIGHTS = 31  # 64-bit words into the weights
    LIMIT = 32  # iterations of the core after which a layer counts as hung
    DEPTHWISE = 33  # 1: tile n of a tile of pixels is channel n, alone in array column n mod COLS
    PASSES = 34  # tiles that add up to a sum
    LISTED = 35  # neurons for the recompute unit
    LIST = 36  # where their numbers lie, in 64-bit words of the program; behind them the layer's weights by channel
    UNIT_STEPS = 37


HEADER_WORDS = len(Header) // 2
LAYER_WORDS = len(Field) // 2


@dataclass(frozen=True)
class Limits:
    """Sizes of a build's memories: what a network may need at most.

    `map_bytes`: the inputs of one layer, and where the output is put together on chip its outputs; `steps`: K of an
    output-stationary array, which keeps the operands of its pixels; `channels`: output channels of a layer times bytes per code;
    `layers`: descriptors; `listed`: neurons of a layer that a recompute unit computes again; `cache_steps`: steps x channel tiles whose weights stay on chip between pixel tiles
    (beyond, they are read again).
    """

    map_bytes: int = 65536
    steps: int = 4096
    channels: int = 512
    layers: int = 64
    cache_steps: int = 8192
    listed: int = 1024


LIMITS = Limits()


def counted(array: Array) -> int:
    """Counts of disagreeing votes in an image's record: one per array column, and one of a recompute unit."""
    return array.cols + (array.recompute is not None)


def record_words(array: Array) -> int:
    """64-bit words of an image's record: tag and status, cycles, then disagreeing votes, two to a word.

    >>> record_words(Array(8, 8)), record_words(Array(8, 5))
    (6, 5)
    """
    return 2 + -(-counted(array) // 2)


def bypass_words(array: Array) -> int:
    """64-bit words of the bypass map behind a program's header, a bit per PE.

    >>> bypass_words(Array(8, 8)), bypass_words(Array(9, 8))
    (1, 2)
    """
    return -(-array.rows * array.cols // 64)


@dataclass(frozen=True, eq=False)
class Program:
    """What the host writes into memory to run a network on an array: 64-bit words.

    `source_words` and `result_words` are the sizes of one image's input and output, `scratch_words` that of the memory
    between layers; `result_format` and `outputs` say how to read the output.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> from hardpoint.network import Network
    >>> from hardpoint.array import Array
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> program = Program.of(net, Array(2, 2))
    >>> program.source_words, program.result_words, str(program.result_format)
    (1, 1, 's8.0')
    """

    words: NDArray[np.uint64]
    weights: NDArray[np.uint64]
    source_words: int
    result_words: int
    scratch_words: int
    source_format: Fixed
    result_format: Fixed
    outputs: int

    @classmethod
    def of(cls, network: Network, array: Array, limits: Limits = LIMITS, bypass: Any = None) -> Program:
        """Compile `network` for `array`; an InputError names the layer that does not fit.

        PEs at which `bypass` (rows, cols) is true are bypassed.
        """
        array.check(network)
        if len(network.layers) > limits.layers:
            raise InputError(f"the accelerator takes at most {limits.layers} layers, not {len(network.layers)}")
        places, scratch = _places(network)
        last = network.layers[-1].name
        blocks, parts, at, shifts = [], [np.zeros(0, np.uint64)], 0, iter(array.shifts(network))
        lists, listed_at = [np.zeros(0, np.uint64)], HEADER_WORDS + bypass_words(array) + len(network.layers) * LAYER_WORDS
        for layer in network.layers:
            block = _block(network, layer, places)
            if isinstance(layer, (Conv, Dense)):
                tiling = Tiling.of(layer.gemm(network.shapes[layer.input]), array)
                block[Field.STEPS] = tiling.period if tiling.stationary else tiling.gemm.k
                block[Field.TILES_M], block[Field.TILES_N] = tiling.tiles_m, tiling.tiles_n
                block[Field.PASSES], block[Field.DEPTHWISE] = tiling.tiles_k, tiling.gemm.depthwise
                block[Field.LIMIT], block[Field.ALIGN] = _limit(tiling), next(shifts)
                block[Field.WEIGHTS] = at
                parts.append(_weights(layer, tiling))
                at += len(parts[-1])
                numbers = network.important[network.gemms.index(layer)]
                if array.recompute is not None and numbers:
                    lists.append(_list(layer, numbers))
                    block[Field.LISTED], block[Field.LIST] = len(numbers), listed_at
                    block[Field.UNIT_STEPS] = -(-tiling.gemm.k // array.recompute.lanes)
                    listed_at += len(lists[-1])
            _check(layer.name, block, array, limits)
            blocks.append(block)
        weights = np.concatenate(parts)
        header = np.zeros(len(Header), np.int64)
        header[Header.MAGIC], header[Header.DESIGN] = MAGIC, int(array.digest[:8], 16)
        header[Header.LAYERS], header[Header.WEIGHT_WORDS] = len(blocks), len(weights)
        header[Header.WEIGHT_CRC] = zlib.crc32(weights.tobytes())
        tail = np.concatenate(lists)
        header[Header.LIST_WORDS], header[Header.LIST_CRC] = len(tail), zlib.crc32(tail.tobytes())
        source_words = words_of(network.shapes[INPUT], network.input_format)
        result_words = words_of(network.shapes[last], network.formats[last])
        header[Header.SOURCE_WORDS], header[Header.RESULT_WORDS] = source_words, result_words
        halves = (np.concatenate([header, _map(array, bypass), *blocks]) & 0xFFFFFFFF).astype("<u4")
        halves[Header.CRC] = zlib.crc32(np.delete(halves, Header.CRC).tobytes())
        outputs = int(np.prod(network.shapes[last]))
        return cls(
            np.concatenate([halves.view("<u8"), tail]),
            weights,
            source_words,
            result_words,
            scratch,
            network.input_format,
            network.formats[last],
            outputs,
        )


def code_bytes(fmt: Fixed) -> int:
    """Bytes that a code of `fmt` takes in memory: 1, 2 or 4.

    >>> [code_bytes(Fixed(bits, 0, True)) for bits in (4, 8, 9, 24)]
    [1, 1, 2, 4]
    """
    if fmt.bits > 32:
        raise InputError(f"the accelerator stores codes of at most 32 bits, not {fmt}")
    return 1 if fmt.bits <= 8 else 2 if fmt.bits <= 16 else 4


def words_of(shape: tuple[int, ...], fmt: Fixed) -> int:
    """64-bit words that a tensor takes."""
    return -(-int(np.prod(shape)) * code_bytes(fmt) // 8)


def encode(codes: Codes, fmt: Fixed, words: int) -> NDArray[np.uint64]:
    """Codes (images, ...) as the words of a buffer, each image from a word on: (images, words).

    >>> encode(np.array([[1, -1]]), Fixed.parse("s8.0"), 1).tolist() == [[0xFF01]]
    True
    """
    size = code_bytes(fmt)
    flat = np.ascontiguousarray(codes.reshape(len(codes), -1)).astype(f"<i{size}" if fmt.signed else f"<u{size}")
    out = np.zeros((len(codes), words * 8), np.uint8)
    out[:, : flat.shape[1] * size] = flat.view(np.uint8).reshape(len(codes), -1)
    return out.view("<u8")


def decode(words: NDArray[np.uint64], fmt: Fixed, count: int) -> Codes:
    """The first `count` codes of every image of a buffer (images, words)."""
    size = code_bytes(fmt)
    data = np.ascontiguousarray(words).view(np.uint8)[:, : count * size]
    return np.ascontiguousarray(data).view(f"<i{size}" if fmt.signed else f"<u{size}").astype(np.int64)


def _places(network: Network) -> tuple[dict[str, int], int]:
    """Where every layer's output lies in the scratch memory, and its size, in words."""
    places, at = {INPUT: EXTERNAL}, 0
    for layer in network.layers:
        if layer is network.layers[-1]:
            places[layer.name] = EXTERNAL
        else:
            places[layer.name] = at
            at += words_of(network.shapes[layer.name], network.formats[layer.name])
    return places, max(at, 1)


def _block(network: Network, layer: Layer, places: dict[str, int]) -> NDArray[np.int64]:
    """A layer's descriptor without what concerns the array alone."""
    block = np.zeros(len(Field), np.int64)
    source, target = network.formats[layer.inputs[0]], network.formats[layer.name]
    shape, out_shape = network.shapes[layer.inputs[0]], network.shapes[layer.name]
    if isinstance(layer, Dense):
        shape = (1, 1, int(np.prod(shape)))
    values = {
        Field.KIND: _kind(layer),
        Field.SOURCE: places[layer.inputs[0]],
        Field.SOURCE_WORDS: words_of(shape, source),
        Field.SOURCE_BYTES: code_bytes(source),
        Field.SOURCE_SIGNED: int(source.signed),
        Field.SECOND_BYTES: 1,
        Field.TARGET: places[layer.name],
        Field.TARGET_BYTES: code_bytes(target),
        Field.LOW: 0 if getattr(layer, "relu", False) else target.min,
        Field.HIGH: target.max,
        Field.STRIDE_Y: 1,
        Field.STRIDE_X: 1,
        Field.KERNEL_HEIGHT: 1,
        Field.KERNEL_WIDTH: 1,
    }
    for dims, sizes in (
        ((Field.HEIGHT, Field.WIDTH, Field.CHANNELS), shape),
        ((Field.OUT_HEIGHT, Field.OUT_WIDTH, Field.OUT_CHANNELS), out_shape),
    ):
        for field, extent in zip(dims, (1,) * (3 - len(sizes)) + tuple(sizes), strict=True):
            values[field] = extent
    if isinstance(layer, (Conv, MaxPool, AvgPool)):
        size = layer.weight.shape[:2] if isinstance(layer, Conv) else layer.size
        values[Field.KERNEL_HEIGHT], values[Field.KERNEL_WIDTH] = size
        values[Field.STRIDE_Y], values[Field.STRIDE_X] = layer.stride
    if isinstance(layer, (Conv, MaxPool)):
        values[Field.PAD_TOP], values[Field.PAD_LEFT] = layer.pad[0], layer.pad[2]
    if isinstance(layer, (AvgPool, Add)):
        values[Field.SHIFT] = layer.shift
    if isinstance(layer, Rescale):
        values[Field.SHIFT], values[Field.ALIGN] = max(layer.shift, 0), max(-layer.shift, 0)
    if isinstance(layer, Add):
        second = network.formats[layer.inputs[1]]
        values[Field.SECOND] = places[layer.inputs[1]]
        values[Field.SECOND_WORDS] = words_of(shape, second)
        values[Field.SECOND_BYTES], values[Field.SECOND_SIGNED] = code_bytes(second), int(second.signed)
        values[Field.ALIGN], values[Field.SECOND_ALIGN] = layer.align
    for field, value in values.items():
        block[field] = value
    return block


def _kind(layer: Layer) -> Kind:
    if isinstance(layer, (Conv, Dense)):
        return Kind.GEMM
    if isinstance(layer, MaxPool):
        return Kind.MAXPOOL
    return Kind.AVGPOOL if isinstance(layer, AvgPool) else Kind.SUM


def _map(array: Array, bypass: Any) -> NDArray[np.int64]:
    """A bypass map as half-words: bit r * cols + c stands for PE (r, c), the rest of the last 64-bit word is zero."""
    table = np.zeros((array.rows, array.cols), bool) if bypass is None else np.asarray(bypass)
    if table.shape != (array.rows, array.cols) or table.dtype != bool:
        raise InputError(
            f"a bypass map of this array is {array.rows} x {array.cols} truth values, not {table.shape} of {table.dtype}"
        )
    bits = np.zeros(64 * bypass_words(array), bool)
    bits[: table.size] = table.ravel()
    return np.packbits(bits, bitorder="little").view("<u4").astype(np.int64)


def _limit(tiling: Tiling) -> int:
    """Iterations, loading of strikes apart, within which the core must have finished a layer: four times what it takes."""
    return min(4 * (tiling.tiles * tiling.period + tiling.gemm.k + tiling.rows + tiling.cols), 0xFFFFFFFF)


def _weights(layer: Conv | Dense, tiling: Tiling) -> NDArray[np.uint64]:
    """A layer's part of the weights: a word per output channel (bias in bits 0-31, shift in 32-39), then the weights, 8 bits
    each, in rows of an array's width, padded to whole words with zeros. Output-stationary: a row per tile of channels and
    step. Weight-stationary: a row per tile and row of the array, the last one first, as they are loaded."""
    channels = (layer.bias & 0xFFFFFFFF).astype(np.uint64) | layer.shift.astype(np.uint64) << np.uint64(32)
    if (wrap(layer.bias, 32) != layer.bias).any():
        raise InputError(f"layer {layer.name}: the accelerator takes biases of at most 32 bits")
    k, n = np.meshgrid(np.arange(tiling.gemm.k), np.arange(tiling.gemm.n), indexing="ij")
    table = np.zeros(weight_rows(tiling) * row_bytes(tiling), np.int8)
    table[weight_place(tiling, k, n)] = layer.matrix()
    return np.concatenate([channels, table.view("<u8")])


def _list(layer: Conv | Dense, numbers: tuple[int, ...]) -> NDArray[np.uint64]:
    """Numbers of neurons, two to a word, then every channel's weights, 8 bits each, padded to whole words with zeros."""
    halves = np.zeros(-(-len(numbers) // 2) * 2, "<u4")
    halves[: len(numbers)] = numbers
    k, n = layer.matrix().shape
    table = np.zeros((n, -(-k // 8) * 8), np.int8)
    table[:, :k] = layer.matrix().T
    return np.concatenate([halves.view("<u8"), table.reshape(-1).view("<u8")])


def row_bytes(tiling: Tiling) -> int:
    """Bytes of one step's weights in memory: one per array column, padded to whole words."""
    return -(-tiling.cols // 8) * 8


def weight_rows(tiling: Tiling) -> int:
    """Rows of weights of a layer in memory."""
    return tiling.tiles_n * (tiling.tiles_k * tiling.rows if tiling.stationary else tiling.gemm.k)


def weight_place(tiling: Tiling, k: Any, n: Any) -> Any:
    """Byte of weight w[k, n] in a layer's weights, counted from the first row; numbers or arrays of them.

    >>> from hardpoint.layers import Gemm
    >>> weight_place(Tiling(Gemm(20, 9, 10), 4, 8), 0, 9), weight_place(Tiling(Gemm(20, 9, 10), 4, 8, "ws"), 0, 9)
    (73, 121)
    """
    nt, col = (n, n % tiling.cols) if tiling.gemm.depthwise else divmod(n, tiling.cols)
    row = nt * tiling.gemm.k + k
    if tiling.stationary:
        kt, r = divmod(k, tiling.rows)
        row = (nt * tiling.tiles_k + kt) * tiling.rows + tiling.rows - 1 - r
    return row * row_bytes(tiling) + col


def _check(name: str, block: NDArray[np.int64], array: Array, limits: Limits) -> None:
    """Raise an InputError if a layer is beyond the memories of the build."""
    size = 8 * int(block[Field.SOURCE_WORDS] + block[Field.SECOND_WORDS])
    gemm, whole = block[Field.KIND] == Kind.GEMM, array.dataflow == "ws" or array.recompute is not None
    width = int(block[Field.OUT_CHANNELS] * block[Field.TARGET_BYTES]) if gemm else 0
    out = width * int(block[Field.OUT_HEIGHT] * block[Field.OUT_WIDTH]) if whole else 0
    depth = 1 if block[Field.DEPTHWISE] else int(block[Field.CHANNELS])
    patched = gemm and (array.dataflow == "os" or block[Field.LISTED] > 0)  # operands of a sum lie on chip
    terms = int(block[Field.KERNEL_HEIGHT] * block[Field.KERNEL_WIDTH]) * depth if patched else 0
    for what, value, bound in (
        ("its inputs take {} bytes, the accelerator's memory for them holds {}", size, limits.map_bytes),
        ("its sums have {} terms, the accelerator takes at most {}", terms, limits.steps),
        ("a pixel of its output takes {} bytes, the accelerator's memory for it holds {}", width, limits.channels),
        ("its outputs take {} bytes, the accelerator's memory for them holds {}", out, limits.map_bytes),
        ("it lists {} neurons, the recompute unit takes at most {}", int(block[Field.LISTED]), limits.listed),
    ):
        if value > bound:
            raise InputError(f"layer {name}: " + what.format(value, bound))
    if block[Field.KIND] == Kind.GEMM and block[Field.SOURCE_BYTES] != 1:
        raise InputError(f"layer {name}: the array takes activations of at most 8 bits")
