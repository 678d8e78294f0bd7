// A weight-stationary processing element: it holds its weight, and adds its product to the sum that comes from above.
//
// Cycle 0 writes the operand registers, 1 the two halves of the product, 2 lo and the carry, 3 hi (docs/hardware.md). A sum
// travels on three buses of W bits: the first is {hi_0, lo}, the others hold hi_1 and hi_2 from column B on.
module hp_ws_pe #(
    parameter M = 8,
    parameter N = 8,
    parameter W = 24,
    parameter B = 24,          // guard column of the array column, W for none
    parameter REDUCED = 0,     // the guard is reduced-precision redundancy; operand lanes are single
    parameter DSP = 0,         // the multiplier is a DSP block: B = W, B = 0 or reduced-precision redundancy
    parameter OPERAND = 1,     // operand lanes, 1 or 3
    parameter LEFT = 1,        // operand lanes of the left neighbour; the one above has as many as this PE
    parameter TOP = 0,         // row 0: sums start here
    parameter MASK = 28,
    parameter TAPS = 0,
    parameter EVENTS = 0,      // count votes that disagree
    parameter TALLY = 4        // bits of that count
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire bypass,               // the product counts as zero
    input wire [2:0] flags_in,       // a pixel, the weight from above is taken, activations signed
    output wire [2:0] flags_out,
    input wire [3*M-1:0] a_in,
    output wire [3*M-1:0] a_out,
    input wire [3*N-1:0] w_in,
    output wire [3*N-1:0] w_out,
    input wire [3*W-1:0] sum_in,
    output wire [3*W-1:0] sum_out,
    input wire [TALLY-1:0] tally_in, // votes that disagreed in the rows above, a cycle ago each
    output wire [TALLY-1:0] tally_out
);
    `include "hp_functions.vh"
    localparam H = W - B;
    localparam CARRY = REDUCED != 0 ? 0 : hp_carry_bits(M, N, B, W);
    localparam FIRST = TOP != 0;

    reg [2:0] flags;
    always @(posedge clk)
        if (rst) flags[2:1] <= 2'b00;
        else if (en) flags[2:1] <= flags_in[2:1];
    always @(posedge clk) if (en) flags[0] <= flags_in[0];
    assign flags_out = flags;
    wire s = flags[0];

    hp_operand #(.WIDTH(M), .LANES(OPERAND), .FROM(LEFT), .SITE(0), .MASK(MASK), .TAPS(TAPS))
        act (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(1'b1), .x(a_in), .q(a_out));
    hp_operand #(.WIDTH(N), .LANES(OPERAND), .FROM(1), .SITE(1), .HOLD(1), .MASK(MASK), .TAPS(TAPS))
        wgt (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(flags_in[1]), .x(w_in), .q(w_out));

    genvar i;
    wire used, differ;    // a pixel's copies hold a sum (reduced precision: take one); they differ (overrule it), a cycle late
    wire [(CARRY > 0 ? CARRY : 1)-1:0] carry;
    generate
        if (B > 0 && REDUCED == 0) begin : low
            wire [M-1:0] a;
            wire [N-1:0] w;
            if (OPERAND == 3) begin : voted
                hp_vote #(.WIDTH(M)) vote_a (.lanes(a_out), .y(a));
                hp_vote #(.WIDTH(N)) vote_w (.lanes(w_out), .y(w));
            end else begin : same
                assign a = a_out[M-1:0];
                assign w = w_out[N-1:0];
            end
            hp_low #(.M(M), .N(N), .W(W), .B(B), .CARRY(CARRY), .DSP(DSP), .DOWN(1), .MASK(MASK), .TAPS(TAPS))
                part (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a), .w(w), .s(s), .valid(1'b1), .first(FIRST),
                      .above(sum_in[B-1:0]), .bypass(bypass), .lo(sum_out[B-1:0]), .carry(carry));
            assign sum_out[W +: B] = {B{1'b0}};
            assign sum_out[2*W +: B] = {B{1'b0}};
        end else begin : no_low
            assign carry = 1'b0;
        end
        if (REDUCED != 0) begin : reduced
            wire [3*H-1:0] above = {sum_in[2*W+B +: H], sum_in[W+B +: H], sum_in[B +: H]};
            wire [3*H-1:0] hi;
            wire [(B > 0 ? B : 1)-1:0] lo;
            wire overruled;
            hp_reduced #(.M(M), .N(N), .W(W), .B(B), .DSP(DSP), .DOWN(1), .MASK(MASK), .TAPS(TAPS))
                part (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a_out[M-1:0]), .w(w_out[N-1:0]), .s(s), .valid(1'b1), .first(FIRST),
                      .valid_high(1'b1), .first_high(FIRST), .bypass(bypass), .above(B > 0 ? sum_in[(B > 0 ? B : 1)-1:0] : 1'b0),
                      .all(above), .lo(lo), .hi(hi), .overruled(overruled));
            if (B > 0) begin : low
                assign sum_out[B-1:0] = lo;
                assign sum_out[W +: B] = {B{1'b0}};
                assign sum_out[2*W +: B] = {B{1'b0}};
            end
            for (i = 0; i < 3; i = i + 1) begin : copies
                assign sum_out[i*W+B +: H] = hi[i*H +: H];
            end
            reg taken;
            always @(posedge clk)
                if (rst) taken <= 1'b0;
                else if (en) taken <= used & overruled & ~FIRST;
            assign differ = taken;
        end else if (H > 0) begin : high
            wire [3*H-1:0] above = {sum_in[2*W+B +: H], sum_in[W+B +: H], sum_in[B +: H]};
            wire [3*H-1:0] hi;
            for (i = 0; i < 3; i = i + 1) begin : copies
                hp_high #(.M(M), .N(N), .B(B), .WIDTH(H), .CARRY(CARRY), .COPY(i), .DRAIN(0), .DSP(DSP), .DOWN(1), .MASK(MASK), .TAPS(TAPS))
                    copy (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a_out[i*M +: M]), .w(w_out[i*N +: N]), .s(s),
                          .valid(1'b1), .first(FIRST), .carry(carry), .all(above), .hi(hi[i*H +: H]),
                          .take(1'b0), .shift(1'b0), .bypass(bypass), .above({H{1'b0}}), .drained());
                assign sum_out[i*W+B +: H] = hi[i*H +: H];
            end
            hp_differ #(.WIDTH(H)) compare (.clk(clk), .rst(rst), .en(en), .used(used), .lanes(hi), .differ(differ));
        end else begin : single
            assign differ = 1'b0;
        end
        if (EVENTS != 0 && H > 0) begin : events
            reg [TALLY-1:0] tally;
            hp_valid #(.DEPTH(REDUCED != 0 ? 2 : 3)) pace (.clk(clk), .rst(rst), .en(en), .x(flags[2]), .y(used));
            always @(posedge clk)
                if (rst) tally <= {TALLY{1'b0}};
                else if (en) tally <= tally_in + {{TALLY-1{1'b0}}, differ};
            assign tally_out = tally;
        end else begin : silent
            assign used = 1'b0;
            assign tally_out = tally_in;
        end
    endgenerate
    // One compiled class for all instances of a kind.
    /* verilator no_inline_module */
endmodule
