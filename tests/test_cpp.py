"""The C++ core: its sources, and its equality with the literal model while anything strikes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import literal
import literal_network
import numpy as np
import pytest
from accelerators import codes, depthwise_network, mixed_network, plain_network

from hardpoint.array import Array, Guard, Recompute
from hardpoint.errors import InputError
from hardpoint.faults import FAULT, OVERHANG, PERMANENT, SITES, FaultList
from hardpoint.hls import compile as csim
from hardpoint.hls.emit import cpp_sources
from hardpoint.host.compiled import CompiledCore, CompiledDevice
from hardpoint.host.driver import Driver
from hardpoint.network import Network
from hardpoint.program import Limits, Program, Status

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
ARRAYS = {
    "none": Array(3, 2),
    "columns and lanes": Array(3, 4, (Guard(), Guard(12, True, True), Guard(10)), (0, 1, 2, 1)),
    "full TMR": Array(2, 3, (Guard(0, True, True),), act_bits=5, wgt_bits=4, acc_bits=12),
    "per PE": Array(
        4, 2, (Guard(14, drain=True), Guard(22), Guard(23, operand=True)), ((0, 1), (1, 2), (2, 0), (0, 0))
    ),
    "widest": Array(2, 2, (Guard(31), Guard(15, True, False)), (0, 1), acc_bits=32),
    "reduced": Array(
        3, 3, (Guard(12, kind="rpr"), Guard(), Guard(10, drain=True)), ((0, 1, 2), (0, 0, 1), (2, 0, 0))
    ),
}


@pytest.fixture(params=ARRAYS)
def array(request: pytest.FixtureRequest) -> Array:
    return ARRAYS[request.param]


def operands(rng: np.random.Generator, array: Array, tiles: int, k: int, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    m, n = array.act_bits, array.wgt_bits
    low, high = (-(1 << (m - 1)), 1 << (m - 1)) if signed else (0, 1 << m)
    return rng.integers(low, high, (tiles, k, array.rows)), rng.integers(
        -(1 << (n - 1)), 1 << (n - 1), (tiles, k, array.cols)
    )


def test_equals_the_literal_model_with_any_faults(array: Array) -> None:
    core, rng = CompiledCore(csim.build(array, BUILD, shell=False)), np.random.default_rng(7)
    for i in range(24):
        tiles, k, signed = int(rng.integers(1, 4)), int(rng.integers(1, 7)), bool(i % 2)
        a, w = operands(rng, array, tiles, k, signed)
        faults = literal.random_faults(rng, array, tiles, k, int(rng.integers(1, 60)))
        bypass = rng.random((array.rows, array.cols)) < 0.2 if i % 3 == 0 else None
        expected = literal.run(array, a, w, signed, faults, bypass)
        assert np.array_equal(core.gemm(a, w, signed, faults, bypass=bypass)[0], expected), (tiles, k, signed)


def test_computes_products_without_faults(array: Array) -> None:
    core, rng = CompiledCore(csim.build(array, BUILD, shell=False)), np.random.default_rng(3)
    for signed in (False, True):
        a, w = operands(rng, array, 5, 9, signed)
        sums = np.einsum("tkr,tkc->trc", a, w)
        half = 1 << (array.acc_bits - 1)
        out, cycles, votes = core.gemm(a, w, signed)
        assert np.array_equal(out, (sums + half) % (2 * half) - half)
        assert cycles == 4 * 9 + 9 + array.rows
        assert votes == 0


def test_machine_words_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes machine words for `ap_uint`; compiled with `ap_uint` it is the same function."""
    array, rng = ARRAYS["columns and lanes"], np.random.default_rng(11)
    plain = CompiledCore(csim.build(array, BUILD, shell=False))
    monkeypatch.setattr(csim, "FLAGS", tuple(flag for flag in csim.FLAGS if flag != "-DHARDPOINT_PLAIN"))
    exact = CompiledCore(csim.build(array, BUILD, shell=False))
    assert plain.name != exact.name
    for i in range(10):
        a, w = operands(rng, array, 3, 5, bool(i % 2))
        faults = literal.random_faults(rng, array, 3, 5, 50)
        assert np.array_equal(plain.gemm(a, w, bool(i % 2), faults)[0], exact.gemm(a, w, bool(i % 2), faults)[0])


