// One lane of an operand register. The hierarchy is kept: tools would merge lanes. With HOLD it is written in every cycle,
// with what it holds unless `take`.
(* keep_hierarchy = "yes", dont_touch = "yes" *)
module hp_lane #(
    parameter WIDTH = 8,
    parameter SITE = 0,
    parameter COPY = 0,
    parameter HOLD = 0,
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire take,
    input wire [WIDTH-1:0] x,
    output reg [WIDTH-1:0] q
);
    wire [WIDTH-1:0] d;
    hp_tap #(.WIDTH(WIDTH), .SITE(SITE), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(HOLD != 0 && !take ? q : x), .y(d));
    always @(posedge clk) if (en) q <= d;
endmodule
