// The systolic array: how operands, finished sums and their lanes pass from one PE to the next.
#ifndef HARDPOINT_ARRAY_H
#define HARDPOINT_ARRAY_H

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
    Taps taps[ROWS][COLS];

    static int guard_class(int r, int c) { return CLASS_OF[r][c]; }
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

// The same, column by column: `three_sent` and `three` are the columns with three lanes.
inline void pass_sum(const Acc sent[3], const Acc &three_sent, const Acc &three, Acc taken[3]) {
#pragma HLS INLINE
    const Acc voted = (majority(sent[0], sent[1], sent[2]) & three_sent) | (sent[0] & ~three_sent);
    Acc lanes[3];
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        lanes[i] = ((sent[i] & three_sent) | (sent[0] & ~three_sent)) & three;
    }
    taken[0] = lanes[0] | (voted & ~three);
    taken[1] = lanes[1];
    taken[2] = lanes[2];
}

inline void strike_drain(Registers &pe, const Taps &taps) {
#pragma HLS INLINE
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        pe.drain[i] = struck(pe.drain[i], taps.at[DRAIN][i]) & Acc(Pe<guard::None>::ALL);
    }
}

inline void reset(Array &array) {
    for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            clear(array.taps[r][c]);
            for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
                array.pe[r][c].acc[i] = 0;
                array.pe[r][c].drain[i] = 0;
            }
        }
    }
}

// One step of every PE on the operands at the array's left and upper edge.
inline void step(Array &array, const Act act[ROWS], const Wgt wgt[COLS], bool sgn, bool first) {
#pragma HLS INLINE
    for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            const int guard = Array::guard_class(r, c);
            const bool three = THREE_OPERANDS[guard];
            Registers &pe = array.pe[r][c];
            const Taps &taps = array.taps[r][c];
            const Act left[3] = {act[r], act[r], act[r]};
            const Wgt above[3] = {wgt[c], wgt[c], wgt[c]};
            if (c == 0) pass_operand<ACT_BITS>(left, false, taps.at[ACT], three, pe.a);
            else pass_operand<ACT_BITS>(array.pe[r][c - 1].a, THREE_OPERANDS[Array::guard_class(r, c - 1)], taps.at[ACT], three, pe.a);
            if (r == 0) pass_operand<WGT_BITS>(above, false, taps.at[WGT], three, pe.w);
            else pass_operand<WGT_BITS>(array.pe[r - 1][c].w, THREE_OPERANDS[Array::guard_class(r - 1, c)], taps.at[WGT], three, pe.w);
            switch (guard) {
                case 1: Pe<Guard1>::step(pe, taps, sgn, first); break;
                case 2: Pe<Guard2>::step(pe, taps, sgn, first); break;
                default: Pe<Guard0>::step(pe, taps, sgn, first); break;
            }
        }
    }
}

// Drain step d: d = 0 hands the finished sums over, d > 0 shifts them down by one row.
inline void drain(Array &array, int d) {
#pragma HLS INLINE
    for (int r = ROWS - 1; r >= 0; --r) {
#pragma HLS UNROLL
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            const int guard = Array::guard_class(r, c);
            Registers &pe = array.pe[r][c];
            const Taps &taps = array.taps[r][c];
            const Acc three = DRAIN_COLUMNS[guard];
            Acc sent[3] = {0, 0, 0};
            if (d == 0) {
                switch (guard) {
                    case 1: Pe<Guard1>::finished(pe, taps, sent); break;
                    case 2: Pe<Guard2>::finished(pe, taps, sent); break;
                    default: Pe<Guard0>::finished(pe, taps, sent); break;
                }
                pe.drain[0] = sent[0];
                pe.drain[1] = sent[1] & three;
                pe.drain[2] = sent[2] & three;
                strike_drain(pe, taps);
            } else if (r >= d) {
                pass_sum(array.pe[r - 1][c].drain, DRAIN_COLUMNS[Array::guard_class(r - 1, c)], three, pe.drain);
                strike_drain(pe, taps);
            }
        }
    }
}

// The sum that leaves column c at the array's lower edge, voted.
inline Acc leaving(const Array &array, int c) {
#pragma HLS INLINE
    Acc sum[3];
    pass_sum(array.pe[ROWS - 1][c].drain, DRAIN_COLUMNS[Array::guard_class(ROWS - 1, c)], Acc(0), sum);
    return sum[0];
}

// Votes that disagree in column c: of accumulators that are read in this step, and of leaving sums.
inline int disagreements(const Array &array, int c) {
#pragma HLS INLINE
    int count = 0;
    for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
        switch (Array::guard_class(r, c)) {
            case 1: count += Pe<Guard1>::disagree(array.pe[r][c]); break;
            case 2: count += Pe<Guard2>::disagree(array.pe[r][c]); break;
            default: count += Pe<Guard0>::disagree(array.pe[r][c]); break;
        }
    }
    return count;
}

inline bool disagrees_leaving(const Array &array, int c) {
#pragma HLS INLINE
    const Registers &pe = array.pe[ROWS - 1][c];
    const Acc three = DRAIN_COLUMNS[Array::guard_class(ROWS - 1, c)];
    return (((pe.drain[0] ^ pe.drain[1]) | (pe.drain[0] ^ pe.drain[2])) & three) != 0;
}

}  // namespace hardpoint

#endif
