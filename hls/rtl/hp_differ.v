// Whether three lanes differ that are `used`, a cycle late: eight columns are compared at a time, so that no path is long.
module hp_differ #(
    parameter WIDTH = 10
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire used,
    input wire [3*WIDTH-1:0] lanes,
    output wire differ
);
    localparam PARTS = (WIDTH + 7) / 8;
    wire [8*PARTS-1:0] apart = (lanes[0 +: WIDTH] ^ lanes[WIDTH +: WIDTH]) | (lanes[0 +: WIDTH] ^ lanes[2*WIDTH +: WIDTH]);
    reg [PARTS-1:0] found;
    reg counts;
    integer i;
    always @(posedge clk)
        if (rst) counts <= 1'b0;
        else if (en) counts <= used;
    always @(posedge clk)
        if (en)
            for (i = 0; i < PARTS; i = i + 1) found[i] <= |apart[8*i +: 8];
    assign differ = counts && |found;
endmodule
