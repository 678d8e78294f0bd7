"""The accelerator's control registers, said once: hardware pragmas, driver and documentation come from this table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONTROL", "DONE", "IDLE", "REGISTERS", "START", "Register", "offsets"]

START, DONE, IDLE = 1, 2, 4
"""Bits of the control register: start (clears itself), done (cleared by reading), idle."""

CONTROL = 0x00
"""Offset of the control register that every HLS block with an s_axilite return has."""

FIRST = 0x10


@dataclass(frozen=True)
class Register:
    """One argument of the top function in the AXI-Lite register file.

    `kind` is `pointer` (64-bit address, written by the host), `in` (32 bits, written by the host) or `out` (32 bits,
    written by the hardware). `port` names the AXI master of a pointer.
    """

    name: str
    kind: str
    meaning: str
    port: str = ""

    @property
    def size(self) -> int:
        """Bytes in the register file: a scalar takes 8 with its reserved or control word, a 64-bit pointer 12.

        >>> Register("images", "in", "").size, Register("program", "pointer", "").size
        (8, 12)
        """
        return 12 if self.kind == "pointer" else 8

    @property
    def access(self) -> str:
        """What the host may do: read and write, or read."""
        return "R" if self.kind == "out" else "RW"


REGISTERS = (
    Register("program", "pointer", "layer descriptors: header, then one block of words per layer", "tables"),
    Register(
        "weights", "pointer", "channel parameters and weights of all layers, in the order of their use", "weights"
    ),
    Register("source", "pointer", "input images, each from a 64-bit word on", "reads"),
    Register("result", "pointer", "output codes, each image from a 64-bit word on", "writes"),
    Register("scratch_in", "pointer", "activations between layers, as read", "reads"),
    Register(
        "scratch_out", "pointer", "activations between layers, as written: the same address as scratch_in", "writes"
    ),
    Register("strikes", "pointer", "strikes to play, by image and layer; unused unless mode says so", "tables"),
    Register("records", "pointer", "one record per image: tag, status, cycles, disagreeing votes per column", "tables"),
    Register("images", "in", "images in this batch"),
    Register("first", "in", "tag of the batch's first image"),
    Register("mode", "in", "bit 0: check the weights' CRC before the first image; bit 1: play strikes"),
    Register("status", "out", "bits over the whole batch, 0: all is well; see the status table"),
    Register("done_images", "out", "images of this batch whose record has been written"),
    Register("design", "out", "first 32 bits of the digest of the array that was built"),
)


def offsets(registers: tuple[Register, ...] = REGISTERS) -> dict[str, int]:
    """Byte offset of every register by HLS's rules: from 0x10 on, in the order of the arguments.

    >>> offsets()["program"], offsets()["weights"], hex(offsets()["images"])
    (16, 28, '0x70')
    """
    table, at = {}, FIRST
    for register in registers:
        table[register.name] = at
        at += register.size
    return table
