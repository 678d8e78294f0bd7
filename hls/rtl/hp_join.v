// One adder of the multiplier's tree: z = x + y + c 2^YL, where y has no bits below column YL.
//
// Columns below YL pass by. With CIN the carry enters through a column of the chain that adds c + c.
module hp_join #(
    parameter SPAN = 18,   // width of the buses; bit b is column b
    parameter YL = 1,      // lowest column of y
    parameter ZH = 10,     // the sum lies below this column
    parameter CIN = 0
) (
    input wire [SPAN-1:0] x,
    input wire [SPAN-1:0] y,
    input wire c,
    output wire [SPAN-1:0] z
);
    localparam WIDTH = ZH - YL;
    wire [WIDTH:0] sum;
    wire [WIDTH-1:0] p = x[YL +: WIDTH], q = y[YL +: WIDTH];
    generate
        if (CIN != 0) begin : with_carry
            wire dropped;
            assign {sum, dropped} = {1'b0, p, c} + {1'b0, q, c};
        end else begin : plain
            assign sum = {1'b0, p} + {1'b0, q};
        end
    endgenerate
    localparam [SPAN-1:0] PASS = ({{SPAN-1{1'b0}}, 1'b1} << YL) - 1;
    assign z = (x & PASS) | ({{SPAN-WIDTH{1'b0}}, sum[WIDTH-1:0]} << YL);
endmodule
