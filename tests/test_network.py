import json

import numpy as np
import pytest
from conftest import small_network
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.files import save_npz
from hardpoint.fixed import Fixed
from hardpoint.layers import Add, AvgPool, Conv, Dense, MaxPool, Rescale
from hardpoint.network import Criterion, Network


def naive(network: Network, image: np.ndarray) -> list[int]:
    """The small network by loops over Python integers."""

    def requantise(acc: int, layer: Conv | Dense, n: int) -> int:
        s = int(layer.shift[n])
        low, rest = acc >> s, acc & ((1 << s) - 1)
        half = 1 << (s - 1)
        rounded = low + (rest > half or (rest == half and low & 1))
        return min(max(rounded, layer.out.min), layer.out.max)

    conv, _, fc = network.layers
    h, w, c = network.input_shape
    maps = np.zeros((h - 2, w - 2, conv.channels), int)
    for y in range(h - 2):
        for x in range(w - 2):
            for n in range(conv.channels):
                acc = int(conv.bias[n])
                for i in range(3):
                    for j in range(3):
                        for k in range(c):
                            acc += int(image[y + i, x + j, k]) * int(conv.weight[i, j, k, n])
                maps[y, x, n] = requantise(acc, conv, n)
    flat = [
        max(maps[2 * y + i, 2 * x + j, n] for i in range(2) for j in range(2))
        for y in range((h - 2) // 2)
        for x in range((w - 2) // 2)
        for n in range(conv.channels)
    ]
    return [
        requantise(int(fc.bias[n]) + sum(int(a) * int(fc.weight[k, n]) for k, a in enumerate(flat)), fc, n)
        for n in range(fc.channels)
    ]


def test_the_specification_equals_loops_over_integers(network, images) -> None:
    assert network(images).tolist() == [naive(network, image) for image in images]


def test_file_round_trip(network, images, tmp_path) -> None:
    network.save(tmp_path / "n.npz")
    again = Network.load(tmp_path / "n.npz")
    assert again.digest == network.digest
    assert (again(images) == network(images)).all()


@given(st.permutations(range(5)), st.permutations(range(4)))
def test_permuted_channels_compute_the_same(conv, fc) -> None:
    network = small_network()
    x = np.random.default_rng(1).integers(0, 256, (3, 6, 6, 2))
    moved = network.permuted("conv", conv).permuted("fc", fc)
    assert (moved(x) == network(x)).all()
    assert moved.layers[0].bias.tolist() == network.layers[0].bias[list(conv)].tolist()


def test_permutation_of_an_added_layer_is_refused() -> None:
    u8, s8 = Fixed.parse("u8.8"), Fixed.parse("s8.7")
    conv = Conv("a", "input", np.ones((1, 1, 2, 2)), [0, 0], 4, u8, s8)
    network = Network((3, 3, 2), u8, (conv, Add("add", ("a", "input"), (0, 0), 0, u8)))
    with pytest.raises(InputError, match="channels of a cannot be permuted: add adds them"):
        network.permuted("a", [1, 0])


def test_pooling_addition_and_rescaling() -> None:
    u8 = Fixed.parse("u8.8")
    x = np.arange(16).reshape(1, 4, 4, 1)
    layers = (
        AvgPool("avg", "input", (2, 2), (2, 2), 2, u8),  # sums 10, 18, 42, 50 over 4: ties to even
        MaxPool("max", "input", (2, 2), (2, 2)),
        Add("sum", ("avg", "max"), (1, 0), 0, u8),
        Rescale("half", "sum", 1, Fixed.parse("u4.0")),
    )
    values = Network((4, 4, 1), u8, layers).trace(x)
    assert values["avg"].ravel().tolist() == [2, 4, 10, 12]
    assert values["max"].ravel().tolist() == [5, 7, 13, 15]
    assert values["sum"].ravel().tolist() == [9, 15, 33, 39]
    assert values["half"].ravel().tolist() == [4, 8, 15, 15]


def test_depthwise_convolution_equals_one_convolution_per_channel() -> None:
    rng = np.random.default_rng(0)
    u8, s8 = Fixed.parse("u8.8"), Fixed.parse("s8.7")
    weight = rng.integers(-9, 9, (3, 3, 4, 1))
    x = rng.integers(0, 256, (2, 5, 5, 4))
    deep = Network(
        (5, 5, 4), u8, (Conv("d", "input", weight, np.zeros(4), 3, u8, s8, depthwise=True, pad=(1, 1, 1, 1)),)
    )
    for c in range(4):
        one = Network((5, 5, 1), u8, (Conv("d", "input", weight[:, :, c : c + 1], [0], 3, u8, s8, pad=(1, 1, 1, 1)),))
        assert (deep.trace(x)["d"][..., c] == one.trace(x[..., c : c + 1])["d"][..., 0]).all()


@pytest.mark.parametrize(
    ("kind", "bound", "golden", "faulty", "holds"),
    [
        ("top1", 0, [1, 5, 5], [0, 5, 5], True),
        ("top1", 0, [1, 5, 5], [1, 4, 5], False),
        ("tolerance", 2, [10, 10], [12, 8], True),
        ("tolerance", 2, [10, 10], [13, 10], False),
        ("threshold", 4, [5], [9], True),
        ("threshold", 4, [5], [4], False),
    ],
)
def test_criterion(kind, bound, golden, faulty, holds) -> None:
    assert bool(Criterion(kind, bound).holds(np.array([golden]), np.array([faulty]))[0]) is holds


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 6, 6, 2)), "integer codes, not float64"),
        (np.zeros((1, 6, 5, 2), int), r"images of shape \(6, 6, 2\), not \(6, 5, 2\)"),
        (np.full((1, 6, 6, 2), 256), "input codes must be 0 to 255 as u8.8, not 256"),
    ],
)
def test_bad_images_are_refused(network, x, message) -> None:
    with pytest.raises(InputError, match=message):
        network(x)


