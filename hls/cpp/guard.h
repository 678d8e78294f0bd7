// What protects a processing element, as types: the array instantiates one PE per guard class.
#ifndef HARDPOINT_GUARD_H
#define HARDPOINT_GUARD_H

namespace hardpoint {
namespace guard {

// No copies. The guard column is the accumulator's width: nothing lies at or above it.
struct None {
    static constexpr int COPIES = 1, CARRY_BITS = 0, OPERAND_LANES = 1, DRAIN_LANES = 1;
    static constexpr int column(int acc_bits) { return acc_bits; }
};

// Columns >= B of product and accumulator in three copies with a voter each; B = 0 is full TMR.
// CARRY is the width of the carry from the single low part into the copies; lanes are 1 or 3.
template <int B, int CARRY, int OPERAND = 1, int DRAIN = 1>
struct Columns {
    static_assert(B >= 0, "a guard column is 0 or more");
    static_assert(CARRY >= 0 && CARRY <= 10, "a carry of up to 64 products of 8-bit operands has at most 10 bits");
    static_assert((OPERAND == 1 || OPERAND == 3) && (DRAIN == 1 || DRAIN == 3), "lanes are 1 or 3");
    static constexpr int COPIES = 3, CARRY_BITS = CARRY, OPERAND_LANES = OPERAND, DRAIN_LANES = DRAIN;
    static constexpr int column(int) { return B; }
};

// Reduced-precision redundancy: the full accumulator, and two copies of its columns >= B without carry. They are taken
// where they agree and the full one lies more than MOST_CARRY off them.
template <int B, int MOST_CARRY>
struct Reduced {
    static_assert(B >= 0, "a guard column is 0 or more");
    static_assert(MOST_CARRY >= 0 && MOST_CARRY < 16, "a carry of 8-bit operands has at most 4 bits");
    static constexpr int COPIES = 3, OPERAND_LANES = 1, DRAIN_LANES = 1;
    static constexpr int column(int) { return B; }
};

}  // namespace guard
}  // namespace hardpoint

#endif
