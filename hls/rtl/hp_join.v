// One adder of the multiplier's tree: z = x + y + c 2^YL, where y has no bits below column YL.
//
// Columns below YL pass by. With CIN the carry enters through a column of the chain that adds c + c.
module hp_join #(
    parameter SPAN = 18,   // width of the buses; bit b is column b
    parameter XL = 0,      // lowest column of x
    parameter YL = 1,
    parameter ZH = 10,     // columns of the sum: XL .. ZH-1
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
    genvar k;
    generate
        if (CIN != 0) begin : with_carry
            wire dropped;
            assign {sum, dropped} = {1'b0, p, c} + {1'b0, q, c};
        end else begin : plain
            assign sum = p + q;
        end
        for (k = 0; k < SPAN; k = k + 1) begin : column
            if (k < XL || k >= ZH) begin : none
                assign z[k] = 1'b0;
            end else if (k < YL) begin : pass
                assign z[k] = x[k];
            end else begin : add
                assign z[k] = sum[k-YL];
            end
        end
    endgenerate
endmodule
