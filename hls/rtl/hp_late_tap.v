// A place where faults strike what comes late: y is ((x ^ flip) & ~stuck0) | stuck1, or zero while `dead`.
//
// Masks become what keeps x and what turns it over in a module of their own, so that x passes a single LUT.
module hp_late_tap #(
    parameter WIDTH = 8,
    parameter LSB = 0,
    parameter SITE = 0,
    parameter COPY = 0,
    parameter MASK = 28,
    parameter TAPS = 1     // 0: y is x, or zero while `dead`
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire dead,
    input wire [WIDTH-1:0] x,
    output wire [WIDTH-1:0] y
);
    generate
        if (TAPS != 0) begin : masks
            wire [WIDTH-1:0] keep, turn;
            hp_masks #(.WIDTH(WIDTH), .LSB(LSB), .SITE(SITE), .COPY(COPY), .MASK(MASK))
                part (.clk(clk), .rst(rst), .en(en), .inj(inj), .dead(dead), .keep(keep), .turn(turn));
            assign y = (x & keep) ^ turn;
        end else begin : gate
            assign y = x & {WIDTH{~dead}};
        end
    endgenerate
endmodule
