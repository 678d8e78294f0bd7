// An operand register of LANES lanes that takes what a neighbour with FROM lanes sends; buses always carry three lanes.
module hp_operand #(
    parameter WIDTH = 8,
    parameter LANES = 1,
    parameter FROM = 1,
    parameter SITE = 0,
    parameter HOLD = 0,      // written in every cycle, with what it holds unless `take`
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire take,
    input wire [3*WIDTH-1:0] x,
    output wire [3*WIDTH-1:0] q
);
    genvar i;
    generate
        if (LANES == 3) begin : three
            for (i = 0; i < 3; i = i + 1) begin : each
                hp_lane #(.WIDTH(WIDTH), .SITE(SITE), .COPY(i), .HOLD(HOLD), .MASK(MASK), .TAPS(TAPS))
                    lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .x(x[i*WIDTH +: WIDTH]), .q(q[i*WIDTH +: WIDTH]));
            end
        end else begin : one
            wire [WIDTH-1:0] taken, d;
            reg [WIDTH-1:0] held;
            if (FROM == 3) begin : voted
                hp_vote #(.WIDTH(WIDTH)) vote (.lanes(x), .y(taken));
            end else begin : same
                assign taken = x[WIDTH-1:0];
            end
            hp_tap #(.WIDTH(WIDTH), .SITE(SITE), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(HOLD != 0 && !take ? held : taken), .y(d));
            always @(posedge clk) if (en) held <= d;
            assign q = {3{held}};
        end
    endgenerate
endmodule
