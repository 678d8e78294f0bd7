// The array as an HLS black box: streams in, streams out, and the controller that plays strikes (hp_engine.v).
//
// C model: hls/cpp/core.cpp. Streams are FIFOs whose head is visible before it is read.
module hardpoint_engine #(
    `include "hardpoint_parameters.vh"
) (
    input wire ap_clk,
    input wire ap_rst,
    input wire ap_ce,
    input wire ap_start,
    input wire ap_continue,
    output wire ap_idle,
    output wire ap_ready,
    output wire ap_done,

    input wire [R*M+C*N-1:0] beats_dout,
    input wire beats_empty_n,
    output wire beats_read,
    input wire [127:0] strikes_dout,
    input wire strikes_empty_n,
    output wire strikes_read,
    output wire [C*W-1:0] sums_din,
    input wire sums_full_n,
    output wire sums_write,
    output wire [31:0] counts_din,
    input wire counts_full_n,
    output wire counts_write,

    input wire [31:0] tiles,
    input wire [31:0] steps,          // per tile: K; weight-stationary R, and one per pixel
    input wire [31:0] passes,         // weight-stationary: tiles that add up to a sum
    input wire signed_act,
    input wire [R*C-1:0] bypass,      // PE (r, c) at bit r C + c
    input wire [31:0] strike_count,
    input wire [31:0] limit
);
    localparam MASK = W + 4;
    reg [31:0] k, tile, pass;      // the beat that enters next, its tile, and which of a sum's it is
    reg [31:0] row, left;          // the row of sums that leaves next, and its first tile
    wire [31:0] rows = WS != 0 ? steps - R : R;       // of sums
    wire [31:0] tiles_per_sum = WS != 0 ? passes : 1;
    wire fed = tile == tiles, emptied = left == tiles;
    wire first = k == 0, last = k == steps - 1, last_pass = pass == passes - 1;

    wire clear, running, resting, settling, enable, load, advance;
    wire [32*C-1:0] votes;
    hp_engine #(.COUNTERS(C), .SETTLE(R + 9))
        player (.clk(ap_clk), .rst(ap_rst), .ce(ap_ce), .start(ap_start), .continue_(ap_continue), .idle(ap_idle), .ready(ap_ready),
                .done(ap_done), .strike_cycle(strikes_dout[47:0]), .strikes_empty_n(strikes_empty_n), .strikes_read(strikes_read),
                .counts_din(counts_din), .counts_full_n(counts_full_n), .counts_write(counts_write), .strike_count(strike_count),
                .limit(limit), .fed(fed), .emptied(emptied), .advance(advance), .votes(votes), .clear(clear), .running(running),
                .resting(resting), .settling(settling), .enable(enable), .load(load));

    wire reset = ap_rst || clear;
    wire flush = fed || settling;
    wire in_valid = running && beats_empty_n && !fed;
    wire out_ready = sums_full_n || settling;
    wire in_ready, out_valid;
    wire [C*W-1:0] sums;
    wire strike = load && !strikes_dout[55];  // only the first sites lie in the array
    wire [1:0] kind = strikes_dout[49:48];
    wire [MASK-1:0] data = strikes_dout[64 +: MASK];
    wire [MASK-1:0] mask = kind == 2'd1 ? ~data : data;  // taps store stuck zeros
    generate
        if (WS != 0) begin : weight_stationary
            hardpoint_ws #(.R(R), .C(C), .M(M), .N(N), .W(W), .DEPTH(DEPTH), .CLASS(CLASS), .B0(B0), .B1(B1), .B2(B2),
                           .OPERAND(OPERAND), .RPR(RPR), .DSP(DSP), .TAPS(TAPS), .EVENTS(EVENTS), .MASK(MASK))
                core (.clk(ap_clk), .rst(reset), .ce(enable), .flush(flush), .advance(advance), .in_valid(in_valid),
                      .in_ready(in_ready), .in_first(first), .in_last(last), .in_load(k < R), .in_fresh(pass == 0),
                      .in_leave(last_pass), .in_sgn(signed_act), .in_a(beats_dout[R*M-1:0]), .in_w(beats_dout[R*M +: C*N]),
                      .out_valid(out_valid), .out_ready(out_ready), .out_data(sums), .votes(votes), .bypass(bypass),
                      .inj_valid(strike), .inj_row(strikes_dout[111:104]), .inj_col(strikes_dout[119:112]),
                      .inj_site(strikes_dout[52:50]), .inj_copy(strikes_dout[54:53]), .inj_kind(kind), .inj_data(mask));
        end else begin : output_stationary
            hardpoint_core #(.R(R), .C(C), .M(M), .N(N), .W(W), .CLASS(CLASS), .B0(B0), .B1(B1), .B2(B2), .OPERAND(OPERAND),
                             .DRAIN(DRAIN), .RPR(RPR), .DSP(DSP), .TAPS(TAPS), .EVENTS(EVENTS), .MASK(MASK))
                core (.clk(ap_clk), .rst(reset), .ce(enable), .flush(flush), .advance(advance), .in_valid(in_valid),
                      .in_ready(in_ready), .in_first(first), .in_last(last), .in_sgn(signed_act),
                      .in_a(beats_dout[R*M-1:0]), .in_w(beats_dout[R*M +: C*N]),
                      .out_valid(out_valid), .out_ready(out_ready), .out_data(sums), .votes(votes), .bypass(bypass),
                      .inj_valid(strike), .inj_row(strikes_dout[111:104]), .inj_col(strikes_dout[119:112]),
                      .inj_site(strikes_dout[52:50]), .inj_copy(strikes_dout[54:53]), .inj_kind(kind), .inj_data(mask));
        end
    endgenerate

    wire enter = running && in_ready && beats_empty_n && !fed;
    wire leave = running && advance && out_valid;
    wire drop = resting && !fed && beats_empty_n;
    wire fill = resting && !emptied && sums_full_n;
    assign beats_read = enter || drop;
    assign sums_write = leave || fill;
    assign sums_din = leave ? sums : {C*W{1'b0}};
    always @(posedge ap_clk)
        if (clear) begin
            {k, tile, pass, row, left} <= 0;
        end else begin
            if (beats_read) begin
                k <= last ? 32'd0 : k + 1'b1;
                if (last) begin
                    tile <= tile + 1'b1;
                    pass <= last_pass ? 32'd0 : pass + 1'b1;
                end
            end
            if (sums_write) begin
                row <= row == rows - 1 ? 32'd0 : row + 1'b1;
                if (row == rows - 1) left <= left + tiles_per_sum;
            end
        end
endmodule
