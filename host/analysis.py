"""Which bits, neurons, PEs and layers matter: tables, pictures and the measured ranking of a campaign of single faults."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.files import write_text
from hardpoint.host.outcomes import CRITICAL, OUTCOMES
from hardpoint.host.places import neuron_of
from hardpoint.host.singles import Group, SingleResult
from hardpoint.network import Network
from hardpoint.ranking import Ranking

__all__ = ["analyse", "measured_ranking", "neuron_table", "table_of"]

RATES = ("sdc", "critical", "due")


def analyse(result: SingleResult, network: Network, array: Array, folder: str | os.PathLike[str]) -> list[Path]:
    """Write everything that `result` says of `network` on `array` into `folder`; returns the files.

    `outcomes.json`: all of it. `layer.csv`, `site.csv`, `bit.csv`, `pe.csv`, `copy.csv`, `guard.csv`, `stratum.csv`: trials,
    share of the population, outcomes and rates with their intervals. `neuron.csv` and `ranking.npz`: measured
    vulnerability of neurons. Pictures of the same name as SVG, where matplotlib is installed.
    """
    folder = Path(folder)
    check(result, network, array)
    written = [folder / "outcomes.json"]
    result.save(written[0])
    for name, groups in {**result.groups, "stratum": result.strata}.items():
        write_text(folder / f"{name}.csv", table_of(groups))
        written.append(folder / f"{name}.csv")
    write_text(folder / "neuron.csv", neuron_table(result, network, array))
    measured_ranking(result, network, array).save(folder / "ranking.npz")
    written += [folder / "neuron.csv", folder / "ranking.npz"]
    try:
        from hardpoint.host import plots

        written += plots.draw_all(result, network, array, folder)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
    return written


def check(result: SingleResult, network: Network, array: Array) -> None:
    """Raise an InputError unless `result` was measured with `network` on `array`."""
    asked = result.campaign
    for what, theirs, ours in (("network", asked.network, network.digest), ("array", asked.array, array.digest)):
        if theirs.partition("+")[0] != ours:
            raise InputError(f"the campaign was run with {what} {theirs}, not with {ours}")


def table_of(groups: Sequence[Group]) -> str:
    """Groups as CSV: what was struck, trials, share of the population, outcomes, rates with the ends of their intervals."""
    places = list(groups[0].place) if groups else []
    rows: list[list[Any]] = [[*places, "trials", "share", *OUTCOMES, *(f"{rate}_{end}" for rate in RATES for end in ("rate", "low", "high"))]]
    for group in groups:
        row = [*group.place.values(), group.trials, group.share, *group.outcomes.values()]
        for rate in RATES:
            interval = getattr(group, rate)
            row += [interval.mean, interval.low, interval.high]
        rows.append(row)
    return _csv(rows)


def measured_ranking(result: SingleResult, network: Network, array: Array) -> Ranking:
    """Vulnerability of every neuron as measured: the share of the population of flips inside accumulators that strikes the
    neuron and is critical.

    So a neuron's score is its exposure (its multiply-accumulates, which are what its accumulator lives through) times how
    often a flip in it is critical. Flips of operand and drain registers reach several neurons and are left out.
    """
    neuron, weight = neuron_of(result.trials.faults, network, array), result.trials.weight
    inside, critical = neuron >= 0, result.trials.outcomes == CRITICAL
    total = float(weight[inside].sum()) or 1.0
    scores: list[NDArray[np.float64]] = []
    for index, layer in enumerate(network.gemms):
        hit = inside & critical & (result.trials.faults["layer"] == index)
        shape = network.shapes[layer.name]
        counted: Any = np.bincount(neuron[hit].astype(np.intp), weight[hit] / total, int(np.prod(shape)))
        scores.append(counted.reshape(shape))
    asked = result.campaign
    provenance = {
        "array": asked.array, "data": asked.data, "images": asked.images, "trials": int(inside.sum()), "seed": asked.seed,
        "convention": asked.says, "score": "share of flips in accumulators that strike the neuron and are critical",
    }  # fmt: skip
    return Ranking(tuple(scores), "injection", network.digest, provenance)


def neuron_table(result: SingleResult, network: Network, array: Array) -> str:
    """Neurons in whose accumulator a flip was critical, most vulnerable first, as CSV."""
    ranking = measured_ranking(result, network, array)
    neuron = neuron_of(result.trials.faults, network, array)
    rows: list[list[Any]] = []
    for index, scores in enumerate(ranking.neurons):
        here = (neuron >= 0) & (result.trials.faults["layer"] == index)
        struck = np.bincount(neuron[here].astype(np.intp), minlength=scores.size)
        critical = np.bincount(neuron[here & (result.trials.outcomes == CRITICAL)].astype(np.intp), minlength=scores.size)
        flat: NDArray[np.float64] = scores.ravel()
        k, n = network.gemm(index).k, network.gemm(index).n
        for i in np.flatnonzero(flat).tolist():
            rows.append([index, network.gemms[index].name, i // n, i % n, k, int(struck[i]), int(critical[i]), float(flat[i])])
    rows.sort(key=lambda row: (-row[-1], row[0], row[2], row[3]))
    return _csv([["layer", "name", "pixel", "channel", "macs", "flips", "critical", "score"], *rows])


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
