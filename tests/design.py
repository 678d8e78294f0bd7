"""A built overlay that never saw Vivado: a hand-off with the accelerator's registers, and a bitstream's header."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.sax.saxutils import quoteattr

from hardpoint.registers import REGISTERS, Register, offsets

BASES = {"zynq": 0x43C0_0000, "zynquplus": 0xA000_0000}
"""Where a processor sees the block, by architecture."""

SIZE = 0x1_0000
BLOCK = "hardpoint_top_0"
AXI = "xilinx.com:interface:aximm:1.0"


def write(folder: Path, registers: tuple[Register, ...] = REGISTERS, architecture: str = "zynq") -> Path:
    """Write `overlay.bit` and `overlay.hwh` into `folder`; returns the bitstream's path."""
    (folder / "overlay.hwh").write_text(handoff(registers, architecture), encoding="utf-8")
    (folder / "overlay.bit").write_bytes(bitstream())
    return folder / "overlay.bit"


def bitstream(data: bytes = bytes(range(64))) -> bytes:
    """A `.bit` file: its header's fields a to d, then 32-bit words of configuration."""
    out = struct.pack(">H9sH", 9, b"\x0f\xf0" * 4 + b"\0", 1)
    for key, text in (("a", "overlay;Version=2022.2"), ("b", "7z020clg400"), ("c", "2026/01/01"), ("d", "00:00:00")):
        field = text.encode() + b"\0"
        out += key.encode() + struct.pack(">H", len(field)) + field
    return out + b"e" + struct.pack(">I", len(data)) + data


def handoff(registers: tuple[Register, ...] = REGISTERS, architecture: str = "zynq") -> str:
    """A block design of a processor and the accelerator, with what readers of hand-offs look at."""
    zynq = architecture == "zynq"
    system = {"ARCH": architecture, "DEVICE": "7z020" if zynq else "zu3eg", "NAME": "overlay"}
    system |= {"PACKAGE": "clg400" if zynq else "sbva484", "SPEEDGRADE": "-1"}
    vlnv = "processing_system7:5.5" if zynq else "zynq_ultra_ps_e:3.4"
    master = "M_AXI_GP0" if zynq else "M_AXI_HPM0_FPD"
    modules = [
        _module(
            BLOCK,
            "hardpoint_top",
            "xilinx.com:hls:hardpoint_top:1.0",
            _blocks(registers) + _bus("s_axi_control", "SLAVE"),
        ),
        _module(
            "ps",
            vlnv.split(":")[0],
            f"xilinx.com:ip:{vlnv}",
            _clocks(zynq) + _bus(master, "MASTER") + _range(master, BASES[architecture]),
        ),
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n'
        '<EDKSYSTEM EDWVERSION="1.2" TIMESTAMP="Thu Jan  1 00:00:00 2026" VIVADOVERSION="2022.2">'
        f"<SYSTEMINFO {_attributes(system)}/><EXTERNALPORTS/><EXTERNALINTERFACES/>"
        f"<MODULES>{''.join(modules)}</MODULES></EDKSYSTEM>\n"
    )


def words(registers: tuple[Register, ...]) -> dict[str, tuple[int, str]]:
    """Name, offset and access of every 32-bit register; HLS lists a 64-bit pointer as NAME_1 and NAME_2."""
    table = {
        "CTRL": (0, "read-write"),
        "GIER": (4, "read-write"),
        "IP_IER": (8, "read-write"),
        "IP_ISR": (12, "read-write"),
    }
    at = offsets(registers)
    for register in registers:
        access = "read-only" if register.kind == "out" else "read-write"
        if register.kind == "pointer":
            table |= {f"{register.name}_{i + 1}": (at[register.name] + 4 * i, access) for i in range(2)}
        else:
            table[register.name] = (at[register.name], access)
    return table


def _attributes(table: dict[str, str]) -> str:
    return " ".join(f"{key}={quoteattr(value)}" for key, value in table.items())


