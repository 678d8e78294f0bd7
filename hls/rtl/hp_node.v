// One node of the multiplier's tree: the sum of rows I0 .. IM-1 (x) and IM .. I1-1 (y), with the constant t 2^(N-1) of row N-1.
module hp_node #(
    parameter M = 8,
    parameter N = 8,
    parameter FROM = 0,
    parameter TO = 15,
    parameter SPAN = 18,
    parameter I0 = 0,
    parameter IM = 1,
    parameter I1 = 2
) (
    input wire [SPAN-1:0] x,
    input wire [SPAN-1:0] y,
    input wire s,
    input wire t,
    output wire [SPAN-1:0] z
);
    `include "hp_functions.vh"
    localparam XL = hp_part_low(M, N, I0, IM, FROM, TO);
    localparam YL = hp_part_low(M, N, IM, I1, FROM, TO);
    localparam ZH = hp_bits(hp_part_max(M, N, I0, I1, FROM, TO));
    localparam CIN = IM == N - 1 && N - 1 >= FROM && N - 1 < TO;
    generate
        if (YL == TO) begin : only_x
            assign z = x;
        end else if (XL == TO) begin : only_y
            assign z = y;
        end else begin : both
            wire c = hp_constants_meet(M, N, TO) ? ~s : t;
            hp_join #(.SPAN(SPAN), .YL(YL), .ZH(ZH), .CIN(CIN)) join_ (.x(x), .y(y), .c(c), .z(z));
        end
    endgenerate
endmodule
