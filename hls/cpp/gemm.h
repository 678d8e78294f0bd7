// A convolution or dense layer: im2col into the core, bias and requantisation behind it.
#ifndef HARDPOINT_GEMM_H
#define HARDPOINT_GEMM_H

#include "core.h"
#include "layer.h"
#include "requantise.h"

namespace hardpoint {

typedef Lanes<MAP_BYTES> Map;      // the inputs of a layer
typedef Lanes<MAX_STEPS> Patch;    // what one row of an output-stationary array multiplies in a tile
typedef ap_uint<COLS * WGT_BITS> WeightBeat;

// What the rows of a weight-stationary array multiply in a tile, pixel by pixel.
struct Slice {
    unsigned char row[ROWS][DEPTH];
};

constexpr int BEAT_WORDS = (COLS + 7) / 8;  // 64-bit words of one step's weights in memory

// Sums of a weight-stationary array come channel by channel: its output is put together on chip before it leaves.
constexpr bool WHOLE_OUTPUT = WEIGHTS_STAY;
typedef Lanes<WHOLE_OUTPUT ? MAP_BYTES : ROWS * MAX_CHANNELS> Block;  // outputs as they will lie in memory

// Output pixels of a tile.
inline int pixels_of(const Layer &layer) { return WEIGHTS_STAY ? layer.steps - ROWS : ROWS; }

// Weights by tile and step. A layer of several pixel tiles keeps them on chip where they fit.
void fetch_weights(const Word *weights, const Layer &layer, hls::stream<Word> &channels, hls::stream<WeightBeat> &beats);

// Output-stationary: the patches of one tile of pixels; row r of the array gets those of output pixel tile_m ROWS + r.
void gather(const Map &map, const Layer &layer, int tile_m, Patch patch[ROWS]);

// The same for one channel of a depthwise convolution, which has a tile of its own.
void gather_channel(const Map &map, const Layer &layer, int tile_m, int channel, Patch patch[ROWS]);

// Patches and weights, step by step, to the core, for `tiles` tiles of channels.
void feed(const Patch patch[ROWS], int tiles, int steps, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats);

// Weight-stationary: what a tile's pixels bring for the ROWS terms of their sums whose weights it holds.
void gather_slice(const Map &map, const Layer &layer, int tile, Slice &slice);

// A tile's weights, last row first, then its pixels.
void feed_slice(const Slice &slice, int pixels, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats);

// One tile of pixels behind the core: bias, requantisation, and into the block's order.
void finish(const Layer &layer, int tile_m, const Word channel[MAX_CHANNELS], hls::stream<Sums> &sums, Block &block);

// The first `total` bytes of a block, in order.
void emit(const Block &block, int total, hls::stream<Chunk> &out);

}  // namespace hardpoint

#endif
