"""Hand-offs and driver headers: written for the test, and real ones where they are."""

from pathlib import Path

import pytest

from hardpoint.errors import InputError
from hardpoint.host.check_handoffs import check
from hardpoint.host.check_handoffs import main as check_main
from hardpoint.host.handoff import Handoff, RegisterHeader, parse_handoff, parse_header, read_handoff, read_header

REPORTS = Path(__file__).parent / "reports"
REAL = Path(__file__).parents[1].parent / "shared/real"


@pytest.fixture(scope="module")
def desk() -> Handoff:
    return read_handoff(REPORTS / "desk.hwh")


@pytest.fixture(scope="module")
def header() -> RegisterHeader:
    return read_header(REPORTS / "xweave_hw.h")


def test_design_and_part(desk):
    assert (desk.name, desk.architecture, desk.vivado, str(desk.part)) == ("desk", "zynq", "2018.3", "xc7z020-clg400-1")
    assert [ip.path for ip in desk.ips if ip.is_hls] == ["/core/weave_0", "/free_0", "/pipe_0"]


def test_offsets_in_decimal_and_hexadecimal_are_numbers(desk):
    control = desk.ip("core_weave_0").control()
    offsets = {register.name: register.offset for register in control.registers}
    assert offsets == {"CTRL": 0, "GIER": 4, "IP_IER": 8, "IP_ISR": 12, "weights_1": 16, "weights_2": 20}


def test_each_interface_has_its_own_address(desk):
    weave = desk.ip("/core/weave_0")
    assert desk.address(weave, "s_axi_control").base == 0x43C00000
    assert desk.address(weave, weave.control().interface).base == 0x43C10000
    assert desk.address(desk.ip("/ps7_0")) is None  # memory is no register


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/free_0", "/free_0 has AXI-Lite registers but no AP_CTRL: it runs without being started"),
        ("/pipe_0", "/pipe_0 has no AXI-Lite interface: nothing can start it or read its registers"),
    ],
)
def test_an_ip_that_cannot_be_started_is_named(desk, name, message):
    with pytest.raises(InputError) as error:
        desk.ip(name).control()
    assert str(error.value) == message


def test_an_unknown_ip_is_named_with_what_there_is(desk):
    with pytest.raises(InputError, match=r"no IP 'weft'; it has /core/weave_0, /free_0, /pipe_0, /ps7_0"):
        desk.ip("weft")


def test_bundles_of_a_header(header):
    assert (header.tool, header.version) == ("Vitis HLS", "2023.1")
    assert [(bundle.name, bundle.has_ap_ctrl) for bundle in header.bundles] == [("control", False), ("control_r", True)]
    assert header.has_ap_ctrl
    registers = {register.name: (register.offset, register.bits) for register in header.bundles[0].registers}
    assert registers == {"SCALE_DATA": (0x10, 32), "TABLE_BASE": (0x40, None), "TABLE_HIGH": (0x5F, None)}


def test_a_64_bit_pointer_takes_two_words(header):
    weights = header.bundle("CONTROL_R").registers[-1]
    assert (weights.name, weights.words) == ("WEIGHTS_DATA", (0x10, 0x14))


def test_header_and_hand_off_agree(desk, header):
    block = desk.ip("/core/weave_0").control()
    assert {register.offset for register in block.registers} == header.bundle("control_r").words


def test_overlapping_registers_are_refused():
    text = (REPORTS / "xweave_hw.h").read_text().replace("CONTROL_R_ADDR_GIE          0x04", "CONTROL_R_ADDR_GIE 0x14")
    with pytest.raises(InputError, match=r"WEIGHTS_DATA and GIE of control_r share the word at 0x14"):
        parse_header(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('VALUE="0x04"', 'VALUE="four"', "ADDRESS_OFFSET of GIER must be a number in decimal or after 0x, not 'four'"),
        ('HIGHVALUE="0x43C0FFFF"', 'HIGHVALUE="0x0"', "an address range rises, not 0x43C00000 to 0x0"),
        ('DEVICE="7z020"', 'DEVICE=""', "a part is named like xc7z020-clg400-1, not '-clg400-1'"),
        ('FULLNAME="/free_0"', "", "a MODULE of the hand-off has no FULLNAME"),
        ("EDKSYSTEM", "SYSTEM", "this is no hand-off: it lacks EDKSYSTEM, SYSTEMINFO or MODULES"),
    ],
)
def test_a_broken_hand_off_is_named(old, new, message):
    text = (REPORTS / "desk.hwh").read_text()
    assert old in text
    with pytest.raises(InputError) as error:
        parse_handoff(text.replace(old, new))
    assert message in str(error.value)


def test_a_file_is_named_in_the_error(tmp_path):
    path = tmp_path / "a.hwh"
    path.write_text("<EDKSYSTEM>")
    with pytest.raises(InputError, match=r"a\.hwh: this is no hand-off in XML"):
        read_handoff(path)
    with pytest.raises(InputError, match=r"cannot read driver header .*none_hw\.h: No such file"):
        read_header(tmp_path / "none_hw.h")


@pytest.mark.skipif(not (REAL / "hwh/index.json").exists(), reason="needs ../shared/real, which is not published")
def test_every_real_hand_off_and_header_reads_to_its_expected_values():
    outcomes = {outcome.folder.name: outcome for outcome in check(REAL)}
    assert [line for outcome in outcomes.values() for line in list(outcome.lines())[1:]] == []
    assert {name: (len(outcome.files), outcome.expected) for name, outcome in outcomes.items()} == {
        "hw_headers": (13, 369),
        "hwh": (9, 1453),
    }


@pytest.mark.skipif(not (REAL / "hwh/index.json").exists(), reason="needs ../shared/real, which is not published")
def test_real_headers_agree_with_their_hand_offs():
    import json

    items = json.loads((REAL / "hw_headers/index.json").read_text())["items"]
    pairs = [
        (item["file"], item["same_register_offsets_as_hwh"]) for item in items if "same_register_offsets_as_hwh" in item
    ]
    assert len(pairs) == 4
    for header_file, handoff_file in pairs:
        (bundle,) = read_header(REAL / "hw_headers" / header_file).bundles
        (ip,) = (ip for ip in read_handoff(REAL / handoff_file).ips if ip.is_hls)
        assert {register.offset for register in ip.registers} == bundle.words, header_file


def test_the_check_program_shows_a_difference(tmp_path, capsys):
    (tmp_path / "desk.hwh").write_bytes((REPORTS / "desk.hwh").read_bytes())
    index = '{"items": [{"file": "desk.hwh", "expected": {"n_modules": 5, "vivado_version": "2018.3"}}]}'
    (tmp_path / "index.json").write_text(index)
    assert check_main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith(": 1 of 1 files read, 1 of 2 values equal")
    assert printed[1] == "  desk.hwh: n_modules is 4, expected 5"
