// hardpoint_engine as the Verilated array: the interface of core.h, with every strike at its own cycle.
#include <verilated.h>

#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "Vcore.h"
#include "core.h"
#include "pe.h"

using namespace hardpoint;

namespace {

typedef unsigned long long Bits;

constexpr int COLUMN_OF[3] = {Pe<Guard0>::B, Pe<Guard1>::B, Pe<Guard2>::B};

// A weight-stationary array's accumulator row has the guards of the row above it.
int guard_column(int r, int c) { return COLUMN_OF[CLASS_OF[r < ROWS ? r : ROWS - 1][c]]; }

// Whether column c drains a cycle late, because it holds guarded processing elements.
bool late(int c) {
    for (int r = 0; r < ROWS; ++r) {
        if (guard_column(r, c) < ACC_BITS) return true;
    }
    return false;
}

// Ports of any width, bit `low` on. Narrow ports are integers, wide ones arrays of 32-bit words.
template <class Port>
void put(Port &port, int low, int width, Bits value) {
    const Bits ones = (width == 64 ? Bits(0) : Bits(1) << width) - 1;
    port = Port((Bits(port) & ~(ones << low)) | (value & ones) << low);
}
template <std::size_t Words>
void put(VlWide<Words> &port, int low, int width, Bits value) {
    for (int done = 0; done < width;) {
        const int word = (low + done) / 32, at = (low + done) % 32;
        const int part = width - done < 32 - at ? width - done : 32 - at;
        put(port[word], at, part, value >> done);
        done += part;
    }
}
template <class Port>
Bits take(const Port &port, int low, int width) {
    return (Bits(port) >> low) & ((Bits(1) << width) - 1);
}
template <std::size_t Words>
Bits take(const VlWide<Words> &port, int low, int width) {
    Bits value = port[low / 32] >> (low % 32);
    if (low % 32 + width > 32) value |= Bits(port[low / 32 + 1]) << (32 - low % 32);
    return value & ((Bits(1) << width) - 1);
}

// Cycles from one tile's first step to the next one's, and steps, where a tile has `steps` steps.
Bits steps_of(Bits steps) { return WEIGHTS_STAY || steps > ROWS ? steps : Bits(ROWS); }
Bits cycles_of(Bits steps) { return WEIGHTS_STAY && steps < 4 ? 4 : steps_of(steps); }

// The cycle in which PE (row, col) does at `site` what the array does at logical time `when`, for the columns below
// its guard column (`low`) or from it on; docs/hardware.md derives it. A drain register of an upper row has no such
// cycle for the last steps of a tile: then `dead`, and the cycle is that of the next tile's hand-over.
Bits cycle(const Strike &strike, bool low, Bits steps, bool &dead) {
    const Bits period = steps_of(steps), tile = strike.when / period, step = strike.when % period;
    const Bits when = tile * cycles_of(steps) + step, skew = strike.row + strike.col;
    dead = false;
    switch (int(strike.site)) {
        case ACT:
        case WGT: return when + skew;
        case CARRY:
        case MUL: return when + skew + 2;
        case ACC: return when + skew + (low ? 2 : 3);
        case VOTE: return when + skew + 3;
    }
    const Bits pipeline = 2 + late(strike.col) + strike.col;
    const Bits d = (when - steps) % period;
    dead = d > Bits(strike.row);
    if (dead) return when - d + period + pipeline + strike.row;
    return when + pipeline + (d == 0 ? int(strike.row) : ROWS - 1);
}

// What is to be loaded before which cycle: (cycle, row, column, site, copy, kind) -> mask word.
typedef std::map<std::tuple<Bits, int, int, int, int, int>, Bits> Schedule;

// Strikes as cycles. The two halves of a copy 0 that is struck below and above its guard column act in different cycles.
Schedule schedule(hls::stream<StrikeWord> &strikes, unsigned count, Bits steps) {
    typedef std::tuple<int, int, int, int, int> Word;
    Schedule flips, stuck, found;
    for (unsigned i = 0; i < count; ++i) {
        const Strike strike = unpack(strikes.read());
        if (strike.row >= SITE_ROWS || strike.col >= COLS || strike.site >= SITES) continue;
        const Bits below = (Bits(1) << guard_column(strike.row, strike.col)) - 1;
        const int row = strike.row, col = strike.col, site = strike.site, copy = strike.copy, kind = strike.kind;
        const Bits data = strike.kind == KEEP ? ~Bits(strike.data) : Bits(strike.data);  // taps store stuck zeros
        for (int half = 0; half < 2; ++half) {
            const Bits part = half == 0 ? below : ~below;
            bool dead;
            const Bits now = cycle(strike, (half == 0 && copy == 0) || copy == OVERHANG, steps, dead);
            if (kind == FLIP && !dead) flips[std::make_tuple(now, row, col, site, copy, kind)] |= data & part;
            // Changes of the halves are kept apart, by the spare bits of the key, until they are merged in order.
            if (kind != FLIP) stuck[std::make_tuple(now, row, col, site, copy, kind + 4 * half)] = data & part;
        }
    }
    std::map<Word, Bits> halves[2];
    for (const auto &item : stuck) {
        const int kind = std::get<5>(item.first) % 4, half = std::get<5>(item.first) / 4;
        const Word word(std::get<1>(item.first), std::get<2>(item.first), std::get<3>(item.first), std::get<4>(item.first), kind);
        halves[half][word] = item.second;
        auto key = item.first;
        std::get<5>(key) = kind;
        found[key] = halves[0][word] | halves[1][word];
    }
    for (const auto &item : flips) {
        if (item.second != 0) found.insert(item);
    }
    return found;
}

// What only a weight-stationary array is told about step `step` of tile `tile`.
template <class Model>
void say_pass(Model &model, Bits step, Bits tile, Bits passes) {
    if constexpr (WEIGHTS_STAY) {
        model.in_load = step < Bits(ROWS);
        model.in_fresh = tile % passes == 0;
        model.in_leave = tile % passes == passes - 1;
    }
}

// The model with its clock.
struct Clocked {
    VerilatedContext context;
    Vcore model;

