"""What the verbs of the algorithm layer do: train a model, convert one, rank its neurons."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.fixed import Fixed
from hardpoint.network import Criterion, Network
from hardpoint.optimizer.flow import Task, load_data
from hardpoint.ranking import Ranking

__all__ = ["Converted", "convert_file", "epochs", "rank_file", "ranking_table", "train_file"]

RANDOM_IMAGES = 500  # for the gate, where no data set is given


def train_file(
    out: Path,
    data_text: str,
    model: str,
    q_scale: int,
    bits: int,
    seed: int,
    task: Task,
    layers: Iterable[str] = (),
    checkpoints: Path | None = None,
    **recipe: Any,
) -> dict[str, Any]:
    """Train a model, write it to `out` (.h5) with its record beside it, and return the record.

    `layers` are texts like `conv1=4:8`, a block's bits of weights and of its output; `recipe` holds fields of
    `training.train.Recipe` that replace the data set's own, where they are not None.
    """
    from hardpoint.training.architecture import Widths
    from hardpoint.training.models import architecture
    from hardpoint.training.train import RECIPES, Recipe, train

    if out.suffix != ".h5":
        raise InputError(f"a trained model is written to an .h5 file, not {out.name}")
    widths = dict(_widths(text) for text in layers)
    data = load_data(data_text)
    made = architecture(model, data.shape, data.classes)
    given = {key: value for key, value in recipe.items() if value is not None}
    how = dataclasses.replace(RECIPES.get(data.name, Recipe()), **given)
    trained = train(
        made, data, widths=widths, default=Widths(bits, bits), q_scale=q_scale, seed=seed, recipe=how, progress=epochs(task),
        checkpoints=checkpoints,
    )  # fmt: skip
    trained.save(out)
    return trained.record()


def _widths(text: str) -> tuple[str, Any]:
    from hardpoint.training.architecture import Widths

    name, equals, bits = text.partition("=")
    weight, _, out = bits.partition(":")
    if not (name and equals and weight.isdecimal() and (out or weight).isdecimal()):
        raise InputError(f"a layer's bits read like conv1=4 or conv1=4:8, weights and output, not {text!r}")
    return name, Widths(int(weight), int(out or weight))


def epochs(task: Task) -> Callable[[str, int, int, float], None]:
    """A training's progress as progress bars, one per phase."""
    bars: dict[str, Callable[[int], None]] = {}

    def show(phase: str, epoch: int, total: int, accuracy: float) -> None:
        if phase not in bars:
            bars[phase] = task(f"training ({phase})", total)
        bars[phase](epoch)

    return show


@dataclass(frozen=True, eq=False)
class Converted:
    """A network with the number of outputs that equal the model's, on what, and accuracies where labels are known."""

    network: Network
    equal: int
    inputs: str
    accuracy: float | None = None
    float_accuracy: float | None = None
    said: tuple[str, ...] = ()

    def table(self) -> dict[str, Any]:
        """For machines."""
        return {
            "digest": self.network.digest,
            "equal": self.equal,
            "inputs": self.inputs,
            "macs": self.network.macs,
            "criterion": {"kind": self.network.criterion.kind, "bound": self.network.criterion.bound},
            "accuracy": self.accuracy,
            "float_accuracy": self.float_accuracy,
            "said": list(self.said),
        }

    def lines(self) -> list[str]:
        """For people."""
        size = f"{len(self.network.layers)} layers, {self.network.macs:,} MACs"
        lines = [f"{size}; {self.equal:,} outputs equal the model's on {self.inputs}"]
        if self.accuracy is not None:
            before = "" if self.float_accuracy is None else f", of the float model {self.float_accuracy:.4f}"
            lines.append(f"test accuracy {self.accuracy:.4f}{before}")
        criterion = self.network.criterion
        if criterion.kind != "top1":
            lines.append(f"criterion: {criterion.kind} {criterion.bound:g}, in codes of {self.network.layers[-1].name}")
        return [*lines, *self.said]


def convert_file(
    path: Path,
    data_text: str | None,
    weights: Path | None = None,
    input_format: str | None = None,
    calibrate: int | None = None,
    q_scale: int = 0,
    bits: int = 8,
    criterion: str | None = None,
) -> Converted:
    """Convert a model file and compare every output: on the test set, or on random inputs where there is none.

    With `calibrate` the file holds a float model, which is quantised to `bits` first, its formats chosen on so many
    training samples; its accuracy before and after is part of the answer. `criterion` reads like `top1`, `tolerance:8` or
    `threshold:0`, bounds in output codes. Without one, a model that rebuilds its input gets a tolerance: its own root mean
    square error on the validation samples.
    """
    from hardpoint.hls.frontend import convert, gate1, load_model

    data = None if data_text is None else load_data(data_text)
    if data is not None and input_format is not None:
        raise InputError("a data set has its number format: give --data or --input-format, not both")
    if calibrate is not None and data is None:
        raise InputError("calibration needs data: name a data set with --data")
    fmt = Fixed.parse(input_format) if input_format is not None else None if data is None else data.format
    model = load_model(path, weights)
    if data is not None:
        _check_shape(model.input.shape[1:], data)
    before = None
    if calibrate is not None and data is not None:
        from hardpoint.training.architecture import Widths
        from hardpoint.training.post_training import quantised_after_training

        before = _accuracy_of_floats(model, data)
        sample = data.train.x[:calibrate]
        model, _ = quantised_after_training(model, data.format, sample, default=Widths(bits, bits), q_scale=q_scale)
    wanted = None if criterion is None else _criterion(criterion)
    network = convert(model, fmt, q_scale=q_scale, criterion=wanted, name=path.stem)
    if wanted is None and data is not None and _rebuilds(network, data):
        network = dataclasses.replace(network, criterion=Criterion("tolerance", _own_error(network, data)))
    said: list[str] = []
    if data is None:
        source = network.input_format
        x: NDArray[Any] = np.random.default_rng(0).integers(
            source.min, source.max + 1, (RANDOM_IMAGES, *network.input_shape)
        )
        inputs, after = f"{RANDOM_IMAGES} random inputs of {source}", None
    else:
        x = data.test.x.reshape(-1, *network.input_shape)
        inputs, after = f"the {len(x)} test samples of {data_text}", _accuracy(network(x), data)
    return Converted(network, gate1(model, network, x, said.append), inputs, after, before, tuple(said))


