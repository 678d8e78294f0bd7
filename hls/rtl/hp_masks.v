// The masks of a tap as what keeps a bit and what turns it over, both zero while `dead`: what a tap makes of zeros and ones.
(* keep_hierarchy = "yes" *)
module hp_masks #(
    parameter WIDTH = 8,
    parameter LSB = 0,
    parameter SITE = 0,
    parameter COPY = 0,
    parameter MASK = 28
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire dead,
    output wire [WIDTH-1:0] keep,
    output wire [WIDTH-1:0] turn
);
    wire [WIDTH-1:0] of_zeros, of_ones;
    hp_tap #(.WIDTH(WIDTH), .LSB(LSB), .SITE(SITE), .COPY(COPY), .MASK(MASK), .TAPS(1))
        zeros (.clk(clk), .rst(rst), .en(en), .inj(inj), .x({WIDTH{1'b0}}), .y(of_zeros));
    hp_tap #(.WIDTH(WIDTH), .LSB(LSB), .SITE(SITE), .COPY(COPY), .MASK(MASK), .TAPS(1))
        ones (.clk(clk), .rst(rst), .en(en), .inj(inj), .x({WIDTH{1'b1}}), .y(of_ones));
    assign turn = of_zeros & {WIDTH{~dead}};
    assign keep = (of_zeros ^ of_ones) & {WIDTH{~dead}};
endmodule
