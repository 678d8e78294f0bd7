// The low part of the recompute unit, one copy: PL of all lanes summed, lo and the carry into the guarded columns.
//
// Columns below B of products and accumulator; all W of them where nothing is guarded (B = W).
module hp_recompute_low #(
    parameter LANES = 8,
    parameter LEVELS = 3,    // of the tree that sums the lanes
    parameter M = 8,
    parameter N = 8,
    parameter B = 14,
    parameter CARRY = 5,     // bits of the carry, hp_sum_carry_bits
    parameter MASK = 40,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [LANES*M-1:0] a,
    input wire [LANES*N-1:0] w,
    input wire s,
    input wire first,        // the lanes' sum begins a neuron's
    output reg [B-1:0] lo,
    output reg [(CARRY > 0 ? CARRY : 1)-1:0] carry
);
    `include "hp_functions.vh"
    localparam WIDTH = B + CARRY;        // of PL and of t
    localparam TO = hp_min(B, M + N - 1);
    localparam TOP = M + N - 1;          // the sum of all entries is the product plus 2^TOP
    localparam SUM = hp_bits(hp_part_max(M, N, 0, N, 0, TO));
    localparam [63:0] OFFSET = B > TOP ? LANES * ((64'd1 << B) - (64'd1 << TOP)) : 64'd0;
    wire [LANES*WIDTH-1:0] leaves;
    wire [WIDTH-1:0] product, struck, t;
    genvar j;
    generate
        for (j = 0; j < LANES; j = j + 1) begin : lane
            wire [SUM-1:0] sum;
            reg [WIDTH-1:0] part;
            hp_entries #(.M(M), .N(N), .FROM(0), .TO(TO), .WIDTH(SUM))
                entries (.clk(clk), .en(en), .a(a[j*M +: M]), .w(w[j*N +: N]), .s(s), .sum(sum));
            always @(posedge clk) if (en) part <= {{WIDTH{1'b0}}, sum} + (j == 0 ? OFFSET[WIDTH-1:0] : {WIDTH{1'b0}});
            assign leaves[j*WIDTH +: WIDTH] = part;
        end
    endgenerate
    hp_tree #(.LANES(LANES), .LEVELS(LEVELS), .WIDTH(WIDTH)) tree (.clk(clk), .en(en), .x(leaves), .y(product));
    hp_tap #(.WIDTH(B), .SITE(2), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product[B-1:0]), .y(struck[B-1:0]));
    wire [B-1:0] next;
    assign t = struck + (lo & {B{~first}});
    hp_tap #(.WIDTH(B), .SITE(5), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[B-1:0]), .y(next));
    always @(posedge clk) if (en) lo <= next;
    generate
        if (CARRY > 0) begin : carrying
            wire [CARRY-1:0] out;
            hp_tap #(.WIDTH(CARRY), .LSB(B), .SITE(2), .COPY(3), .MASK(MASK), .TAPS(TAPS))
                overhang (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product[WIDTH-1:B]), .y(struck[WIDTH-1:B]));
            hp_tap #(.WIDTH(CARRY), .LSB(B), .SITE(3), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[WIDTH-1:B]), .y(out));
            always @(posedge clk) if (en) carry <= out;
        end else begin : alone
            always @(posedge clk) carry <= 1'b0;
        end
    endgenerate
endmodule
