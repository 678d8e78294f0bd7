"""What each layer of protection saves: the cheapest design of every kind that keeps accuracy under faults.

    python benchmarks/ablation.py --data mnist=MNIST --data fashion=FASHION

Full TMR, reduced-precision redundancy, guards by bit, by neuron, and their combinations with each other and with the
quantisation constraint, on 8 x 8 arrays, each found by the same search with the same number of evaluations. BER: where the
unprotected array loses 8 to 12 points while full TMR loses at most half a point, a third and a tenth of it. A design is
feasible if the lower end of its accuracy's interval is at most one point below the clean accuracy of the unconstrained
network, on the same validation images. Each repeat has fault lists and a search of its own. Designs found are then
judged on test images with fresh fault lists. Only designs that the shipped costs price
are asked for. Evaluations are kept, so a stopped run goes on, and LUTs follow the shipped costs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from networks import candidates
from rich.progress import Progress

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.design import DesignPoint, Settings
from hardpoint.files import digest, load_json, write_json
from hardpoint.hls.boards import board, fit
from hardpoint.hls.coverage import lacking
from hardpoint.optimizer.evaluate import Candidate, Evaluator, accuracy_under, operating_ber
from hardpoint.optimizer.flow import engine_on, load_data
from hardpoint.optimizer.problem import EVALUATION, FULL_TMR, UNPROTECTED, accuracy_of, array_cost
from hardpoint.optimizer.search import Search
from hardpoint.optimizer.sequential import Looks
from hardpoint.optimizer.space import Condition, Space
from hardpoint.statistics import cluster_t

IMAGES, TEST_IMAGES = 500, 1000
LOOKS = Looks(4, 32)
LOSS = 0.01
LOSS_LISTS = 12
LISTS = 24  # on test images
FRESH = 1000  # added to a repeat's seed on test images
EVALUATIONS = 60
COLS = 8
LANES = 8
COLUMNS = (0, 12, 14, 15, 16, 17, 18, 20)
ORDINARY = (14, 15, 16, 17, 18, 20, None)
UNIT_COLUMNS = (0, 12, 14, 16)
REDUCED = (10, 12, 14, 16)
SHARES = (0.0, 0.125, 0.25, 0.5, 0.75)
NEURONS = (0.0, 0.005, 0.02, 0.05)
SCALES = {"mnist": (0, 9, 10), "fashion": (0, 8, 9)}  # unconstrained, the smallest shifts are 8 and 7
BOARD = board("pynq-z2")  # of an xc7z020


def possible(point: Mapping[str, Any]) -> bool:
    """Ordinary columns are guarded less than important ones, all columns as important ones, by a circuit that exists."""
    if not point["hardened"] and not point["s_th"]:
        return point["nb"] is None
    if point["s_th"] and point["ib"] not in UNIT_COLUMNS:
        return False
    return point["nb"] is None or bool(point["nb"] > point["ib"])


GUARDED = Condition(lambda point: point["hardened"] > 0 or point["s_th"] > 0 or point["nb"] is not None, False)
ALL = Space(
    {
        "q_scale": (0, 8, 9, 10),
        "hardened": (*SHARES, 1.0),
        "s_th": NEURONS,
        "ib": (*COLUMNS, *REDUCED[:1]),
        "nb": ORDINARY,
        "operand": (False, True),
        "drain": (False, True),
        "kind": ("columns", "rpr"),
        "dsp": (False, True),
    },
    possible,
    {
        "ib": Condition(lambda point: point["hardened"] > 0 or point["s_th"] > 0, None),
        "nb": Condition(lambda point: point["hardened"] < 1, None),
        "operand": GUARDED,
        "drain": GUARDED,
    },
)
Fixed = dict[str, tuple[Any, ...]]
PLAIN: Fixed = {
    "q_scale": (0,), "hardened": (0.0, 1.0), "s_th": (0.0,), "ib": COLUMNS, "nb": (None,), "kind": ("columns",), "dsp": (False,)
}  # fmt: skip
TMR: Fixed = {"hardened": (1.0,), "ib": (0,), "operand": (True,), "drain": (True,)}
RPR: Fixed = {"hardened": (1.0,), "kind": ("rpr",), "ib": REDUCED, "operand": (False,), "drain": (False,)}
NEURON: Fixed = {"ib": (0,), "hardened": SHARES, "s_th": NEURONS}
BOTH: Fixed = {"hardened": (*SHARES, 1.0), "s_th": NEURONS, "nb": ORDINARY}
QUANTISATION: Fixed = {"q_scale": (0, 8, 9, 10)}
DSP: Fixed = {"dsp": (True,)}
VARIANTS: dict[str, Fixed] = {
    "unprotected": {"hardened": (0.0,)},
    "full TMR": TMR,
    "reduced-precision redundancy": RPR,
    "bit": {},
    "neuron": NEURON,
    "bit + neuron": BOTH,
    "bit + quantisation": QUANTISATION,
    "neuron + quantisation": NEURON | QUANTISATION,
    "all three": BOTH | QUANTISATION,
    "unprotected, DSP": {"hardened": (0.0,)} | DSP,
    "full TMR, DSP": TMR | DSP,
    "reduced-precision redundancy, DSP": RPR | DSP,
    "neuron, DSP": {"ib": (0,), "hardened": SHARES} | DSP,
}
TWO_LAYERS = ("bit + neuron", "bit + quantisation", "neuron + quantisation")


def settings_of(point: tuple[Any, ...]) -> Settings:
    """A point as settings: `ib` guards hardened columns and the recompute unit, `nb` the other columns."""
    q_scale, share, s_th, ib, nb, operand, drain, kind, dsp = point
    unit = {"s_th": s_th, "s_policy": "global", "dot_size": LANES} if s_th else {}
    guards = {"operand": operand, "drain": drain, "kind": kind, "dsp": dsp}
    return Settings(q_scale, ib=ib, nb=nb, hardened=round(share * COLS), **guards, **unit)


@dataclass(frozen=True)
class Case:
    """A data set at a BER: the networks by q_scale, and what they keep without faults on the images that decide."""

    data: Any
    networks: Mapping[int, Candidate]
    ber: float
    target: float
    lost: Mapping[str, float]  # at the operating BER

    @property
    def images(self) -> tuple[Any, Any]:
        """Validation images that decide, with labels."""
        part = self.data.validation[:IMAGES]
        return np.asarray(part.x, np.int64), part.y

    def evaluator(self, seed: int) -> Evaluator:
        """Decides whether designs meet the constraint, on fault lists of `seed`."""
        x, labels = self.images
        return Evaluator(
            lambda q: self.networks[q],
            lambda n, a: engine_on("emulator", n, a),
            price,
            x,
            labels,
            self.ber,
            self.target,
            seed,
            LOOKS,
        )


class Known:
    """Evaluations of a case and a seed that were made before; what a design costs is worked out anew."""

    def __init__(self, case: Case, seed: int, out: Path) -> None:
        self.case, self.evaluator = case, case.evaluator(seed)
        asked = {
            "evaluation": EVALUATION,
            "networks": {str(q): made.network.digest for q, made in case.networks.items()},
            "ber": case.ber,
            "target": case.target,
            "seed": seed,
            "looks": [*LOOKS.at, LOOKS.confidence],
            "images": IMAGES,
        }
        self.file = out / f"ablation-{digest(json.dumps(asked, sort_keys=True))}.jsonl"
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        rows = [json.loads(line) for line in lines]
        self.points = {key(point.settings): point for point in (DesignPoint.restore(row["point"]) for row in rows)}
        self.seconds = {key(DesignPoint.restore(row["point"]).settings): float(row["cpu_seconds"]) for row in rows}

    def __call__(self, settings: Settings) -> DesignPoint:
        name = key(settings)
        if name not in self.points:
            begun = time.process_time()
            point = self.evaluator(settings)
            self.points[name], self.seconds[name] = point, time.process_time() - begun
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as file:
                file.write(json.dumps({"point": point.table(), "cpu_seconds": self.seconds[name]}) + "\n")
        return replace(self.points[name], cost=price(settings.array()))


def key(settings: Settings) -> str:
    """Names settings."""
    return json.dumps(settings.table(), sort_keys=True)


@cache
def price(array: Array) -> Cost:
    """What an array costs by the shipped table, worked out once."""
    return array_cost(array)


@cache
def priced(array: Array) -> bool:
    """Whether the shipped table prices an array."""
    return not lacking(array)


@dataclass
class Found:
    """What a search of a variant came to: its cheapest feasible design, and how many points were feasible."""

    best: DesignPoint | None
    evaluations: int
    feasible: int
    seconds: float  # of the processor, for evaluations, when they were made
    optimiser_seconds: float  # of the processor, for asking and telling


def find(variant: str, known: Known, seed: int, evaluations: int) -> Found:
    """Search a variant's designs."""
    fixed = PLAIN | VARIANTS[variant]
    scales = tuple(q_scale for q_scale in fixed["q_scale"] if q_scale in known.case.networks)
    allowed = ALL.narrowed(fixed | {"q_scale": scales})
    space = replace(
        allowed, possible=lambda point: possible(point) and priced(settings_of(tuple(point.values())).array())
    )
    costs = {point: luts(price(settings_of(point).array())) for point in space.points}
    begun, points = time.process_time(), list[DesignPoint]()
    guide = cache(lambda point: known.evaluator.severity(settings_of(point)))
    search, spent = Search(space, 1, costs.__getitem__, seed=seed, guides=[guide]), 0.0
    while len(points) < evaluations and not search.exhausted:
        asked = search.ask()
        paused = time.process_time()
        point = known(settings_of(asked))
        begun += time.process_time() - paused
        search.tell(asked, costs[asked], [known.evaluator.margin(point)])
        spent += known.seconds[key(point.settings)]
        points.append(point)
    good = [point for point in points if point.feasible]
    best = min(good, key=lambda point: luts(point.cost), default=None)
    return Found(best, len(points), len(good), spent, time.process_time() - begun)


