"""Proofs about the Verilog of the processing element, by Yosys' SAT engine: for all inputs, states and strikes.

`python -m hardpoint.hls.formal` proves every theorem for small and for full widths; `--small` the small ones only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hardpoint.array import Guard, carry_bits, most_carry
from hardpoint.errors import InputError
from hardpoint.hls import verilog
from hardpoint.hls.netlist import Netlist
from hardpoint.hls.yosys import YosysError, run

__all__ = ["CLAIMS", "Proof", "Theorem", "prove", "theorems"]

FORMAL = Path(__file__).parent / "formal"

CLAIMS = {
    "plain": "without strikes it equals a plain multiply-accumulate, from every state",
    "copy": "any values in one copy per step, its voter and lanes included, leave the voted sum as it is",
    "low": "any values in PL, lo and carry of one step change the sum by less than 2^(B+cw)",
    "bound": "reduced precision: any values in the full sum's high columns, in a copy's, or in the low columns of one step "
    "change the sum by less than (T+1) 2^B",
    "held": "in a cycle that does not pass, no register changes",
}
"""What is proved of a guarded processing element, by the name of the theorem."""

_STEPS = 12
"""Longest induction that is tried; five steps flush the pipeline."""


@dataclass(frozen=True)
class Theorem:
    """One of `CLAIMS` for operands of `act_bits` and `wgt_bits`, sums of `acc_bits` and a guard of their columns.

    >>> str(Theorem("copy", 4, 4, 12, Guard(7, operand=True)))
    'copy, 4 x 4 bits, W = 12, guard 7+operand'
    """

    claim: str
    act_bits: int
    wgt_bits: int
    acc_bits: int
    guard: Guard

    def __post_init__(self) -> None:
        if self.claim not in CLAIMS:
            raise InputError(f"theorems are {', '.join(CLAIMS)}, not {self.claim!r}")
        if self.guard.column is None or self.guard.column >= self.acc_bits:
            raise InputError(f"the theorems are of PEs with guarded columns, not of guard {self.guard}")
        reduced = self.guard.kind == "rpr"
        if self.claim in (("copy", "low") if reduced else ("bound",)):
            raise InputError(f"theorem {self.claim} is not of guard {self.guard}")
        if self.guard.column == 0 and (reduced or self.claim == "low"):
            raise InputError("with guard column 0 there is no low part to strike")

    def __str__(self) -> str:
        return f"{self.claim}, {self.act_bits} x {self.wgt_bits} bits, W = {self.acc_bits}, guard {self.guard}"


@dataclass(frozen=True)
class Proof:
    """What came of a theorem: proved (True), refuted by an example (False), or neither within the time (None)."""

    theorem: Theorem
    proved: bool | None
    seconds: float

    def __str__(self) -> str:
        verdict = {True: "proved", False: "REFUTED", None: "undecided"}[self.proved]
        return f"{verdict:<9} {self.seconds:7.1f} s  {self.theorem}"


def prove(theorem: Theorem, timeout_s: float = 600.0, sources: Mapping[str, str] | None = None) -> Proof:
    """Prove or refute `theorem` of `sources` (the core's Verilog).

    By temporal induction with nothing assumed of the first state; the reference, the strikes and the assertions are
    `formal/theorems.v`. Raises YosysError if the sources cannot be read.

    >>> prove(Theorem("low", 2, 2, 6, Guard(3))).proved
    True
    """
    started = time.monotonic()
    sources = dict(verilog.sources() if sources is None else sources)
    verdict: bool | None
    if theorem.claim == "held":
        verdict = _held(theorem, sources, timeout_s)
    else:
        verdict = _induction(theorem, sources, timeout_s)
    return Proof(theorem, verdict, time.monotonic() - started)


def _parameters(theorem: Theorem, **more: int) -> str:
    guard = theorem.guard
    values = {
        "M": theorem.act_bits,
        "N": theorem.wgt_bits,
        "W": theorem.acc_bits,
        "B": guard.column,
        "OPERAND": 3 if guard.operand else 1,
        "DRAIN": 3 if guard.drain else 1,
        "REDUCED": int(guard.kind == "rpr"),
        **more,
    }
    return "".join(f" -chparam {name} {value}" for name, value in values.items())


def _induction(theorem: Theorem, sources: dict[str, str], timeout_s: float) -> bool | None:
    column = theorem.guard.column or 0
    for name in ("hp_tap.v", "theorems.v"):
        sources[name] = (FORMAL / name).read_text(encoding="utf-8")
    above = column if theorem.guard.drain else theorem.acc_bits
    carry = carry_bits(theorem.act_bits, theorem.wgt_bits, column, theorem.acc_bits)
    pe = _parameters(theorem, LATE=1, ABOVE_SPLIT=above, TAPS=1, MASK=64)
    registers = ["hp_pe/w:high.copies[?].copy.hi", *(["hp_pe/w:low.lo"] if column else [])]
    if theorem.guard.kind == "rpr":
        registers = ["hp_pe/w:reduced.part.copies[?].copy.hi", "hp_pe/w:reduced.part.lo"]
    bound = most_carry(theorem.act_bits, theorem.wgt_bits, column)
    strikes = list(CLAIMS).index(theorem.claim)
    passes = [
        *(f"read_verilog -formal -defer {name}" for name in sorted(sources) if name.endswith(".v")),
        f"hierarchy -check -top hp_pe{pe}",
        "setattr -mod -unset keep_hierarchy",
        "proc",
        "flatten",
        "opt_clean",
        f"expose {' '.join(registers)}",
        "rename hp_pe guarded",
        "read_verilog -formal -defer theorems.v",
        f"hierarchy -check -top theorems{_parameters(theorem, CARRY=carry, BOUND=bound, STRIKES=strikes)}",
        "proc",
        "flatten",
        "opt -full",
        "chformal -lower",
        "select -assert-min 1 t:$assert",
        f"sat -tempinduct -prove-asserts -maxsteps {_STEPS} theorems",
    ]
    try:
        with tempfile.TemporaryDirectory(prefix="hardpoint-") as folder:
            log = run(passes, timeout_s, sources, folder)
    except YosysError as error:
        if "did not finish" in str(error):
            return None
        raise
    if "Induction step proven: SUCCESS!" in log:
        return True
    return False if "model found for base case: FAIL!" in log else None


def _held(theorem: Theorem, sources: dict[str, str], timeout_s: float) -> bool:
    """With the enable tied low, constants alone turn what every register takes into what it holds."""
    sources["held.v"] = (FORMAL / "held.v").read_text(encoding="utf-8")
    passes = [
        *(f"read_verilog -defer {name}" for name in sorted(sources) if name.endswith(".v")),
        f"hierarchy -check -top held{_parameters(theorem)}",
        "setattr -mod -unset keep_hierarchy",
        "proc",
        "flatten",
        "dffunmap",
        "opt_expr -full",
        "select -assert-none t:$mem* t:$*latch* t:$ff t:$_*FF_* %u %u %u",
        "write_json netlist.json",
    ]
    with tempfile.TemporaryDirectory(prefix="hardpoint-") as folder:
        run(passes, timeout_s, sources, folder)
        netlist = Netlist.load(Path(folder) / "netlist.json", "held")
    registers = [cell for cell in netlist.cells if "dff" in cell.type]
    return bool(registers) and all(cell.inputs["D"] == cell.outputs["Q"] for cell in registers)


def theorems(small: bool) -> Iterator[Theorem]:
    """What `make formal` proves: 4 x 4 bits with W = 12 (`small`), or 8 x 8 bits with W = 24."""
    act_bits, wgt_bits, acc_bits = (4, 4, 12) if small else (8, 8, 24)
    guards = [Guard(0, True, True), Guard(4), Guard(7), Guard(7, True, True), Guard(9)]
    reduced = [Guard(5, kind="rpr"), Guard(7, kind="rpr")]
    if not small:
        guards, reduced = [Guard(14), Guard(14, True, True)], [Guard(14, kind="rpr")]
    for guard in guards:
        for claim in ("plain", "copy", "low", "held"):
            if claim != "low" or guard.column:
                yield Theorem(claim, act_bits, wgt_bits, acc_bits, guard)
    for guard in reduced:
        for claim in ("plain", "bound", "held"):
            yield Theorem(claim, act_bits, wgt_bits, acc_bits, guard)


def _main() -> int:
    parser = argparse.ArgumentParser(description="Prove the theorems about the processing element.")
    parser.add_argument("--small", action="store_true", help="4 x 4 bits only")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for each theorem (1800)")
    chosen = parser.parse_args()
    for name, text in CLAIMS.items():
        print(f"{name:<6} {text}")
    good = True
    for theorem in [*theorems(small=True), *([] if chosen.small else theorems(small=False))]:
        proof = prove(theorem, chosen.timeout)
        good &= proof.proved is True
        print(proof, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(_main())
