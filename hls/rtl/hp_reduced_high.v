// The high columns of one of a reduced-precision PE's three accumulators. The hierarchy is kept: tools would merge the copies.
(* keep_hierarchy = "yes", dont_touch = "yes" *)
module hp_reduced_high #(
    parameter M = 8,
    parameter N = 8,
    parameter B = 14,
    parameter WIDTH = 10,    // W - B
    parameter COPY = 0,
    parameter DOWN = 0,
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [M-1:0] a,
    input wire [N-1:0] w,
    input wire s,
    input wire [WIDTH-1:0] whole,   // copy 0: these columns of the whole product; the others have entries of their own
    input wire valid,
    input wire first,
    input wire bypass,
    input wire carry,
    input wire [WIDTH-1:0] full,    // the sum so far: of the full accumulator, or of the copies where they overrule it
    input wire [WIDTH-1:0] one,
    input wire overruled,
    output reg [WIDTH-1:0] hi
);
    wire [WIDTH-1:0] product, struck, vote, total, next;
    reg [WIDTH-1:0] high;
    generate
        if (COPY == 0) begin : given
            assign product = whole;
        end else begin : own
            hp_high_product #(.M(M), .N(N), .B(B), .WIDTH(WIDTH)) part (.clk(clk), .en(en), .a(a), .w(w), .s(s), .y(product));
        end
    endgenerate
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(2), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product), .y(struck));
    always @(posedge clk)
        if (DOWN != 0 && bypass) high <= {WIDTH{1'b0}};
        else if (en) high <= struck;
    hp_late_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(4), .COPY(0), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .dead(first), .x(overruled ? one : full), .y(vote));
    generate
        if (COPY == 0) begin : whole_sum   // the carry enters through a column that adds it to itself
            wire dropped;
            assign {total, dropped} = {high, carry} + {vote, carry};
        end else begin : reduced
            assign total = high + vote;
        end
    endgenerate
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(5), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(total), .y(next));
    always @(posedge clk) if (en && (DOWN != 0 || valid)) hi <= next;
endmodule