def luts(cost: Cost | None) -> float:
    """LUTs of a design whose cost is known."""
    return float("inf") if cost is None or cost.lut is None else float(cost.lut)


def share(settings: Settings) -> float:
    """Share of the xc7z020's binding resource."""
    return fit(price(settings.array()), BOARD).share


def judged(case: Case, settings: Settings, seed: int) -> dict[str, Any]:
    """Accuracy on test images under fresh fault lists, with its interval; and the unconstrained network's without faults."""
    x, labels = np.asarray(case.data.test.x[:TEST_IMAGES], np.int64), case.data.test.y[:TEST_IMAGES]
    clean = accuracy_of(case.networks[0].network, x, labels)
    network, array = case.evaluator(seed).deployed(settings)
    engine = engine_on("emulator", network, array)
    draws = range(LISTS)
    under = [accuracy_under(engine, network, array, x, labels, case.ber, seed + FRESH, t) for t in draws]
    inside = cluster_t(under, 0.95, draws=len(x))
    return {"clean": clean, "accuracy": [inside.low, float(np.mean(under)), inside.high]}


def pose(data: Any, out: Path) -> Case:
    """Networks, the operating BER and the target of a data set."""
    part = data.validation[:IMAGES]
    x, labels = np.asarray(part.x, np.int64), part.y
    networks = {
        q_scale: replace(made, accuracy=accuracy_of(made.network, x, labels))
        for q_scale, made in candidates(data, SCALES[data.name], 0, out).items()
    }
    reference, clean = networks[0].network, networks[0].accuracy

    def loss(settings: Settings, ber: float) -> float:
        array = settings.array()
        engine = engine_on("emulator", reference, array)
        under = [accuracy_under(engine, reference, array, x, labels, ber, 0, t) for t in range(LOSS_LISTS)]
        return clean - float(np.mean(under))

    ber, lost, kept = operating_ber(loss, UNPROTECTED, FULL_TMR)
    return Case(data, networks, ber, clean - LOSS, {"unprotected": lost, "full TMR": kept})


