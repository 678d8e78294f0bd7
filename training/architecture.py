"""Architectures as data: what a network is made of, apart from weights and number formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed

__all__ = [
    "AddBlock", "Architecture", "AverageBlock", "Block", "BlockFormat", "ConvBlock", "DenseBlock", "PoolBlock", "Widths", "constrained",
]  # fmt: skip

INPUT = "input"


@dataclass(frozen=True)
class ConvBlock:
    """A convolution (batch-normalised while it is trained in floats, if the architecture says so) and its ReLU.

    `input` names the block that it reads; by default the one before it.
    """

    name: str
    filters: int
    size: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: str = "same"
    relu: bool = True
    depthwise: bool = False
    input: str | None = None


@dataclass(frozen=True)
class DenseBlock:
    """A fully connected layer on the flattened input, and its ReLU."""

    name: str
    units: int
    relu: bool = True
    input: str | None = None


@dataclass(frozen=True)
class PoolBlock:
    """Maximum over windows that do not overlap."""

    name: str
    size: tuple[int, int] = (2, 2)
    input: str | None = None


@dataclass(frozen=True)
class AverageBlock:
    """Average over windows that do not overlap; they must hold a power of two elements, for integers divide by no other."""

    name: str
    size: tuple[int, int]
    input: str | None = None


@dataclass(frozen=True)
class AddBlock:
    """Residual addition of two blocks' outputs, and its ReLU."""

    name: str
    inputs: tuple[str, str]
    relu: bool = True


Block = ConvBlock | DenseBlock | PoolBlock | AverageBlock | AddBlock


@dataclass(frozen=True)
class Architecture:
    """Blocks in the order in which they run; the last one yields the outputs, without ReLU.

    `task` is "classes" (outputs are logits) or "reconstruction" (an autoencoder: outputs should equal the input).

    >>> Architecture("tiny", (4,), (DenseBlock("fc", 3),))
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: architecture tiny: its last block fc must have no ReLU, for it yields the outputs
    """

    name: str
    input_shape: tuple[int, ...]
    blocks: tuple[Block, ...]
    batch_norm: bool = False
    task: str = "classes"

    def __post_init__(self) -> None:
        known = {INPUT}
        for i, block in enumerate(self.blocks):
            if block.name in known:
                raise InputError(f"architecture {self.name}: two blocks are called {block.name!r}")
            for name in self.inputs(i):
                if name not in known:
                    raise InputError(
                        f"architecture {self.name}: block {block.name} reads {name!r}, which no block before it yields"
                    )
            known.add(block.name)
        if self.task not in ("classes", "reconstruction"):
            raise InputError(f"an architecture's task is classes or reconstruction, not {self.task!r}")
        last = self.blocks[-1]
        if not isinstance(last, DenseBlock) or last.relu:
            raise InputError(
                f"architecture {self.name}: its last block {last.name} must have no ReLU, for it yields the outputs"
            )

    def inputs(self, index: int) -> tuple[str, ...]:
        """Names of the blocks that block `index` reads."""
        block = self.blocks[index]
        if isinstance(block, AddBlock):
            return block.inputs
        return (block.input or (self.blocks[index - 1].name if index else INPUT),)

    @property
    def weighted(self) -> tuple[ConvBlock | DenseBlock, ...]:
        """Blocks with weights, in order."""
        return tuple(block for block in self.blocks if isinstance(block, (ConvBlock, DenseBlock)))


@dataclass(frozen=True)
class Widths:
    """Bits of a block's weights and of its output.

    >>> Widths(weight=9)
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: weights and outputs have 2 to 8 bits, not 9 and 8
    """

    weight: int = 8
    out: int = 8

    def __post_init__(self) -> None:
        if not (2 <= self.weight <= 8 and 2 <= self.out <= 8):
            raise InputError(f"weights and outputs have 2 to 8 bits, not {self.weight} and {self.out}")


@dataclass(frozen=True)
class BlockFormat:
    """Number formats of a block: of its weights (None where it has none) and of its output."""

    weight: Fixed | None
    out: Fixed


def constrained(
    architecture: Architecture,
    source: Fixed,
    formats: Mapping[str, BlockFormat],
    q_scale: int = 0,
    room: Mapping[str, int] | None = None,
    bounded: bool = False,
) -> dict[str, BlockFormat]:
    """Formats in which every weighted block shifts right by at least `q_scale`, the output block included.

    A block's shift is frac(input) + frac(weight) - frac(output). Where it is short of `q_scale` by d, the weights take
    floor(d / 2) more fraction bits, so that large weights saturate and codes grow, and the output gives up the rest of d,
    so that its step grows. `room[block]` is the most that weights may take, so that sums fit their accumulator. Either alone costs more: digits at q_scale 11 (d = 4 in the first layer, seed 0) reached a
    validation accuracy of 0.25 with none of d taken from the weights, 0.87 with one bit, 0.98 with two, 0.94 with three. A coarser output means less
    fraction in what the next block reads, hence the order. Blocks without weights keep their format, but never pretend to
    more fraction than they read.

    A coarser output has a wider range, which faults use. Where it is `bounded`, it gives up as many bits instead, and weights
    take ceil(d / 2), and one at least: the larger the codes of a sum, the smaller a share of it is a flip.

    >>> a = Architecture("a", (4,), (DenseBlock("h", 8), DenseBlock("o", 3, relu=False)))
    >>> f = {"h": BlockFormat(Fixed.parse("s8.7"), Fixed.parse("u8.7")), "o": BlockFormat(Fixed.parse("s8.7"), Fixed.parse("s8.4"))}
    >>> {k: (str(v.weight), str(v.out)) for k, v in constrained(a, Fixed.parse("u8.8"), f, q_scale=11).items()}
    {'h': ('s8.8', 'u8.5'), 'o': ('s8.8', 's8.2')}
    >>> {k: (str(v.weight), str(v.out)) for k, v in constrained(a, Fixed.parse("u8.8"), f, 11, {"h": 0}).items()}
    {'h': ('s8.7', 'u8.4'), 'o': ('s8.9', 's8.2')}
    >>> {k: (str(v.weight), str(v.out)) for k, v in constrained(a, Fixed.parse("u8.8"), f, 11, bounded=True).items()}
    {'h': ('s8.9', 'u7.6'), 'o': ('s8.8', 's7.3')}
    """
    if not 0 <= q_scale <= 20:
        raise InputError(f"q_scale must be 0 to 20, not {q_scale}")
    frac = {INPUT: source.frac}
    result: dict[str, BlockFormat] = {}
    for i, block in enumerate(architecture.blocks):
        reads = [frac[name] for name in architecture.inputs(i)]
        if isinstance(block, PoolBlock):
            frac[block.name] = reads[0]
            continue
        fmt = formats[block.name]
        weight = fmt.weight
        if weight is not None:
            short = q_scale - (reads[0] + weight.frac - fmt.out.frac)
            finer = max((short + 1) // 2, 1) if bounded else max(short, 0) // 2
            weight = Fixed(weight.bits, weight.frac + min(finer, (room or {}).get(block.name, finer)), True)
            limit = reads[0] + weight.frac - q_scale
        elif isinstance(block, AverageBlock):
            limit = reads[0] + (block.size[0] * block.size[1]).bit_length() - 1
        else:
            limit = max(reads)
        coarser = max(0, fmt.out.frac - limit)
        bits = max(fmt.out.bits - coarser, 2) if bounded else fmt.out.bits
        out = Fixed(bits, fmt.out.frac - coarser, fmt.out.signed)
        result[block.name] = BlockFormat(weight, out)
        frac[block.name] = out.frac
    return result
