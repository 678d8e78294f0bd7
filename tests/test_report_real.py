"""Every report that tools really wrote, read to the values that an independent reader noted."""

from pathlib import Path

import pytest

from hardpoint.hls.calibration import find_pairs, fit
from hardpoint.hls.check_reports import check, main
from hardpoint.hls.report import CSynth, Timing, read_report
from hardpoint.part import Part

REPORTS = Path(__file__).parent / "reports"
REAL = Path(__file__).parents[1].parent / "shared/real"
real = pytest.mark.skipif(not (REAL / "hls_reports/index.json").exists(), reason="needs ../shared/real, not published")


@pytest.fixture(scope="module")
def outcomes():
    return {outcome.folder.name: outcome for outcome in check(REAL)}


@real
def test_every_value_of_every_file(outcomes):
    differences = [line for outcome in outcomes.values() for line in list(outcome.lines())[1:]]
    assert differences == []
    read = {name: (len(outcome.files), outcome.unread, outcome.expected) for name, outcome in outcomes.items()}
    assert read == {"hls_reports": (104, 0, 4085), "vivado_reports": (29, 0, 1357)}


@real
def test_where_the_index_is_silent_the_reader_says_only_what_is_known(outcomes):
    """The index has null for spans, for empty lists and for the top of an overview page; nothing else is read there."""
    remarks = [line for outcome in outcomes.values() for line in outcome.remarks()]
    known = ("dataflow_throughput is '", "top is '", "InstanceList is ''")
    assert [line for line in remarks if not any(text in line for text in known)] == []
    assert len(remarks) == 20


@real
def test_text_and_xml_of_the_same_run_agree():
    """Beyond the index: every pair of reports of one top in one folder, number by number."""
    pairs = 0
    for folder in (REAL / "hls_reports").iterdir():
        reports = [read_report(path) for path in sorted(folder.glob("*csynth.*"))] if folder.is_dir() else []
        for a in (report for report in reports if isinstance(report, CSynth) and report.tool):
            for b in (report for report in reports if isinstance(report, CSynth) and not report.tool):
                if a.top == b.top:
                    pairs += 1
                    assert (a.used, a.available, a.clock, a.part) == (b.used, b.available, b.clock, b.part)
                    assert (a.latency.best, a.latency.worst) == (b.latency.best, b.latency.worst)
                    assert (a.latency.best_ns, a.latency.worst_ns) == (b.latency.best_ns, b.latency.worst_ns)
                    assert len(a.ports) == len(b.ports)
                    assert [loop.latency for loop in a.loops] == [loop.latency for loop in b.loops]
    assert pairs >= 30


@real
def test_one_part_in_all_its_spellings():
    spellings = {
        report.head.part.spelling if hasattr(report, "head") else report.part.spelling
        for path in REAL.glob("*_reports/*/*.rpt")
        if hasattr(report := read_report(path), "head") or hasattr(report, "part")
    }
    zynq = {text for text in spellings if "7z020" in text and "clg400" in text and not text.endswith("-2")}
    assert {str(Part.parse(text)) for text in zynq} == {"xc7z020-clg400-1", "xc7z020-clg400"}
    assert len(zynq) == 4


@real
def test_unconstrained_timing_is_no_zero():
    timings = [
        report for path in REAL.glob("vivado_reports/*/*tim*") if isinstance(report := read_report(path), Timing)
    ]
    assert len(timings) == 6
    assert sum(not isinstance(timing.setup.worst_ns, float) for timing in timings) == 1


@real
def test_calibration_on_real_designs():
    """csynth estimates 1.7 to 8.4 times the LUTs that Vivado finds; DSPs nearly exactly."""
    pairs = find_pairs(REAL)
    lut, dsp = fit(pairs), fit(pairs, "dsp")
    assert len(pairs) == 7
    assert (round(lut.low, 1), round(lut.high, 1)) == (1.7, 8.4)
    assert 1.9 < lut.factor < 2.6
    assert lut.largest_error > 3  # one design in seven is wide of the mark: the range, not the factor, is the message
    assert dsp.typical_error < 0.05


def test_the_check_program_on_a_folder_of_ours(tmp_path, capsys):
    (tmp_path / "power.rpt").write_bytes((REPORTS / "tilt_power_routed.rpt").read_bytes())
    entry = '{"file": "power.rpt", "kind": "power", "expected": {"total_w": %s, "components": {"CARRY4": 0.001}}}'
    other = '{"file": "a.bit", "kind": "bitstream"}'
    (tmp_path / "index.json").write_text('{"items": [' + entry % "1.502" + "," + other + "]}")
    assert main([str(tmp_path)]) == 0
    assert "1 of 1 files read, 2 of 2 values equal; 1 files of other kinds left" in capsys.readouterr().out
    (tmp_path / "index.json").write_text('{"items": [' + entry % "1.503" + "]}")
    assert main([str(tmp_path)]) == 1
    assert "  power.rpt: total_w is 1.502, expected 1.503" in capsys.readouterr().out
    (tmp_path / "index.json").write_text(
        '{"items": [' + (entry % "1.502").replace('"power"', '"timing_summary"') + "]}"
    )
    assert main([str(tmp_path)]) == 1
    assert "read as Power, but the index says timing_summary" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err
