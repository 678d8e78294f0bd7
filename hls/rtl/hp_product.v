// The product of two operands modulo 2^W, a cycle late: of the tree of partial products, or with DSP of a multiplier that
// tools put into a DSP block together with the register.
module hp_product #(
    parameter M = 8,
    parameter N = 8,
    parameter W = 24,     // at least M + N
    parameter DSP = 0
) (
    input wire clk,
    input wire en,
    input wire [M-1:0] a,
    input wire [N-1:0] w,
    input wire s,         // activations are signed
    output wire [W-1:0] y
);
    localparam TOP = M + N - 1;
    generate
        if (DSP != 0) begin : block
            wire signed [M:0] x = {s & a[M-1], a};
            wire signed [N-1:0] z = w;
            reg signed [TOP:0] product;
            always @(posedge clk) if (en) product <= x * z;
            assign y = {{W-TOP{product[TOP]}}, product[TOP-1:0]};
        end else begin : tree
            wire [TOP:0] sum;   // of all entries: the product plus 2^TOP
            hp_entries #(.M(M), .N(N), .FROM(0), .TO(TOP), .WIDTH(TOP + 1))
                entries (.clk(clk), .en(en), .a(a), .w(w), .s(s), .sum(sum));
            assign y = {{W-TOP{~sum[TOP]}}, sum[TOP-1:0]};
        end
    endgenerate
endmodule