def test_a_vote_that_disagrees_is_counted() -> None:
    array = Array(2, 2, (Guard(12),))
    core = CompiledCore(csim.build(array, BUILD, shell=False))
    a, w = np.full((1, 5, 2), 3), np.full((1, 5, 2), 5)
    fault = np.zeros(1, FAULT)
    fault["step"], fault["site"], fault["copy"], fault["bit"] = 2, SITES.index("acc"), 1, 20
    out, _, votes = core.gemm(a, w, False, fault)
    assert out.tolist() == [[[75, 75], [75, 75]]]  # outvoted
    assert votes == 1
    fault["effect"], fault["end_step"] = 2, PERMANENT[3]
    fault["end_tile"] = PERMANENT[2]
    assert core.gemm(a, w, False, fault)[2] == 3  # stuck from step 2 on: seen in steps 3 and 4 and at the hand-over


STATIONARY = {
    "mixed": Array(3, 4, (Guard(), Guard(12, True), Guard(10, kind="rpr")), (0, 1, 2, 1), dataflow="ws", depth=16),
    "full TMR": Array(
        2, 3, (Guard(0, True), Guard(12, kind="rpr"), Guard(14)), (0, 1, 2), 5, 4, 18, dataflow="ws", depth=16
    ),
}


@pytest.mark.parametrize("name", STATIONARY)
def test_weight_stationary_equals_the_literal_model_with_any_faults(name: str) -> None:
    array, rng = STATIONARY[name], np.random.default_rng(8)
    core = CompiledCore(csim.build(array, BUILD, shell=False))
    for i in range(20):
        groups, passes, pixels, signed = *(int(n) for n in rng.integers(1, (3, 4, 6))), bool(i % 2)
        low = -(1 << (array.act_bits - 1)) if signed else 0
        a = rng.integers(low, low + (1 << array.act_bits), (groups, passes, pixels, array.rows))
        half = 1 << (array.wgt_bits - 1)
        w = rng.integers(-half, half, (groups, passes, array.rows, array.cols))
        faults = literal.random_faults(rng, array, passes, pixels, int(rng.integers(1, 60)))
        bypass = rng.random((array.rows, array.cols)) < 0.2 if i % 3 == 0 else None
        expected = literal.run(array, a, w, signed, faults, bypass)
        tiles = (x.reshape(-1, *x.shape[2:]) for x in (a, w))
        assert np.array_equal(core.gemm(*tiles, signed, faults, passes=passes, bypass=bypass)[0], expected), i


def test_weights_stay_while_pixels_pass() -> None:
    array = Array(3, 4, (Guard(), Guard(12, True), Guard(9, kind="rpr")), (0, 1, 2, 1), dataflow="ws", depth=16)
    core, rng = CompiledCore(csim.build(array, BUILD, shell=False)), np.random.default_rng(5)
    for passes, tiles, pixels in ((1, 2, 7), (3, 6, 1), (2, 8, 16)):
        a = rng.integers(-128, 128, (tiles, pixels, 3))
        w = rng.integers(-128, 128, (tiles, 3, 4))
        bypass = rng.random((3, 4)) < 0.3
        parts = np.einsum("tpr,trc->tpc", a, np.where(bypass, 0, w))
        out, cycles, votes = core.gemm(a, w, True, passes=passes, bypass=bypass)
        assert np.array_equal(out, parts.reshape(-1, passes, pixels, 4).sum(axis=1))
        assert (cycles, votes) == (tiles * (3 + pixels), 0)


def test_the_low_part_of_pl_is_struck_above_the_guard_column() -> None:
    array = Array(1, 1, (Guard(6),))
    core = CompiledCore(csim.build(array, BUILD, shell=False))
    fault = np.zeros(1, FAULT)
    fault["site"], fault["copy"], fault["bit"] = SITES.index("mul"), OVERHANG, 6
    out = core.gemm(np.full((1, 1, 1), 7), np.full((1, 1, 1), 9), False, fault)[0]
    assert out.ravel() == [63 + 64]


