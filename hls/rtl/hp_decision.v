// Reduced-precision redundancy decides: the copies overrule the full sum where they agree and lie more than BOUND off it.
module hp_decision #(
    parameter WIDTH = 10,
    parameter BOUND = 3       // the largest carry that the copies lack
) (
    input wire [3*WIDTH-1:0] all,   // the full sum's high columns, then the copies
    output wire [WIDTH-1:0] y,
    output wire overruled
);
    `include "hp_functions.vh"
    localparam SMALL = hp_min(hp_bits(BOUND), WIDTH);   // bits that BOUND reaches
    wire [WIDTH-1:0] full = all[0 +: WIDTH], one = all[WIDTH +: WIDTH], two = all[2*WIDTH +: WIDTH];
    // The difference is compared bit by bit: a second carry chain would make three on the path.
    wire [WIDTH-1:0] off = full - one;
    integer i;
    reg beyond;
    always @* begin
        beyond = 1'b0;
        for (i = 0; i < WIDTH; i = i + 1)
            if (i >= SMALL) beyond = beyond | off[i];
        for (i = BOUND + 1; i < (1 << SMALL); i = i + 1)
            if ((off & ((1 << SMALL) - 1)) == i) beyond = 1'b1;
    end
    assign overruled = beyond & (one == two);
    assign y = overruled ? one : full;
endmodule
