"""Accuracies, the price of the quantisation constraint, and how good rankings are: build/bench/training.json.

    python benchmarks/training.py --data digits --data mnist=../shared/real/datasets/mnist \
        --data fashion=../shared/real/datasets/fashion_mnist

Every figure is written as soon as it is known. Trained models are kept in build/bench/cache under a digest of their
settings and of the data, so a benchmark that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from curves import plot_curves

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.files import atomic_path, digest, load_json, load_npz, save_npz, write_json
from hardpoint.hls.cost import array_cost
from hardpoint.hls.frontend import conversion, gate1, load_model
from hardpoint.network import Network
from hardpoint.optimizer.problem import recipe_of
from hardpoint.ranking import Ranking
from hardpoint.statistics import cluster_wilson
from hardpoint.training.architecture import Widths
from hardpoint.training.data import DataSet, load
from hardpoint.training.injection import Injections, inject
from hardpoint.training.judge import coverage, rank_correlation
from hardpoint.training.models import architecture
from hardpoint.training.ranking import MEASURED, METHODS, rank
from hardpoint.training.train import RECIPES, Recipe, record, train, train_floats

MODEL = {"digits": "digits-cnn", "mnist": "bench", "fashion": "bench", "cifar10": "resnet8", "kws": "ds-cnn"}
SHARES = (0.05, 0.10, 0.20, 0.30)
SIGNIFICANCES = (0, 1, 2, 3, 4, 5)
SIGNIFICANCE = 4  # unguarded columns may move an output by less than 2**4 codes of 2**8
WIDTH = 24  # of the accumulator
AFFORDABLE = 0.005  # clean accuracy that the quantisation constraint may cost
PARTS = ("accuracy", "curve", "ranking", "robust", "bounded")
BOUNDED = 9  # q_scale of the networks whose outputs are bounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="digits needs none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4])
    parser.add_argument("--scales", type=int, nargs="+", default=[0, 10, 11, 12, 13])
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    sets = [load(name, path or None) for name, _, path in (text.partition("=") for text in options.data or ["digits"])]
    results = Results(options.out)
    if "accuracy" in options.parts:
        for seed in range(options.seeds):
            for bits in options.bits:
                for data in sets:
                    results.note("accuracy", data.name, accuracies(options.out, data, options.bits, (seed, bits)))
    if "curve" in options.parts:
        for seeds in range(1, options.seeds + 1):
            for data in sets:
                results.note("qscale_curve", data.name, curve(options.out, data, options.scales, seeds))
                plot_curves(results.table["qscale_curve"], options.out / "qscale_curve.svg")
    if "ranking" in options.parts:
        for data in sets:
            results.note("ranking", data.name, rankings(options.out, data, options.trials))
            results.whole("ranking_default", chosen(results.table["ranking"]))
    if "bounded" in options.parts:
        for data in sets:
            for rows in bounded(options.out, data, options.seeds, options.trials):
                results.note("bounded", data.name, rows)
    if "robust" in options.parts:
        for data in sets:
            for robust in robustness(options.out, data, [0.0, 1e-5], min(options.seeds, 2), options.trials):
                results.note("robust", data.name, robust)


class Results:
    """The file of results, rewritten whenever a figure becomes known; other parts' and data sets' figures stay."""

    def __init__(self, out: Path) -> None:
        self.file = out / "training.json"

    @property
    def table(self) -> dict[str, Any]:
        """What is known by now, by whichever process."""
        return dict(load_json(self.file, "file of results")) if self.file.is_file() else {}

    def note(self, part: str, data: str, value: Any) -> None:
        self.whole(part, {**self.table.get(part, {}), data: value})

    def whole(self, part: str, value: Any) -> None:
        write_json(self.file, {**self.table, part: value})


# trained models ---------------------------------------------------------------------------------------------------------


def trained(
    out: Path, data: DataSet, bits: int, q_scale: int, seed: int, ber: float = 0.0, recipe: Recipe | None = None
) -> tuple[Any, dict[str, Any]]:
    """A model and its record, trained now or before."""
    recipe = recipe or replace(RECIPES.get(data.name, Recipe()), ber=ber)
    path = cached(out, data, recipe, bits=bits, q_scale=q_scale, seed=seed)
    if not record(path):
        made = architecture(MODEL[data.name], data.shape, data.classes)
        start = floats(out, data, seed)
        result = train(
            made,
            data,
            default=Widths(bits, bits),
            q_scale=q_scale,
            seed=seed,
            recipe=recipe,
            start=start,
            checkpoints=path.with_suffix(""),
        )
        result.save(path)
        say(
            f"{data.name} {bits} bit, q_scale {q_scale}, seed {seed}: test accuracy {result.test_accuracy:.4f}, "
            f"float {result.float_accuracy:.4f}; {result.seconds:.0f} s, {result.cpu_seconds:.0f} s of CPU"
        )
    return load_model(path), record(path)


def floats(out: Path, data: DataSet, seed: int) -> Any:
    """The float model of a seed, from which all its quantised models start."""
    recipe = replace(RECIPES.get(data.name, Recipe()), epochs=0)
    path = cached(out, data, recipe, seed=seed)
    if not path.is_file():
        began, cpu = time.monotonic(), time.process_time()
        model = train_floats(
            architecture(MODEL[data.name], data.shape, data.classes),
            data,
            seed=seed,
            recipe=recipe,
            checkpoints=path.with_suffix(""),
        )
        with atomic_path(path) as part:
            model.save(part, save_format="h5")
        took = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
        write_json(path.with_suffix(".json"), took)
        say(f"{data.name} in floats, seed {seed}: {took['seconds']:.0f} s, {took['cpu_seconds']:.0f} s of CPU")
    return load_model(path)


def cached(out: Path, data: DataSet, recipe: Recipe, **settings: int) -> Path:
    """Where a model of these settings is kept."""
    folder = out / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    asked: dict[str, Any] = {"model": MODEL[data.name], "recipe": asdict(recipe), **settings}
    if bound := asked["recipe"].pop("bound"):
        asked["bound"] = bound
    return folder / f"{data.name}-{digest(json.dumps(asked, sort_keys=True), content(data))}.h5"


@cache
def content(data: DataSet) -> str:
    """Names a data set's training part by content."""
    return digest(data.train.x, data.train.y)


