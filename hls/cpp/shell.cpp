// The shell: loads the program, then runs layer after layer of image after image.
#include "shell.h"

#include "gemm.h"
#include "pointwise.h"

using namespace hardpoint;

namespace {

// Word i of a tensor: of this image's input, or between layers.
inline Word read_tensor(const Word *source, const Word *scratch, const Tensor &tensor, unsigned from, int i) {
#pragma HLS INLINE
    return tensor.place == EXTERNAL ? source[from + i] : scratch[tensor.place + i];
}

// A layer's inputs, one after the other, from memory into the map. An image's input starts at word `from`.
void load_map(const Word *source, const Word *scratch, const Layer &layer, unsigned from, Map &map) {
    const int words = layer.source.words + layer.second.words;
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAP_BYTES/8
        const bool second = i >= layer.source.words;
        const int at = second ? i - layer.source.words : i;
        const Chunk chunk = {read_tensor(source, scratch, second ? layer.second : layer.source, from, at), 8};
        map.write(8 * i, chunk);
    }
}

// A layer's output: chunks become words without gaps. An image's result starts at word `from`.
void store(hls::stream<Chunk> &chunks, const Layer &layer, unsigned from, Word *result, Word *scratch) {
    const int total = layer.out_height * layer.out_width * layer.out_channels * layer.target.bytes;
    Word held = 0;
    int count = 0, at = 0;
    for (int taken = 0; taken < total;) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAP_BYTES/8
        const Chunk chunk = chunks.read();
        const Word bytes = chunk.bytes & ones(chunk.count);
        taken += chunk.count;
        const Word merged = held | bytes << (8 * count);
        const int used = 8 - count;
        const bool whole = chunk.count >= used;
        if (whole || taken == total) {
            if (layer.target.place == EXTERNAL) result[from + at] = merged;
            else scratch[layer.target.place + at] = merged;
            ++at;
        }
        held = whole ? used < 8 ? bytes >> (8 * used) : 0 : merged;
        count = whole ? chunk.count - used : count + chunk.count;
        if (whole && taken == total && count > 0) {
            if (layer.target.place == EXTERNAL) result[from + at] = held;
            else scratch[layer.target.place + at] = held;
        }
    }
}

// A depthwise convolution has patches per channel, any other layer per tile of pixels.
void patches(const Map &map, const Layer &layer, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    const int passes = layer.depthwise ? layer.out_channels : 1;
    for (int i = 0; i < layer.tiles_m * passes; ++i) {
#pragma HLS DATAFLOW
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        Patch patch[ROWS];
#pragma HLS ARRAY_PARTITION variable=patch complete dim=1
        if (layer.depthwise) gather_channel(map, layer, i / passes, i % passes, patch);
        else gather(map, layer, i, patch);
        feed(patch, layer.depthwise ? 1 : layer.tiles_n, layer.steps, weights, beats);
    }
}

void slices(const Map &map, const Layer &layer, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    for (int tile = 0; tile < layer.tiles_m * layer.tiles_n * layer.passes; ++tile) {
#pragma HLS DATAFLOW
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        Slice slice;
#pragma HLS ARRAY_PARTITION variable=slice.row complete dim=1
        gather_slice(map, layer, tile, slice);
        feed_slice(slice, pixels_of(layer), weights, beats);
    }
}

void activations(const Map &map, const Layer &layer, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    if (WEIGHTS_STAY) slices(map, layer, weights, beats);
    else patches(map, layer, weights, beats);
}

void by_tile(const Layer &layer, const Word channel[MAX_CHANNELS], hls::stream<Sums> &sums, hls::stream<Chunk> &chunks) {
    for (int tile_m = 0; tile_m < layer.tiles_m; ++tile_m) {
#pragma HLS DATAFLOW
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        const int pixels = layer.out_height * layer.out_width - tile_m * ROWS;
        Block block;
#pragma HLS ARRAY_PARTITION variable=block.lane complete dim=1
        finish(layer, tile_m, channel, sums, block);
        emit(block, (pixels < ROWS ? pixels : ROWS) * layer.out_channels * layer.target.bytes, chunks);
    }
}

void at_once(const Layer &layer, const Word channel[MAX_CHANNELS], hls::stream<Sums> &sums, hls::stream<Chunk> &chunks) {
    Block block;
#pragma HLS ARRAY_PARTITION variable=block.lane complete dim=1
    for (int tile_m = 0; tile_m < layer.tiles_m; ++tile_m) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        finish(layer, tile_m, channel, sums, block);
    }
    emit(block, layer.out_height * layer.out_width * layer.out_channels * layer.target.bytes, chunks);
}