    Clocked() : model(&context) {
        model.rst = 1;
        model.ce = 0;
        model.flush = 0;
        model.in_valid = 0;
        model.out_ready = 1;
        model.inj_valid = 0;
        settle();
        rise();
        model.rst = 0;
        settle();
    }
    ~Clocked() { model.final(); }

    void settle() {
        model.clk = 0;
        model.eval();
    }
    void rise() {
        model.clk = 1;
        model.eval();
    }

    void load(const Schedule::value_type &item) {
        model.inj_valid = 1;
        model.inj_row = std::get<1>(item.first);
        model.inj_col = std::get<2>(item.first);
        model.inj_site = std::get<3>(item.first);
        model.inj_copy = std::get<4>(item.first);
        model.inj_kind = std::get<5>(item.first);
        put(model.inj_data, 0, ACC_BITS + 4, item.second);
        settle();
        rise();
    }
};

}  // namespace

void hardpoint_engine(
    hls::stream<Beat> &beats,
    hls::stream<StrikeWord> &strikes,
    hls::stream<Sums> &sums,
    hls::stream<Count> &counts,
    ap_uint<32> tiles,
    ap_uint<32> steps,
    ap_uint<32> passes,
    ap_uint<1> signed_act,
    Bypass bypass,
    ap_uint<32> strike_count,
    ap_uint<32> limit) {
    std::unique_ptr<Clocked> clocked(new Clocked);
    Vcore &model = clocked->model;
    for (int i = 0; i < ROWS * COLS; ++i) put(model.bypass, i, 1, bypass[i]);
    const Bits length = steps.to_uint64();
    const Schedule plan = schedule(strikes, strike_count.to_uint(), length);
    Schedule::const_iterator next = plan.begin();

    const Bits all = tiles.to_uint64() * length;
    const Bits expected = WEIGHTS_STAY ? Bits(tiles / passes) * (length - ROWS) : tiles.to_uint64() * ROWS;
    Bits fed = 0, left = 0, cycles = 0, iterations = 0;
    const auto feed = [&]() {
        model.flush = fed == all;
        if (fed == all) return;
        const Beat beat = beats.read();
        for (int r = 0; r < ROWS; ++r) put(model.in_a, r * ACT_BITS, ACT_BITS, beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS).to_uint64());
        for (int c = 0; c < COLS; ++c) {
            const int low = ROWS * ACT_BITS + c * WGT_BITS;
            put(model.in_w, c * WGT_BITS, WGT_BITS, beat.range(low + WGT_BITS - 1, low).to_uint64());
        }
        model.in_first = fed % length == 0;
        model.in_last = fed % length == length - 1;
        model.in_sgn = signed_act;
        say_pass(model, fed % length, fed / length, passes.to_uint64());
    };
    feed();
    unsigned weather = 0xACE1;  // a Fibonacci register of 16 bits
    while (left < expected && iterations < limit.to_uint64()) {
        if (next != plan.end() && std::get<0>(next->first) <= cycles) {
            model.ce = 0;
            for (; next != plan.end() && std::get<0>(next->first) <= cycles; ++next, ++iterations) clocked->load(*next);
            model.inj_valid = 0;
            clocked->settle();
            clocked->rise();
        }
        // Now and then a neighbour is late, so that every run also shows that waiting changes nothing.
        weather = weather >> 1 | ((weather ^ weather >> 2 ^ weather >> 3 ^ weather >> 5) & 1) << 15;
        const bool hungry = weather % 16 == 0, full = weather / 16 % 16 == 0;
        model.ce = 1;
        model.in_valid = fed < all && !hungry;
        model.out_ready = !full;
        clocked->settle();
        const bool passes = model.advance, enters = model.in_valid && model.in_ready;
        if (passes && model.out_valid) {
            Sums row = 0;
            for (int c = 0; c < COLS; ++c) row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS) = take(model.out_data, c * ACC_BITS, ACC_BITS);
            sums.write(row);
            ++left;
        }
        clocked->rise();
        if (enters) {
            ++fed;
            feed();
        }
        cycles += passes;
        iterations += passes || !(hungry || full);
    }
    model.out_ready = 1;
    for (Bits i = fed + 1; i < all; ++i) beats.read();
    for (Bits i = left; i < expected; ++i) sums.write(0);
    counts.write(cycles);
    counts.write(left < expected);
    for (int late_votes = 0; late_votes < ROWS + 8; ++late_votes) {  // counts still on their way down
        clocked->settle();
        clocked->rise();
    }
    clocked->settle();
    for (int c = 0; c < COLS; ++c) counts.write(take(model.votes, 32 * c, 32));
}

// The cycle in which PE (row, col) does at `site` what the array does at `tile` and `step`: for the columns below its
// guard column, with `low`, or from it on. -1 where a drain register does nothing then. A tile has `steps` steps.
extern "C" long hp_cycle(long tile, long step, int row, int col, int site, int low, long steps) {
    Strike strike = {};
    strike.when = tile * steps_of(steps) + step;
    strike.row = row;
    strike.col = col;
    strike.site = site;
    bool dead;
    const Bits now = cycle(strike, low != 0, steps, dead);
    return dead ? -1 : long(now);
}
