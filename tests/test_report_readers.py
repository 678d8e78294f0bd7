"""Each trap of real reports, in a report written for the test."""

import dataclasses
from pathlib import Path

import pytest

from hardpoint.errors import InputError
from hardpoint.hls.report import (
    Below,
    CSynth,
    Mark,
    Power,
    Resources,
    Span,
    Utilisation,
    parse_report,
    read_as,
    read_report,
)
from hardpoint.part import Part

REPORTS = Path(__file__).parent / "reports"


def read(name):
    return read_report(REPORTS / name)


def text(name):
    return (REPORTS / name).read_text()


# --- C synthesis


@pytest.mark.parametrize("name", ["tilt_2018.3_csynth.rpt", "tilt_2018.3_csynth.xml"])
def test_old_tool_on_a_zynq(name):
    report = read(name)
    assert (report.version, report.top, report.family, report.flow) == ("2018.3", "tilt", "zynq", None)
    assert report.used == Resources(bram_18k=303, dsp=14, ff=1065, lut=60365, uram=None)  # DSP48E; no URAM column
    assert report.available.lut == 53200 < report.used.lut  # csynth does not fail above the device
    assert (report.clock.target_ns, report.clock.estimated_ns) == (8.0, 9.315)
    assert (report.latency.best, report.latency.worst) == (Mark.UNDEF, Mark.UNDEF)  # ? and undef
    assert report.latency.best_ns is None  # no absolute times before 2019.2
    assert [port.bits for port in report.ports] == [1, 1, 1, 16, 9]
    assert str(report.part) == "xc7z020-clg400-1"
    assert report.part.spelling == "xc7z020clg400-1"


def test_text_and_xml_of_one_run_agree():
    for text_file, xml_file in (
        ("tilt_2018.3_csynth.rpt", "tilt_2018.3_csynth.xml"),
        ("weave_2023.1_csynth.rpt", "csynth.xml"),
    ):
        a, b = read(text_file), read(xml_file)
        for name in ("version", "top", "part", "family", "flow", "clock", "used", "available", "ports"):
            assert getattr(a, name) == getattr(b, name), name
        for name in ("best", "worst", "best_ns", "worst_ns", "interval_min", "interval_max", "pipeline"):
            assert getattr(a.latency, name) == getattr(b.latency, name), name
        assert _cycles(a.loops) == _cycles(b.loops)


def _cycles(loops):
    return [(loop.trip_count, loop.latency, _cycles(loop.loops)) for loop in loops]


def test_loops_are_a_tree_with_spans():
    loops = read("tilt_2018.3_csynth.rpt").loops
    assert [loop.name for loop in loops] == ["Loop 1", "Loop 2", "Loop 3"]
    assert loops[0].trip_count is Mark.UNDEF
    assert (loops[1].trip_count, loops[1].latency, loops[1].ii) == (Span(10, 100), Span(330, 3300), Mark.NONE)
    assert [inner.name for inner in loops[1].loops] == ["Loop 2.1"]
    assert [inner.name for inner in loops[1].loops[0].loops] == ["Loop 2.1.1"]
    assert read("tilt_2018.3_csynth.xml").loops[0].depth == 2


def test_percentages_below_one_are_bounds():
    assert read("tilt_2018.3_csynth.rpt").percent == Resources(bram_18k=108, dsp=6, ff=Below(1.0), lut=113)
    assert read("weave_2023.1_csynth.rpt").percent.uram is Mark.NONE


def test_instances_join_latency_and_area():
    instances = {instance.name: instance for instance in read("tilt_2018.3_csynth.rpt").instances}
    assert list(instances) == ["grp_fold_fu7", "tilt_axi_U"]
    assert (instances["grp_fold_fu7"].latency.worst, instances["grp_fold_fu7"].used.lut) == (40, 52000)
    assert instances["tilt_axi_U"].latency is None


def test_latencies_above_two_to_the_53_stay_exact():
    for name in ("weave_2023.1_csynth.rpt", "csynth.xml"):
        report = read(name)
        assert report.latency.worst == 2**53 + 1
        assert isinstance(report.latency.worst, int)
        assert report.loops[0].latency == Span(25, 2**53)


