// What a simulation library exports of the recompute unit alone.
#include <cstdint>

#include "recompute.h"

using namespace hardpoint;

extern "C" {

// Sums of `neurons` neurons through the unit: a and w (neurons, steps, LANES), out (neurons). A strike is two words as in the
// strike buffer, at the times that the unit goes by. stats: cycles, disagreeing votes. Returns 0, or 1 where it ran into `limit`.
long hp_dot(
    const std::int32_t *a,
    const std::int32_t *w,
    long neurons,
    long steps,
    int sgn,
    const std::uint64_t *struck,
    long strike_count,
    std::int64_t *out,
    std::int64_t *stats) {
    hls::stream<UnitBeat> beats("beats");
    hls::stream<StrikeWord> strikes("strikes");
    hls::stream<UnitSum> sums("sums");
    hls::stream<Count> counts("counts");
    for (long beat = 0; beat < neurons * steps; ++beat) {
        UnitBeat word = 0;
        for (int j = 0; j < LANES; ++j) {
            word.range((j + 1) * ACT_BITS - 1, j * ACT_BITS) = a[beat * LANES + j];
            const int low = LANES * ACT_BITS + j * WGT_BITS;
            word.range(low + WGT_BITS - 1, low) = w[beat * LANES + j];
        }
        beats.write(word);
    }
    for (long i = 0; i < strike_count; ++i) {
        StrikeWord word = 0;
        word.range(63, 0) = struck[2 * i];
        word.range(127, 64) = struck[2 * i + 1];
        strikes.write(word);
    }
    hardpoint_recompute(beats, strikes, sums, counts, neurons, steps, sgn, strike_count, ~0u);
    for (long i = 0; i < neurons; ++i) {
        const ap_int<ACC_BITS> sum = sums.read();
        out[i] = sum.to_int64();
    }
    stats[0] = counts.read().to_uint();
    const bool hung = counts.read() != 0;
    stats[1] = counts.read().to_uint();
    return hung;
}

}  // extern "C"
