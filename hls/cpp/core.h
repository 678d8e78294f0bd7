// The core's interface: one stream of tiles through the array. It knows neither layers nor networks.
//
// The same interface stands for this C++ (core.cpp), for the Verilog core as an RTL black box, and for its
// Verilated model in simulation.
#ifndef HARDPOINT_CORE_H
#define HARDPOINT_CORE_H

#include <hls_stream.h>

#include "taps.h"

namespace hardpoint {

// One step's operands: activation of row r at bits [r ACT_BITS, ...), above them the weights by column.
constexpr int BEAT_BITS = ROWS * ACT_BITS + COLS * WGT_BITS;
typedef ap_uint<BEAT_BITS> Beat;
// One row of finished sums: column c at bits [c ACC_BITS, ...). Output-stationary: a tile's rows leave last row first;
// weight-stationary: pixel by pixel.
constexpr int SUMS_BITS = COLS * ACC_BITS;
typedef ap_uint<SUMS_BITS> Sums;
// What the core counted: its cycles, whether it ran into its limit, then disagreeing votes per column.
typedef ap_uint<32> Count;
constexpr int COUNTS = 2 + COLS;
// Processing elements that are bypassed: bit r COLS + c stands for PE (r, c).
typedef ap_uint<ROWS * COLS> Bypass;

// Output-stationary: steps from one tile's first to the next one's, as its sums must have left before the next arrive.
inline ap_uint<32> period_of(const ap_uint<32> &steps) {
    return steps < ROWS ? ap_uint<32>(ROWS) : steps;
}

}  // namespace hardpoint

// Compute `tiles` tiles of `steps` steps each, a beat per step, as docs/fault-model.md numbers them. Output-stationary:
// `steps` is K. Weight-stationary: ROWS steps load weights, the others take a pixel each, and `passes` tiles add up to a sum.
// `signed_act`: activations are two's complement. `strike_count` strikes come sorted by time. After `limit` iterations the
// core gives up: it empties its inputs, yields zeros for what is missing and says so.
void hardpoint_engine(
    hls::stream<hardpoint::Beat> &beats,
    hls::stream<hardpoint::StrikeWord> &strikes,
    hls::stream<hardpoint::Sums> &sums,
    hls::stream<hardpoint::Count> &counts,
    ap_uint<32> tiles,
    ap_uint<32> steps,
    ap_uint<32> passes,
    ap_uint<1> signed_act,
    hardpoint::Bypass bypass,
    ap_uint<32> strike_count,
    ap_uint<32> limit);

#endif
