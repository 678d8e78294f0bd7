// A layer's descriptor, decoded from the words of the program.
#ifndef HARDPOINT_LAYER_H
#define HARDPOINT_LAYER_H

#include "memory.h"

namespace hardpoint {

struct Tensor {
    unsigned place;  // 64-bit words into the scratch memory, or EXTERNAL
    int words, bytes;
    bool sgn;
};

struct Layer {
    int kind;
    int height, width, channels;
    int out_height, out_width, out_channels;
    int kernel_height, kernel_width, stride_y, stride_x, pad_top, pad_left;
    int terms;  // of a sum: K
    int steps, tiles_m, tiles_n, passes;
    int listed, unit_steps;  // neurons that the recompute unit computes again, and its steps for each
    unsigned list;           // where their numbers lie in the program, in words; behind them the weights by channel
    Tensor source, second, target;
    bool depthwise;
    int shift, align, second_align;
    long long low, high;
    unsigned weights, limit;
};

// Word i of a tensor: of this image's input, which starts at word `from`, or between layers.
inline Word read_tensor(const Word *source, const Word *scratch, const Tensor &tensor, unsigned from, int i) {
#pragma HLS INLINE
    return tensor.place == EXTERNAL ? source[from + i] : scratch[tensor.place + i];
}

inline unsigned half_word(const Word *words, int i) {
#pragma HLS INLINE
    return static_cast<unsigned>(words[i >> 1] >> (32 * (i & 1)));
}

inline int number(const Word *words, int field) {
#pragma HLS INLINE
    return static_cast<int>(half_word(words, field));
}

inline Layer decode(const Word words[LAYER_WORDS]) {
    Layer layer;
    layer.kind = number(words, FIELD_KIND);
    layer.height = number(words, FIELD_HEIGHT);
    layer.width = number(words, FIELD_WIDTH);
    layer.channels = number(words, FIELD_CHANNELS);
    layer.out_height = number(words, FIELD_OUT_HEIGHT);
    layer.out_width = number(words, FIELD_OUT_WIDTH);
    layer.out_channels = number(words, FIELD_OUT_CHANNELS);
    layer.kernel_height = number(words, FIELD_KERNEL_HEIGHT);
    layer.kernel_width = number(words, FIELD_KERNEL_WIDTH);
    layer.stride_y = number(words, FIELD_STRIDE_Y);
    layer.stride_x = number(words, FIELD_STRIDE_X);
    layer.pad_top = number(words, FIELD_PAD_TOP);
    layer.pad_left = number(words, FIELD_PAD_LEFT);
    layer.steps = number(words, FIELD_STEPS);
    layer.tiles_m = number(words, FIELD_TILES_M);
    layer.tiles_n = number(words, FIELD_TILES_N);
    layer.passes = number(words, FIELD_PASSES);
    layer.listed = number(words, FIELD_LISTED);
    layer.unit_steps = number(words, FIELD_UNIT_STEPS);
    layer.list = half_word(words, FIELD_LIST);
    layer.source.place = half_word(words, FIELD_SOURCE);
    layer.source.words = number(words, FIELD_SOURCE_WORDS);
    layer.source.bytes = number(words, FIELD_SOURCE_BYTES);
    layer.source.sgn = number(words, FIELD_SOURCE_SIGNED) != 0;
    layer.second.place = half_word(words, FIELD_SECOND);
    layer.second.words = number(words, FIELD_SECOND_WORDS);
    layer.second.bytes = number(words, FIELD_SECOND_BYTES);
    layer.second.sgn = number(words, FIELD_SECOND_SIGNED) != 0;
    layer.target.place = half_word(words, FIELD_TARGET);
    layer.target.words = 0;
    layer.target.bytes = number(words, FIELD_TARGET_BYTES);
    layer.target.sgn = false;
    layer.depthwise = number(words, FIELD_DEPTHWISE) != 0;
    layer.terms = layer.kernel_height * layer.kernel_width * (layer.depthwise ? 1 : layer.channels);
    layer.shift = number(words, FIELD_SHIFT);
    layer.align = number(words, FIELD_ALIGN);
    layer.second_align = number(words, FIELD_SECOND_ALIGN);
    layer.low = number(words, FIELD_LOW);
    layer.high = static_cast<int>(half_word(words, FIELD_HIGH));
    if (layer.low >= 0) layer.high = half_word(words, FIELD_HIGH);  // unsigned 32-bit codes
    layer.weights = half_word(words, FIELD_WEIGHTS);
    layer.limit = half_word(words, FIELD_LIMIT);
    return layer;
}

}  // namespace hardpoint

#endif
