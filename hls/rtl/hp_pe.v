// A processing element: operand registers, multiply-accumulate with columns >= B in three copies, drain register.
//
// Cycle 0 writes the operand registers, 1 the two halves of the product, 2 lo and the carry, 3 hi; the drain register
// takes the sum in the cycle after the last write (docs/hardware.md). Buses between PEs always carry three lanes.
module hp_pe #(
    parameter M = 8,
    parameter N = 8,
    parameter W = 24,
    parameter B = 24,          // guard column, W for none
    parameter OPERAND = 1,     // operand lanes, 1 or 3
    parameter REDUCED = 0,     // the guard is reduced-precision redundancy; operand and drain lanes are single
    parameter DSP = 0,         // the multiplier is a DSP block: B = W, B = 0 or reduced-precision redundancy
    parameter DRAIN = 1,       // lanes of the guarded columns of the drain register, 1 or 3
    parameter LEFT = 1,        // operand lanes of the neighbours
    parameter ABOVE = 1,
    parameter ABOVE_SPLIT = 24,  // the column from which the drain register above has three lanes, W for none
    parameter LATE = 0,        // the array column drains one cycle late, because it holds guarded PEs
    parameter MASK = 28,
    parameter TAPS = 0,
    parameter EVENTS = 0,      // count votes that disagree
    parameter TALLY = 4        // bits of that count
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire bypass,
    input wire [3:0] flags_in,       // valid, first, last, activations signed
    output wire [3:0] flags_out,
    input wire [3*M-1:0] a_in,
    output wire [3*M-1:0] a_out,
    input wire [3*N-1:0] w_in,
    output wire [3*N-1:0] w_out,
    input wire shift_in,             // the drain registers of this row shift
    output wire shift_out,           // the same a cycle later, for the next column
    output wire done,                // the sum is complete: early hand-over
    input wire [3*W-1:0] drain_in,
    output wire [3*W-1:0] drain_out,
    output wire moves,               // the drain register is written
    input wire [TALLY-1:0] tally_in, // votes that disagreed in the rows above, a cycle ago each
    output wire [TALLY-1:0] tally_out
);
    `include "hp_functions.vh"
    localparam H = W - B;
    localparam CARRY = REDUCED != 0 ? 0 : hp_carry_bits(M, N, B, W);
    localparam SPLIT = DRAIN == 3 ? B : W;

    // Control travels with the operands.
    reg [3:0] flags0;
    reg [2:0] flags1;
    reg done_q, shift_q;
    always @(posedge clk)
        if (rst) begin
            flags0[3] <= 1'b0;
            flags1[2] <= 1'b0;
            done_q <= 1'b0;
            shift_q <= 1'b0;
        end else if (en) begin
            flags0[3] <= flags_in[3];
            flags1[2] <= flags0[3];
            done_q <= flags1[2] & flags1[0];
            shift_q <= shift_in;
        end
    always @(posedge clk)
        if (en) begin
            flags0[2:0] <= flags_in[2:0];
            flags1[1:0] <= flags0[2:1];
        end
    assign flags_out = flags0;
    assign shift_out = shift_q;
    assign done = done_q;
    wire s = flags0[0], valid = flags1[2], first = flags1[1];

    hp_operand #(.WIDTH(M), .LANES(OPERAND), .FROM(LEFT), .SITE(0), .MASK(MASK), .TAPS(TAPS))
        act (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(1'b1), .x(a_in), .q(a_out));
    hp_operand #(.WIDTH(N), .LANES(OPERAND), .FROM(ABOVE), .SITE(1), .MASK(MASK), .TAPS(TAPS))
        wgt (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(1'b1), .x(w_in), .q(w_out));

    // What the row above sends, as this drain register's lanes take it: bit by bit, three lanes from SPLIT on.
    wire [W-1:0] sent_vote;
    wire [3*W-1:0] sent;
    wire take, shift;
    hp_vote #(.WIDTH(W)) above (.lanes(drain_in), .y(sent_vote));
    localparam [W-1:0] THREE = SPLIT < W ? ~{W{1'b0}} << SPLIT : {W{1'b0}};
    localparam [W-1:0] VOTED = ABOVE_SPLIT < W ? ~{W{1'b0}} << ABOVE_SPLIT : {W{1'b0}};
    assign sent[0 +: W] = (sent_vote & VOTED & ~THREE) | (drain_in[0 +: W] & ~(VOTED & ~THREE));
    assign sent[W +: W] = drain_in[W +: W] & THREE;
    assign sent[2*W +: W] = drain_in[2*W +: W] & THREE;

    genvar i;
    wire [(CARRY > 0 ? CARRY : 1)-1:0] carry;
    generate
        if (B > 0 && REDUCED == 0) begin : low
            wire [M-1:0] a;
            wire [N-1:0] w;
            wire [B-1:0] lo, own;
            if (OPERAND == 3) begin : voted
                hp_vote #(.WIDTH(M)) vote_a (.lanes(a_out), .y(a));
                hp_vote #(.WIDTH(N)) vote_w (.lanes(w_out), .y(w));
            end else begin : same
                assign a = a_out[M-1:0];
                assign w = w_out[N-1:0];
            end
            hp_low #(.M(M), .N(N), .W(W), .B(B), .CARRY(CARRY), .DSP(DSP), .MASK(MASK), .TAPS(TAPS))
                part (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a), .w(w), .s(s), .valid(valid), .first(first),
                      .above({B{1'b0}}), .bypass(1'b0), .lo(lo), .carry(carry));
            hp_delay #(.WIDTH(B), .DEPTH(LATE)) wait_ (.clk(clk), .en(en), .x(lo), .y(own));
            wire [B-1:0] drained;
            hp_drain #(.WIDTH(B), .MASK(MASK), .TAPS(TAPS))
                lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(shift), .bypass(bypass),
                      .own(own), .above(sent[B-1:0]), .q(drained));
            assign {drain_out[2*W +: B], drain_out[W +: B], drain_out[0 +: B]} = {3{drained}};
        end else begin : no_low
            assign carry = 1'b0;
        end

        if (LATE != 0) begin : late
            reg done_late;
            always @(posedge clk)
                if (rst) done_late <= 1'b0;
                else if (en) done_late <= done_q;
            assign take = done_late;
            assign shift = shift_q;
        end else begin : early
            assign take = done_q;
            assign shift = shift_in;
        end

        if (REDUCED != 0) begin : reduced
            reg valid2, first2;
            wire [(B > 0 ? B : 1)-1:0] lo, own;
            wire [3*H-1:0] hi;
            wire [H-1:0] drained;
            wire overruled;
            always @(posedge clk)
                if (rst) valid2 <= 1'b0;
                else if (en) valid2 <= valid;
            always @(posedge clk) if (en) first2 <= first;
            hp_reduced #(.M(M), .N(N), .W(W), .B(B), .DSP(DSP), .MASK(MASK), .TAPS(TAPS))
                part (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a_out[M-1:0]), .w(w_out[N-1:0]), .s(s), .valid(valid), .first(first),
                      .valid_high(valid2), .first_high(first2), .bypass(1'b0), .above(lo), .all(hi), .lo(lo), .hi(hi),
                      .overruled(overruled));
            if (B > 0) begin : low
                wire [B-1:0] drained;
                hp_delay #(.WIDTH(B), .DEPTH(LATE)) wait_ (.clk(clk), .en(en), .x(lo), .y(own));
                hp_drain #(.WIDTH(B), .MASK(MASK), .TAPS(TAPS))
                    lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(shift), .bypass(bypass),
                          .own(own), .above(sent[B-1:0]), .q(drained));
                assign {drain_out[2*W +: B], drain_out[W +: B], drain_out[0 +: B]} = {3{drained}};
            end
            hp_reduced_drain #(.B(B), .WIDTH(H), .MASK(MASK), .TAPS(TAPS))
                lane (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(shift), .bypass(bypass), .full(hi[0 +: H]),
                      .one(hi[H +: H]), .overruled(overruled), .above(sent[W-1:B]), .q(drained));
            assign {drain_out[2*W+B +: H], drain_out[W+B +: H], drain_out[B +: H]} = {3{drained}};
        end
        if (H > 0 && REDUCED == 0) begin : high
            reg valid2, first2;
            wire [3*H-1:0] hi, drained;
            always @(posedge clk)
                if (rst) valid2 <= 1'b0;
                else if (en) valid2 <= valid;
            always @(posedge clk) if (en) first2 <= first;
            for (i = 0; i < 3; i = i + 1) begin : copies
                hp_high #(.M(M), .N(N), .B(B), .WIDTH(H), .CARRY(CARRY), .COPY(i), .DRAIN(i < DRAIN), .DSP(DSP), .MASK(MASK), .TAPS(TAPS))
                    copy (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a_out[i*M +: M]), .w(w_out[i*N +: N]), .s(s),
                          .valid(valid2), .first(first2), .carry(carry), .all(hi), .hi(hi[i*H +: H]),
                          .take(take), .shift(shift), .bypass(bypass), .above(sent[i*W+B +: H]), .drained(drained[i*H +: H]));
                assign drain_out[i*W+B +: H] = drained[(i < DRAIN ? i : 0)*H +: H];
            end
        end
    endgenerate

    // Copies of a sum that is used may differ; the counts of a column add up on the way down. A cycle is taken for comparing.
    assign moves = take | shift;
    generate
        if (EVENTS != 0) begin : events
            reg [TALLY-1:0] sum;
            wire differ;
            if (REDUCED != 0) begin : decisions
                reg overruled;
                always @(posedge clk)
                    if (rst) overruled <= 1'b0;
                    else if (en) overruled <= ((reduced.valid2 & ~reduced.first2) | take) & reduced.overruled;
                assign differ = overruled;
            end else if (H > 0) begin : copies
                hp_differ #(.WIDTH(H))
                    compare (.clk(clk), .rst(rst), .en(en), .used((high.valid2 & ~high.first2) | take), .lanes(high.hi),
                             .differ(differ));
            end else begin : single
                assign differ = 1'b0;
            end
            always @(posedge clk)
                if (rst) sum <= {TALLY{1'b0}};
                else if (en) sum <= tally_in + {{TALLY-1{1'b0}}, differ};
            assign tally_out = sum;
        end else begin : silent
            assign tally_out = {TALLY{1'b0}};
        end
    endgenerate
    // One compiled class for all instances of a kind.
    /* verilator no_inline_module */
endmodule
