"""Accuracies, the price of the quantisation constraint, and how good rankings are: build/bench/training.json.

    python benchmarks/training.py --data mnist=../shared/real/datasets/mnist --data fashion=../shared/real/datasets/fashion_mnist

Every part is written as soon as it is known; trained models are kept beside the results and not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.files import atomic_path, write_json
from hardpoint.hls.cost import array_cost
from hardpoint.hls.frontend import conversion, gate1, load_model
from hardpoint.statistics import bootstrap
from hardpoint.training.architecture import Widths
from hardpoint.training.data import DataSet, load
from hardpoint.training.injection import Injections, inject
from hardpoint.training.models import architecture
from hardpoint.training.ranking import METHODS, rank
from hardpoint.training.train import Recipe, record, train, train_floats

MODEL = {"digits": "digits-cnn", "mnist": "bench", "fashion": "bench", "cifar10": "resnet8"}
RECIPE = {
    "digits": Recipe(),
    "mnist": Recipe(6, 3, 64),
    "fashion": Recipe(10, 4, 64),
    "cifar10": Recipe(26, 5, 64, 2e-3, 5e-4, augment=True),
}
SHARES = (0.05, 0.10, 0.20, 0.30)
SIGNIFICANCE = 4  # unguarded columns may move an output by less than 2**4 codes of 2**8
PARTS = ("accuracy", "curve", "ranking", "robust")


def trained(
    out: Path, data: DataSet, bits: int, q_scale: int, seed: int, ber: float = 0.0
) -> tuple[Any, dict[str, Any]]:
    """A model and its record, trained now or before; its seconds leave out the float model's, which a seed shares."""
    path = out / f"{data.name}-{bits}bit-q{q_scale}-seed{seed}{f'-ber{ber:g}' if ber else ''}.h5"
    if not record(path):
        recipe = RECIPE[data.name]
        if ber:
            recipe = Recipe(
                recipe.float_epochs, recipe.epochs, recipe.batch, recipe.rate, recipe.quantised_rate, ber=ber
            )
        made = architecture(MODEL[data.name], data.shape, data.classes)
        began, floats = time.monotonic(), out / f"{data.name}-floats-seed{seed}.h5"
        if not floats.is_file():
            with atomic_path(floats) as part:
                train_floats(made, data, seed=seed, recipe=recipe).save(part, save_format="h5")
            say(f"{floats.name}: {time.monotonic() - began:.0f} s")
        start = load_model(floats)
        result = train(made, data, default=Widths(bits, bits), q_scale=q_scale, seed=seed, recipe=recipe, start=start)
        result.save(path)
        say(f"{path.name}: test accuracy {result.test_accuracy:.4f} in {result.seconds:.0f} s")
    return load_model(path), record(path)


def accuracies(out: Path, data: DataSet, widths: list[int], seeds: int) -> dict[str, Any]:
    """Test accuracy per width over seeds, each with gate 1 on the whole test set."""
    result = {}
    for bits in widths:
        runs = []
        for seed in range(seeds):
            model, about = trained(out, data, bits, 0, seed)
            network = conversion(model, data.format).network
            equal = gate1(model, network, data.test.x, say)
            runs.append({"seed": seed, **about["accuracy"], "seconds": about["seconds"], "gate1_equal": equal})
        test = [run["test"] for run in runs]
        result[str(bits)] = {
            "mean": float(np.mean(test)),
            "low": min(test),
            "high": max(test),
            "runs": runs,
            "note": data.note,
        }
    return result


def curve(out: Path, data: DataSet, scales: list[int], seeds: int) -> list[dict[str, Any]]:
    """Clean accuracy and the cost of one guarded PE at each quantisation constraint; the first row has none.

    The guard column is the smallest shift plus the significance: what lies below moves an output by less than that.
    """
    rows = []
    for q_scale in scales:
        test, columns = [], []
        for seed in range(seeds):
            model, about = trained(out, data, 8, q_scale, seed)
            network = conversion(model, data.format).network
            test.append(about["accuracy"]["test"])
            columns.append(min(int(layer.shift.min()) for layer in network.gemms) + SIGNIFICANCE)
        column = (
            max(columns) if q_scale == 0 else min(columns)
        )  # best of the seeds without, every seed with the constraint
        rows.append(
            {
                "q_scale": q_scale,
                "accuracy": {"mean": float(np.mean(test)), "low": min(test), "high": max(test)},
                "guard_columns": columns,
                "pe_lut": pe_lut(min(column, 23)),
                "pe_lut_unprotected": pe_lut(None),
            }
        )
        say(f"{data.name} q_scale {q_scale}: {rows[-1]}")
    return rows


def pe_lut(column: int | None) -> float:
    """LUTs of a PE with this guard column (None: unprotected), by Yosys: an 8 x 8 array's over 64."""
    cost = array_cost(Array(8, 8, guards=(Guard(column),)))
    return float(cost.lut or 0) / 64