def test_modules_of_the_whole_design():
    report = read("csynth.xml")
    assert (report.tool, report.flow) == (None, "vivado")
    assert [module.name for module in report.modules] == ["warp", "weave"]
    warp, weave = report.modules
    assert (warp.clock.estimated_ns, warp.used.dsp, warp.loops[0].latency_ns) == (6.1, 9, 70.0)
    assert (weave.latency.interval_min, weave.latency.interval_max) == (27, 2**53 + 2)
    assert report.loops[0].instances == ("grp_warp_fu_9",)
    assert read("weave_2023.1_csynth.rpt").modules is None


def test_the_overview_page():
    report = read("csynth.rpt")
    assert (report.top, report.version, str(report.part)) == ("weave", "2023.1", "xczu3eg-sbva484-1-e")
    assert [(row.name, row.depth, row.is_loop, row.is_dataflow) for row in report.rows] == [
        ("weave", 0, False, True),
        ("rows", 1, True, False),
        ("warp", 2, False, False),
        ("threads", 3, True, False),
    ]
    top, rows = report.rows[:2]
    assert (top.slack_ns, top.latency, top.used.lut, top.percent.bram_18k) == (-0.12, Mark.NONE, 2000, Below(1.0))
    assert (rows.issue, rows.latency, rows.latency_ns, rows.used.lut) == ("II", 2048, 20480.0, Mark.NONE)


def test_the_design_size_is_no_report():
    with pytest.raises(InputError, match="its outermost element is <DesignSize>, not <profile>"):
        read("csynth_design_size.xml")


def test_the_report_of_another_version_needs_no_new_reader():
    report = parse_report(text("weave_2023.1_csynth.rpt").replace("2023.1 (Build", "2025.2 (Build"))
    assert report.version == "2025.2"


# --- co-simulation


def test_cosim_with_and_without_total_time():
    weave, tilt = read("weave_cosim.rpt"), read("tilt_cosim.rpt")
    run = weave.run("Verilog")
    assert (run.status, run.latency_min, run.latency_average, run.latency_max, run.total) == ("Pass", 26, 31, 44, 161)
    assert weave.run("VHDL").status == "NA"
    assert (tilt.run("VHDL").latency_max, tilt.run("VHDL").interval_min, tilt.run("VHDL").total) == (700, Mark.NA, None)
    assert (tilt.run("Verilog").status, tilt.run("Verilog").latency_max) == ("Fail", Mark.NA)
    with pytest.raises(InputError, match="the co-simulation holds VHDL, Verilog, not 'SystemC'"):
        tilt.run("SystemC")


def test_lat_and_transactions():
    lat = read("lat.rpt")
    assert (lat.latency_min, lat.latency_average, lat.latency_max, lat.interval_max, lat.total) == (26, 31, 44, 45, 161)
    assert read("verilog.result.transaction.rpt").interval == (27, 45, Mark.UNDEF)
    assert read("vhdl.result.transaction.rpt").interval == (27, Mark.UNDEF)  # -2147483648


def test_a_lone_transaction_has_no_interval():
    lone = text("lat.rpt").replace('"45"', '"0"').replace('"27"', '"0"').replace('"32"', '"0"')
    assert parse_report(lone).interval_max is Mark.NA
    page = (
        "                             latency        interval\ntransaction       0:             965               0\n"
    )
    assert parse_report(page).interval == (Mark.UNDEF,)


# --- Vivado


def test_tiles_with_halves_and_carriage_returns():
    assert b"\r\n" in (REPORTS / "tilt_utilization_placed.rpt").read_bytes()
    report = read("tilt_utilization_placed.rpt")
    assert (report.site("Block RAM Tile").used, report.bram_18k) == (1.5, 3)
    assert (report.site("RAMB36/FIFO").used, report.site("RAMB18").used) == (1, 1)
    assert report.site("Slice LUTs").prohibited is None
    assert report.primitives == (("FDRE", 1064), ("LUT6", 650))
    assert (report.head.state, str(report.head.part)) == ("Fully Placed", "xc7z020-clg400-1")


