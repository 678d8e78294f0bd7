"""Memories of an accelerator as the primitives that hold them, by the device's rules.

Sources: Xilinx UG473 (7-series block RAM), UG573 (UltraScale block RAM and URAM), UG474 (distributed RAM in SLICEMs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.program import LAYER_WORDS, LIMITS, Limits

__all__ = [
    "Buffer",
    "bram18",
    "buffer_cost",
    "ecc_bits",
    "lutram_luts",
    "shell_buffers",
    "shell_cost",
    "uram_blocks",
]

KINDS = ("bram", "uram", "lutram")

_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and bits of a block RAM of 18 Kbit with one port to read and one to write (512 x 36 only so)."""


@dataclass(frozen=True)
class Buffer:
    """A memory of `words` words of `bits` bits; `copies` of it (ping-pong: 2), each with SECDED code bits if `ecc`.

    `kind` is bram, uram or lutram. A word lies in `lanes` memories of equal width with an address each; code bits have
    memories of their own, of a lane's width.
    """

    words: int
    bits: int
    copies: int = 1
    ecc: bool = False
    kind: str = "bram"
    lanes: int = 1

    def __post_init__(self) -> None:
        for name in ("words", "bits", "copies", "lanes"):
            if getattr(self, name) < 1:
                raise InputError(f"a buffer's {name} must be 1 or more, not {getattr(self, name)}")
        if self.kind not in KINDS:
            raise InputError(f"a buffer's kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.bits % self.lanes:
            raise InputError(f"a buffer's {self.bits} bits must be a multiple of its lanes, not of {self.lanes}")

    @property
    def stored_bits(self) -> int:
        """Bits of a stored word, code bits included."""
        return self.bits + (ecc_bits(self.bits) if self.ecc else 0)


def ecc_bits(bits: int) -> int:
    """Code bits that correct one and detect two errors in a word of `bits` bits (Hamming and parity).

    >>> [ecc_bits(n) for n in (8, 16, 32, 64)]
    [5, 6, 7, 8]
    """
    k = 1
    while 2**k < bits + k + 1:
        k += 1
    return k + 1


def bram18(words: int, bits: int) -> int:
    """Block RAMs of 18 Kbit that hold `words` x `bits` with one write and one read port.

    The cheapest mix of shapes: columns of one shape, the rest of the width in the shape that then costs least.

    >>> bram18(512, 36), bram18(1024, 36), bram18(2048, 8), bram18(1024, 20)
    (1, 2, 1, 2)
    """
    best: dict[int, int] = {0: 0}
    for width in range(1, bits + 1):
        best[width] = min(best[max(width - wide, 0)] + math.ceil(words / deep) for deep, wide in _SHAPES)
    return best[bits]


def uram_blocks(words: int, bits: int) -> int:
    """URAMs that hold `words` x `bits`: each is 4096 x 72, whatever is asked of it.

    >>> uram_blocks(5000, 64)
    2
    """
    return math.ceil(words / 4096) * math.ceil(bits / 72)


def lutram_luts(words: int, bits: int) -> int:
    """LUTs of a distributed RAM with one write and one read port, multiplexers included.

    Four LUTs hold 32 words of 6 bits (RAM32M) or 64 words of 3 bits (RAM64M); above 64 words one LUT6 joins four banks.

    >>> lutram_luts(32, 8), lutram_luts(64, 8), lutram_luts(256, 8)
    (8, 12, 56)
    """
    if words <= 32:
        return 4 * math.ceil(bits / 6)
    banks = math.ceil(words / 64)
    joins = 0
    left = banks
    while left > 1:
        left = math.ceil(left / 4)
        joins += left
    return banks * 4 * math.ceil(bits / 3) + joins * bits


def buffer_cost(buffer: Buffer) -> Cost:
    """What `buffer` takes, as an estimate: memory primitives, and LUTs for LUTRAM and for ECC.

    ECC counts a LUT6 tree for every code bit on each side and a LUT for every corrected bit: more than the hard ECC of
    72-bit block RAMs and URAMs, which words of other widths cannot use.

    >>> buffer_cost(Buffer(2048, 64, copies=2)).bram
    16
    >>> buffer_cost(Buffer(2048, 64, ecc=True)).lut > 0
    True
    >>> buffer_cost(Buffer(512, 64)).bram, buffer_cost(Buffer(512, 64, lanes=8)).bram
    (2, 8)
    """
    lut, bram, uram = 0, 0, 0
    width = buffer.bits // buffer.lanes if buffer.lanes > 1 else buffer.stored_bits
    memories = math.ceil(buffer.stored_bits / width)
    if buffer.kind == "bram":
        bram = memories * bram18(buffer.words, width)
    elif buffer.kind == "uram":
        uram = memories * uram_blocks(buffer.words, width)
    else:
        lut = memories * lutram_luts(buffer.words, width)
    if buffer.ecc:
        lut += _ecc_luts(buffer.bits)
    return Cost("estimate", lut=lut, ff=0, dsp=0, bram=bram, uram=uram) * buffer.copies


def _ecc_luts(bits: int) -> int:
    """Encoder, decoder and corrector: every code bit is a parity over about half of the word."""
    code = ecc_bits(bits)
    parity = math.ceil((bits / 2 - 1) / 5)
    return 2 * code * parity + bits * math.ceil((code - 1) / 5)


def shell_buffers(array: Array, limits: Limits = LIMITS) -> dict[str, Buffer]:
    """The memories of the shell around `array`, by what they hold; those of an array itself belong to its parts.

    Bytes lie in eight lanes, so that eight neighbours are read at any alignment. Patches (output-stationary) and slices
    (weight-stationary) are double-buffered, as are outputs that leave tile by tile. With `Array.ecc` weights, inputs and
    outputs are SECDED words of 64 bits. Memories of 1,024 bits and less are left out: tools put them into LUTs.
    Sizes are those of `hls/cpp`; tools may choose otherwise.

    >>> {name: int(buffer_cost(buffer).bram) for name, buffer in shell_buffers(Array(8, 8)).items()}
    {'inputs': 32, 'weights': 29, 'patches': 128, 'outputs': 16, 'channels': 16, 'layers': 6, 'stream of weights': 2, 'stream of channels': 2}
    """
    stays, unit = array.dataflow == "ws", array.recompute
    beat, words = array.cols * array.wgt_bits, -(-array.cols // 8)
    found = {
        "inputs": _bytes(limits.map_bytes, ecc=array.ecc),
        "weights": Buffer(limits.cache_steps, 64, words, ecc=True) if array.ecc else Buffer(limits.cache_steps, beat),
    }
    if stays:
        found["slices"] = Buffer(array.depth, 8, 2 * array.rows)
    else:
        found["patches"] = _bytes(limits.steps, 2 * array.rows)
    if stays or unit is not None:  # the output is put together before it leaves
        found["outputs"] = _bytes(limits.map_bytes, ecc=array.ecc)
    else:
        found["outputs"] = _bytes(array.rows * limits.channels, 2, ecc=array.ecc)
    found |= {
        "channels": Buffer(-(-limits.channels // 8), 64, 8),
        "layers": Buffer(limits.layers * LAYER_WORDS, 64),
        "stream of weights": Buffer(_WEIGHT_BEATS, beat),
        "stream of channels": Buffer(limits.channels, 64),
    }
    if unit is not None:
        found |= {"unit's operands": _bytes(limits.steps, 4), "index memory": Buffer(limits.listed, 32, 2)}
        found["unit's sums"] = Buffer(limits.listed, array.acc_bits)
        if unit.reuse:
            found["unit's inputs"] = _bytes(limits.map_bytes, ecc=array.ecc)
    return found


_WEIGHT_BEATS = 512
"""Depth of the stream that brings weights to the array (`weight_beats` of `hls/cpp/shell.cpp`)."""


def _bytes(count: int, copies: int = 1, ecc: bool = False) -> Buffer:
    """Bytes in eight lanes."""
    return Buffer(-(-count // 8), 64, copies, ecc, lanes=8)


def shell_cost(array: Array, limits: Limits = LIMITS) -> Cost:
    """What the memories of the shell around `array` take, as an estimate.

    >>> shell_cost(Array(8, 8)).bram
    231
    """
    return sum(map(buffer_cost, shell_buffers(array, limits).values()), start=Cost("estimate", 0, 0, 0, 0, 0))