# the four parts ---------------------------------------------------------------------------------------------------------


def accuracies(out: Path, data: DataSet, widths: list[int], until: tuple[int, int]) -> dict[str, Any]:
    """Test accuracy per width over the seeds up to (seed, bits), each with gate 1 on the whole test set."""
    result = {}
    for bits in widths:
        seeds = until[0] + (widths.index(bits) <= widths.index(until[1]))
        runs = [accuracy_run(out, data, bits, seed) for seed in range(seeds)]
        if runs:
            result[str(bits)] = {**spread([run["test"] for run in runs]), "runs": runs, "note": data.note}
    return result


def accuracy_run(out: Path, data: DataSet, bits: int, seed: int) -> dict[str, Any]:
    """One run's accuracies, times (its float model's included), and how many outputs equal the network's."""
    model, about = trained(out, data, bits, 0, seed)
    recipe = RECIPES.get(data.name, Recipe())
    beside = cached(out, data, recipe, bits=bits, q_scale=0, seed=seed).with_suffix(".gate1.json")
    if not beside.is_file():
        network = conversion(model, data.format).network
        write_json(beside, {"equal": gate1(model, network, data.test.x, say), "network": network.digest})
    start = load_json(
        cached(out, data, replace(recipe, epochs=0), seed=seed).with_suffix(".json"), "record of a float model"
    )
    return {
        "seed": seed,
        **about["accuracy"],
        "seconds": about["seconds"] + start["seconds"],
        "cpu_seconds": about["cpu_seconds"] + start["cpu_seconds"],
        "gate1_equal": load_json(beside, "record of gate 1")["equal"],
    }


