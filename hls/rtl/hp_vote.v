// Bitwise majority of three lanes.
module hp_vote #(
    parameter WIDTH = 8
) (
    input wire [3*WIDTH-1:0] lanes,
    output wire [WIDTH-1:0] y
);
    wire [WIDTH-1:0] p = lanes[0 +: WIDTH], q = lanes[WIDTH +: WIDTH], r = lanes[2*WIDTH +: WIDTH];
    assign y = (p & q) | (p & r) | (q & r);
endmodule