def _property(name: str, value: str) -> str:
    return f"<PROPERTY NAME={quoteattr(name)} VALUE={quoteattr(value)}/>"


def _module(name: str, kind: str, vlnv: str, inside: str) -> str:
    head = {"FULLNAME": f"/{name}", "HWVERSION": "1.0", "INSTANCE": name, "IPTYPE": "PERIPHERAL", "IS_ENABLE": "1"}
    head |= {"MODCLASS": "PERIPHERAL", "MODTYPE": kind, "VLNV": vlnv}
    return f"<MODULE {_attributes(head)}>{inside}</MODULE>"


def _blocks(registers: tuple[Register, ...]) -> str:
    rows = []
    for name, (offset, access) in words(registers).items():
        facts = {"DESCRIPTION": name, "ADDRESS_OFFSET": str(offset), "SIZE": "32", "ACCESS": access}
        facts |= {"IS_ENABLED": "true", "RESET_VALUE": "0"}
        properties = "".join(_property(*item) for item in facts.items())
        rows.append(f"<REGISTER NAME={quoteattr(name)}>{properties}<FIELDS/></REGISTER>")
    block = {
        "ACCESS": "read-write",
        "INTERFACE": "s_axi_control",
        "NAME": "Reg",
        "RANGE": str(SIZE),
        "USAGE": "register",
    }
    return (
        f"<ADDRESSBLOCKS><ADDRESSBLOCK {_attributes(block)}><REGISTERS>{''.join(rows)}</REGISTERS></ADDRESSBLOCK>"
        "</ADDRESSBLOCKS><PARAMETERS/><PORTS/>"
    )


def _bus(name: str, role: str) -> str:
    facts = {"BUSNAME": "ps_axi", "DATAWIDTH": "32", "NAME": name, "TYPE": role, "VLNV": AXI}
    return f"<BUSINTERFACES><BUSINTERFACE {_attributes(facts)}><PORTMAPS/></BUSINTERFACE></BUSINTERFACES>"


def _range(master: str, base: int) -> str:
    facts = {"ADDRESSBLOCK": "Reg", "BASENAME": "C_S_AXI_CONTROL_BASEADDR", "BASEVALUE": f"0x{base:08X}"}
    facts |= {"HIGHNAME": "C_S_AXI_CONTROL_HIGHADDR", "HIGHVALUE": f"0x{base + SIZE - 1:08X}", "INSTANCE": BLOCK}
    facts |= {"IS_DATA": "TRUE", "IS_INSTRUCTION": "TRUE", "MASTERBUSINTERFACE": master, "MEMTYPE": "REGISTER"}
    facts |= {"SLAVEBUSINTERFACE": "s_axi_control"}
    return f"<MEMORYMAP><MEMRANGE {_attributes(facts)}/></MEMORYMAP><PERIPHERALS/>"


def _clocks(zynq: bool) -> str:
    """Four PL clocks, of which the first runs at 100 MHz, as the processor's parameters have them."""
    table = {}
    for i in range(4):
        if zynq:
            table |= {f"PCW_FPGA_FCLK{i}_ENABLE": str(int(i == 0)), f"PCW_FCLK{i}_PERIPHERAL_CLKSRC": "IO PLL"}
            table |= {f"PCW_FCLK{i}_PERIPHERAL_DIVISOR0": "5", f"PCW_FCLK{i}_PERIPHERAL_DIVISOR1": "2"}
        else:
            stem = f"PSU__CRL_APB__PL{i}_REF_CTRL__"
            table |= {
                f"PSU__FPGA_PL{i}_ENABLE": str(int(i == 0)),
                f"{stem}SRCSEL": "IOPLL",
                f"{stem}ACT_FREQMHZ": "100.0",
            }
            table |= {f"{stem}DIVISOR0": "15", f"{stem}DIVISOR1": "1"}
    rows = "".join(f"<PARAMETER NAME={quoteattr(key)} VALUE={quoteattr(value)}/>" for key, value in table.items())
    return f"<PARAMETERS>{rows}</PARAMETERS><PORTS/>"
