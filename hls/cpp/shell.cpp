// The shell: loads the program, then runs layer after layer of image after image.
#include "shell.h"

#include "buffers.h"
#include "pointwise.h"

using namespace hardpoint;

namespace {

// A layer's inputs, one after the other, from memory into the map, and into the recompute unit's copy of it. An image's input
// starts at word `from`.
void load_map(const Word *source, const Word *scratch, const Layer &layer, unsigned from, Map &map, UnitMap &unit_map) {
    const int words = layer.source.words + layer.second.words;
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAP_BYTES/8
        const bool second = i >= layer.source.words;
        const int at = second ? i - layer.source.words : i;
        const Chunk chunk = {read_tensor(source, scratch, second ? layer.second : layer.source, from, at), 8};
        map.write(8 * i, chunk);
        if (UNIT_REUSE) unit_map.write(8 * i, chunk);
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
#pragma HLS ARRAY_PARTITION variable=patch complete dim=2
        if (layer.depthwise) gather_channel(map, layer, i / passes, i % passes, patch);
        else gather(map, layer, i, patch);
        feed(patch, layer.depthwise ? 1 : layer.tiles_n, layer.steps, move_of(layer), weights, beats);
    }
}

void slices(const Map &map, const Layer &layer, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    for (int tile = 0; tile < layer.tiles_m * layer.tiles_n * layer.passes; ++tile) {
#pragma HLS DATAFLOW
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        Slice slice;
#pragma HLS ARRAY_PARTITION variable=slice.row complete dim=1
        gather_slice(map, layer, tile, slice);
        feed_slice(slice, pixels_of(layer), move_of(layer), weights, beats);
    }
}

void activations(const Map &map, const Layer &layer, hls::stream<WeightBeat> &weights, hls::stream<Beat> &beats) {
    if (WEIGHTS_STAY) slices(map, layer, weights, beats);
    else patches(map, layer, weights, beats);
}

void load_channels(const Layer &layer, hls::stream<Word> &channels, Word channel[MAX_CHANNELS]) {
    for (int n = 0; n < layer.out_channels; ++n) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_CHANNELS
        channel[n] = channels.read();
    }
}

// Where tiles come in the order of memory, each leaves while the next one comes.
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

void collect(const Layer &layer, const Word channel[MAX_CHANNELS], hls::stream<Sums> &sums, Block &block) {
    for (int tile_m = 0; tile_m < layer.tiles_m; ++tile_m) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
        finish(layer, tile_m, channel, sums, block);
    }
}

int output_bytes(const Layer &layer) { return layer.out_height * layer.out_width * layer.out_channels * layer.target.bytes; }

void outputs(const Layer &layer, hls::stream<Word> &channels, hls::stream<Sums> &sums, hls::stream<Chunk> &chunks) {
    Word channel[MAX_CHANNELS];
#pragma HLS ARRAY_PARTITION variable=channel cyclic factor=8
    load_channels(layer, channels, channel);
    if (WHOLE_OUTPUT) {
        Block block;
#pragma HLS ARRAY_PARTITION variable=block.lane complete dim=1
        collect(layer, channel, sums, block);
        emit(block, output_bytes(layer), chunks);
    } else {
        by_tile(layer, channel, sums, chunks);
    }
}

void outputs_overwritten(
    const Layer &layer, const List &names, hls::stream<Word> &channels, hls::stream<Sums> &sums, hls::stream<UnitSum> &unit_sums,
    hls::stream<Chunk> &chunks) {
    Word channel[MAX_CHANNELS];
#pragma HLS ARRAY_PARTITION variable=channel cyclic factor=8
    Block block;
#pragma HLS ARRAY_PARTITION variable=block.lane complete dim=1
    load_channels(layer, channels, channel);
    collect(layer, channel, sums, block);
    overwrite(layer, names, channel, unit_sums, block);
    emit(block, output_bytes(layer), chunks);
}

void fetch_strikes(const Word *strikes, const Span &span, hls::stream<StrikeWord> &out) {
    for (unsigned i = 0; i < span.count; ++i) {
#pragma HLS PIPELINE II=2
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000
        out.write(word_at(strikes, span, i));
    }
}

// The unit's strikes first: it does not wait for the array.
void fetch_both(const Word *strikes, const Span &unit, const Span &core, hls::stream<StrikeWord> &to_unit, hls::stream<StrikeWord> &to_core) {
    fetch_strikes(strikes, unit, to_unit);
    fetch_strikes(strikes, core, to_core);
}

// Where this image's data start in the memories, in words.
struct Places {
    unsigned source, result;
    Span core, unit, index, inputs, outputs, weights;  // strikes of the layer
};

