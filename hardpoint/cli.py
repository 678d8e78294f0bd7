"""The command `hardpoint`: a thin door. Verbs read and write files and import what they need when they need it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hardpoint.array_options import on_array
from hardpoint.errors import InputError
from hardpoint.progress import progress
from hardpoint.verbs import App, one_of, quiet

if TYPE_CHECKING:
    from hardpoint.array import Array
    from hardpoint.network import Network

__all__ = ["app", "main"]

app = App(
    name="hardpoint",
    epilog="""\b
Exit codes:
  0    done
  1    a check found a difference, or the program itself failed (with a traceback)
  2    bad input: one line on standard error says what, and nothing is written
  3    a search found no design that meets the constraints
  130  stopped; what was finished is kept

`hardpoint VERB --help` ends with an example; `--config FILE.toml` gives any verb its options.""",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Data = Annotated[
    str,
    typer.Option(
        help="Data set: digits, mnist, fashion, cifar10, kws, or NAME=PATH.",
        autocompletion=one_of("digits", "mnist=", "fashion=", "cifar10=", "kws=", "npz="),
    ),
]
QScale = Annotated[int, typer.Option(min=0, max=16, help="Quantisation constraint: bits that every requantiser drops.")]
Bits = Annotated[int, typer.Option(min=2, max=8, help="Bits of weights and activations.")]
ModelFile = Annotated[Path, typer.Argument(help="QKeras or Keras model file (.h5, .keras, or .json with --weights).")]
WeightsFile = Annotated[Path | None, typer.Option(help="Weights (.h5) of a model whose architecture is a .json file.")]
Device = Annotated[
    str,
    typer.Option(
        help="emulator, csim (compiled C++), rtl (Verilated Verilog), or zynq, on a board.",
        autocompletion=one_of("emulator", "csim", "rtl", "zynq"),
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option("--bitstream", help="Manifest (.json) of the bitstream for --device zynq; names the array."),
]
Images = Annotated[int | None, typer.Option(min=1, help="Use the first N test images.")]


def main() -> NoReturn:
    """Run the command; bad input prints one line and exits with 2."""
    quiet()
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except InputError as error:
        code = _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("hardpoint: stopped; what was finished is kept", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        code = _refuse(f"{error.filename or 'cannot write'}: {error.strerror}")
    except ModuleNotFoundError as error:
        code = _refuse(f"this needs {error.name}, which is not installed; `hardpoint doctor` says what brings what")
    except Exception as error:
        # typer carries a click of its own: its usage errors are known by their message alone
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        code = _refuse(message())
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(message: str) -> int:
    import logging

    logging.getLogger("hardpoint").debug("refused here:", exc_info=True)  # seen with --verbose
    print("hardpoint: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _version(wanted: bool) -> None:
    if wanted:
        from hardpoint import __version__

        print(f"hardpoint {__version__}")
        raise typer.Exit


@app.callback()
def hardpoint(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")] = False,
) -> None:
    """Fault-tolerant systolic deep-learning accelerators: redundancy only where faults hurt."""


def _say(value: Any, as_json: bool, lines: list[str]) -> None:
    print(json.dumps(value, indent=1) if as_json else "\n".join(lines))


def _network(path: Path) -> Network:
    from hardpoint.network import Network

    return Network.load(path)


@app.command(epilog="Example: hardpoint demo --out build/demo")
def demo(out: Out = Path("build/demo"), seed: Seed = 1, as_json: Json = False) -> None:
    """The whole flow in small, on scikit-learn's digits, ending in report.html."""
    from hardpoint.optimizer.demo import run

    with progress(as_json) as task:
        summary = run(out, seed, task)
    _say(summary, as_json, summary["says"])


