// The accumulator of a weight-stationary array's column: a memory of sums, an adder, and their guard.
//
// In cycle 1 after a pixel's step came in, its word is read; cycle 2 adds the low columns, 3 the guarded ones; cycle 4 writes
// the word, and the sum leaves. So a word is read three cycles before it is written (docs/hardware.md).
module hp_ws_sum #(
    parameter W = 24,
    parameter B = 24,          // guard column, W for none
    parameter REDUCED = 0,     // the guard is reduced-precision redundancy
    parameter BOUND = 3,       // of that: the largest carry that the copies lack
    parameter DEPTH = 256,
    parameter ADDRESS = 8,
    parameter MASK = 28,
    parameter TAPS = 0,
    parameter EVENTS = 0
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [ADDRESS+2:0] step_in,   // a pixel, its sum leaves, the word counts as zero, place in the memory
    output wire [ADDRESS+2:0] step_out, // the same a cycle later, for the next column
    input wire [3*W-1:0] sum_in,
    output wire [W-1:0] sum_out,
    output wire [2:0] differ            // stored copies that are used, copies that leave, decisions on what comes from above
);
    localparam H = W - B;
    localparam WORD = B + 3 * H;
    reg [ADDRESS+2:0] step;
    always @(posedge clk)
        if (rst) step[ADDRESS+2] <= 1'b0;
        else if (en) step[ADDRESS+2] <= step_in[ADDRESS+2];
    always @(posedge clk) if (en) step[ADDRESS+1:0] <= step_in[ADDRESS+1:0];
    assign step_out = step;

    wire write;
    wire [ADDRESS-1:0] write_at;
    hp_valid #(.DEPTH(3)) wait_write (.clk(clk), .rst(rst), .en(en), .x(step[ADDRESS+2]), .y(write));
    hp_delay #(.WIDTH(ADDRESS), .DEPTH(3)) wait_place (.clk(clk), .en(en), .x(step[ADDRESS-1:0]), .y(write_at));
    reg fresh;
    always @(posedge clk) if (en) fresh <= step[ADDRESS];

    wire [WORD-1:0] stored, made;
    hp_memory #(.WIDTH(WORD), .DEPTH(DEPTH), .ADDRESS(ADDRESS))
        memory (.clk(clk), .en(en), .write(write), .write_at(write_at), .d(made), .read_at(step[ADDRESS-1:0]), .q(stored));

    wire carry;
    genvar i;
    generate
        if (B > 0) begin : low
            wire [B-1:0] struck, next;
            wire [B:0] t;
            reg [B-1:0] lo, held;
            hp_tap #(.WIDTH(B), .SITE(2), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(stored[B-1:0]), .y(struck));
            assign t = {1'b0, sum_in[B-1:0]} + {1'b0, struck & {B{~fresh}}};
            hp_tap #(.WIDTH(B), .SITE(5), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                acc (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[B-1:0]), .y(next));
            always @(posedge clk)
                if (en) begin
                    lo <= next;
                    held <= lo;
                end
            assign made[B-1:0] = held;
            assign sum_out[B-1:0] = held;
            if (REDUCED != 0) begin : whole
                reg kept;
                always @(posedge clk) if (en) kept <= t[B];
                assign carry = kept;
            end else if (H > 0) begin : carrying
                wire out;
                reg kept;
                hp_tap #(.WIDTH(1), .LSB(B), .SITE(3), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                    tap (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(t[B]), .y(out));
                always @(posedge clk) if (en) kept <= out;
                assign carry = kept;
            end else begin : alone
                assign carry = 1'b0;
            end
        end else begin : no_low
            assign carry = 1'b0;
        end
        if (H > 0) begin : guarded
            wire [3*H-1:0] above = {sum_in[2*W+B +: H], sum_in[W+B +: H], sum_in[B +: H]};
            wire [3*H-1:0] old = stored[WORD-1:B];
            wire [3*H-1:0] hi;
            assign made[WORD-1:B] = hi;
        end
        if (REDUCED != 0) begin : reduced
            wire [H-1:0] struck;
            reg [H-1:0] addend;
            wire old_overruled, above_overruled, new_overruled;
            hp_decision #(.WIDTH(H), .BOUND(BOUND)) reader (.all(guarded.old), .overruled(old_overruled));
            hp_tap #(.WIDTH(H), .LSB(B), .SITE(2), .COPY(0), .MASK(MASK), .TAPS(TAPS))
                mul (.clk(clk), .rst(rst), .en(en), .inj(inj), .x(old_overruled ? guarded.old[H +: H] : guarded.old[0 +: H]),
                     .y(struck));
            always @(posedge clk) if (en) addend <= struck & {H{~fresh}};
            hp_decision #(.WIDTH(H), .BOUND(BOUND)) taker (.all(guarded.above), .overruled(above_overruled));
            for (i = 0; i < 3; i = i + 1) begin : copies
                hp_ws_reduced_high #(.WIDTH(H), .B(B), .COPY(i), .MASK(MASK), .TAPS(TAPS))
                    copy (.clk(clk), .rst(rst), .en(en), .inj(inj), .addend(addend), .carry(i == 0 && carry),
                          .full(guarded.above[0 +: H]), .one(guarded.above[H +: H]), .overruled(above_overruled),
                          .hi(guarded.hi[i*H +: H]));
            end
            hp_decision #(.WIDTH(H), .BOUND(BOUND)) leaving (.all(guarded.hi), .overruled(new_overruled));
            assign sum_out[W-1:B] = new_overruled ? guarded.hi[H +: H] : guarded.hi[0 +: H];
        end else if (H > 0) begin : high
            for (i = 0; i < 3; i = i + 1) begin : copies
                hp_ws_high #(.WIDTH(H), .B(B), .COPY(i), .MASK(MASK), .TAPS(TAPS))
                    copy (.clk(clk), .rst(rst), .en(en), .inj(inj), .stored(guarded.old), .fresh(fresh), .carry(carry),
                          .all(guarded.above), .hi(guarded.hi[i*H +: H]));
            end
            hp_vote #(.WIDTH(H)) leaving (.lanes(guarded.hi), .y(sum_out[W-1:B]));
        end
        if (EVENTS != 0 && H > 0) begin : events
            wire used, leaves, taken;
            hp_valid #(.DEPTH(1)) wait_used (.clk(clk), .rst(rst), .en(en), .x(step[ADDRESS+2] & ~step[ADDRESS]), .y(used));
            hp_valid #(.DEPTH(2)) wait_taken (.clk(clk), .rst(rst), .en(en), .x(step[ADDRESS+2]), .y(taken));
            hp_valid #(.DEPTH(3)) wait_leaves (.clk(clk), .rst(rst), .en(en), .x(step[ADDRESS+2] & step[ADDRESS+1]), .y(leaves));
            if (REDUCED != 0) begin : decisions
                reg [2:0] found;   // a cycle is taken for comparing
                always @(posedge clk)
                    if (rst) found <= 3'b000;
                    else if (en)
                        found <= {taken & reduced.above_overruled, leaves & reduced.new_overruled, used & reduced.old_overruled};
                assign differ = found;
            end else begin : copies   // those of the PE above count there
                hp_differ #(.WIDTH(H)) old (.clk(clk), .rst(rst), .en(en), .used(used), .lanes(guarded.old), .differ(differ[0]));
                hp_differ #(.WIDTH(H)) new_ (.clk(clk), .rst(rst), .en(en), .used(leaves), .lanes(guarded.hi), .differ(differ[1]));
                assign differ[2] = 1'b0;
            end
        end else begin : silent
            assign differ = 3'b000;
        end
    endgenerate
    /* verilator no_inline_module */
endmodule