def _criterion(text: str) -> Criterion:
    kind, _, bound = text.partition(":")
    try:
        return Criterion(kind, float(bound or 0))
    except ValueError:
        raise InputError(f"a criterion reads like top1, tolerance:8 or threshold:0, not {text!r}") from None


def _rebuilds(network: Network, data: Any) -> bool:
    """Whether the network yields as many values as it reads, and no class."""
    outputs = int(np.prod(network.shapes[network.layers[-1].name]))
    return outputs != data.classes and outputs == int(np.prod(network.input_shape))


def _own_error(network: Network, data: Any) -> float:
    """Root mean square difference of outputs and inputs on validation samples, in output codes, at least one."""
    x = data.validation.x.reshape(-1, *network.input_shape)
    fmt = network.formats[network.layers[-1].name]
    error = fmt.value(network(x)) - network.input_format.value(x.astype(np.int64)).reshape(len(x), -1)
    return max(1.0, float(np.ceil(np.sqrt(np.mean(error**2)) * 2.0**fmt.frac)))


def _check_shape(shape: tuple[int, ...], data: Any) -> None:
    if None not in shape and int(np.prod(shape)) != int(np.prod(data.shape)):
        raise InputError(f"data set {data.name} has samples of shape {data.shape}, the model takes {tuple(shape)}")


def _accuracy_of_floats(model: Any, data: Any) -> float | None:
    values = data.values(data.test.x).reshape(-1, *model.input.shape[1:])
    return _accuracy(model.predict(values, batch_size=256, verbose=0), data)


def _accuracy(outputs: NDArray[Any], data: Any) -> float | None:
    """Share of test samples whose first largest output is their label, where there is an output per class."""
    outputs = outputs.reshape(len(outputs), -1)
    return float(np.mean(outputs.argmax(axis=1) == data.test.y)) if outputs.shape[1] == data.classes else None


def rank_file(
    path: Path,
    out: Path,
    data_text: str,
    method: str | None = None,
    weights: Path | None = None,
    images: int = 500,
    trials: int = 100_000,
    seed: int = 0,
    share: float = 0.1,
    policy: str = "global",
) -> tuple[Ranking, Network]:
    """Rank the neurons of a network (.npz) or of a model file on training samples of a data set, and write the ranking.

    `share` and `policy` are those that the ranking will be asked for: nonsense is refused before any work.
    """
    from hardpoint.training.ranking import METHODS, default, rank

    if method is not None and method not in METHODS:
        raise InputError(f"no ranking method {method!r}; methods are {', '.join(METHODS)}")
    Ranking((np.zeros(1),), "none", "").important(share, policy)
    data = load_data(data_text)
    if path.suffix == ".npz":
        network = Network.load(path)
        if data.format != network.input_format:
            raise InputError(
                f"data set {data_text} holds codes of {data.format}, the network takes {network.input_format}"
            )
        _check_shape(network.input_shape, data)
    else:
        from hardpoint.hls.frontend import convert, load_model

        model = load_model(path, weights)
        _check_shape(model.input.shape[1:], data)
        network = convert(model, data.format, name=path.stem)
    x = data.train.x[:images].reshape(-1, *network.input_shape)
    ranking = rank(method or default(network), network, x, seed=seed, data=data.name, trials=trials)
    ranking.save(out)
    return ranking, network


def ranking_table(ranking: Ranking, network: Network, share: float, policy: str) -> tuple[dict[str, Any], list[str]]:
    """A ranking as a table for machines and lines for people: per array layer, what the top `share` holds."""
    masks = ranking.important(share, policy)
    total = sum(float(scores.sum()) for scores in ranking.neurons) or 1.0
    layers = []
    for i, (layer, scores, mask) in enumerate(zip(network.gemms, ranking.neurons, masks, strict=True)):
        order = np.argsort(-ranking.channels(i), kind="stable")
        changes = ranking.bits[i][:, 0] if ranking.bits else np.zeros(0)
        felt = np.flatnonzero(changes >= 0.5)
        layers.append(
            {
                "layer": layer.name,
                "neurons": int(scores.size),
                "score_share": float(scores.sum()) / total,
                "important": int(mask.sum()),
                "top_channels": order[:5].tolist(),
                "lowest_felt_column": int(felt[0]) if len(felt) else None,
            }
        )
    lines = [f"{'layer':>16} {'neurons':>8} {'score':>7} {'important':>9} {'felt from':>9}  top channels"]
    for row in layers:
        felt_from = "-" if row["lowest_felt_column"] is None else row["lowest_felt_column"]
        top = ", ".join(map(str, row["top_channels"]))
        lines.append(
            f"{row['layer']:>16} {row['neurons']:8,} {row['score_share']:7.1%} {row['important']:9,} {felt_from:>9}  {top}"
        )
    lines.append(
        f"important: the top {share:.0%} ({policy}); felt from: the lowest column whose flips change half the codes"
    )
    value = {
        "method": ranking.method,
        "network": ranking.network,
        "digest": ranking.digest,
        "share": share,
        "policy": policy,
        "layers": layers,
    }
    return value, lines
