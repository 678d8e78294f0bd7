// One processing element: multiply-accumulate split at its guard column, copies, voters, carry.
//
// All words stand in column coordinates: the copies keep their zeros below the guard column B, so that
// sums need no shifts and a mask's bit b is column b everywhere. A sum in its registers is three words: copy 0 is
// {hi_0, lo}; copies 1 and 2 are hi_1 and hi_2.
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

constexpr unsigned long long ALL_COLUMNS = (1ULL << ACC_BITS) - 1;

// What a PE stores.
struct Registers {
    Act a[3];
    Wgt w[3];
    Acc acc[3];
    Acc drain[3];
};

// The partial products below column B, exact, and those from B on modulo 2^ACC_BITS.
template <int B>
void products(const Act &a, const Wgt &w, bool sgn, Wide &low, Acc &high) {
#pragma HLS INLINE
    constexpr unsigned long long LOW = (1ULL << B) - 1, HIGH = ALL_COLUMNS & ~LOW;
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

// Guarded columns (guard::Columns) or none (guard::None).
template <class Guard>
struct Pe {
    static constexpr int B = Guard::column(ACC_BITS);
    static constexpr unsigned long long LOW = (1ULL << B) - 1;
    static constexpr unsigned long long HIGH = ALL_COLUMNS & ~LOW;
    static constexpr unsigned long long CARRY_COLUMNS = ((1ULL << Guard::CARRY_BITS) - 1) << B;
    static constexpr unsigned long long CARRY_OF_SUMS = Guard::CARRY_BITS > 0 ? 1ULL << B : 0;
    static_assert(B <= ACC_BITS, "a guard column lies inside the accumulator");

    // V_i of a sum, one voter per copy.
    static void votes(const Acc sum[3], const Taps &taps, Acc vote[3]) {
#pragma HLS INLINE
        for (int i = 0; i < Guard::COPIES; ++i) {
#pragma HLS UNROLL
            const Acc value = Guard::COPIES == 1 ? Acc(0) : majority(sum[0], sum[1], sum[2]);
            vote[i] = struck(Acc(value & Acc(HIGH)), taps.at[VOTE][i]) & Acc(HIGH);
        }
    }

    // Whether the copies of a sum differ.
    static bool disagree(const Acc sum[3]) {
#pragma HLS INLINE
        if (Guard::COPIES == 1) return false;
        return ((sum[0] ^ sum[1]) & Acc(HIGH)) != 0 || ((sum[0] ^ sum[2]) & Acc(HIGH)) != 0;
    }

    // `to` = `from` + a w, from operand lanes; `first` starts a new sum, a bypassed product counts as zero.
    static void step(
        const Act a[3], const Wgt w[3], bool sgn, const Acc from[3], bool first, bool bypassed, const Taps &taps, Acc to[3]) {
#pragma HLS INLINE
        Wide low;
        Acc high[3];
        if (Guard::OPERAND_LANES == 3) {
            Acc unused_high;
            Wide unused_low;
            products<B>(majority(a[0], a[1], a[2]), majority(w[0], w[1], w[2]), sgn, low, unused_high);
            for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
                products<B>(a[i], w[i], sgn, unused_low, high[i]);
            }
        } else {
            products<B>(a[0], w[0], sgn, low, high[0]);
            high[1] = high[2] = high[0];
        }
        add(low, high, from, first, bypassed, taps, to);
    }

    // `to` = `from` + {PH_i, PL}.
    static void add(const Wide &low, const Acc high[3], const Acc from[3], bool first, bool bypassed, const Taps &taps, Acc to[3]) {
#pragma HLS INLINE
        Acc vote[3] = {0, 0, 0};
        if (!first) votes(from, taps, vote);
        const Acc low_columns = bypassed ? Acc(0) : Acc(struck(Acc(low), taps.at[MUL][0]) & Acc(LOW));
        const Wide overhang = bypassed ? Wide(0) : Wide(struck(low, taps.at[MUL][OVERHANG]) & Wide(CARRY_COLUMNS));
        const Wide t = Wide(first ? Acc(0) : Acc(from[0] & Acc(LOW))) + Wide(low_columns) + overhang;
        const Wide carry = bypassed ? Wide(0) : Wide(struck(Wide(t & Wide(CARRY_COLUMNS)), taps.at[CARRY][0]) & Wide(CARRY_COLUMNS));

        const Acc lo = struck(Acc(t), taps.at[ACC][0]) & Acc(LOW);
        for (int i = 0; i < Guard::COPIES; ++i) {
#pragma HLS UNROLL
            const Acc product = bypassed ? Acc(0) : Acc(struck(high[i], taps.at[MUL][i]) & Acc(HIGH));
            const Acc sum = vote[i] + product + Acc(carry);
            to[i] = struck(sum, taps.at[ACC][i]) & Acc(HIGH);
        }
        to[0] = Guard::COPIES == 1 ? lo : Acc(to[0] | lo);
    }

    // `to` = `from` + `word`, two sums in their copies; for the `first` of a sum the word counts as zero.
    static void accumulate(const Acc from[3], const Acc word[3], bool first, const Taps &taps, Acc to[3]) {
#pragma HLS INLINE
        Acc vote[3] = {0, 0, 0}, addend[3] = {0, 0, 0};
        votes(from, taps, vote);
        for (int i = 0; i < Guard::COPIES; ++i) {
#pragma HLS UNROLL
            const Acc value = (majority(word[0], word[1], word[2]) & Acc(HIGH)) | (i == 0 ? Acc(word[0] & Acc(LOW)) : Acc(0));
            addend[i] = first ? Acc(0) : Acc(struck(value, taps.at[MUL][i]) & Acc(ALL_COLUMNS));
        }
        const Wide t = Wide(from[0] & Acc(LOW)) + Wide(addend[0] & Acc(LOW));
        const Wide carry = struck(Wide(t & Wide(CARRY_OF_SUMS)), taps.at[CARRY][0]) & Wide(CARRY_OF_SUMS);
        const Acc lo = struck(Acc(t), taps.at[ACC][0]) & Acc(LOW);
        for (int i = 0; i < Guard::COPIES; ++i) {
#pragma HLS UNROLL
            const Acc sum = vote[i] + Acc(addend[i] & Acc(HIGH)) + Acc(carry);
            to[i] = struck(sum, taps.at[ACC][i]) & Acc(HIGH);
        }
        to[0] = Guard::COPIES == 1 ? lo : Acc(to[0] | lo);
    }

    // Lanes that a register behind the voters takes of a finished sum.
    static void finished(const Acc sum[3], const Taps &taps, Acc lanes[3]) {
#pragma HLS INLINE
        Acc vote[3] = {0, 0, 0};
        votes(sum, taps, vote);
        lanes[0] = Acc(sum[0] & Acc(LOW)) | vote[0];
        lanes[1] = vote[1];
        lanes[2] = vote[2];
    }

    // A sum as it stands, voted.
    static Acc value(const Acc sum[3]) {
#pragma HLS INLINE
        return Guard::COPIES == 1 ? Acc(sum[0]) : Acc((sum[0] & Acc(LOW)) | (majority(sum[0], sum[1], sum[2]) & Acc(HIGH)));
    }
};

