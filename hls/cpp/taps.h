// Where faults strike: one mask per site and copy, in column coordinates (bit b weighs 2^b).
#ifndef HARDPOINT_TAPS_H
#define HARDPOINT_TAPS_H

#include "hardpoint_config.h"
#include "integers.h"

namespace hardpoint {

// Words of the datapath. Wide has room above the accumulator for the carry of a low part that ends at its top, the sum of
// a recompute unit's lanes included.
// The datapath masks every word to its columns, so that HARDPOINT_PLAIN may take machine words instead: the same
// results, faster to simulate.
#ifdef HARDPOINT_PLAIN
typedef unsigned Act, Wgt, Acc;
typedef unsigned long long Wide;
#else
typedef ap_uint<ACT_BITS> Act;
typedef ap_uint<WGT_BITS> Wgt;
typedef ap_uint<ACC_BITS> Acc;
typedef ap_uint<ACC_BITS + (UNIT_LANES > 0 ? 10 : 4)> Wide;
#endif

// Sites of a PE. A weight-stationary array has a row of them more, its accumulator row.
enum Site { ACT, WGT, MUL, CARRY, VOTE, ACC, DRAIN, SITES };
constexpr int COPIES = 4;     // three copies; of MUL also the low part's own bits from the guard column on
constexpr int OVERHANG = 3;   // the copy number of those

struct Mask {
    Wide flip, keep, force;
};

struct Taps {
    Mask at[SITES][COPIES];
};

// One strike: load a word into a mask of PE (row, col) before step `when` of the stream of tiles.
// `when` = tile * period + step; the period is max(K, ROWS), weight-stationary ROWS + pixels.
typedef ap_uint<128> StrikeWord;
enum Kind { FLIP, KEEP, FORCE };

struct Strike {
    ap_uint<48> when;
    ap_uint<2> kind, copy;
    ap_uint<4> site;
    ap_uint<8> row, col;
    Wide data;
};

inline Strike unpack(const StrikeWord &word) {
    Strike strike;
    strike.when = word.range(47, 0);
    strike.kind = word.range(49, 48);
    strike.site = word.range(52, 50) | ap_uint<4>(word[55]) << 3;
    strike.copy = word.range(54, 53);
    strike.data = word.range(103, 64);
    strike.row = word.range(111, 104);
    strike.col = word.range(119, 112);
    return strike;
}

// Strikes of one list in memory, two words each.
struct Span {
    unsigned from, count;
};

inline StrikeWord word_at(const unsigned long long *strikes, const Span &span, unsigned i) {
#pragma HLS INLINE
    StrikeWord word = 0;
    word.range(63, 0) = strikes[span.from + 2 * i];
    word.range(127, 64) = strikes[span.from + 2 * i + 1];
    return word;
}

inline Strike strike_at(const unsigned long long *strikes, const Span &span, unsigned i) {
#pragma HLS INLINE
    return unpack(word_at(strikes, span, i));
}

inline void clear(Taps &taps) {
    for (int s = 0; s < SITES; ++s) {
#pragma HLS UNROLL
        for (int i = 0; i < COPIES; ++i) {
#pragma HLS UNROLL
            taps.at[s][i].flip = 0;
            taps.at[s][i].keep = ~Wide(0);
            taps.at[s][i].force = 0;
        }
    }
}

// A flip lives one step; stuck bits stay.
inline void clear_flips(Taps &taps) {
    for (int s = 0; s < SITES; ++s) {
#pragma HLS UNROLL
        for (int i = 0; i < COPIES; ++i) {
#pragma HLS UNROLL
            taps.at[s][i].flip = 0;
        }
    }
}

inline void load(Mask &mask, const Strike &strike) {
    if (strike.kind == FLIP) mask.flip = strike.data;
    if (strike.kind == KEEP) mask.keep = strike.data;
    if (strike.kind == FORCE) mask.force = strike.data;
}

// The value as struck in this step. Flips act before stuck bits; stuck at 1 wins over stuck at 0.
template <class T>
T struck(const T &value, const Mask &mask) {
#pragma HLS INLINE
    return ((value ^ T(mask.flip)) & T(mask.keep)) | T(mask.force);
}

}  // namespace hardpoint

#endif
