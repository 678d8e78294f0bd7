// The core in C++: simulation model, C model of the black box, and what is synthesised where core = "hls".
#include "core.h"

#include "array.h"

using namespace hardpoint;

namespace {

// Where the stream of tiles stands: step `k` of tile `tile`, and drain step `d` of an earlier tile.
struct Position {
    ap_uint<48> when;
    ap_uint<32> tile, k, drained, d;
    bool draining;
};

void advance(Position &at, const ap_uint<32> &steps, const ap_uint<32> &period) {
#pragma HLS INLINE
    ++at.when;
    if (at.draining) {
        if (at.d == ROWS - 1) {
            at.draining = false;
            ++at.drained;
        } else {
            ++at.d;
        }
    }
    const bool turn = at.k == period - 1;
    if (at.k + 1 == steps) {
        at.draining = true;
        at.d = 0;
    }
    at.tile += turn;
    at.k = turn ? ap_uint<32>(0) : ap_uint<32>(at.k + 1);
}

void load(Array &array, const Strike &strike) {
#pragma HLS INLINE
    if (strike.row < ROWS && strike.col < COLS && strike.site < SITES)
        load(array.taps[int(strike.row)][int(strike.col)].at[int(strike.site)][int(strike.copy)], strike);
}

void compute(Array &array, hls::stream<Beat> &beats, bool sgn, bool first) {
#pragma HLS INLINE
    const Beat beat = beats.read();
    Act act[ROWS];
    Wgt wgt[COLS];
    for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
        act[r] = beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS);
    }
    for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
        const int low = ROWS * ACT_BITS + c * WGT_BITS;
        wgt[c] = beat.range(low + WGT_BITS - 1, low);
    }
    step(array, act, wgt, sgn, first);
}

void leave(const Array &array, hls::stream<Sums> &sums, Count votes[COLS]) {
#pragma HLS INLINE
    Sums row = 0;
    for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
        row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS) = leaving(array, c);
        votes[c] += disagrees_leaving(array, c);
    }
    sums.write(row);
}

}  // namespace

void hardpoint_engine(
    hls::stream<Beat> &beats,
    hls::stream<StrikeWord> &strikes,
    hls::stream<Sums> &sums,
    hls::stream<Count> &counts,
    ap_uint<32> tiles,
    ap_uint<32> steps,
    ap_uint<1> signed_act,
    ap_uint<32> strike_count,
    ap_uint<32> limit) {
    Array array;
#pragma HLS ARRAY_PARTITION variable=array.pe complete dim=0
#pragma HLS ARRAY_PARTITION variable=array.taps complete dim=0
    Count votes[COLS];
#pragma HLS ARRAY_PARTITION variable=votes complete
    reset(array);
    for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
        votes[c] = 0;
    }

    const ap_uint<32> period = period_of(steps);
    Position at = {0, 0, 0, 0, 0, false};
    Strike strike = {};
    bool loaded = false, struck_now = false;
    ap_uint<32> taken = 0, cycles = 0;
    ap_uint<48> fed = 0, left = 0;  // beats read, rows of sums written
    // An iteration loads one mask word or takes one step of the whole array.
    for (ap_uint<32> i = 0; i < limit && at.drained < tiles; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=64 max=1000000
        if (!loaded && taken < strike_count) {
            strike = unpack(strikes.read());
            loaded = true;
            ++taken;
        }
        if (loaded && strike.when <= at.when) {
            load(array, strike);
            loaded = false;
            struck_now = true;
            continue;
        }
        const bool computing = at.tile < tiles && at.k < steps;
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            if ((computing && at.k != 0) || (at.draining && at.d == 0)) votes[c] += disagreements(array, c);
        }
        if (at.draining) {
            drain(array, int(at.d));
            leave(array, sums, votes);
            ++left;
        }
        if (computing) {
            compute(array, beats, signed_act, at.k == 0);
            ++fed;
        }
        if (struck_now) {
            for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
                for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
                    clear_flips(array.taps[r][c]);
                }
            }
            struck_now = false;
        }
        ++cycles;
        advance(at, steps, period);
    }

    // After a time-out neighbours must not wait for ever.
    for (ap_uint<48> i = fed; i < ap_uint<48>(tiles) * steps; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=0 max=0
        beats.read();
    }
    for (ap_uint<48> i = left; i < ap_uint<48>(tiles) * ROWS; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=0 max=0
        sums.write(0);
    }
    for (ap_uint<32> i = taken; i < strike_count; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=0 max=0
        strikes.read();
    }
    counts.write(cycles);
    counts.write(at.drained < tiles);
    for (int c = 0; c < COLS; ++c) counts.write(votes[c]);
}
