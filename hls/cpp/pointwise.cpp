#include "pointwise.h"

namespace hardpoint {

namespace {

void pool_window(const Map &map, const Layer &layer, int y0, int x0, int c, int count, long long value[8]) {
    const bool average = layer.kind == KIND_AVGPOOL;
    for (int i = 0; i < 8; ++i) {
#pragma HLS UNROLL
        value[i] = average ? 0 : -(1LL << 40);
    }
    for (int ky = 0; ky < layer.kernel_height; ++ky) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=8
        for (int kx = 0; kx < layer.kernel_width; ++kx) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=8
            const int y = y0 + ky, x = x0 + kx;
            if (y < 0 || y >= layer.height || x < 0 || x >= layer.width) continue;
            const Word word = map.read(((y * layer.width + x) * layer.channels + c) * layer.source.bytes);
            for (int i = 0; i < 8; ++i) {
#pragma HLS UNROLL
                if (i < count) {
                    const long long code = code_in(word, i, layer.source.bytes, layer.source.sgn);
                    value[i] = average ? value[i] + code : code > value[i] ? code : value[i];
                }
            }
        }
    }
}

int least(int a, int b) { return a < b ? a : b; }

}  // namespace

void pool(const Map &map, const Layer &layer, hls::stream<Chunk> &out) {
    const int group = 8 / (layer.source.bytes > layer.target.bytes ? layer.source.bytes : layer.target.bytes);
    const int shift = layer.kind == KIND_AVGPOOL ? layer.shift : 0;
    for (int oy = 0; oy < layer.out_height; ++oy) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64
        for (int ox = 0; ox < layer.out_width; ++ox) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64
            for (int c = 0; c < layer.channels; c += group) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64
                const int count = least(group, layer.channels - c);
                long long value[8];
                pool_window(map, layer, oy * layer.stride_y - layer.pad_top, ox * layer.stride_x - layer.pad_left, c, count, value);
                Chunk chunk = {0, count * layer.target.bytes};
                for (int i = 0; i < 8; ++i) {
#pragma HLS UNROLL
                    if (i < count) {
                        const Word code = static_cast<Word>(requantise(value[i], shift, layer.low, layer.high));
                        chunk.bytes |= (code & ones(layer.target.bytes)) << (8 * layer.target.bytes * i);
                    }
                }
                out.write(chunk);
            }
        }
    }
}

void sum(const Map &map, const Layer &layer, hls::stream<Chunk> &out) {
    const bool two = layer.second.words > 0;
    int widest = layer.source.bytes > layer.target.bytes ? layer.source.bytes : layer.target.bytes;
    if (two && layer.second.bytes > widest) widest = layer.second.bytes;
    const int group = 8 / widest;
    const int total = layer.out_height * layer.out_width * layer.out_channels;
    for (int at = 0; at < total; at += group) {
#pragma HLS PIPELINE II=2
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAP_BYTES/8
        const int count = least(group, total - at);
        const Word first = map.read(at * layer.source.bytes);
        const Word second = two ? map.read(8 * layer.source.words + at * layer.second.bytes) : 0;
        Chunk chunk = {0, count * layer.target.bytes};
        for (int i = 0; i < 8; ++i) {
#pragma HLS UNROLL
            if (i < count) {
                const long long x = code_in(first, i, layer.source.bytes, layer.source.sgn) * (1LL << layer.align);
                const long long y =
                    two ? code_in(second, i, layer.second.bytes, layer.second.sgn) * (1LL << layer.second_align) : 0;
                const Word code = static_cast<Word>(requantise(x + y, layer.shift, layer.low, layer.high));
                chunk.bytes |= (code & ones(layer.target.bytes)) << (8 * layer.target.bytes * i);
            }
        }
        out.write(chunk);
    }
}

}  // namespace hardpoint
