// One copy of the guarded columns of a PE: its own product PH, voter V, accumulator hi and, with DRAIN, drain lane.
//
// It lags the low part by a cycle, so that the carry between them is a register. The hierarchy is kept: tools would merge copies.
(* keep_hierarchy = "yes", dont_touch = "yes" *)
module hp_high #(
    parameter M = 8,
    parameter N = 8,
    parameter B = 14,
    parameter WIDTH = 10,    // W - B
    parameter CARRY = 2,
    parameter COPY = 0,
    parameter DRAIN = 1,
    parameter DSP = 0,       // with B = 0: the multiplier is a DSP block
    parameter DOWN = 0,      // `all` is the PE above's, and a bypassed PE's product counts as zero
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
    input wire valid,        // these two belong to the step two cycles before
    input wire first,
    input wire [(CARRY > 0 ? CARRY : 1)-1:0] carry,
    input wire [3*WIDTH-1:0] all,   // hi of all copies
    output reg [WIDTH-1:0] hi,
    input wire take,
    input wire shift,
    input wire bypass,
    input wire [WIDTH-1:0] above,
    output wire [WIDTH-1:0] drained
);
    `include "hp_functions.vh"
    wire [WIDTH-1:0] product, struck, addend, voted, vote, total, next;
    reg [WIDTH-1:0] high;    // PH
    generate
        if (DSP != 0) begin : block   // full TMR: all columns
            hp_product #(.M(M), .N(N), .W(WIDTH), .DSP(1)) part (.clk(clk), .en(en), .a(a), .w(w), .s(s), .y(product));
        end else begin : entries
            hp_high_product #(.M(M), .N(N), .B(B), .WIDTH(WIDTH)) part (.clk(clk), .en(en), .a(a), .w(w), .s(s), .y(product));
        end
    endgenerate
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(2), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product), .y(struck));
    always @(posedge clk)
        if (DOWN != 0 && bypass) high <= {WIDTH{1'b0}};
        else if (en) high <= struck;

    // All but the lowest bit of the carry is added to PH without a chain, which costs nothing where PH is constant: where
    // it runs on through ones is known a cycle before. The lowest bit enters the adder's chain, through a column that adds
    // it to itself.
    localparam LOW = hp_min(CARRY > 0 ? CARRY : 1, WIDTH);   // columns that the carry reaches by itself
    wire [LOW:0] ripple;
    wire low_carry = CARRY > 0 ? carry[0] : 1'b0;
    genvar k;
    assign ripple[0] = 1'b0;
    generate
        for (k = 0; k < LOW; k = k + 1) begin : column
            if (k == 0) begin : none
                assign addend[k] = high[k];
                assign ripple[k+1] = 1'b0;
            end else begin : full
                assign addend[k] = high[k] ^ ripple[k] ^ carry[k];
                assign ripple[k+1] = (high[k] & ripple[k]) | (carry[k] & (high[k] | ripple[k]));
            end
        end
        if (WIDTH > LOW) begin : bump
            localparam REST = WIDTH - LOW;
            reg [REST-1:0] runs;                       // ones all the way from the start of a group of four columns
            reg [REST/4:0] through;                    // ones all the way through a group
            wire [REST/4+1:0] reached;
            integer i;
            always @(posedge clk)
                if (en)
                    for (i = 0; i < REST; i = i + 1) begin
                        runs[i] <= &(struck[LOW +: REST] | ~((({{REST{1'b0}}, 1'b1} << (i % 4)) - 1'b1) << (i - i % 4)));
                        if (i % 4 == 3) through[i/4] <= &struck[LOW+i-3 +: 4];
                    end
            assign reached[0] = ripple[LOW];
            for (k = 0; k < REST; k = k + 1) begin : column
                if (k % 4 == 3) begin : next_group
                    assign reached[k/4+1] = reached[k/4] & through[k/4];
                end
                assign addend[LOW+k] = high[LOW+k] ^ (runs[k] & reached[k/4]);
            end
        end
    endgenerate

    hp_vote #(.WIDTH(WIDTH)) voter (.lanes(all), .y(voted));
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(4), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(voted), .y(vote));
    wire dropped;
    assign {total, dropped} = {addend, low_carry} + {vote & {WIDTH{~first}}, low_carry};
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(5), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(total), .y(next));
    always @(posedge clk) if (en && (DOWN != 0 || valid)) hi <= next;

    generate
        if (DRAIN != 0) begin : draining
            hp_drain #(.WIDTH(WIDTH), .LSB(B), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
                lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(shift), .bypass(bypass),
                      .own(vote), .above(above), .q(drained));
        end else begin : idle
            assign drained = {WIDTH{1'b0}};
        end
    endgenerate
endmodule