def test_corrupt_files_are_refused_in_one_line(network, tmp_path) -> None:
    path = tmp_path / "n.npz"
    network.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    cases = [whole[:n] for n in (0, 1, 100, len(whole) // 2, len(whole) - 1)]
    for _ in range(40):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        cases.append(bytes(data))
    refused = 0
    for data in cases:
        path.write_bytes(data)
        try:
            again = Network.load(path)
        except InputError as error:
            refused += 1
            message = str(error)
        else:
            message = "" if again.digest == network.digest else "changed"  # a flip in what a zip does not check
        assert "\n" not in message
        assert message != "changed"
    assert refused > len(cases) // 2


def test_unknown_keys_and_kinds_are_errors(network, tmp_path) -> None:
    header, arrays = network._stored()
    for change, message in (
        ({"speed": 1}, "no key 'speed'"),
        ({"format": "x"}, "its format is 'x'"),
        ({"layers": [{"kind": "lstm"}]}, "layer 0 is of kind 'lstm'"),
        ({"input_format": "s8"}, "number format reads like"),
    ):
        save_npz(tmp_path / "x.npz", json.loads(json.dumps(header)) | change, arrays)
        with pytest.raises(InputError, match=message):
            Network.load(tmp_path / "x.npz")


def test_accumulator_bits_hold_the_worst_input(network) -> None:
    conv = network.gemms[0]
    bits = network.accumulator_bits(conv)
    worst = int((np.abs(conv.matrix()).sum(axis=0) * 255 + np.abs(conv.bias)).max())
    assert 2 ** (bits - 2) <= worst < 2 ** (bits - 1)


def test_important_neurons_are_stored_named_and_follow_their_channels(network, images, tmp_path) -> None:
    listed = network.with_important([[79, 0, 3], [2]])
    assert listed.important == ((0, 3, 79), (2,))
    assert network.important == ((), ())
    assert network.digest != listed.digest != network.with_important([[0, 3], [2]]).digest
    assert network.with_important([[], []]).digest == network.digest
    listed.save(tmp_path / "n.npz")
    again = Network.load(tmp_path / "n.npz")
    assert (again.important, again.digest) == (listed.important, listed.digest)
    order = [4, 0, 3, 1, 2]
    moved = listed.permuted("conv", order)
    assert moved.important == (tuple(sorted(m * 5 + order.index(n) for m, n in ((0, 0), (0, 3), (15, 4)))), (2,))
    assert (moved(images) == network(images)).all()


@pytest.mark.parametrize(
    ("important", "message"),
    [
        ([[0]], "important neurons are listed for each of the 2 array layers, not for 1"),
        ([[80], []], "layer conv: important neurons are numbered 0 to 79, not 80"),
        ([[], [-1]], "layer fc: important neurons are numbered 0 to 3, not -1"),
        ([[2, 2], []], "layer conv: important neurons must rise, neuron 2 does not"),
        ([[0.5], []], "layer conv: important neurons are whole numbers"),
    ],
)
def test_bad_important_neurons_are_refused(network, important, message) -> None:
    with pytest.raises(InputError, match=message):
        network.with_important(important)
