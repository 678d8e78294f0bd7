"""Emission: from a network and an array to the files of an HLS project, as a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from hardpoint.array import Array, Guard
from hardpoint.errors import InputError
from hardpoint.program import (
    EXTERNAL,
    HEADER_WORDS,
    LAYER_WORDS,
    LIMITS,
    MAGIC,
    Field,
    Header,
    Kind,
    Limits,
    Mode,
    Status,
    record_words,
)
from hardpoint.registers import DONE, IDLE, REGISTERS, START, offsets

__all__ = ["config_header", "cpp_sources", "registers_header", "render"]


def render(template: str, values: Mapping[str, object]) -> str:
    """The text of a whole-file template of `hls/templates`; a name that `values` lacks is an error."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.from_string(_text("templates", template)).render(values)


def cpp_sources() -> dict[str, str]:
    """The hand-written C++ of core and shell by file name."""
    folder = resources.files("hardpoint.hls") / "cpp"
    return {item.name: item.read_text(encoding="utf-8") for item in sorted(folder.iterdir(), key=lambda x: x.name)}


def config_header(array: Array, limits: Limits = LIMITS) -> str:
    """The one generated header: an array's sizes, guard classes, memories and word layouts as constants.

    >>> header = config_header(Array(2, 3, (Guard(14, operand=True),)))
    >>> "typedef guard::Columns<14, 2, 3, 1> Guard0;" in header
    True
    """
    if array.dataflow != "os" or array.recompute is not None or any(guard.kind != "columns" for guard in array.guards):
        raise InputError("the C++ core is output-stationary with guarded columns; other arrays cannot be emitted yet")
    guards = [_guard(array, guard) for guard in array.guards]
    return render(
        "hardpoint_config.h.j2",
        {
            "array": array,
            "digest": array.digest,
            "guards": guards + guards[:1] * (3 - len(guards)),
            "classes": array.class_map.tolist(),
            "limits": limits,
            "magic": MAGIC,
            "external": EXTERNAL,
            "header_words": HEADER_WORDS,
            "layer_words": LAYER_WORDS,
            "record_words": record_words(array),
            "header": list(Header),
            "fields": list(Field),
            "kinds": ", ".join(f"KIND_{kind.name} = {kind.value}" for kind in Kind),
            "statuses": ", ".join(f"STATUS_{status.name} = {status.value}" for status in Status),
            "mode_check": Mode.CHECK.value,
            "mode_strikes": Mode.STRIKES.value,
        },
    )


def registers_header() -> str:
    """Byte offsets of the control registers as C++ constants."""
    table = offsets()
    size = table[REGISTERS[-1].name] + REGISTERS[-1].size
    return render(
        "hardpoint_registers.h.j2", {"offsets": table, "size": size, "start": START, "done": DONE, "idle": IDLE}
    )


def _guard(array: Array, guard: Guard) -> str:
    """A guard as the C++ type that stands for it."""
    if guard.column is None:
        return "guard::None"
    return f"guard::Columns<{guard.column}, {array.carry_bits(guard)}, {3 if guard.operand else 1}, {3 if guard.drain else 1}>"


def _text(folder: str, name: str) -> str:
    return (resources.files("hardpoint.hls") / folder / name).read_text(encoding="utf-8")
