"""What was built, from what, by which tools, at what cost: the manifest beside a `.bit` and its `.hwh`."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardpoint.array import Array
from hardpoint.cost import Cost
from hardpoint.errors import InputError
from hardpoint.files import load_json, only_keys, write_json
from hardpoint.part import Part
from hardpoint.program import LIMITS, Limits
from hardpoint.registers import offsets

__all__ = ["CORES", "Bitstream", "sha256"]

FORMAT = "hardpoint bitstream 1"
CORES = ("rtl", "hls")
"""What the core was synthesised from: the Verilog as a black box, or the C++."""


def sha256(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file; an InputError where it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


@dataclass(frozen=True)
class Bitstream:
    """A build: `array` and `limits` of its memories, `part` and `clock_mhz`, `core` ("rtl" or "hls"), the registers' byte
    offsets, the digest of the emitted `sources`; once built, versions of `tools` by name, SHA-256 of `files` by name,
    and `costs`.

    >>> made = Bitstream("demo", Array(2, 2), Part.parse("xc7z020clg400-1"), 100.0, sources="0123")
    >>> Bitstream.restore(made.table()) == made, made.built
    (True, False)
    """

    name: str
    array: Array
    part: Part
    clock_mhz: float
    sources: str
    core: str = "rtl"
    limits: Limits = LIMITS
    registers: Mapping[str, int] = field(default_factory=offsets)
    tools: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    costs: tuple[Cost, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise InputError(f"a bitstream's name is a file name without folders, not {self.name!r}")
        if self.core not in CORES:
            raise InputError(f"a core is synthesised from {' or '.join(CORES)}, not {self.core!r}")
        if not 1.0 <= self.clock_mhz <= 1000.0:
            raise InputError(f"a clock runs at 1 to 1000 MHz, not {self.clock_mhz}")

    @property
    def built(self) -> bool:
        """Whether there is a bitstream, or only what it is to be made from."""
        return any(name.endswith(".bit") for name in self.files)

    def check_files(self, folder: str | os.PathLike[str]) -> None:
        """Raise an InputError if a file in `folder` is not the one that was built."""
        for name, expected in self.files.items():
            found = sha256(Path(folder) / name)
            if found != expected:
                raise InputError(
                    f"{Path(folder) / name} is not what was built: its SHA-256 is {found[:16]}.., not {expected[:16]}.."
                )

    def check_registers(self, found: Mapping[str, int]) -> None:
        """Raise an InputError if `found`, byte offsets as the tools made them, differ from the manifest's or the driver's."""
        for name, expected in self.registers.items():
            if name not in found:
                raise InputError(f"bitstream {self.name}: the hardware has no register {name}")
            if found[name] != expected:
                raise InputError(
                    f"bitstream {self.name}: register {name} lies at {found[name]:#x}, not at {expected:#x}"
                )
        if dict(self.registers) != offsets():
            raise InputError(f"bitstream {self.name}: its registers are not those that this driver knows")

    def table(self) -> dict[str, Any]:
        """The manifest as JSON."""
        return {
            "format": FORMAT,
            "name": self.name,
            "array": {"format": "hardpoint array 1", **self.array.table()},
            "part": str(self.part),
            "clock_mhz": self.clock_mhz,
            "sources": self.sources,
            "core": self.core,
            "limits": dataclasses.asdict(self.limits),
            "registers": dict(self.registers),
            "tools": dict(self.tools),
            "files": dict(self.files),
            "costs": [cost.table() for cost in self.costs],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the manifest as JSON."""
        write_json(path, self.table())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Bitstream:
        """Read a manifest; unknown keys are errors."""
        try:
            return cls.restore(load_json(path, "bitstream manifest"))
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None

    @classmethod
    def restore(cls, table: Any) -> Bitstream:
        """A bitstream from its manifest."""
        names = {item.name for item in dataclasses.fields(cls)}
        row = dict(only_keys(table, names | {"format"}, "bitstream manifest"))
        if row.pop("format", None) != FORMAT:
            raise InputError(f"its format is not {FORMAT!r}")
        missing = sorted({"name", "array", "part", "clock_mhz", "sources"} - set(row))
        if missing:
            raise InputError(f"a bitstream manifest needs {missing[0]}")
        row["array"], row["part"] = Array.restore(row["array"]), Part.parse(row["part"])
        if "limits" in row:
            row["limits"] = Limits(
                **only_keys(row["limits"], {item.name for item in dataclasses.fields(Limits)}, "limits")
            )
        row["costs"] = tuple(Cost.restore(cost) for cost in row.get("costs", ()))
        for key in ("registers", "tools", "files"):
            if key in row and not isinstance(row[key], dict):
                raise InputError(f"{key} of a bitstream manifest must be a table, not {type(row[key]).__name__}")
        return cls(**row)
