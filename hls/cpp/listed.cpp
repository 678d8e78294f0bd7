#include "listed.h"

namespace hardpoint {

typedef ap_uint<24> Number;

void load_list(const Word *program, const Word *strikes, const Span &struck_by, const Layer &layer, List &list, List &names) {
    Mask mask = {0, ~Wide(0), 0};
    unsigned taken = 0;
    for (int i = 0; i < layer.listed; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=0 max=MAX_LISTED
        for (unsigned next = taken; next < struck_by.count; ++next) {
#pragma HLS LOOP_TRIPCOUNT min=0 max=0
            const Strike strike = strike_at(strikes, struck_by, next);
            if (strike.when > static_cast<unsigned>(i)) break;
            load(mask, strike);
            ++taken;
        }
        const Word pair = program[layer.list + i / 2];
        const Number number = struck(Number(pair >> (32 * (i & 1))), mask);
        list.number[i] = names.number[i] = number.to_uint();
        mask.flip = 0;
    }
}

namespace {

template <class Source>
void inputs_of(const Source &source, const Layer &layer, int pixel, int channel, Patch patch) {
    if (layer.depthwise) gather_pixel_channel(source, layer, pixel, channel, patch);
    else gather_pixel(source, layer, pixel, patch);
}

// Weights of one channel, side by side.
void weights_of(const Word *program, const Layer &layer, int channel, Patch patch) {
    const int words = (layer.terms + 7) / 8;
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_STEPS/8
        const Chunk chunk = {program[layer.list + (layer.listed + 1) / 2 + channel * words + i], 8};
        write_bytes<MAX_STEPS / 8>(patch, 8 * i, chunk);
    }
}

void send(const Patch inputs, const Patch weights, const Layer &layer, hls::stream<UnitBeat> &beats) {
    for (int k = 0; k < layer.terms; k += LANES) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_STEPS
        UnitBeat beat = 0;
        for (int j = 0; j < LANES; ++j) {
#pragma HLS UNROLL
            if (k + j < layer.terms) {
                beat.range((j + 1) * ACT_BITS - 1, j * ACT_BITS) =
                    inputs[(k + j) & 7][(k + j) >> 3];
                beat.range(LANES * ACT_BITS + (j + 1) * WGT_BITS - 1, LANES * ACT_BITS + j * WGT_BITS) =
                    moved(weights[(k + j) & 7][(k + j) >> 3], move_of(layer));
            }
        }
        beats.write(beat);
    }
}

bool exists(const Layer &layer, unsigned number) {
    return number < static_cast<unsigned>(layer.out_height * layer.out_width) * layer.out_channels;
}

}  // namespace

void operands(const UnitMap &map, const Port &port, const Word *program, const Layer &layer, const List &list, hls::stream<UnitBeat> &beats) {
    for (int i = 0; i < layer.listed; ++i) {
#pragma HLS DATAFLOW
#pragma HLS LOOP_TRIPCOUNT min=0 max=MAX_LISTED
        Patch patch, weights;
#pragma HLS ARRAY_PARTITION variable=patch complete dim=1
#pragma HLS ARRAY_PARTITION variable=weights complete dim=1
        const unsigned number = exists(layer, list.number[i]) ? list.number[i] : 0;  // what is overwritten nowhere
        const int pixel = number / layer.out_channels, channel = number % layer.out_channels;
        if (UNIT_REUSE) inputs_of(map, layer, pixel, channel, patch);
        else inputs_of(port, layer, pixel, channel, patch);
        weights_of(program, layer, channel, weights);
        send(patch, weights, layer, beats);
    }
}

void overwrite(const Layer &layer, const List &list, const Word channel[MAX_CHANNELS], hls::stream<UnitSum> &sums, Block &block) {
    for (int i = 0; i < layer.listed; ++i) {
#pragma HLS PIPELINE II=2
#pragma HLS LOOP_TRIPCOUNT min=0 max=MAX_LISTED
        const UnitSum sum = sums.read();
        const unsigned number = list.number[i];
        const Chunk code = {requantised(sum, channel[number % layer.out_channels], layer), layer.target.bytes};
        if (exists(layer, number)) block.write(number * layer.target.bytes, code);
    }
}

}  // namespace hardpoint
