"""What arrays cost: from the shipped table at once, as whole arrays synthesised within 3 %, and whether they fit."""

import dataclasses
import json
import time

import pytest
from command import hardpoint
from conftest import small_network

from hardpoint.array import Array, Guard, Recompute
from hardpoint.cost import Cost
from hardpoint.ecc import COLUMNS
from hardpoint.errors import InputError
from hardpoint.hls import verilog
from hardpoint.hls.boards import BOARDS, board, fit
from hardpoint.hls.buffers import Buffer, bram18, buffer_cost, ecc_bits, shell_buffers, shell_cost
from hardpoint.hls.cost import (
    _without_unit,
    array_cost,
    breakdown,
    by_purpose,
    largest_array,
    table_parts,
    with_buffers,
)
from hardpoint.hls.parts import TABLE, Part, measured, pe, price, source_digests
from hardpoint.hls.synthesis import synthesise
from hardpoint.program import LIMITS

HARDENED = Array.columns_hardened(2, 2, Guard(14, operand=True, drain=True), hardened=1)
STATIONARY = Array.columns_hardened(2, 2, Guard(14), hardened=1, dataflow="ws")
BY_PE = Array(2, 2, (Guard(), Guard(12)), ((1, 0), (0, 1)))


def test_the_table_is_of_the_verilog_that_is_here():
    table = json.loads(TABLE.read_text())
    assert table["sources"] == source_digests(verilog.sources()), (
        "hls/rtl changed: run python -m hardpoint.hls.cost --regenerate"
    )
    assert table["parts"].keys() == {str(part) for part in table_parts()}


@pytest.mark.parametrize("guard", ["none", "14", "0+operand+drain"])
def test_the_table_says_what_synthesis_says(guard, tmp_path, monkeypatch):
    pytest.importorskip("pyosys")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nothing kept from before
    part = pe(Array(2, 2, (Guard.parse(guard),), taps=False), 1, 1)
    assert measured(part) == price(part)


def whole(array, taps=False):
    parameters = verilog.parameters(dataclasses.replace(array, taps=taps))
    return synthesise(verilog.top(array), parameters, memories=array.dataflow == "ws").cost


def within_3_percent(array, taps=False):
    composed, made = array_cost(array, taps), whole(array, taps)
    assert composed.lut == pytest.approx(made.lut, rel=0.03)
    assert composed.ff == pytest.approx(made.ff, rel=0.03)
    assert composed.bram == made.bram


@pytest.mark.parametrize(
    "array",
    [Array(2, 2), HARDENED, Array(2, 2, (Guard(14, kind="rpr"),)), STATIONARY],
    ids=["plain", "hardened column", "reduced precision", "weight-stationary"],
)
def test_a_composed_cost_is_that_of_the_whole_array(array):
    pytest.importorskip("pyosys")
    within_3_percent(array)


@pytest.mark.slow
@pytest.mark.parametrize("taps", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        Array(2, 2, (Guard(14),)),
        BY_PE,
        Array(4, 4),
        Array(4, 4, (Guard(0, operand=True, drain=True),)),
        Array.columns_hardened(4, 4, Guard(14, operand=True), hardened=2),
        Array(3, 5, (Guard(10),)),
        Array(4, 4, (Guard(12),), dataflow="ws"),
        Array.columns_hardened(4, 4, Guard(0, operand=True), 2, dataflow="ws"),
    ],
    ids=str,
)
def test_composed_costs_of_larger_arrays(array, taps):
    within_3_percent(array, taps)


@pytest.mark.slow
def test_composed_cost_of_an_8_by_8_array():
    within_3_percent(Array.columns_hardened(8, 8, Guard(14), hardened=3))


@pytest.mark.slow
def test_a_new_pe_is_synthesised_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    part = pe(Array(2, 2, (Guard(11, operand=True, drain=True),), act_bits=7, acc_bits=23, taps=False), 1, 1)
    assert str(part) not in json.loads(TABLE.read_text())["parts"]
    assert measured(part).lut > 0