@app.command(epilog="Example: hardpoint train --data digits --model digits-cnn --q-scale 6 --out digits.h5")
def train(
    out: Out,
    data: Data = "digits",
    model: Annotated[str, typer.Option(help="Architecture.")] = "digits-cnn",
    q_scale: QScale = 0,
    bits: Bits = 8,
    layer: Annotated[
        list[str] | None, typer.Option(help="Bits of one layer's weights and output, conv1=4:8; may be given often.")
    ] = None,
    float_epochs: Annotated[
        int | None, typer.Option(min=0, help="Epochs in floats; the data set's if not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=0, help="Epochs quantised; the data set's if not given.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples per step.")] = None,
    augment: Annotated[bool, typer.Option(help="Mirror and move images, anew in every epoch.")] = False,
    robust: Annotated[
        float | None, typer.Option(help="Strike accumulators at this bit error rate while training.")
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(help="Bound outputs so that this share of them saturates before training; faults move them less."),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder in which epochs are kept; a training that was stopped goes on from there."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a bit-constrained QKeras model on a data set."""
    from hardpoint.optimizer.models import train_file

    with progress(as_json) as task:
        record = train_file(
            out, data, model, q_scale, bits, seed, task, layer or (), checkpoints,
            float_epochs=float_epochs, epochs=epochs, batch=batch, augment=augment or None, ber=robust, bound=bound,
        )  # fmt: skip
    _say(record, as_json, [f"{out}: test accuracy {record['accuracy']['test']:.4f} with q_scale {q_scale}"])


@app.command(epilog="Example: hardpoint convert digits.h5 --data digits --out network.npz")
def convert(
    model: ModelFile,
    out: Out,
    data: Annotated[
        str | None, typer.Option(help="Data set to compare on; random inputs of --input-format without it.")
    ] = None,
    weights: WeightsFile = None,
    input_format: Annotated[
        str | None, typer.Option(help="Number format of the input, as s8.5, where there is no data set.")
    ] = None,
    calibrate: Annotated[
        int | None,
        typer.Option(min=1, help="Quantise a float model first, its formats chosen on so many training samples."),
    ] = None,
    q_scale: QScale = 0,
    bits: Bits = 8,
    criterion: Annotated[
        str | None, typer.Option(help="When a changed output is critical: top1, tolerance:CODES or threshold:CODES.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert a QKeras model to integers, and compare every output; a float model is quantised on request."""
    from hardpoint.optimizer.models import convert_file

    made = convert_file(model, data, weights, input_format, calibrate, q_scale, bits, criterion)
    made.network.save(out)
    _say({"network": str(out), **made.table()}, as_json, [f"{out}: {line}" for line in made.lines()])


@app.command(epilog="Example: hardpoint rank network.npz --data digits --out ranking.npz")
def rank(
    source: Annotated[Path, typer.Argument(help="Network (.npz), or QKeras model file.")],
    out: Out,
    data: Data = "digits",
    method: Annotated[
        str | None,
        typer.Option(
            help="flips, gradient, margin, taylor, second-order, activation, weight, random, or injection (measured); "
            "the best that needs no injection if not given.",
            autocompletion=one_of(
                "flips", "gradient", "margin", "taylor", "second-order", "activation", "weight", "random", "injection"
            ),
        ),
    ] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of neurons to call important in the print.")] = 0.1,
    policy: Annotated[
        str,
        typer.Option(
            help="Take that share of all neurons (global) or of each layer's (layer).", autocompletion=one_of("global", "layer")
        ),
    ] = "global",
    images: Annotated[int, typer.Option(min=1, help="Training samples to judge by.")] = 500,
    trials: Annotated[int, typer.Option(min=1, help="Flips, for method injection.")] = 100_000,
    weights: WeightsFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Rank neurons, channels and accumulator columns by vulnerability."""
    from hardpoint.optimizer.models import rank_file, ranking_table

    ranking, network = rank_file(source, out, data, method, weights, images, trials, seed, share, policy)
    table, lines = ranking_table(ranking, network, share, policy)
    _say({"ranking": str(out), **table}, as_json, [f"{out}: {ranking.method}, {data}, {images} images", *lines])


@app.command(epilog="Example: hardpoint emit network.npz --guard 14 --hardened 4 --out project")
@on_array
def emit(
    network: Annotated[Path, typer.Argument(help="Network (.npz).")],
    out: Out,
    core: Annotated[
        str,
        typer.Option(
            help="What the core is synthesised from: rtl (Verilog, as black boxes) or hls (C++).", autocompletion=one_of("rtl", "hls")
        ),
    ] = "rtl",
    *,
    array: Array,
    as_json: Json = False,
) -> None:
    """Write the HLS project of a network on an array."""
    from hardpoint.hls.emit import write_project

    made = write_project(_network(network), array, out, core=core)
    _say(made, as_json, [f"{out}: {len(made['files'])} files, digest {made['digest']}"])


@app.command(epilog="Example: hardpoint build project --out bitstreams")
def build(
    project: Annotated[Path, typer.Argument(help="Folder that `hardpoint emit` wrote.")],
    out: Out = Path("bitstreams"),
    again: Annotated[bool, typer.Option("--again", help="Repeat steps that an earlier run finished.")] = False,
    as_json: Json = False,
) -> None:
    """Run Vitis HLS or Vivado HLS, then Vivado, on an emitted project; a build that failed resumes at its failed step."""
    from hardpoint.hls.build import build as run_tools

    made = run_tools(project, out, again=again, say=lambda line: print(line, file=sys.stderr))
    _say(made.table(), as_json, [f"{out}: {made.name}.bit, {made.name}.hwh, {made.name}.json"])


@app.command(epilog="Example: hardpoint cost --guard 14 --hardened 4 --compare --plot cost.svg")
@on_array
def cost(
    *,
    array: Array,
    compare: Annotated[
        bool, typer.Option("--compare", help="Beside it guarded columns, reduced precision and DSP variants, too.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it (.svg, .png, .pdf).")] = None,
    network: Annotated[Path | None, typer.Option(help="Cycles, latency and throughput of this network, too.")] = None,
    as_json: Json = False,
) -> None:
    """Print what an array costs by Yosys' synthesis, part by part, beside the unprotected array and full TMR."""
    from hardpoint.hls.cost import breakdown
    from hardpoint.hls.timing import timing

    times = None if network is None else timing(_network(network), array)
    table = breakdown(array, compare)
    if plot is not None:
        table.plot(plot)
    value = table.value() | ({} if times is None else {"timing": times.value()})
    _say(value, as_json, table.lines() + ([] if times is None else ["", *times.lines()]))


@app.command(epilog="Example: hardpoint run network.npz --data digits --device csim --images 64 --ber 1e-5 --check")
@on_array
def run(
    network: Annotated[Path, typer.Argument(help="Network (.npz).")],
    data: Data = "digits",
    device: Device = "emulator",
    images: Images = None,
    faults: Annotated[Path | None, typer.Option(help="Fault list (.npz) to play.")] = None,
    ber: Annotated[float | None, typer.Option(help="Draw the faults to play at this bit error rate.")] = None,
    chip: Annotated[
        Path | None, typer.Option("--map", help="Play the stuck bits of a chip's fault map (.json), throughout.")
    ] = None,
    seed: Seed = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every image with the emulator; exit with 1 on any difference.")
    ] = False,
    bitstream: Manifest = None,
    *,
    array: Array,
    as_json: Json = False,
) -> None:
    """Run a network on a device and say how accurate it is, and whether it computes what the emulator does."""
    from hardpoint.optimizer.running import run_on

    value, lines = run_on(
        _network(network), array, device, data, images,
        faults=faults, ber=ber, chip=chip, seed=seed, check=check, bitstream=bitstream,
    )  # fmt: skip
    _say(value, as_json, lines)
    if check and value["check"]["different"]:
        raise typer.Exit(1)


@app.command(epilog="Example: hardpoint campaign network.npz --ber 1e-6 --ber 1e-5 --trials 20 --guard 14")
@on_array
def campaign(
    network: Annotated[Path, typer.Argument(help="Network (.npz).")],
    ber: Annotated[
        list[float] | None, typer.Option(help="Transient flips at this bit error rate; may be given several times.")
    ] = None,
    count: Annotated[
        list[int] | None,
        typer.Option(help="Transient flips, so many per inference; may be given several times."),
    ] = None,
    single: Annotated[int | None, typer.Option(help="So many single flips, each alone in an inference.")] = None,
    permanent_rate: Annotated[
        list[float] | None,
        typer.Option(help="Share of PEs with a stuck bit; the unit is a fault map; may be given several times."),
    ] = None,
    pattern: Annotated[
        str, typer.Option(help="Places of permanent faults: uniform or clustered.", autocompletion=one_of("uniform", "clustered"))
    ] = "uniform",
    convention: Annotated[
        str,
        typer.Option(
            help="hardware, or neuron: as software injectors, --ber per output bit of a layer; needs no array.",
            autocompletion=one_of("hardware", "neuron"),
        ),
    ] = "hardware",
    stratify: Annotated[str, typer.Option(help="As many single flips in every layer, site or layer,site.")] = "",
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="SITE=X", help="Weight of a site class, 1 if not given; may be given several times."),
    ] = None,
    data: Data = "digits",
    device: Device = "emulator",
    trials: Annotated[
        int, typer.Option(min=2, help="Independent fault lists or maps per point; at most, with --until-error.")
    ] = 20,
    error: Annotated[float, typer.Option(help="Error that the plan says the necessary sample size for.")] = 0.01,
    confidence: Annotated[float, typer.Option(help="Confidence of all intervals.")] = 0.95,
    until_error: Annotated[
        float | None,
        typer.Option(help="Stop once accuracy (single flips: the SDC-critical share) is known to +- this."),
    ] = None,
    images: Images = None,
    batch: Annotated[int, typer.Option(min=1, help="Images emulated at a time; results do not depend on it.")] = 256,
    store: Annotated[
        Path | None, typer.Option(help="SQLite store; a campaign that was stopped goes on from there.")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes that work in parallel; results do not depend on them.")
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers play the units, such as tcp://host:8786."),
    ] = None,
    seed: Seed = 0,
    bitstream: Manifest = None,
    analyse: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write what single flips did, by place: tables, pictures, ranking."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the result table here (JSON).")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan and do nothing else.")] = False,
    *,
    array: Array,
    as_json: Json = False,
) -> None:
    """Inject faults and report accuracy and outcomes with intervals, after a plan of what it takes."""
    from hardpoint.optimizer.campaigns import Question, answer

    asked = Question(
        data, device, images, tuple(ber or ()), tuple(count or ()), single, tuple(permanent_rate or ()), pattern, convention,
        stratify, tuple(weight or ()), trials, error, confidence, until_error, seed, store, jobs, scheduler, batch, bitstream,
        analyse,
    )  # fmt: skip

    def tell(lines: list[str]) -> None:
        print("\n".join(lines), file=sys.stderr if as_json else sys.stdout, flush=True)

    value, lines = answer(_network(network), array, asked, tell, not as_json, plan)
    if out is not None:
        from hardpoint.files import write_json

        write_json(out, value)
    _say(value, as_json, lines)


@app.command(epilog="Example: hardpoint search --data digits --evaluations 24 --study build/study.sqlite")
def search(
    study: Annotated[Path, typer.Option(help="SQLite log; a search that was stopped goes on from there.")],
    data: Data = "digits",
    model: Annotated[str, typer.Option(help="Architecture.")] = "digits-cnn",
    evaluations: Annotated[int, typer.Option(min=1, help="Designs to evaluate.")] = 24,
    minimise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="lut (if not given), lut+50*dsp, share (of the board's scarcest resource), cycles, loss (of accuracy under "
            "faults) or critical; given twice: a Pareto front.",
        ),
    ] = None,
    ber: Annotated[
        float | None, typer.Option(help="Bit error rate; where the unprotected array loses 8 to 12 points if not given.")
    ] = None,
    accuracy: Annotated[float | None, typer.Option(help="Least accuracy under faults; --drop decides if not given.")] = None,
    drop: Annotated[float, typer.Option(help="Accuracy under faults may lie this far below the best fault-free one.")] = 0.01,
    critical: Annotated[float | None, typer.Option(help="Largest SDC-critical share of inferences.")] = None,
    clean: Annotated[float | None, typer.Option(help="Least fault-free accuracy.")] = None,
    throughput: Annotated[
        float | None, typer.Option(help="Least images per second; --slowdown decides if not given.")
    ] = None,
    slowdown: Annotated[
        float, typer.Option(help="Most cycles per image, in units of the unprotected 8x8 array's.")
    ] = 1.1,
    board: Annotated[str, typer.Option(help="Board that the design must fit.")] = "pynq-z2",
    fit: Annotated[float, typer.Option(help="Largest share of each of the board's resources.")] = 1.0,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="SITE=X", help="Weight of a site class, 1 if not given; may be given several times."),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of verdicts on designs.")] = 0.95,
    lists: Annotated[int, typer.Option(min=4, help="Fault lists per design at most.")] = 64,
    images: Annotated[int | None, typer.Option(min=1, help="Validation images that decide; all if not given.")] = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Fixes (rows = 8) or lists (ib = [12, 14]) dimensions.")
    ] = None,
    cost: Annotated[
        str,
        typer.Option(
            help="Costs from: table (shipped; refuses what it lacks), yosys (synthesises that), csynth or vivado (tools)."
        ),
    ] = "table",
    reports: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --cost csynth: recorded reports, ARRAY-DIGEST.xml.")
    ] = None,
    device: Device = "emulator",
    jobs: Annotated[int, typer.Option(min=1, help="Designs evaluated in parallel, in processes.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers evaluate designs; with --batch.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Designs asked for at once; --jobs if not given.")] = None,
    warm_start: Annotated[
        Path | None, typer.Option(metavar="STUDY", help="Begin with the best designs of an earlier study.")
    ] = None,
    validate: Annotated[
        bool, typer.Option(help="Measure the found design, and it without each layer, anew on test images.")
    ] = True,
    seed: Seed = 1,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Emit the found design's HLS project here.")] = None,
    as_json: Json = False,
) -> None:
    """Search algorithm, architecture and circuit settings for the cheapest design that meets the constraints.

    Exits with 3 where no design does, and names the constraint that binds.
    """
    from hardpoint.optimizer.searches import Request, search_on

    request = Request(
        study, data, model, evaluations, seed, tuple(minimise or ("lut",)), ber, accuracy, drop, critical, clean, throughput,
        slowdown, board, fit, tuple(weight or ()), confidence, lists, images, space, cost, reports, device, jobs, scheduler,
        batch, warm_start, validate, out,
    )  # fmt: skip
    with progress(as_json) as task:
        value, lines = search_on(request, task)
    _say(value, as_json, lines)
    if value["verdict"] == "infeasible":
        raise typer.Exit(3)


