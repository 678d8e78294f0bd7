// The systolic array, weight-stationary: R x C processing elements, and below them a row of accumulators.
//
// A tile is R beats with weights, that of row R-1 first (`load`), then a beat with an activation per row for every pixel, the
// last of them `last`. The tiles of one sum follow each other: with `fresh` a tile's sums are stored, else added to what is
// stored, and with `leave` they leave as well, a beat per pixel. A tile takes at least four cycles. A cycle passes (is
// enabled) when `ce` is high, no waiting output is in the way, and a beat is there, or `flush` says that none will come
// soon; so the cycle of every step is known beforehand (docs/hardware.md), and faults strike where they should.
module hardpoint_ws #(
    parameter R = 8,                 // rows
    parameter C = 8,                 // columns
    parameter M = 8,                 // activation bits
    parameter N = 8,                 // weight bits
    parameter W = 24,                // accumulator bits
    parameter DEPTH = 256,           // sums that an accumulator holds
    parameter [2*R*C-1:0] CLASS = 0, // guard class of PE (r, c) at bits 2 (r C + c), one per column
    parameter B0 = 24,               // guard column of each class, W for none
    parameter B1 = 24,
    parameter B2 = 24,
    parameter [2:0] OPERAND = 0,     // operand guard, reduced-precision redundancy: one bit for each class
    parameter [2:0] RPR = 0,
    parameter DSP = 0,               // multipliers in DSP blocks: guard columns are 0 or W, or reduced-precision redundancy
    parameter TAPS = 0,              // injection build
    parameter EVENTS = 0,            // votes that disagree are reported
    parameter MASK = W + 4           // bits of a mask word
) (
    input wire clk,
    input wire rst,
    input wire ce,
    input wire flush,
    output wire advance,             // this cycle passes
    input wire in_valid,
    output wire in_ready,
    input wire in_first,             // the first of a tile's beats
    input wire in_last,
    input wire in_load,
    input wire in_fresh,
    input wire in_leave,
    input wire in_sgn,
    input wire [R*M-1:0] in_a,       // row 0 in the low bits
    input wire [C*N-1:0] in_w,
    output wire out_valid,
    input wire out_ready,
    output wire [C*W-1:0] out_data,  // column 0 in the low bits
    output wire [32*C-1:0] votes,    // votes that disagreed since reset, by column
    input wire [R*C-1:0] bypass,     // PE (r, c) at bit r C + c: its product counts as zero
    input wire inj_valid,            // loads one mask word, while `ce` is low; it holds two cycles later
    input wire [7:0] inj_row,        // row R is that of the accumulators; what lies beyond strikes nothing
    input wire [7:0] inj_col,
    input wire [2:0] inj_site,
    input wire [1:0] inj_copy,
    input wire [1:0] inj_kind,
    input wire [MASK-1:0] inj_data
);
    `include "hp_functions.vh"
    function integer class_of(input integer c);
        class_of = CLASS[2*c +: 2];
    endfunction
    function integer guard_of(input integer c);
        guard_of = class_of(c) == 0 ? B0 : class_of(c) == 1 ? B1 : B2;
    endfunction
    function integer operand_of(input integer c);
        operand_of = c >= 0 && OPERAND[class_of(c)] ? 3 : 1;
    endfunction
    localparam ADDRESS = hp_bits(DEPTH - 1);
    localparam STEP = ADDRESS + 3;

    // Which cycles pass, and which beats enter. Tiles of three rows and a pixel take four cycles by themselves.
    reg open;                // inside a tile
    wire early;              // a first beat may not enter
    wire en = ce & (~out_valid | out_ready) & (in_valid | flush | (~open & early));
    wire enter = in_valid & ~(in_first & early);    // if the cycle passes
    assign advance = en;
    assign in_ready = en & ~(in_first & early);
    always @(posedge clk)
        if (rst) open <= 1'b0;
        else if (en && enter) open <= ~in_last;
    generate
        if (R < 3) begin : short_tiles
            reg [2:0] gap;
            always @(posedge clk)
                if (rst) gap <= 3'd0;
                else if (en) gap <= enter & in_first ? 3'b111 : gap >> 1;
            assign early = gap[0];
        end else begin : long_tiles
            assign early = 1'b0;
        end
    endgenerate

    // Where a pixel's sum lies in the accumulators.
    reg [ADDRESS-1:0] place;
    wire pixel = enter & ~in_load;
    always @(posedge clk)
        if (en && enter) place <= in_load ? {ADDRESS{1'b0}} : place + 1'b1;

    wire [R:0] inj_rows;
    wire [C-1:0] inj_cols;
    wire [MASK+6:0] inj_word;
    hp_injection #(.ROWS(R + 1), .COLS(C), .MASK(MASK), .TAPS(TAPS))
        injection (.clk(clk), .rst(rst), .valid(inj_valid), .row(inj_row), .col(inj_col), .site(inj_site), .copy(inj_copy),
                   .kind(inj_kind), .data(inj_data), .rows(inj_rows), .cols(inj_cols), .word(inj_word));
    genvar r, c;

    // Buses between PEs: what enters PE (r, c) from the left lies at place r (C+1) + c, from above at r C + c.
    wire [3*M*R*(C+1)-1:0] a;
    wire [3*R*(C+1)-1:0] flags;
    wire [3*N*(R+1)*C-1:0] w;
    wire [3*W*(R+1)*C-1:0] sum;
    localparam TALLY = hp_bits(R);
    wire [TALLY*(R+1)*C-1:0] tally;  // votes that disagreed, on their way down
    wire [STEP*(C+1)-1:0] step;      // what the accumulators do, on its way right
    wire load = enter & in_load;
    generate
        for (r = 0; r < R; r = r + 1) begin : left            // row r starts r cycles late
            wire [M-1:0] x;
            hp_delay #(.WIDTH(M), .DEPTH(r)) skew (.clk(clk), .en(en), .x(in_a[r*M +: M]), .y(x));
            assign a[3*M*r*(C+1) +: 3*M] = {3{x}};
            if (r == 0) begin : first_row
                assign flags[0 +: 3] = {pixel, load, in_sgn};
            end else begin : later_row
                // Each row begins to load a cycle after the one above, and all end together: row R-1 with its first weight.
                wire [2:0] above = flags[3*((r-1)*(C+1)+1) +: 3];
                assign flags[3*r*(C+1) +: 3] = {above[2], above[1] & load, above[0]};
            end
        end
        for (c = 0; c < C; c = c + 1) begin : top             // and column c too
            wire [N-1:0] x;
            hp_delay #(.WIDTH(N), .DEPTH(c)) skew (.clk(clk), .en(en), .x(in_w[c*N +: N]), .y(x));
            assign w[3*N*c +: 3*N] = {3{x}};
            assign sum[3*W*c +: 3*W] = {3*W{1'b0}};
            assign tally[TALLY*c +: TALLY] = {TALLY{1'b0}};
        end
        for (r = 0; r < R; r = r + 1) begin : row
            for (c = 0; c < C; c = c + 1) begin : col
                localparam ACROSS = r*(C+1) + c;
                localparam DOWN = r*C + c;
                hp_ws_pe #(.M(M), .N(N), .W(W), .B(guard_of(c)), .REDUCED(RPR[class_of(c)]), .DSP(DSP), .OPERAND(operand_of(c)),
                           .LEFT(operand_of(c - 1)), .TOP(r == 0), .MASK(MASK), .TAPS(TAPS), .EVENTS(EVENTS), .TALLY(TALLY))
                    pe (.clk(clk), .rst(rst), .en(en), .inj({inj_rows[r] & inj_cols[c], inj_word}), .bypass(bypass[DOWN]),
                        .flags_in(flags[3*ACROSS +: 3]), .flags_out(flags[3*ACROSS+3 +: 3]),
                        .a_in(a[3*M*ACROSS +: 3*M]), .a_out(a[3*M*(ACROSS+1) +: 3*M]),
                        .w_in(w[3*N*DOWN +: 3*N]), .w_out(w[3*N*(DOWN+C) +: 3*N]),
                        .sum_in(sum[3*W*DOWN +: 3*W]), .sum_out(sum[3*W*(DOWN+C) +: 3*W]),
                        .tally_in(tally[TALLY*DOWN +: TALLY]), .tally_out(tally[TALLY*(DOWN+C) +: TALLY]));
            end
        end
    endgenerate

    // The accumulators, in the cycles of a row R; the columns are aligned again, and one beat is held.
    wire pixel_below;
    hp_valid #(.DEPTH(R)) wait_pixel (.clk(clk), .rst(rst), .en(en), .x(pixel), .y(pixel_below));
    hp_delay #(.WIDTH(ADDRESS + 2), .DEPTH(R))
        wait_step (.clk(clk), .en(en), .x({in_leave, in_fresh, place}), .y(step[0 +: ADDRESS+2]));
    assign step[ADDRESS+2] = pixel_below;
    reg [C*W-1:0] held;
    generate
        for (c = 0; c < C; c = c + 1) begin : bottom
            wire [W-1:0] sum_out, aligned;
            wire [2:0] differ;
            hp_ws_sum #(.W(W), .B(guard_of(c)), .REDUCED(RPR[class_of(c)]), .BOUND(hp_most_carry(1, M, N, guard_of(c))),
                        .DEPTH(DEPTH), .ADDRESS(ADDRESS), .MASK(MASK), .TAPS(TAPS), .EVENTS(EVENTS))
                cell_ (.clk(clk), .rst(rst), .en(en), .inj({inj_rows[R] & inj_cols[c], inj_word}),
                       .step_in(step[STEP*c +: STEP]), .step_out(step[STEP*(c+1) +: STEP]),
                       .sum_in(sum[3*W*(R*C+c) +: 3*W]), .sum_out(sum_out), .differ(differ));
            hp_delay #(.WIDTH(W), .DEPTH(C - 1 - c)) align (.clk(clk), .en(en), .x(sum_out), .y(aligned));
            always @(posedge clk) if (en) held[c*W +: W] <= aligned;
            if (EVENTS != 0) begin : counting
                localparam MORE = hp_bits(R + 3);
                reg [31:0] count;
                reg [MORE-1:0] more;   // of one cycle
                wire [1:0] differing = {(differ[0] & differ[1]) | (differ[2] & (differ[0] | differ[1])), ^differ};
                always @(posedge clk)
                    if (rst) begin
                        count <= 32'd0;
                        more <= {MORE{1'b0}};
                    end else if (en) begin
                        count <= count + more;
                        more <= tally[TALLY*(R*C+c) +: TALLY] + {{MORE-2{1'b0}}, differing};
                    end
                assign votes[32*c +: 32] = count;
            end else begin : silent
                assign votes[32*c +: 32] = 32'd0;
            end
        end
    endgenerate
    assign out_data = held;
    wire leaving = step[STEP*C+ADDRESS+2] & step[STEP*C+ADDRESS+1];
    hp_valid #(.DEPTH(4)) pace (.clk(clk), .rst(rst), .en(en), .x(leaving), .y(out_valid));
endmodule