def test_cost_grows_with_the_guard():
    costs = [array_cost(Array(8, 8, (Guard(column),))).lut for column in (20, 16, 12, 8, 0)]
    assert [array_cost(Array(8, 8)).lut, *costs] == sorted([array_cost(Array(8, 8)).lut, *costs])
    columns = [array_cost(Array.columns_hardened(8, 8, Guard(12), hardened=n)).lut for n in range(9)]
    assert columns == sorted(columns)
    assert array_cost(Array(8, 8), taps=True).lut > array_cost(Array(8, 8)).lut


def test_by_purpose_adds_up_and_by_pe_classes_are_priced():
    for array in (HARDENED, BY_PE, STATIONARY):
        purposes = by_purpose(array)
        assert sum(cost.lut for cost in purposes.values()) == array_cost(array).lut
        assert all(cost.lut >= 0 and cost.ff >= 0 for cost in purposes.values())
    assert {"PEs none", "PEs 12"} <= by_purpose(BY_PE).keys()
    assert {"PEs 14", "accumulators none", "accumulators 14"} <= by_purpose(STATIONARY).keys()
    assert [by_purpose(STATIONARY)[f"accumulators {guard}"].bram for guard in ("none", "14")] == [1, 2]


def test_what_the_verilog_is_not_has_no_cost():
    with pytest.raises(InputError, match=r"a multiplier in a DSP block cannot be split at a guard column: .* not 14"):
        array_cost(Array(2, 2, (Guard(14),), dsp=True))


def test_designs_are_compared():
    made = breakdown(Array.columns_hardened(4, 4, Guard(14), hardened=2), compare=True).value()["designs"]
    luts = [
        made[name]["lut"] for name in ("unprotected", "this array", "columns 14", "reduced precision 14", "full TMR")
    ]
    assert luts == sorted(luts)
    for name in ("unprotected", "reduced precision 14", "full TMR"):
        assert made[f"{name}, DSP"]["lut"] < made[name]["lut"]
        assert made[f"{name}, DSP"]["dsp"] == 16 * (3 if name == "full TMR" else 1)
    shares = made["full TMR, DSP"]["shares_with_buffers"]
    assert shares["dsp"] == round(48 / 220, 4)
    assert made["full TMR, DSP"]["binding"] == max(shares, key=shares.get) == "bram"


def test_the_breakdown_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    made = breakdown(Array(2, 2))
    made.plot(tmp_path / "cost.svg")
    assert "<svg" in (tmp_path / "cost.svg").read_text()
    with pytest.raises(InputError, match="xyz"):
        made.plot(tmp_path / "cost.xyz")
    assert not (tmp_path / "cost.xyz").exists()


def test_breakdown_as_numbers_and_as_text():
    made = breakdown(Array.columns_hardened(8, 8, Guard(14), hardened=3))
    value = made.value()
    json.dumps(value)
    designs = value["designs"]
    assert designs["unprotected"]["lut"] < designs["this array"]["lut"] < designs["full TMR"]["lut"]
    assert designs["this array"]["lut"] == sum(part["lut"] for part in value["parts"].values())
    text = "\n".join(made.lines())
    assert f"{designs['full TMR']['lut']:,}" in text
    assert "pynq-z2" in text


def test_parts_are_named_by_content():
    assert str(Part.of("hp_pe", "top row", W=24, B=14)) == "hp_pe, top row: B=14 W=24"


def test_fit_names_the_resource_that_binds():
    found = fit(Cost("yosys", lut=53_201, ff=10, dsp=0), board("pynq-z2"))
    assert found.binding == "lut"
    assert not found.fits()
    assert fit(Cost("estimate", dsp=110), board("pynq-z2")).share == 0.5
    assert not fit(Cost("estimate", uram=1), board("pynq-z2")).fits()
    with pytest.raises(InputError, match="nothing is known"):
        fit(Cost("yosys"), board("pynq-z2"))


