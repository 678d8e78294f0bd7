// ==============================================================
// Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2023.1 (64-bit)
// Tool Version Limit: 2023.05
// ==============================================================
// control
// 0x00 : reserved
// 0x04 : reserved
// 0x08 : reserved
// 0x0c : reserved
// 0x10 : Data signal of scale
//        bit 31~0 - scale[31:0] (Read/Write)
// 0x14 : reserved
// 0x40 ~
// 0x5f : Memory 'table' (8 * 32b)
//        Word n : bit [31:0] - table[n]
// (SC = Self Clear, COR = Clear on Read, TOW = Toggle on Write, COH = Clear on Handshake)

#define XWEAVE_CONTROL_ADDR_SCALE_DATA 0x10
#define XWEAVE_CONTROL_BITS_SCALE_DATA 32
#define XWEAVE_CONTROL_ADDR_TABLE_BASE 0x40
#define XWEAVE_CONTROL_ADDR_TABLE_HIGH 0x5f
#define XWEAVE_CONTROL_WIDTH_TABLE     32
#define XWEAVE_CONTROL_DEPTH_TABLE     8

// control_r
// 0x00 : Control signals
//        bit 0  - ap_start (Read/Write/COH)
// 0x04 : Global Interrupt Enable Register
// 0x08 : IP Interrupt Enable Register (Read/Write)
// 0x0c : IP Interrupt Status Register (Read/COR)
// 0x10 : Data signal of weights
//        bit 31~0 - weights[31:0] (Read/Write)
// 0x14 : Data signal of weights
//        bit 31~0 - weights[63:32] (Read/Write)
// 0x18 : reserved
// (SC = Self Clear, COR = Clear on Read, TOW = Toggle on Write, COH = Clear on Handshake)

#define XWEAVE_CONTROL_R_ADDR_AP_CTRL      0x00
#define XWEAVE_CONTROL_R_ADDR_GIE          0x04
#define XWEAVE_CONTROL_R_ADDR_IER          0x08
#define XWEAVE_CONTROL_R_ADDR_ISR          0x0c
#define XWEAVE_CONTROL_R_ADDR_WEIGHTS_DATA 0x10
#define XWEAVE_CONTROL_R_BITS_WEIGHTS_DATA 64
