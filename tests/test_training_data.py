"""Data sets: what is read, what is refused, how it is split."""

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.training import data
from hardpoint.training.data import DataSet, Split, load

REAL = Path(__file__).resolve().parents[2] / "shared/real/datasets"


def write_idx(folder: Path, zipped: bool, n: int = 30) -> np.ndarray:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (n, 4, 5), dtype=np.uint8)
    labels = (np.arange(n) % 3).astype(np.uint8)
    for stem, part in (("train", slice(0, n - 10)), ("t10k", slice(n - 10, n))):
        x, y = images[part], labels[part]
        for name, raw in (
            ("images-idx3-ubyte", struct.pack(">4I", 0x803, *x.shape) + x.tobytes()),
            ("labels-idx1-ubyte", struct.pack(">2I", 0x801, len(y)) + y.tobytes()),
        ):
            path = folder / f"{stem}-{name}{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(raw) if zipped else raw)
    return images


def test_digits_are_split_by_seed_and_nothing_is_lost() -> None:
    a, b = load("digits", seed=0), load("digits", seed=1)
    assert a.format == Fixed(8, 7, signed=False)
    for d in (a, b):
        every = np.concatenate([d.train.x, d.validation.x, d.test.x])
        assert every.shape == (1797, 8, 8, 1)
        assert hashlib.sha256(np.sort(every.reshape(1797, -1), axis=0).tobytes()).hexdigest() == (
            hashlib.sha256(
                np.sort(np.concatenate([a.train.x, a.validation.x, a.test.x]).reshape(1797, -1), axis=0).tobytes()
            ).hexdigest()
        )
    assert not np.array_equal(a.test.x, b.test.x)
    assert np.array_equal(a.test.x, load("digits", seed=0).test.x)
    assert float(a.values(a.train.x).max()) == 1.0


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files(tmp_path: Path, zipped: bool) -> None:
    images = write_idx(tmp_path, zipped)
    d = load("mnist", tmp_path)
    assert d.shape == (4, 5, 1)
    assert d.classes == 3
    assert np.array_equal(d.test.x[..., 0], images[20:])
    assert len(d.train) + len(d.validation) == 20


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-1], "holds 599 bytes of data, its header says 20 x 4 x 5|holds 399 bytes"),
        (lambda raw: b"\0\0\x0c\x03" + raw[4:], "is no IDX file of bytes with 3 axes"),
        (lambda raw: raw[:3], "is no IDX file of bytes with 3 axes"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, damage, message: str) -> None:
    write_idx(tmp_path, False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        load("mnist", tmp_path)


def test_cut_gzip(tmp_path: Path) -> None:
    write_idx(tmp_path, True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match="cannot read"):
        load("mnist", tmp_path)


def test_a_file_that_claims_to_be_official_but_is_not(tmp_path: Path) -> None:
    write_idx(tmp_path, False)
    labels = np.zeros(10000, np.uint8)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 10000) + labels.tobytes())
    with pytest.raises(InputError, match=r"MD5 .* is that of none"):
        load("mnist", tmp_path)


