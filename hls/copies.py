"""Whether redundancy survived synthesis: tools merge what is equal, and three equal copies are one."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from hardpoint.hls.netlist import Bit, Cell, Netlist

__all__ = ["Copies", "copies"]

_ALL_COPIES = re.compile(r"(.*?)high\.(hi|copies\[[012]\]\.copy\.(all|voter\.lanes))")
"""Names of the wire that holds hi_0, hi_1 and hi_2 of a PE; optimisation leaves one of them or more."""


@dataclass(frozen=True)
class Copies:
    """What the guarded columns have in a netlist, and `expected` of each kind: three for every column of every PE.

    `bits` are accumulator registers, `sums` the adders' columns that feed them, `voters` the LUTs that vote.
    """

    bits: int
    sums: int
    voters: int
    expected: int

    @property
    def survive(self) -> bool:
        """Whether every guarded bit, column and voter is there three times."""
        return self.bits == self.sums == self.voters == self.expected


def copies(netlist: Netlist, columns: int) -> Copies:
    """Count the copies of the guarded columns (W - B = `columns`) of every PE in `netlist`.

    A column's voters are counted by the copies that hold a LUT which reads the column of all three accumulators.
    """
    found: dict[str, tuple[Bit, ...]] = {}
    for name, bits in netlist.names.items():
        if (match := _ALL_COPIES.fullmatch(name)) and len(bits) == 3 * columns:
            found[match.group(1)] = tuple(bits)
    readers = defaultdict(list)
    for cell in netlist.cells:
        if cell.type.startswith("LUT"):
            for bits in cell.inputs.values():
                readers[bits[0]].append(cell)
    registers = sums = voters = 0
    for nets in found.values():
        for column in range(columns):
            lanes = nets[column::columns]
            flops = {netlist.flops[bit].name: netlist.flops[bit] for bit in lanes if bit in netlist.flops}
            registers += len(flops)
            sums += len({flop.inputs["D"][0] for flop in flops.values()})
            voters += _voters(lanes, readers[lanes[0]])
    return Copies(registers, sums, voters, 3 * columns * len(found))


def _voters(lanes: tuple[Bit, ...], readers: list[Cell]) -> int:
    if len(set(lanes)) < 3:
        return 0
    voting = [cell for cell in readers if {bit for bits in cell.inputs.values() for bit in bits}.issuperset(lanes)]
    return len({match.group() for cell in voting if (match := re.search(r"copies\[[012]\]", cell.name))})
