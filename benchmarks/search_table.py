"""Measures every point of a search space: the tables that benchmarks/search.py compares optimisers on.

    python benchmarks/search_table.py --data digits --model digits-cnn --out benchmarks/search_digits.npz
    python benchmarks/search_table.py --data mnist=PATH --model bench --images 256 --out benchmarks/search_mnist.npz

Reliability is measured by campaigns of the emulator on validation images (`--lists` fault lists each, the same draws for all
points), cost by the shipped table of synthesised parts; neither depends on the other, so they are measured once each and
combined. A table holds the space's dimensions, and per point LUTs, steps per image, clean accuracy, and mean and standard
deviation of accuracy over the lists. Points are appended to OUT.part as they come; a stopped run goes on from there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from hardpoint.design import Settings
from hardpoint.files import save_npz
from hardpoint.network import Network
from hardpoint.optimizer.evaluate import Candidate, Evaluator, accuracy_under, operating_ber
from hardpoint.optimizer.flow import engine_on, load_data
from hardpoint.optimizer.problem import FULL_TMR, UNPROTECTED, accuracy_of, array_cost
from hardpoint.optimizer.space import Space
from hardpoint.ranking import Ranking

COLUMNS = (0, 8, 10, 12, 14, 16, 18, 20)
SPACE = Space(
    {
        "q_scale": (7, 8, 9),
        "rows": (4, 8, 16),
        "hardened": (0.25, 0.5, 0.75, 1.0),
        "ib": COLUMNS,
        "nb": (12, 14, 16, 18, None),
        "operand": (False, True),
        "drain": (False, True),
    },
    lambda p: p["nb"] is None or (p["hardened"] < 1 and p["nb"] > p["ib"]),
)
PES = 64
LOSS_LISTS = 12


def settings_of(point: tuple[Any, ...]) -> Settings:
    """A point of the space as settings: arrays of 64 PEs."""
    q_scale, rows, share, ib, nb, operand, drain = point
    cols = PES // rows
    return Settings(
        q_scale, ib=ib, nb=nb, rows=rows, cols=cols, hardened=round(share * cols), operand=operand, drain=drain
    )


def candidates(data: Any, model: str, seed: int, folder: Path) -> dict[int, Candidate]:
    """A network for every q_scale: trained, converted, proved equal, ranked; kept in `folder`."""
    from hardpoint.hls.frontend import convert, gate1
    from hardpoint.training.models import architecture
    from hardpoint.training.ranking import rank
    from hardpoint.training.train import Recipe, train

    x, labels = np.asarray(data.validation.x, np.int64), data.validation.y
    made = {}
    for q_scale in SPACE.dimensions["q_scale"]:
        path = folder / f"{model}-{data.name}-q{q_scale}.npz"
        if not path.exists():
            recipe = None if data.name == "digits" else Recipe(6, 3, 64)
            trained = train(
                architecture(model, data.shape, data.classes), data, q_scale=q_scale, seed=seed, recipe=recipe
            )
            network = convert(trained.model, input_format=data.format, q_scale=q_scale)
            gate1(trained.model, network, data.test.x)
            network.save(path)
        network = Network.load(path)
        ranked = path.with_suffix(".ranking.npz")
        if not ranked.exists():
            rank("gradient", network, x[:1000], data=data.name).save(ranked)
        made[q_scale] = Candidate(network, Ranking.load(ranked), accuracy_of(network, x, labels))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="digits-cnn")
    parser.add_argument("--images", type=int, default=None, help="validation images of each fault list")
    parser.add_argument("--lists", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data = load_data(given.data)
    work = Path("build/bench/search") / given.out.stem
    work.mkdir(parents=True, exist_ok=True)
    made = candidates(data, given.model, given.seed, work)
    part = data.validation[: given.images or len(data.validation)]
    x, labels = np.asarray(part.x, np.int64), part.y
    clean = {q: accuracy_of(c.network, x, labels) for q, c in made.items()}
    reference = made[min(made)].network

    def loss(settings: Settings, ber: float) -> float:
        engine = engine_on("emulator", reference, settings.array())
        draws = range(LOSS_LISTS)
        under = [accuracy_under(engine, reference, settings.array(), x, labels, ber, given.seed, t) for t in draws]
        return clean[min(made)] - float(np.mean(under))

    ber, lost, kept = operating_ber(loss, UNPROTECTED, FULL_TMR)
    evaluator = Evaluator(
        lambda q: made[q], lambda n, a: engine_on("emulator", n, a), array_cost, x, labels, ber, 0.0, given.seed
    )
    log = work / "points.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = known[: len(SPACE.points)]
    steps = {}
    with Progress() as progress, log.open("a") as out:
        task = progress.add_task("points", total=len(SPACE.points), completed=len(known))
        for point in SPACE.points[len(known) :]:
            settings = settings_of(point)
            network, array = evaluator.deployed(settings)
            engine = engine_on("emulator", network, array)
            draws = range(given.lists)
            under = [accuracy_under(engine, network, array, x, labels, ber, given.seed, t) for t in draws]
            key = (settings.q_scale, settings.rows)
            if key not in steps:
                from hardpoint.mapping import Tiling

                tilings = [Tiling.of(network.gemm(i), array) for i in range(len(network.gemms))]
                steps[key] = sum(t.tiles * t.period for t in tilings)
            row = [
                array_cost(array).lut,
                steps[key],
                clean[settings.q_scale],
                float(np.mean(under)),
                float(np.std(under, ddof=1)),
            ]
            out.write(json.dumps(row) + "\n")
            out.flush()
            known.append(row)
            progress.advance(task)
    about = {
        "format": "hardpoint search table 1",
        "data": data.name,
        "model": given.model,
        "images": len(x),
        "lists": given.lists,
        "seed": given.seed,
        "ber": ber,
        "lost": lost,
        "kept": kept,
        "dimensions": {name: list(values) for name, values in SPACE.dimensions.items()},
        "columns": ["lut", "steps", "clean", "accuracy", "deviation"],
    }
    save_npz(given.out, about, {"values": np.array(known, np.float64)})
    print(f"{given.out}: {len(known)} points at BER {ber:g}")


if __name__ == "__main__":
    main()
