// A memory with one port to write and one to read; what is read comes a cycle later. No reset: it fits block or LUT memory.
//
// Nobody reads a word in the cycle in which it is written.
module hp_memory #(
    parameter WIDTH = 24,
    parameter DEPTH = 256,
    parameter ADDRESS = 8
) (
    input wire clk,
    input wire en,
    input wire write,
    input wire [ADDRESS-1:0] write_at,
    input wire [WIDTH-1:0] d,
    input wire [ADDRESS-1:0] read_at,
    output reg [WIDTH-1:0] q
);
    reg [WIDTH-1:0] word [0:DEPTH-1];
    always @(posedge clk)
        if (en) begin
            if (write) word[write_at] <= d;
            q <= word[read_at];
        end
endmodule
