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
    model->tiles = tiles.to_uint();
    model->steps = steps.to_uint();
    model->passes = passes.to_uint();
    put(model->bypass, bypass);
    model->signed_act = signed_act.to_uint();
    model->strike_count = strike_count.to_uint();
    model->limit = limit.to_uint();
    run(*model, beats, strikes, sums, counts);
}
