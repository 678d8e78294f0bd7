"""The results of training as the tables of docs/results.md: python benchmarks/tables.py build/bench/training.json"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from hardpoint.errors import InputError
from hardpoint.files import load_json

__all__ = ["markdown"]


def markdown(results: dict[str, Any]) -> str:
    """Every part that was measured, as Markdown."""
    parts = (("accuracy", accuracy), ("qscale_curve", curves), ("ranking", rankings), ("bounded", bounded), ("robust", robust))
    return "\n".join(line for key, lines in parts if key in results for line in (*lines(results), ""))


def accuracy(results: dict[str, Any]) -> Iterator[str]:
    yield "| data | bits | test accuracy: mean | range | seeds | of the float models | CPU seconds per run | outputs equal (gate 1) |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for data, widths in results["accuracy"].items():
        for bits, found in widths.items():
            runs = found["runs"]
            floats = sum(run["float"] for run in runs) / len(runs)
            cpu = max(run["cpu_seconds"] for run in runs)
            equal = sum(run["gate1_equal"] for run in runs)
            yield (
                f"| {data} | {bits} | {found['mean']:.4f} | {found['low']:.4f} to {found['high']:.4f} | {found['seeds']} "
                f"| {floats:.4f} | at most {cpu:.0f} | {equal:,} |"
            )


def curves(results: dict[str, Any]) -> Iterator[str]:
    for data, found in results["qscale_curve"].items():
        columns = [s for s in found["saving"] if found["saving"][s]]
        yield (
            f"| {data}: q_scale | test accuracy: mean | range | seeds | smallest shift | widest sum | "
            + " | ".join(f"PE LUT, from code bit {s}" for s in columns)
            + " |"
        )
        yield "| --- " * (6 + len(columns)) + "|"
        for row in found["rows"]:
            a = row["accuracy"]
            luts = " | ".join(f"{row['pe_lut'][s]:.0f}" for s in columns)
            shifts = ", ".join(map(str, row["smallest_shifts"]))
            name = row["q_scale"] or "none"
            yield (
                f"| {name} | {a['mean']:.4f} | {a['low']:.4f} to {a['high']:.4f} | {a['seeds']} | {shifts} "
                f"| {max(row['accumulator_bits'])} | {luts} |"
            )
        yield ""
        for s in columns:
            saved = found["saving"][s]
            yield (
                f"- {data}, guarded from code bit {s} on: q_scale {saved['q_scale']} costs {100 * saved['loss']['mean']:.2f} "
                f"points ({saved['loss']['seeds']} seeds) and saves {saved['saved']:.1%} of the guarded PE "
                f"({saved['pe_lut_unconstrained']:.0f} to {saved['pe_lut']:.0f} LUT; unprotected {found['pe_lut_unprotected']:.0f})"
            )
        yield ""


def rankings(results: dict[str, Any]) -> Iterator[str]:
    for data, found in results["ranking"].items():
        shares = list(next(iter(found["methods"].values()))["global"])
        yield f"{data}: {found['trials']:,} flips on {found['images']:,} test images, {found['critical']:,} critical."
        yield ""
        tops = " | ".join(f"top {float(s):.0%}" for s in shares)
        yield f"| method | rank correlation | {tops} | top 10 %, per layer |"
        yield "| --- " * (3 + len(shares)) + "|"
        for method, row in found["methods"].items():
            cells = [interval(row["rank_correlation"]), *(interval(row["global"][s]) for s in shares)]
            yield f"| {method} | " + " | ".join([*cells, interval(row["layer"]["0.1"])]) + " |"
        yield ""
    for data, choice in results.get("ranking_default", {}).items():
        yield (
            f"- chosen on the others, judged on {data}: {choice['method']} covers {interval(choice['coverage'])} at 10 %, "
            f"random {interval(choice['random'])}: {choice['factor']:.1f} times as much"
        )


def robust(results: dict[str, Any]) -> Iterator[str]:
    yield "| data | strikes while training | seed | test accuracy | critical share of flips |"
    yield "| --- | --- | --- | --- | --- |"
    for data, rows in results["robust"].items():
        for row in rows:
            yield f"| {data} | {row['ber']:g} | {row['seed']} | {row['test']:.4f} | {row['critical_share']:.4f} |"


def bounded(results: dict[str, Any]) -> Iterator[str]:
    yield "| data | network | seed | test accuracy | critical share of flips |"
    yield "| --- | --- | --- | --- | --- |"
    for data, rows in results["bounded"].items():
        for row in rows:
            share = row["critical_share"]
            cells = f"{1e3 * share['mean']:.2f} ({1e3 * share['low']:.2f} to {1e3 * share['high']:.2f}) per 1,000"
            yield f"| {data} | {row['kind']} | {row['seed']} | {row['test']:.4f} | {cells} |"


def interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


if __name__ == "__main__":
    try:
        print(markdown(load_json(sys.argv[1] if len(sys.argv) > 1 else "build/bench/training.json", "file of results")))
    except InputError as error:
        sys.exit(f"error: {error}")