@app.command(epilog="Example: hardpoint selftest --device emulator --rows 8 --cols 8 --dataflow ws --plant chip.json --out map.json")
@on_array
def selftest(
    out: Out,
    device: Device = "emulator",
    plant: Annotated[
        Path | None, typer.Option(help="Fault map (.json) whose stuck bits are injected meanwhile, to test the test.")
    ] = None,
    chip: Annotated[str, typer.Option(help="The chip's name in the map that is written.")] = "",
    bitstream: Manifest = None,
    *,
    array: Array,
    as_json: Json = False,
) -> None:
    """Find the faulty PEs of a device with known patterns, and write its fault map; exits with 1 if a planted fault was missed."""
    from hardpoint.optimizer.fleet_selftest import selftest_on

    value, lines = selftest_on(array, device, out, planted=plant, chip=chip, bitstream=bitstream)
    _say(value, as_json, lines)
    if value.get("missed") or value.get("invented"):
        raise typer.Exit(1)


@app.command(
    epilog="Example: hardpoint fleet network.npz --data digits --maps chips.csv --rows 16 --cols 16 --out fleet"
)
def fleet(
    network: Annotated[Path, typer.Argument(help="Network (.npz) that every chip starts from.")],
    out: Out,
    data: Data = "digits",
    maps: Annotated[
        Path | None, typer.Option(help="Fault maps: a folder of .json files, one such file, or a .csv table.")
    ] = None,
    generate: Annotated[int, typer.Option(min=0, help="Without --maps: draw as many chips.")] = 0,
    pattern: Annotated[
        str,
        typer.Option(
            help="Pattern of drawn faults: uniform, clustered, rows, columns.",
            autocompletion=one_of("uniform", "clustered", "rows", "columns"),
        ),
    ] = "uniform",
    most: Annotated[float, typer.Option(help="Drawn chips have PE fault rates evenly spaced from 0 to this.")] = 0.2,
    rows: Annotated[int, typer.Option(help="Rows of the array.")] = 32,
    cols: Annotated[int, typer.Option(help="Columns of the array.")] = 32,
    drop: Annotated[float, typer.Option(help="Accuracy that a chip may lose, on validation data.")] = 0.01,
    budget: Annotated[float, typer.Option(help="Most epochs of retraining per map.")] = 4.0,
    compensation: Annotated[
        int, typer.Option(min=0, help="Training samples from which lost weights are compensated; 0: not at all.")
    ] = 8000,
    compare: Annotated[bool, typer.Option(help="Also work out the policies that the method is compared with.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Retrain a network for a fleet of chips with faulty PEs: one network file per chip, for as little training as possible."""
    from hardpoint.optimizer.fleet import fleet_on

    with progress(as_json) as task:
        value, lines = fleet_on(
            _network(network),
            data,
            maps,
            (generate, pattern, most),
            (rows, cols),
            drop,
            budget,
            compensation,
            compare,
            seed,
            out,
            task,
        )
    _say(value, as_json, list(lines))


@app.command(epilog="Example: hardpoint report build/study.sqlite --out report.html")
def report(
    source: Annotated[Path, typer.Argument(help="Store of a campaign or study of a search (.sqlite), or fleet.json or its folder.")],
    out: Out = Path("report.html"),
    as_json: Json = False,
) -> None:
    """Write an HTML report of campaigns, a search or a fleet: one page that loads nothing."""
    from hardpoint.optimizer.flow import report_on

    title = report_on(source, out)
    _say({"report": str(out), "title": title}, as_json, [f"{out}: {title}"])


@app.command(epilog="Example: hardpoint doctor")
def doctor(as_json: Json = False) -> None:
    """Say what is installed, which tools and boards are found, and what each would enable."""
    import dataclasses

    from hardpoint.doctor import examine

    findings = examine()
    _say([dataclasses.asdict(finding) for finding in findings], as_json, [finding.line() for finding in findings])
