"""The whole flow in small: train, convert, prove equality, find the operating BER, search, emit, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint import __version__
from hardpoint.array import Array
from hardpoint.design import Settings
from hardpoint.draw import draw
from hardpoint.errors import InputError
from hardpoint.files import write_json
from hardpoint.network import Network
from hardpoint.optimizer.evaluate import Evaluator
from hardpoint.optimizer.flow import Task, engine_on, load_data
from hardpoint.optimizer.goal import Goal
from hardpoint.optimizer.problem import Wish, accuracy_of, array_cost, pose
from hardpoint.optimizer.report import Rate, Story, rate_of, write
from hardpoint.optimizer.search_story import expected_section, layer_section
from hardpoint.optimizer.study import Study
from hardpoint.optimizer.validation import rebuild, validate

__all__ = ["run"]

EVALUATIONS = 32
GATE_IMAGES = 64
GATE_LISTS = 50
FINAL_LISTS = 20


def run(out: Path, seed: int, task: Task) -> dict[str, Any]:
    """Run the demonstration into folder `out`; returns the summary that it also writes to summary.json."""
    started = time.monotonic()
    data = load_data("digits")
    problem = pose(data, "digits-cnn", seed, out, task, Wish(Goal(fit=1.0), slowdown=1.1))
    evaluator = problem.evaluator()
    study = Study(out / "study.sqlite", problem.asked())
    study.keep("networks", problem.names)
    verdict = problem.hunt(study).run(EVALUATIONS, tell=task("search", EVALUATIONS))
    if verdict.found is None:
        raise InputError(verdict.says)
    found = verdict.found.settings

    test = np.asarray(data.test.x, np.int64), data.test.y
    network, array = rebuild(study, verdict.found)
    gates = {"QKeras == Network, every logit of the test set": problem.equal}
    gates |= _gates(network, array, test[0], seed, out, task)
    network.save(out / "network.npz")
    array.save(out / "array.json")
    project = _emit(network, array, out / "project")

    plain, tmr = _like(found, problem.reference), _like(found, problem.reference, tmr=True)
    designs = {"unprotected": plain, "found design": found, "full TMR": tmr}
    bers = [float(f"{problem.ber * factor:.3g}") for factor in (0.1, 1 / 3, 1, 3)]
    rates = _final(evaluator, designs, bers, *test, seed + 1, out / "campaign.sqlite", task)
    checked = validate(problem, evaluator, verdict.found, *test, tell=task("without each layer", 6))
    study.keep("verdict", verdict.table())
    study.keep("validation", checked)
    clean = accuracy_of(network, *test)
    costs = {name: array_cost(settings.array()) for name, settings in designs.items()}
    luts = {name: cost.lut or 0 for name, cost in costs.items()}
    share = (luts["found design"] - luts["unprotected"]) / (luts["full TMR"] - luts["unprotected"])

    at = {rate.design: rate for rate in rates if rate.point == bers[2]}
    kept = at["found design"].accuracy
    answer = (
        f"{found}: {luts['found design']:,.0f} LUTs, {100 * share:.0f} % of the LUTs that full TMR adds. "
        f"At BER {bers[2]:.3g} it keeps {100 * kept.mean:.1f} % accuracy [{100 * kept.low:.1f}, {100 * kept.high:.1f}], "
        f"where the unprotected array falls to {100 * at['unprotected'].accuracy.mean:.1f} % and full TMR keeps "
        f"{100 * at['full TMR'].accuracy.mean:.1f} % (fault-free {100 * clean:.1f} %)."
    )
    page = out / "report.html"
    story = Story(
        title="Hardpoint: handwritten digits on a fault-tolerant accelerator",
        asked="Which design needs the fewest LUTs while its accuracy under faults stays within 1 point of the best clean "
        "accuracy, at the BER where the unprotected array loses about 10 points?",
        answer=answer,
        commands=["make demo", f"hardpoint demo --out build/demo --seed {seed}"],
        provenance={
            "version": __version__,
            "seeds": f"{seed} for training, search and gates, {seed + 1} for the final validation",
            "data": "scikit-learn's digits; the search decides on validation images, the figures are of test images",
            "operating BER": f"{problem.ber:.3g}: on validation images the unprotected 8x8 array loses "
            f"{100 * (problem.lost or 0):.1f} points, full TMR {100 * (problem.kept or 0):.2f}",
            "target": f"accuracy at least {100 * problem.target:.2f} % with 95 % confidence",
            "network": network.digest,
            "array": array.digest,
            "emitted project": project,
        },
        clean_accuracy=clean,
        operating_ber=bers[2],
        rates=rates,
        costs=costs,
        points=study.points,
        gates=gates,
        array=array,
        convention=f"BER: flips per live site bit and step, all core sites. Each figure: {FINAL_LISTS} independent fault "
        f"lists, each over all {len(test[0])} test images; Wilson intervals over fault lists. All designs share their draws.",
        sections=[layer_section(checked), *([foreseen] if (foreseen := expected_section(study.points)) else [])],
    )
    write(story, page)
    accuracy: dict[str, dict[str, list[float]]] = {name: {} for name in designs}
    for rate in rates:
        accuracy[rate.design][f"{rate.point:g}"] = [rate.accuracy.low, rate.accuracy.mean, rate.accuracy.high]
    summary = {
        "clean_accuracy": clean,
        "operating_ber": problem.ber,
        "gates": gates,
        "cost": {name: {"LUT": cost.lut, "FF": cost.ff, "DSP": cost.dsp} for name, cost in costs.items()},
        "accuracy": accuracy,
        "found": found.table(),
        "overhead_of_full_tmr": round(share, 4),
        "layers": checked,
        "project": project,
        "report": str(page),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(out / "summary.json", summary)
    seconds = f"done in {summary['seconds']:.0f} s"
    return {**summary, "says": [answer, f"report: {page}", f"emitted project: {project}", seconds]}


def _like(found: Settings, q_scale: int, tmr: bool = False) -> Settings:
    """The unprotected array of the same shape, or full TMR with operands and drain."""
    if tmr:
        return Settings.all_columns(0, found.rows, found.cols, q_scale=q_scale, operand=True, drain=True)
    return Settings.all_columns(None, found.rows, found.cols, q_scale=q_scale)


def _emit(network: Network, array: Array, folder: Path) -> str:
    from hardpoint.hls.emit import write_project

    write_project(network, array, folder)
    return str(folder)


def _gates(network: Network, array: Array, x: NDArray[np.int64], seed: int, out: Path, task: Task) -> dict[str, int]:
    """Network, emulator, C++ core and Verilated RTL agree on images, and on random fault lists that mix all sites."""
    images = x[:GATE_IMAGES]
    expected = network(images)
    lists = [draw(array, network, 2, 2e-6 * 2 ** (trial % 7), seed, trial) for trial in range(GATE_LISTS)]
    struck = sum(map(len, lists))
    devices = {"emulator": "emulator", "csim": "C++ core", "rtl": "Verilated RTL"}
    done = task("equality gates", len(devices) * (GATE_LISTS + 1))
    equal: dict[str, int] = {}
    golden: list[NDArray[np.int64]] = []
    finished = 0
    for device, name in devices.items():
        engine = engine_on(device, network, array, out / "devices")
        title = f"Network == {name}, {GATE_IMAGES} images"
        equal[title] = _equal(name, expected, engine.run(images))
        outputs = []
        for faults in lists:
            outputs.append(engine.run(images[:2], faults))
            finished += 1
            done(finished)
        finished += 1
        done(finished)
        golden = golden or outputs
        if device != "emulator":
            pairs = zip(golden, outputs, strict=True)
            title = f"emulator == {name}, {GATE_LISTS} lists of {struck:,} faults"
            equal[title] = sum(_equal(f"{name}, fault list {i}", a, b) for i, (a, b) in enumerate(pairs))
    return equal


def _equal(name: str, expected: NDArray[np.int64], outputs: NDArray[np.int64]) -> int:
    """How many outputs were compared, all equal; or an InputError that names the first difference."""
    if expected.shape != outputs.shape:
        raise InputError(f"{name}: {outputs.shape} outputs instead of {expected.shape}")
    wrong = np.argwhere(expected != outputs)
    if len(wrong):
        image, output = wrong[0]
        was, should = outputs[image, output], expected[image, output]
        raise InputError(f"{name}: output {output} of image {image} is {was}, not {should}")
    return int(expected.size)


def _final(
    evaluator: Evaluator,
    designs: Mapping[str, Settings],
    bers: Sequence[float],
    x: NDArray[np.int64],
    labels: NDArray[np.int64],
    seed: int,
    store: Path,
    task: Task,
) -> list[Rate]:
    """Accuracy under faults of every design at every BER, on images and fault lists that the search has not seen."""
    from hardpoint.host.campaign import run_campaign

    done = task("final validation", len(designs))
    rates: list[Rate] = []
    for i, (name, settings) in enumerate(designs.items()):
        engine = engine_on("emulator", *evaluator.deployed(settings))
        rows = run_campaign(engine, x, labels, bers, FINAL_LISTS, seed, store=store, design=name).rows
        rates += [rate_of(row) for row in rows]
        done(i + 1)
    return rates
