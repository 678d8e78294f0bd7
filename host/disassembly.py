"""What the words in an accelerator's memory mean: the network of a program, the faults of a strike buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import BUFFERS, FAULT, SITES, FaultList, live
from hardpoint.fixed import Fixed
from hardpoint.injection import FLIP, KEEP, LISTS, acting
from hardpoint.layers import Add, AvgPool, Conv, Dense, Gemm, Layer, MaxPool, Rescale
from hardpoint.mapping import Tiling
from hardpoint.network import INPUT, Network
from hardpoint.program import (
    EXTERNAL,
    HEADER_WORDS,
    LAYER_WORDS,
    Field,
    Header,
    Kind,
    bypass_words,
    code_bytes,
    row_bytes,
    weight_place,
    weight_rows,
)

__all__ = ["bypass_of", "faults_of", "layer_table", "network_of", "shifts_of"]

U64 = NDArray[np.uint64]
Table = NDArray[np.int64]


def layer_table(words: U64, array: Array) -> Table:
    """The layers' fields of a program, (layers, fields), as signed 32-bit numbers."""
    begin, layers = HEADER_WORDS + bypass_words(array), int(words[:HEADER_WORDS].view("<u4")[Header.LAYERS])
    block = words[begin : begin + layers * LAYER_WORDS]
    return block.view("<i4").reshape(-1, len(Field)).astype(np.int64)


def bypass_of(words: U64, array: Array) -> NDArray[np.bool_]:
    """A program's bypass map: (rows, cols)."""
    block = np.ascontiguousarray(words[HEADER_WORDS : HEADER_WORDS + bypass_words(array)])
    bits = np.unpackbits(block.view(np.uint8), bitorder="little")[: array.rows * array.cols]
    return bits.reshape(array.rows, array.cols).astype(bool)


def shifts_of(table: Table, array: Array) -> tuple[int, ...]:
    """Bits by which `array` moves the weights of every array layer to the left; see `Array.shifts`."""
    if array.policy == "direct":
        return (0,) * int((table[:, Field.LIMIT] != 0).sum())
    return tuple(int(row[Field.ALIGN]) for row in table if row[Field.LIMIT])


def network_of(words: U64, weights: U64, array: Array) -> Network:
    """The network that a program's `words` and `weights` describe to an accelerator built as `array`.

    Scales are not in a program, so every format has 0 fraction bits; what the accelerator computes does not depend on
    them. An InputError where the words describe nothing that the accelerator can do.
    """
    table = layer_table(words, array)
    signs = _signs(table)
    layers: list[Layer] = []
    producers = {int(np.uint32(EXTERNAL)): INPUT}
    first = table[0]
    shape = _shape(first)
    shapes: dict[str, tuple[int, ...]] = {INPUT: shape}
    bits = array.act_bits if first[Field.KIND] == Kind.GEMM else 8 * int(first[Field.SOURCE_BYTES])
    source = Fixed(bits, 0, bool(first[Field.SOURCE_SIGNED]))
    for i, row in enumerate(table):
        layer = _layer(row, f"layer{i}", producers, shapes, signs, weights, array)
        shapes[layer.name] = layer.shape(*(shapes[name] for name in layer.inputs))
        producers[int(np.uint32(row[Field.TARGET] & 0xFFFFFFFF))] = layer.name
        layers.append(layer)
    return Network(
        shape, source, tuple(layers), important=tuple(_listed(words, row) for row in table if row[Field.LIMIT])
    )


