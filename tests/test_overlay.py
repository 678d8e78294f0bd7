"""A bitstream is refused before anything is touched if it is not what its manifest says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import design
import pytest
from contract import ARRAY

from hardpoint.bitstream import Bitstream, sha256
from hardpoint.errors import InputError
from hardpoint.host.handoff import parse_handoff
from hardpoint.host.overlay import check, pointer_offsets
from hardpoint.part import Part
from hardpoint.registers import REGISTERS, Register, offsets


def built(folder: Path, hardware: tuple[Register, ...] = REGISTERS, **changes: object) -> Path:
    """A manifest and its files."""
    design.write(folder, hardware)
    files = {name: sha256(folder / name) for name in ("overlay.bit", "overlay.hwh")}
    made = Bitstream("overlay", ARRAY, Part.parse("xc7z020clg400-1"), 100.0, sources="0123456789abcdef", files=files)
    dataclasses.replace(made, **changes).save(folder / "overlay.json")
    return folder / "overlay.json"


def test_accepts_what_was_built(tmp_path: Path) -> None:
    made, bit = check(built(tmp_path))
    assert made.array == ARRAY
    assert bit == tmp_path / "overlay.bit"


def test_registers_of_a_hand_off_have_the_names_of_arguments() -> None:
    block = parse_handoff(design.handoff()).ip(design.BLOCK).control()
    found = pointer_offsets(block)
    assert {name: found[name] for name in offsets()} == offsets()
    assert set(found) - set(offsets()) == {"CTRL", "GIER", "IP_IER", "IP_ISR"}


@pytest.mark.parametrize("name", ["overlay.bit", "overlay.hwh"])
def test_refuses_a_changed_file(tmp_path: Path, name: str) -> None:
    manifest = built(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b" ")
    with pytest.raises(InputError, match=rf"{name} is not what was built: its SHA-256 is"):
        check(manifest)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"cannot read .*{name}"):
        check(manifest)


def test_refuses_another_part(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"overlay\.hwh is for part xc7z020-clg400-1, its manifest for xc7z010-clg400-1"
    ):
        check(built(tmp_path, part=Part.parse("xc7z010clg400-1")))


def test_refuses_registers_that_the_tool_moved(tmp_path: Path) -> None:
    moved = (REGISTERS[0], Register("extra", "in", "an argument that the driver does not know"), *REGISTERS[1:])
    with pytest.raises(InputError, match="register weights lies at 0x24, not at 0x1c"):
        check(built(tmp_path, moved))
    with pytest.raises(InputError, match="the hardware has no register design"):
        check(built(tmp_path, REGISTERS[:-1]))


def test_refuses_a_build_of_another_driver(tmp_path: Path) -> None:
    older = REGISTERS[:8]
    with pytest.raises(InputError, match="its registers are not those that this driver knows"):
        check(built(tmp_path, older, registers=offsets(older)))


def test_refuses_what_was_never_built(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a built bitstream has one \.bit and one \.hwh of its name, not no files"):
        check(built(tmp_path, files={}))