def summary(case: Case, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Per variant: overhead as a share of full TMR's, over the repeats; and the two aims."""
    plain, full = (luts(price(one.array())) for one in (UNPROTECTED, FULL_TMR))
    plain_share, full_share = share(UNPROTECTED), share(FULL_TMR)
    rows: dict[str, Any] = {}
    for variant, several in runs.items():
        found = [run for run in several if run["settings"] is not None]
        row: dict[str, Any] = {"repeats": len(several), "infeasible": len(several) - len(found), "runs": several}
        if len(found) == len(several):
            for name, values in (
                ("overhead", [(run["lut"] - plain) / (full - plain) for run in found]),
                ("overhead_share", [run["share"] - plain_share for run in found]),
            ):
                row[name], row[f"{name}_range"] = median(values), [min(values), max(values)]
        rows[variant] = row
    two = [rows[name]["overhead"] for name in TWO_LAYERS if "overhead" in rows.get(name, {})]
    mine = rows.get("all three", {}).get("overhead")
    aims: dict[str, Any] = {}
    if mine is not None:  # where two layers need nothing, there is nothing to save
        aims = {"of_full_tmr": mine, "of_two_layers": mine / min(two) if two and min(two) > 0 else None}
    return {
        "ber": case.ber,
        "target": case.target,
        "lost_at_operating_ber": case.lost,
        "lut": {"unprotected": plain, "full TMR": full},
        "share": {"unprotected": plain_share, "full TMR": full_share},
        "aims": aims,
        "variants": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--divisors", type=int, nargs="+", default=[1, 3, 10], help="of the operating BER")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS, help="of every variant in every repeat")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    file = given.out / "search.json"
    cases = [pose(load_data(text), given.out) for text in given.data]
    runs: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = {}
    with Progress() as progress:
        task = progress.add_task("", total=given.repeats * len(given.divisors) * len(cases) * len(given.variants))
        for seed in range(given.repeats):
            for divisor in given.divisors:
                for base in cases:
                    case = replace(base, ber=float(f"{base.ber / divisor:.3g}"))
                    known = Known(case, seed, given.out / "search")
                    mine = runs.setdefault((case.data.name, divisor), {})
                    for variant in given.variants:
                        progress.update(task, description=f"{case.data.name}, BER / {divisor}, {variant}")
                        mine.setdefault(variant, []).append(run(variant, case, known, seed, given.evaluations))
                        progress.advance(task)
                    report = dict(load_json(file, "file of results")) if file.exists() else {}
                    table = report.setdefault("ablation", {}).setdefault(case.data.name, {})
                    table[str(divisor)] = summary(case, mine)
                    write_json(file, report)
    print(file)


def run(variant: str, case: Case, known: Known, seed: int, evaluations: int) -> dict[str, Any]:
    """One search of a variant, and its design on test images."""
    found = find(variant, known, seed, evaluations)
    row: dict[str, Any] = {
        "settings": None,
        "evaluations": found.evaluations,
        "feasible": found.feasible,
        "seconds": round(found.seconds, 1),
        "optimiser_seconds": round(found.optimiser_seconds, 1),
    }
    if found.best is not None:
        settings = found.best.settings
        row |= {
            "settings": settings.table(),
            "words": str(settings),
            "lut": luts(found.best.cost),
            "share": share(settings),
            "accuracy": found.best.accuracy,
            "test": judged(case, settings, seed),
        }
    print(case.data.name, f"BER {case.ber:g}", variant, row.get("lut"), row.get("words"), flush=True)
    return row


if __name__ == "__main__":
    main()
