// Row I of the partial products: the entries (a_j & w_i) ^ c_ij of columns FROM .. TO-1, bit b of `row` being column b.
//
// Baugh and Wooley's constant for signed activations, s 2^(M-1), lives in row 0: (x ^ s) + s = {s & ~x, x}.
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
    output wire [SPAN-1:0] row
);
    `include "hp_functions.vh"
    localparam SPLIT = hp_constants_meet(M, N, FROM) || hp_constants_meet(M, N, TO);
    genvar k;
    generate
        for (k = 0; k < SPAN; k = k + 1) begin : column
            if (I == 0 && k == M && !SPLIT && M - 1 >= FROM && M - 1 < TO) begin : carried
                assign row[k] = s & ~(a[M-1] & w);
            end else if (I == 0 && k == M && SPLIT && FROM == M) begin : constant
                assign row[k] = s;
            end else if (k < FROM || k >= TO || k < I || k - I >= M) begin : none
                assign row[k] = 1'b0;
            end else if (k - I < M - 1 || (I == 0 && !SPLIT)) begin : plain
                assign row[k] = (a[k-I] & w) ^ (I == N - 1);
            end else begin : sign
                assign row[k] = (a[k-I] & w) ^ (I == N - 1) ^ s;
            end
        end
    endgenerate
endmodule
