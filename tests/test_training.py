"""Architectures, formats and quantisation-aware training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.training.architecture import (
    Architecture,
    BlockFormat,
    ConvBlock,
    DenseBlock,
    PoolBlock,
    Widths,
    constrained,
)
from hardpoint.training.build import best_fraction, bounded, room
from hardpoint.training.data import digits
from hardpoint.training.models import MODELS, architecture
from hardpoint.training.train import Recipe, record, train

SHAPES = {"ds-cnn": (49, 10, 1), "resnet8": (32, 32, 3), "vgg-small": (32, 32, 3), "autoencoder": (640,)}


def test_the_digits_model_reaches_its_accuracy_in_8_bits() -> None:
    data = digits()
    seen = []
    trained = train(
        architecture("digits-cnn", data.shape, data.classes), data, q_scale=8, progress=lambda *row: seen.append(row)
    )
    assert trained.test_accuracy >= 0.97
    assert [row[:3] for row in seen] == [("floats", i + 1, 30) for i in range(30)] + [
        ("quantised", i + 1, 10) for i in range(10)
    ]


def test_the_same_seed_gives_the_same_weights_and_a_file_keeps_them(tmp_path: Path) -> None:
    from hardpoint.hls.keras_env import load_model

    data = digits()
    made = architecture("mlp", data.shape, data.classes)
    first, second, other = (
        train(made, data, seed=seed, recipe=Recipe(2, 1), default=Widths(4, 5)) for seed in (3, 3, 4)
    )
    pairs = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert not np.array_equal(first.model.get_weights()[0], other.model.get_weights()[0])
    first.save(tmp_path / "m.h5")
    stored = record(tmp_path / "m.h5")
    assert stored["accuracy"]["test"] == first.test_accuracy
    assert stored["formats"]["fc1"]["weight"].startswith("s4.")
    assert stored["formats"]["fc1"]["out"].startswith("u5.")
    loaded = load_model(tmp_path / "m.h5").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first.model.get_weights(), loaded, strict=True))
    with pytest.raises(InputError, match=r"written to an \.h5 file, not m.keras"):
        first.save(tmp_path / "m.keras")


@pytest.mark.parametrize("name", MODELS)
@given(q_scale=st.integers(0, 9), bits=st.integers(2, 8), frac=st.integers(0, 8), narrow=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_constraint_holds_in_every_layer(name: str, q_scale: int, bits: int, frac: int, narrow: bool) -> None:
    made = architecture(name, SHAPES.get(name, (28, 28, 1)), 10)
    source = Fixed(8, frac, False)
    formats = {
        block.name: BlockFormat(
            Fixed(bits, bits, True) if block in made.weighted else None,
            Fixed(bits, bits - 1, not getattr(block, "relu", True)),
        )
        for block in made.blocks
        if not block.name.startswith("pool")
    }
    result = constrained(made, source, formats, q_scale, bounded=narrow)
    known = {"input": source.frac}
    for i, block in enumerate(made.blocks):
        reads = known[made.inputs(i)[0]]
        known[block.name] = result[block.name].out.frac if block.name in result else reads
        if block in made.weighted:
            weight = result[block.name].weight
            assert weight is not None
            assert reads + weight.frac - result[block.name].out.frac >= q_scale
            out, before = result[block.name].out, formats[block.name].out
            lost = before.frac - out.frac if narrow else 0
            assert out.bits == max(bits - lost, 2)  # no wider range, which only faults would use


@given(
    seed=st.integers(0, 1000),
    scale=st.floats(-4, 2),
    q_scale=st.integers(8, 16),
    acc_bits=st.integers(18, 26),
    depthwise=st.booleans(),
    narrow=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_finer_weights_keep_their_sums_in_the_accumulator(
    seed: int, scale: float, q_scale: int, acc_bits: int, depthwise: bool, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    conv = ConvBlock("c", 6, (3, 3), depthwise=depthwise)
    made = Architecture("a", (8, 8, 6), (conv, DenseBlock("d", 5, relu=False)))
    source = Fixed(8, 8, False)
    kernels = {
        "c": rng.normal(0, 2.0**scale, (3, 3, 6, 1 if depthwise else 6)),
        "d": rng.normal(0, 2.0**scale, (384, 5)),
    }
    weights = {
        name: (
            kernel.astype(np.float32),
            rng.normal(0, 1, kernel.shape[2] if depthwise and name == "c" else kernel.shape[-1]),
        )
        for name, kernel in kernels.items()
    }
    free = {
        name: BlockFormat(Fixed(8, best_fraction(kernel, 8, True), True), Fixed(8, 4, name == "d")) for name, kernel in kernels.items()
    }  # fmt: skip

    def width(formats: dict[str, BlockFormat], name: str) -> int:
        weight, read = formats[name].weight, source if name == "c" else formats["c"].out
        kernel, bias = weights[name]
        codes = np.abs(weight.quantise(kernel).astype(np.int64))
        sums = codes.sum(axis=(0, 1, 3) if depthwise and name == "c" else tuple(range(kernel.ndim - 1)))
        top = (sums * read.magnitude + np.abs(np.rint(bias * 2.0 ** (read.frac + weight.frac)))).max()
        return int(top).bit_length() + 1

    left = room(made, source, free, weights, acc_bits)
    bound = constrained(made, source, free, q_scale, left, narrow)
    for name in ("c", "d"):
        assert width(bound, name) <= max(acc_bits, width(free, name))
    assert all(extra >= 0 for extra in left.values())
    short = q_scale - (8 + free["c"].weight.frac - free["c"].out.frac)
    assert bound["c"].weight.frac - free["c"].weight.frac == min(
        max((short + 1) // 2, 1) if narrow else max(short, 0) // 2, left["c"]
    )


@pytest.mark.parametrize("name", MODELS)
@given(bits=st.integers(2, 8), frac=st.integers(-2, 8), top=st.floats(0.1, 100), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_bounded_outputs_lose_range_that_few_values_use(name: str, bits: int, frac: int, top: float, seed: int) -> None:
    made = architecture(name, SHAPES.get(name, (28, 28, 1)), 10)
    blocks = [block for block in made.blocks if not isinstance(block, PoolBlock)]
    out = Fixed(bits, min(frac, bits), False)
    free = {block.name: BlockFormat(Fixed(8, 7, True) if block in made.weighted else None, out) for block in blocks}
    rng = np.random.default_rng(seed)
    values = {block.name: top * np.abs(rng.normal(size=1000)) for block in blocks}
    result = bounded(made, free, values, 0.1)
    assert result.keys() == free.keys()
    for block in blocks:
        after = result[block.name].out
        assert (result[block.name].weight, after.frac, after.signed) == (free[block.name].weight, out.frac, False)
        allowed = [
            less
            for less in range(3)
            if bits - less >= max(4, out.frac)
            and (values[block.name] > out.value(2 ** (bits - less) - 1)).mean() <= 0.1
        ]
        assert bits - after.bits == (max(allowed, default=0) if getattr(block, "relu", False) else 0)


def test_architectures_that_make_no_sense_are_refused() -> None:
    out = DenseBlock("o", 3, relu=False)
    with pytest.raises(InputError, match="two blocks are called 'o'"):
        Architecture("a", (4,), (DenseBlock("o", 3), out))
    with pytest.raises(InputError, match="block o reads 'x', which no block before it yields"):
        Architecture("a", (4,), (DenseBlock("o", 3, relu=False, input="x"),))
    with pytest.raises(InputError, match="its last block c must have no ReLU"):
        Architecture("a", (4, 4, 1), (ConvBlock("c", 3),))
    with pytest.raises(InputError, match="no model 'resnet9'; models are digits-cnn"):
        architecture("resnet9", (32, 32, 3), 10)
    with pytest.raises(InputError, match="q_scale must be 0 to 20, not 21"):
        constrained(Architecture("a", (4,), (out,)), Fixed(8, 8, False), {}, 21)
    with pytest.raises(InputError, match="training needs epochs"):
        Recipe(0, 0)
    with pytest.raises(InputError, match="a learning rate lies between 0 and 1, not 2"):
        Recipe(rate=2)
    with pytest.raises(InputError, match=r"a share of 0 to 0\.5 of the outputs may lie beyond their bound, not 2"):
        Recipe(bound=2)


def test_widths_of_a_block_that_is_not_there() -> None:
    data = digits()
    made = architecture("mlp", data.shape, data.classes)
    with pytest.raises(InputError, match="no block 'fc9' in mlp; blocks are fc1, fc2, logits"):
        train(made, data, widths={"fc9": Widths(4, 4)}, recipe=Recipe(1, 0))


@given(st.integers(2, 8), st.booleans(), st.integers(-6, 6), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_best_fraction_has_the_least_error(bits: int, signed: bool, exponent: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 2.0**exponent, 200)
    values = values if signed else np.abs(values)

    def error(frac: int) -> float:
        fmt = Fixed(bits, frac, signed)
        return float(np.mean((fmt.value(fmt.quantise(values)) - values) ** 2))

    best = best_fraction(values, bits, signed)
    assert error(best) <= min(error(best - 1), error(best + 1))


def test_a_training_that_was_stopped_goes_on_at_its_last_epoch(tmp_path: Path) -> None:
    data = digits()
    made = architecture("mlp", data.shape, data.classes)
    seen: list[tuple[str, int]] = []

    def stop_at(phase: str, epoch: int) -> Any:
        def progress(*row: Any) -> None:
            seen.append(row[:2])
            if row[:2] == (phase, epoch):
                raise KeyboardInterrupt

        return progress

    recipe = Recipe(4, 3)
    for stop in (("floats", 3), ("quantised", 2)):
        with pytest.raises(KeyboardInterrupt):
            train(made, data, recipe=recipe, progress=stop_at(*stop), checkpoints=tmp_path)
    trained = train(made, data, recipe=recipe, progress=stop_at("", 0), checkpoints=tmp_path, start=None)
    # what a stop follows was kept: no epoch is trained twice
    assert seen == [("floats", i) for i in (1, 2, 3, 4)] + [("quantised", i) for i in (1, 2, 3)]
    assert trained.provenance == {"resumed at epoch": "2"}
    assert train(made, data, recipe=Recipe(1, 1)).provenance == {}


def test_mirrored_and_moved_images_keep_their_labels() -> None:
    data = digits()
    made = architecture("digits-cnn", data.shape, data.classes)
    trained = train(made, data, recipe=Recipe(2, 1, augment=True))
    assert 0.2 < trained.test_accuracy < 1


def test_strikes_move_sums_by_one_bit_and_only_while_training() -> None:
    from hardpoint.training.backend import seeded
    from hardpoint.training.robust import strikes

    seeded(0)
    codes = np.random.default_rng(0).integers(-3000, 3000, (400, 50))
    layer = strikes(1e-3, steps=20, scale=6, columns=10, bits=16, name="s")
    values = (codes * 2.0**-6).astype(np.float32)
    assert np.array_equal(np.asarray(layer(values, training=False)), values)
    moved = np.rint(np.asarray(layer(values, training=True), np.float64) * 64).astype(np.int64) - codes
    hit = moved != 0
    assert abs(hit.mean() - (1 - (1 - 1e-3) ** 200)) < 0.02
    sizes = np.abs(moved[hit])
    assert set(sizes.tolist()) == {1 << column for column in range(10)}
    assert np.array_equal(moved[hit] < 0, (codes[hit] & sizes) != 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ber": 0.0, "columns": 8}, "a bit error rate lies between 0 and 1, not 0.0"),
        (
            {"ber": 1e-3, "columns": 17},
            "strikes hit 1 to 16 columns of an accumulator of at most 30 bits, not 17 of 16",
        ),
    ],
)
def test_strikes_that_make_no_sense(settings, message: str) -> None:
    from hardpoint.training.robust import strikes

    with pytest.raises(InputError, match=message):
        strikes(steps=9, scale=6, bits=16, name="s", **settings)


def test_robust_training_keeps_the_model_convertible() -> None:
    from hardpoint.hls.frontend import convert, gate1

    data = digits()
    made = architecture("mlp", data.shape, data.classes)
    trained = train(made, data, recipe=Recipe(2, 1, ber=1e-5))
    network = convert(trained.model, data.format)
    assert gate1(trained.model, network, data.test.x) == len(data.test) * 10
    assert trained.record()["recipe"]["ber"] == 1e-5
    with pytest.raises(InputError, match=r"rate of 0 to 0\.1, not 0\.5"):
        Recipe(ber=0.5)