def test_the_largest_array_fits_and_the_next_does_not():
    for name, limits in (("pynq-z2", None), ("ultra96-v2", None), ("pynq-z2", LIMITS)):
        array, cost = largest_array(board(name), Guard(14), limit=0.7, limits=limits)
        more = dataclasses.replace(array, rows=array.rows + 1, cols=array.cols + 1, classes=())
        fits = []
        for one in (array, more):
            alone = array_cost(one)
            whole = alone if limits is None else with_buffers(alone, one, limits)
            fits.append(fit(alone, board(name)).fits(0.7) and fit(whole, board(name)).fits())
        assert fits == [True, False]
        assert cost == array_cost(array)
    assert largest_array(board("pynq-z2"), limit=0.0001) is None


def test_every_board_holds_something():
    assert set(BOARDS) == {"pynq-z2", "ultra96-v2", "zcu104", "kv260"}
    for one in BOARDS.values():
        assert one.capacity().keys() == {"lut", "ff", "dsp", "bram", "uram"}
        assert str(one.part).startswith("xc")


def test_buffers_by_the_rules():
    assert [bram18(words, bits) for words, bits in ((16384, 1), (16385, 1), (512, 37), (2048, 9), (1, 1))] == [
        1,
        2,
        2,
        1,
        1,
    ]
    for bits in (8, 24, 64):  # a code of k + 1 bits: 2^k >= bits + k + 1
        k = ecc_bits(bits) - 1
        assert 2**k >= bits + k + 1 > 2 ** (k - 1) + 1
    assert buffer_cost(Buffer(4096, 64, copies=3, kind="uram")).uram == 3
    assert buffer_cost(Buffer(64, 8, kind="lutram")).lut == 12
    with pytest.raises(InputError, match="a buffer's words must be 1 or more, not 0"):
        Buffer(0, 8)
    with pytest.raises(InputError, match="a buffer's kind is one of bram, uram, lutram, not 'dram'"):
        Buffer(1, 8, kind="dram")
    with pytest.raises(InputError, match="a buffer's 64 bits must be a multiple of its lanes, not of 7"):
        Buffer(1, 64, lanes=7)


