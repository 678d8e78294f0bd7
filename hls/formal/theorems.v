// What is proved of a guarded processing element, `guarded`: hp_pe itself, elaborated and flattened, its registers lo and
// hi_0 .. hi_2 brought out as ports; with REDUCED its guard is reduced-precision redundancy. Every cycle passes here; that nothing changes in the others is a theorem of its own.
//
// STRIKES 0  nothing is struck: lo, all copies and the drain register equal a plain multiply-accumulate of like latency
//         1  any values in one copy per step, its voter and its lanes included: the voted sum equals that of a PE unstruck
//         2  any values in PL, lo and carry, in one step of the whole run: it differs from that by less than 2^(B+CARRY)
//         3  reduced precision: any values in the full sum's high columns, in one copy's or in the low columns (product and
//            sum), in one step of the whole run: what is decided for differs from that by less than (BOUND+1) 2^B
//
// Sums count from the first `first` on, once the pipelines hold the same steps: so whatever the registers held before, the
// theorems hold from then on.
module theorems #(
    parameter M = 4,
    parameter N = 4,
    parameter W = 12,
    parameter B = 7,
    parameter CARRY = 2,
    parameter REDUCED = 0,
    parameter BOUND = 3,         // with REDUCED
    parameter OPERAND = 1,
    parameter DRAIN = 1,
    parameter STRIKES = 0
) (
    input wire clk,
    input wire valid,
    input wire first,
    input wire last,
    input wire s,
    input wire [M-1:0] a,
    input wire [N-1:0] w,
    input wire shift,
    input wire [W-1:0] above,
    input wire [1:0] victim,     // the copy that is struck in this step; 3 for none
    input wire [5:0] where,      // in which of its places
    input wire strike            // the run's one struck step is now: of the low part (2), of the victim, 3 being the low columns (3)
);
    localparam H = W - B;
    localparam L = B > 0 ? B : 1;

    // Steps move through the PE: operands are written in their cycle 0, PH in 2, votes and sums in 3.
    reg [1:0] victim1 = 3, victim2 = 3, victim3 = 3;
    reg spent = 0, spent1 = 0, spent2 = 0;   // the one strike has happened; a cycle ago; two
    reg [1:0] struck1 = 3;                   // its copy, as the sum is written a cycle after the product
    reg now1 = 0;
    wire now = STRIKES >= 2 && strike && !spent;
    wire low = now && (STRIKES == 2 || victim == 3);
    always @(posedge clk) begin
        {victim3, victim2, victim1} <= {victim2, victim1, victim};
        {spent2, spent1, spent} <= {spent1, spent, spent | now};
        {struck1, now1} <= {victim, now};
    end

    // The taps of proofs (hp_tap.v beside this file): bit 4 SITE + COPY, 32 more for low columns and operands.
    wire [71:0] inj;
    genvar i;
    generate
        for (i = 0; i < 72; i = i + 1) begin : tap
            if (STRIKES == 1 && i >= 8 && i < 11) begin : product
                assign inj[i] = victim2 == i - 8 && where[0];
            end else if (STRIKES == 1 && i >= 16 && i < 19) begin : vote
                assign inj[i] = victim3 == i - 16 && where[1];
            end else if (STRIKES == 1 && i >= 20 && i < 23) begin : sum
                assign inj[i] = victim3 == i - 20 && where[2];
            end else if (STRIKES == 1 && DRAIN == 3 && i >= 24 && i < 27) begin : drain
                assign inj[i] = victim3 == i - 24 && where[3];
            end else if (STRIKES == 1 && OPERAND == 3 && i >= 32 && i < 35) begin : activation
                assign inj[i] = victim == i - 32 && where[4];
            end else if (STRIKES == 1 && OPERAND == 3 && i >= 36 && i < 39) begin : weight
                assign inj[i] = victim == i - 36 && where[5];
            end else if (STRIKES == 2 && (i == 40 || i == 11 || i == 12 || i == 52)) begin : low_product_carry_and_sum
                assign inj[i] = low;
            end else if (STRIKES == 3 && i >= 8 && i < 11) begin : reduced_product
                assign inj[i] = now && victim == i - 8 && where[0];
            end else if (STRIKES == 3 && i >= 20 && i < 23) begin : reduced_sum
                assign inj[i] = now1 && struck1 == i - 20 && where[2];
            end else if (STRIKES == 3 && (i == 40 || i == 52)) begin : reduced_low
                assign inj[i] = low;
            end else begin : never
                assign inj[i] = 1'b0;
            end
        end
    endgenerate

    wire [L-1:0] lo;
    wire [H-1:0] hi0, hi1, hi2;
    wire [3*W-1:0] drained;
    generate
        if (REDUCED != 0) begin : reduced
            guarded pe (.clk(clk), .rst(1'b0), .en(1'b1), .inj(inj), .bypass(1'b0), .flags_in({valid, first, last, s}),
                        .a_in({3{a}}), .w_in({3{w}}), .shift_in(shift), .drain_in({3{above}}), .drain_out(drained),
                        .\reduced.part.lo (lo), .\reduced.part.copies[0].copy.hi (hi0),
                        .\reduced.part.copies[1].copy.hi (hi1), .\reduced.part.copies[2].copy.hi (hi2));
        end else if (B > 0) begin : split
            guarded pe (.clk(clk), .rst(1'b0), .en(1'b1), .inj(inj), .bypass(1'b0), .flags_in({valid, first, last, s}),
                        .a_in({3{a}}), .w_in({3{w}}), .shift_in(shift), .drain_in({3{above}}), .drain_out(drained),
                        .\low.lo (lo), .\high.copies[0].copy.hi (hi0), .\high.copies[1].copy.hi (hi1),
                        .\high.copies[2].copy.hi (hi2));
        end else begin : whole
            assign lo = 1'b0;
            guarded pe (.clk(clk), .rst(1'b0), .en(1'b1), .inj(inj), .bypass(1'b0), .flags_in({valid, first, last, s}),
                        .a_in({3{a}}), .w_in({3{w}}), .shift_in(shift), .drain_in({3{above}}), .drain_out(drained),
                        .\high.copies[0].copy.hi (hi0), .\high.copies[1].copy.hi (hi1), .\high.copies[2].copy.hi (hi2));
        end
    endgenerate

    // The same PE unstruck, to compare with.
    wire [L-1:0] calm_lo;
    wire [H-1:0] calm_hi, calm_one, calm_two;   // with REDUCED of the full sum and of the copies, which never overrule it here
    wire [3*W-1:0] calm_drained;
    generate
        if (STRIKES == 0) begin : absent
            assign {calm_lo, calm_hi, calm_drained} = 0;
        end else if (REDUCED != 0) begin : calm
            guarded pe (.clk(clk), .rst(1'b0), .en(1'b1), .inj(72'd0), .bypass(1'b0), .flags_in({valid, first, last, s}),
                        .a_in({3{a}}), .w_in({3{w}}), .shift_in(shift), .drain_in({3{above}}), .drain_out(calm_drained),
                        .\reduced.part.lo (calm_lo), .\reduced.part.copies[0].copy.hi (calm_hi),
                        .\reduced.part.copies[1].copy.hi (calm_one), .\reduced.part.copies[2].copy.hi (calm_two));
        end else if (B > 0) begin : calm
            guarded pe (.clk(clk), .rst(1'b0), .en(1'b1), .inj(72'd0), .bypass(1'b0), .flags_in({valid, first, last, s}),
                        .a_in({3{a}}), .w_in({3{w}}), .shift_in(shift), .drain_in({3{above}}), .drain_out(calm_drained),
                        .\low.lo (calm_lo), .\high.copies[0].copy.hi (calm_hi));
        end else begin : calm
            assign calm_lo = 1'b0;
            guarded pe (.clk(clk), .rst(1'b0), .en(1'b1), .inj(72'd0), .bypass(1'b0), .flags_in({valid, first, last, s}),
                        .a_in({3{a}}), .w_in({3{w}}), .shift_in(shift), .drain_in({3{above}}), .drain_out(calm_drained),
                        .\high.copies[0].copy.hi (calm_hi));
        end
    endgenerate

    // The reference: operands, product, sum, the sum a cycle later (when the guarded columns have it), the drain register.
    reg [M-1:0] a0;
    reg [N-1:0] w0;
    reg [3:0] flags0;                        // valid, first, last, signed
    reg [2:0] flags1, flags2, flags3, age = 0;
    reg [W-1:0] product, sum, late, handed;
    reg begun = 0, begun_late = 0, given = 0, shift1;
    wire signed [M+N:0] exact = $signed({flags0[0] & a0[M-1], a0}) * $signed(w0);
    always @(posedge clk) begin
        {a0, w0, flags0} <= {a, w, valid, first, last, s};
        product <= {{W{exact[M+N]}}, exact};
        {flags3, flags2, flags1} <= {flags2, flags1, flags0[3:1]};
        if (flags1[2]) sum <= (flags1[1] ? {W{1'b0}} : sum) + product;
        age <= age == 4 ? 4 : age + 1;
        begun <= begun | (age == 4 & flags1[2] & flags1[1]);
        {late, begun_late} <= {sum, begun};
        shift1 <= shift;
        if (flags3[2] & flags3[0]) {handed, given} <= {late, begun_late};
        else if (shift1) {handed, given} <= {above, age == 4};
    end

    // What the PE holds, lo waiting for the guarded columns, and what it should hold.
    localparam [W-1:0] LOW = (1 << B) - 1;
    reg [W-1:0] lo_late, calm_late;
    always @(posedge clk) {lo_late, calm_late} <= {{W-L{1'b0}}, lo, {W-L{1'b0}}, calm_lo};
    wire [H-1:0] off = hi0 - hi1;
    wire overruled = hi1 == hi2 && off > BOUND;
    wire [H-1:0] voted = REDUCED == 0 ? (hi0 & hi1) | (hi0 & hi2) | (hi1 & hi2) : overruled ? hi1 : hi0;
    wire [W-1:0] value = lo_late | voted << B, lane = drained[W-1:0];
    wire [W-1:0] due_now = STRIKES == 0 ? sum & LOW : calm_lo;
    wire [W-1:0] due = STRIKES == 0 ? late : calm_late | calm_hi << B;
    wire [W-1:0] sent = STRIKES == 0 ? handed : calm_drained[W-1:0];
    wire [H-1:0] due_high = due >> B, sent_high = sent >> B;
    wire [1:0] right = (hi0 == due_high) + (hi1 == due_high) + (hi2 == due_high);
    wire [1:0] lanes = (drained[W-1:B] == sent_high) + (drained[2*W-1:W+B] == sent_high) + (drained[3*W-1:2*W+B] == sent_high);
    wire [H-1:0] calm_off = calm_hi - calm_one;
    wire [W-1:0] error = value - due;
    localparam [W:0] LIMIT = STRIKES == 3 ? (BOUND + 1) << B : 1 << (B + CARRY);   // what errors stay below
    wire [W-1:0] raised = error + LIMIT[W-1:0] - 1'b1;       // on both sides of zero
    wire [W-1:0] sent_error = lane - sent;
    wire [W-1:0] sent_raised = sent_error + LIMIT[W-1:0] - 1'b1;
    generate
        if (STRIKES == 0) begin : equals_a_plain_mac
            always @* begin
                if (begun) assert (lo == due_now);
                if (begun_late) assert (lo_late == (due & LOW) && (REDUCED == 0 ? right == 3 : hi0 == due_high && !overruled));
                if (given) assert (lane == sent && lanes == 3);
            end
        end else if (STRIKES == 1) begin : one_copy_changes_nothing
            always @* begin
                if (begun) assert (lo == due_now);
                if (begun_late) assert (value == due && right >= 2);
                if (given) assert ((lane & LOW) == (sent & LOW) && (DRAIN == 1 || lanes >= 2));
            end
        end else if (STRIKES == 3) begin : one_strike_is_bounded
            always @* begin
                if (begun_late) assert (calm_one == calm_two && calm_off <= BOUND);
                if (begun_late && !spent1) assert ({hi0, hi1, hi2} == {calm_hi, calm_one, calm_two});
                if (begun_late) assert (spent1 ? raised < 2 * LIMIT - 1 : error == 0);
                if (given) assert (spent2 ? sent_raised < 2 * LIMIT - 1 : sent_error == 0);
            end
        end else begin : low_part_is_bounded
            always @*
                if (begun_late) assert (spent1 ? raised < 2 * LIMIT - 1 : error == 0);
        end
    endgenerate
endmodule
