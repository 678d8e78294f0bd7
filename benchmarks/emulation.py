"""How fast emulation is, side by side in one run: build/bench/emulation.json.

    python benchmarks/emulation.py [--quick]

Rates are images (trials, for single faults) per CPU-second of the process, one thread. Short measurements take turns in
rounds, so that what else the machine does strikes all of them; the figure is the median of the rounds. Networks have
random 8-bit weights (seed below) and images random codes; speed depends on neither.

- `clean_b256`: the bench net, 256 images per call. `tensorflow_b256`: the same net in floats, the faster of TensorFlow's
  graph and XLA. `clean_b1`: one image per call.
- `strikes_N_b256`: a trial of a campaign, 256 images with N struck bits each on average, drawn by BER, drawing included; the
  clean states of the images are kept from the trial before, as in every campaign. `new_images_N_b256`: the same where
  no state is kept, so that every call computes the clean run as well. `strikes_12_b1`: images one by one.
- `single_fault_ratio`: trials of one fault each, drawn uniformly and classified, over `clean_b256`.
- `stuck_pe_ratio`: one PE of the array with a stuck product bit, over `clean_b256`; as `strikes`, with the states kept;
  `stuck_pe_new_images_ratio` without.
- `ws_strikes_118_b256`: as `strikes_118_b256` on a weight-stationary array; `guarded_stuck_pe_ratio`: as `stuck_pe_ratio` on an
  array guarded from column 14 on, whose stuck bits go the general way.
- `jobs2_speedup`: wall-clock time of one campaign by one process over that by two, at least 60 s each: true on an idle machine
  only. `jobs2_speedup_cpu`: CPU seconds of the campaign by one process over those of the mean of two, each counted from its
  start, imports and loading of kernels included: what two free cores would give, whatever else the machine does.
- `blas_share_resnet8`: share of the CPU time of clean ResNet-8 runs spent inside NumPy's matrix products, by a clock around
  each of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hardpoint.array import Array, Guard
from hardpoint.faultmap import FaultMap, StuckBit
from hardpoint.faults import FaultList, population
from hardpoint.files import write_json
from hardpoint.fixed import Fixed
from hardpoint.host import forward
from hardpoint.host.campaign import run_campaign
from hardpoint.host.drawing import draw, draw_single
from hardpoint.host.emulator import Emulator
from hardpoint.host.outcomes import classify
from hardpoint.layers import Add, AvgPool, Conv, Dense, Layer, MaxPool
from hardpoint.network import Network

SEED = 1
BATCH = 256
STRIKES = (1, 12, 118, 1_000, 10_000)
SINGLES = 16_384
ROUNDS = 7
U8, S8, S16 = Fixed.parse("u8.8"), Fixed.parse("s8.7"), Fixed.parse("s16.8")


class Builder:
    """Random layers, shifted so that codes spread over their format."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(SEED)
        self.shape, self.layers = shape, list[Layer]()

    def weights(self, *shape: int) -> NDArray[np.int64]:
        """Normally distributed 8-bit codes, as trained weights are."""
        return np.clip(np.rint(self.rng.normal(0, 32, shape)), -128, 127).astype(np.int64)

    def conv(self, name: str, source: str, inputs: int, filters: int, size: int = 3, stride: int = 1, relu: bool = True, pad: bool = False) -> None:
        weight = self.weights(size, size, inputs, filters)
        edge = size // 2 if pad else 0
        shift = 5 + round(np.log2(size * size * inputs) / 2)
        out = U8 if relu else S8
        self.layers.append(Conv(name, source, weight, np.zeros(filters, int), shift, out, S8, (stride, stride), (edge,) * 4, relu))

    def dense(self, name: str, source: str, inputs: int, outputs: int, out: Fixed = U8, relu: bool = True) -> None:
        weight = self.weights(inputs, outputs)
        shift = 5 + round(np.log2(inputs) / 2) if relu else 4
        self.layers.append(Dense(name, source, weight, np.zeros(outputs, int), shift, out, S8, relu=relu))

    def network(self, name: str) -> Network:
        return Network(self.shape, U8, tuple(self.layers), name=name)


