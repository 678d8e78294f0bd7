// A delay of DEPTH enabled cycles without reset, so that it fits into shift-register LUTs.
module hp_delay #(
    parameter WIDTH = 8,
    parameter DEPTH = 1
) (
    input wire clk,
    input wire en,
    input wire [WIDTH-1:0] x,
    output wire [WIDTH-1:0] y
);
    genvar i;
    generate
        if (DEPTH == 0) begin : wires
            assign y = x;
        end else begin : stages
            for (i = 0; i < DEPTH; i = i + 1) begin : stage
                reg [WIDTH-1:0] q;
                if (i == 0) begin : first
                    always @(posedge clk) if (en) q <= x;
                end else begin : later
                    always @(posedge clk) if (en) q <= stage[i-1].q;
                end
            end
            assign y = stage[DEPTH-1].q;
        end
    endgenerate
endmodule
