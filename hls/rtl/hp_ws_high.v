// One copy of the guarded columns of the accumulator row: votes the sum from above and the stored word, and adds them.
//
// The hierarchy is kept: tools would merge copies.
(* keep_hierarchy = "yes", dont_touch = "yes" *)
module hp_ws_high #(
    parameter WIDTH = 10,    // W - B
    parameter B = 14,
    parameter COPY = 0,
    parameter MASK = 28,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [3*WIDTH-1:0] stored,  // hi of all copies of the word
    input wire fresh,                 // the word counts as zero
    input wire carry,                 // a cycle later
    input wire [3*WIDTH-1:0] all,     // hi of all copies from above, then too
    output reg [WIDTH-1:0] hi
);
    wire [WIDTH-1:0] word, struck, voted, vote, total, next;
    reg [WIDTH-1:0] addend;
    hp_vote #(.WIDTH(WIDTH)) reader (.lanes(stored), .y(word));
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(2), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(word), .y(struck));
    always @(posedge clk) if (en) addend <= struck & {WIDTH{~fresh}};

    hp_vote #(.WIDTH(WIDTH)) voter (.lanes(all), .y(voted));
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(4), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(voted), .y(vote));
    wire dropped;
    assign {total, dropped} = {addend, carry} + {vote, carry};
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(5), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(total), .y(next));
    always @(posedge clk) if (en) hi <= next;
endmodule
