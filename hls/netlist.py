"""A mapped netlist: what it is made of, how long its paths are, and which registers exist how often."""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hardpoint.cost import Cost

__all__ = ["Cell", "Levels", "Netlist", "resources"]

Bit = int | str
"""A net of one bit: its number, or a constant "0", "1", "x"."""

FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE")
_COMBINATIONAL = (
    "LUT1",
    "LUT2",
    "LUT3",
    "LUT4",
    "LUT5",
    "LUT6",
    "INV",
    "MUXF7",
    "MUXF8",
    "MUXF9",
    "CARRY4",
    "CARRY8",
)
_LUTS = {
    **{f"LUT{k}": 1 for k in range(1, 7)},
    "INV": 1,
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
}
_BRAM18 = {"RAMB18E1": 1, "RAMB18E2": 1, "RAMB36E1": 2, "RAMB36E2": 2}


@dataclass(frozen=True)
class Cell:
    """One primitive: its type and the nets at its ports, bit 0 first."""

    name: str
    type: str
    inputs: Mapping[str, Sequence[Bit]]
    outputs: Mapping[str, Sequence[Bit]]


@dataclass(frozen=True)
class Levels:
    """Longest combinational paths of a netlist: most LUTs in a row, and most carry chains on any path."""

    luts: int
    chains: int


@dataclass(frozen=True)
class Netlist:
    """A flat netlist of primitives; `names` are the nets of every wire that the sources name, by hierarchical name."""

    cells: tuple[Cell, ...]
    names: Mapping[str, Sequence[Bit]]
    ports: Mapping[str, Sequence[Bit]]

    @classmethod
    def load(cls, path: Path, top: str) -> Netlist:
        """Read what Yosys' `write_json` wrote of a flattened design."""
        module = json.loads(path.read_text(encoding="utf-8"))["modules"][top]
        cells = []
        for name, row in module["cells"].items():
            if row["type"].startswith("$scopeinfo"):
                continue
            ports: dict[str, dict[str, Sequence[Bit]]] = {"input": {}, "output": {}, "inout": {}}
            for port, bits in row["connections"].items():
                ports[row["port_directions"][port]][port] = tuple(bits)
            cells.append(Cell(name, row["type"], ports["input"], ports["output"]))
        named = {name: tuple(row["bits"]) for name, row in module["netnames"].items() if not row["hide_name"]}
        return cls(tuple(cells), named, {name: tuple(row["bits"]) for name, row in module["ports"].items()})

    @cached_property
    def counts(self) -> dict[str, int]:
        """Primitives by type."""
        return dict(sorted(Counter(cell.type for cell in self.cells).items()))

    @cached_property
    def flops(self) -> dict[Bit, Cell]:
        """Flip-flops by the net of their output."""
        return {bits[0]: cell for cell in self.cells if cell.type in FLOPS for bits in cell.outputs.values()}

    def registers(self, suffix: str) -> dict[str, tuple[str | None, ...]]:
        """Flip-flops of every wire whose name ends in `.suffix` or is `suffix`: their names, None for other bits."""
        return {
            name: tuple(self.flops[bit].name if bit in self.flops else None for bit in bits)
            for name, bits in self.names.items()
            if name == suffix or name.endswith("." + suffix)
        }

    def following(self, ports: Sequence[str]) -> dict[str, int]:
        """Primitives by type that nothing but the inputs `ports` and constants decides, through registers too.

        `flags[2]` names one bit of a port.
        """
        known = {bit for port in ports for bit in self._port(port)}
        known |= {bit for cell in self.cells for bits in cell.outputs.values() for bit in bits}
        left = list(self.cells)
        while True:
            outside = [
                c for c in left if any(b not in known for bits in c.inputs.values() for b in bits if isinstance(b, int))
            ]
            if not outside:
                return dict(sorted(Counter(cell.type for cell in left).items()))
            known -= {bit for cell in outside for bits in cell.outputs.values() for bit in bits}
            gone = {cell.name for cell in outside}
            left = [cell for cell in left if cell.name not in gone]

    def _port(self, port: str) -> Sequence[Bit]:
        name, _, index = port.partition("[")
        return self.ports[name][int(index[:-1]) :][:1] if index else self.ports[name]

    @cached_property
    def levels(self) -> Levels:
        """Longest paths between registers (from inputs and to outputs included, as if registers were behind them).

        A path starts at a register, an input, a RAM, a shift register or a DSP, and ends there; pins for enable and
        reset count as ends. A LUT or an inverter is one level; carry cells joined by their carry pins are one chain.
        """
        luts: dict[Bit, int] = defaultdict(int)
        chains: dict[Bit, int] = defaultdict(int)
        carries = {bit for cell in self.cells if cell.type.startswith("CARRY") for bit in cell.outputs.get("CO", ())}
        for cell in self._in_order:
            for output, sources in _arcs(cell):
                luts[output] = max((luts[bit] for bit, _ in sources), default=0) + (cell.type[:3] in ("LUT", "INV"))
                chains[output] = max(
                    (
                        chains[bit] + (starts and not (pin == "CI" and bit in carries))
                        for bit, pin, starts in _chained(cell, sources)
                    ),
                    default=0,
                )
        return Levels(max(luts.values(), default=0), max(chains.values(), default=0))

    @cached_property
    def _in_order(self) -> list[Cell]:
        """Combinational cells, each after those that drive it."""
        cells = [cell for cell in self.cells if cell.type in _COMBINATIONAL]
        driver = {bit: i for i, cell in enumerate(cells) for bits in cell.outputs.values() for bit in bits}
        needs = [{driver[b] for bits in cell.inputs.values() for b in bits if b in driver} for cell in cells]
        feeds: dict[int, list[int]] = defaultdict(list)
        for i, sources in enumerate(needs):
            for j in sources:
                feeds[j].append(i)
        left = [len(sources) for sources in needs]
        ready = deque(i for i, count in enumerate(left) if count == 0)
        order = []
        while ready:
            i = ready.popleft()
            order.append(cells[i])
            for j in feeds[i]:
                left[j] -= 1
                if left[j] == 0:
                    ready.append(j)
        if len(order) != len(cells):
            raise ValueError(f"the netlist has a combinational loop through {len(cells) - len(order)} cells")
        return order


