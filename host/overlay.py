"""A built bitstream on the board: what differs from its manifest is refused before anything is touched."""

from __future__ import annotations

import os
from pathlib import Path

from hardpoint.bitstream import Bitstream
from hardpoint.errors import InputError
from hardpoint.host.handoff import AddressBlock, read_handoff
from hardpoint.host.zynq import ZynqDevice

__all__ = ["BLOCK", "check", "open_board", "pointer_offsets"]

BLOCK = "hardpoint_top_0"
"""Name of the accelerator in the emitted block design."""


def pointer_offsets(block: AddressBlock) -> dict[str, int]:
    """Byte offset by argument of an HLS block's registers: a hand-off lists a 64-bit pointer p as p_1 and p_2."""
    found = {register.name: register.offset for register in block.registers}
    pairs = {
        name[:-2] for name, offset in found.items() if name.endswith("_1") and found.get(f"{name[:-2]}_2") == offset + 4
    }
    whole = {name: offset for name, offset in found.items() if name[-2:] not in ("_1", "_2") or name[:-2] not in pairs}
    return {**whole, **{name: found[f"{name}_1"] for name in pairs}}


def check(manifest: str | os.PathLike[str]) -> tuple[Bitstream, Path]:
    """The manifest and its `.bit`, if both it and its `.hwh` are those that were built, for this part and these registers."""
    made, folder = Bitstream.load(manifest), Path(manifest).parent
    bits = [name for name in made.files if name.endswith(".bit")]
    handoffs = [name for name in made.files if name.endswith(".hwh")]
    if len(bits) != 1 or handoffs != [bits[0][:-4] + ".hwh"]:
        raise InputError(
            f"{manifest}: a built bitstream has one .bit and one .hwh of its name, not {', '.join(made.files) or 'no files'}"
        )
    made.check_files(folder)
    handoff = read_handoff(folder / handoffs[0])
    if not handoff.part.agrees(made.part):
        raise InputError(f"{folder / handoffs[0]} is for part {handoff.part}, its manifest for {made.part}")
    made.check_registers(pointer_offsets(handoff.ip(BLOCK).control()))
    return made, folder / bits[0]


def open_board(manifest: str | os.PathLike[str]) -> tuple[ZynqDevice, Bitstream]:
    """The board that this runs on, loaded with the bitstream of `manifest` and clocked at most as it was built for."""
    made, bit = check(manifest)
    return ZynqDevice(bit, BLOCK, made.clock_mhz), made
