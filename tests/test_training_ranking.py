"""Rankings and the injections that judge them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed, wrap
from hardpoint.layers import Add, Conv, Dense, MaxPool, requantise
from hardpoint.network import Criterion, Network
from hardpoint.ranking import Ranking
from hardpoint.training.flips import expected_flips, flipped, margin
from hardpoint.training.gradients import gradients
from hardpoint.training.injection import inject
from hardpoint.training.ranking import METHODS, bit_effects, default, rank

BITS = 14
RNG = np.random.default_rng(5)


def small() -> Network:
    """A network with every way in which a struck code travels on: convolution, pool, residual sum, depthwise, dense."""
    w, act = Fixed(5, 4, True), Fixed(5, 3, False)

    def weights(*shape: int) -> np.ndarray:
        return RNG.integers(-15, 16, shape)

    return Network(
        (5, 5, 2),
        Fixed(4, 4, False),
        (
            Conv("a", "input", weights(3, 3, 2, 3), weights(3), 4, act, w, relu=True),
            Conv("b", "a", weights(3, 3, 3, 1), weights(3), 4, act, w, pad=(1, 1, 1, 1), relu=True, depthwise=True),
            Add("s", ("a", "b"), (0, 0), 1, act, relu=True),
            MaxPool("p", "s", (2, 2), (1, 1)),
            Dense("d", "p", weights(12, 4), weights(4), 4, Fixed(6, 2, True), w),
        ),
    )


def literal(network: Network, x: np.ndarray, layer: int, neuron: int, step: int, column: int) -> np.ndarray:
    """Outputs of one image with the flip played step by step in plain integers."""
    values = {"input": x[None].astype(np.int64)}
    for part in network.layers:
        if isinstance(part, Add):
            values[part.name] = part(*(values[n] for n in part.inputs))
            continue
        values[part.name] = part(values[part.inputs[0]], network.formats[part.inputs[0]].magnitude)
        if part is network.gemms[layer]:
            m, n = divmod(neuron, part.channels)
            patches = part.patches(values[part.inputs[0]])[0]
            operands = patches[m, :, n] if patches.ndim == 3 else patches[m]
            acc = 0  # the bias is added behind the array
            for k, (a, w) in enumerate(zip(operands.tolist(), part.matrix()[:, n].tolist(), strict=True)):
                acc = int(wrap(acc + a * w, BITS))
                if k == step:
                    acc = int(wrap((acc & ((1 << BITS) - 1)) ^ (1 << column), BITS))
            values[part.name].reshape(-1)[neuron] = requantise(wrap(acc + part.bias[n], BITS), part.shift[n], part.out, part.relu)
    return values[network.layers[-1].name].reshape(-1)


def test_injection_equals_playing_every_step() -> None:
    network = small()
    x = RNG.integers(0, 16, (20, 5, 5, 2))
    golden = network(x)
    result = inject(network, x, 600, seed=3, bits=BITS)
    for layer, neuron, image, step, column, critical in zip(
        result.layer, result.neuron, result.image, result.step, result.column, result.critical, strict=True
    ):
        outputs = literal(network, x[image], int(layer), int(neuron), int(step), int(column))
        assert critical == (outputs.argmax() != golden[image].argmax())
    assert 0 < result.critical.sum() < len(result)
    assert set(result.layer.tolist()) == {0, 1, 2}


def test_injection_strikes_in_proportion_to_macs_and_repeats_with_its_seed() -> None:
    network = small()
    x = RNG.integers(0, 16, (4, 5, 5, 2))
    first, again, other = (inject(network, x, 4000, seed=s, bits=BITS) for s in (1, 1, 2))
    assert np.array_equal(first.critical, again.critical)
    assert not np.array_equal(first.neuron, other.neuron)
    macs = np.array([network.gemm(i).macs for i in range(3)])
    assert np.abs(np.bincount(first.layer) / 4000 - macs / macs.sum()).max() < 0.03
    with pytest.raises(InputError, match=r"its sums need 1[0-9] bits, the accumulator has 9"):
        inject(network, x, 10, bits=9)


def test_bit_effects_equal_flipping_the_finished_sum() -> None:
    network = small()
    x = RNG.integers(0, 16, (6, 5, 5, 2))
    trace = network.trace(x)
    for layer, table in zip(network.gemms, bit_effects(network, x, BITS), strict=True):
        acc = layer.accumulate(trace[layer.input], 15) - layer.bias
        for column in range(BITS):
            flipped = wrap((acc & ((1 << BITS) - 1)) ^ (1 << column), BITS)
            change = np.abs(requantise(wrap(flipped + layer.bias, BITS), layer.shift, layer.out, layer.relu) - trace[layer.name])
            assert table[column].tolist() == [(change != 0).mean(), change.mean()]
        assert (np.diff(table[:, 0]) >= -0.35).all()


def test_gradients_are_the_networks_own_and_agree_with_differences() -> None:
    """Nothing saturates in this network and shifts are none, so it is linear wherever a ReLU is off or on."""
    wide, weight = Fixed(16, 2, True), Fixed(5, 1, True)
    rng = np.random.default_rng(2)
    a = Conv("a", "input", rng.integers(-9, 10, (2, 2, 1, 3)), rng.integers(-5, 6, 3), 0, wide, weight, (2, 1), (1, 0, 0, 1), relu=True)
    b = Conv("b", "a", rng.integers(-3, 4, (2, 2, 3, 1)), np.zeros(3), 0, wide, weight, (1, 2), depthwise=True)
    d = Dense("d", "p", rng.integers(-3, 4, (3, 4)), np.zeros(4), 0, Fixed(20, 2, True), weight)
    network = Network((6, 4, 1), Fixed(4, 0, False), (a, b, MaxPool("p", "b", (2, 2), (2, 2)), d), output_order=(2, 0, 3, 1))
    x = rng.integers(0, 16, (30, 6, 4, 1))
    trace = network.trace(x)
    found = list(gradients(network, x, lambda tf, outputs: outputs[:, 0], batch=7))
    outputs = np.concatenate([part.outputs for part in found])
    assert np.array_equal(outputs * 4, network(x))
    checked = same = 0
    for index, layer in enumerate(network.gemms):
        acts = np.concatenate([part.acts[index] for part in found])
        grads = np.concatenate([part.grads[index] for part in found])
        assert np.array_equal(acts * 4, trace[layer.name])
        for image in range(5):
            codes = trace[layer.name][image].ravel()
            for neuron in range(len(codes)):
                moved = trace[layer.name][image].copy()
                moved.reshape(-1)[neuron] += 1
                values = {layer.name: moved[None]}
                for follower in network.layers[network.layers.index(layer) + 1 :]:
                    values[follower.name] = follower(values[follower.input], 1 << 14)
                change = network.ordered(values["d"])[0, 0] - network(x[image][None])[0, 0]
                slope = grads[image].ravel()[neuron]
                # where a maximum changes hands, the difference is that of another branch
                assert change == slope or (layer.name != "d" and 0 in (change, slope))
                checked, same = checked + 1, same + (change == slope)
    assert same > 0.8 * checked


def test_expected_flips_weigh_every_column_of_every_neuron() -> None:
    """By hand, one flip at a time: the exact change of what is read next, times the slope, as a share of the margin."""
    rng = np.random.default_rng(3)
    w, act = Fixed(5, 4, True), Fixed(5, 3, False)
    a = Conv("a", "input", rng.integers(-15, 16, (2, 2, 1, 2)), rng.integers(-15, 16, 2), 4, act, w, relu=True)
    d = Dense("d", "p", rng.integers(-15, 16, (8, 3)), rng.integers(-15, 16, 3), 4, Fixed(6, 2, True), w)
    network = Network((6, 6, 1), Fixed(4, 4, False), (a, MaxPool("p", "a", (2, 2), (2, 2)), d))
    x = rng.integers(0, 16, (12, 6, 6, 1))
    trace = network.trace(x)
    lead = np.sort(trace["d"], axis=1)[:, -1] - np.sort(trace["d"], axis=1)[:, -2]
    slopes = np.concatenate([part.grads[0] for part in gradients(network, x, margin, layers=["p"])]) * 2.0**-act.frac * 4
    want = np.zeros((5, 5, 2))
    for image in range(len(x)):
        for row in range(5):
            for col in range(5):
                for channel in range(2):
                    for column in range(BITS):
                        new = trace["a"][image].copy()
                        new[row, col, channel] = flipped(network, a, trace, column, BITS)[image, row, col, channel]
                        pooled = network.layers[1](new[None], 31)[0] - trace["p"][image]
                        share = -(pooled * slopes[image]).sum() / max(lead[image], 0.5)
                        want[row, col, channel] += np.clip(share, 0, 1) ** 4 / len(x)
    found = expected_flips(network, x, BITS, batch=5)
    assert np.allclose(found[0], want, rtol=1e-9, atol=1e-12)
    assert want[4].max() == 0, "no window holds the last row"
    assert want.max() > 0
    assert found[1].shape == (3,)
    assert found[1].min() > 0


@pytest.fixture(scope="module")
def converted() -> tuple[Any, Network]:
    from hardpoint.hls.frontend import conversion
    from hardpoint.training.data import digits
    from hardpoint.training.models import architecture
    from hardpoint.training.train import Recipe, train

    data = digits()
    model = train(architecture("digits-cnn", data.shape, 10), data, recipe=Recipe(8, 2), q_scale=6).model
    return data, conversion(model, data.format).network


@pytest.mark.parametrize("method", METHODS)
def test_every_method_scores_every_neuron(method: str, converted: Any, tmp_path: Path) -> None:
    data, network = converted
    ranking = rank(method, network, data.train.x[:200], trials=3000, data="digits")
    assert [s.shape for s in ranking.neurons] == [network.shapes[layer.name] for layer in network.gemms]
    assert all(score.min() >= 0 for score in ranking.neurons)
    ranking.save(tmp_path / "r.npz")
    assert Ranking.load(tmp_path / "r.npz").digest == ranking.digest
    assert [table.shape for table in ranking.bits] == [(24, 2)] * len(network.gemms)
    assert ranking.provenance["images"] == 200


def test_large_gradients_mark_vulnerable_neurons(converted: Any) -> None:
    """The logits are linear in conv2's pooled maxima: a gradient says which of two codes moves the decision more."""
    data, network = converted
    x = data.test.x[:200]
    scores = rank("gradient", network, x, exposure=False).neurons
    hit = inject(network, x, 40_000, bits=24)
    critical = hit.vulnerability(network)
    top = np.argsort(-scores[1].ravel())
    half = len(top) // 2
    assert critical[1].ravel()[top[:half]].sum() > 1.3 * critical[1].ravel()[top[half:]].sum()


