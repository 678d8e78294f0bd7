"""Break reports, hand-offs and driver headers in every way we can think of, and read them.

    python tests/mutate_reports.py COUNT [SEED]

A reader may say what is wrong (InputError) or read on, but then what it says must come from the file: a leaf that is
neither in the unbroken report nor the very number that was put in is a wrong value. Prints a JSON object: how many
mutants were refused, read and wrong, seconds, and the peak memory of the process in megabytes.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hardpoint.errors import InputError
from hardpoint.hls.report import Below, Transactions, read_report
from hardpoint.host.handoff import RegisterHeader, read_handoff, read_header

REPORTS = Path(__file__).parent / "reports"
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
BOMB = '<!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>'
WORDS = (
    "twelve",
    "undefined",
    "",
    "0x10",
    "1e999",
    "-1",
    "--",
    "NaN",
    "inf",
    "1,024",
    "<x>",
    "1 ~",
    "~",
    "<<1",
    "1~2~3",
)


def reader_of(path: Path) -> Callable[[Path], Any]:
    return read_handoff if path.suffix == ".hwh" else read_header if path.name.endswith("_hw.h") else read_report


def leaves(value: Any) -> Iterator[Any]:
    """Numbers, texts and marks in a value, at any depth."""
    if isinstance(value, Below):
        yield value.bound
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif not isinstance(value, enum.Enum | bool | None):
        yield value


def mutate(text: str, draw: random.Random) -> tuple[bytes, str, str | None]:
    """A broken file, how it was broken, and the text that was put in (None where anything may have changed)."""
    way = draw.choice(("cut", "word", "huge", "digits", "lines", "bytes", "encoding", "markup", "swap", "repeat"))
    if way == "cut":
        return text[: draw.randrange(len(text))].encode(), way, ""
    if way in ("word", "huge", "digits"):
        match = draw.choice(list(NUMBER.finditer(text)))
        exact = str(draw.choice((2**53 + 1, 2**63, 10**19 + 7, draw.randrange(10**6, 10**18))))
        new = {"word": draw.choice(WORDS), "huge": "9" * draw.choice((21, 400, 5000)), "digits": exact}[way]
        return (text[: match.start()] + new + text[match.end() :]).encode(), way, new
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    if way == "lines":
        del lines[at : at + draw.choice((1, 1, 2, 5))]
        return "\n".join(lines).encode(), way, ""
    if way == "repeat":
        lines[at:at] = lines[at : at + draw.choice((1, 1, 3))] * draw.choice((1, 1, 200))
        return "\n".join(lines).encode(), way, ""
    if way == "swap":
        other = draw.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
        return "\n".join(lines).encode(), way, None
    data = bytearray(text.encode())
    if way == "bytes":
        for _ in range(draw.choice((1, 3, 30))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data), way, None
    if way == "encoding":
        name = draw.choice(("utf-16", "utf-32", "utf-7", "cp037", "utf-8-sig"))
        return text.encode(name), way, None
    put = draw.choice(
        (
            BOMB,
            "<a>" * 3000,
            "<![CDATA[",
            "&#x0;",
            "&a;",
            "|" * 3000,
            "+-" * 900 + "+",
            " " * 5000,
            '<?xml encoding="utf-7"?>',
        )
    )
    start = 0 if draw.random() < 0.3 else draw.randrange(len(text))
    return (text[:start] + put + text[start:]).encode(), way, None


def wrong(value: Any, original: Any, way: str, put: str) -> str | None:
    """What in `value` can come neither from the unbroken report nor from what was put in; None if nothing."""
    prefix = isinstance(value, RegisterHeader) and value.bundles == original.bundles[: len(value.bundles)]
    if way == "cut" and value != original and not isinstance(value, Transactions) and not prefix:
        known = dataclasses.asdict(original).items()
        lost = [
            name for name, item in dataclasses.asdict(value).items() if (name, item) not in known and item is not None
        ]
        if lost:
            return f"a cut file reads {', '.join(lost)} as other than the whole one"
    known_leaves = set(leaves(original))
    allowed = {float(put) * scale for scale in (1.0, 1e3, 1e6, 1e9)} if re.fullmatch(r"\d{1,20}", put) else set()
    for leaf in set(leaves(value)) - known_leaves:
        if isinstance(leaf, str):
            if put not in leaf and leaf.strip() != put.strip():
                return f"the text {leaf[:60]!r} is not in the file"
        elif isinstance(leaf, int) and put.isdigit() and abs(leaf) == int(put):
            continue
        elif abs(float(leaf)) not in allowed and not re.search(r"[-x.~<]|0x", put):
            return f"the number {leaf!r} is not in the file"
    return None


def peak_megabytes() -> int:
    """The most memory this program held; getrusage would count that of the process which started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024


def run(count: int, seed: int) -> dict[str, Any]:
    paths = sorted(path for path in REPORTS.iterdir() if path.suffix != ".md" and path.stem != "csynth_design_size")
    originals = {path: reader_of(path)(path) for path in paths}
    refused, read, faults, start = 0, 0, [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            path = paths[i % len(paths)]
            draw = random.Random(f"{seed} {i}")
            data, way, put = mutate(path.read_text(), draw)
            broken = Path(folder) / path.name
            broken.write_bytes(data)
            try:
                value = reader_of(path)(broken)
            except InputError as error:
                refused += 1
                if "\n" in str(error) or len(str(error)) > 600:
                    faults.append(f"mutant {i} ({way} of {path.name}): its error is no short line: {str(error)[:80]!r}")
                continue
            except Exception as error:
                faults.append(f"mutant {i} ({way} of {path.name}): {type(error).__name__}: {error}"[:300])
                continue
            read += 1
            fault = None if put is None else wrong(value, originals[path], way, put)
            if fault:
                faults.append(f"mutant {i} ({way} of {path.name}): {fault}")
    seconds = round(time.perf_counter() - start, 2)
    return {"refused": refused, "read": read, "wrong": faults, "seconds": seconds, "peak_mb": peak_megabytes()}


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    print(json.dumps(run(numbers[0], numbers[1] if len(numbers) > 1 else 0), indent=1))
