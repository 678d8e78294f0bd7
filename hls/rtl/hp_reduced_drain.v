// The guarded columns of a drain register with reduced-precision redundancy: what is decided for, or what comes from above.
//
// A module of its own, so that tools make it short for itself and not small together with its neighbours.
(* keep_hierarchy = "yes" *)
module hp_reduced_drain #(
    parameter B = 14,
    parameter WIDTH = 10,    // W - B
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire take,
    input wire shift,
    input wire bypass,
    input wire [WIDTH-1:0] full,    // the sum: of the full accumulator, or of the copies where they overrule it
    input wire [WIDTH-1:0] one,
    input wire overruled,
    input wire [WIDTH-1:0] above,
    output wire [WIDTH-1:0] q
);
    wire [WIDTH-1:0] vote;
    hp_late_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(4), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .dead(1'b0), .x(overruled ? one : full), .y(vote));
    hp_drain #(.WIDTH(WIDTH), .LSB(B), .LATE(1), .MASK(MASK), .TAPS(TAPS))
        lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(shift), .bypass(bypass), .own(vote),
              .above(above), .q(q));
endmodule