def test_sources_are_clean_c_plus_plus_11(tmp_path: Path) -> None:
    for name, text in csim.sources(ARRAYS["columns and lanes"]).items():
        (tmp_path / name).write_text(text)
    flags = [
        "-std=c++11",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Wno-unknown-pragmas",
        "-fsyntax-only",
        "-I.",
        "-isystem",
        csim.ap_types(),
    ]
    units = sorted(name for name in cpp_sources() if name.endswith(".cpp"))
    done = subprocess.run(["g++", *flags, *units], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


WHOLE = {
    "ws": Array(
        3, 4, (Guard(), Guard(12, True), Guard(10, kind="rpr")), (0, 1, 2, 1), dataflow="ws", depth=16
    ),
    "reduced": Array(3, 4, (Guard(9, kind="rpr"), Guard(12, True, True)), (0, 1, 1, 0)),
    "unit": Array(3, 4, (Guard(), Guard(12)), (0, 1, 1, 0), recompute=Recompute(4, Guard(10, True, True))),
    "unit with its own port": Array(3, 4, recompute=Recompute(3, Guard(0), reuse=False)),
    "unit beside ws": Array(
        3, 4, (Guard(13),), acc_bits=22, dataflow="ws", depth=16, recompute=Recompute(9, Guard(6)), ecc=True
    ),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("make", [plain_network, mixed_network, depthwise_network])
def test_whole_accelerators_equal_the_literal_model(name: str, make: Any) -> None:
    """One build runs every network; its faults are those of the model, bypassed PEs included."""
    array, rng = WHOLE[name], np.random.default_rng(17)
    network = listing(rng, make(rng))
    driver = Driver(CompiledDevice(csim.build(array, BUILD)), array, batch=2)
    x = codes(rng, network.input_format, (3, *network.input_shape))
    assert np.array_equal(driver.run(network, x), network(x))
    for count in (6, 30, 90):
        records = literal_network.random_faults(rng, array, network, 2, count)
        expected, due = literal_network.run(network, array, x[:2], records)
        played = driver.load(network).play(x[:2], FaultList.of(records, array, network, 2))
        assert np.array_equal(played.outputs, expected), count
        assert np.array_equal(played.status, np.where(due, Status.ECC, 0))
    assert np.array_equal(driver.run(network, x), network(x)), "struck weights are as before"


def listing(rng: np.random.Generator, network: Network, most: int = 9) -> Network:
    """`network` with up to `most` important neurons per array layer."""
    sizes = [network.gemm(i).m * network.gemm(i).n for i in range(len(network.gemms))]
    return network.with_important([rng.choice(n, min(most, n), replace=False).tolist() for n in sizes])


@pytest.mark.parametrize("reuse", [True, False])
def test_the_unit_s_sums_overwrite_the_array_s(reuse: bool) -> None:
    """With the whole array bypassed only what the unit computes is right; it reads its own copy of inputs, or memory."""
    array, rng = Array(3, 4, recompute=Recompute(5, reuse=reuse)), np.random.default_rng(29)
    network = listing(rng, plain_network(rng))
    first = Network(network.input_shape, network.input_format, network.layers[:1], important=network.important[:1])
    x = codes(rng, first.input_format, (2, *first.input_shape))
    found = csim.infer(csim.build(array, BUILD), first, array, x, bypass=np.ones((3, 4), bool))
    right = np.isin(np.arange(found.shape[1]), first.important[0])
    assert np.array_equal(found[:, right], first(x)[:, right])
    assert not np.array_equal(found[:, ~right], first(x)[:, ~right])


def test_two_struck_bits_of_an_ecc_word_are_detected_and_one_is_corrected() -> None:
    array, rng = WHOLE["unit beside ws"], np.random.default_rng(31)
    network = plain_network(rng)
    loaded = Driver(CompiledDevice(csim.build(array, BUILD)), array).load(network)
    x = codes(rng, network.input_format, (2, *network.input_shape))
    for site in ("wbuf", "abuf", "obuf"):
        fault = np.zeros(2, FAULT)
        fault["site"], fault["step"], fault["bit"] = SITES.index(site), (8, 10), (1, 3)
        one = loaded.play(x, FaultList.of(fault[:1], array, network, 2))
        assert (one.status.tolist(), np.array_equal(one.outputs, network(x))) == ([0, 0], True), site
        two = loaded.play(x, FaultList.of(fault, array, network, 2))
        assert two.status.tolist() == [Status.ECC, 0], site
        assert np.array_equal(two.outputs, literal_network.run(network, array, x, fault)[0]), site
        assert np.array_equal(two.outputs[1], network(x)[1])


def test_lists_that_do_not_fit_are_refused() -> None:
    rng, array = np.random.default_rng(1), Array(3, 4, recompute=Recompute(4))
    network = listing(rng, plain_network(rng), 20)
    with pytest.raises(InputError, match="layer conv: it lists 20 neurons, the recompute unit takes at most 16"):
        Program.of(network, array, Limits(listed=16))


@pytest.mark.parametrize("name", WHOLE)
def test_a_bypass_map_comes_with_the_program(name: str) -> None:
    array, rng = WHOLE[name], np.random.default_rng(23)
    network = plain_network(rng)
    x = codes(rng, network.input_format, (2, *network.input_shape))
    bypass = np.zeros((3, 4), bool)
    bypass[1, 2] = bypass[0, 0] = True
    found = csim.infer(csim.build(array, BUILD), network, array, x, bypass=bypass)
    assert np.array_equal(found, literal_network.run(network, array, x, np.zeros(0, FAULT), bypass)[0])
    assert not np.array_equal(found, network(x))
    for wrong in (np.zeros((2, 4), bool), np.zeros((3, 4), int)):
        with pytest.raises(InputError, match="a bypass map of this array is 3 x 4 truth values, not"):
            Program.of(network, array, bypass=wrong)


FORBIDDEN = {
    "heap": r"\bnew\b|\bdelete\b|\bmalloc\b|\bfree\s*\(",
    "virtual functions": r"\bvirtual\b|\bdynamic_cast\b|\btypeid\b",
    "exceptions": r"\btry\b|\bcatch\b|\bthrow\b",
    "std": r"\bstd::|#include <(?!ap_int\.h|hls_stream\.h)",
    "loops without a bound": r"\bwhile\s*\(|\bdo\s*\{|\bfor\s*\(\s*;\s*;|\bgoto\b",
    "streams without a name": r"hls::stream<[^;&]*>\s+\w+\s*;",
    "state between calls": r"^\s+static (?!constexpr)[^(]*;",
}


def code_only(text: str) -> str:
    """C++ without comments and strings."""
    return re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"', lambda found: '""' if found[0][0] == '"' else "", text, flags=re.S
    )


def constructs(text: str) -> list[str]:
    """What HLS tools cannot take, by name."""
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, code_only(text), re.M)]


