"""What the driver costs per image: build/bench/host.json.

    python benchmarks/host.py

`driver_overhead_b256`: CPU time of the host per image in microseconds, batches of 256 images of the bench net (28x28x1) over a
null device, which answers at once: its registers are a table, its memory holds still, its records are there before it is
asked. What is counted is all that the host does: encode images, flush, write registers, poll, invalidate, check tags,
decode. `driver_overhead_strikes_b256`: the same with 12 strikes per image on average, packed into words. Median of rounds, one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from emulation import bench_network
from threadpoolctl import threadpool_limits

from hardpoint.array import Array
from hardpoint.draw import draw
from hardpoint.files import write_json
from hardpoint.host.driver import Driver
from hardpoint.host.memory import Shared, SharedMemory
from hardpoint.program import record_words
from hardpoint.registers import CONTROL, DONE, IDLE, START, offsets

BATCH, BATCHES, ROUNDS = 256, 8, 9
AT = offsets()


class NullDevice:
    """A device that is done as soon as it is started: it writes records, as a device must, and computes nothing."""

    name, core = "null", "hls"

    def __init__(self, array: Array) -> None:
        self.memory = SharedMemory(0x1000_0000, 64 << 20)
        self.registers: dict[int, int] = {CONTROL: IDLE}
        self.words = record_words(array)

    def read(self, offset: int) -> int:
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == CONTROL and value & START:
            images, first = self.registers[AT["images"]], self.registers[AT["first"]]
            address = self.registers[AT["records"]] | self.registers[AT["records"] + 4] << 32
            behind = self.memory.at(address, 8 * images * self.words)
            assert behind is not None
            records = behind.view("<u8").reshape(images, self.words)
            records[:, 0], records[:, 1:] = np.arange(first, first + images), 0
            self.registers[CONTROL] = IDLE | DONE
        else:
            self.registers[offset] = value

    def allocate(self, size: int) -> Shared:
        return self.memory.allocate(size)

    def wait(self, timeout_s: float) -> None:
        assert self.read(CONTROL) & DONE

    def reset(self, hard: bool = False) -> None:
        self.registers = {CONTROL: IDLE}

    def sensors(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def per_image(call: Callable[[], Any], images: int) -> tuple[float, list[float]]:
    """CPU microseconds per image of `call`: the median of rounds, and the rounds."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        call()
        rounds.append((time.process_time() - begun) / images * 1e6)
    return statistics.median(rounds), sorted(rounds)


def main() -> None:
    array, network = Array(8, 8), bench_network()
    x = np.random.default_rng(1).integers(0, 256, (BATCH * BATCHES, *network.input_shape))
    faults = draw(array, network, len(x), 3e-7, 1, 0)
    loaded = Driver(NullDevice(array), array, batch=BATCH).load(network)
    with threadpool_limits(1):
        clean, clean_rounds = per_image(lambda: loaded.play(x), len(x))
        struck, struck_rounds = per_image(lambda: loaded.play(x, faults), len(x))
    value = {
        "driver_overhead_b256": {"us_per_image": clean, "rounds": clean_rounds, "target": 10.0},
        "driver_overhead_strikes_b256": {
            "us_per_image": struck,
            "rounds": struck_rounds,
            "strikes": len(faults) / len(x),
        },
        "images": len(x),
        "network": network.digest,
        "clock": "CPU time of the process",
    }
    path = Path("build/bench/host.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, value)
    print(
        f"driver: {clean:.2f} us per image at batch {BATCH} (at most 10); with {len(faults) / len(x):.1f} strikes per image {struck:.2f}"
    )


if __name__ == "__main__":
    main()
