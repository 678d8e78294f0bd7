"""The architectures that the project trains, from a demonstration's network to MLPerf Tiny's."""

from __future__ import annotations

from collections.abc import Callable

from hardpoint.errors import InputError
from hardpoint.training.architecture import (
    AddBlock,
    Architecture,
    AverageBlock,
    Block,
    ConvBlock,
    DenseBlock,
    PoolBlock,
)

__all__ = ["MODELS", "architecture"]

Shape = tuple[int, ...]


def digits_cnn(shape: Shape, classes: int) -> Architecture:
    """Two convolutions for images of 8 x 8 pixels: about 84,000 MACs and 6,000 weights."""
    blocks = (
        ConvBlock("conv1", 16),
        PoolBlock("pool1"),
        ConvBlock("conv2", 32),
        PoolBlock("pool2"),
        DenseBlock("logits", classes, relu=False),
    )
    return Architecture("digits-cnn", shape, blocks)


def mlp(shape: Shape, classes: int) -> Architecture:
    """Three fully connected layers."""
    blocks = (DenseBlock("fc1", 64), DenseBlock("fc2", 32), DenseBlock("logits", classes, relu=False))
    return Architecture("mlp", shape, blocks)


def bench(shape: Shape, classes: int) -> Architecture:
    """The network on which software fault injectors were measured (docs/results.md): two convolutions, two dense layers."""
    blocks = (
        ConvBlock("conv1", 16, padding="valid"),
        PoolBlock("pool1"),
        ConvBlock("conv2", 32, padding="valid"),
        PoolBlock("pool2"),
        DenseBlock("fc1", 64),
        DenseBlock("logits", classes, relu=False),
    )
    return Architecture("bench", shape, blocks)


def lenet5(shape: Shape, classes: int) -> Architecture:
    """LeNet-5 (LeCun et al. 1998) with ReLU and maximum pooling, as it is trained today."""
    blocks = (
        ConvBlock("conv1", 6, (5, 5)),
        PoolBlock("pool1"),
        ConvBlock("conv2", 16, (5, 5), padding="valid"),
        PoolBlock("pool2"),
        DenseBlock("fc1", 120),
        DenseBlock("fc2", 84),
        DenseBlock("logits", classes, relu=False),
    )
    return Architecture("lenet5", shape, blocks)


def vgg_small(shape: Shape, classes: int) -> Architecture:
    """Three stages of two 3 x 3 convolutions each, in the manner of VGG (Simonyan and Zisserman 2015)."""
    blocks: list[Block] = []
    for stage, filters in enumerate((32, 64, 128), 1):
        blocks += [ConvBlock(f"conv{stage}a", filters), ConvBlock(f"conv{stage}b", filters), PoolBlock(f"pool{stage}")]
    blocks += [DenseBlock("fc1", 128), DenseBlock("logits", classes, relu=False)]
    return Architecture("vgg-small", shape, tuple(blocks), batch_norm=True)


def resnet8(shape: Shape, classes: int) -> Architecture:
    """MLPerf Tiny's image classification network (Banbury et al. 2021): three residual stages, 12.5 million MACs."""
    blocks: list[Block] = [ConvBlock("conv0", 16)]
    before = "conv0"
    for stage, filters in enumerate((16, 32, 64), 1):
        stride = (1, 1) if stage == 1 else (2, 2)
        blocks += [
            ConvBlock(f"conv{stage}a", filters, stride=stride, input=before),
            ConvBlock(f"conv{stage}b", filters, relu=False),
        ]
        shortcut = before
        if stage > 1:
            shortcut = f"short{stage}"
            blocks.append(ConvBlock(shortcut, filters, (1, 1), stride=stride, relu=False, input=before))
        before = f"add{stage}"
        blocks.append(AddBlock(before, (f"conv{stage}b", shortcut)))
    height, width = (-(-size // 4) for size in shape[:2])
    blocks += [AverageBlock("average", (height, width)), DenseBlock("logits", classes, relu=False)]
    return Architecture("resnet8", shape, tuple(blocks), batch_norm=True)


def ds_cnn(shape: Shape, classes: int) -> Architecture:
    """MLPerf Tiny's keyword spotting network (Zhang et al. 2017): depthwise-separable convolutions.

    The reference averages over all 25 x 5 positions; 125 is no power of two, so here a window of 16 x 4 is averaged and
    what lies outside it is left out.
    """
    blocks: list[Block] = [ConvBlock("conv0", 64, (10, 4), (2, 2))]
    for i in range(1, 5):
        blocks += [ConvBlock(f"depth{i}", 64, depthwise=True), ConvBlock(f"point{i}", 64, (1, 1))]
    height, width = (1 << ((-(-size // 2)).bit_length() - 1) for size in shape[:2])
    blocks += [AverageBlock("average", (height, width)), DenseBlock("logits", classes, relu=False)]
    return Architecture("ds-cnn", shape, tuple(blocks), batch_norm=True)


def autoencoder(shape: Shape, classes: int) -> Architecture:
    """MLPerf Tiny's anomaly detection network: a dense autoencoder with a bottleneck of 8; `classes` is not used."""
    size = 1
    for n in shape:
        size *= n
    widths = (128, 128, 128, 128, 8, 128, 128, 128, 128)
    blocks = [DenseBlock(f"fc{i}", n) for i, n in enumerate(widths, 1)]
    return Architecture(
        "autoencoder", shape, (*blocks, DenseBlock("output", size, relu=False)), batch_norm=True, task="reconstruction"
    )


MODELS: dict[str, Callable[[Shape, int], Architecture]] = {
    "digits-cnn": digits_cnn,
    "mlp": mlp,
    "bench": bench,
    "lenet5": lenet5,
    "vgg-small": vgg_small,
    "resnet8": resnet8,
    "ds-cnn": ds_cnn,
    "autoencoder": autoencoder,
}


def architecture(name: str, shape: Shape, classes: int) -> Architecture:
    """The architecture called `name` for samples of `shape` and a number of classes.

    >>> len(architecture("resnet8", (32, 32, 3), 10).weighted)
    10
    """
    if name not in MODELS:
        raise InputError(f"no model {name!r}; models are {', '.join(MODELS)}")
    return MODELS[name](tuple(shape), classes)
