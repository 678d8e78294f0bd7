// The multiply-accumulate of a PE with reduced-precision redundancy: the full accumulator {hi_0, lo}, one adder in two halves,
// and two copies hi_1, hi_2 of its columns from B on without carry (docs/fault-model.md).
//
// Each step goes on from one decision: hi_1 if the copies agree and lie more than BOUND off hi_0, else hi_0. The high
// halves lag the low one by a cycle, as in guarded PEs. The sum so far comes in by `above` and `all`: its own for an
// output-stationary PE, with DOWN the PE above's.
module hp_reduced #(
    parameter M = 8,
    parameter N = 8,
    parameter W = 24,
    parameter B = 14,
    parameter DSP = 0,
    parameter DOWN = 0,      // a bypassed PE's product counts as zero
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [M-1:0] a,
    input wire [N-1:0] w,
    input wire s,
    input wire valid,        // these two belong to the step before, and lo; the next two are a cycle later
    input wire first,
    input wire valid_high,
    input wire first_high,
    input wire bypass,       // with DOWN
    input wire [(B > 0 ? B : 1)-1:0] above,
    input wire [3*(W-B)-1:0] all,
    output reg [(B > 0 ? B : 1)-1:0] lo,
    output wire [3*(W-B)-1:0] hi,
    output wire overruled    // the copies against the full accumulator
);
    `include "hp_functions.vh"
    localparam H = W - B;
    localparam BOUND = hp_most_carry(1, M, N, B);
    wire [W-1:0] product;
    hp_product #(.M(M), .N(N), .W(W), .DSP(DSP)) full (.clk(clk), .en(en), .a(a), .w(w), .s(s), .y(product));

    reg carry;
    generate
        if (B > 0) begin : low
            wire [B-1:0] struck, next;
            wire [B:0] t;
            hp_tap #(.WIDTH(B), .SITE(2), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product[B-1:0]), .y(struck));
            if (DOWN != 0) begin : from_above
                assign t = {1'b0, above & {B{~first}}} + {1'b0, struck & {B{~bypass}}};
            end else begin : from_own
                assign t = {1'b0, struck} + {1'b0, above & {B{~first}}};
            end
            hp_tap #(.WIDTH(B), .SITE(5), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[B-1:0]), .y(next));
            always @(posedge clk) begin
                if (en && (DOWN != 0 || valid)) lo <= next;
                if (en) carry <= t[B];
            end
        end else begin : whole
            always @* begin
                lo = 1'b0;
                carry = 1'b0;
            end
        end
    endgenerate

    // Each copy selects for itself, in the LUTs of its adder.
    hp_decision #(.WIDTH(H), .BOUND(BOUND)) decision (.all(all), .overruled(overruled));

    // The full accumulator takes the high columns of the whole product, and the carry.
    genvar k;
    generate
        for (k = 0; k < 3; k = k + 1) begin : copies
            hp_reduced_high #(.M(M), .N(N), .B(B), .WIDTH(H), .COPY(k), .DOWN(DOWN), .MASK(MASK), .TAPS(TAPS))
                copy (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a), .w(w), .s(s), .whole(product[W-1:B]), .valid(valid_high),
                      .first(first_high), .bypass(bypass), .carry(k == 0 && carry), .full(all[0 +: H]), .one(all[H +: H]),
                      .overruled(overruled), .hi(hi[k*H +: H]));
        end
    endgenerate
endmodule
