// The sum of all partial-product entries in columns FROM .. TO-1 with their constants, bit 0 being column FROM.
//
// A tree of three adders in depth: the first two before a register, the third after it (so `sum` is a cycle late). It has a
// row per bit of one operand, of at most eight: of the weight, or of the activation where weights are wider (ROWS, ALONG).
module hp_entries #(
    parameter M = 8,
    parameter N = 8,
    parameter FROM = 0,
    parameter TO = 15,
    parameter WIDTH = 16
) (
    input wire clk,
    input wire en,
    input wire [M-1:0] a,
    input wire [N-1:0] w,
    input wire s,
    output wire [WIDTH-1:0] sum
);
    localparam SPAN = M + N + 2;
    localparam TURNED = N > 8;
    localparam ALONG = TURNED ? N : M, ROWS = TURNED ? M : N;
    wire [ALONG-1:0] x;
    wire [ROWS-1:0] y;
    wire x_signed, y_signed;
    wire [8*SPAN-1:0] row;
    wire [4*SPAN-1:0] pair;
    wire [2*SPAN-1:0] quad;
    reg [2*SPAN-1:0] held;
    wire [SPAN-1:0] total;
    reg s_held;
    genvar i;
    generate
        if (TURNED) begin : turned
            assign {x, y, x_signed, y_signed} = {w, a, 1'b1, s};
        end else begin : straight
            assign {x, y, x_signed, y_signed} = {a, w, s, 1'b1};
        end
        for (i = 0; i < 8; i = i + 1) begin : rows
            if (i < ROWS) begin : some
                hp_row #(.M(ALONG), .N(ROWS), .FROM(FROM), .TO(TO), .SPAN(SPAN), .I(i))
                    one (.a(x), .w(y[i]), .s(x_signed), .t(y_signed), .row(row[i*SPAN +: SPAN]));
            end else begin : none
                assign row[i*SPAN +: SPAN] = {SPAN{1'b0}};
            end
        end
        for (i = 0; i < 4; i = i + 1) begin : pairs
            hp_node #(.M(ALONG), .N(ROWS), .FROM(FROM), .TO(TO), .SPAN(SPAN), .I0(2*i), .IM(2*i+1), .I1(2*i+2))
                node (.x(row[2*i*SPAN +: SPAN]), .y(row[(2*i+1)*SPAN +: SPAN]), .s(x_signed), .t(y_signed), .z(pair[i*SPAN +: SPAN]));
        end
        for (i = 0; i < 2; i = i + 1) begin : quads
            hp_node #(.M(ALONG), .N(ROWS), .FROM(FROM), .TO(TO), .SPAN(SPAN), .I0(4*i), .IM(4*i+2), .I1(4*i+4))
                node (.x(pair[2*i*SPAN +: SPAN]), .y(pair[(2*i+1)*SPAN +: SPAN]), .s(x_signed), .t(y_signed), .z(quad[i*SPAN +: SPAN]));
        end
    endgenerate
    always @(posedge clk)
        if (en) begin
            held <= quad;
            s_held <= s;
        end
    hp_node #(.M(ALONG), .N(ROWS), .FROM(FROM), .TO(TO), .SPAN(SPAN), .I0(0), .IM(4), .I1(8))
        last (.x(held[0 +: SPAN]), .y(held[SPAN +: SPAN]), .s(TURNED ? 1'b1 : s_held), .t(TURNED ? s_held : 1'b1), .z(total));
    assign sum = total[FROM +: WIDTH];
endmodule