@pytest.mark.parametrize("name", sorted(cpp_sources()))
def test_sources_hold_nothing_that_hls_tools_refuse(name: str) -> None:
    assert constructs(cpp_sources()[name]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("int *p = new int[4];", "heap"),
        ("struct A { virtual int f(); };", "virtual functions"),
        ("throw 1;", "exceptions"),
        ("#include <vector>\n", "std"),
        ("while (busy) {}", "loops without a bound"),
        ("for (;;) {}", "loops without a bound"),
        ("hls::stream<int> data;", "streams without a name"),
        ("void f() {\n    static int calls;\n}", "state between calls"),
    ],
)
def test_the_check_finds_what_it_looks_for(text: str, found: str) -> None:
    assert constructs(text) == [found]
    assert constructs(f"// {text}".replace("\n", " ")) == []


def recursive(source: str, folder: Path) -> set[str]:
    """Functions of ours in `source` that lie on a cycle of the compiler's call graph."""
    (folder / "unit.cpp").write_text(source)
    flags = ["-std=c++11", "-w", "-fcallgraph-info", "-I.", "-isystem", csim.ap_types()]
    subprocess.run(["g++", *flags, "-c", "unit.cpp"], cwd=folder, check=True, timeout=120)
    calls: dict[str, set[str]] = {}
    for caller, called in re.findall(r'sourcename: "([^"]+)" targetname: "([^"]+)"', (folder / "unit.ci").read_text()):
        calls.setdefault(caller, set()).add(called)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = calls.get(todo.pop(), set()) - seen
            seen |= new
            todo.extend(new)
        return seen

    ours = {name for name in calls if re.search(r"N9hardpoint|_GLOBAL__N_1|hardpoint_\w+$", name)}
    return {name for name in ours if name in reached(name)}


def test_no_function_calls_itself(tmp_path: Path) -> None:
    files = csim.sources(ARRAYS["columns and lanes"])
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    units = "".join(f'#include "{name}"\n' for name in sorted(cpp_sources()) if name.endswith(".cpp"))
    assert recursive(units, tmp_path) == set()
    loop = "namespace hardpoint { int f(int); int g(int x) { return f(x); } int f(int x) { return x ? g(x - 1) : 0; } }"
    assert recursive(loop, tmp_path) == {"_ZN9hardpoint1fEi", "_ZN9hardpoint1gEi"}
