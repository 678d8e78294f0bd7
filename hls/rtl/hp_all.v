// Whether all of WIDTH conditions hold: through a carry chain, which is shorter than a tree of LUTs.
module hp_all #(
    parameter WIDTH = 4
) (
    input wire [WIDTH-1:0] x,
    output wire y
);
    wire [WIDTH:0] sum = {{WIDTH{1'b0}}, 1'b1} + {1'b0, x};
    assign y = sum[WIDTH];
endmodule
