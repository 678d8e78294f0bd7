// The recompute unit as an HLS black box: streams in, streams out, and the controller that plays strikes (hp_engine.v).
//
// C model: hls/cpp/recompute.cpp. Streams are FIFOs whose head is visible before it is read.
module hardpoint_recompute #(
    `include "hardpoint_recompute.vh"
) (
    input wire ap_clk,
    input wire ap_rst,
    input wire ap_ce,
    input wire ap_start,
    input wire ap_continue,
    output wire ap_idle,
    output wire ap_ready,
    output wire ap_done,

    input wire [LANES*(M+N)-1:0] beats_dout,
    input wire beats_empty_n,
    output wire beats_read,
    input wire [127:0] strikes_dout,
    input wire strikes_empty_n,
    output wire strikes_read,
    output wire [W-1:0] sums_din,
    input wire sums_full_n,
    output wire sums_write,
    output wire [31:0] counts_din,
    input wire counts_full_n,
    output wire counts_write,

    input wire [31:0] neurons,
    input wire [31:0] steps,
    input wire signed_act,
    input wire [31:0] strike_count,
    input wire [31:0] limit
);
    localparam MASK = 40;
    localparam [7:0] ROW = 254;    // the unit's place in a strike
    reg [31:0] k, neuron, left;    // the beat that enters next, its neuron; the sum that leaves next
    wire fed = neuron == neurons, emptied = left == neurons;
    wire last = k == steps - 1;

    wire clear, running, resting, settling, enable, load, advance;
    wire [31:0] votes;
    hp_engine #(.COUNTERS(1), .SETTLE(5))
        player (.clk(ap_clk), .rst(ap_rst), .ce(ap_ce), .start(ap_start), .continue_(ap_continue), .idle(ap_idle), .ready(ap_ready),
                .done(ap_done), .strike_cycle(strikes_dout[47:0]), .strikes_empty_n(strikes_empty_n), .strikes_read(strikes_read),
                .counts_din(counts_din), .counts_full_n(counts_full_n), .counts_write(counts_write), .strike_count(strike_count),
                .limit(limit), .fed(fed), .emptied(emptied), .advance(advance), .votes(votes), .clear(clear), .running(running),
                .resting(resting), .settling(settling), .enable(enable), .load(load));

    wire in_ready, out_valid;
    wire [W-1:0] sum;
    wire [1:0] kind = strikes_dout[49:48];
    wire [MASK-1:0] data = strikes_dout[64 +: MASK];
    hp_recompute #(.LANES(LANES), .M(M), .N(N), .W(W), .B(B), .OPERAND(OPERAND), .DRAIN(DRAIN), .TAPS(TAPS), .EVENTS(EVENTS),
                   .MASK(MASK))
        unit (.clk(ap_clk), .rst(ap_rst || clear), .ce(enable), .flush(fed || settling), .advance(advance),
              .in_valid(running && beats_empty_n && !fed), .in_ready(in_ready), .in_first(k == 0), .in_last(last), .in_sgn(signed_act),
              .in_a(beats_dout[LANES*M-1:0]), .in_w(beats_dout[LANES*M +: LANES*N]),
              .out_valid(out_valid), .out_ready(sums_full_n || settling), .out_data(sum), .votes(votes),
              .inj_valid(load && !strikes_dout[55] && strikes_dout[111:104] == ROW), .inj_col(strikes_dout[119:112]),
              .inj_site(strikes_dout[52:50]), .inj_copy(strikes_dout[54:53]), .inj_kind(kind), .inj_data(kind == 2'd1 ? ~data : data));

    wire enter = running && in_ready && beats_empty_n && !fed;
    wire leave = running && advance && out_valid;
    wire drop = resting && !fed && beats_empty_n;
    wire fill = resting && !emptied && sums_full_n;
    assign beats_read = enter || drop;
    assign sums_write = leave || fill;
    assign sums_din = leave ? sum : {W{1'b0}};
    always @(posedge ap_clk)
        if (clear) begin
            {k, neuron, left} <= 0;
        end else begin
            if (beats_read) begin
                k <= last ? 32'd0 : k + 1'b1;
                if (last) neuron <= neuron + 1'b1;
            end
            if (sums_write) left <= left + 1'b1;
        end
endmodule