def test_stars_prohibited_and_dies():
    report = read("weave_utilization_synth.rpt")
    luts = report.site("Slice LUTs", "CLB LUTs")
    assert (luts.name, luts.used, luts.prohibited, luts.available) == ("CLB LUTs", 850, 0, 871680)
    assert report.site("CARRY8").percent == Below(0.01)
    assert report.site("DSP48E2 only").available is Mark.NONE
    assert [(spread.name, spread.dies, spread.used) for spread in report.slrs] == [
        ("CLB", ("SLR0", "SLR1"), (0, 130)),
        ("CLB LUTs", ("SLR0", "SLR1"), (0, 850)),
    ]
    assert read("tilt_utilization_ooc.rpt").site("Slice LUTs").used == 1450  # printed as "Slice LUTs*"


def test_a_wrapper_says_that_it_is_one():
    report = read("tilt_utilization_wrapper.rpt")
    assert report.site("Slice LUTs").used == 0
    assert report.black_boxes == (("desk_tilt_0_0", 1), ("desk_ps7_0", 1))


def test_hierarchy():
    report = read("weave_utilization_hierarchical.rpt")
    assert [(row.name, row.depth, row.luts) for row in report.rows] == [
        ("weave", 0, 800),
        ("(weave)", 1, 300),
        ("warp_U", 1, 500),
    ]
    assert (report.rows[0].ramb36, report.rows[0].ramb18, report.rows[0].uram, report.rows[0].dsps) == (1, 2, 2, 9)


def test_timing_met_failed_and_unconstrained():
    met, failed = read("weave_timing_summary.rpt"), read("tilt_timing_failed.rpt")
    assert (met.met, met.setup.worst_ns, met.setup.endpoints, met.head.state) == (True, 1.25, 3100, "Routed")
    assert (failed.met, failed.setup.worst_ns, failed.setup.failing, failed.head.state) == (False, -0.44, 31, None)
    assert [(clock.name, clock.depth, clock.period_ns) for clock in failed.clocks] == [
        ("clk_in", 0, 10.0),
        ("clk_fast", 1, 4.0),
    ]
    nothing = read("tilt_timing_unconstrained.rpt")
    assert dataclasses.astuple(nothing.setup) == (Mark.NA,) * 4
    free = text("weave_timing_summary.rpt").replace(
        "All user specified timing constraints are met.", "There are no user specified timing constraints."
    )
    assert parse_report(free).met is None


def test_power_cells_below_a_milliwatt():
    report = read("tilt_power_routed.rpt")
    assert (report.total_w, report.dynamic_w, report.static_w, report.junction_c) == (1.502, 1.37, 0.132, 42.3)
    watts = {part.name: part.watts for part in report.components}
    assert (watts["CARRY4"], watts["Others"]) == (Below(0.001), 0.0)
    assert [(part.name, part.depth) for part in report.instances] == [("desk_wrapper", 0), ("desk_i", 1), ("tilt_0", 2)]
    assert (report.budget, report.confidence, report.overheated) == ("Unspecified*", "Low", False)


def test_power_of_a_part_too_hot():
    report = read("weave_power_hot.rpt")
    assert (report.total_w, report.junction_c, report.overheated) == (17.25, 125.0, True)


def test_four_spellings_of_one_part():
    spellings = ("xc7z020-clg400-1", "xc7z020clg400-1", "7z020clg400-1", "7z020-clg400")
    parts = [Part.parse(spelling) for spelling in spellings]
    assert len({str(part) for part in parts[:3]}) == 1
    assert all(part.agrees(parts[0]) for part in parts)
    assert not Part.parse("xc7z020clg484-1").agrees(parts[0])
    assert not Part.parse("7z020clg400-2").agrees(parts[0])