// The next list of strikes; `at` moves behind it.
Span list_at(const Word *strikes, unsigned &at) {
    const Span span = {at + 1, static_cast<unsigned>(strikes[at])};
    at += 1 + 2 * span.count;
    return span;
}

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
    fetch_strikes(strikes, at.core, strike_words);
    activations(map, layer, weight_beats, beats);
    hardpoint_engine(
        beats, strike_words, sums, counts, layer.tiles_m * layer.tiles_n * layer.passes, layer.steps, layer.passes,
        layer.source.sgn, bypass, at.core.count, layer.limit + at.core.count);
    outputs(layer, channels, sums, chunks);
    store(chunks, layer, at.result, result, scratch);
}

// The same with the recompute unit beside the array.
void gemm_beside_unit(
    const Map &map,
    const UnitMap &unit_map,
    const Port &port,
    const Word *program,
    const Word *weights,
    const Word *strikes,
    const Layer &layer,
    const List &list,
    const List &names,
    const Places &at,
    const Bypass &bypass,
    Word *result,
    Word *scratch,
    hls::stream<Count> &counts,
    hls::stream<Count> &unit_counts) {
#pragma HLS DATAFLOW
    hls::stream<WeightBeat> weight_beats("weight_beats");
    hls::stream<Word> channels("channels");
    hls::stream<StrikeWord> strike_words("strike_words");
    hls::stream<StrikeWord> unit_strikes("unit_strikes");
    hls::stream<Beat> beats("beats");
    hls::stream<UnitBeat> unit_beats("unit_beats");
    hls::stream<Sums> sums("sums");
    hls::stream<UnitSum> unit_sums("unit_sums");
    hls::stream<Chunk> chunks("chunks");
#pragma HLS STREAM variable=weight_beats depth=512
#pragma HLS STREAM variable=channels depth=MAX_CHANNELS
#pragma HLS STREAM variable=strike_words depth=16
#pragma HLS STREAM variable=unit_strikes depth=16
#pragma HLS STREAM variable=beats depth=16
#pragma HLS STREAM variable=unit_beats depth=16
#pragma HLS STREAM variable=sums depth=64
#pragma HLS STREAM variable=unit_sums depth=MAX_LISTED
#pragma HLS STREAM variable=chunks depth=64
    fetch_weights(weights, layer, channels, weight_beats);
    fetch_both(strikes, at.unit, at.core, unit_strikes, strike_words);
    activations(map, layer, weight_beats, beats);
    operands(unit_map, port, program, layer, list, unit_beats);
    hardpoint_engine(
        beats, strike_words, sums, counts, layer.tiles_m * layer.tiles_n * layer.passes, layer.steps, layer.passes,
        layer.source.sgn, bypass, at.core.count, layer.limit + at.core.count);
    hardpoint_recompute(
        unit_beats, unit_strikes, unit_sums, unit_counts, layer.listed, layer.unit_steps, layer.source.sgn, at.unit.count,
        4 * layer.listed * (layer.unit_steps + 1) + 64 + at.unit.count);
    outputs_overwritten(layer, names, channels, sums, unit_sums, chunks);
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

// Columns of the array, and the recompute unit as one more, have counts of their own.
constexpr int COUNTED = COLS + (UNIT_LANES > 0 ? 1 : 0);

struct Totals {
    unsigned status;
    Word cycles;
    unsigned votes[COUNTED];
};

// What the array and the unit beside it counted; the slower one sets the layer's time.
void count(hls::stream<Count> &counts, hls::stream<Count> &unit_counts, bool unit, Totals &totals) {
    const Word cycles = counts.read();
    const bool hung = counts.read() != 0;
    for (int c = 0; c < COLS; ++c) {
#pragma HLS PIPELINE II=1
        totals.votes[c] += counts.read();
    }
    const Word unit_cycles = unit ? Word(unit_counts.read()) : 0;
    const bool unit_hung = unit && unit_counts.read() != 0;
    if (unit) totals.votes[COUNTED - 1] += unit_counts.read();
    totals.cycles += cycles > unit_cycles ? cycles : unit_cycles;
    if (hung || unit_hung) totals.status |= STATUS_WATCHDOG;
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

// Compare `words` words from `from` on with their CRC; returns `wrong` where it is another.
unsigned check_words(const Word *memory, unsigned from, unsigned words, unsigned expected, unsigned wrong) {
    unsigned crc = ~0u;
    for (unsigned i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=0 max=1000000
        crc = crc32_word(crc, memory[from + i]);
    }
    return ~crc == expected ? 0 : wrong;
}

// Words of a program before the lists of the recompute unit.
unsigned program_words(const Word header[HEADER_WORDS]) {
    return HEADER_WORDS + BYPASS_WORDS + half_word(header, HEADER_LAYERS) * LAYER_WORDS;
}

void write_record(Word *records, unsigned from, unsigned tag, const Totals &totals) {
    records[from] = Word(tag) | Word(totals.status) << 32;
    records[from + 1] = totals.cycles;
    for (int c = 0; c < COUNTED; c += 2) {
#pragma HLS PIPELINE II=1
        records[from + 2 + c / 2] = Word(totals.votes[c]) | (c + 1 < COUNTED ? Word(totals.votes[c + 1]) << 32 : 0);
    }
}

}  // namespace

void hardpoint_top(
    Word *program,
    Word *weights,
    Word *source,
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
    UnitMap unit_map;
#pragma HLS ARRAY_PARTITION variable=map.lane complete dim=1
#pragma HLS ARRAY_PARTITION variable=unit_map.lane complete dim=1
    *design = DESIGN;
    *done_images = 0;
    unsigned seen = load_program(program, layers, header, bypass);
    if (seen == 0 && (mode & MODE_CHECK) != 0)
        seen = check_words(weights, 0, half_word(header, HEADER_WEIGHT_WORDS), half_word(header, HEADER_WEIGHT_CRC), STATUS_WEIGHTS_CRC)
             | check_words(program, program_words(header), half_word(header, HEADER_LIST_WORDS), half_word(header, HEADER_LIST_CRC), STATUS_PROGRAM_CRC);
    if (seen != 0) {
        *status = seen;
        return;
    }
    const unsigned count_layers = half_word(header, HEADER_LAYERS);
    const unsigned source_words = half_word(header, HEADER_SOURCE_WORDS);
    const unsigned result_words = half_word(header, HEADER_RESULT_WORDS);
    unsigned block = 0;  // this image's strikes: their length in words, then per array layer lists of them
    for (unsigned image = 0; image < images; ++image) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=256
        Totals totals = {};
        const Span none = {0, 0};
        Places at = {image * source_words, image * result_words, none, none, none, none, none, none};
        bool given_up = false;  // by the decoder of a buffer
        unsigned next = block + 1;
        for (unsigned l = 0; l < count_layers && totals.status == 0; ++l) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_LAYERS
            const Layer layer = decode(layers[l]);
            load_map(source, scratch_in, layer, at.source, map, unit_map);
            if (layer.kind == KIND_GEMM) {
                hls::stream<Count> counts("counts");
                hls::stream<Count> unit_counts("unit_counts");
#pragma HLS STREAM variable=counts depth=2+COLS
#pragma HLS STREAM variable=unit_counts depth=3
                if ((mode & MODE_STRIKES) != 0) {
                    at.core = list_at(strikes, next);
                    at.unit = list_at(strikes, next);
                    at.index = list_at(strikes, next);
                    at.inputs = list_at(strikes, next);
                    at.outputs = list_at(strikes, next);
                    at.weights = list_at(strikes, next);
                }
                given_up |= strike_inputs(strikes, at.inputs, map, unit_map);
                given_up |= strike_weights(strikes, at.weights, layer, weights, program);
                strike_source(strikes, at.inputs, layer, at.source, source, scratch_out);
                const bool beside = UNIT_LANES > 0 && layer.listed > 0;
                if (beside) {
                    List list, names;
                    const Port port = {source, scratch_in, layer.source, at.source};
                    load_list(program, strikes, at.index, layer, list, names);
                    gemm_beside_unit(
                        map, unit_map, port, program, weights, strikes, layer, list, names, at, bypass, result, scratch_out, counts,
                        unit_counts);
                } else {
                    gemm(map, weights, strikes, layer, at, bypass, result, scratch_out, counts);
                }
                count(counts, unit_counts, beside, totals);
                strike_weights(strikes, at.weights, layer, weights, program);  // as they were
                strike_source(strikes, at.inputs, layer, at.source, source, scratch_out);
                given_up |= strike_outputs(strikes, at.outputs, layer, at.result, result, scratch_out);
            } else {
                without_weights(map, layer, at, result, scratch_out);
            }
        }
        if ((mode & MODE_STRIKES) != 0) {
            block += static_cast<unsigned>(strikes[block]);
            if (totals.status == 0 && next != block) totals.status = STATUS_BAD_STRIKES;
        }
        if (given_up) totals.status |= STATUS_ECC;
        write_record(records, image * RECORD_WORDS, first + image, totals);
        seen |= totals.status;
        *done_images = image + 1;
    }
    *status = seen;
}
