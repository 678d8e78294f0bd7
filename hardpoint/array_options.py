"""The options of an array, said once and given to every verb that needs one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hardpoint.errors import InputError
from hardpoint.verbs import one_of

if TYPE_CHECKING:
    from hardpoint.array import Array, Recompute

__all__ = ["on_array"]

ArrayFile = Annotated[Path | None, typer.Option("--array", "-a", help="Array as JSON; without it the options below.")]
Rows = Annotated[int, typer.Option(help="Rows of the array.")]
Cols = Annotated[int, typer.Option(help="Columns of the array.")]
GuardText = Annotated[str, typer.Option("--guard", help="none, 14, 14+operand+drain, 0 (full TMR), rpr12.")]
Hardened = Annotated[int | None, typer.Option(help="Guarded array columns, from the left; all if not given.")]
Dataflow = Annotated[
    str, typer.Option(help="os (output-stationary) or ws (weight-stationary).", autocompletion=one_of("os", "ws"))
]
Depth = Annotated[int, typer.Option(help="Words of the accumulator memory below each column; --dataflow ws.")]
RecomputeText = Annotated[
    str | None, typer.Option("--recompute", metavar="LANES[:GUARD]", help="Recompute unit: 16, 16:10+operand.")
]
Dsp = Annotated[bool, typer.Option("--dsp", help="Multipliers in DSP blocks.")]
Ecc = Annotated[bool, typer.Option("--ecc", help="Buffers hold error-correcting codes (SECDED).")]
Policy = Annotated[
    str,
    typer.Option(
        help="Guard policy: direct, or configurable (each layer's weights moved up as far as they fit).",
        autocompletion=one_of("direct", "configurable"),
    ),
]
Headroom = Annotated[int, typer.Option(help="Bits of the PEs above their weights; --policy configurable.")]
Board = Annotated[
    str,
    typer.Option(
        help="Board: pynq-z2, ultra96-v2, zcu104, kv260.", autocompletion=one_of("pynq-z2", "ultra96-v2", "zcu104", "kv260")
    ),
]


def _array(
    array: ArrayFile = None,
    rows: Rows = 8,
    cols: Cols = 8,
    guard: GuardText = "none",
    hardened: Hardened = None,
    dataflow: Dataflow = "os",
    depth: Depth = 512,
    recompute: RecomputeText = None,
    dsp: Dsp = False,
    ecc: Ecc = False,
    policy: Policy = "direct",
    headroom: Headroom = 0,
    board: Board = "pynq-z2",
) -> Array:
    """The array that the options describe."""
    from hardpoint.array import Array, Guard

    if array is not None:
        return Array.load(array)
    rest: dict[str, Any] = {
        "dataflow": dataflow,
        "dsp": dsp,
        "depth": depth,
        "ecc": ecc,
        "policy": policy,
        "headroom": headroom,
        "board": board,
        "recompute": _recompute(recompute),
    }
    return Array.columns_hardened(rows, cols, Guard.parse(guard), cols if hardened is None else hardened, **rest)


def on_array(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give `verb` the options of an array in place of its argument `array`, which becomes the array they describe.

    A verb with an argument `bitstream`, the path of a manifest, gets the array that this was built for.
    """
    not_imported = {"Array": Any}  # only for type checkers: help must not wait for NumPy
    options = inspect.signature(_array, locals=not_imported, eval_str=True).parameters
    own = inspect.signature(verb, locals=not_imported, eval_str=True)
    expanded: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        expanded += options.values() if name == "array" else [parameter]

    @functools.wraps(verb)
    def wrapped(**values: Any) -> Any:
        given = {name: values.pop(name) for name in options}
        changed = [name for name, value in given.items() if value != options[name].default]
        return verb(**values, array=_chosen(given, changed, values.get("bitstream")))

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in expanded]
    del wrapped.__wrapped__  # typer would take the types there
    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def _chosen(given: dict[str, Any], changed: list[str], bitstream: Path | None) -> Array:
    """The array of a manifest, of a file, or of options; not of two of them that may differ."""
    named = "a bitstream" if bitstream is not None else "--array"
    if "array" in changed or bitstream is not None:
        others = [name for name in changed if name != "array"]
        if others:
            raise InputError(f"{named} names the whole array: --{others[0]} cannot change it")
    if bitstream is None:
        return _array(**given)
    from hardpoint.bitstream import Bitstream

    built = Bitstream.load(bitstream).array
    if given["array"] is not None and _array(**given).digest != built.digest:
        raise InputError(f"{bitstream} was built for another array than {given['array']}")
    return built


def _recompute(text: str | None) -> Recompute | None:
    """A recompute unit from `16` or `16:10+operand`."""
    from hardpoint.array import Guard, Recompute

    if text is None:
        return None
    lanes, _, guard = text.partition(":")
    if not lanes.isdecimal():
        raise InputError(f"a recompute unit reads like 16 or 16:10+operand, lanes and guard, not {text!r}")
    return Recompute(int(lanes), Guard.parse(guard or "none"))
