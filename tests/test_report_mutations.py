"""Broken reports are refused in one line or read rightly, within bounds of time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hardpoint.errors import InputError
from hardpoint.hls.report import parse_report, read_report

TESTS = Path(__file__).parent
REPORTS = TESTS / "reports"


def mutants(count: int, seed: int) -> dict:
    """What `mutate_reports.py` says of `count` mutants in a process of its own, whose memory it measures."""
    command = [sys.executable, str(TESTS / "mutate_reports.py"), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=True)
    return json.loads(done.stdout)


def check(count: int, seed: int) -> None:
    result = mutants(count, seed)
    assert result["wrong"] == []
    assert result["refused"] + result["read"] == count
    assert result["read"] > count / 10  # the mutants are not all of a kind
    assert result["refused"] > count / 10
    assert result["peak_mb"] < 200


def test_a_thousand_mutants():
    check(1_000, seed=11)


@pytest.mark.slow
def test_twenty_thousand_mutants():
    check(20_000, seed=12)


FLOODS = {
    "tags": lambda: "<a>" * 5_000_000,
    "few tags, deep": lambda: "<a>" * 240_000 + "</a>" * 5,
    "attributes": lambda: "<profile " + " ".join(f'a{i}=""' for i in range(1_500_000)) + "/>",
    "attributes within bounds": lambda: "<profile " + " ".join(f'a{i}=""' for i in range(199_000)) + "/>",
    "newlines": lambda: "\n" * 16_000_000,
    "bars": lambda: (REPORTS / "tilt_2018.3_csynth.rpt").read_text().replace("|ap_clk  |", "|" * 8_000_000),
    "rules": lambda: (REPORTS / "tilt_2018.3_csynth.rpt").read_text().replace("+--------+", "+-" * 4_000_000 + "+"),
    "spaces in a head": lambda: (REPORTS / "tilt_power_routed.rpt").read_text().replace("Device  ", "Device  " + " " * 9_000_000),
    "less-than signs": lambda: (REPORTS / "lat.rpt").read_text().replace("44", "<" * 2_000_000 + "1"),
    "tildes": lambda: (REPORTS / "lat.rpt").read_text().replace("44", "1 ~ " * 2_000_000 + "1"),
    "digits": lambda: (REPORTS / "lat.rpt").read_text().replace("44", "4" * 9_000_000),
    "loops in loops": lambda: (REPORTS / "csynth.xml").read_text().replace(
        "<rows>", "".join(f"<r{i}><Slack>1</Slack>" for i in range(2_000)) + "<rows>", 1
    ).replace("</rows>", "</rows>" + "".join(f"</r{i}>" for i in reversed(range(2_000))), 1),
    "too many bytes": lambda: " " * 17_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_refused(name, tmp_path):
    path = tmp_path / "flood.rpt"
    path.write_text(FLOODS[name]())
    with pytest.raises(InputError) as error:
        read_report(path)
    assert len(str(error.value)) < 600


def test_floods_stay_below_200_megabytes(tmp_path):
    paths = []
    for i, make in enumerate(FLOODS.values()):
        paths.append(tmp_path / f"{i}.rpt")
        paths[-1].write_text(make())
    program = (
        "import sys\n"
        "from hardpoint.errors import InputError\n"
        "from hardpoint.hls.report import read_report\n"
        "from mutate_reports import peak_megabytes\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        read_report(path)\n"
        "    except InputError:\n"
        "        pass\n"
        "    print(peak_megabytes())\n"
    )
    command = [sys.executable, "-c", program, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=TESTS)
    peaks = dict(zip(FLOODS, map(int, done.stdout.splitlines()), strict=True))
    assert max(peaks.values()) < 200, peaks


def test_a_report_of_a_megabyte_is_read_whole(tmp_path):
    page = (REPORTS / "csynth.xml").read_text()
    first, last = page.index("        <Module>\n"), page.index("    </ModuleInformation>")
    one = page[first:last]
    path = tmp_path / "csynth.xml"
    path.write_text(page[:first] + one * (1_100_000 // len(one)) + page[last:])
    assert path.stat().st_size > 1_000_000
    report = read_report(path)
    assert len(report.modules) > 500


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.rpt")), ids=lambda path: path.name)
def test_no_cut_of_a_report_reads_as_another_design(path):
    """Cut at the end of any line, a text report is refused or says exactly what the whole one says."""
    text = path.read_bytes().decode().replace("\r\n", "\n")
    whole = parse_report(text)
    if path.name.endswith((".transaction.rpt", "lat.rpt")):
        pytest.skip("a list that ends early is a shorter list")
    lines = text.split("\n")
    for end in range(len(lines)):
        try:
            cut = parse_report("\n".join(lines[:end]))
        except InputError:
            continue
        assert cut == whole, f"cut after line {end}"
