// What a simulation library exports of the core alone.
#include <cstdint>
#include <vector>

#include "core.h"
#include "faults.h"

using namespace hardpoint;

namespace {

// `COUNT` operands of `BITS` bits each into a beat, from bit `low` on.
template <int COUNT, int BITS>
void put(Beat &beat, int low, const std::int32_t *codes) {
    for (int i = 0; i < COUNT; ++i) beat.range(low + (i + 1) * BITS - 1, low + i * BITS) = codes[i];
}

}  // namespace

extern "C" {

// One stream of tiles through the core. Output-stationary: a (tiles, count, ROWS), w (tiles, count, COLS), out (tiles, ROWS,
// COLS), where `count` is K. Weight-stationary: a (tiles, count, ROWS) with `count` pixels, w (tiles, ROWS, COLS), out (tiles /
// passes, count, COLS). `bypass` holds a byte per PE. stats: cycles, then disagreeing votes in all. Returns 0, or 1 where the
// core ran into its limit.
long hp_gemm(
    void *,
    const std::int32_t *a,
    const std::int32_t *w,
    long tiles,
    long count,
    long passes,
    int sgn,
    const std::uint8_t *bypass,
    const sim::Fault *faults,
    long fault_count,
    std::int64_t *out,
    std::int64_t *stats) {
    hls::stream<Beat> beats("beats");
    hls::stream<StrikeWord> strikes("strikes");
    hls::stream<Sums> sums("sums");
    hls::stream<Count> counts("counts");
    const long steps = WEIGHTS_STAY ? ROWS + count : count;
    for (long tile = 0; tile < tiles; ++tile) {
        for (long step = 0; step < steps; ++step) {
            Beat beat = 0;
            const long pixel = WEIGHTS_STAY ? step - ROWS : step, weights = WEIGHTS_STAY ? ROWS - 1 - step : step;
            if (pixel >= 0) put<ROWS, ACT_BITS>(beat, 0, a + (tile * count + pixel) * ROWS);
            if (weights >= 0) put<COLS, WGT_BITS>(beat, ROWS * ACT_BITS, w + (tile * (WEIGHTS_STAY ? ROWS : count) + weights) * COLS);
            beats.write(beat);
        }
    }
    Bypass map = 0;
    for (int i = 0; i < ROWS * COLS; ++i) map[i] = bypass[i] != 0;
    const std::vector<StrikeWord> words = sim::strikes(faults, fault_count, tiles, steps);
    for (const StrikeWord &word : words) strikes.write(word);
    hardpoint_engine(beats, strikes, sums, counts, tiles, steps, passes, sgn, map, words.size(), ~0u);
    const long blocks = WEIGHTS_STAY ? tiles / passes : tiles, rows = WEIGHTS_STAY ? count : ROWS;
    for (long block = 0; block < blocks; ++block) {
        for (long i = 0; i < rows; ++i) {
            const Sums row = sums.read();
            const long r = WEIGHTS_STAY ? i : ROWS - 1 - i;
            for (int c = 0; c < COLS; ++c) {
                const ap_int<ACC_BITS> sum = row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS);
                out[(block * rows + r) * COLS + c] = sum.to_int64();
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