void outputs(const Layer &layer, hls::stream<Word> &channels, hls::stream<Sums> &sums, hls::stream<Chunk> &chunks) {
    Word channel[MAX_CHANNELS];
#pragma HLS ARRAY_PARTITION variable=channel cyclic factor=8
    for (int n = 0; n < layer.out_channels; ++n) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_CHANNELS
        channel[n] = channels.read();
    }
    if (WHOLE_OUTPUT) at_once(layer, channel, sums, chunks);
    else by_tile(layer, channel, sums, chunks);
}

void fetch_strikes(const Word *strikes, unsigned from, unsigned count, hls::stream<StrikeWord> &out) {
    for (unsigned i = 0; i < count; ++i) {
#pragma HLS PIPELINE II=2
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000
        StrikeWord word = 0;
        word.range(63, 0) = strikes[from + 2 * i];
        word.range(127, 64) = strikes[from + 2 * i + 1];
        out.write(word);
    }
}

// Where this image's data start in the memories, in words.
struct Places {
    unsigned source, result, strikes, strike_count;
};

// The whole dataflow of a convolution or dense layer on one page.
void gemm(
    const Map &map,
    const Word *weights,
    const Word *strikes,
    const Layer &layer,
    const Places &at,
    const Bypass &bypass,
    Word *result,
    Word *scratch,
    hls::stream<Count> &counts) {
#pragma HLS DATAFLOW
    hls::stream<WeightBeat> weight_beats("weight_beats");
    hls::stream<Word> channels("channels");
    hls::stream<StrikeWord> strike_words("strike_words");
    hls::stream<Beat> beats("beats");
    hls::stream<Sums> sums("sums");
    hls::stream<Chunk> chunks("chunks");
#pragma HLS STREAM variable=weight_beats depth=512
#pragma HLS STREAM variable=channels depth=MAX_CHANNELS
#pragma HLS STREAM variable=strike_words depth=16
#pragma HLS STREAM variable=beats depth=16
#pragma HLS STREAM variable=sums depth=64
#pragma HLS STREAM variable=chunks depth=64
    fetch_weights(weights, layer, channels, weight_beats);
    fetch_strikes(strikes, at.strikes, at.strike_count, strike_words);
    activations(map, layer, weight_beats, beats);
    hardpoint_engine(
        beats, strike_words, sums, counts, layer.tiles_m * layer.tiles_n * layer.passes, layer.steps, layer.passes,
        layer.source.sgn, bypass, at.strike_count, layer.limit + at.strike_count);
    outputs(layer, channels, sums, chunks);
    store(chunks, layer, at.result, result, scratch);
}

void without_weights(const Map &map, const Layer &layer, const Places &at, Word *result, Word *scratch) {
#pragma HLS DATAFLOW
    hls::stream<Chunk> chunks("pointwise_chunks");
#pragma HLS STREAM variable=chunks depth=64
    if (layer.kind == KIND_SUM) sum(map, layer, chunks);
    else pool(map, layer, chunks);
    store(chunks, layer, at.result, result, scratch);
}

struct Totals {
    unsigned status;
    Word cycles;
    unsigned votes[COLS];
};

void count(hls::stream<Count> &counts, Totals &totals) {
    totals.cycles += counts.read();
    if (counts.read() != 0) totals.status |= STATUS_WATCHDOG;
    for (int c = 0; c < COLS; ++c) {
#pragma HLS PIPELINE II=1
        totals.votes[c] += counts.read();
    }
}

