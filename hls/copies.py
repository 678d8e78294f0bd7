"""Whether redundancy survived synthesis: tools merge what is equal, and three equal copies are one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from hardpoint.hls.netlist import Bit, Cell, Netlist

__all__ = ["Copies", "copies", "naive"]

_TOGETHER = re.compile(r"(.*?)high\.(hi|copies\[[012]\]\.(\w+\.)?copy\.(all|voter\.lanes))")
_ALONE = re.compile(r"(.*?)high\.copies\[[012]\]\.(\w+\.)?copy\.(hi|voter\.[pqr])")
"""Names of the wires that hold hi_0, hi_1 and hi_2 of a PE, or one of them; optimisation leaves some."""

_OWN = re.compile(r"(.*?)high\.copies\[([012])\]\.(\w+\.)?copy\.hi")
_STORED = re.compile(r"(.*?)high\.copies\[[012]\]\.(\w+\.)?copy\.(stored|reader\.lanes)")
"""Of a weight-stationary array, whose voters read another PE's accumulator: its own, and words of its accumulator memory."""


def naive(sources: Mapping[str, str]) -> dict[str, str]:
    """The core's Verilog with its redundancy as one writes it first: `keep` on the registers, no hierarchy kept."""
    kept = re.compile(r"\(\* keep_hierarchy[^*]*\*\)\n")
    register = re.compile(r"(output )?reg (\[[^\]]*\] )?hi\b")
    return {name: register.sub(r"(* keep *) \g<0>", kept.sub("", text)) for name, text in sources.items()}


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


def copies(netlist: Netlist, columns: int, pes: int = 1, stationary: bool = False) -> Copies:
    """Count the copies of the guarded columns (W - B = `columns`) of `pes` guarded PEs in `netlist`.

    A column's voters are counted by the copies that hold a LUT which reads the column of all three accumulators. Of a
    weight-stationary array (`stationary`) the accumulators below the PEs count as PEs; their voters read the memory.
    """
    found = _stationary(netlist, columns) if stationary else {}
    for pattern, copied in () if stationary else ((_ALONE, 3), (_TOGETHER, 1)):
        for name, wire in netlist.names.items():
            if (match := pattern.fullmatch(name)) and len(wire) * copied == 3 * columns:
                found[match.group(1)] = tuple(wire) * copied  # where one is left of three, they have merged
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
    return Copies(registers, sums, voters, 3 * columns * pes)


def _stationary(netlist: Netlist, columns: int) -> dict[str, tuple[Bit, ...]]:
    """hi_0, hi_1 and hi_2 of PEs and accumulators whose copies are there, and words of the memory, by name."""
    own: dict[str, dict[str, tuple[Bit, ...]]] = defaultdict(dict)
    found: dict[str, tuple[Bit, ...]] = {}
    for name, wire in netlist.names.items():
        if (match := _OWN.fullmatch(name)) and len(wire) == columns:
            own[match.group(1)][match.group(2)] = tuple(wire)
        elif (match := _STORED.fullmatch(name)) and len(wire) == 3 * columns:
            found[f"{match.group(1)}stored"] = tuple(wire)
    whole = {key: parts for key, parts in own.items() if len(parts) == 3}
    return found | {key: parts["0"] + parts["1"] + parts["2"] for key, parts in whole.items()}


def _voters(lanes: tuple[Bit, ...], readers: list[Cell]) -> int:
    if len(set(lanes)) < 3:
        return 0
    voting = [cell for cell in readers if {bit for bits in cell.inputs.values() for bit in bits}.issuperset(lanes)]
    return len({match.group() for cell in voting if (match := re.search(r"copies\[[012]\]", cell.name))})
