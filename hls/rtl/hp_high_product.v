// PH, the product's columns from B on without the carry into them, modulo 2^WIDTH and a cycle late.
module hp_high_product #(
    parameter M = 8,
    parameter N = 8,
    parameter B = 14,
    parameter WIDTH = 10
) (
    input wire clk,
    input wire en,
    input wire [M-1:0] a,
    input wire [N-1:0] w,
    input wire s,
    output wire [WIDTH-1:0] y
);
    `include "hp_functions.vh"
    localparam TO = M + N - 1;
    localparam SUM = TO > B ? hp_max(hp_bits(hp_part_max(M, N, 0, N, B, TO)) - B, TO - B + 1) : 1;
    generate
        if (TO > B) begin : entries
            wire [SUM-1:0] sum;
            hp_entries #(.M(M), .N(N), .FROM(B), .TO(TO), .WIDTH(SUM)) part (.clk(clk), .en(en), .a(a), .w(w), .s(s), .sum(sum));
            assign y = {{WIDTH-TO+B{~sum[TO-B]}}, sum[TO-B-1:0]};  // minus 2^TO: the inverted top bit, extended
        end else begin : constant
            assign y = {WIDTH{1'b1}};                              // floor(K_s / 2^B) = -1
        end
    endgenerate
endmodule
