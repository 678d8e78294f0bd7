// A delay of DEPTH enabled cycles for one bit, empty after reset.
module hp_valid #(
    parameter DEPTH = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire x,
    output wire y
);
    reg [DEPTH-1:0] q;
    wire [DEPTH:0] all = {q, x};
    always @(posedge clk)
        if (rst) q <= {DEPTH{1'b0}};
        else if (en) q <= all[DEPTH-1:0];
    assign y = q[DEPTH-1];
endmodule
