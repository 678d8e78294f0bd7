// What the models of Verilated black boxes share: ports of any width, streams that pause, and a run of one. For simulation only.
#ifndef HARDPOINT_STREAMS_H
#define HARDPOINT_STREAMS_H

#include <verilated.h>

#include <hls_stream.h>

#ifndef HARDPOINT_STALLS
#define HARDPOINT_STALLS 0  // 1: streams pause at random
#endif

namespace hardpoint {

// Ports of any width, in words of 32 bits. Narrow ports are integers.
template <class Port, int BITS>
void put(Port &port, const ap_uint<BITS> &value) {
    port = static_cast<Port>(value.to_uint64());
}
template <std::size_t WORDS, int BITS>
void put(VlWide<WORDS> &port, const ap_uint<BITS> &value) {
    for (int low = 0; low < BITS; low += 32) {
        const int high = low + 31 < BITS ? low + 31 : BITS - 1;
        port[low / 32] = value.range(high, low).to_uint();
    }
}
template <class Port, int BITS>
void take(const Port &port, ap_uint<BITS> &value) {
    value = port;
}
template <std::size_t WORDS, int BITS>
void take(const VlWide<WORDS> &port, ap_uint<BITS> &value) {
    for (int low = 0; low < BITS; low += 32) {
        const int high = low + 31 < BITS ? low + 31 : BITS - 1;
        value.range(high, low) = port[low / 32];
    }
}

// A stream as the reader's side of a FIFO: its head is seen before it is taken.
template <class T>
struct Head {
    hls::stream<T> &from;
    T value;
    bool there;

    explicit Head(hls::stream<T> &stream) : from(stream), value(0), there(false) {}

    bool fetch() {
        if (!there && !from.empty()) {
            value = from.read();
            there = true;
        }
        return there;
    }
};

// Whether a stream is ready this cycle.
struct Pauses {
    unsigned state = 12345;

    bool ready() {
        state = state * 1664525u + 1013904223u;
        return !HARDPOINT_STALLS || (state >> 28) % 3 != 0;
    }
};

// A run of the black box `model`, whose scalars are set, from its start to its end.
template <class Model, class Beat, class Strike, class Sum, class Count>
void run(Model &model, hls::stream<Beat> &beats, hls::stream<Strike> &strikes, hls::stream<Sum> &sums, hls::stream<Count> &counts) {
    Head<Beat> beat(beats);
    Head<Strike> strike(strikes);
    Pauses pauses;
    model.ap_rst = 1;
    model.ap_ce = 1;
    model.ap_start = 0;
    model.ap_continue = 1;
    for (int clock = 0; clock < 2; ++clock) {
        model.ap_clk = 0;
        model.eval();
        model.ap_clk = 1;
        model.eval();
    }
    model.ap_rst = 0;
    model.ap_start = 1;
    for (bool done = false; !done;) {
        model.ap_ce = pauses.ready();
        model.beats_empty_n = pauses.ready() && beat.fetch();
        model.strikes_empty_n = pauses.ready() && strike.fetch();
        model.sums_full_n = pauses.ready();
        model.counts_full_n = pauses.ready();
        put(model.beats_dout, beat.value);
        put(model.strikes_dout, strike.value);
        model.ap_clk = 0;
        model.eval();
        if (model.beats_read) beat.there = false;
        if (model.strikes_read) strike.there = false;
        if (model.sums_write) {
            Sum sum = 0;
            take(model.sums_din, sum);
            sums.write(sum);
        }
        if (model.counts_write) counts.write(model.counts_din);
        done = model.ap_ce && model.ap_done;
        model.ap_clk = 1;
        model.eval();
    }
    model.final();
}

}  // namespace hardpoint

#endif
