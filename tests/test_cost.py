"""What arrays cost: from the shipped table at once, as whole arrays synthesised within 3 %, and whether they fit."""

import dataclasses
import json

import pytest

from hardpoint.array import Array, Guard
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.hls import verilog
from hardpoint.hls.boards import BOARDS, board, fit
from hardpoint.hls.buffers import Buffer, bram18, buffer_cost, ecc_bits
from hardpoint.hls.cost import array_cost, breakdown, by_purpose, largest_array, table_parts
from hardpoint.hls.parts import TABLE, Part, measured, pe, price, source_digests
from hardpoint.hls.synthesis import synthesise

HARDENED = Array.columns_hardened(2, 2, Guard(14, operand=True, drain=True), hardened=1)
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
    return synthesise(verilog.TOP, verilog.parameters(dataclasses.replace(array, taps=taps))).cost


def within_3_percent(array, taps=False):
    composed, made = array_cost(array, taps), whole(array, taps)
    assert composed.lut == pytest.approx(made.lut, rel=0.03)
    assert composed.ff == pytest.approx(made.ff, rel=0.03)


@pytest.mark.parametrize(
    "array",
    [Array(2, 2), HARDENED, Array(2, 2, (Guard(14, kind="rpr"),))],
    ids=["plain", "hardened column", "reduced precision"],
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
    for array in (HARDENED, BY_PE):
        purposes = by_purpose(array)
        assert sum(cost.lut for cost in purposes.values()) == array_cost(array).lut
        assert all(cost.lut >= 0 and cost.ff >= 0 for cost in purposes.values())
    assert {"PEs none", "PEs 12"} <= by_purpose(BY_PE).keys()


def test_what_the_verilog_is_not_has_no_cost():
    with pytest.raises(InputError, match="only output-stationary arrays are made of parts"):
        array_cost(Array(2, 2, dataflow="ws"))
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
    assert made["full TMR, DSP"]["binding"] == "dsp"


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
    for name in ("pynq-z2", "ultra96-v2"):
        array, cost = largest_array(board(name), Guard(14), limit=0.7)
        assert fit(cost, board(name)).fits(0.7)
        more = array_cost(dataclasses.replace(array, rows=array.rows + 1, cols=array.cols + 1, classes=()))
        assert not fit(more, board(name)).fits(0.7)
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