def test_buffers_of_a_shell():
    plain, coded = (shell_buffers(Array(8, 8, ecc=ecc)) for ecc in (False, True))
    assert buffer_cost(plain["inputs"]).bram == 8 * bram18(LIMITS.map_bytes // 8, 8)
    assert buffer_cost(plain["weights"]).bram == bram18(LIMITS.cache_steps, 64)
    assert buffer_cost(plain["patches"]).bram == 2 * 8 * 8 * bram18(LIMITS.steps // 8, 8)
    assert buffer_cost(coded["inputs"]).bram == 9 * bram18(LIMITS.map_bytes // 8, 8), "check bits are a ninth lane"
    assert {name for name in plain if plain[name] != coded[name]} == {"inputs", "weights", "outputs"}
    assert shell_cost(Array(8, 8)).lut == 0 < shell_cost(Array(8, 8, ecc=True)).lut
    stays = shell_buffers(Array(8, 8, dataflow="ws", depth=1024))
    assert buffer_cost(stays["slices"]).bram == 2 * 8 * bram18(1024, 8)
    assert stays["outputs"].words == LIMITS.map_bytes // 8, "sums come channel by channel: the whole output waits"
    with_unit = shell_buffers(Array(8, 8, recompute=Recompute(8, reuse=False)))
    assert "unit's inputs" not in with_unit
    assert "unit's inputs" in shell_buffers(Array(8, 8, recompute=Recompute(8)))
    small = dataclasses.replace(LIMITS, steps=1024)
    assert shell_cost(Array(16, 16)).bram > board("pynq-z2").bram > shell_cost(Array(8, 8), small).bram


@pytest.mark.slow
def test_ecc_takes_about_what_synthesis_says():
    pytest.importorskip("pyosys")

    def check_bit(k):
        return " ^ ".join(f"d[{i}]" for i in range(64) if int(COLUMNS[i]) >> k & 1)

    encoder = "".join(f"assign c[{k}] = {check_bit(k)};\n" for k in range(8))
    syndrome = "".join(f"assign s[{k}] = {check_bit(k)} ^ c[{k}];\n" for k in range(8))
    places = [*map(int, COLUMNS), *(1 << k for k in range(8))]
    hits = "".join(f"assign hit[{i}] = s == 8'd{place};\n" for i, place in enumerate(places))
    sources = {
        "encoder.v": f"module encoder(input wire [63:0] d, output wire [7:0] c);\n{encoder}endmodule\n",
        "decoder.v": "module decoder(input wire [63:0] d, input wire [7:0] c, output wire [63:0] y, output wire wrong);\n"
        f"wire [7:0] s;\nwire [71:0] hit;\n{syndrome}{hits}assign y = d ^ hit[63:0];\n"
        "assign wrong = s != 0 && hit == 0;\nendmodule\n",
    }
    made = sum(synthesise(name, {}, sources=sources).cost.lut for name in ("encoder", "decoder"))
    assert buffer_cost(Buffer(512, 64, ecc=True)).lut == pytest.approx(made, rel=0.15)


@pytest.fixture
def no_synthesis(monkeypatch):
    def refused(*_):
        raise AssertionError("the table lacks a part")

    price.cache_clear()
    monkeypatch.setattr("hardpoint.hls.parts.measured", refused)
    monkeypatch.setattr("hardpoint.hls.cost._without_unit", _without_unit.__wrapped__)  # nothing is remembered


@pytest.mark.parametrize(
    "array",
    [
        Array(8, 8, (Guard(14),), recompute=Recompute(8, Guard(14))),
        Array.columns_hardened(8, 8, Guard(14), 4, dataflow="ws"),
        Array(16, 16, (Guard(0, operand=True),), dataflow="ws", recompute=Recompute(16)),
    ],
    ids=["recompute", "weight-stationary", "both"],
)
def test_the_table_answers_at_once(array, no_synthesis):
    array_cost(array)
    price.cache_clear()
    started = time.process_time()
    assert array_cost(array).lut > 0
    assert time.process_time() - started < 0.05


def cost_says(words, capsys, monkeypatch):
    return hardpoint(f"cost {words}", capsys, monkeypatch)


def test_the_command_compares_draws_and_times(tmp_path, capsys, monkeypatch, no_synthesis):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    network = small_network()
    network.save("network.npz")
    words = "--rows 4 --cols 4 --guard 14 --hardened 2 --compare --plot cost.svg --network network.npz"
    code, out, err = cost_says(f"{words} --json", capsys, monkeypatch)
    assert (code, err) == (0, "")
    value = json.loads(out)
    array = Array.columns_hardened(4, 4, Guard(14), 2)
    assert value["designs"]["this array"]["lut"] == array_cost(array).lut
    assert len(value["designs"]) == 8
    assert sum(one["bram"] for one in value["buffers"].values()) == shell_cost(array).bram
    assert value["timing"]["cycles_least"] <= value["timing"]["cycles_serial"]
    assert "<svg" in (tmp_path / "cost.svg").read_text()
    code, out, _ = cost_says(words, capsys, monkeypatch)
    assert code == 0
    for text in ("reduced precision 14, DSP", "patches", "images/s", f"{value['designs']['full TMR']['lut']:,}"):
        assert text in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--plot cost.xyz", "xyz"),
        ("--network none.npz", "none.npz"),
        ("--dsp --guard 14", "a multiplier in a DSP block cannot be split at a guard column"),
        ("--board zedboard", "boards are pynq-z2, ultra96-v2, zcu104, kv260, not 'zedboard'"),
    ],
)
def test_the_command_refuses_with_one_line(words, message, tmp_path, capsys, monkeypatch, no_synthesis):
    monkeypatch.chdir(tmp_path)
    code, out, err = cost_says(f"--rows 4 --cols 4 {words}", capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())
