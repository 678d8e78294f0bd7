"""Devices (emulator, C++ core, Verilated RTL, Zynq), driver and campaigns; the only home of pynq."""