// Check the header and copy the bypass map and the layers; returns status bits.
unsigned load_program(const Word *program, Word layers[MAX_LAYERS][LAYER_WORDS], Word header[HEADER_WORDS], Bypass &bypass) {
    for (int i = 0; i < HEADER_WORDS; ++i) header[i] = program[i];
    if (half_word(header, HEADER_MAGIC) != PROGRAM_MAGIC || half_word(header, HEADER_DESIGN) != DESIGN) return STATUS_BAD_PROGRAM;
    const unsigned count = half_word(header, HEADER_LAYERS);
    if (count == 0 || count > MAX_LAYERS) return STATUS_BAD_PROGRAM;
    unsigned crc = ~0u;
    for (int i = 0; i < 2 * HEADER_WORDS; ++i) {
        if (i != HEADER_CRC) crc = crc32(crc, half_word(header, i));
    }
    for (int i = 0; i < BYPASS_WORDS; ++i) {
#pragma HLS PIPELINE II=1
        const Word word = program[HEADER_WORDS + i];
        crc = crc32_word(crc, word);
        for (int bit = 0; bit < 64; ++bit) {
#pragma HLS UNROLL
            if (64 * i + bit < ROWS * COLS) bypass[64 * i + bit] = (word >> bit) & 1;
        }
    }
    for (unsigned l = 0; l < count; ++l) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_LAYERS
        for (int i = 0; i < LAYER_WORDS; ++i) {
#pragma HLS PIPELINE II=1
            const Word word = program[HEADER_WORDS + BYPASS_WORDS + l * LAYER_WORDS + i];
            layers[l][i] = word;
            crc = crc32_word(crc, word);
        }
    }
    return ~crc == half_word(header, HEADER_CRC) ? 0 : STATUS_PROGRAM_CRC;
}

unsigned check_weights(const Word *weights, unsigned words, unsigned expected) {
    unsigned crc = ~0u;
    for (unsigned i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=1000000
        crc = crc32_word(crc, weights[i]);
    }
    return ~crc == expected ? 0 : STATUS_WEIGHTS_CRC;
}

void write_record(Word *records, unsigned from, unsigned tag, const Totals &totals) {
    records[from] = Word(tag) | Word(totals.status) << 32;
    records[from + 1] = totals.cycles;
    for (int c = 0; c < COLS; c += 2) {
#pragma HLS PIPELINE II=1
        records[from + 2 + c / 2] = Word(totals.votes[c]) | (c + 1 < COLS ? Word(totals.votes[c + 1]) << 32 : 0);
    }
}

}  // namespace

void hardpoint_top(
    const Word *program,
    const Word *weights,
    const Word *source,
    Word *result,
    const Word *scratch_in,
    Word *scratch_out,
    const Word *strikes,
    Word *records,
    unsigned images,
    unsigned first,
    unsigned mode,
    unsigned *status,
    unsigned *done_images,
    unsigned *design) {
    Word layers[MAX_LAYERS][LAYER_WORDS];
    Word header[HEADER_WORDS];
    Bypass bypass = 0;
    Map map;
#pragma HLS ARRAY_PARTITION variable=map.lane complete dim=1
    *design = DESIGN;
    *done_images = 0;
    unsigned seen = load_program(program, layers, header, bypass);
    if (seen == 0 && (mode & MODE_CHECK) != 0)
        seen = check_weights(weights, half_word(header, HEADER_WEIGHT_WORDS), half_word(header, HEADER_WEIGHT_CRC));
    if (seen != 0) {
        *status = seen;
        return;
    }
    const unsigned count_layers = half_word(header, HEADER_LAYERS);
    const unsigned source_words = half_word(header, HEADER_SOURCE_WORDS);
    const unsigned result_words = half_word(header, HEADER_RESULT_WORDS);
    unsigned block = 0;  // this image's strikes: their length in words, then per array layer a count and the strikes
    for (unsigned image = 0; image < images; ++image) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=256
        Totals totals = {};
        Places at = {image * source_words, image * result_words, block + 1, 0};
        for (unsigned l = 0; l < count_layers && totals.status == 0; ++l) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_LAYERS
            const Layer layer = decode(layers[l]);
            load_map(source, scratch_in, layer, at.source, map);
            if (layer.kind == KIND_GEMM) {
                hls::stream<Count> counts("counts");
#pragma HLS STREAM variable=counts depth=2+COLS
                if ((mode & MODE_STRIKES) != 0) at.strike_count = static_cast<unsigned>(strikes[at.strikes++]);
                gemm(map, weights, strikes, layer, at, bypass, result, scratch_out, counts);
                at.strikes += 2 * at.strike_count;
                count(counts, totals);
            } else {
                without_weights(map, layer, at, result, scratch_out);
            }
        }
        if ((mode & MODE_STRIKES) != 0) {
            block += static_cast<unsigned>(strikes[block]);
            if (totals.status == 0 && at.strikes != block) totals.status = STATUS_BAD_STRIKES;
        }
        write_record(records, image * RECORD_WORDS, first + image, totals);
        seen |= totals.status;
        *done_images = image + 1;
    }
    *status = seen;
}
