// One copy of the guarded columns of the recompute unit: its own PH of all lanes, voter V, accumulator hi, result lane.
//
// It lags the low part by a cycle, so that the carry between them is a register. The hierarchy is kept: tools would merge copies.
(* keep_hierarchy = "yes", dont_touch = "yes" *)
module hp_recompute_high #(
    parameter LANES = 8,
    parameter LEVELS = 3,
    parameter M = 8,
    parameter N = 8,
    parameter B = 14,
    parameter WIDTH = 10,    // W - B
    parameter CARRY = 5,
    parameter COPY = 0,
    parameter DRAIN = 1,
    parameter MASK = 40,
    parameter TAPS = 1
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [LANES*M-1:0] a,
    input wire [LANES*N-1:0] w,
    input wire s,
    input wire first,        // what is added begins a neuron's sum
    input wire take,         // the sum is complete
    input wire [(CARRY > 0 ? CARRY : 1)-1:0] carry,
    input wire [3*WIDTH-1:0] all,   // hi of all copies
    output reg [WIDTH-1:0] hi,
    output wire [WIDTH-1:0] result
);
    `include "hp_functions.vh"
    localparam TO = M + N - 1;
    localparam SUM = TO > B ? hp_max(hp_bits(hp_part_max(M, N, 0, N, B, TO)) - B, TO - B + 1) : 1;
    localparam [63:0] OFFSET = -LANES * (64'd1 << hp_max(TO - B, 0));   // minus 2^TO a lane, or floor(K_s / 2^B) = -1
    wire [WIDTH-1:0] product, struck, voted, vote, total, next;
    reg [WIDTH-1:0] high;    // PH
    genvar j;
    generate
        if (TO > B) begin : entries
            wire [LANES*WIDTH-1:0] leaves;
            for (j = 0; j < LANES; j = j + 1) begin : lane
                wire [SUM-1:0] sum;
                reg [WIDTH-1:0] part;
                hp_entries #(.M(M), .N(N), .FROM(B), .TO(TO), .WIDTH(SUM))
                    one (.clk(clk), .en(en), .a(a[j*M +: M]), .w(w[j*N +: N]), .s(s), .sum(sum));
                always @(posedge clk) if (en) part <= {{WIDTH{1'b0}}, sum} + (j == 0 ? OFFSET[WIDTH-1:0] : {WIDTH{1'b0}});
                assign leaves[j*WIDTH +: WIDTH] = part;
            end
            hp_tree #(.LANES(LANES), .LEVELS(LEVELS), .WIDTH(WIDTH)) tree (.clk(clk), .en(en), .x(leaves), .y(product));
        end else begin : constant
            assign product = OFFSET[WIDTH-1:0];
        end
    endgenerate
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(2), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(product), .y(struck));
    always @(posedge clk) if (en) high <= struck;

    hp_vote #(.WIDTH(WIDTH)) voter (.lanes(all), .y(voted));
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(4), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(voted), .y(vote));
    wire [WIDTH-1:0] addend = high + carry;
    assign total = addend + (vote & {WIDTH{~first}});
    hp_tap #(.WIDTH(WIDTH), .LSB(B), .SITE(5), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
        acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(total), .y(next));
    always @(posedge clk) if (en) hi <= next;

    generate
        if (DRAIN != 0) begin : draining
            hp_drain #(.WIDTH(WIDTH), .LSB(B), .COPY(COPY), .MASK(MASK), .TAPS(TAPS))
                lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(1'b0), .bypass(1'b0),
                      .own(vote), .above({WIDTH{1'b0}}), .q(result));
        end else begin : idle
            assign result = {WIDTH{1'b0}};
        end
    endgenerate
endmodule
