#include "gemm.h"

namespace hardpoint {

void fetch_weights(const Word *weights, const Layer &layer, hls::stream<Word> &channels, hls::stream<WeightBeat> &beats) {
    WeightBeat cache[CACHE_STEPS];
    const int steps = (WEIGHTS_STAY ? ROWS : layer.steps) * layer.passes * layer.tiles_n;
    const bool kept = steps <= CACHE_STEPS;
    const unsigned first = layer.weights + layer.out_channels;
    for (int n = 0; n < layer.out_channels; ++n) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_CHANNELS
        channels.write(weights[layer.weights + n]);
    }
    for (int tile_m = 0; tile_m < layer.tiles_m; ++tile_m) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        for (int i = 0; i < steps; ++i) {
#pragma HLS PIPELINE II=BEAT_WORDS
#pragma HLS LOOP_TRIPCOUNT min=1 max=CACHE_STEPS
            WeightBeat beat = 0;
            if (kept && tile_m > 0) {
                beat = cache[i];
            } else {
                for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
                    const Word word = weights[first + i * BEAT_WORDS + c / 8];
                    beat.range((c + 1) * CODE_BITS - 1, c * CODE_BITS) = word >> (8 * (c % 8));
                }
                if (kept) cache[i] = beat;
            }
            beats.write(beat);
        }
    }
}

void gather(const Map &map, const Layer &layer, int tile_m, Patch patch[ROWS]) {
    for (int r = 0; r < ROWS; ++r) gather_pixel(map, layer, tile_m * ROWS + r, patch[r]);
}

void gather_channel(const Map &map, const Layer &layer, int tile_m, int channel, Patch patch[ROWS]) {
    for (int r = 0; r < ROWS; ++r) gather_pixel_channel(map, layer, tile_m * ROWS + r, channel, patch[r]);
}

void feed(const Patch patch[ROWS], int tiles, int steps, int by, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    for (int tile = 0; tile < tiles; ++tile) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64
        for (int k = 0; k < steps; ++k) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_STEPS
            Beat beat = 0;
            for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
                beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS) = patch[r][k & 7][k >> 3];
            }
            beat.range(BEAT_BITS - 1, ROWS * ACT_BITS) = moved_beat(weights.read(), by);
            beats.write(beat);
        }
    }
}

void gather_slice(const Map &map, const Layer &layer, int tile, Slice &slice) {
    const int run = layer.depthwise ? 1 : layer.kernel_width * layer.channels;  // neighbours in memory
    const int first = tile % layer.passes * ROWS, channel = tile / layer.passes % layer.tiles_n;
    const int pixels = pixels_of(layer), tile_m = tile / layer.passes / layer.tiles_n;
    for (int i = 0; i < pixels; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=DEPTH
        const Window at = window_of(layer, tile_m * pixels + i);
        int line = first / run, place = first % run, count = 0;
        for (int r = 0; r < ROWS; r += count) {  // a turn takes up to eight terms from one line of the window
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=ROWS
            const int left = run - place < ROWS - r ? run - place : ROWS - r;
            count = left < 8 ? left : 8;
            const int ky = layer.depthwise ? line / layer.kernel_width : line;
            const int kx = layer.depthwise ? line % layer.kernel_width : 0;
            const int y = at.y + ky, from = (at.x + kx) * layer.channels + (layer.depthwise ? channel : place);
            const bool inside = !at.idle && y >= 0 && y < layer.height && first + r < layer.terms;
            const Word bytes = inside ? map.read(y * layer.width * layer.channels + from) : 0;
            for (int q = 0; q < ROWS; ++q) {
#pragma HLS UNROLL
                const int offset = q - r;
                const int byte = from + offset;  // of the image's line
                const bool padding = byte < 0 || byte >= layer.width * layer.channels;
                if (offset >= 0 && offset < count)
                    slice.row[q][i] = padding ? 0 : static_cast<unsigned char>(bytes >> (8 * offset));
            }
            place += count;
            if (place == run) {
                place = 0;
                ++line;
            }
        }
    }
}

void feed_slice(const Slice &slice, int pixels, int by, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    for (int step = 0; step < ROWS + pixels; ++step) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=ROWS max=ROWS+DEPTH
        Beat beat = 0;
        if (step < ROWS) {
            beat.range(BEAT_BITS - 1, ROWS * ACT_BITS) = moved_beat(weights.read(), by);
        } else {
            for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
                beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS) = slice.row[r][step - ROWS];
            }
        }
        beats.write(beat);
    }
}

namespace {

// The code of column c's sum for output `channel`.
Word code_of(const Sums &row, int c, Word channel, const Layer &layer) {
#pragma HLS INLINE
    return requantised(row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS), channel, layer);
}

}  // namespace

void finish(const Layer &layer, int tile_m, const Word channel[MAX_CHANNELS], hls::stream<Sums> &sums, Block &block) {
    const int rows = pixels_of(layer), first = tile_m * rows;
    const int pixels = layer.out_height * layer.out_width - first;
    const int pixel_bytes = layer.out_channels * layer.target.bytes;
    const int group = 8 / layer.target.bytes;
    for (int tile_n = 0; tile_n < layer.tiles_n; ++tile_n) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64
        for (int i = 0; i < rows; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=ROWS+DEPTH
            const Sums row = sums.read();
            const int r = WEIGHTS_STAY ? i : ROWS - 1 - i;  // output-stationary: the last row leaves first
            const int place = ((WHOLE_OUTPUT ? first : 0) + r) * pixel_bytes;
            if (layer.depthwise) {
                const Chunk code = {code_of(row, tile_n % COLS, channel[tile_n], layer), layer.target.bytes};
                if (r < pixels) block.write(place + tile_n * layer.target.bytes, code);
                continue;
            }
            for (int c0 = 0; c0 < COLS; c0 += group) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=COLS
                Chunk chunk = {0, 0};
                for (int j = 0; j < 8; ++j) {
#pragma HLS UNROLL
                    const int c = c0 + j;
                    const int n = tile_n * COLS + c;
                    if (j < group && c < COLS && n < layer.out_channels && r < pixels) {
                        chunk.bytes |= code_of(row, c, channel[n], layer) << (8 * layer.target.bytes * j);
                        chunk.count += layer.target.bytes;
                    }
                }
                block.write(place + (tile_n * COLS + c0) * layer.target.bytes, chunk);
            }
        }
    }
}

void emit(const Block &block, int total, hls::stream<Chunk> &out) {
    for (int at = 0; at < total; at += 8) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=ROWS*MAX_CHANNELS/8
        const Chunk chunk = {block.read(at), total - at < 8 ? total - at : 8};
        out.write(chunk);
    }
}

}  // namespace hardpoint
