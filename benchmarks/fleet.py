"""A fleet of faulty chips: training images per policy, and repair by recomputation against spares of equal cost.

    python benchmarks/fleet.py --data fashion=PATH    (make bench-fleet DATA=fashion=PATH)

100 chips of 32 x 32 PEs, weight-stationary, PE fault rates evenly spaced from 0 to 20 %, bench net in 8 bits. A chip meets
its constraint if it keeps the clean accuracy less one point on validation data, measured on its emulated hardware; test
images only report. Everything is kept in build/bench/fleet-DATA and not done again; a stopped run goes on from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.progress import Progress

from hardpoint.defects import fleet as drawn
from hardpoint.files import write_json
from hardpoint.network import Network
from hardpoint.optimizer.fleet import Fleet, lines, retrain
from hardpoint.optimizer.flow import load_data
from hardpoint.repair import Scheme, estimate, exact

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05)
SPARES = 32
MAPS = 2000


def start(data: Any, folder: Path) -> Network:
    """The fleet's network before any chip is known: trained once, converted, proved equal to its model."""
    from hardpoint.hls.frontend import convert, gate1
    from hardpoint.training.models import architecture
    from hardpoint.training.train import Recipe, train

    path = folder / "network.npz"
    if not path.exists():
        trained = train(architecture("bench", data.shape, data.classes), data, seed=0, recipe=Recipe(8, 3, 64))
        network = convert(trained.model, input_format=data.format, name=f"bench-{data.name}")
        gate1(trained.model, network, data.test.x)
        network.save(path)
    return Network.load(path)


def repair(seed: int) -> dict[str, dict[str, dict[str, float | str]]]:
    """Probability that all PEs of a 32 x 32 array work or are repaired, by pattern, rate and scheme of equal cost."""
    table: dict[str, dict[str, dict[str, float | str]]] = {}
    for kind in ("uniform", "clustered"):
        for rate in RATES:
            row: dict[str, float | str] = {}
            for name in ("recompute", "rows", "columns", "diagonal"):
                scheme = Scheme(name, SPARES, 32, 32)
                known = exact(scheme, rate) if kind == "uniform" else None
                if known is not None:
                    row[name] = known
                else:
                    found = estimate(scheme, rate, MAPS, seed, kind)
                    row[name] = found.functional
                    row[f"{name} 95 %"] = f"{found.functional_low:.4f} to {found.functional_high:.4f}"
            table.setdefault(kind, {})[f"{rate:g}"] = row
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", required=True, help="fashion=PATH or another data set of the command")
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("build/bench/fleet.json"))
    given = parser.parse_args()
    data = load_data(given.data)
    folder = given.out.parent / f"fleet-{data.name}"
    network = start(data, folder)
    asked = Fleet(drawn("uniform", 32, 32, given.chips, given.seed, (0.0, 0.2)), budget=4.0)
    with Progress() as progress:

        def task(label: str, total: int) -> Any:
            number = progress.add_task(label, total=total)
            return lambda done: progress.update(number, completed=done)

        result = retrain(asked, network, data, folder, task)
    meeting = [chip for chip in result.chips if chip.validation is not None and chip.validation >= result.target]
    epochs = {o.policy: o.images / result.epoch for o in result.outcomes}
    maps = {o.policy: o.measuring / result.epoch for o in result.outcomes if o.measuring}
    total = epochs["method"] + maps["method"]
    report = {
        "data": data.name,
        "seed": given.seed,
        "chips": len(result.chips),
        "meeting": len(meeting),
        "beyond_saving": sum(chip.network is None for chip in result.chips),
        "epochs": {policy: round(n, 3) for policy, n in epochs.items()},
        "epochs_resilience_map": {policy: round(n, 3) for policy, n in maps.items()},
        "meeting_by_policy": {o.policy: o.meeting for o in result.outcomes},
        "groups": {o.policy: len(o.groups) for o in result.outcomes if o.groups},
        "share_of_fixed": round(total / epochs["fixed amount"], 4),
        "share_of_selection": round(total / epochs["selection"], 4),
        "share_of_compensated_selection": round(total / epochs["compensation, selection"], 4),
        "epoch_images": result.epoch,
        "seconds_per_epoch": round(result.seconds_per_epoch, 2),
        "repair": repair(given.seed),
    }
    write_json(given.out, report)
    print("\n".join(lines(result)))
    print(f"{given.out}: {len(meeting)} of {len(result.chips)} chips meet the target")


if __name__ == "__main__":
    main()
