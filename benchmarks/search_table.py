"""Measures every point of a search space: the tables that benchmarks/search.py compares optimisers on.

    python benchmarks/search_table.py digits                      # 3,096 points, about 12 CPU minutes
    python benchmarks/search_table.py fashion --path FASHION      # 2,232 points, about 35
    python benchmarks/search_table.py digits fashion --costs      # LUTs anew, after the shipped costs have changed

Reliability is measured by campaigns of the emulator on validation images (the same fault lists for all points that share
sites), cost by the shipped table of synthesised parts; neither depends on the other, so they are measured once each and
combined. A table holds per point LUTs, cycles per image, clean accuracy, mean and standard deviation of accuracy over
the fault lists, and the share of inferences that flips are expected to turn (optimizer/estimate.py). Points are kept in
build/bench/search as they come; a stopped run goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from hardpoint.array import Array
from hardpoint.design import Settings
from hardpoint.files import digest, load_npz, save_npz
from hardpoint.hls.parts import TABLE as COSTS
from hardpoint.hls.schedule import cycles, unit_cycles
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.optimizer.evaluate import Evaluator, accuracy_under, operating_ber
from hardpoint.optimizer.flow import engine_on, load_data
from hardpoint.optimizer.problem import FULL_TMR, UNPROTECTED, accuracy_of, array_cost
from hardpoint.optimizer.space import Space

HERE = Path(__file__).parent
FORMAT = "hardpoint search table 3"
MEASURES = ("lut", "cycles", "clean", "accuracy", "deviation", "turned")
LOSS_LISTS = 12
PES = 64
LANES = 8

GUARDS = {
    "hardened": (0.25, 0.5, 0.75, 1.0),  # share of the array's columns
    "ib": (0, 8, 10, 12, 14, 16, 18, 20),
    "nb": (12, 14, 16, 18, None),
    "operand": (False, True),
    "drain": (False, True),
}


def consistent(point: Any) -> bool:
    """Ordinary columns exist, and are guarded less than the hardened ones."""
    return point["nb"] is None or (point["hardened"] < 1 and point["nb"] > point["ib"])


def shapes(q_scale: int, rows: int, share: float, ib: int, nb: int | None, operand: bool, drain: bool) -> Settings:
    """Arrays of 64 PEs of different shapes."""
    cols = PES // rows
    hardened = round(share * cols)
    return Settings(q_scale, ib=ib, nb=nb, rows=rows, cols=cols, hardened=hardened, operand=operand, drain=drain)


def units(q_scale: int, s_th: float, share: float, ib: int, nb: int | None, operand: bool, drain: bool) -> Settings:
    """8 x 8 arrays, with a recompute unit for the share `s_th` of all neurons, or without one."""
    unit = {"s_th": s_th, "s_policy": "global", "dot_size": LANES} if s_th else {}
    return Settings(q_scale, ib=ib, nb=nb, hardened=round(share * 8), operand=operand, drain=drain, **unit)


@dataclass(frozen=True)
class Measured:
    """A space that is measured: its points as settings, with network, images and fault lists of its own."""

    space: Space
    settings: Callable[..., Settings]
    images: int  # validation images of each fault list
    lists: int
    seed: int  # of training and of the fault lists


SPACES = {
    "digits": Measured(
        Space({"q_scale": (0, 8, 9), "rows": (4, 8, 16)} | GUARDS, consistent), shapes, images=359, lists=24, seed=1
    ),
    "fashion": Measured(
        Space({"q_scale": (0, 8, 9), "s_th": (0.0, 0.005, 0.02)} | GUARDS | {"ib": (0, 10, 12, 14, 16)}, consistent),
        units,
        images=1000,
        lists=24,
        seed=0,
    ),
}


def table_file(name: str) -> Path:
    """Where the table of a space is shipped."""
    return HERE / f"table_{name}.npz"


def cycles_per_image(network: Network, array: Array) -> int:
    """Cycles of the core for one image, layer after layer; a layer takes as long as the slower of array and unit."""
    total = 0
    for index, important in enumerate(network.important):
        tiling = Tiling.of(network.gemm(index), array)
        took = cycles(array, tiling.tiles, tiling.pixels if array.dataflow == "ws" else tiling.gemm.k)
        if array.recompute is not None and len(important):
            steps = -(-tiling.gemm.k // array.recompute.lanes)
            took = max(took, unit_cycles(array, len(important), steps))
        total += took
    return total


def measure(name: str, text: str) -> None:
    """Measure the points that are not known yet and write the table."""
    from networks import candidates

    asked = SPACES[name]
    data = load_data(text)
    networks = candidates(data, asked.space.dimensions["q_scale"], asked.seed)
    part = data.validation[: asked.images]
    x, labels = np.asarray(part.x, np.int64), part.y
    clean = {q_scale: accuracy_of(made.network, x, labels) for q_scale, made in networks.items()}
    reference = min(networks)  # its unprotected array loses 8 to 12 points at the BER
    draws = range(asked.lists)

    def loss(settings: Settings, ber: float) -> float:
        network, array = networks[reference].network, settings.array()
        engine = engine_on("emulator", network, array)
        under = [accuracy_under(engine, network, array, x, labels, ber, asked.seed, t) for t in range(LOSS_LISTS)]
        return clean[reference] - float(np.mean(under))

    ber, lost, kept = operating_ber(loss, UNPROTECTED, FULL_TMR)
    evaluator = Evaluator(
        lambda q: networks[q], lambda n, a: engine_on("emulator", n, a), array_cost, x, labels, ber, 0.0, asked.seed
    )
    about = {
        "format": FORMAT,
        "data": data.name,
        "networks": {str(q_scale): made.network.digest for q_scale, made in networks.items()},
        "images": len(x),
        "lists": asked.lists,
        "seed": asked.seed,
        "ber": ber,
        "lost": lost,
        "kept": kept,
        "dimensions": {key: list(values) for key, values in asked.space.dimensions.items()},
        "measures": list(MEASURES),
    }
    log = Path("build/bench/search") / f"{name}-{digest(json.dumps(about, sort_keys=True))}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    with Progress() as progress, log.open("a") as out:
        task = progress.add_task(name, total=len(asked.space.points), completed=len(rows))
        for point in asked.space.points[len(rows) :]:
            settings = asked.settings(*point)
            network, array = evaluator.deployed(settings)
            engine = engine_on("emulator", network, array)
            under = [accuracy_under(engine, network, array, x, labels, ber, asked.seed, t) for t in draws]
            took, spread = cycles_per_image(network, array), float(np.std(under, ddof=1))
            rows.append([took, clean[settings.q_scale], float(np.mean(under)), spread])
            out.write(json.dumps(rows[-1]) + "\n")
            out.flush()
            progress.advance(task)
    turned = [evaluator.expected(asked.settings(*point)) for point in asked.space.points]
    write(name, about, np.column_stack([np.array(rows, np.float64), turned]))


def write(name: str, about: dict[str, Any], measured: Any) -> None:
    """Write a table of what was `measured` (all but LUTs), with LUTs by the shipped costs."""
    asked = SPACES[name]
    luts = [array_cost(asked.settings(*point).array()).lut for point in asked.space.points]
    values = np.column_stack([np.array(luts, np.float64), measured])
    save_npz(table_file(name), about | {"costs": digest(COSTS.read_text())}, {"values": values})
    print(f"{table_file(name)}: {len(values)} points at BER {about['ber']:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="+", choices=list(SPACES))
    parser.add_argument("--path", help="folder of the data set; digits needs none")
    parser.add_argument("--costs", action="store_true", help="work out LUTs anew, and keep what else was measured")
    given = parser.parse_args()
    for name in given.spaces:
        if given.costs:
            about, arrays = load_npz(table_file(name), "search table")
            write(name, {key: value for key, value in about.items() if key != "costs"}, arrays["values"][:, 1:])
        else:
            measure(name, name if given.path is None else f"{name}={given.path}")


if __name__ == "__main__":
    main()
