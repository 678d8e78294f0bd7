// The array as an HLS black box: streams in, streams out, and the controller that plays strikes.
//
// C model: hls/cpp/core.cpp. Streams are FIFOs whose head is visible before it is read. A strike names the array cycle
// before which its mask is loaded (hardpoint.schedule); they come sorted by cycle. The array stands still while masks are
// loaded, while the next strike is still on its way, while it has no beat, and while nobody takes its sums: none of this
// changes what it computes. After `limit` iterations (array cycles and loads) the engine gives up: it empties its inputs,
// yields zeros for what is missing and says so.
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
    localparam [2:0] IDLE = 0, CLEAR = 1, RUN = 2, REST = 3, SETTLE = 4, REPORT = 5, FINISH = 6;
    reg [2:0] state;
    reg [31:0] k, tile, pass;      // the beat that enters next, its tile, and which of a sum's it is
    reg [31:0] row, left;          // the row of sums that leaves next, and its first tile
    reg [31:0] taken, iterations;  // strikes read; cycles of the array and loads
    reg [47:0] cycles;
    reg [7:0] place;               // in SETTLE and REPORT
    reg hung, loaded;

    wire fed = tile == tiles;
    wire emptied = left == tiles;
    wire running = ap_ce && state == RUN && !emptied && iterations != limit;
    wire more = taken != strike_count;
    wire due = more && strikes_empty_n && strikes_dout[47:0] <= cycles;
    wire load = running && due;
    wire unknown = more && !strikes_empty_n;
    wire resting = ap_ce && state == REST;

    // Masks need a cycle on the bus and one to be stored; the array waits for both.
    wire advance, in_ready, out_valid;
    wire enable = (running && !due && !unknown && !loaded) || (ap_ce && state == SETTLE);
    wire [C*W-1:0] sums;
    wire [32*C-1:0] votes;
    wire [1:0] kind = strikes_dout[49:48];
    wire [MASK-1:0] data = strikes_dout[64 +: MASK];
    wire reset = ap_rst || (ap_ce && state == CLEAR);
    wire flush = fed || state == SETTLE;
    wire in_valid = state == RUN && beats_empty_n && !fed;
    wire first = k == 0, last = k == steps - 1, last_pass = pass == passes - 1;
    wire out_ready = sums_full_n || state == SETTLE;
    wire strike = load && !strikes_dout[55];  // only the first sites lie in the array
    wire [MASK-1:0] mask = kind == 2'd1 ? ~data : data;
    generate
        if (WS != 0) begin : weight_stationary
            hardpoint_ws #(.R(R), .C(C), .M(M), .N(N), .W(W), .DEPTH(DEPTH), .CLASS(CLASS), .B0(B0), .B1(B1), .B2(B2),
                           .OPERAND(OPERAND), .TAPS(TAPS), .EVENTS(EVENTS), .MASK(MASK))
                core (.clk(ap_clk), .rst(reset), .ce(enable), .flush(flush), .advance(advance), .in_valid(in_valid),
                      .in_ready(in_ready), .in_first(first), .in_last(last), .in_load(k < R), .in_fresh(pass == 0),
                      .in_leave(last_pass), .in_sgn(signed_act), .in_a(beats_dout[R*M-1:0]), .in_w(beats_dout[R*M +: C*N]),
                      .out_valid(out_valid), .out_ready(out_ready), .out_data(sums), .votes(votes), .bypass(bypass),
                      .inj_valid(strike), .inj_row(strikes_dout[111:104]), .inj_col(strikes_dout[119:112]),
                      .inj_site(strikes_dout[52:50]), .inj_copy(strikes_dout[54:53]), .inj_kind(kind), .inj_data(mask));
        end else begin : output_stationary
            hardpoint_core #(.R(R), .C(C), .M(M), .N(N), .W(W), .CLASS(CLASS), .B0(B0), .B1(B1), .B2(B2), .OPERAND(OPERAND),
                             .DRAIN(DRAIN), .TAPS(TAPS), .EVENTS(EVENTS), .MASK(MASK))
                core (.clk(ap_clk), .rst(reset), .ce(enable), .flush(flush), .advance(advance), .in_valid(in_valid),
                      .in_ready(in_ready), .in_first(first), .in_last(last), .in_sgn(signed_act),
                      .in_a(beats_dout[R*M-1:0]), .in_w(beats_dout[R*M +: C*N]),
                      .out_valid(out_valid), .out_ready(out_ready), .out_data(sums), .votes(votes), .bypass(bypass),
                      .inj_valid(strike), .inj_row(strikes_dout[111:104]), .inj_col(strikes_dout[119:112]),
                      .inj_site(strikes_dout[52:50]), .inj_copy(strikes_dout[54:53]), .inj_kind(kind), .inj_data(mask));
        end
    endgenerate
    wire [31:0] rows = WS != 0 ? steps - R : R;       // of sums
    wire [31:0] tiles_per_sum = WS != 0 ? passes : 1;

    wire enter = running && in_ready && beats_empty_n && !fed;
    wire leave = running && advance && out_valid;
    wire drop = resting && !fed && beats_empty_n;
    wire fill = resting && !emptied && sums_full_n;
    wire skip = resting && more && strikes_empty_n;
    assign beats_read = enter || drop;
    assign strikes_read = load || skip;
    assign sums_write = leave || fill;
    assign sums_din = leave ? sums : {C*W{1'b0}};
    assign counts_write = ap_ce && state == REPORT && counts_full_n;
    assign counts_din = place == 0 ? cycles[31:0] : place == 1 ? {31'd0, hung} : votes[32*(place-2) +: 32];
    assign ap_idle = state == IDLE;
    assign ap_done = state == FINISH;
    assign ap_ready = ap_done && ap_continue;

    always @(posedge ap_clk)
        if (ap_rst) begin
            state <= IDLE;
            loaded <= 1'b0;
        end else if (ap_ce) begin
            loaded <= load;
            case (state)
                IDLE: if (ap_start) state <= CLEAR;
                CLEAR: begin
                    state <= RUN;
                    {k, tile, pass, row, left, taken, iterations, cycles} <= 0;
                    place <= 8'd0;
                    hung <= 1'b0;
                end
                RUN: begin
                    if (load || advance) iterations <= iterations + 1'b1;
                    if (advance) cycles <= cycles + 1'b1;
                    if (emptied) state <= REST;
                    else if (iterations == limit) begin
                        state <= REST;
                        hung <= 1'b1;
                    end
                end
                REST: if (fed && emptied && !more) state <= SETTLE;
                SETTLE: begin  // counts are still on their way down the columns
                    place <= place == R + 5 ? 8'd0 : place + 1'b1;
                    if (place == R + 5) state <= REPORT;
                end
                REPORT: if (counts_full_n) begin
                    place <= place + 1'b1;
                    if (place == C + 1) state <= FINISH;
                end
                FINISH: if (ap_continue) state <= IDLE;
                default: state <= IDLE;
            endcase
            if (enter || drop) begin
                k <= last ? 32'd0 : k + 1'b1;
                if (last) begin
                    tile <= tile + 1'b1;
                    pass <= last_pass ? 32'd0 : pass + 1'b1;
                end
            end
            if (leave || fill) begin
                row <= row == rows - 1 ? 32'd0 : row + 1'b1;
                if (row == rows - 1) left <= left + tiles_per_sum;
            end
            if (load || skip) taken <= taken + 1'b1;
        end
endmodule
