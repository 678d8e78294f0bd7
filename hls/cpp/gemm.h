// A convolution or dense layer: im2col into the core, bias and requantisation behind it.
#ifndef HARDPOINT_GEMM_H
#define HARDPOINT_GEMM_H

#include "core.h"
#include "layer.h"
#include "requantise.h"

namespace hardpoint {

typedef Lanes<MAP_BYTES> Map;      // the inputs of a layer
// What one row of an output-stationary array multiplies in a tile: bytes in eight lanes. Those of all rows are a plain array,
// of which both rows and lanes are memories of their own.
typedef unsigned char Patch[8][MAX_STEPS / 8];
typedef ap_uint<COLS * CODE_BITS> WeightBeat;  // a step's weight codes, as they lie in memory

// What the rows of a weight-stationary array multiply in a tile, pixel by pixel.
struct Slice {
    unsigned char row[ROWS][DEPTH];
};

constexpr int BEAT_WORDS = (COLS + 7) / 8;  // 64-bit words of one step's weights in memory

// Sums of a weight-stationary array come channel by channel, and those of a recompute unit when it has them: there the
// output is put together on chip before it leaves.
constexpr bool WHOLE_OUTPUT = WEIGHTS_STAY || UNIT_LANES > 0;
typedef Lanes<WHOLE_OUTPUT ? MAP_BYTES : ROWS * MAX_CHANNELS> Block;  // outputs as they will lie in memory

// Output pixels of a tile.
inline int pixels_of(const Layer &layer) { return WEIGHTS_STAY ? layer.steps - ROWS : ROWS; }

// The window of an output pixel: its corner in the image; an idle row has none.
struct Window {
    int y, x;
    bool idle;
};

inline Window window_of(const Layer &layer, int pixel) {
#pragma HLS INLINE
    const ap_uint<16> row = ap_uint<16>(pixel) / ap_uint<16>(layer.out_width);
    const ap_uint<16> column = ap_uint<16>(pixel) % ap_uint<16>(layer.out_width);
    const Window window = {
        int(row) * layer.stride_y - layer.pad_top, int(column) * layer.stride_x - layer.pad_left,
        pixel >= layer.out_height * layer.out_width};
    return window;
}

// The inputs under the window of one output pixel, in the order of the sum's terms; zeros outside the image.
template <class Source>
void gather_pixel(const Source &source, const Layer &layer, int pixel, Patch patch) {
    const int run = layer.kernel_width * layer.channels;  // neighbours in memory: one line of the window
    const Window at = window_of(layer, pixel);
    const int first = at.x < 0 ? -at.x * layer.channels : 0;  // bytes of a line that lie inside the image
    const int last = at.x + layer.kernel_width > layer.width ? (layer.width - at.x) * layer.channels : run;
    for (int ky = 0; ky < layer.kernel_height; ++ky) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=11
        const int y = at.y + ky;
        const bool outside = at.idle || y < 0 || y >= layer.height;
        const int from = (y * layer.width + at.x) * layer.channels;
        for (int i = 0; i < run; i += 8) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=256
            Chunk chunk = {0, run - i < 8 ? run - i : 8};
            if (!outside) {
                chunk.bytes = source.read(from + i);
                if (i < first) chunk.bytes = first - i >= 8 ? 0 : chunk.bytes & ~ones(first - i);
                if (i + 8 > last) chunk.bytes = last <= i ? 0 : chunk.bytes & ones(last - i);
            }
            write_bytes<MAX_STEPS / 8>(patch, ky * run + i, chunk);
        }
    }
}

// The same for one channel of a depthwise convolution.
template <class Source>
void gather_pixel_channel(const Source &source, const Layer &layer, int pixel, int channel, Patch patch) {
    const Window at = window_of(layer, pixel);
    for (int ky = 0; ky < layer.kernel_height; ++ky) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=11
        for (int kx = 0; kx < layer.kernel_width; ++kx) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=11
            const int y = at.y + ky, x = at.x + kx;
            const bool inside = !at.idle && y >= 0 && y < layer.height && x >= 0 && x < layer.width;
            Chunk chunk = {0, 1};
            if (inside) chunk.bytes = source.byte((y * layer.width + x) * layer.channels + channel);
            write_bytes<MAX_STEPS / 8>(patch, ky * layer.kernel_width + kx, chunk);
        }
    }
}

// Bits by which an array layer's weights and biases are moved to the left, and its sums to the right in addition.
inline int move_of(const Layer &layer) { return WEIGHTS_MOVE ? layer.align : 0; }

// A weight code as the array takes it.
inline ap_uint<WGT_BITS> moved(const ap_uint<CODE_BITS> &code, int by) {
#pragma HLS INLINE
    const ap_int<CODE_BITS> value = code;
    const ap_int<WGT_BITS> wide = value;
    return ap_uint<WGT_BITS>(wide << by);
}

// The same of a step's codes: a shifter per array column.
inline ap_uint<COLS * WGT_BITS> moved_beat(const WeightBeat &codes, int by) {
#pragma HLS INLINE
    ap_uint<COLS * WGT_BITS> beat = 0;
    for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
        beat.range((c + 1) * WGT_BITS - 1, c * WGT_BITS) = moved(codes.range((c + 1) * CODE_BITS - 1, c * CODE_BITS), by);
    }
    return beat;
}

// A sum as the code of output `channel` (bias and shift), in the bytes that it takes in memory.
inline Word requantised(const ap_uint<ACC_BITS> &acc, Word channel, const Layer &layer) {
#pragma HLS INLINE
    const ap_uint<ACC_BITS> bias = ap_uint<ACC_BITS>(channel) << move_of(layer);
    const ap_int<ACC_BITS> sum = acc + bias;
    const int shift = (static_cast<int>(channel >> 32) & 63) + move_of(layer);
    return static_cast<Word>(requantise(sum, shift, layer.low, layer.high)) & ones(layer.target.bytes);
}

// Weights by tile and step. A layer of several pixel tiles keeps them on chip where they fit.
void fetch_weights(const Word *weights, const Layer &layer, hls::stream<Word> &channels, hls::stream<WeightBeat> &beats);

// Output-stationary: the patches of one tile of pixels; row r of the array gets those of output pixel tile_m ROWS + r.
void gather(const Map &map, const Layer &layer, int tile_m, Patch patch[ROWS]);

// The same for one channel of a depthwise convolution, which has a tile of its own.
void gather_channel(const Map &map, const Layer &layer, int tile_m, int channel, Patch patch[ROWS]);

// Patches and weights moved `by` bits, step by step, to the core, for `tiles` tiles of channels.
void feed(const Patch patch[ROWS], int tiles, int steps, int by, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats);

// Weight-stationary: what a tile's pixels bring for the ROWS terms of their sums whose weights it holds.
void gather_slice(const Map &map, const Layer &layer, int tile, Slice &slice);

// A tile's weights moved `by` bits, last row first, then its pixels.
void feed_slice(const Slice &slice, int pixels, int by, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats);

// One tile of pixels behind the core: bias, requantisation, and into the block's order.
void finish(const Layer &layer, int tile_m, const Word channel[MAX_CHANNELS], hls::stream<Sums> &sums, Block &block);

// The first `total` bytes of a block, in order.
void emit(const Block &block, int total, hls::stream<Chunk> &out);

}  // namespace hardpoint

#endif