def rankings(out: Path, data: DataSet, trials: int) -> dict[str, Any]:
    """Every method's ranking against injection on held-out images: rank correlation and coverage of critical faults."""
    model, _ = trained(out, data, 8, 0, 0)
    converted = conversion(model, data.format)
    network = converted.network
    test = data.test.x[:1000]
    began = time.monotonic()
    truth = inject(network, test, trials, seed=1)
    say(f"{data.name}: {trials} injections in {time.monotonic() - began:.0f} s, {truth.critical.sum()} critical")
    counts = truth.vulnerability(network)
    result: dict[str, Any] = {
        "trials": trials,
        "critical": int(truth.critical.sum()),
        "images": len(test),
        "methods": {},
    }
    for method in METHODS:
        ranking = rank(
            method, network, data.train.x[:500], model=model, keras_layers=converted.keras_layers, seed=7, trials=trials,
            data=data.name,
        )  # fmt: skip
        row: dict[str, Any] = {
            "rank_correlation_neurons": spearman(flat(ranking.neurons), flat(counts)),
            "rank_correlation_channels": spearman(
                flat([ranking.channels(i) for i in range(len(counts))]),
                flat([c.reshape(-1, c.shape[-1]).sum(axis=0) for c in counts]),
            ),
        }
        for policy in ("global", "layer"):
            row[policy] = {str(s): covered(truth, ranking.important(s, policy), len(test)) for s in SHARES}
        result["methods"][method] = row
        say(f"{data.name} {method}: {row['global']['0.1']}")
    return result


def covered(truth: Injections, masks: Any, images: int) -> dict[str, float]:
    """Share of the critical faults that strike protected neurons, with an interval by resampling whole images."""
    inside = np.zeros(len(truth), bool)
    for layer, mask in enumerate(masks):
        mine = truth.layer == layer
        inside[mine] = mask.ravel()[truth.neuron[mine]]
    critical = np.bincount(truth.image[truth.critical], minlength=images)
    hit = np.bincount(truth.image[truth.critical & inside], minlength=images)
    mean = hit.sum() / critical.sum()
    # a ratio of sums over images: its linearised residuals are resampled, image by image
    spread = bootstrap((hit - mean * critical) / critical.mean(), seed=0)
    return {"mean": float(mean), "low": float(mean + spread.low), "high": float(mean + spread.high)}


def flat(parts: Any) -> np.ndarray:
    return np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation, ties at their mean rank."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def robust(out: Path, data: DataSet, bers: list[float], seeds: int, trials: int) -> list[dict[str, Any]]:
    """What training under strikes does to clean accuracy and to the critical share of accumulator flips."""
    rows = []
    for ber in bers:
        for seed in range(seeds):
            model, about = trained(out, data, 8, 8, seed, ber)
            hit = inject(conversion(model, data.format).network, data.test.x[:1000], trials, seed=1)
            rows.append({"ber": ber, "seed": seed, **about["accuracy"], "critical_share": float(hit.critical.mean())})
            say(f"{data.name} robust: {rows[-1]}")
    return rows


def plot_curve(curves: dict[str, Any], path: Path) -> None:
    """What the constraint costs in accuracy (range over seeds) and saves in LUTs, one column per data set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(curves), sharex="col", squeeze=False)
    for column, (name, rows) in enumerate(curves.items()):
        scales = [row["q_scale"] for row in rows]
        accuracy = [row["accuracy"] for row in rows]
        below = [a["mean"] - a["low"] for a in accuracy]
        above = [a["high"] - a["mean"] for a in accuracy]
        top, bottom = axes[:, column]
        top.errorbar(
            scales,
            [100 * a["mean"] for a in accuracy],
            [[100 * v for v in below], [100 * v for v in above]],
            fmt="o-",
            capsize=3,
            color="#0072B2",
        )
        top.set(title=name, ylabel="clean test accuracy (%)")
        bottom.plot(scales, [row["pe_lut"] for row in rows], "s-", color="#D55E00", label="guarded")
        bottom.plot(scales, [row["pe_lut_unprotected"] for row in rows], "--", color="#555555", label="unprotected")
        bottom.set(xlabel="quantisation constraint q_scale (bits)", ylabel="LUTs of one PE (Yosys)", ylim=(0, None))
        bottom.legend()
    with atomic_path(path) as part:
        figure.savefig(part, format="svg")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="digits needs none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4])
    parser.add_argument("--scales", type=int, nargs="+", default=[0, 8, 9, 10, 11, 12])
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    file, models = options.out / "training.json", options.out / "models"
    models.mkdir(parents=True, exist_ok=True)
    for text in options.data or ["digits"]:
        name, _, path = text.partition("=")
        data = load(name, path or None)
        for part in options.parts:
            if part == "accuracy":
                value: Any = accuracies(models, data, options.bits, options.seeds)
            elif part == "curve":
                value = curve(models, data, options.scales, options.seeds)
            elif part == "ranking":
                value = rankings(models, data, options.trials)
            else:
                value = robust(models, data, [0.0, 1e-5], min(options.seeds, 2), options.trials)
            results: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
            results.setdefault({"curve": "qscale_curve"}.get(part, part), {})[name] = value
            write_json(file, results)
            if part == "curve":
                plot_curve(results["qscale_curve"], options.out / "qscale_curve.svg")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
