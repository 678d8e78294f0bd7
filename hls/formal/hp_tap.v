// A struck place for proofs: where `inj` names it, it takes any value at all. (What masks can do is less.)
//
// Bit 4 SITE + COPY of `inj` names the tap of a guarded column, bit 32 more that of a low column or an operand.
module hp_tap #(
    parameter WIDTH = 8,
    parameter LSB = 0,
    parameter SITE = 0,
    parameter COPY = 0,
    parameter MASK = 64,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [WIDTH-1:0] x,
    output wire [WIDTH-1:0] y
);
    (* anyseq *) wire [WIDTH-1:0] anything;
    assign y = inj[(LSB > 0 ? 0 : 32) + 4*SITE + COPY] ? anything : x;
endmodule
