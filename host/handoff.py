"""The hand-off of a block design (`.hwh`) and the register header of an HLS driver (`x*_hw.h`).

Both say at which addresses a bitstream is driven; a driver compares them with its own table before it touches
anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardpoint.documents import load_text, parse_xml
from hardpoint.errors import InputError
from hardpoint.part import Part

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = [
    "AddressBlock",
    "AddressRange",
    "Bundle",
    "Bus",
    "Handoff",
    "HeaderRegister",
    "Ip",
    "IpRegister",
    "RegisterHeader",
    "parse_handoff",
    "parse_header",
    "read_handoff",
    "read_header",
]

_AXI = "xilinx.com:interface:aximm:"
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}")


def _whole(text: str, what: str) -> int:
    """A number in decimal or after 0x; the hand-off mixes both."""
    if not _NUMBER.fullmatch(text):
        raise InputError(f"{what} must be a number in decimal or after 0x, not {text[:40]!r}")
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


@dataclass(frozen=True)
class IpRegister:
    """A register at a byte `offset` in its block; 64-bit pointers of HLS appear as two of 32 bits."""

    name: str
    offset: int
    bits: int


@dataclass(frozen=True)
class AddressBlock:
    """The registers behind one slave interface, `interface`, within `size` bytes."""

    interface: str
    size: int
    registers: tuple[IpRegister, ...]

    @property
    def has_ap_ctrl(self) -> bool:
        """Whether ap_start, ap_done and ap_idle are driven through this block (CTRL at 0x00)."""
        return any(register.name in ("CTRL", "AP_CTRL") and register.offset == 0 for register in self.registers)


@dataclass(frozen=True)
class Bus:
    """An interface of an IP: `role` is MASTER, SLAVE, INITIATOR or TARGET, `kind` its VLNV."""

    name: str
    role: str
    kind: str


@dataclass(frozen=True)
class Ip:
    """One instance of the block design; `path` is its full name, `/hierarchy/name`."""

    path: str
    instance: str
    kind: str
    vlnv: str
    parameters: Mapping[str, str] = field(repr=False)
    blocks: tuple[AddressBlock, ...] = ()
    buses: tuple[Bus, ...] = ()

    @property
    def is_hls(self) -> bool:
        """Whether an HLS tool made it (library `hls` of its VLNV)."""
        return self.vlnv.split(":")[1:2] == ["hls"]

    @property
    def registers(self) -> tuple[IpRegister, ...]:
        """The registers of all blocks, in the order of the hand-off."""
        return tuple(register for block in self.blocks for register in block.registers)

    def control(self) -> AddressBlock:
        """The block through which the IP is started; InputError names an IP that has none."""
        if not any(bus.role == "SLAVE" and bus.kind.startswith(_AXI) for bus in self.buses) or not self.blocks:
            raise InputError(f"{self.path} has no AXI-Lite interface: nothing can start it or read its registers")
        for block in self.blocks:
            if block.has_ap_ctrl:
                return block
        raise InputError(f"{self.path} has AXI-Lite registers but no AP_CTRL: it runs without being started")


@dataclass(frozen=True)
class AddressRange:
    """Addresses `base` to `high`, both included, at which a master sees a slave's interface."""

    instance: str
    interface: str
    master: str
    base: int
    high: int
    is_register: bool

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.high:
            raise InputError(f"{self.instance}: an address range rises, not 0x{self.base:X} to 0x{self.high:X}")


@dataclass(frozen=True)
class Handoff:
    """What Vivado hands over about a block design."""

    name: str
    architecture: str
    board: str | None
    part: Part
    vivado: str
    timestamp: str
    ips: tuple[Ip, ...]
    ranges: tuple[AddressRange, ...]

    def ip(self, name: str) -> Ip:
        """The IP of that path, or of that instance name."""
        for ip in self.ips:
            if name in (ip.path, ip.instance):
                return ip
        raise InputError(f"the design has no IP {name!r}; it has {', '.join(ip.path for ip in self.ips)[:300]}")

    def address(self, ip: Ip, interface: str | None = None) -> AddressRange | None:
        """Where a processor sees the registers of `ip` (behind `interface`, if named); None where it does not."""
        for span in self.ranges:
            if span.instance == ip.instance and span.is_register and interface in (None, span.interface):
                return span
        return None


