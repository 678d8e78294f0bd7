"""Costs from reports, their units and sources, and the calibration of csynth by Vivado."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.hls.calibration import Pair, calibrated, find_pairs, fit
from hardpoint.hls.report import read_report, to_cost

REPORTS = Path(__file__).parent / "reports"


def read(name):
    return read_report(REPORTS / name)


def test_csynth():
    cost = to_cost(read("csynth.xml"))
    assert cost == Cost("csynth", lut=2000, ff=1500, dsp=9, bram=3, uram=2, cycles=2**53 + 1, period_ns=10.0)
    slow = to_cost(read("tilt_2018.3_csynth.rpt"))
    assert (slow.cycles, slow.period_ns, slow.uram) == (None, 9.315, None)  # undef is not zero; estimate over target


def test_vivado_counts_18_kbit_blocks_and_power():
    cost = to_cost(read("tilt_utilization_placed.rpt"), read("tilt_power_routed.rpt"))
    assert cost == Cost("vivado", lut=1300, ff=1064, dsp=9, bram=3, uram=None, power_w=1.502)
    hierarchical = to_cost(read("weave_utilization_hierarchical.rpt"), read("weave_timing_summary.rpt"))
    assert hierarchical == Cost("vivado", lut=800, ff=1480, dsp=9, bram=4, uram=2, period_ns=8.75)


def test_where_no_tool_gave_power_it_is_none():
    assert to_cost(read("tilt_utilization_placed.rpt")).power_w is None
    assert to_cost(read("csynth.xml")).power_w is None


def test_unconstrained_timing_gives_no_period():
    assert to_cost(read("tilt_timing_unconstrained.rpt")).period_ns is None
    assert to_cost(read("tilt_timing_failed.rpt")).period_ns is None  # two clocks


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("tilt_utilization_wrapper.rpt",), "synthesised without desk_tilt_0_0, desk_ps7_0: take the placed report"),
        (("csynth.xml", "weave_power_hot.rpt"), "a csynth estimate does not mix with Vivado's reports"),
        (("weave_power_hot.rpt", "csynth.xml"), "a csynth estimate does not mix with Vivado's reports"),
        (("tilt_power_routed.rpt", "weave_timing_summary.rpt"), "different designs make no cost: desk_wrapper, weave"),
        (("tilt_power_routed.rpt", "weave_power_hot.rpt"), "reports of different kinds"),
        ((), "reports of different kinds"),
        (("tilt_cosim.rpt",), "a report of kind Cosim states no cost"),
    ],
)
def test_what_makes_no_cost(names, message):
    with pytest.raises(InputError) as error:
        to_cost(*(read(name) for name in names))
    assert message in str(error.value)


def pair(name, factor, counted=1000.0):
    return Pair(name, Cost("csynth", lut=factor * counted, dsp=4), Cost("vivado", lut=counted, dsp=4), "Routed")


def test_a_fit_is_the_median_with_its_range_and_errors():
    calibration = fit([pair("a", 2.0), pair("b", 8.0), pair("c", 2.5), pair("d", 1.6), pair("e", 3.2)])
    assert (calibration.factor, calibration.low, calibration.high) == pytest.approx((2.5, 1.6, 8.0))
    assert calibration.coverage == pytest.approx(4 / 6)
    errors = dict(calibration.errors)
    assert errors["b"] == pytest.approx(8.0 / (2.0 * 2.5) ** 0.5 - 1)  # from 1.6, 2.0, 2.5, 3.2
    assert calibration.largest_error == pytest.approx(errors["b"])


@given(st.floats(1.1, 9.0), st.lists(st.floats(1.0, 1e6), min_size=3, max_size=9))
def test_a_constant_factor_is_found_exactly(factor, counts):
    calibration = fit([pair(str(i), factor, counted) for i, counted in enumerate(counts)])
    assert calibration.factor == pytest.approx(factor)
    assert calibration.largest_error < 1e-9
    assert calibrated(Cost("csynth", lut=factor * 500), {"lut": calibration}).lut == pytest.approx(500)


def test_a_corrected_cost_says_so_and_knows_no_more():
    pairs = [pair("a", 2.0), pair("b", 3.0), pair("c", 2.5)]
    cost = calibrated(Cost("csynth", lut=1000, ff=300, dsp=8, cycles=77, period_ns=10.0), {"lut": fit(pairs)})
    assert cost == Cost("calibrated", lut=400, cycles=77)
    both = calibrated(Cost("csynth", lut=1000, dsp=8), {"lut": fit(pairs), "dsp": fit(pairs, "dsp")})
    assert both == Cost("calibrated", lut=400, dsp=8)


def test_what_makes_no_calibration():
    with pytest.raises(InputError, match="takes at least 3 designs with both reports, not 2"):
        fit([pair("a", 2.0), pair("b", 3.0)])
    with pytest.raises(InputError, match="a calibration is of lut, ff, dsp, bram, not 'power'"):
        fit([], "power")
    with pytest.raises(InputError, match="corrects a cost from csynth, not from yosys"):
        calibrated(Cost("yosys", lut=1), {})
    with pytest.raises(InputError, match="a calibration of lut does not correct ff"):
        calibrated(Cost("csynth", ff=1), {"ff": fit([pair("a", 2.0), pair("b", 3.0), pair("c", 2.5)])})


def test_pairs_are_found_by_folder_and_design(tmp_path):
    estimates, counts = tmp_path / "hls/shop", tmp_path / "vivado/shop"
    for folder, names in (
        (estimates, ("tilt_2018.3_csynth.rpt", "csynth.xml")),
        (counts, ("tilt_utilization_wrapper.rpt", "tilt_utilization_ooc.rpt", "weave_utilization_hierarchical.rpt")),
    ):
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy(REPORTS / name, folder / name)
    (counts / "notes.rpt").write_text("no report")
    found = {pair.name: pair for pair in find_pairs(tmp_path)}
    assert set(found) == {"shop/tilt", "shop/weave"}  # the wrapper with black boxes counts for nothing
    assert (found["shop/tilt"].estimate.lut, found["shop/tilt"].count.lut) == (60365, 1450)
    assert (found["shop/weave"].factor("lut"), found["shop/weave"].state) == (2.5, "Routed")
    shutil.move(counts, tmp_path / "vivado/elsewhere")
    assert find_pairs(tmp_path) == ()
