// hardpoint_engine as the Verilated black box: the interface of core.h, stream by stream. For simulation only.
#include <verilated.h>

#include <memory>

#include "Vcore.h"
#include "core.h"
#include "streams.h"

using namespace hardpoint;

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
    std::unique_ptr<VerilatedContext> context(new VerilatedContext);
    std::unique_ptr<Vcore> model(new Vcore(context.get()));
    Head<Beat> beat(beats);
    Head<StrikeWord> strike(strikes);
    Pauses pauses;
    model->ap_rst = 1;
    model->ap_ce = 1;
    model->ap_start = 0;
    model->ap_continue = 1;
    model->tiles = tiles.to_uint();
    model->steps = steps.to_uint();
    model->passes = passes.to_uint();
    put(model->bypass, bypass);
    model->signed_act = signed_act.to_uint();
    model->strike_count = strike_count.to_uint();
    model->limit = limit.to_uint();
    for (int clock = 0; clock < 2; ++clock) {
        model->ap_clk = 0;
        model->eval();
        model->ap_clk = 1;
        model->eval();
    }
    model->ap_rst = 0;
    model->ap_start = 1;
    for (bool done = false; !done;) {
        model->ap_ce = pauses.ready();
        model->beats_empty_n = pauses.ready() && beat.fetch();
        model->strikes_empty_n = pauses.ready() && strike.fetch();
        model->sums_full_n = pauses.ready();
        model->counts_full_n = pauses.ready();
        put(model->beats_dout, beat.value);
        put(model->strikes_dout, strike.value);
        model->ap_clk = 0;
        model->eval();
        if (model->beats_read) beat.there = false;
        if (model->strikes_read) strike.there = false;
        if (model->sums_write) {
            Sums row = 0;
            take(model->sums_din, row);
            sums.write(row);
        }
        if (model->counts_write) counts.write(model->counts_din);
        done = model->ap_ce && model->ap_done;
        model->ap_clk = 1;
        model->eval();
    }
    model->final();
}