def curve(out: Path, data: DataSet, scales: list[int], seeds: int) -> dict[str, Any]:
    """Clean accuracy and the cost of one guarded PE at each quantisation constraint; 0 is unconstrained.

    Runs of other constraints that were made before are shown as well, with the seeds that they have. The guard column is the smallest shift plus the significance: what lies below moves an output by less than that.
    Without the constraint the best seed counts, with it the worst. Networks must be proved to fit accumulators of W bits.
    """
    rows = []
    free = [constrained_run(out, data, 0, seed) for seed in range(seeds)]
    for scale in range(21):
        wanted = [
            seed for seed in range(seeds) if scale in (0, *scales) or network_file(out, data, scale, seed).is_file()
        ]
        if not wanted:
            continue
        runs = [constrained_run(out, data, scale, seed) for seed in wanted]
        shifts = [min(run["shifts"]) for run in runs]
        rows.append(
            {
                "q_scale": scale,
                "accuracy": spread([run["test"] for run in runs]),
                "loss": spread([free[seed]["test"] - run["test"] for seed, run in zip(wanted, runs, strict=True)]),
                "tests": [run["test"] for run in runs],
                "smallest_shifts": shifts,
                "accumulator_bits": [max(run["accumulator_bits"]) for run in runs],
                "pe_lut": {str(s): pe_lut((min if scale else max)(shifts) + s) for s in SIGNIFICANCES},
            }
        )
    return {
        "rows": rows,
        "significance": SIGNIFICANCE,
        "pe_lut_unprotected": pe_lut(None),
        "saving": {str(s): saving(rows, str(s)) for s in SIGNIFICANCES},
    }


def constrained_run(out: Path, data: DataSet, q_scale: int, seed: int) -> dict[str, Any]:
    """Accuracies of a run, and every array layer's smallest shift and width of its sums."""
    beside = network_file(out, data, q_scale, seed)
    if not beside.is_file():
        model, about = trained(out, data, 8, q_scale, seed)
        network = conversion(model, data.format).network
        shifts = [int(layer.shift.min()) for layer in network.gemms]
        widths = [network.accumulator_bits(layer) for layer in network.gemms]
        write_json(beside, {**about["accuracy"], "shifts": shifts, "accumulator_bits": widths})
        say(f"{data.name} q_scale {q_scale}, seed {seed}: shifts {shifts}, sums of {widths} bits")
    return dict(load_json(beside, "record of a network"))


def network_file(out: Path, data: DataSet, q_scale: int, seed: int) -> Path:
    """Where a run keeps what the curve needs of its network."""
    return cached(out, data, RECIPES.get(data.name, Recipe()), bits=8, q_scale=q_scale, seed=seed).with_suffix(
        ".network.json"
    )


def saving(rows: list[dict[str, Any]], significance: str) -> dict[str, Any]:
    """The largest constraint that costs at most AFFORDABLE on average within W bits, and what it saves of the guarded PE."""
    free = next(row for row in rows if row["q_scale"] == 0)
    fit = [row for row in rows if max(row["accumulator_bits"]) <= WIDTH and row["loss"]["mean"] <= AFFORDABLE]
    if not fit:
        return {}
    best = max(fit, key=lambda row: int(row["q_scale"]))
    before, after = free["pe_lut"][significance], best["pe_lut"][significance]
    return {
        "q_scale": best["q_scale"],
        "loss": best["loss"],
        "pe_lut": after,
        "pe_lut_unconstrained": before,
        "saved": 1 - after / before,
    }


def pe_lut(column: int | None) -> float:
    """LUTs of a PE with this guard column (None: unprotected), by Yosys: an 8 x 8 array's over 64."""
    cost = array_cost(Array(8, 8, guards=(Guard(column),)))
    return float(cost.lut or 0) / 64


