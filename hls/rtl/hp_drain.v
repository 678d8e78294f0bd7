// One lane of a drain register: takes the PE's own sum at the hand-over, then what comes from the row above.
module hp_drain #(
    parameter WIDTH = 24,
    parameter LSB = 0,
    parameter COPY = 0,
    parameter LATE = 0,      // the sum comes late in the cycle
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire take,
    input wire shift,
    input wire bypass,       // a bypassed PE hands over nothing
    input wire [WIDTH-1:0] own,
    input wire [WIDTH-1:0] above,
    output reg [WIDTH-1:0] q
);
    wire [WIDTH-1:0] d;
    wire [WIDTH-1:0] chosen = take ? own & {WIDTH{~bypass}} : above;
    generate
        if (LATE != 0) begin : late
            hp_late_tap #(.WIDTH(WIDTH), .LSB(LSB), .SITE(6), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
                tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .dead(1'b0), .x(chosen), .y(d));
        end else begin : early
            hp_tap #(.WIDTH(WIDTH), .LSB(LSB), .SITE(6), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
                tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(chosen), .y(d));
        end
    endgenerate
    always @(posedge clk) if (en && (take || shift)) q <= d;
endmodule