def bench_network() -> Network:
    """28x28x1, conv16 3x3, relu, maxpool 2, conv32 3x3, relu, maxpool 2, dense 64, relu, dense 10."""
    b = Builder((28, 28, 1))
    b.conv("conv1", "input", 1, 16)
    b.layers.append(MaxPool("pool1", "conv1", (2, 2), (2, 2)))
    b.conv("conv2", "pool1", 16, 32)
    b.layers.append(MaxPool("pool2", "conv2", (2, 2), (2, 2)))
    b.dense("fc1", "pool2", 800, 64)
    b.dense("logits", "fc1", 64, 10, S16, relu=False)
    return b.network("bench")


def resnet8() -> Network:
    """MLPerf Tiny's ResNet-8 for 32x32x3 images."""
    b = Builder((32, 32, 3))
    b.conv("conv0", "input", 3, 16, pad=True)
    before, channels, size = "conv0", 16, 32
    for stage, filters in enumerate((16, 32, 64), 1):
        stride = 1 if stage == 1 else 2
        size //= stride
        b.conv(f"conv{stage}a", before, channels, filters, stride=stride, pad=True)
        b.conv(f"conv{stage}b", f"conv{stage}a", filters, filters, relu=False, pad=True)
        shortcut = before
        if stage > 1:
            shortcut = f"short{stage}"
            b.conv(shortcut, before, channels, filters, size=1, stride=stride, relu=False)
        b.layers.append(Add(f"add{stage}", (f"conv{stage}b", shortcut), (0, 0), 0, U8, True))
        before, channels = f"add{stage}", filters
    b.layers.append(AvgPool("average", before, (size, size), (size, size), 6, U8))
    b.dense("logits", "average", 64, 10, S16, relu=False)
    return b.network("resnet8")


def float_model(network: Network) -> list[Callable[[Any], Any]]:
    """`network` in float32 for TensorFlow: as a graph, and compiled by XLA."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    constants = [tf.constant(layer.weight / 128.0, tf.float32) for layer in network.gemms]

    def model(x: Any) -> Any:
        weights = iter(constants)
        for layer in network.layers:
            if isinstance(layer, Conv):
                x = tf.nn.conv2d(x, next(weights), layer.stride, "VALID")
            elif isinstance(layer, Dense):
                x = tf.reshape(x, (-1, layer.weight.shape[0])) @ next(weights)
            elif isinstance(layer, MaxPool):
                x = tf.nn.max_pool2d(x, layer.size, layer.stride, "VALID")
            if getattr(layer, "relu", False):
                x = tf.nn.relu(x)
        return x

    shape = tf.TensorSpec((BATCH, *network.input_shape), tf.float32)
    return [tf.function(model, [shape], jit_compile=compiled) for compiled in (False, True)]


def cpu_seconds(work: Callable[[], Any], least: float) -> float:
    """CPU seconds of one call of `work`, from as many calls as fill `least` seconds."""
    calls, begun = 0, time.process_time()
    while True:
        work()
        calls += 1
        spent = time.process_time() - begun
        if spent >= least:
            return spent / calls


def in_turns(works: Mapping[str, tuple[int, Callable[[], Any]]], rounds: int, least: float) -> dict[str, float]:
    """Median over rounds of the rate of each of `works` (how much a call does, the call)."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _, work in works.values():
        work()  # compile, load, warm up
    for _ in range(rounds):
        for name, (size, work) in works.items():
            rates[name].append(size / cpu_seconds(work, least))
    return {name: statistics.median(found) for name, found in rates.items()}


