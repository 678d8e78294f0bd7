// The recompute unit in C++: simulation model, C model of the black box, and what is synthesised where core = "hls".
#include "recompute.h"

#include "pe.h"
#include "play.h"

using namespace hardpoint;

namespace {

typedef Pe<UnitGuard> Unit;
constexpr bool THREE = UnitGuard::OPERAND_LANES == 3;
constexpr unsigned long long THREE_RESULTS = UnitGuard::DRAIN_LANES == 3 ? Unit::HIGH : 0;

struct State {
    Acc acc[3];
    Mask act[LANES][3], wgt[LANES][3];
    Taps taps;
};

void reset(State &unit) {
#pragma HLS INLINE
    const Mask none = {0, ~Wide(0), 0};
    clear(unit.taps);
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        unit.acc[i] = 0;
        for (int j = 0; j < LANES; ++j) {
#pragma HLS UNROLL
            unit.act[j][i] = unit.wgt[j][i] = none;
        }
    }
}

void clear_flips(State &unit) {
#pragma HLS INLINE
    clear_flips(unit.taps);
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        for (int j = 0; j < LANES; ++j) {
#pragma HLS UNROLL
            unit.act[j][i].flip = unit.wgt[j][i].flip = 0;
        }
    }
}

void load(State &unit, const Strike &strike) {
#pragma HLS INLINE
    const int copy = strike.copy, lane = strike.col;
    if (strike.row != UNIT_ROW || strike.site >= SITES) return;
    if (strike.site > WGT) {
        load(unit.taps.at[int(strike.site)][copy], strike);
    } else if (copy < 3 && lane < LANES) {
        if (strike.site == ACT) load(unit.act[lane][copy], strike);
        else load(unit.wgt[lane][copy], strike);
    }
}

// One step: the lanes' products are summed part by part, and their sum is added as in a PE.
void step(State &unit, const UnitBeat &beat, bool sgn, bool first) {
#pragma HLS INLINE
    Wide low = 0;
    Acc high[3] = {0, 0, 0};
    for (int j = 0; j < LANES; ++j) {
#pragma HLS UNROLL
        const Act entering_a = beat.range((j + 1) * ACT_BITS - 1, j * ACT_BITS);
        const Wgt entering_w = beat.range(LANES * ACT_BITS + (j + 1) * WGT_BITS - 1, LANES * ACT_BITS + j * WGT_BITS);
        Act a[3];
        Wgt w[3];
        Wide part_low, unused_low;
        Acc part_high[3], unused_high;
        for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
            a[i] = struck(entering_a, unit.act[j][THREE ? i : 0]) & Act((1 << ACT_BITS) - 1);
            w[i] = struck(entering_w, unit.wgt[j][THREE ? i : 0]) & Wgt((1 << WGT_BITS) - 1);
        }
        if (THREE) {
            products<Unit::B>(majority(a[0], a[1], a[2]), majority(w[0], w[1], w[2]), sgn, part_low, unused_high);
            for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
                products<Unit::B>(a[i], w[i], sgn, unused_low, part_high[i]);
            }
        } else {
            products<Unit::B>(a[0], w[0], sgn, part_low, part_high[0]);
            part_high[1] = part_high[2] = part_high[0];
        }
        low += part_low;
        for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
            high[i] += part_high[i];
        }
    }
    const Acc before[3] = {unit.acc[0], unit.acc[1], unit.acc[2]};
    Unit::add(low, high, before, first, false, unit.taps, unit.acc);
}

// The step after a neuron's last: its sum is voted into the result register, whose lanes are voted on the way out.
Acc result(const State &unit, int &votes) {
#pragma HLS INLINE
    Acc lanes[3];
    Unit::finished(unit.acc, unit.taps, lanes);
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        lanes[i] = struck(lanes[i], unit.taps.at[DRAIN][i]) & Acc(ALL_COLUMNS);
    }
    votes += (((lanes[0] ^ lanes[1]) | (lanes[0] ^ lanes[2])) & Acc(THREE_RESULTS)) != 0;
    return (majority(lanes[0], lanes[1], lanes[2]) & Acc(THREE_RESULTS)) | (lanes[0] & ~Acc(THREE_RESULTS));
}

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
    State unit;
#pragma HLS ARRAY_PARTITION variable=unit.acc complete
#pragma HLS ARRAY_PARTITION variable=unit.act complete dim=0
#pragma HLS ARRAY_PARTITION variable=unit.wgt complete dim=0
#pragma HLS ARRAY_PARTITION variable=unit.taps.at complete dim=0
    reset(unit);
    Player player = {};
    player.start(strike_count);
    ap_uint<48> when = 0;
    ap_uint<32> neuron = 0, at = 0, cycles = 0;
    int votes = 0;
    // An iteration loads one mask word or takes one step.
    for (ap_uint<32> i = 0; i < limit && neuron < neurons; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=64 max=1000000
        if (player.due(strikes, when)) {
            load(unit, player.strike);
            continue;
        }
        votes += at != 0 && Unit::disagree(unit.acc);
        if (at == steps) {
            sums.write(result(unit, votes));
            at = 0;
            ++neuron;
        } else {
            step(unit, beats.read(), signed_act != 0, at == 0);
            ++at;
        }
        if (player.struck) {
            clear_flips(unit);
            player.struck = false;
        }
        ++when;
        ++cycles;
    }

    skip(beats, ap_uint<48>(neurons - neuron) * steps - at);
    pad(sums, neurons - neuron);
    skip(strikes, strike_count - player.taken);
    counts.write(cycles);
    counts.write(neuron < neurons);
    counts.write(votes);
}
