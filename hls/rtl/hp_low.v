// The low part of a PE, one copy: PL, lo and the carry into the guarded columns.
//
// Columns below B of product and accumulator; all W of them where nothing is guarded (B = W). With DOWN the sum so far
// comes from the PE above, and a bypassed PE adds nothing to it.
module hp_low #(
    parameter M = 8,
    parameter N = 8,
    parameter W = 24,
    parameter B = 14,
    parameter CARRY = 2,     // bits of the carry, hp_carry_bits
    parameter DSP = 0,       // with B = W: the multiplier is a DSP block
    parameter DOWN = 0,
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
    input wire valid,        // these two belong to the step before: its product is in the adder
    input wire first,
    input wire [B-1:0] above,   // with DOWN: lo of the PE above
    input wire bypass,          // with DOWN: the product and the carry count as zero
    output reg [B-1:0] lo,
    output reg [(CARRY > 0 ? CARRY : 1)-1:0] carry
);
    `include "hp_functions.vh"
    localparam WIDTH = B + CARRY;        // of PL and of t
    localparam TO = hp_min(B, M + N - 1);
    localparam TOP = M + N - 1;          // the sum of all entries is the product plus 2^TOP
    localparam SUM = hp_bits(hp_part_max(M, N, 0, N, 0, TO));
    wire [SUM-1:0] sum;   // at most WIDTH bits, by the definition of CARRY
    wire [WIDTH-1:0] product, struck, t;
    generate
        if (DSP == 0) begin : tree
            hp_entries #(.M(M), .N(N), .FROM(0), .TO(TO), .WIDTH(SUM))
                entries (.clk(clk), .en(en), .a(a), .w(w), .s(s), .sum(sum));
        end
        if (DSP != 0) begin : block
            hp_product #(.M(M), .N(N), .W(WIDTH), .DSP(1)) part (.clk(clk), .en(en), .a(a), .w(w), .s(s), .y(product));
        end else if (B > TOP) begin : whole   // plus 2^B - 2^TOP: the inverted top bit up to column B-1, then itself
            localparam [WIDTH-1:0] EXTENSION = (33'd1 << B) - (33'd1 << TOP);
            localparam [WIDTH-1:0] OVER = CARRY > 0 ? 33'd1 << B : 33'd0;
            assign product = {{WIDTH-TOP{1'b0}}, sum[TOP-1:0]} | (sum[TOP] ? OVER : EXTENSION);
        end else begin : part
            assign product = {{WIDTH+1-SUM{1'b0}}, sum};
        end
    endgenerate
    hp_tap #(.WIDTH(B), .SITE(2), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product[B-1:0]), .y(struck[B-1:0]));
    wire [B-1:0] next;
    generate  // the second operand shares its LUT with what it is gated by
        if (DOWN != 0) begin : from_above
            assign t = (above & {B{~first}}) + (struck & {WIDTH{~bypass}});
        end else begin : from_own
            assign t = struck + (lo & {B{~first}});
        end
    endgenerate
    hp_tap #(.WIDTH(B), .SITE(5), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[B-1:0]), .y(next));
    always @(posedge clk) if (en && (DOWN != 0 || valid)) lo <= next;
    generate
        if (CARRY > 0) begin : carrying
            wire [CARRY-1:0] out;
            hp_tap #(.WIDTH(CARRY), .LSB(B), .SITE(2), .COPY(3), .MASK(MASK), .TAPS(TAPS))
                overhang (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product[WIDTH-1:B]), .y(struck[WIDTH-1:B]));
            hp_tap #(.WIDTH(CARRY), .LSB(B), .SITE(3), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[WIDTH-1:B]), .y(out));
            always @(posedge clk)
                if (DOWN != 0 && bypass) carry <= {CARRY{1'b0}};
                else if (en) carry <= out;
        end else begin : alone
            always @(posedge clk) carry <= 1'b0;
        end
    endgenerate
endmodule
