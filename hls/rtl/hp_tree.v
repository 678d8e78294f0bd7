// The sum of LANES words modulo 2^WIDTH, an adder per cycle: it takes LEVELS cycles, with 2^LEVELS >= LANES.
module hp_tree #(
    parameter LANES = 8,
    parameter LEVELS = 3,
    parameter WIDTH = 16
) (
    input wire clk,
    input wire en,
    input wire [LANES*WIDTH-1:0] x,
    output wire [WIDTH-1:0] y
);
    localparam LEAVES = 1 << LEVELS;
    wire [2*LEAVES*WIDTH-1:0] node;  // node i is the sum of nodes 2i and 2i + 1, node 1 that of all; the leaves come last
    genvar i;
    generate
        for (i = 0; i < LEAVES; i = i + 1) begin : leaf
            if (i < LANES) begin : some
                assign node[(LEAVES+i)*WIDTH +: WIDTH] = x[i*WIDTH +: WIDTH];
            end else begin : none
                assign node[(LEAVES+i)*WIDTH +: WIDTH] = {WIDTH{1'b0}};
            end
        end
        for (i = 1; i < LEAVES; i = i + 1) begin : join_
            reg [WIDTH-1:0] sum;
            always @(posedge clk) if (en) sum <= node[2*i*WIDTH +: WIDTH] + node[(2*i+1)*WIDTH +: WIDTH];
            assign node[i*WIDTH +: WIDTH] = sum;
        end
    endgenerate
    assign node[0 +: WIDTH] = {WIDTH{1'b0}};
    assign y = node[WIDTH +: WIDTH];
endmodule
