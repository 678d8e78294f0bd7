"""Data sets as integer codes: read from files that are there, never downloaded, never unpickled."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickletools
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed

__all__ = ["DataSet", "Split", "digits", "load"]

NAMES = ("digits", "mnist", "fashion", "cifar10", "kws", "npz")
PIXELS = Fixed(8, 8, signed=False)  # a pixel p of 0 to 255 stands for p / 256

# MD5 of the uncompressed official files, as published by the data sets' authors or mirrors
MD5 = {
    "6bbc9ace898e44ae57da46a324031adb": "MNIST training images",
    "a25bea736e30d166cdddb491f175f624": "MNIST training labels",
    "2646ac647ad5339dbf082846283269ea": "MNIST test images",
    "27ae3e4e09519cfbb04c329615203637": "MNIST test labels",
    "f4a8712d7a061bf5bd6d2ca38dc4d50a": "Fashion-MNIST training images",
    "9018921c3c673c538a1fc5bad174d6f9": "Fashion-MNIST training labels",
    "8181f5470baa50b63fa0f6fddb340f0a": "Fashion-MNIST test images",
    "15d484375f8d13e6eb1aabb0c3f46965": "Fashion-MNIST test labels",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Samples `x` (n, *shape) as codes and their labels `y` (n,)."""

    x: NDArray[Any]
    y: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise InputError(
                f"a data set needs one label per sample, not {len(self.y)} labels for {len(self.x)} samples"
            )

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Any) -> Split:
        return Split(self.x[index], self.y[index])


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set in three parts: weights are fitted on `train`, choices made on `validation`, `test` only reports.

    Samples are codes of `format`; `values` are what a model in floats sees. `note` is what must be said beside any
    accuracy (for instance that images were recompressed).
    """

    name: str
    format: Fixed
    classes: int
    train: Split
    validation: Split
    test: Split
    note: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.x.shape[1:])

    def values(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """Real values of codes, as float32 (exact: codes are small)."""
        return (codes.astype(np.float32)) * np.float32(2.0**-self.format.frac)


def load(name: str, path: str | os.PathLike[str] | None = None, seed: int = 0) -> DataSet:
    """Read a data set: `digits` is built in, the others lie at `path`.

    `path` is a folder (`mnist`, `fashion`: the four IDX files, gz or not; `cifar10`: python or binary batches, or
    packed JPEG files) or an `.npz` with x and y, or x_train, y_train, x_test, y_test. `seed` draws the validation
    part, and the test part where the source has none.

    >>> found = load("digits")
    >>> found.test.x.shape, found.test.x.dtype, str(found.format)
    ((359, 8, 8, 1), dtype('uint8'), 'u8.7')
    """
    if name not in NAMES:
        raise InputError(f"no data set {name!r}; data sets are {', '.join(NAMES)}")
    if name == "digits":
        return digits(seed)
    if path is None:
        raise InputError(f"data set {name} is read from files: say where with --data PATH")
    path = Path(path)
    if not path.exists():
        raise InputError(f"no file or folder {path} to read {name} from")
    if path.suffix == ".npz":
        return _npz(name, path, seed)
    if not path.is_dir():
        raise InputError(f"{name} is read from a folder or an .npz file, not {path}")
    if name in ("mnist", "fashion"):
        return _idx_folder(name, path, seed)
    if name == "cifar10":
        return _cifar10(path, seed)
    raise InputError(f"{name} is read from an .npz file, not the folder {path}")


def digits(seed: int = 0) -> DataSet:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn brings (from UCI's optical recognition set).

    Pixels are 0 to 16; their codes are eight times that, in u8.7, so that 16 stands for 1 and the operand's bits are used.
    A fifth each of the samples is for validation and test.

    >>> d = digits(seed=0)
    >>> len(d.train), len(d.validation), len(d.test), d.shape, int(d.test.x.max())
    (1079, 359, 359, (8, 8, 1), 128)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[..., None] * 8).astype(np.uint8)
    return _three("digits", Fixed(8, 7, signed=False), Split(x, bunch.target.astype(np.int64)), None, seed)


def _three(
    name: str, fmt: Fixed, train: Split, test: Split | None, seed: int, note: str = "", validation: int | None = None
) -> DataSet:
    """Draw validation (and test, where there is none) from `train`."""
    order = np.random.default_rng([seed, 0x5EED]).permutation(len(train))
    if test is None:
        fifth = len(train) // 5
        if fifth < 1:
            raise InputError(f"data set {name} has {len(train)} samples, too few to split in three")
        test, order = train[order[:fifth]], order[fifth:]
        validation = fifth
    elif validation is None:
        validation = max(1, len(train) // 12)
    classes = int(max(train.y.max(initial=0), test.y.max(initial=0))) + 1
    return DataSet(name, fmt, classes, train[order[validation:]], train[order[:validation]], test, note)


# IDX, the format of MNIST and its kin ---------------------------------------------------------------------------------


def _idx_folder(name: str, folder: Path, seed: int) -> DataSet:
    parts = {}
    for key, stem in (("train", "train"), ("test", "t10k")):
        images, labels = (
            _idx(_find(folder, f"{stem}-{kind}"), axes)
            for kind, axes in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1))
        )
        parts[key] = Split(images[..., None], labels.astype(np.int64))
    return _three(name, PIXELS, parts["train"], parts["test"], seed)


def _find(folder: Path, stem: str) -> Path:
    for candidate in (folder / stem, folder / f"{stem}.gz", folder / stem.replace("-idx", ".idx")):
        if candidate.is_file():
            return candidate
    raise InputError(f"{folder} has no file {stem} or {stem}.gz")


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read one IDX file of bytes; known files are checked against their published MD5."""
    raw = _bytes(path)
    if len(raw) < 4 + 4 * axes or raw[:4] != bytes((0, 0, 8, axes)):
        raise InputError(f"{path} is no IDX file of bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    body = raw[4 + 4 * axes :]
    if len(body) != int(np.prod(shape, dtype=np.int64)):
        raise InputError(f"{path} holds {len(body)} bytes of data, its header says {' x '.join(map(str, shape))}")
    official = {60000: "train", 10000: "test"}
    if shape[0] in official and hashlib.md5(raw).hexdigest() not in MD5:
        raise InputError(
            f"{path} has {shape[0]} items as the official file, but its MD5 {hashlib.md5(raw).hexdigest()} is that of none"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise InputError(f"cannot read {path}: {error}") from None


# CIFAR-10 -------------------------------------------------------------------------------------------------------------


def _cifar10(folder: Path, seed: int) -> DataSet:
    folder = _inner(folder)
    if (folder / "cifar10_train_jpeg.npz").is_file():
        note = "CIFAR-10 as recompressed JPEG files, not the original pixels"
        parts = [_packed_jpeg(folder / f"cifar10_{part}_jpeg.npz") for part in ("train", "test")]
        return _three("cifar10", PIXELS, parts[0], parts[1], seed, note)
    for reader, suffix in ((_cifar_python, ""), (_cifar_binary, ".bin")):
        names = [f"data_batch_{i}{suffix}" for i in range(1, 6)]
        if (folder / names[0]).is_file():
            batches = [reader(folder / name) for name in names]
            train = Split(np.concatenate([b.x for b in batches]), np.concatenate([b.y for b in batches]))
            return _three("cifar10", PIXELS, train, reader(folder / f"test_batch{suffix}"), seed)
    raise InputError(f"{folder} has neither data_batch_1 nor data_batch_1.bin nor cifar10_train_jpeg.npz")


def _inner(folder: Path) -> Path:
    for name in ("cifar-10-batches-py", "cifar-10-batches-bin"):
        if (folder / name).is_dir():
            return folder / name
    return folder


def _planes(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return raw.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()


def _cifar_binary(path: Path) -> Split:
    raw = np.frombuffer(_bytes(path), np.uint8)
    if len(raw) == 0 or len(raw) % 3073:
        raise InputError(f"{path} is no CIFAR-10 binary batch: its {len(raw)} bytes are no multiple of 3073")
    rows = raw.reshape(-1, 3073)
    return _checked_cifar(path, _planes(rows[:, 1:]), rows[:, 0].astype(np.int64))


def _cifar_python(path: Path) -> Split:
    """Read a python batch as a list of pickle opcodes, of which none is executed.

    The pixels are the one string or bytes object whose length is a multiple of 3072 and exceeds it; the labels are the
    integers of the list behind the key "labels".
    """
    pixels, labels, in_labels = b"", [], False
    try:
        for opcode, argument, _ in pickletools.genops(_bytes(path)):
            if isinstance(argument, (str, bytes)):
                data = argument.encode("latin-1", "replace") if isinstance(argument, str) else argument
                if len(data) > 3072 and len(data) % 3072 == 0 and len(data) > len(pixels):
                    pixels = data
                in_labels = in_labels or data == b"labels"
            elif opcode.name == "APPENDS":
                in_labels = in_labels and not labels  # the list ends here
            elif in_labels and opcode.name in ("BININT", "BININT1", "BININT2", "INT"):
                labels.append(int(argument))
    except Exception as error:  # genops raises a dozen types for a corrupt file
        raise InputError(f"{path} is no CIFAR-10 python batch: {str(error).splitlines()[0]}") from None
    if not pixels or len(labels) * 3072 != len(pixels):
        raise InputError(f"{path} is no CIFAR-10 python batch: {len(pixels)} bytes of pixels, {len(labels)} labels")
    return _checked_cifar(path, _planes(np.frombuffer(pixels, np.uint8)), np.array(labels, np.int64))


def _checked_cifar(path: Path, x: NDArray[np.uint8], y: NDArray[np.int64]) -> Split:
    if y.min() < 0 or y.max() > 9:
        raise InputError(f"{path}: CIFAR-10 labels are 0 to 9, not {y.min() if y.min() < 0 else y.max()}")
    return Split(x, y)


def _packed_jpeg(path: Path) -> Split:
    """JPEG files packed end to end: image i is data[offsets[i]:offsets[i+1]]."""
    from PIL import Image

    arrays = _arrays(path)
    try:
        data, offsets, labels = (
            arrays["data"].tobytes(),
            arrays["offsets"].astype(np.int64),
            arrays["labels"].astype(np.int64),
        )
        images = [np.asarray(Image.open(io.BytesIO(data[a:b])).convert("RGB")) for a, b in pairwise(offsets)]
        return Split(np.stack(images), labels)
    except KeyError as error:
        raise InputError(f"{path} has no array {error}; packed JPEG files need data, offsets and labels") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no packed JPEG files: {error}") from None


# .npz -----------------------------------------------------------------------------------------------------------------


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen types for a corrupt file
        raise InputError(
            f"cannot read {path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None


def _npz(name: str, path: Path, seed: int) -> DataSet:
    arrays = _arrays(path)
    if {"data", "offsets", "labels"} <= set(arrays):
        return _three(name, PIXELS, _packed_jpeg(path), None, seed, "recompressed JPEG files")
    if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        keys: tuple[tuple[str, str], ...] = (("x_train", "y_train"), ("x_test", "y_test"))
    elif {"x", "y"} <= set(arrays):
        keys = (("x", "y"),)
    else:
        raise InputError(
            f"{path} needs arrays x and y, or x_train, y_train, x_test and y_test; it has {', '.join(sorted(arrays)) or 'none'}"
        )
    fmt, splits = None, []
    for kx, ky in keys:
        x, y = arrays[kx], arrays[ky]
        if x.dtype.kind not in "uif" or y.dtype.kind not in "ui":
            raise InputError(f"{path}: {kx} must hold numbers and {ky} integers, not {x.dtype} and {y.dtype}")
        y = y.reshape(len(y), -1)
        if y.shape[1] != 1 or len(y) == 0 or y.min() < 0:
            raise InputError(
                f"{path}: {ky} must hold one class number, 0 or more, per sample, not shape {arrays[ky].shape}"
            )
        if x.ndim == 3:
            x = x[..., None]
        fmt = fmt or _format_of(x)
        splits.append(Split(_codes(x, fmt), y[:, 0].astype(np.int64)))
    assert fmt is not None
    return _three(name if name != "npz" else path.stem, fmt, splits[0], splits[1] if len(splits) > 1 else None, seed)


def _format_of(x: NDArray[Any]) -> Fixed:
    """Eight bits that hold the data: bytes as they are, anything else scaled by the power of two that just fits."""
    if x.dtype == np.uint8:
        return PIXELS
    if not np.isfinite(x).all():
        raise InputError("a data set must hold finite numbers")
    top = float(np.abs(x).max(initial=0)) or 1.0
    signed = bool(x.min() < 0)
    return Fixed(8, 8 - signed - int(np.ceil(np.log2(top * (1 + 2**-9)))), signed)


def _codes(x: NDArray[Any], fmt: Fixed) -> NDArray[Any]:
    if x.dtype == np.uint8 and fmt == PIXELS:
        return x
    return fmt.quantise(x).astype(np.int8 if fmt.signed else np.uint8)
