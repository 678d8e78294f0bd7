// Row I of the partial products: the entries (a_j & w_i) ^ c_ij of columns FROM .. TO-1, bit b of `row` being column b.
//
// Operand `a` (M bits, signed if `s`) lies along the rows, of which `w` (N bits, signed if `t`) has one per bit. Baugh and
// Wooley's constant for the former's sign, s 2^(M-1), lives in row 0: (x ^ s) + s = {s & ~x, x}.
module hp_row #(
    parameter M = 8,
    parameter N = 8,
    parameter FROM = 0,
    parameter TO = 15,
    parameter SPAN = 18,
    parameter I = 0
) (
    input wire [M-1:0] a,
    input wire w,           // w_i
    input wire s,
    input wire t,
    output wire [SPAN-1:0] row
);
    `include "hp_functions.vh"
    localparam SPLIT = hp_constants_meet(M, N, FROM) != 0 || hp_constants_meet(M, N, TO) != 0;
    localparam [SPAN-1:0] ONE = 1;
    localparam [SPAN-1:0] PART = (ONE << TO) - (ONE << FROM);                       // columns FROM .. TO-1
    // The sign column of row 0 is not complemented where the constant joins it.
    localparam JOINED = I == 0 && !SPLIT && M - 1 >= FROM && M - 1 < TO;
    localparam [M-1:0] SIGN = I == 0 && !SPLIT ? 0 : 1 << (M - 1);
    localparam [SPAN-1:0] CONSTANT = JOINED || (I == 0 && SPLIT && FROM == M) ? ONE << M : 0;
    wire [M-1:0] bits = (a & {M{w}}) ^ {M{I == N - 1 && t}} ^ (SIGN & {M{s}});
    wire constant = s & ~(JOINED ? a[M-1] & w : 1'b0);
    assign row = (({{SPAN-M{1'b0}}, bits} << I) & PART) | (CONSTANT & {SPAN{constant}});
endmodule