def _arcs(cell: Cell) -> Iterator[tuple[Bit, list[tuple[Bit, str]]]]:
    """Every output net of a combinational cell with the (net, port) pairs that it depends on."""
    if not cell.type.startswith("CARRY"):
        sources: list[tuple[Bit, str]] = [
            (bit, port) for port, bits in cell.inputs.items() for bit in bits if isinstance(bit, int)
        ]
        for bits in cell.outputs.values():
            for bit in bits:
                yield bit, sources
        return
    start: list[tuple[Bit, str]] = [
        (bit, port) for port in ("CI", "CYINIT", "CI_TOP") for bit in cell.inputs.get(port, ()) if isinstance(bit, int)
    ]
    s, di = cell.inputs["S"], cell.inputs["DI"]
    for i in range(len(s)):
        below = start + [(bit, "DI") for bit in di[:i] if isinstance(bit, int)]
        below += [(bit, "S") for bit in s[: i + 1] if isinstance(bit, int)]
        if "O" in cell.outputs and i < len(cell.outputs["O"]):
            yield cell.outputs["O"][i], below
        if "CO" in cell.outputs and i < len(cell.outputs["CO"]):
            yield cell.outputs["CO"][i], below + ([(di[i], "DI")] if isinstance(di[i], int) else [])


def _chained(cell: Cell, sources: Sequence[tuple[Bit, str]]) -> Iterator[tuple[Bit, str, bool]]:
    """The same pairs, and whether entering there may start a carry chain."""
    for bit, port in sources:
        yield bit, port, cell.type.startswith("CARRY")


def resources(counts: Mapping[str, int]) -> Cost:
    """LUTs, flip-flops, DSPs and block RAMs of primitives, as Vivado's utilisation report counts them.

    LUTs are logic plus memory: every LUT1 to LUT6 and inverter is one, a shift register (SRL16E, SRLC32E) one, distributed
    RAM what its primitive occupies. Carry cells and wide multiplexers have no LUTs of their own. Vivado may go on to
    place two small LUTs with common inputs in one site, and needs a site to reach some carry inputs; neither is counted.

    >>> resources({"LUT2": 3, "LUT6": 1, "INV": 1, "SRL16E": 2, "CARRY4": 2, "FDRE": 5}).table()
    {'source': 'yosys', 'lut': 7, 'ff': 5, 'dsp': 0, 'bram': 0, 'uram': 0}
    """
    return Cost(
        "yosys",
        lut=sum(_LUTS.get(kind, 0) * n for kind, n in counts.items()),
        ff=sum(counts.get(kind, 0) for kind in FLOPS),
        dsp=counts.get("DSP48E1", 0) + counts.get("DSP48E2", 0),
        bram=sum(_BRAM18.get(kind, 0) * n for kind, n in counts.items()),
        uram=counts.get("URAM288", 0),
    )
