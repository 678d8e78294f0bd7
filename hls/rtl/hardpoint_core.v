// The systolic array, output-stationary: R x C processing elements in up to three guard classes.
//
// A beat brings step k of one tile: an activation per row and a weight per column, `first` with k = 0 and `last` with
// k = K-1. Sums leave in R beats per tile, row R-1 first. First beats are accepted at least R cycles apart. A cycle passes
// (is enabled) when `ce` is high, no waiting output is in the way, and a beat is there, or `flush` says that none will come
// soon; so the cycle of every step is known beforehand (docs/hardware.md), and faults strike where they should.
module hardpoint_core #(
    parameter R = 8,                 // rows
    parameter C = 8,                 // columns
    parameter M = 8,                 // activation bits
    parameter N = 8,                 // weight bits
    parameter W = 24,                // accumulator bits
    parameter [2*R*C-1:0] CLASS = 0, // guard class of PE (r, c) at bits 2 (r C + c)
    parameter B0 = 24,               // guard column of each class, W for none
    parameter B1 = 24,
    parameter B2 = 24,
    parameter [2:0] OPERAND = 0,     // operand guard, drain guard, reduced-precision redundancy: one bit for each class
    parameter [2:0] DRAIN = 0,
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
    input wire in_first,
    input wire in_last,
    input wire in_sgn,
    input wire [R*M-1:0] in_a,       // row 0 in the low bits
    input wire [C*N-1:0] in_w,
    output wire out_valid,
    input wire out_ready,
    output wire [C*W-1:0] out_data,  // column 0 in the low bits
    output wire [32*C-1:0] votes,    // votes that disagreed since reset, by column
    input wire [R*C-1:0] bypass,     // PE (r, c) at bit r C + c: hands over zero
    input wire inj_valid,            // loads one mask word, while `ce` is low; it holds two cycles later
    input wire [7:0] inj_row,        // what lies beyond the array strikes nothing
    input wire [7:0] inj_col,
    input wire [2:0] inj_site,
    input wire [1:0] inj_copy,
    input wire [1:0] inj_kind,
    input wire [MASK-1:0] inj_data
);
    `include "hp_functions.vh"
    function integer class_of(input integer r, input integer c);
        class_of = CLASS[2*(r*C+c) +: 2];
    endfunction
    function integer guard_of(input integer r, input integer c);
        guard_of = class_of(r, c) == 0 ? B0 : class_of(r, c) == 1 ? B1 : B2;
    endfunction
    function integer operand_of(input integer r, input integer c);
        operand_of = r >= 0 && c >= 0 && OPERAND[class_of(r, c)] ? 3 : 1;
    endfunction
    function integer drain_of(input integer r, input integer c);
        drain_of = DRAIN[class_of(r, c)] ? 3 : 1;
    endfunction
    function integer split_of(input integer r, input integer c);
        split_of = r >= 0 && drain_of(r, c) == 3 ? guard_of(r, c) : W;
    endfunction
    function integer late(input integer c);
        integer r;
        begin
            late = 0;
            for (r = 0; r < R; r = r + 1)
                if (guard_of(r, c) < W) late = 1;
        end
    endfunction
    function integer any_late(input integer unused);
        integer c;
        begin
            any_late = unused;
            for (c = 0; c < C; c = c + 1)
                if (late(c) != 0) any_late = 1;
        end
    endfunction
    localparam LATE = any_late(0);

    // Which cycles pass, and which beats enter.
    reg [R-1:0] gap;         // a first beat may not enter: empties in R-1 cycles
    reg open;                // inside a tile
    wire starved = ~in_valid & ~flush & (open | ~gap[0]);
    wire en = ce & (~out_valid | out_ready) & ~starved;
    wire enter = in_valid & ~(in_first & gap[0]);   // if the cycle passes
    assign advance = en;
    assign in_ready = en & ~(in_first & gap[0]);
    always @(posedge clk)
        if (rst) begin
            gap <= {R{1'b0}};
            open <= 1'b0;
        end else if (en) begin
            gap <= (gap | {R{enter & in_first}}) >> 1;
            open <= enter ? ~in_last : open;
        end

    wire [R-1:0] inj_rows;
    wire [C-1:0] inj_cols;
    wire [MASK+6:0] inj_word;
    hp_injection #(.ROWS(R), .COLS(C), .MASK(MASK), .TAPS(TAPS))
        injection (.clk(clk), .rst(rst), .valid(inj_valid), .row(inj_row), .col(inj_col), .site(inj_site), .copy(inj_copy),
                   .kind(inj_kind), .data(inj_data), .rows(inj_rows), .cols(inj_cols), .word(inj_word));
    genvar r, c;

    // Buses between PEs: what enters PE (r, c) from the left lies at place r (C+1) + c, from above at r C + c.
    wire [3*M*R*(C+1)-1:0] a;
    wire [4*R*(C+1)-1:0] flags;
    wire [R*(C+1)-1:0] shift;
    wire [3*N*(R+1)*C-1:0] w;
    wire [3*W*(R+1)*C-1:0] drain;
    wire [R*C-1:0] done, moves;
    localparam TALLY = hp_bits(R);
    wire [TALLY*(R+1)*C-1:0] tally;  // votes that disagreed, on their way down
    wire [C-1:0] leave;              // the last row's drain register of column c is written
    wire last_done = done[(R-1)*C], last_shift = shift[(R-1)*(C+1)];
    generate
        for (r = 0; r < R; r = r + 1) begin : left            // row r starts r cycles late
            wire [M-1:0] x;
            hp_delay #(.WIDTH(M), .DEPTH(r)) skew (.clk(clk), .en(en), .x(in_a[r*M +: M]), .y(x));
            assign a[3*M*r*(C+1) +: 3*M] = {3{x}};
            if (r == 0) begin : first_row
                assign flags[0 +: 4] = {enter, in_first, in_last, in_sgn};
                assign shift[0] = 1'b0;
            end else begin : later_row
                assign flags[4*r*(C+1) +: 4] = flags[4*((r-1)*(C+1)+1) +: 4];
                // Once the last row has its sum, row r shifts r times: a thermometer that empties from row 0 on.
                reg on;
                always @(posedge clk)
                    if (rst) on <= 1'b0;
                    else if (en) on <= last_done | shift[(r-1)*(C+1)];
                assign shift[r*(C+1)] = on;
            end
        end
        for (c = 0; c < C; c = c + 1) begin : top             // and column c too
            wire [N-1:0] x;
            hp_delay #(.WIDTH(N), .DEPTH(c)) skew (.clk(clk), .en(en), .x(in_w[c*N +: N]), .y(x));
            assign w[3*N*c +: 3*N] = {3{x}};
            assign drain[3*W*c +: 3*W] = {3*W{1'b0}};
            assign tally[TALLY*c +: TALLY] = {TALLY{1'b0}};
            assign leave[c] = moves[(R-1)*C+c];
        end
        for (r = 0; r < R; r = r + 1) begin : row
            for (c = 0; c < C; c = c + 1) begin : col
                localparam ACROSS = r*(C+1) + c;
                localparam DOWN = r*C + c;
                hp_pe #(.M(M), .N(N), .W(W), .B(guard_of(r, c)), .OPERAND(operand_of(r, c)), .DRAIN(drain_of(r, c)),
                        .REDUCED(RPR[class_of(r, c)]), .DSP(DSP),
                        .LEFT(operand_of(r, c - 1)), .ABOVE(operand_of(r - 1, c)), .ABOVE_SPLIT(split_of(r - 1, c)),
                        .LATE(late(c)), .MASK(MASK), .TAPS(TAPS), .EVENTS(EVENTS), .TALLY(TALLY))
                    pe (.clk(clk), .rst(rst), .en(en), .inj({inj_rows[r] & inj_cols[c], inj_word}), .bypass(bypass[DOWN]),
                        .flags_in(flags[4*ACROSS +: 4]), .flags_out(flags[4*ACROSS+4 +: 4]),
                        .a_in(a[3*M*ACROSS +: 3*M]), .a_out(a[3*M*(ACROSS+1) +: 3*M]),
                        .w_in(w[3*N*DOWN +: 3*N]), .w_out(w[3*N*(DOWN+C) +: 3*N]),
                        .shift_in(shift[ACROSS]), .shift_out(shift[ACROSS+1]), .done(done[DOWN]),
                        .drain_in(drain[3*W*DOWN +: 3*W]), .drain_out(drain[3*W*(DOWN+C) +: 3*W]), .moves(moves[DOWN]),
                        .tally_in(tally[TALLY*DOWN +: TALLY]), .tally_out(tally[TALLY*(DOWN+C) +: TALLY]));
            end
        end
    endgenerate

    // The lower edge votes, aligns the columns and holds one beat.
    reg [C*W-1:0] held;
    generate
        for (c = 0; c < C; c = c + 1) begin : bottom
            localparam BELOW = 3*W*(R*C + c);
            localparam SPLIT = split_of(R - 1, c);
            wire [W-1:0] voted, whole, aligned;
            hp_vote #(.WIDTH(W)) vote (.lanes(drain[BELOW +: 3*W]), .y(voted));
            localparam [W-1:0] THREE = SPLIT < W ? ~{W{1'b0}} << SPLIT : {W{1'b0}};
            assign whole = (voted & THREE) | (drain[BELOW +: W] & ~THREE);
            hp_delay #(.WIDTH(W), .DEPTH(C - 1 - c + LATE - late(c))) align (.clk(clk), .en(en), .x(whole), .y(aligned));
            always @(posedge clk) if (en) held[c*W +: W] <= aligned;
            if (EVENTS != 0) begin : counting
                reg [31:0] count;
                reg moved;   // a row of sums lies in the lowest drain registers
                wire differ;
                always @(posedge clk)
                    if (rst) begin
                        count <= 32'd0;
                        moved <= 1'b0;
                    end else if (en) begin
                        count <= count + tally[TALLY*(R*C+c) +: TALLY] + differ;
                        moved <= leave[c];
                    end
                if (SPLIT < W) begin : lanes
                    wire [W-1:0] one = drain[BELOW +: W], two = drain[BELOW+W +: W], three = drain[BELOW+2*W +: W];
                    hp_differ #(.WIDTH(W - SPLIT))
                        compare (.clk(clk), .rst(rst), .en(en), .used(moved),
                                 .lanes({three[W-1:SPLIT], two[W-1:SPLIT], one[W-1:SPLIT]}), .differ(differ));
                end else begin : lane
                    assign differ = 1'b0;
                end
                assign votes[32*c +: 32] = count;
            end else begin : silent
                assign votes[32*c +: 32] = 32'd0;
            end
        end
    endgenerate
    assign out_data = held;
    hp_valid #(.DEPTH(C + 1 + LATE)) pace (.clk(clk), .rst(rst), .en(en), .x(last_done | last_shift), .y(out_valid));
endmodule