def cifar_batches(folder: Path, protocol: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    pixels, labels = rng.integers(0, 256, (12, 3072), dtype=np.uint8), rng.integers(0, 10, 12)
    for i, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
        part = slice(2 * i, 2 * i + 2)
        table = {
            b"batch_label": b"a batch",
            b"labels": [int(v) for v in labels[part]],
            b"data": pixels[part],
            b"filenames": [b"a.png", b"b.png"],
        }
        (folder / name).write_bytes(pickle.dumps(table, protocol))
    return pixels, labels


def test_cifar_python_batches_as_python_2_wrote_them(tmp_path: Path) -> None:
    pixels, labels = cifar_batches(tmp_path, 2)
    raw = pixels[10:].tobytes()
    batch = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x07a batchq\x03U\x06labelsq\x04]q\x05("
    batch += b"".join(b"K" + bytes([v]) for v in labels[10:]) + b"eU\x04dataq\x06T" + struct.pack("<i", len(raw)) + raw
    batch += b"q\x07U\tfilenamesq\x08]q\t(U\x05a.pngU\x05b.pngeu."
    (tmp_path / "test_batch").write_bytes(batch)
    d = load("cifar10", tmp_path)
    assert np.array_equal(d.test.x, pixels[10:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    assert d.test.y.tolist() == labels[10:].tolist()


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_cifar_python_batches_are_read_without_unpickling(tmp_path: Path, protocol: int, monkeypatch) -> None:
    pixels, labels = cifar_batches(tmp_path, protocol)
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    d = load("cifar10", tmp_path)
    assert np.array_equal(d.test.x, pixels[10:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    assert np.array_equal(d.test.y, labels[10:])


def test_a_hostile_pickle_runs_nothing(tmp_path: Path) -> None:
    cifar_batches(tmp_path, 2)

    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="no CIFAR-10 python batch"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_cifar_binary_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 256, (6, 2, 3073), dtype=np.uint8)
    rows[:, :, 0] %= 10
    for name, part in zip([f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"], rows, strict=True):
        (tmp_path / name).write_bytes(part.tobytes())
    d = load("cifar10", tmp_path)
    assert d.test.y.tolist() == rows[5, :, 0].tolist()
    assert np.array_equal(d.test.x[0, 0, 1], rows[5, 0, [2, 1026, 2050]])
    (tmp_path / "test_batch.bin").write_bytes(b"abc")
    with pytest.raises(InputError, match="its 3 bytes are no multiple of 3073"):
        load("cifar10", tmp_path)


def test_npz_of_floats_gets_the_format_that_just_fits(tmp_path: Path) -> None:
    x = np.linspace(-3.9, 3.9, 60).reshape(20, 3)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 4)
    d = load("npz", tmp_path / "a.npz")
    assert (d.name, str(d.format), d.classes) == ("a", "s8.5", 4)
    assert abs(float(d.values(d.train.x).max())) <= 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((10, 2))}, "needs arrays x and y"),
        ({"x": np.zeros((10, 2)), "y": np.zeros(9, int)}, "one label per sample, not 9 labels for 10 samples"),
        ({"x": np.full((10, 2), np.nan), "y": np.zeros(10, int)}, "must hold finite numbers"),
        ({"x": np.zeros((10, 2)), "y": np.zeros(10)}, "y integers, not float64 and float64"),
        ({"x": np.zeros((10, 2)), "y": np.full(10, -1)}, "one class number, 0 or more"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3, int)}, "3 samples, too few to split in three"),
    ],
)
def test_npz_files_that_are_refused(tmp_path: Path, arrays, message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load("npz", tmp_path / "a.npz")


def test_names_and_paths_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set 'mnst'; data sets are digits, mnist"):
        load("mnst")
    with pytest.raises(InputError, match="say where with --data"):
        load("mnist")
    with pytest.raises(InputError, match="no file or folder"):
        load("mnist", tmp_path / "absent")
    with pytest.raises(InputError, match="has no file train-images-idx3-ubyte"):
        load("mnist", tmp_path)
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot read"):
        load("npz", tmp_path / "a.npz")


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_no_bytes_crash_the_readers(tmp_path_factory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("raw") / "f"
    path.write_bytes(raw)
    for reader in (data._cifar_python, data._cifar_binary, lambda p: data._idx(p, 3)):
        with pytest.raises(InputError, match=r"^[^\n]*\Z"):
            reader(path)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "mnist"), ("fashion", "fashion_mnist")])
def test_the_real_files(name: str, folder: str) -> None:
    if not (REAL / folder).is_dir():
        pytest.skip(f"no {REAL / folder}")
    d = load(name, REAL / folder)
    assert (len(d.train), len(d.validation), len(d.test), d.shape) == (55000, 5000, 10000, (28, 28, 1))


def test_packed_jpeg_files() -> None:
    path = REAL / "cifar10/cifar10_test_jpeg.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    d = load("cifar10", path)
    assert d.shape == (32, 32, 3)
    assert "JPEG" in d.note
    assert len(d.test) == 2000


def test_a_split_needs_a_label_per_sample() -> None:
    with pytest.raises(InputError, match="not 2 labels for 3 samples"):
        Split(np.zeros((3, 2)), np.zeros(2, np.int64))


def test_values_are_exact() -> None:
    s = Split(np.array([[255]], np.uint8), np.array([0]))
    d = DataSet("d", Fixed(8, 8, False), 1, s, s, s)
    assert d.values(s.x).tolist() == [[0.99609375]]
