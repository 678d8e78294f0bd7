// The core in C++: simulation model, C model of the black box, and what is synthesised where core = "hls".
#include "core.h"

#include "output_stationary.h"
#include "play.h"
#include "weight_stationary.h"

using namespace hardpoint;

namespace {

void load(Array &array, const Strike &strike) {
#pragma HLS INLINE
    if (strike.row < SITE_ROWS && strike.col < COLS && strike.site < SITES)
        load(array.taps[int(strike.row)][int(strike.col)].at[int(strike.site)][int(strike.copy)], strike);
}

}  // namespace

void hardpoint_engine(
    hls::stream<Beat> &beats,
    hls::stream<StrikeWord> &strikes,
    hls::stream<Sums> &sums,
    hls::stream<Count> &counts,
    ap_uint<32> tiles,
    ap_uint<32> steps,
    ap_uint<32> passes,
    ap_uint<1> signed_act,
    Bypass bypass,
    ap_uint<32> strike_count,
    ap_uint<32> limit) {
    Array array;
    Dataflow flow;
    Count votes[COLS];
#pragma HLS ARRAY_PARTITION variable=array.pe complete dim=0
#pragma HLS ARRAY_PARTITION variable=array.taps complete dim=0
#pragma HLS ARRAY_PARTITION variable=array.bypassed complete dim=0
#pragma HLS ARRAY_PARTITION variable=votes complete
    const Shape shape = {tiles, steps, passes, signed_act != 0};
    reset(array, bypass);
    flow.start();
    for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
        votes[c] = 0;
    }

    Player player = {};
    player.start(strike_count);
    ap_uint<32> cycles = 0;
    ap_uint<48> fed = 0, left = 0;  // beats read, rows of sums written
    // An iteration loads one mask word or takes one step of the whole array.
    for (ap_uint<32> i = 0; i < limit && !flow.finished(shape); ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=64 max=1000000
        if (player.due(strikes, flow.when)) {
            load(array, player.strike);
            continue;
        }
        flow.step(array, shape, beats, sums, votes, fed, left);
        if (player.struck) {
            clear_flips(array);
            player.struck = false;
        }
        ++cycles;
    }

    skip(beats, ap_uint<48>(tiles) * steps - fed);
    pad(sums, Dataflow::rows_of_sums(shape) - left);
    skip(strikes, strike_count - player.taken);
    counts.write(cycles);
    counts.write(!flow.finished(shape));
    for (int c = 0; c < COLS; ++c) counts.write(votes[c]);
}