def short_measurements(rounds: int, least: float) -> dict[str, float]:
    """Rates of everything that takes a second or less."""
    network, array = bench_network(), Array(8, 8)
    rng = np.random.default_rng(SEED)
    x = rng.integers(0, 256, (BATCH, *network.input_shape))
    live = sum(population(array, network).values())
    kept, fresh = Emulator(network, array, BATCH), Emulator(network, array, BATCH, keep=0)
    one = Emulator(network, array, 1)
    golden = kept.run(x)
    numbers = iter(range(1 << 30))

    def strikes(engine: Emulator, count: int) -> Callable[[], Any]:
        return lambda: engine.observe(x, draw(array, network, BATCH, count / live, SEED, next(numbers)))

    images = [x[i : i + 1] for i in range(BATCH)]

    def one_by_one() -> None:
        trial = next(numbers)
        for i, image in enumerate(images):
            one.observe(image, draw(array, network, [i], 12 / live, SEED, trial), first=i)

    def singles() -> Any:
        first = next(numbers) * SINGLES
        flips = draw_single(array, network, BATCH, np.arange(first, first + SINGLES) % (1 << 32), SEED)
        outputs, voted = kept.observe_each(x, flips)
        return classify(golden[flips["image"]], outputs, voted, network.criterion)

    bit = FaultMap(8, 8, (), (StuckBit(3, 4, "mul", 0, 9, 1),))
    permanent = FaultList.of(bit.faults(array), array, network, BATCH)
    stationary, guarded = Array(8, 8, dataflow="ws"), Array(8, 8, (Guard(14),))
    ws, copied = Emulator(network, stationary, BATCH), Emulator(network, guarded, BATCH)
    ws_live, lasting = sum(population(stationary, network).values()), FaultList.of(bit.faults(guarded), guarded, network, BATCH)
    floats = (x / 256.0).astype(np.float32)
    graph, xla = float_model(network)
    works: dict[str, tuple[int, Callable[[], Any]]] = {
        "clean_b256": (BATCH, lambda: kept.run(x)),
        "tensorflow_graph_b256": (BATCH, lambda: graph(floats).numpy()),
        "tensorflow_xla_b256": (BATCH, lambda: xla(floats).numpy()),
        "clean_b1": (BATCH, lambda: [one.run(image) for image in images]),
        "strikes_12_b1": (BATCH, one_by_one),
        "single_faults": (SINGLES, singles),
        "stuck_pe": (BATCH, lambda: kept.observe(x, permanent)),
        "stuck_pe_new_images": (BATCH, lambda: fresh.observe(x, permanent)),
        "guarded_stuck_pe": (BATCH, lambda: copied.observe(x, lasting)),
        "ws_strikes_118_b256": (BATCH, lambda: ws.observe(x, draw(stationary, network, BATCH, 118 / ws_live, SEED, next(numbers)))),
    }
    works |= {f"strikes_{n}_b256": (BATCH, strikes(kept, n)) for n in STRIKES}
    works |= {f"new_images_{n}_b256": (BATCH, strikes(fresh, n)) for n in STRIKES}
    return in_turns(works, rounds, least)


def blas_share(network: Network, x: NDArray[np.int64], rounds: int) -> tuple[float, float]:
    """Share of CPU time of clean runs inside np.dot, and clean images per CPU-second."""
    emulator = Emulator(network, Array(8, 8))
    emulator.run(x)
    inside = 0.0
    dot = np.dot

    def clocked(*arguments: Any, **more: Any) -> Any:
        nonlocal inside
        begun = time.perf_counter_ns()
        result = dot(*arguments, **more)
        inside += (time.perf_counter_ns() - begun) / 1e9
        return result

    shares, rates = [], []
    for _ in range(rounds):
        begun = time.process_time()
        emulator.run(x)
        rates.append(len(x) / (time.process_time() - begun))
        inside, begun_wall = 0.0, time.perf_counter()
        forward.np.dot = clocked
        try:
            emulator.run(x)
        finally:
            forward.np.dot = dot
        shares.append(inside / (time.perf_counter() - begun_wall))
    return statistics.median(shares), statistics.median(rates)