def read_handoff(path: str | os.PathLike[str]) -> Handoff:
    """The hand-off at `path`; InputError names the file and what is wrong with it."""
    text = load_text(path, "hand-off")
    try:
        return parse_handoff(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_handoff(text: str) -> Handoff:
    """The values of a `.hwh` file's text."""
    root = parse_xml(text, "hand-off")
    system, modules = root.find("SYSTEMINFO"), root.find("MODULES")
    if root.tag != "EDKSYSTEM" or system is None or modules is None:
        raise InputError("this is no hand-off: it lacks EDKSYSTEM, SYSTEMINFO or MODULES")
    device, package, speed = (_attribute(system, name) for name in ("DEVICE", "PACKAGE", "SPEEDGRADE"))
    return Handoff(
        name=_attribute(system, "NAME"),
        architecture=_attribute(system, "ARCH"),
        board=system.get("BOARD"),
        part=Part.parse(f"{device}-{package}{speed}"),
        vivado=_attribute(root, "VIVADOVERSION"),
        timestamp=_attribute(root, "TIMESTAMP"),
        ips=tuple(_ip(element) for element in modules.iterfind("MODULE")),
        ranges=tuple(_range(element) for element in modules.iterfind("MODULE/MEMORYMAP/MEMRANGE")),
    )


def _attribute(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise InputError(f"a {element.tag[:40]} of the hand-off has no {name}")
    return value


def _ip(element: Element) -> Ip:
    return Ip(
        path=_attribute(element, "FULLNAME"),
        instance=_attribute(element, "INSTANCE"),
        kind=_attribute(element, "MODTYPE"),
        vlnv=element.get("VLNV", ""),
        parameters={_attribute(p, "NAME"): p.get("VALUE", "") for p in element.iterfind("PARAMETERS/PARAMETER")},
        blocks=tuple(_block(block) for block in element.iterfind("ADDRESSBLOCKS/ADDRESSBLOCK")),
        buses=tuple(
            Bus(_attribute(bus, "NAME"), _attribute(bus, "TYPE"), bus.get("VLNV", ""))
            for bus in element.iterfind("BUSINTERFACES/BUSINTERFACE")
        ),
    )


def _block(element: Element) -> AddressBlock:
    registers = []
    for register in element.iterfind("REGISTERS/REGISTER"):
        name = _attribute(register, "NAME")
        facts = {_attribute(fact, "NAME"): fact.get("VALUE", "") for fact in register.iterfind("PROPERTY")}
        offset, bits = (_whole(facts.get(key, ""), f"{key} of {name}") for key in ("ADDRESS_OFFSET", "SIZE"))
        registers.append(IpRegister(name, offset, bits))
    return AddressBlock(
        interface=_attribute(element, "INTERFACE"),
        size=_whole(element.get("RANGE", "0"), "RANGE of an address block"),
        registers=tuple(registers),
    )


def _range(element: Element) -> AddressRange:
    instance = _attribute(element, "INSTANCE")
    base, high = (_whole(_attribute(element, key), f"{key} of {instance}") for key in ("BASEVALUE", "HIGHVALUE"))
    return AddressRange(
        instance=instance,
        interface=element.get("SLAVEBUSINTERFACE", ""),
        master=element.get("MASTERBUSINTERFACE", ""),
        base=base,
        high=high,
        is_register=element.get("MEMTYPE") == "REGISTER",
    )


@dataclass(frozen=True)
class HeaderRegister:
    """One `_ADDR_` of a driver header: `bits` where a `_BITS_` goes with it, None for control words."""

    name: str
    offset: int
    bits: int | None = None

    @property
    def words(self) -> tuple[int, ...]:
        """The offsets of its 32-bit words: two for a 64-bit pointer, which takes 12 bytes with its gap.

        >>> HeaderRegister("WEIGHTS_DATA", 0x10, 64).words
        (16, 20)
        """
        return tuple(range(self.offset, self.offset + 4 * -(-(self.bits or 32) // 32), 4))


@dataclass(frozen=True)
class Bundle:
    """The registers of one AXI-Lite bundle; `comments` holds what the header says of each offset.

    `macros` are all its definitions by their full names: addresses, bits, and of memories base, width and depth.
    """

    name: str
    comments: tuple[tuple[int, str], ...]
    registers: tuple[HeaderRegister, ...]
    macros: Mapping[str, int] = field(repr=False)

    @property
    def has_ap_ctrl(self) -> bool:
        """Whether the bundle starts the design (AP_CTRL at 0x00)."""
        return any(register.name == "AP_CTRL" and register.offset == 0 for register in self.registers)

    @property
    def words(self) -> frozenset[int]:
        """The offsets of all words that hold something."""
        return frozenset(word for register in self.registers for word in register.words)


@dataclass(frozen=True)
class RegisterHeader:
    """A driver header `x<top>_hw.h`; designs may spread over two bundles, such as control and control_r."""

    tool: str
    version: str
    bundles: tuple[Bundle, ...]

    @property
    def has_ap_ctrl(self) -> bool:
        """Whether any bundle starts the design."""
        return any(bundle.has_ap_ctrl for bundle in self.bundles)

    def bundle(self, name: str) -> Bundle:
        """The bundle of that name, in any case."""
        for bundle in self.bundles:
            if bundle.name.lower() == name.lower():
                return bundle
        raise InputError(f"the header has no bundle {name!r}; it has {', '.join(b.name for b in self.bundles)[:200]}")


_TOOL = re.compile(r"// (Vivado\(TM\) HLS|Vitis HLS) - .* v([0-9]{4}\.[0-9](?:\.[0-9])?)\b.*")
_BUNDLE = re.compile(r"// ([A-Za-z_]\w*)")
_COMMENT = re.compile(r"// 0x([0-9a-f]{1,8}) : (.*\S)\s*")
_DEFINE = re.compile(r"#define (\w+)\s+(0x[0-9a-fA-F]{1,8}|[0-9]{1,9})\s*")


def read_header(path: str | os.PathLike[str]) -> RegisterHeader:
    """The driver header at `path`; InputError names the file and what is wrong with it."""
    text = load_text(path, "driver header")
    try:
        return parse_header(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_header(text: str) -> RegisterHeader:
    """The values of a driver header's text."""
    lines = text.split("\n")
    if lines[-1].strip():
        raise InputError("the driver header does not end with a newline: it was cut short")
    tool = next((match for line in lines[:10] if (match := _TOOL.fullmatch(line.rstrip()))), None)
    if tool is None:
        raise InputError("this is no driver header: no line '// Vivado(TM) HLS - ...' or '// Vitis HLS - ...'")
    starts = [i for i, line in enumerate(lines) if _starts_bundle(lines, i, line)]
    ends = [*starts[1:], len(lines)]
    bundles = tuple(_bundle(lines[start:end]) for start, end in zip(starts, ends, strict=False))
    if not bundles:
        raise InputError("the driver header describes no bundle of registers")
    return RegisterHeader(tool[1], tool[2], bundles)


def _starts_bundle(lines: list[str], i: int, line: str) -> bool:
    follows = lines[i + 1] if i + 1 < len(lines) else ""
    return bool(_BUNDLE.fullmatch(line.rstrip()) and _COMMENT.fullmatch(follows))


def _bundle(lines: list[str]) -> Bundle:
    name = lines[0][3:].strip()
    comments = tuple((int(match[1], 16), match[2]) for line in lines if (match := _COMMENT.fullmatch(line)))
    macros: dict[str, int] = {}
    for line in lines:
        if line.startswith("#define"):
            match = _DEFINE.fullmatch(line)
            if match is None or match[1] in macros:
                raise InputError(f"a definition names a number once, not {line.strip()[:80]!r}")
            macros[match[1]] = _whole(match[2], match[1])
    bundle = Bundle(name, comments, tuple(_registers(name, macros)), macros)
    memories = _memories(bundle)
    described = {offset for offset, text in comments if text != "reserved"}
    single = {word for word in bundle.words if not any(low <= word <= high for low, high in memories)}
    if not bundle.registers or described != single | {high for _, high in memories}:
        raise InputError(f"the comments of bundle {name} describe other words than its definitions")
    return bundle


def _memories(bundle: Bundle) -> list[tuple[int, int]]:
    """First and last byte of each memory in the bundle: X..._ADDR_<NAME>_BASE and _HIGH, with _WIDTH_ and _DEPTH_."""
    spans = []
    for macro, low in bundle.macros.items():
        if macro.endswith("_BASE"):
            prefix, _, name = macro[:-5].partition("_ADDR_")
            companions = (f"{prefix}_ADDR_{name}_HIGH", f"{prefix}_WIDTH_{name}", f"{prefix}_DEPTH_{name}")
            missing = [companion for companion in companions if companion not in bundle.macros]
            if missing:
                raise InputError(f"{macro} has no {missing[0]}")
            spans.append((low, bundle.macros[companions[0]]))
    return spans


def _registers(bundle: str, macros: Mapping[str, int]) -> Iterable[HeaderRegister]:
    """Registers in the order of the header: X<TOP>_<BUNDLE>_ADDR_<NAME>, with _BITS_<NAME> where there is one."""
    pattern = re.compile(rf"(X\w*_{re.escape(bundle.upper())})_ADDR_(\w+)")
    taken: dict[int, str] = {}
    for macro, offset in macros.items():
        match = pattern.fullmatch(macro)
        if match is None:
            continue
        register = HeaderRegister(match[2], offset, macros.get(f"{match[1]}_BITS_{match[2]}"))
        if register.bits is None and register.name.endswith(("_DATA", "AP_RETURN")):
            raise InputError(f"{macro} has no width: there is no {match[1]}_BITS_{match[2]}")
        if register.bits is not None and not 1 <= register.bits <= 4096:
            raise InputError(f"{macro} has 1 to 4096 bits, not {register.bits}")
        if not register.name.endswith("_HIGH"):
            for word in register.words:
                if word in taken:
                    raise InputError(f"{register.name} and {taken[word]} of {bundle} share the word at 0x{word:02x}")
                taken[word] = register.name
        yield register
