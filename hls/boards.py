"""The boards that Hardpoint knows, and whether a design fits one."""

from __future__ import annotations

from dataclasses import dataclass

from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.part import Part

__all__ = ["BOARDS", "Board", "Fit", "board", "fit"]


@dataclass(frozen=True)
class Board:
    """A board: its part, what the part holds (`bram` in blocks of 18 Kbit), and the clock it is built for by default.

    `family` is the primitives' family: xc7 (7 series) or xcup (UltraScale+). `zynq` names the processing system.
    """

    name: str
    part: Part
    family: str
    zynq: str
    lut: int
    ff: int
    dsp: int
    bram: int
    uram: int
    clock_mhz: float

    def capacity(self) -> dict[str, int]:
        """What the part holds, by resource."""
        return {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram": self.bram, "uram": self.uram}


# Zynq-7000: Xilinx DS190; Zynq UltraScale+: DS891; Kria K26: DS987. Block RAMs there are of 36 Kbit.
BOARDS = {
    one.name: one
    for one in (
        Board("pynq-z2", Part.parse("xc7z020clg400-1"), "xc7", "zynq7", 53_200, 106_400, 220, 280, 0, 100.0),
        Board(
            "ultra96-v2",
            Part.parse("xczu3eg-sbva484-1-i"),
            "xcup",
            "zynqmp",
            70_560,
            141_120,
            360,
            432,
            0,
            200.0,
        ),
        Board(
            "zcu104",
            Part.parse("xczu7ev-ffvc1156-2-e"),
            "xcup",
            "zynqmp",
            230_400,
            460_800,
            1_728,
            624,
            96,
            250.0,
        ),
        Board(
            "kv260",
            Part.parse("xck26-sfvc784-2LV-c"),
            "xcup",
            "zynqmp",
            117_120,
            234_240,
            1_248,
            288,
            64,
            250.0,
        ),
    )
}


def board(name: str) -> Board:
    """The board called `name`.

    >>> board("pynq-z2").lut
    53200
    >>> board("pynq")
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: boards are pynq-z2, ultra96-v2, zcu104, kv260, not 'pynq'
    """
    if name not in BOARDS:
        raise InputError(f"boards are {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]


@dataclass(frozen=True)
class Fit:
    """Shares of a board that a design takes, resource by resource; unknown resources are absent."""

    shares: dict[str, float]

    @property
    def binding(self) -> str:
        """The resource with the largest share."""
        return max(self.shares, key=lambda name: self.shares[name])

    @property
    def share(self) -> float:
        """The largest share."""
        return self.shares[self.binding]

    def fits(self, limit: float = 1.0) -> bool:
        """Whether no resource is taken to more than `limit`."""
        return self.share <= limit


def fit(cost: Cost, on: Board) -> Fit:
    """How much of board `on` a design of `cost` takes.

    >>> found = fit(Cost("yosys", lut=26_600, ff=5_320, dsp=0, bram=28), board("pynq-z2"))
    >>> found.binding, found.share, found.fits(0.7)
    ('lut', 0.5, True)
    """
    shares = {}
    for name, capacity in on.capacity().items():
        needed = getattr(cost, name)
        if needed is not None and (needed or capacity):
            shares[name] = needed / capacity if capacity else float("inf")
    if not shares:
        raise InputError("nothing is known of the design's resources, so nothing of whether it fits")
    return Fit(shares)