@pytest.mark.parametrize(
    ("joined", "hyphened"),
    [
        ("xcvu19pfsvb3824-1", "xcvu19p-fsvb3824-1"),
        ("xcu250figd2104-2L", "xcu250-figd2104-2L"),
        ("xcu55cfsvh2892-2L-e", "xcu55c-fsvh2892-2L-e"),
        ("xcu50fsvh2104-2-e", "xcu50-fsvh2104-2-e"),
        ("7a200tfbg676-2", "xc7a200t-fbg676-2"),
        ("7s100fgga676-2", "xc7s100-fgga676-2"),
        ("xck26sfvc784-2LV-c", "xck26-sfvc784-2LV-c"),
        ("xczu49drffvf1760-2-e", "xczu49dr-ffvf1760-2-e"),
        ("7k325tffg900-2", "xc7k325t-ffg900-2"),
        ("xcku040ffva1156-2-e", "xcku040-ffva1156-2-e"),
    ],
)
def test_device_and_package_run_together(joined, hyphened):
    assert str(Part.parse(joined)) == hyphened
    assert Part.parse(joined) == Part.parse(hyphened)


# --- errors


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("tilt_2018.3_csynth.rpt", "60365", "many", "a cell of a report holds a number or undef, not 'many'"),
        ("tilt_2018.3_csynth.rpt", "60365", "-6036", "a count is a whole number from 0, not -6036"),
        ("tilt_2018.3_csynth.rpt", "|Total            |      303", "|Total            ", "cells, not 5"),
        ("tilt_2018.3_csynth.rpt", "10 ~ 100", "100 ~ 10", "a range rises, not 100 ~ 10"),
        ("tilt_2018.3_csynth.rpt", "7z020clg400-1", "board", "a part is named like xc7z020-clg400-1, not 'xcboard'"),
        ("tilt_2018.3_csynth.rpt", "DSP48E", "MULTS", "a table has no column 'DSP48E'; it has Name, BRAM_18K, MULTS"),
        ("csynth.xml", "<DSP>9</DSP>", "<DSP>?!</DSP>", "a cell of a report holds a number or undef, not '?!'"),
        ("csynth.xml", "<unit>ns</unit>", "<unit>MHz</unit>", "clock periods are in ns, not 'MHz'"),
        ("csynth.xml", "TargetClockPeriod", "ClockPeriod", "has no TargetClockPeriod"),
        ("lat.rpt", '"44"', '"' + "4" * 40 + '"', "a count has at most 20 digits, not 40"),
        ("lat.rpt", "MIN_LATENCY", "LEAST_LATENCY", "lat.rpt has no $MIN_LATENCY"),
        ("weave_timing_summary.rpt", "3.500", "", "the design timing summary has 12 numbers, not 11"),
        (
            "weave_utilization_synth.rpt",
            "7. SLR Connectivity\n---",
            "7. S\n",
            "ends before its section 'SLR Connectivity'",
        ),
        (
            "tilt_power_routed.rpt",
            "1.502       ",
            "unknown     ",
            "a cell of a report holds a number or undef, not 'unknown'",
        ),
    ],
)
def test_what_is_wrong_is_named(name, old, new, message):
    page = text(name)
    assert old in page
    with pytest.raises(InputError) as error:
        parse_report(page.replace(old, new))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_another_kind_is_named():
    assert isinstance(read_as(CSynth, REPORTS / "csynth.xml"), CSynth)
    with pytest.raises(InputError, match=r"tilt_power_routed\.rpt is a report of kind Power, not Utilisation"):
        read_as(Utilisation, REPORTS / "tilt_power_routed.rpt")
    assert isinstance(read_as(Power, REPORTS / "tilt_power_routed.rpt"), Power)


def test_entities_are_refused_before_they_grow():
    bomb = (
        "<!DOCTYPE p [<!ENTITY a '" + "x" * 1000 + "'>" + "".join(f"<!ENTITY {c} '{'&a;' * 50}'>" for c in "bcd") + "]>"
    )
    with pytest.raises(InputError, match="a report in XML holds no document type or entities"):
        parse_report(bomb + text("csynth.xml"))


def test_other_encodings(tmp_path):
    page = text("tilt_power_routed.rpt")
    path = tmp_path / "power.rpt"
    path.write_bytes(page.encode("utf-16"))
    with pytest.raises(InputError, match="it holds NUL bytes, so it is binary or not UTF-8"):
        read_report(path)
    path.write_bytes(page.replace("running", "läuft").encode("latin-1"))
    assert read_report(path) == read("tilt_power_routed.rpt")
    path.write_bytes(page.encode("utf-8-sig"))
    assert read_report(path) == read("tilt_power_routed.rpt")