// Reduced-precision redundancy: copy 0 is the whole sum, the others are its high columns without carry.
template <int COLUMN, int MOST_CARRY>
struct Pe<guard::Reduced<COLUMN, MOST_CARRY>> {
    static constexpr int B = COLUMN;
    static constexpr unsigned long long LOW = (1ULL << B) - 1;
    static constexpr unsigned long long HIGH = ALL_COLUMNS & ~LOW;
    static_assert(B <= ACC_BITS, "a guard column lies inside the accumulator");

    // Whether the two copies outvote the whole sum.
    static bool disagree(const Acc sum[3]) {
#pragma HLS INLINE
        const Acc off = Acc((sum[0] & Acc(HIGH)) - (sum[1] & Acc(HIGH))) & Acc(HIGH);
        return ((sum[1] ^ sum[2]) & Acc(HIGH)) == 0 && Wide(off) > Wide(static_cast<unsigned long long>(MOST_CARRY) << B);
    }

    // The one decision that all three go on from.
    static Acc decision(const Acc sum[3]) {
#pragma HLS INLINE
        return (disagree(sum) ? sum[1] : sum[0]) & Acc(HIGH);
    }

    static void step(
        const Act a[3], const Wgt w[3], bool sgn, const Acc from[3], bool first, bool bypassed, const Taps &taps, Acc to[3]) {
#pragma HLS INLINE
        Wide whole, unused_low;
        Acc high, unused_high;
        products<ACC_BITS>(a[0], w[0], sgn, whole, unused_high);
        products<B>(a[0], w[0], sgn, unused_low, high);
        const Acc vote = first ? Acc(0) : Acc(struck(decision(from), taps.at[VOTE][0]) & Acc(HIGH));
        const Acc lo = first ? Acc(0) : Acc(from[0] & Acc(LOW));
        const Acc product = bypassed ? Acc(0) : Acc(struck(Acc(whole), taps.at[MUL][0]) & Acc(ALL_COLUMNS));
        to[0] = struck(Acc((vote | lo) + product), taps.at[ACC][0]) & Acc(ALL_COLUMNS);
        for (int i = 1; i < 3; ++i) {
#pragma HLS UNROLL
            const Acc copy = bypassed ? Acc(0) : Acc(struck(high, taps.at[MUL][i]) & Acc(HIGH));
            to[i] = struck(Acc(vote + copy), taps.at[ACC][i]) & Acc(HIGH);
        }
    }

    static void accumulate(const Acc from[3], const Acc word[3], bool first, const Taps &taps, Acc to[3]) {
#pragma HLS INLINE
        const Acc vote = struck(decision(from), taps.at[VOTE][0]) & Acc(HIGH);
        const Acc value = decision(word) | (word[0] & Acc(LOW));
        const Acc addend = first ? Acc(0) : Acc(struck(value, taps.at[MUL][0]) & Acc(ALL_COLUMNS));
        to[0] = struck(Acc((vote | (from[0] & Acc(LOW))) + addend), taps.at[ACC][0]) & Acc(ALL_COLUMNS);
        for (int i = 1; i < 3; ++i) {
#pragma HLS UNROLL
            to[i] = struck(Acc(vote + (addend & Acc(HIGH))), taps.at[ACC][i]) & Acc(HIGH);
        }
    }

    static void finished(const Acc sum[3], const Taps &taps, Acc lanes[3]) {
#pragma HLS INLINE
        const Acc vote = struck(decision(sum), taps.at[VOTE][0]) & Acc(HIGH);
        lanes[0] = Acc(sum[0] & Acc(LOW)) | vote;
        lanes[1] = lanes[2] = 0;
    }

    static Acc value(const Acc sum[3]) {
#pragma HLS INLINE
        return decision(sum) | (sum[0] & Acc(LOW));
    }
};

}  // namespace hardpoint

#endif
