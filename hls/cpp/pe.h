// One processing element: multiply-accumulate split at its guard column, copies, voters, carry.
//
// All words stand in column coordinates: the copies keep their zeros below the guard column B, so that
// sums need no shifts and a mask's bit b is column b everywhere.
#ifndef HARDPOINT_PE_H
#define HARDPOINT_PE_H

#include "taps.h"

namespace hardpoint {

template <class T>
T majority(const T &a, const T &b, const T &c) {
#pragma HLS INLINE
    return (a & b) | (a & c) | (b & c);
}

// The constant that completes the partial products of an activation (signed or not) and a signed weight
// (Baugh and Wooley, IEEE Trans. Computers C-22, 1973).
constexpr long long baugh_wooley_constant(bool sgn) {
    return -(1LL << (ACT_BITS + WGT_BITS - 1)) + (1LL << (WGT_BITS - 1)) + (sgn ? 1LL << (ACT_BITS - 1) : 0);
}

// What a PE stores: copy 0 is {hi_0, lo}; copies 1 and 2 are hi_1 and hi_2.
struct Registers {
    Act a[3];
    Wgt w[3];
    Acc acc[3];
    Acc drain[3];
};

template <class Guard>
struct Pe {
    static constexpr int B = Guard::column(ACC_BITS);
    static constexpr unsigned long long ALL = (1ULL << ACC_BITS) - 1;
    static constexpr unsigned long long LOW = (1ULL << B) - 1;
    static constexpr unsigned long long HIGH = ALL & ~LOW;
    static constexpr unsigned long long CARRY_COLUMNS = ((1ULL << Guard::CARRY_BITS) - 1) << B;
    static_assert(B <= ACC_BITS, "a guard column lies inside the accumulator");

    // The partial products below B, exact, and those from B on modulo 2^ACC_BITS.
    static void products(const Act &a, const Wgt &w, bool sgn, Wide &low, Acc &high) {
#pragma HLS INLINE
        const long long constant = sgn ? baugh_wooley_constant(true) : baugh_wooley_constant(false);
        low = Wide(constant & LOW);
        high = Acc(constant & HIGH);
        const Act sign = sgn ? Act(1) << (ACT_BITS - 1) : Act(0);
        for (int i = 0; i < WGT_BITS; ++i) {
#pragma HLS UNROLL
            const Act row = (((w >> i) & 1) != 0 ? a : Act(0)) ^ sign ^ (i == WGT_BITS - 1 ? Act((1 << ACT_BITS) - 1) : Act(0));
            const Wide shifted = Wide(row) << i;
            low += shifted & Wide(LOW);
            high += Acc(shifted) & Acc(HIGH);
        }
        if (B == ACC_BITS) low &= Wide(LOW);  // nothing above takes the overflow
    }

    // V_i of the present registers, one voter per copy.
    static void votes(const Registers &pe, const Taps &taps, Acc vote[3]) {
#pragma HLS INLINE
        for (int i = 0; i < Guard::COPIES; ++i) {
#pragma HLS UNROLL
            const Acc value = Guard::COPIES == 1 ? Acc(0) : majority(pe.acc[0], pe.acc[1], pe.acc[2]);
            vote[i] = struck(Acc(value & Acc(HIGH)), taps.at[VOTE][i]) & Acc(HIGH);
        }
    }

    // Whether the copies of the accumulator differ.
    static bool disagree(const Registers &pe) {
#pragma HLS INLINE
        if (Guard::COPIES == 1) return false;
        return ((pe.acc[0] ^ pe.acc[1]) & Acc(HIGH)) != 0 || ((pe.acc[0] ^ pe.acc[2]) & Acc(HIGH)) != 0;
    }

    // One step on the operand registers a, w; `first` starts a new sum.
    static void step(Registers &pe, const Taps &taps, bool sgn, bool first) {
#pragma HLS INLINE
        Acc vote[3] = {0, 0, 0};
        if (!first) votes(pe, taps, vote);

        Wide low;
        Acc high[3];
        if (Guard::OPERAND_LANES == 3) {
            Acc unused_high;
            Wide unused_low;
            products(majority(pe.a[0], pe.a[1], pe.a[2]), majority(pe.w[0], pe.w[1], pe.w[2]), sgn, low, unused_high);
            for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
                products(pe.a[i], pe.w[i], sgn, unused_low, high[i]);
            }
        } else {
            products(pe.a[0], pe.w[0], sgn, low, high[0]);
            high[1] = high[2] = high[0];
        }

        const Acc low_columns = struck(Acc(low), taps.at[MUL][0]) & Acc(LOW);
        const Wide overhang = struck(low, taps.at[MUL][OVERHANG]) & Wide(CARRY_COLUMNS);
        const Wide t = Wide(first ? Acc(0) : Acc(pe.acc[0] & Acc(LOW))) + Wide(low_columns) + overhang;
        const Wide carry = struck(Wide(t & Wide(CARRY_COLUMNS)), taps.at[CARRY][0]) & Wide(CARRY_COLUMNS);

        const Acc lo = struck(Acc(t), taps.at[ACC][0]) & Acc(LOW);
        for (int i = 0; i < Guard::COPIES; ++i) {
#pragma HLS UNROLL
            const Acc product = struck(high[i], taps.at[MUL][i]) & Acc(HIGH);
            const Acc sum = vote[i] + product + Acc(carry);
            pe.acc[i] = struck(sum, taps.at[ACC][i]) & Acc(HIGH);
        }
        pe.acc[0] = Guard::COPIES == 1 ? lo : Acc(pe.acc[0] | lo);
    }

    // Lanes that the drain registers are to take from the finished accumulator.
    static void finished(const Registers &pe, const Taps &taps, Acc lanes[3]) {
#pragma HLS INLINE
        Acc vote[3] = {0, 0, 0};
        votes(pe, taps, vote);
        lanes[0] = Acc(pe.acc[0] & Acc(LOW)) | vote[0];
        lanes[1] = vote[1];
        lanes[2] = vote[2];
    }
};

}  // namespace hardpoint

#endif
