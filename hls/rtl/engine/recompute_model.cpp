// hardpoint_recompute as the Verilated black box: the interface of recompute.h, stream by stream. For simulation only.
#include "recompute.h"

#include <verilated.h>

#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "Vunit.h"
#include "pe.h"
#include "streams.h"

using namespace hardpoint;

namespace {

#ifndef HARDPOINT_ENGINE
// The cycle in which the unit does at `site` what it does at logical time `when`, for the columns below its guard column
// (`low`) or from it on (docs/hardware.md). What is used once per neuron takes the time of its next use.
unsigned long long cycle(const Strike &strike, bool low, unsigned long long steps) {
    int levels = 0;
    while (1 << levels < LANES) ++levels;
    const unsigned long long neuron = strike.when / (steps + 1), at = strike.when % (steps + 1);
    const unsigned long long start = neuron * steps;
    switch (int(strike.site)) {
        case ACT:
        case WGT: return start + at;
        case CARRY:
        case MUL: return start + at + 3 + levels;
        case ACC: return start + at + (low ? 3 : 4) + levels;
        case VOTE: return start + (at == 0 ? 1 : at) + 4 + levels;
    }
    return start + steps + 4 + levels;
}

// Logical times become cycles, in order; copy 0 of the accumulator is struck below and above the guard column in two of them.
void in_cycles(hls::stream<StrikeWord> &strikes, unsigned count, unsigned long long steps, hls::stream<StrikeWord> &out) {
    typedef std::tuple<int, int, int, int> Place;  // site, copy, column, kind
    constexpr unsigned long long BELOW = (1ULL << Pe<UnitGuard>::B) - 1, EVERY = (1ULL << 40) - 1;
    std::map<std::pair<unsigned long long, Place>, unsigned long long> found;
    std::map<Place, std::map<std::pair<unsigned long long, int>, unsigned long long>> stuck;
    for (unsigned i = 0; i < count; ++i) {
        const StrikeWord word = strikes.read();
        const Strike strike = unpack(word);
        const Place place(strike.site, strike.copy, strike.col, strike.kind);
        const unsigned long long mask = (word.range(103, 64).to_uint64() ^ (strike.kind == KEEP ? EVERY : 0)) & EVERY;
        for (int half = 0; half < 2; ++half) {
            const unsigned long long now = cycle(strike, half == 0 && strike.copy == 0, steps), part = mask & (half == 0 ? BELOW : ~BELOW);
            if (strike.kind == FLIP) {
                if (part != 0) found[{now, place}] |= part;
            } else {
                stuck[place][{now, half}] = part;
            }
        }
    }
    for (const auto &word : stuck) {
        unsigned long long held[2] = {0, 0};
        for (const auto &change : word.second) {
            held[change.first.second] = change.second;
            found[{change.first.first, word.first}] = held[0] | held[1];
        }
    }
    for (const auto &item : found) {
        StrikeWord word = 0;
        const int site = std::get<0>(item.first.second), kind = std::get<3>(item.first.second);
        word.range(47, 0) = item.first.first;
        word.range(49, 48) = kind;
        word.range(52, 50) = site & 7;
        word[55] = site >> 3;
        word.range(54, 53) = std::get<1>(item.first.second);
        word.range(103, 64) = item.second ^ (kind == KEEP ? EVERY : 0);
        word.range(111, 104) = UNIT_ROW;
        word.range(119, 112) = std::get<2>(item.first.second);
        out.write(word);
    }
}
#endif

}  // namespace

void hardpoint_recompute(
    hls::stream<UnitBeat> &beats,
    hls::stream<StrikeWord> &strikes,
    hls::stream<UnitSum> &sums,
    hls::stream<Count> &counts,
    ap_uint<32> neurons,
    ap_uint<32> steps,
    ap_uint<1> signed_act,
    ap_uint<32> strike_count,
    ap_uint<32> limit) {
    std::unique_ptr<VerilatedContext> context(new VerilatedContext);
    std::unique_ptr<Vunit> model(new Vunit(context.get()));
    model->neurons = neurons.to_uint();
    model->steps = steps.to_uint();
    model->signed_act = signed_act.to_uint();
    model->limit = limit.to_uint();
#ifdef HARDPOINT_ENGINE
    model->strike_count = strike_count.to_uint();
    run(*model, beats, strikes, sums, counts);
#else
    hls::stream<StrikeWord> timed("timed");
    in_cycles(strikes, strike_count.to_uint(), steps.to_uint64(), timed);
    model->strike_count = timed.size();
    run(*model, beats, timed, sums, counts);
#endif
}
