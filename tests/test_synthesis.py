"""Yosys from outside: what it says is counted right, kept, and refused in one line when it fails."""

import time

import pytest

from hardpoint.errors import InputError
from hardpoint.hls import verilog
from hardpoint.hls.copies import Copies, copies, naive
from hardpoint.hls.netlist import Levels
from hardpoint.hls.synthesis import cache_folder, map_netlist, synthesise
from hardpoint.hls.yosys import YosysError, run

pytest.importorskip("pyosys", reason="Yosys is not installed (pip install 'hardpoint[hls]')")

# q takes x ^ y three LUTs deep in no tool's opinion: one LUT of two inputs each, then an adder of 8 bits on one chain.
SMALL = {
    "small.v": """
module small(input wire clk, input wire [7:0] x, input wire [7:0] y, output reg [7:0] sum, output wire late);
    reg [7:0] p, q;
    reg [4:0] line;
    always @(posedge clk) begin
        p <= x;
        q <= y;
        sum <= p + q;
        line <= {line[3:0], x[0] & y[0]};
    end
    assign late = line[4];
endmodule
"""
}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))


def test_cells_and_paths_of_a_module_counted_by_hand(own_cache):
    made = synthesise("small", {}, sources=SMALL)
    # 24 registers; 8 LUTs for the adder's propagate, 1 for the AND; the line of five becomes one shift register
    assert (made.cost.ff, made.cost.lut, made.cost.dsp, made.cost.bram) == (24, 10, 0, 0)
    assert made.cells["CARRY4"] == 2
    assert made.cells["SRL16E"] == 1
    assert made.levels == Levels(luts=1, chains=1)


def test_followers_of_control_are_counted_apart(own_cache):
    source = {
        "m.v": "module m(input wire clk, a, b, output reg p, q); always @(posedge clk) begin p <= a; q <= p ^ b; end endmodule"
    }
    made = synthesise("m", {}, sources=source, control=("clk", "a"))
    assert (made.cost.ff, made.shared.ff) == (2, 1)


def test_a_multiplier_may_take_a_dsp(own_cache):
    source = {"m.v": "module m(input wire [7:0] a, b, output wire [15:0] p); assign p = a * b; endmodule"}
    assert synthesise("m", {}, sources=source, dsp=True).cost.dsp == 1
    without = synthesise("m", {}, sources=source)
    assert without.cost.dsp == 0
    assert without.cost.lut > 60


def test_answers_are_kept_and_damaged_ones_made_anew(own_cache):
    first = synthesise("small", {}, sources=SMALL)
    started = time.monotonic()
    assert synthesise("small", {}, sources=SMALL) == first
    assert time.monotonic() - started < 0.5
    (kept,) = (cache_folder() / "synthesis").iterdir()
    kept.write_text("{")
    assert synthesise("small", {}, sources=SMALL) == first
    assert kept.read_text() != "{"


def test_failures_are_one_line():
    with pytest.raises(InputError, match="no source has a module 'large'"):
        synthesise("large", {}, sources=SMALL)
    with pytest.raises(InputError, match="a device family is one of xc7, xcup, not 'xc9'"):
        synthesise("small", {}, "xc9", sources=SMALL)
    with pytest.raises(YosysError, match="syntax error"):
        map_netlist("broken", {}, sources={"broken.v": "module broken(; endmodule"})
    memory = {
        "m.v": "module m(input wire c, d, input wire [9:0] a, output reg q); reg m [0:1023]; always @(posedge c) begin m[a] <= d; q <= m[a]; end endmodule"
    }
    with pytest.raises(YosysError, match="Assertion failed"):
        map_netlist("m", {}, sources=memory)


def test_yosys_that_does_not_end_is_stopped():
    started = time.monotonic()
    with pytest.raises(YosysError, match="Yosys did not finish within 1 s"):
        run(["exec -- sleep 60"], timeout_s=1)
    assert time.monotonic() - started < 20


def test_copies_survive_where_hierarchy_is_kept_and_vanish_where_it_is_not():
    parameters = {"B": 14, "LATE": 1}
    sources = verilog.sources()
    kept = copies(map_netlist("hp_pe", parameters, sources=sources), columns=10)
    assert kept == Copies(bits=30, sums=30, voters=30, expected=30)
    assert kept.survive
    merged = copies(map_netlist("hp_pe", parameters, sources=naive(sources)), columns=10)
    assert merged == Copies(bits=10, sums=10, voters=0, expected=30)
    assert not merged.survive


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("column", [0, 9, 12, 16, 20])
def test_copies_survive_in_every_guard_and_in_arrays(column, lanes):
    split = column if lanes == 3 else 24
    parameters = {"B": column, "LATE": 1, "OPERAND": lanes, "DRAIN": lanes, "ABOVE_SPLIT": split}
    assert copies(map_netlist("hp_pe", parameters), 24 - column).survive
    if column == 12:
        taken = {"R": 2, "C": 2, "B0": 12, "OPERAND": int(lanes == 3), "DRAIN": int(lanes == 3)}
        found = copies(map_netlist(verilog.TOP, taken), 12, pes=4)
        assert found.survive
