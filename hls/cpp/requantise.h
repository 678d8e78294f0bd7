// From accumulators to codes: shift half to even, then saturate.
#ifndef HARDPOINT_REQUANTISE_H
#define HARDPOINT_REQUANTISE_H

namespace hardpoint {

// x / 2^shift to the nearest integer, ties to even; then into low .. high.
inline long long requantise(long long x, int shift, long long low, long long high) {
#pragma HLS INLINE
    const long long half = shift > 0 ? 1LL << (shift - 1) : 0;
    const long long odd = (x >> shift) & 1;
    const long long rounded = (x + (shift > 0 ? half - 1 + odd : 0)) >> shift;
    return rounded < low ? low : rounded > high ? high : rounded;
}

}  // namespace hardpoint

#endif
