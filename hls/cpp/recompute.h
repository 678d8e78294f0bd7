// The recompute unit's interface: dot products of listed neurons, several products per step, beside the array.
//
// The same interface stands for this C++ (recompute.cpp) and for the Verilog unit as an RTL black box. It knows neither
// lists nor layers.
#ifndef HARDPOINT_RECOMPUTE_H
#define HARDPOINT_RECOMPUTE_H

#include <hls_stream.h>

#include "core.h"

namespace hardpoint {

constexpr int LANES = UNIT_LANES > 0 ? UNIT_LANES : 1;
constexpr int UNIT_ROW = 254;  // the unit's place in a strike; the column is the lane
// One step's operands: activation of lane j at bits [j ACT_BITS, ...), above them the weights by lane.
typedef ap_uint<LANES * (ACT_BITS + WGT_BITS)> UnitBeat;
typedef ap_uint<ACC_BITS> UnitSum;
constexpr int UNIT_COUNTS = 3;  // cycles, whether it ran into its limit, disagreeing votes

}  // namespace hardpoint

// Compute `neurons` sums of `steps` steps each, a beat per step; a neuron takes a step more, in which its sum is voted and
// stored. Strikes, `signed_act` and `limit` as in core.h; `when` of a strike is neuron * (steps + 1) + step.
void hardpoint_recompute(
    hls::stream<hardpoint::UnitBeat> &beats,
    hls::stream<hardpoint::StrikeWord> &strikes,
    hls::stream<hardpoint::UnitSum> &sums,
    hls::stream<hardpoint::Count> &counts,
    ap_uint<32> neurons,
    ap_uint<32> steps,
    ap_uint<1> signed_act,
    ap_uint<32> strike_count,
    ap_uint<32> limit);

#endif