def rankings(out: Path, data: DataSet, trials: int) -> dict[str, Any]:
    """Every method's ranking against injection on held-out images: rank correlation and coverage of critical faults."""
    network = conversion(trained(out, data, 8, 0, 0)[0], data.format).network
    test = data.test.x[:1000]
    began = time.monotonic()
    truth = injected(out, network, test, trials)
    say(f"{data.name}: {trials} injections in {time.monotonic() - began:.0f} s, {truth.critical.sum()} critical")
    methods = {}
    for method in METHODS:
        file = out / "cache" / f"{data.name}-{network.digest}-{method}-{trials if method in MEASURED else 0}.npz"
        if not file.is_file():
            rank(method, network, data.train.x[:500], seed=7, trials=trials, data=data.name).save(file)
        ranking = Ranking.load(file)
        row: dict[str, Any] = {
            "rank_correlation": rank_correlation(ranking, truth, network).value(),
            "rank_correlation_channels": rank_correlation(ranking, truth, network, channels=True).value(),
        }
        for policy in ("global", "layer"):
            row[policy] = {str(s): coverage(ranking.important(s, policy), truth).value() for s in SHARES}
        methods[method] = row
        say(f"{data.name} {method}: {row['global']['0.1']} of critical faults in the top 10 %")
    return {"trials": trials, "critical": int(truth.critical.sum()), "images": len(test), "methods": methods}


def injected(out: Path, network: Network, x: Any, trials: int) -> Injections:
    """Injections on the network, made now or before."""
    file = out / "cache" / f"injections-{digest(network.digest, x, str(trials))}.npz"
    if not file.is_file():
        made = inject(network, x, trials, seed=1)
        save_npz(file, {"trials": trials}, {f.name: getattr(made, f.name) for f in fields(Injections)})
    return Injections(**load_npz(file, "file of injections")[1])


def chosen(ranked: dict[str, Any]) -> dict[str, Any]:
    """Per data set: the method that covers most at 10 % on the others, and what it covers here, beside random."""
    result = {}
    for judge in ranked:
        others = [ranked[name]["methods"] for name in ranked if name != judge]
        if len(others) < 2:
            continue
        free = [method for method in METHODS if method not in MEASURED]
        best = max(free, key=lambda m: np.mean([methods[m]["global"]["0.1"]["mean"] for methods in others]))
        here = ranked[judge]["methods"]
        mine, random = here[best]["global"]["0.1"], here["random"]["global"]["0.1"]
        result[judge] = {"method": best, "coverage": mine, "random": random, "factor": mine["mean"] / random["mean"]}
    return result


def robustness(out: Path, data: DataSet, bers: list[float], seeds: int, trials: int) -> Any:
    """What training under strikes does to clean accuracy and to the critical share of accumulator flips."""
    rows = []
    for ber in bers:
        for seed in range(seeds):
            model, about = trained(out, data, 8, 8, seed, ber)
            hit = inject(conversion(model, data.format).network, data.test.x[:1000], trials, seed=1)
            rows.append({"ber": ber, "seed": seed, **about["accuracy"], "critical_share": float(hit.critical.mean())})
            say(f"{data.name} robust: {rows[-1]}")
            yield rows


def bounded(out: Path, data: DataSet, seeds: int, trials: int) -> Any:
    """What a constraint, and bounded outputs with it, do to clean accuracy and to the critical share of accumulator flips."""
    usual, narrow = (recipe_of(data.name, q_scale) for q_scale in (0, BOUNDED))
    rows = []
    for seed in range(seeds):
        for kind, q_scale, recipe in (
            ("unconstrained", 0, usual),
            ("constrained", BOUNDED, usual),
            ("constrained, bounded", BOUNDED, narrow),
        ):
            model, about = trained(out, data, 8, q_scale, seed, recipe=recipe)
            x = data.test.x[:1000]
            hit = inject(conversion(model, data.format).network, x, trials, seed=1)
            flips, critical = (np.bincount(hit.image, weights, len(x)) for weights in (None, hit.critical))
            inside = cluster_wilson(critical[flips > 0] / flips[flips > 0])
            share = {"mean": float(hit.critical.mean()), "low": inside.low, "high": inside.high}
            bound = {"bound": recipe.bound, "epochs": recipe.epochs}
            rows.append({"kind": kind, "q_scale": q_scale, "seed": seed, **bound, **about["accuracy"], "critical_share": share})
            say(f"{data.name}: {rows[-1]}")
            yield rows


def spread(values: list[float]) -> dict[str, Any]:
    """Mean and range over seeds."""
    return {"mean": float(np.mean(values)), "low": min(values), "high": max(values), "seeds": len(values)}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
