// The high columns of one of the three sums of an accumulator with reduced-precision redundancy. The hierarchy is kept: tools
// would merge the copies.
(* keep_hierarchy = "yes", dont_touch = "yes" *)
module hp_ws_reduced_high #(
    parameter WIDTH = 10,    // W - B
    parameter B = 14,
    parameter COPY = 0,
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [WIDTH-1:0] addend,
    input wire carry,
    input wire [WIDTH-1:0] full,      // the sum from above, or the copies' where they overrule it
    input wire [WIDTH-1:0] one,
    input wire overruled,
    output reg [WIDTH-1:0] hi
);
    wire [WIDTH-1:0] vote, total, next;
    wire dropped;
    hp_late_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(4), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .dead(1'b0), .x(overruled ? one : full), .y(vote));
    assign {total, dropped} = {addend, carry} + {vote, carry};
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(5), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(total), .y(next));
    always @(posedge clk) if (en) hi <= next;
endmodule
