"""The accelerator as configured: a systolic array and what guards its processing elements."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.files import digest, load_json, only_keys, write_json
from hardpoint.fixed import Fixed
from hardpoint.layers import MOST_SHIFT, Conv, Dense
from hardpoint.network import Network

__all__ = ["Array", "Guard", "Recompute", "baugh_wooley_constant", "carry_bits", "most_carry"]


@dataclass(frozen=True)
class Guard:
    """What protects a PE's datapath: columns >= `column` of product and accumulator exist in three copies.

    `column` None: no copies; 0: full TMR. `operand`: three lanes of operand registers, lane i feeding copy i.
    `drain`: the guarded columns are shifted out in three lanes. `kind` "rpr" is reduced-precision redundancy: two
    further copies of the columns >= `column` without carry, compared with the full accumulator.

    >>> str(Guard(14, operand=True)), str(Guard()), Guard.parse("0+operand+drain") == Guard(0, True, True)
    ('14+operand', 'none', True)
    """

    column: int | None = None
    operand: bool = False
    drain: bool = False
    kind: str = "columns"

    def __post_init__(self) -> None:
        if self.kind not in ("columns", "rpr"):
            raise InputError(f"a guard's kind is columns or rpr, not {self.kind!r}")
        if self.column is not None and self.column < 0:
            raise InputError(f"guard column must be 0 or more, not {self.column}")
        if self.column is None and (self.operand or self.drain or self.kind == "rpr"):
            raise InputError(
                "operand and drain guards need guarded columns: three lanes of what exists once protect nothing"
            )
        if self.kind == "rpr" and (self.operand or self.drain):
            raise InputError("reduced-precision redundancy has single operand and drain registers")

    @classmethod
    def parse(cls, text: str) -> Guard:
        """Read `none`, `14`, `14+operand+drain`, `rpr12`."""
        head, *extras = text.split("+")
        kind = "rpr" if head.startswith("rpr") else "columns"
        number = head.removeprefix("rpr")
        if any(extra not in ("operand", "drain") for extra in extras) or not (head == "none" or number.isdigit()):
            raise InputError(f"a guard reads like none, 14, 14+operand+drain or rpr12, not {text!r}")
        column = None if head == "none" else int(number)
        return cls(column, "operand" in extras, "drain" in extras, kind)

    def __str__(self) -> str:
        if self.column is None:
            return "none"
        return (
            ("rpr" if self.kind == "rpr" else "") + str(self.column) + "+operand" * self.operand + "+drain" * self.drain
        )


@dataclass(frozen=True)
class Recompute:
    """The recompute unit: `lanes` products per step, columns >= `guard.column` of its sums in three copies.

    `reuse`: it reads the array's buffers instead of its own port.

    >>> Array(8, 8, recompute=Recompute(16, Guard(10, operand=True))).recompute.lanes
    16
    """

    lanes: int
    guard: Guard = Guard()
    reuse: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= 64:
            raise InputError(f"a recompute unit has 1 to 64 lanes, not {self.lanes}")
        if self.guard.kind == "rpr":
            raise InputError("a recompute unit is guarded by columns, not by reduced-precision redundancy")


@dataclass(frozen=True)
class Array:
    """A systolic array of `rows` x `cols` PEs.

    `guards` are up to three guard classes; `classes` names the class of each array column (one tuple of `cols`
    numbers) or of each PE (`rows` tuples of `cols` numbers). Operands have `act_bits` and `wgt_bits` (2 to 8),
    accumulators `acc_bits` (12 to 32). `dsp`: the multiplier sits in a DSP block. Weight-stationary arrays
    (`dataflow` "ws") have an accumulator memory of `depth` words below each column, and one guard class per column.
    `ecc`: on-chip buffers hold (72, 64) SECDED words (`hardpoint.ecc`). `policy` "direct" guards the same columns of every
    layer's sums; "configurable" moves each layer's weights up as far as they fit (`shifts`), and so the columns of its
    sums that are guarded down. For that the PEs' weight operands may have `headroom`, 0 to 7 bits above `wgt_bits`.

    >>> a = Array.columns_hardened(8, 8, Guard(14), hardened=2)
    >>> a.classes
    (1, 1, 0, 0, 0, 0, 0, 0)
    >>> a.guard(3, 1).column, a.guard(3, 2).column
    (14, None)
    """

    rows: int
    cols: int
    guards: tuple[Guard, ...] = (Guard(),)
    classes: tuple[int, ...] | tuple[tuple[int, ...], ...] = ()
    act_bits: int = 8
    wgt_bits: int = 8
    acc_bits: int = 24
    dataflow: str = "os"
    recompute: Recompute | None = None
    dsp: bool = False
    taps: bool = True
    board: str = "pynq-z2"
    period_ns: float = 10.0
    depth: int = 512
    ecc: bool = False
    policy: str = "direct"
    headroom: int = 0

    def __post_init__(self) -> None:
        for key, low, high, why in (
            ("rows", 1, 64, "array rows"),
            ("cols", 1, 64, "array columns"),
            ("act_bits", 2, 8, "activation bits"),
            ("wgt_bits", 2, 8, "weight bits"),
            ("acc_bits", 12, 32, "accumulator bits"),
            ("depth", 16, 4096, "words of an accumulator memory"),
            ("headroom", 0, 7, "headroom above weights, in bits,"),
        ):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"{why} must be {low} to {high}, not {value}")
        product = self.act_bits + self.pe_wgt_bits
        if self.acc_bits < product:
            raise InputError(f"accumulator bits must be at least {product}, the width of a product, not {self.acc_bits}")
        if self.dataflow not in ("os", "ws"):
            raise InputError(f"dataflow is os or ws, not {self.dataflow!r}")
        if self.policy not in ("direct", "configurable"):
            raise InputError(f"the guard policy is direct or configurable, not {self.policy!r}")
        if self.policy == "direct" and self.headroom:
            raise InputError(f"headroom serves the configurable policy: with policy direct it must be 0, not {self.headroom}")
        if not 1 <= len(self.guards) <= 3:
            raise InputError(f"an array has 1 to 3 guard classes, not {len(self.guards)}")
        for guard in (*self.guards, *([] if self.recompute is None else [self.recompute.guard])):
            if guard.column is not None and guard.column > self.acc_bits:
                raise InputError(
                    f"guard column must be 0 to {self.acc_bits}, the width of an accumulator, not {guard.column}"
                )
            if guard.column == self.acc_bits:
                raise InputError(
                    f"guard column {self.acc_bits} guards nothing of a {self.acc_bits}-bit accumulator; write none"
                )
        if not self.classes:
            object.__setattr__(self, "classes", (0,) * self.cols)
        table = self.class_map
        if table.shape != (self.rows, self.cols):
            raise InputError(
                f"guard classes must be {self.cols} numbers (per column) or {self.rows} rows of them (per PE)"
            )
        if table.min() < 0 or table.max() >= len(self.guards):
            raise InputError(
                f"guard classes must be 0 to {len(self.guards) - 1}, not {table.min() if table.min() < 0 else table.max()}"
            )
        if self.dataflow == "ws" and (table != table[0]).any():
            col = int(np.flatnonzero((table != table[0]).any(axis=0))[0])
            raise InputError(
                f"a weight-stationary array has one guard class per column, as sums run through all its PEs; column {col} has {len(np.unique(table[:, col]))}"
            )
        if not 1.0 <= self.period_ns <= 1000.0:
            raise InputError(f"clock period must be 1 to 1000 ns, not {self.period_ns}")

    @classmethod
    def columns_hardened(cls, rows: int, cols: int, guard: Guard, hardened: int, **rest: Any) -> Array:
        """An array whose first `hardened` columns have `guard` and whose others have none."""
        if not 0 <= hardened <= cols:
            raise InputError(f"hardened columns must be 0 to {cols}, the array's width, not {hardened}")
        if guard.column is None or hardened == 0:
            return cls(rows, cols, **rest)
        if hardened == cols:
            return cls(rows, cols, (guard,), **rest)
        return cls(rows, cols, (Guard(), guard), (1,) * hardened + (0,) * (cols - hardened), **rest)

    @cached_property
    def class_map(self) -> NDArray[np.int64]:
        """Guard class of every PE: (rows, cols)."""
        try:
            table = np.array(self.classes, np.int64)
        except (ValueError, TypeError):
            raise InputError("guard classes must be whole numbers, per column or per PE") from None
        return np.tile(table, (self.rows, 1)) if table.ndim == 1 else table

    @cached_property
    def column_map(self) -> NDArray[np.int64]:
        """Guard column B of every PE, `acc_bits` where nothing is guarded: (rows, cols)."""
        return self.per_pe(lambda guard: self.acc_bits if guard.column is None else guard.column)

    @property
    def pe_wgt_bits(self) -> int:
        """Bits of the weight operand of a PE, or of a lane of the recompute unit."""
        return self.wgt_bits + self.headroom

    @property
    def site_rows(self) -> int:
        """Rows that hold sites: those of the PEs, and the accumulator row of a weight-stationary array below them."""
        return self.rows + (self.dataflow == "ws")

    @cached_property
    def site_columns(self) -> NDArray[np.int64]:
        """Guard column of every PE, and of the accumulator row where there is one: (site_rows, cols)."""
        return self.column_map if self.dataflow == "os" else np.concatenate([self.column_map, self.column_map[:1]])

    @cached_property
    def operand_lanes(self) -> NDArray[np.int64]:
        """Lanes of every PE's operand registers, 1 or 3: (rows, cols)."""
        return self.per_pe(lambda guard: 3 if guard.operand else 1)

    @cached_property
    def drain_lanes(self) -> NDArray[np.int64]:
        """Lanes of the guarded columns of every PE's drain register, 1 or 3: (rows, cols)."""
        return self.per_pe(lambda guard: 3 if guard.drain else 1)

    def per_pe(self, value: Callable[[Guard], int]) -> NDArray[np.int64]:
        """`value` of every PE's guard: (rows, cols)."""
        return np.array([value(guard) for guard in self.guards], np.int64)[self.class_map]

    def guard(self, row: int, col: int) -> Guard:
        """Guard of one PE."""
        return self.guards[int(self.class_map[row, col])]

    @property
    def unit_column(self) -> int:
        """Guard column B of the recompute unit, `acc_bits` where nothing is guarded."""
        column = None if self.recompute is None else self.recompute.guard.column
        return self.acc_bits if column is None else column

    @property
    def unit_carry_bits(self) -> int:
        """Width of the carry into the guarded columns of the recompute unit."""
        lanes = 1 if self.recompute is None else self.recompute.lanes
        return carry_bits(self.act_bits, self.pe_wgt_bits, self.unit_column, self.acc_bits, lanes)

    def carry_bits(self, guard: Guard) -> int:
        """Width cw of the carry into the guarded columns of a PE with `guard`; 0 where it is no site."""
        if guard.kind == "rpr":
            return 0
        column = self.acc_bits if guard.column is None else guard.column
        return carry_bits(self.act_bits, self.pe_wgt_bits, column, self.acc_bits)

    def check(self, network: Network) -> None:
        """Raise an InputError if the array cannot compute `network` exactly, naming layer, bound and value."""
        for layer in network.gemms:
            fmt = network.formats[layer.inputs[0]]
            if fmt.bits > self.act_bits:
                raise InputError(
                    f"layer {layer.name}: its activations are {fmt}, the array takes at most {self.act_bits} bits"
                )
            if layer.weight_format.bits > self.wgt_bits:
                raise InputError(
                    f"layer {layer.name}: its weights are {layer.weight_format}, the array takes at most {self.wgt_bits} bits"
                )
            need = network.accumulator_bits(layer)
            if need > self.acc_bits:
                raise InputError(
                    f"layer {layer.name}: its sums need {need} bits, the array's accumulators have {self.acc_bits}"
                )

    def shifts(self, network: Network) -> tuple[int, ...]:
        """Per array layer of `network`, the bits d by which its weights and biases are moved to the left on their way to the PEs.

        As many as the PEs' operands and accumulators leave free; none with policy `direct`. Guard column B of the array is
        column B - d of the layer's own sums, which end at W - d.

        >>> s8, long, short = Fixed.parse("s8.0"), [[127], [127]], [[1], [1]]
        >>> layers = Dense("a", "input", long, [0], 4, s8, s8), Dense("b", "input", short, [0], 4, s8, s8)
        >>> network = Network((2,), Fixed.parse("u8.0"), layers)
        >>> Array(4, 4, acc_bits=20, policy="configurable", headroom=4).shifts(network), Array(4, 4).shifts(network)
        ((3, 4), (0, 0))
        """
        if self.policy == "direct":
            return (0,) * len(network.gemms)

        def free(layer: Conv | Dense) -> tuple[int, int, int]:
            most = MOST_SHIFT - int(layer.shift.max())  # of the requantiser
            return self.pe_wgt_bits - layer.weight_format.bits, self.acc_bits - network.accumulator_bits(layer), most

        return tuple(max(0, min(free(layer))) for layer in network.gemms)

    def deployed(self, network: Network, shifts: tuple[int, ...] | None = None) -> Network:
        """`network` in the numbers that the PEs work with: weights and biases times 2**d, requantisation shifts larger by d.

        d are `shifts`, those of `self.shifts` if None. Every output is the same, sums are exact multiples of 2**d.
        """
        shifts = self.shifts(network) if shifts is None else shifts
        if not any(shifts):
            return network
        moved = {layer.name: self._moved(layer, d) for layer, d in zip(network.gemms, shifts, strict=True)}
        return dataclasses.replace(network, layers=tuple(moved.get(layer.name, layer) for layer in network.layers))

    def _moved(self, layer: Conv | Dense, d: int) -> Conv | Dense:
        """`layer` with weights and biases `d` bits to the left."""
        fmt = layer.weight_format
        wider = Fixed(min(fmt.bits + d, self.pe_wgt_bits), fmt.frac + d, True)
        return dataclasses.replace(
            layer, weight=layer.weight << d, bias=layer.bias << d, shift=layer.shift + d, weight_format=wider
        )

    @cached_property
    def digest(self) -> str:
        """Names the array by content."""
        return digest(repr(self.table()))

    def table(self) -> dict[str, Any]:
        """The fields as JSON takes them."""
        table = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        table["guards"] = [str(guard) for guard in self.guards]
        if self.recompute is not None:
            table["recompute"] = {
                "lanes": self.recompute.lanes,
                "guard": str(self.recompute.guard),
                "reuse": self.recompute.reuse,
            }
        if self.policy == "direct":  # what was saved before there was another keeps its name
            del table["policy"], table["headroom"]
        return table

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the array as JSON."""
        write_json(path, {"format": "hardpoint array 1", **self.table()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Array:
        """Read an array from JSON; unknown keys are errors."""
        try:
            return cls.restore(load_json(path, "array"))
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None

    @classmethod
    def restore(cls, table: Any) -> Array:
        """An array from its JSON table."""
        allowed = {item.name for item in dataclasses.fields(cls)} | {"format"}
        table = dict(only_keys(table, allowed, "array"))
        if table.pop("format", None) != "hardpoint array 1":
            raise InputError("its format is not 'hardpoint array 1'")
        try:
            table["guards"] = tuple(Guard.parse(text) for text in table.get("guards", ["none"]))
            if table.get("recompute") is not None:
                row = dict(only_keys(table["recompute"], {"lanes", "guard", "reuse"}, "recompute"))
                table["recompute"] = Recompute(**{**row, "guard": Guard.parse(row.get("guard", "none"))})
            table["classes"] = tuple(tuple(x) if isinstance(x, list) else x for x in table.get("classes", ()))
            return cls(**table)
        except (TypeError, AttributeError) as error:
            raise InputError(f"it is no array: {error}") from None


def baugh_wooley_constant(act_bits: int, wgt_bits: int, signed: bool) -> int:
    """The constant K_s that completes the partial products of `act_bits` (signed or not) by `wgt_bits` (signed) bits.

    a*w = sum over i < n, j < m of ((a_j & w_i) ^ c_ij) 2^(i+j) + K_s with c_ij = [i = n-1] ^ ([j = m-1] & s)
    (Baugh and Wooley, IEEE Trans. Computers C-22, 1973).

    >>> baugh_wooley_constant(8, 8, True), baugh_wooley_constant(8, 8, False)
    (-32512, -32640)
    """
    return -(1 << (act_bits + wgt_bits - 1)) + (1 << (wgt_bits - 1)) + (int(signed) << (act_bits - 1))


def carry_bits(act_bits: int, wgt_bits: int, column: int, acc_bits: int, lanes: int = 1) -> int:
    """Bits of the carry t >> B of the low part, t = lo + PL, both at their largest; 0 for B = 0 and B = `acc_bits`.

    >>> carry_bits(8, 8, 14, 24), carry_bits(8, 8, 0, 24), carry_bits(8, 8, 24, 24), carry_bits(8, 8, 14, 24, lanes=8)
    (2, 0, 0, 5)
    """
    return 0 if column in (0, acc_bits) else most_carry(act_bits, wgt_bits, column, lanes).bit_length()


def most_carry(act_bits: int, wgt_bits: int, column: int, lanes: int = 1) -> int:
    """The largest carry t >> B of the low part, t = lo + PL, PL the sum of `lanes` products' PL.

    >>> most_carry(8, 8, 14)
    3
    """
    entries = sum(1 << (i + j) for i in range(wgt_bits) for j in range(act_bits) if i + j < column)
    constant = max(baugh_wooley_constant(act_bits, wgt_bits, signed) % (1 << column) for signed in (False, True))
    return (lanes * (entries + constant) + (1 << column) - 1) >> column
