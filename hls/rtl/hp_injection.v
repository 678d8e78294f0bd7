// The injection bus of an array or a recompute unit: mask words as they are loaded, a cycle late, one-hot in row and column.
module hp_injection #(
    parameter ROWS = 8,
    parameter COLS = 8,
    parameter MASK = 28,
    parameter TAPS = 1       // 0: the bus is quiet
) (
    input wire clk,
    input wire rst,
    input wire valid,
    input wire [7:0] row,
    input wire [7:0] col,
    input wire [2:0] site,
    input wire [1:0] copy,
    input wire [1:0] kind,
    input wire [MASK-1:0] data,
    output reg [ROWS-1:0] rows,   // what lies beyond strikes nothing
    output reg [COLS-1:0] cols,
    output reg [MASK+6:0] word
);
    generate
        if (TAPS != 0) begin : injecting
            always @(posedge clk) begin
                rows <= rst || !valid ? 0 : {{ROWS{1'b0}}, 1'b1} << row;
                cols <= rst || !valid ? 0 : {{COLS{1'b0}}, 1'b1} << col;
                word <= {kind, copy, site, data};
            end
        end else begin : quiet
            always @* begin
                rows = 0;
                cols = 0;
                word = 0;
            end
        end
    endgenerate
endmodule