def campaign_seconds(jobs: int, trials: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a campaign of 12 strikes per image by `jobs` processes."""
    network, array = bench_network(), Array(8, 8)
    x = np.random.default_rng(SEED).integers(0, 256, (BATCH, *network.input_shape))
    ber = 12 / sum(population(array, network).values())
    emulator, labels, begun = Emulator(network, array), network(x).argmax(axis=1), all_cpu_seconds()
    wall = run_campaign(emulator, x, labels, [ber], trials, SEED, jobs=jobs).seconds
    return wall, all_cpu_seconds() - begun


def all_cpu_seconds() -> float:
    """CPU seconds of this process and of the children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_mebibytes(what: str) -> float:
    """Largest resident memory of a fresh process that runs `what` with faults, batch 256."""
    code = f"import benchmarks.emulation as e; print(e.peak_of(e.{what}()))"
    run = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    return float(run.stdout)


def peak_of(network: Network) -> float:
    """Largest resident memory in MiB after two trials of 12 strikes per image on 256 images of `network`."""
    array = Array(8, 8)
    x = np.random.default_rng(SEED).integers(0, 256, (BATCH, *network.input_shape))
    emulator, ber = Emulator(network, array), 12 / sum(population(array, network).values())
    for trial in range(2):
        emulator.observe(x, draw(array, network, BATCH, ber, SEED, trial))
    lines = Path("/proc/self/status").read_text().splitlines()  # getrusage would count the parent's memory before exec
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench/emulation.json"))
    parser.add_argument("--quick", action="store_true", help="leave the long measurements out")
    asked = parser.parse_args()
    rounds = 3 if asked.quick else ROUNDS
    made: dict[str, Any] = {
        "how": {"seed": SEED, "rounds": rounds, "cores": os.cpu_count(), "array": "8x8, unprotected, 24 bits"},
        "load_before": round(os.getloadavg()[0], 2),
    }

    def tell(**more: Any) -> None:
        made.update(more)
        write_json(asked.out, made)
        for name, value in more.items():
            print(f"{name}: {value}", flush=True)

    with threadpool_limits(1):
        rates = short_measurements(rounds, 0.3)
        clean = rates["clean_b256"]
        tell(**{name: round(rate, 1) for name, rate in rates.items()})
        tell(
            tensorflow_b256=max(made["tensorflow_graph_b256"], made["tensorflow_xla_b256"]),
            single_fault_ratio=round(rates["single_faults"] / clean, 2),
            stuck_pe_ratio=round(rates["stuck_pe"] / clean, 3),
            stuck_pe_new_images_ratio=round(rates["stuck_pe_new_images"] / clean, 3),
            guarded_stuck_pe_ratio=round(rates["guarded_stuck_pe"] / clean, 3),
            strikes_ratios={n: round(rates[f"strikes_{n}_b256"] / clean, 3) for n in STRIKES},
            new_images_ratios={n: round(rates[f"new_images_{n}_b256"] / clean, 3) for n in STRIKES},
        )
        net = resnet8()
        x = np.random.default_rng(SEED).integers(0, 256, (64, *net.input_shape))
        share, rate = blas_share(net, x, 5)
        tell(blas_share_resnet8=round(share, 3), clean_resnet8=round(rate, 1))
    tell(peak_mebibytes={what: round(peak_mebibytes(what)) for what in ("bench_network", "resnet8")})
    if not asked.quick:
        before, trials = os.getloadavg()[0], 1024
        while (two := campaign_seconds(2, trials))[0] < 60:
            trials = round(trials * max(2, 66 / two[0]))
        one = campaign_seconds(1, trials)
        how = {"trials": trials, "load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
        how |= {f"{what}_{jobs}": round(x, 1) for jobs, took in (("1", one), ("2", two)) for what, x in zip(("wall", "cpu"), took, strict=True)}
        tell(jobs2_speedup=round(one[0] / two[0], 3), jobs2_speedup_cpu=round(2 * one[1] / two[1], 3), jobs_seconds=how)


if __name__ == "__main__":
    main()
