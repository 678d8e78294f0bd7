"""Pictures of a fleet: what an unbypassed stuck PE does beside a bypassed one, and what each repair scheme saves.

    python benchmarks/fleet_plots.py --data fashion=PATH --network build/bench/fleet-fashion/network.npz

Writes fleet-collapse.svg, fleet-repair-uniform.svg and fleet-repair-clustered.svg beside `--out`, which holds their numbers.
Maps are drawn uniformly, every faulty PE has one stuck bit of its product (any of 24, at 0 or 1); intervals are 95 % by t
over maps, which are the units.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from hardpoint.array import Array
from hardpoint.defects import pattern, with_stuck_bits
from hardpoint.faults import FaultList
from hardpoint.files import write_json, write_text
from hardpoint.host.emulator import Emulator
from hardpoint.network import Network
from hardpoint.optimizer.figures import Mark, curves
from hardpoint.optimizer.flow import samples
from hardpoint.repair import Scheme, estimate, exact
from hardpoint.statistics import Interval, cluster_t
from hardpoint.training.data import load
from hardpoint.training.fleet_compensation import Compensation

FAULTY = (0, 1, 2, 4, 8, 16, 32, 64, 128)
RATES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05)
SPARES, SIZE, DRAWN = 32, 32, 1000


def collapse(
    network: Network, x: Any, y: Any, moments: Compensation, maps: int, seed: int
) -> dict[str, dict[int, Interval]]:
    """Accuracy over the number of faulty PEs: stuck and left alone, bypassed, bypassed and compensated."""
    array = Array(SIZE, SIZE, dataflow="ws")
    found: dict[str, dict[int, Interval]] = {"stuck": {}, "bypassed": {}, "compensated": {}}
    for count in track(FAULTY, "faulty PEs"):
        seen: dict[str, list[float]] = {name: [] for name in found}
        for i in range(maps):
            chip = with_stuck_bits(pattern("uniform", SIZE, SIZE, count, seed, i), seed + i)
            for name, computed, bypass in (
                ("stuck", network, None),
                ("bypassed", network, chip.bypass),
                ("compensated", moments.start(chip), chip.bypass),
            ):
                faults = FaultList.of(chip.faults(array), array, computed, len(x), convention="given map")
                outputs = Emulator(computed, array, bypass=bypass).run(x, faults)
                seen[name].append(float((outputs.argmax(axis=1) == y).mean()))
        for name, values in seen.items():
            found[name][count] = cluster_t(values)
    return found


def repair(seed: int) -> dict[str, dict[str, dict[float, Interval]]]:
    """Probability that everything works or is repaired, by pattern, scheme of equal cost, and PE fault rate."""
    table: dict[str, dict[str, dict[float, Interval]]] = {}
    for kind in ("uniform", "clustered"):
        for name in ("recompute", "rows", "columns", "diagonal"):
            scheme = Scheme(name, SPARES, SIZE, SIZE)
            row = table.setdefault(kind, {}).setdefault(name, {})
            for rate in RATES:
                known = exact(scheme, rate) if kind == "uniform" else None
                if known is not None:
                    row[rate] = Interval(known, known, known, 0.95, 0, "exact")
                    continue
                drawn = estimate(scheme, rate, DRAWN, seed, kind)
                row[rate] = Interval(
                    drawn.functional, drawn.functional_low, drawn.functional_high, 0.95, DRAWN, "wilson"
                )
    return table


def marks(row: Mapping[Any, Interval], scale: float, what: str) -> list[Mark]:
    """A series of a picture, in percent."""
    return [
        Mark(scale * x, 100 * v.low, 100 * v.mean, 100 * v.high, f"{scale * x:.3g} {what}: {100 * v.mean:.2f} %")
        for x, v in row.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", required=True, help="fashion=PATH or another data set of the command")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--maps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("build/bench/fleet_plots.json"))
    given = parser.parse_args()
    network = Network.load(given.network)
    test = samples(given.data, network, given.images)
    name, _, path = given.data.partition("=")
    train = load(name, path or None).train
    moments = Compensation.of(network, np.asarray(train.x[:8000], np.int64))
    fallen = collapse(network, test.x, test.y, moments, given.maps, given.seed)
    repaired = repair(given.seed)
    said = {
        "collapse": {name: {str(n): dataclasses.asdict(v) for n, v in row.items()} for name, row in fallen.items()},
        "repair": {
            kind: {name: {f"{r:g}": dataclasses.asdict(v) for r, v in row.items()} for name, row in rows.items()}
            for kind, rows in repaired.items()
        },
        **{key: str(value) for key, value in vars(given).items()},
    }
    write_json(given.out, said)
    series = {name: marks(row, 1.0, "faulty PEs") for name, row in fallen.items()}
    clean = 100 * fallen["stuck"][0].mean
    svg = curves(
        series, "PEs with a stuck product bit, of 1,024", "accuracy (%)", "Stuck, bypassed, compensated", {"no fault": clean},
        logarithmic=True,
    )  # fmt: skip
    write_text(given.out.with_name("fleet-collapse.svg"), svg)
    for kind, rows in repaired.items():
        drawn = {name: marks(row, 100.0, "% of PEs faulty") for name, row in rows.items()}
        title = f"Repair with {SPARES} spare units, {kind} faults"
        svg = curves(drawn, "PE fault rate (%)", "chips fully repaired (%)", title)
        write_text(given.out.with_name(f"fleet-repair-{kind}.svg"), svg)
    print(f"{given.out} and three pictures beside it")


if __name__ == "__main__":
    main()
