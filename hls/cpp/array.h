// The systolic array: its registers and taps, and how operands and their lanes pass from one PE to the next.
#ifndef HARDPOINT_ARRAY_H
#define HARDPOINT_ARRAY_H

#include "core.h"
#include "pe.h"

namespace hardpoint {

// Columns whose drain register has three lanes, and whether operand registers do, by guard class.
constexpr unsigned long long DRAIN_COLUMNS[3] = {
    Guard0::DRAIN_LANES == 3 ? Pe<Guard0>::HIGH : 0,
    Guard1::DRAIN_LANES == 3 ? Pe<Guard1>::HIGH : 0,
    Guard2::DRAIN_LANES == 3 ? Pe<Guard2>::HIGH : 0,
};
constexpr bool THREE_OPERANDS[3] = {
    Guard0::OPERAND_LANES == 3, Guard1::OPERAND_LANES == 3, Guard2::OPERAND_LANES == 3};

struct Array {
    Registers pe[ROWS][COLS];
    Taps taps[SITE_ROWS][COLS];
    bool bypassed[ROWS][COLS];
};

// What a stream of tiles is made of: core.h says what `steps` and `passes` mean.
struct Shape {
    ap_uint<32> tiles, steps, passes;
    bool sgn;
};

// What a receiver takes from a sender's operand lanes: lane by lane, or the majority, or the only one.
template <int BITS, class T>
void pass_operand(const T sent[3], bool three_sent, const Mask mask[COPIES], bool three, T taken[3]) {
#pragma HLS INLINE
    const T one = three_sent ? majority(sent[0], sent[1], sent[2]) : sent[0];
    T lanes[3] = {one, one, one};
    if (three && three_sent) {
        lanes[0] = sent[0];
        lanes[1] = sent[1];
        lanes[2] = sent[2];
    }
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        taken[i] = struck(lanes[i], mask[i]) & T((1 << BITS) - 1);
    }
}

// The activation register of PE (r, c) takes what its left neighbour holds, or what enters at the edge.
inline void pass_act(Array &array, int r, int c, const Act &entering) {
#pragma HLS INLINE
    const bool three = THREE_OPERANDS[CLASS_OF[r][c]];
    const Act edge[3] = {entering, entering, entering};
    const Mask *mask = array.taps[r][c].at[ACT];
    if (c == 0) pass_operand<ACT_BITS>(edge, false, mask, three, array.pe[r][c].a);
    else pass_operand<ACT_BITS>(array.pe[r][c - 1].a, THREE_OPERANDS[CLASS_OF[r][c - 1]], mask, three, array.pe[r][c].a);
}

// The weight register of PE (r, c) takes what its neighbour above holds, or what enters at the edge.
inline void pass_wgt(Array &array, int r, int c, const Wgt &entering) {
#pragma HLS INLINE
    const bool three = THREE_OPERANDS[CLASS_OF[r][c]];
    const Wgt edge[3] = {entering, entering, entering};
    const Mask *mask = array.taps[r][c].at[WGT];
    if (r == 0) pass_operand<WGT_BITS>(edge, false, mask, three, array.pe[r][c].w);
    else pass_operand<WGT_BITS>(array.pe[r - 1][c].w, THREE_OPERANDS[CLASS_OF[r - 1][c]], mask, three, array.pe[r][c].w);
}

// PE (r, c) multiplies what its operand registers hold and adds it to `from`.
inline void multiply(Array &array, int r, int c, bool sgn, const Acc from[3], bool first, bool bypassed) {
#pragma HLS INLINE
    Registers &pe = array.pe[r][c];
    const Taps &taps = array.taps[r][c];
    switch (CLASS_OF[r][c]) {
        case 1: Pe<Guard1>::step(pe.a, pe.w, sgn, from, first, bypassed, taps, pe.acc); break;
        case 2: Pe<Guard2>::step(pe.a, pe.w, sgn, from, first, bypassed, taps, pe.acc); break;
        default: Pe<Guard0>::step(pe.a, pe.w, sgn, from, first, bypassed, taps, pe.acc); break;
    }
}

// Whether the copies of a sum of guard class `guard` differ.
inline bool disagree(int guard, const Acc sum[3]) {
#pragma HLS INLINE
    switch (guard) {
        case 1: return Pe<Guard1>::disagree(sum);
        case 2: return Pe<Guard2>::disagree(sum);
        default: return Pe<Guard0>::disagree(sum);
    }
}

inline void reset(Array &array, const Bypass &bypass) {
    for (int r = 0; r < SITE_ROWS; ++r) {
#pragma HLS UNROLL
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            clear(array.taps[r][c]);
        }
    }
    for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            array.bypassed[r][c] = bypass[r * COLS + c];
            for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
                array.pe[r][c].a[i] = 0;
                array.pe[r][c].w[i] = 0;
                array.pe[r][c].acc[i] = 0;
                array.pe[r][c].drain[i] = 0;
            }
        }
    }
}

inline void clear_flips(Array &array) {
    for (int r = 0; r < SITE_ROWS; ++r) {
#pragma HLS UNROLL
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            clear_flips(array.taps[r][c]);
        }
    }
}

// Operands of a step, as they come to the array's left and upper edge.
struct Edge {
    Act act[ROWS];
    Wgt wgt[COLS];
};

inline Edge operands_of(const Beat &beat) {
#pragma HLS INLINE
    Edge edge;
    for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
        edge.act[r] = beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS);
    }
    for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
        const int low = ROWS * ACT_BITS + c * WGT_BITS;
        edge.wgt[c] = beat.range(low + WGT_BITS - 1, low);
    }
    return edge;
}

}  // namespace hardpoint

#endif
