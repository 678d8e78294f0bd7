#include "buffers.h"

namespace hardpoint {

namespace {

constexpr int GIVEN_UP = 1;  // copy number of a strike that says so

Word bits_of(const Strike &strike) {
#pragma HLS INLINE
    return static_cast<Word>(strike.data) & 0xFFFFFFFFu;
}

}  // namespace

bool strike_inputs(const Word *strikes, const Span &span, Map &map, UnitMap &unit_map) {
    bool given_up = false;
    for (unsigned i = 0; i < span.count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000
        const Strike strike = strike_at(strikes, span, i);
        const int at = static_cast<int>(strike.when);
        given_up |= strike.copy == GIVEN_UP;
        if (strike.copy == GIVEN_UP || at >= MAP_BYTES) continue;
        const Chunk code = {map.byte(at) ^ bits_of(strike), 1};
        map.write(at, code);
        if (UNIT_REUSE) unit_map.write(at, code);
    }
    return given_up;
}

void strike_source(const Word *strikes, const Span &span, const Layer &layer, unsigned from, Word *source, Word *scratch) {
    if (UNIT_LANES == 0 || UNIT_REUSE || layer.listed == 0) return;
    for (unsigned i = 0; i < span.count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000
        const Strike strike = strike_at(strikes, span, i);
        const unsigned at = static_cast<unsigned>(strike.when);
        const Word flips = bits_of(strike) << (8 * (at & 7));
        if (strike.copy == GIVEN_UP) continue;
        if (layer.source.place == EXTERNAL) source[from + at / 8] ^= flips;
        else scratch[layer.source.place + at / 8] ^= flips;
    }
}

bool strike_outputs(const Word *strikes, const Span &span, const Layer &layer, unsigned from, Word *result, Word *scratch) {
    bool given_up = false;
    for (unsigned i = 0; i < span.count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000
        const Strike strike = strike_at(strikes, span, i);
        const unsigned at = static_cast<unsigned>(strike.when) * layer.target.bytes;
        const Word flips = bits_of(strike) << (8 * (at & 7));
        given_up |= strike.copy == GIVEN_UP;
        if (strike.copy == GIVEN_UP) continue;
        if (layer.target.place == EXTERNAL) result[from + at / 8] ^= flips;
        else scratch[layer.target.place + at / 8] ^= flips;
    }
    return given_up;
}

bool strike_weights(const Word *strikes, const Span &span, const Layer &layer, Word *weights, Word *program) {
    const unsigned row_bytes = 8 * BEAT_WORDS;
    bool given_up = false;
    for (unsigned i = 0; i < span.count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000
        const Strike strike = strike_at(strikes, span, i);
        const unsigned at = static_cast<unsigned>(strike.when);
        given_up |= strike.copy == GIVEN_UP;
        if (strike.copy == GIVEN_UP) continue;
        weights[layer.weights + layer.out_channels + at / 8] ^= bits_of(strike) << (8 * (at & 7));
        if (UNIT_LANES == 0 || layer.listed == 0) continue;
        const unsigned row = at / row_bytes, column = at % row_bytes;
        const unsigned tile = WEIGHTS_STAY ? row / ROWS : row / layer.terms;  // of all passes
        const unsigned tile_n = tile / layer.passes;
        const unsigned k = WEIGHTS_STAY ? tile % layer.passes * ROWS + ROWS - 1 - row % ROWS : row % layer.terms;
        const unsigned n = layer.depthwise ? tile_n : tile_n * COLS + column;
        const unsigned twin = n * ((layer.terms + 7) / 8 * 8) + k;
        program[layer.list + (layer.listed + 1) / 2 + twin / 8] ^= bits_of(strike) << (8 * (twin & 7));
    }
    return given_up;
}

}  // namespace hardpoint
