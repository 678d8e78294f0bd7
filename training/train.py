"""Quantisation-aware training: floats first, then formats, then training in those formats."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.files import atomic_path, write_json
from hardpoint.fixed import Fixed
from hardpoint.training.architecture import Architecture, BlockFormat, Widths, constrained
from hardpoint.training.backend import load, seeded
from hardpoint.training.build import (
    block_outputs,
    bounded,
    calibrated,
    float_model,
    folded_weights,
    quantised_model,
    room,
    set_weights,
)
from hardpoint.training.data import DataSet, Split

__all__ = ["RECIPES", "Recipe", "Trained", "accuracy", "record", "train", "train_floats"]

Progress = Callable[[str, int, int, float], None]
"""Called as (phase, epoch, epochs, validation accuracy) after every epoch."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train: epochs in floats, then quantised; cosine decay from `rate` to zero in each phase.

    `augment` mirrors images and moves them by up to an eighth of their width, at random in every epoch. A `ber` makes
    the training robust: accumulators are struck at that rate while the quantised model trains, in columns below `guard`
    (0: in all). With a `bound` hidden outputs give up integer bits, as long as at most this share of them lies beyond their
    range before training: faults cannot move them far then.
    """

    float_epochs: int = 30
    epochs: int = 10
    batch: int = 32
    rate: float = 2e-3
    quantised_rate: float = 1e-3
    augment: bool = False
    ber: float = 0.0
    guard: int = 0
    bound: float = 0.0

    def __post_init__(self) -> None:
        if self.float_epochs < 0 or self.epochs < 0 or self.float_epochs + self.epochs == 0:
            raise InputError(f"training needs epochs, not {self.float_epochs} in floats and {self.epochs} quantised")
        if not 0 <= self.ber < 0.1:
            raise InputError(f"strikes in training come at a bit error rate of 0 to 0.1, not {self.ber}")
        if not 0 <= self.bound <= 0.5:
            raise InputError(f"a share of 0 to 0.5 of the outputs may lie beyond their bound, not {self.bound}")
        if self.batch < 1:
            raise InputError(f"a batch has at least 1 sample, not {self.batch}")
        if not (0 < self.rate < 1 and 0 < self.quantised_rate < 1):
            raise InputError(f"a learning rate lies between 0 and 1, not {self.rate} and {self.quantised_rate}")


RECIPES = {
    "mnist": Recipe(6, 3, 128),
    "fashion": Recipe(10, 4, 128),
    "cifar10": Recipe(36, 5, 64, quantised_rate=5e-4, augment=True),
    "kws": Recipe(30, 8, 64),
}
"""How the data sets are trained that need fewer epochs, or more, than `Recipe()` has."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A quantised model with what it was made of and what it reaches; accuracies are of the quantised model."""

    model: Any
    architecture: Architecture
    source: Fixed
    formats: Mapping[str, BlockFormat]
    q_scale: int
    seed: int
    recipe: Recipe
    data: str
    validation_accuracy: float
    test_accuracy: float
    float_accuracy: float
    seconds: float
    cpu_seconds: float
    note: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the Keras model to `path` (.h5) and everything else beside it as .json."""
        path = Path(path)
        if path.suffix != ".h5":
            raise InputError(f"a trained model is written to an .h5 file, not {path.name}")
        with atomic_path(path) as part, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras recommends a format that QKeras' loader does not read
            self.model.save(part, include_optimizer=False, save_format="h5")
        write_json(path.with_suffix(".json"), self.record())

    def record(self) -> dict[str, Any]:
        """Everything but the weights, as JSON."""
        return {
            "format": "hardpoint trained model 1",
            "model": self.architecture.name,
            "task": self.architecture.task,
            "data": self.data,
            "note": self.note,
            "input_format": str(self.source),
            "q_scale": self.q_scale,
            "seed": self.seed,
            "recipe": asdict(self.recipe),
            "formats": {
                name: {"weight": None if fmt.weight is None else str(fmt.weight), "out": str(fmt.out)}
                for name, fmt in self.formats.items()
            },
            "accuracy": {
                "float": self.float_accuracy,
                "validation": self.validation_accuracy,
                "test": self.test_accuracy,
            },
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "provenance": dict(self.provenance),
        }


def train(
    architecture: Architecture,
    data: DataSet,
    *,
    widths: Mapping[str, Widths] | None = None,
    default: Widths | None = None,
    q_scale: int = 0,
    seed: int = 0,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    start: Any = None,
    acc_bits: int = 24,
    checkpoints: Path | None = None,
) -> Trained:
    """Train `architecture` on `data` within the given bits and the quantisation constraint.

    Three steps: training in floats (or the float model `start`), formats by calibration and constraint, training in the
    formats. The constraint makes weights finer only where sums of `acc_bits` hold them. The same seed gives the same
    weights on the same machine. With a folder `checkpoints` a training that was stopped goes on at its last epoch; it
    then meets its samples in another order, so its weights are not those of a training that was not stopped, and its
    provenance says so.
    """
    recipe, default = recipe or Recipe(), default or Widths()
    began, cpu = time.monotonic(), time.process_time()
    kept = None if checkpoints is None else checkpoints / "floats.h5"
    if start is not None:
        floats = start
    elif kept is not None and kept.is_file():
        floats = load().keras.models.load_model(kept, compile=False)
    else:
        floats = train_floats(architecture, data, seed=seed, recipe=recipe, progress=progress, checkpoints=checkpoints)
        if kept is not None:
            with atomic_path(kept) as part:
                floats.save(part, save_format="h5")
    seeded(seed)  # anew, so that a start made earlier leads to the same weights
    sample = data.values(data.train.x[: min(len(data.train), 1000)])
    free = calibrated(architecture, floats, sample, widths or {}, default)
    if recipe.bound:
        free = bounded(architecture, free, block_outputs(architecture, floats, sample), recipe.bound)
    weights = folded_weights(architecture, floats)
    left = room(architecture, data.format, free, weights, acc_bits)
    formats = constrained(architecture, data.format, free, q_scale, left, bool(recipe.bound))
    model = quantised_model(architecture, data.format, formats)
    set_weights(architecture, model, formats, weights)
    struck = model
    if recipe.ber:
        struck = quantised_model(architecture, data.format, formats, recipe.ber, recipe.guard)
        struck.set_weights(model.get_weights())
    resumed = _fit(struck, architecture, data, recipe, "quantised", seed, progress, checkpoints)
    model.set_weights(struck.get_weights())
    return Trained(
        model, architecture, data.format, formats, q_scale, seed, recipe, data.name,
        accuracy(model, data, data.validation), accuracy(model, data, data.test), accuracy(floats, data, data.test),
        time.monotonic() - began, time.process_time() - cpu, data.note,
        {"resumed at epoch": str(resumed)} if resumed else {},
    )  # fmt: skip


def train_floats(
    architecture: Architecture,
    data: DataSet,
    *,
    seed: int = 0,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> Any:
    """The first step of training alone: a float model, from which many quantised ones may start."""
    seeded(seed).keras.backend.clear_session()
    floats = float_model(architecture)
    _fit(floats, architecture, data, recipe or Recipe(), "floats", seed, progress, checkpoints)
    return floats


def _fit(
    model: Any,
    architecture: Architecture,
    data: DataSet,
    recipe: Recipe,
    phase: str,
    seed: int,
    progress: Progress | None,
    checkpoints: Path | None,
) -> int:
    """One phase of training, in place: "floats" or "quantised"; returns the epoch at which it was taken up, mostly 0."""
    epochs, rate = {"floats": (recipe.float_epochs, recipe.rate), "quantised": (recipe.epochs, recipe.quantised_rate)}[
        phase
    ]
    if epochs == 0:
        return 0
    keras = load().keras
    steps = -(-len(data.train) // recipe.batch) * epochs
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
    rebuilds = architecture.task == "reconstruction"
    model.compile(optimizer, "mse" if rebuilds else keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    class Report(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        first: int | None = None

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.first = epoch if self.first is None else self.first

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if progress is not None:
                progress(phase, epoch + 1, epochs, accuracy(model, data, data.validation[:1000]))

    report = Report()
    callbacks = [report]
    if checkpoints is not None:
        callbacks.insert(0, keras.callbacks.BackupAndRestore(str(checkpoints / phase)))
    if recipe.augment:
        batches = _augmented(data, recipe.batch, seed)
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    else:
        x = data.values(data.train.x)
        y = x.reshape(len(x), -1) if rebuilds else data.train.y
        model.fit(x, y, batch_size=recipe.batch, epochs=epochs, verbose=0, callbacks=callbacks)
    return report.first or 0


def _augmented(data: DataSet, batch: int, seed: int) -> Any:
    """The training images in batches, shuffled, mirrored and moved anew in every epoch."""
    if len(data.shape) != 3:
        raise InputError(f"only images can be mirrored and moved, not samples of shape {data.shape}")
    reach = data.shape[1] // 8
    rng = np.random.default_rng(seed)

    class Batches(load().keras.utils.Sequence):  # type: ignore[misc]
        order = rng.permutation(len(data.train))

        def __len__(self) -> int:
            return -(-len(self.order) // batch)

        def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            part = data.train[self.order[index * batch : (index + 1) * batch]]
            wide = np.pad(part.x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
            views = np.lib.stride_tricks.sliding_window_view(wide, data.shape[:2], axis=(1, 2)).transpose(
                0, 1, 2, 4, 5, 3
            )
            at = rng.integers(0, 2 * reach + 1, (2, len(part)))
            x = views[np.arange(len(part)), at[0], at[1]]
            mirrored = rng.random(len(part)) < 0.5
            return data.values(np.where(mirrored[:, None, None, None], x[:, :, ::-1], x)), part.y

        def on_epoch_end(self) -> None:
            self.order = rng.permutation(len(data.train))

    return Batches()


def outputs(model: Any, values: NDArray[np.float32], batch: int = 256) -> NDArray[np.float32]:
    """The model's outputs on real values, batch by batch."""
    return np.asarray(model.predict(values, batch_size=batch, verbose=0))


def accuracy(model: Any, data: DataSet, split: Split) -> float:
    """Share of samples whose first largest output is their label; for a reconstruction, minus its mean squared error."""
    values = data.values(split.x)
    out = outputs(model, values)
    if out.shape[1] != data.classes and out.shape[1] == int(np.prod(data.shape)):
        return -float(np.mean((out - values.reshape(len(out), -1)) ** 2))
    return float(np.mean(out.argmax(axis=1) == split.y))


def record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `Trained.save` wrote beside a model, or an empty table where there is nothing."""
    beside = Path(path).with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == "hardpoint trained model 1" else {}