def test_better_than_random_by_a_factor_of_three(converted: Any) -> None:
    data, network = converted
    hit = inject(network, data.test.x, 60_000, seed=2)
    share = {}
    for method in ("flips", "second-order", "random"):
        ranking = rank(method, network, data.train.x[:300])
        masks = ranking.important(0.1, "global")
        vulnerable = hit.vulnerability(network)
        share[method] = sum(float(v[m].sum()) for v, m in zip(vulnerable, masks, strict=True)) / hit.critical.sum()
    assert share["flips"] > 3 * share["random"]
    assert share["second-order"] > 3 * share["random"]
    assert default(network) == "flips"


def test_rankings_that_cannot_be_made() -> None:
    network = small()
    x = RNG.integers(0, 16, (4, 5, 5, 2))
    with pytest.raises(InputError, match="no ranking method 'gradiant'; methods are flips, gradient"):
        rank("gradiant", network, x)
    scores = dataclasses.replace(network, criterion=Criterion("threshold", 0))
    with pytest.raises(InputError, match="by margin needs a network with criterion top1, not threshold"):
        rank("margin", scores, x, bits=BITS)
    assert default(scores) == "gradient"
    assert all(score.max() > 0 for score in rank(default(scores), scores, x, bits=BITS).neurons)
    with pytest.raises(InputError, match="at least one"):
        rank("random", network, x[:0])
