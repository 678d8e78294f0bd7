// What a simulation library exports of the core alone.
#include <cstdint>
#include <vector>

#include "core.h"
#include "faults.h"

using namespace hardpoint;

extern "C" {

// One stream of tiles through the core: a (tiles, k, ROWS), w (tiles, k, COLS), out (tiles, ROWS, COLS),
// stats: cycles, then disagreeing votes in all. Returns 0, or 1 where the core ran into its limit.
long hp_gemm(
    void *,
    const std::int32_t *a,
    const std::int32_t *w,
    long tiles,
    long k,
    int sgn,
    const sim::Fault *faults,
    long fault_count,
    std::int64_t *out,
    std::int64_t *stats) {
    hls::stream<Beat> beats("beats");
    hls::stream<StrikeWord> strikes("strikes");
    hls::stream<Sums> sums("sums");
    hls::stream<Count> counts("counts");
    for (long i = 0; i < tiles * k; ++i) {
        Beat beat = 0;
        for (int r = 0; r < ROWS; ++r) beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS) = a[i * ROWS + r];
        for (int c = 0; c < COLS; ++c) {
            const int low = ROWS * ACT_BITS + c * WGT_BITS;
            beat.range(low + WGT_BITS - 1, low) = w[i * COLS + c];
        }
        beats.write(beat);
    }
    const std::vector<StrikeWord> words = sim::strikes(faults, fault_count, tiles, k);
    for (const StrikeWord &word : words) strikes.write(word);
    hardpoint_engine(beats, strikes, sums, counts, tiles, k, sgn, words.size(), ~0u);
    for (long tile = 0; tile < tiles; ++tile) {
        for (int r = ROWS - 1; r >= 0; --r) {
            const Sums row = sums.read();
            for (int c = 0; c < COLS; ++c) {
                const ap_int<ACC_BITS> sum = row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS);
                out[(tile * ROWS + r) * COLS + c] = sum.to_int64();
            }
        }
    }
    stats[0] = counts.read().to_uint();
    const bool hung = counts.read() != 0;
    stats[1] = 0;
    for (int c = 0; c < COLS; ++c) stats[1] += counts.read().to_uint();
    return hung;
}

}  // extern "C"