def _listed(words: U64, row: Table) -> tuple[int, ...]:
    """Numbers of the neurons that the recompute unit computes again."""
    count, at = int(row[Field.LISTED]), int(row[Field.LIST])
    block = words[at : at + -(-count // 2)]
    if 2 * len(block) < count:
        raise InputError(f"{count} numbers of neurons are not all in memory")
    return tuple(block.view("<u4")[:count].tolist())


def _shape(row: Table) -> tuple[int, ...]:
    """Shape of a layer's input: an image, or a vector where it is one pixel."""
    height, width, channels = (int(row[key]) for key in (Field.HEIGHT, Field.WIDTH, Field.CHANNELS))
    return (channels,) if height == width == 1 else (height, width, channels)


def _signs(table: Table) -> dict[int, bool]:
    """Whether the tensor at a place holds signed codes: its readers say so."""
    signs = {}
    for row in table:
        signs[int(row[Field.SOURCE])] = bool(row[Field.SOURCE_SIGNED])
        if row[Field.SECOND_WORDS]:
            signs[int(row[Field.SECOND])] = bool(row[Field.SECOND_SIGNED])
    return signs


def _target(row: Table, signs: dict[int, bool]) -> tuple[Fixed, bool]:
    """Format of a layer's output, and whether ReLU raises its lower bound."""
    low, high = int(row[Field.LOW]), int(row[Field.HIGH])
    high = high & 0xFFFFFFFF if low >= 0 else high
    last = int(row[Field.TARGET]) == int(np.int32(np.uint32(EXTERNAL)))
    signed = low < 0 if last else signs.get(int(row[Field.TARGET]), low < 0)
    fmt = Fixed(high.bit_length() + signed, 0, signed)
    if last and not signed and code_bytes(fmt) != row[Field.TARGET_BYTES]:
        fmt = Fixed(high.bit_length() + 1, 0, True)
    return fmt, fmt.signed and low == 0


def _layer(
    row: Table,
    name: str,
    producers: dict[int, str],
    shapes: dict[str, tuple[int, ...]],
    signs: dict[int, bool],
    weights: U64,
    array: Array,
) -> Layer:
    """One layer from its fields."""
    try:
        source = producers[int(row[Field.SOURCE]) & 0xFFFFFFFF]
        second = producers[int(row[Field.SECOND]) & 0xFFFFFFFF] if row[Field.SECOND_WORDS] else ""
    except KeyError:
        raise InputError(f"{name} reads a tensor that no layer before it writes") from None
    out, relu = _target(row, signs)
    kind, size = int(row[Field.KIND]), (int(row[Field.KERNEL_HEIGHT]), int(row[Field.KERNEL_WIDTH]))
    stride, shift = (int(row[Field.STRIDE_Y]), int(row[Field.STRIDE_X])), int(row[Field.SHIFT])
    if kind == Kind.GEMM:
        return _gemm(row, name, source, shapes[source], out, relu, weights, array)
    if kind == Kind.MAXPOOL:
        return MaxPool(name, source, size, stride, _pad(row))
    if kind == Kind.AVGPOOL:
        return AvgPool(name, source, size, stride, shift, out)
    if kind != Kind.SUM:
        raise InputError(f"{name} is of kind {kind}; kinds are {', '.join(f'{k.value} ({k.name})' for k in Kind)}")
    if second:
        return Add(name, (source, second), (int(row[Field.ALIGN]), int(row[Field.SECOND_ALIGN])), shift, out, relu)
    return Rescale(name, source, shift - int(row[Field.ALIGN]), out, relu)


def _pad(row: Table) -> tuple[int, int, int, int]:
    """Padding on all four sides; what lies below and to the right follows from the output's size."""
    pads = []
    for size, out, kernel, stride, before in (
        (Field.HEIGHT, Field.OUT_HEIGHT, Field.KERNEL_HEIGHT, Field.STRIDE_Y, Field.PAD_TOP),
        (Field.WIDTH, Field.OUT_WIDTH, Field.KERNEL_WIDTH, Field.STRIDE_X, Field.PAD_LEFT),
    ):
        need = (int(row[out]) - 1) * int(row[stride]) + int(row[kernel])
        pads += [int(row[before]), max(0, need - int(row[size]) - int(row[before]))]
    return pads[0], pads[1], pads[2], pads[3]


def _gemm(
    row: Table, name: str, source: str, shape: tuple[int, ...], out: Fixed, relu: bool, weights: U64, array: Array
) -> Layer:
    """A convolution or dense layer with its channels' parameters and weights."""
    n, depthwise = int(row[Field.OUT_CHANNELS]), bool(row[Field.DEPTHWISE])
    k = int(
        np.prod([int(row[key]) for key in (Field.KERNEL_HEIGHT, Field.KERNEL_WIDTH, Field.CHANNELS)[: 3 - depthwise]])
    )
    tiling = Tiling.of(Gemm(int(row[Field.OUT_HEIGHT] * row[Field.OUT_WIDTH]), k, n, depthwise), array)
    at, size = int(row[Field.WEIGHTS]), weight_rows(tiling) * row_bytes(tiling)
    channels = weights[at : at + n]
    table = weights[at + n : at + n + size // 8].view(np.int8)
    if len(channels) != n or table.size != size:
        raise InputError(f"{name}: its {n} channels and {size} weights are not all in memory")
    matrix = table[weight_place(tiling, np.arange(k)[:, None], np.arange(n))].astype(np.int64)
    bias = (channels & np.uint64(0xFFFFFFFF)).astype("<u4").view("<i4").astype(np.int64)
    shift = (channels >> np.uint64(32) & np.uint64(0x3F)).astype(np.int64)
    (d,) = shifts_of(row[None], array)
    fmt = Fixed(min(array.wgt_bits, array.pe_wgt_bits - d), 0, True)  # what is moved beyond the operand is cut off
    height, width, depth = (int(row[key]) for key in (Field.HEIGHT, Field.WIDTH, Field.CHANNELS))
    window = int(row[Field.KERNEL_HEIGHT]), int(row[Field.KERNEL_WIDTH])
    if len(shape) == 1 or (height == width == 1 and shape != (1, 1, depth)):
        return Dense(name, source, matrix, bias, shift, out, fmt, relu)
    stride = int(row[Field.STRIDE_Y]), int(row[Field.STRIDE_X])
    weight = matrix.reshape(*window, depth, 1 if depthwise else n)
    return Conv(name, source, weight, bias, shift, out, fmt, stride, _pad(row), relu, depthwise)


def faults_of(strikes: U64, network: Network, array: Array, images: int) -> tuple[FaultList, NDArray[np.bool_]]:
    """The faults that a strike buffer makes `array` play on the first `images` images of a batch, and in which images a
    buffer's decoder gave up: (images,).

    What loads a mask at a time at which its register is not written, or bits that do not exist, strikes nothing and is
    left out. Strikes of buffers are what ECC left, so that the list is one of `array` without it. An InputError where the
    blocks' lengths do not fit the network.
    """
    plain = replace(array, ecc=False)
    found = np.array(
        [tuple(record) for record in _records(strikes, network, plain, images)] or np.zeros(0, FAULT), FAULT
    )
    given_up = np.zeros(images, bool)
    given_up[found["image"][(found["copy"] == 1) & np.isin(found["site"], _BUFFERS)]] = True
    return FaultList.of(found[live(found, plain, network)], plain, network, images), given_up


_BUFFERS = [SITES.index(name) for name in BUFFERS]


def _records(strikes: U64, network: Network, array: Array, images: int) -> Iterator[list[Any]]:
    """One record per struck bit, in the order of FAULT's fields."""
    block = 0
    streams = [_streams(network, layer, array) for layer in range(len(network.gemms))]
    for image in range(images):
        length = int(strikes[block]) if block < len(strikes) else 0
        at, end = block + 1, block + length
        for layer, stream in enumerate(streams):
            for times in stream:
                count = int(strikes[at]) if at < min(end, len(strikes)) else -1
                if count < 0 or at + 1 + 2 * count > min(end, len(strikes)):
                    raise InputError(f"the strikes of image {image} and layer {layer} do not fit their block")
                yield from _list_records(strikes[at + 1 : at + 1 + 2 * count].reshape(-1, 2), times, image, layer)
                at += 1 + 2 * count
        if at != end:
            raise InputError(f"the strikes of image {image} take {at - block} words, their block says {length}")
        block = end


@dataclass(frozen=True)
class _Moment:
    """Where a time lies for one site: tile and step, and whether exactly there."""

    tile: int
    step: int
    exact: bool


@dataclass(frozen=True)
class _Times:
    """The times of one list: `moment(site, when)`, and one that lies beyond the layer."""

    moment: Callable[[int, int], _Moment]
    over: int


def _streams(network: Network, layer: int, array: Array) -> list[_Times]:
    """The times of a layer's lists, in the order in which they lie in the strike buffer."""
    tiling, neurons = Tiling.of(network.gemm(layer), array), len(network.important[layer])
    lanes = 1 if array.recompute is None else array.recompute.lanes
    steps = -(-tiling.gemm.k // lanes) + 1
    places = weight_place(tiling, *np.indices((tiling.gemm.k, tiling.gemm.n))).ravel()
    number = {int(place): i for i, place in enumerate(places)}
    over = (tiling.tiles + 1) * tiling.period + tiling.rows
    k, rows, period = tiling.gemm.k, tiling.rows, tiling.period

    def core(site: int, when: int) -> _Moment:
        return _Moment(*divmod(when, period), True) if tiling.stationary else _moment(site, when, k, rows)

    code = _Times(lambda _, when: _Moment(0, when, True), over)
    times = {
        "core": _Times(core, over),
        "unit": _Times(lambda _, when: _Moment(*divmod(when, steps), True), neurons * steps),
        "index": _Times(lambda _, when: _Moment(when, 0, True), neurons),
        "abuf": code,
        "obuf": code,
        "wbuf": _Times(lambda _, when: _Moment(0, number.get(when, 0), when in number), over),
    }
    return [times[name] for name in LISTS]


def _list_records(pairs: U64, times: _Times, image: int, layer: int) -> Iterator[list[Any]]:
    """The strikes of one list."""
    masks: dict[tuple[int, ...], int] = {}  # held bits by kind and place
    since: dict[tuple[int, ...], int] = {}  # when a bit began to hold
    for low, high in pairs.tolist():
        when, kind, copy = low & (1 << 48) - 1, low >> 48 & 3, low >> 53 & 3
        site, mask, row, col = (
            low >> 50 & 7 | (low >> 55 & 1) << 3,
            high & (1 << 40) - 1,
            high >> 40 & 0xFF,
            high >> 48 & 0xFF,
        )
        if site >= len(SITES):
            continue
        if kind == FLIP:
            moment = times.moment(site, when)
            if moment.exact:
                for bit in _bits(mask):
                    yield [image, layer, moment.tile, moment.step, row, col, site, copy, bit, 0, 0, 0, 0, 0]
            continue
        held = (1 << 40) - 1 & ~mask if kind == KEEP else mask
        before = masks.get((kind, row, col, site, copy), 0)
        masks[kind, row, col, site, copy] = held
        for bit in _bits(before & ~held):
            begin = since.pop((kind, row, col, site, copy, bit))
            yield _stuck(image, layer, (kind, row, col, site, copy, bit), begin, when, times)
        for bit in _bits(held & ~before):
            since[kind, row, col, site, copy, bit] = when
    for place, begin in since.items():
        yield _stuck(image, layer, place, begin, times.over, times)


def _moment(site: int, when: int, k: int, rows: int) -> _Moment:
    """The first (tile, step) of an output-stationary array at or after `when` at which `site` acts; inverse to
    `hardpoint.injection.acting`."""
    period = max(k, rows)
    name = SITES[site]
    first, last = (k, k + rows - 1) if name == "drain" else (1, k) if name == "vote" else (0, k - 1)
    tile, step = divmod(when - first, period)
    tile, step = (tile, step + first) if step + first <= last else (tile + 1, first)
    if tile < 0:
        tile, step = 0, first
    one = np.ones(1, np.int64)
    return _Moment(tile, step, int(acting(one * site, one * tile, one * step, one * k, rows)[0]) == when)


def _stuck(image: int, layer: int, place: tuple[int, ...], begin: int, end: int, times: _Times) -> list[Any]:
    kind, row, col, site, copy, bit = place
    start, stop = times.moment(site, begin), times.moment(site, end)
    effect = 1 if kind == KEEP else 2
    return [
        *(image, layer, start.tile, start.step, row, col, site, copy, bit, effect),
        *(image, layer, stop.tile, stop.step),
    ]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
