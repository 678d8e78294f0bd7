// The recompute unit: sums of LANES products per step, split at the guard column like a PE's.
//
// A beat brings an activation and a weight per lane for one step of a neuron, `first` and `last` with its first and last.
// A neuron's sum leaves as one beat. A cycle passes (is enabled) when `ce` is high, no waiting output is in the way, and a
// beat is there, or `flush` says that none will come; so the cycle of every step is known beforehand (docs/hardware.md).
module hp_recompute #(
    parameter LANES = 8,
    parameter M = 8,           // activation bits
    parameter N = 8,           // weight bits
    parameter W = 24,          // accumulator bits
    parameter B = 24,          // guard column, W for none
    parameter OPERAND = 1,     // lanes of an operand register, 1 or 3
    parameter DRAIN = 1,       // lanes of the guarded columns of the result register, 1 or 3
    parameter TAPS = 0,        // injection build
    parameter EVENTS = 0,      // votes that disagree are reported
    parameter MASK = 40        // bits of a mask word
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
    input wire [LANES*M-1:0] in_a,   // lane 0 in the low bits
    input wire [LANES*N-1:0] in_w,
    output wire out_valid,
    input wire out_ready,
    output wire [W-1:0] out_data,
    output wire [31:0] votes,        // votes that disagreed since reset
    input wire inj_valid,            // loads one mask word, while `ce` is low; it holds two cycles later
    input wire [7:0] inj_col,        // the lane of an operand register, else 0
    input wire [2:0] inj_site,
    input wire [1:0] inj_copy,
    input wire [1:0] inj_kind,
    input wire [MASK-1:0] inj_data
);
    `include "hp_functions.vh"
    localparam LEVELS = hp_bits(LANES - 1);
    localparam H = W - B;
    localparam CARRY = hp_sum_carry_bits(LANES, M, N, B, W);
    localparam SPLIT = DRAIN == 3 ? B : W;

    wire en = ce & (~out_valid | out_ready) & (in_valid | flush);
    assign advance = en;
    assign in_ready = en;

    wire [LANES-1:0] inj_cols;
    wire [MASK+6:0] inj_word;
    hp_injection #(.ROWS(1), .COLS(LANES), .MASK(MASK), .TAPS(TAPS))
        injection (.clk(clk), .rst(rst), .valid(inj_valid), .row(8'd0), .col(inj_col), .site(inj_site), .copy(inj_copy),
                   .kind(inj_kind), .data(inj_data), .rows(), .cols(inj_cols), .word(inj_word));
    wire [MASK+7:0] inj = {inj_cols[0], inj_word};

    // Cycle 0 writes the operand registers, 1 and 2 the products, LEVELS more sum them; then lo, then hi, then the result.
    reg s;
    wire first_low, first_high, take;
    always @(posedge clk) if (en) s <= in_sgn;
    hp_delay #(.WIDTH(1), .DEPTH(3 + LEVELS)) wait_low (.clk(clk), .en(en), .x(in_first), .y(first_low));
    hp_delay #(.WIDTH(1), .DEPTH(1)) wait_high (.clk(clk), .en(en), .x(first_low), .y(first_high));
    hp_valid #(.DEPTH(5 + LEVELS)) wait_take (.clk(clk), .rst(rst), .en(en), .x(in_valid & in_last), .y(take));
    hp_valid #(.DEPTH(1)) wait_out (.clk(clk), .rst(rst), .en(en), .x(take), .y(out_valid));

    genvar i, j;
    wire [3*LANES*M-1:0] a;          // copy by copy
    wire [3*LANES*N-1:0] w;
    wire [LANES*M-1:0] a_voted;
    wire [LANES*N-1:0] w_voted;
    generate
        for (j = 0; j < LANES; j = j + 1) begin : lane
            wire [3*M-1:0] a_lanes;
            wire [3*N-1:0] w_lanes;
            hp_operand #(.WIDTH(M), .LANES(OPERAND), .FROM(1), .SITE(0), .MASK(MASK), .TAPS(TAPS))
                act (.clk(clk), .rst(rst), .en(en), .inj({inj_cols[j], inj_word}), .take(1'b1), .x({3{in_a[j*M +: M]}}), .q(a_lanes));
            hp_operand #(.WIDTH(N), .LANES(OPERAND), .FROM(1), .SITE(1), .MASK(MASK), .TAPS(TAPS))
                wgt (.clk(clk), .rst(rst), .en(en), .inj({inj_cols[j], inj_word}), .take(1'b1), .x({3{in_w[j*N +: N]}}), .q(w_lanes));
            for (i = 0; i < 3; i = i + 1) begin : copies
                assign a[(i*LANES+j)*M +: M] = a_lanes[i*M +: M];
                assign w[(i*LANES+j)*N +: N] = w_lanes[i*N +: N];
            end
            if (OPERAND == 3) begin : voted
                hp_vote #(.WIDTH(M)) vote_a (.lanes(a_lanes), .y(a_voted[j*M +: M]));
                hp_vote #(.WIDTH(N)) vote_w (.lanes(w_lanes), .y(w_voted[j*N +: N]));
            end else begin : same
                assign a_voted[j*M +: M] = a_lanes[M-1:0];
                assign w_voted[j*N +: N] = w_lanes[N-1:0];
            end
        end
    endgenerate

    wire [(CARRY > 0 ? CARRY : 1)-1:0] carry;
    generate
        if (B > 0) begin : low
            wire [B-1:0] lo, own;
            hp_recompute_low #(.LANES(LANES), .LEVELS(LEVELS), .M(M), .N(N), .B(B), .CARRY(CARRY), .MASK(MASK), .TAPS(TAPS))
                part (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a_voted), .w(w_voted), .s(s), .first(first_low),
                      .lo(lo), .carry(carry));
            hp_delay #(.WIDTH(B), .DEPTH(1)) wait_ (.clk(clk), .en(en), .x(lo), .y(own));
            hp_drain #(.WIDTH(B), .MASK(MASK), .TAPS(TAPS))
                result (.clk(clk), .rst(rst), .en(en), .inj(inj), .take(take), .shift(1'b0), .bypass(1'b0),
                        .own(own), .above({B{1'b0}}), .q(out_data[B-1:0]));
        end else begin : no_low
            assign carry = 1'b0;
        end
        if (H > 0) begin : high
            wire [3*H-1:0] hi, results;
            wire [H-1:0] voted;
            for (i = 0; i < 3; i = i + 1) begin : copies
                hp_recompute_high #(.LANES(LANES), .LEVELS(LEVELS), .M(M), .N(N), .B(B), .WIDTH(H), .CARRY(CARRY), .COPY(i),
                                    .DRAIN(i < DRAIN), .MASK(MASK), .TAPS(TAPS))
                    copy (.clk(clk), .rst(rst), .en(en), .inj(inj), .a(a[i*LANES*M +: LANES*M]), .w(w[i*LANES*N +: LANES*N]),
                          .s(s), .first(first_high), .take(take), .carry(carry), .all(hi), .hi(hi[i*H +: H]),
                          .result(results[i*H +: H]));
            end
            hp_vote #(.WIDTH(H)) vote (.lanes(results), .y(voted));
            assign out_data[W-1:B] = DRAIN == 3 ? voted : results[0 +: H];
        end
        if (EVENTS != 0 && H > 0) begin : events
            // A vote is used in every step but a neuron's first, and in the step after its last.
            wire step;
            wire [1:0] differ;
            reg [31:0] count;
            hp_valid #(.DEPTH(4 + LEVELS)) wait_step (.clk(clk), .rst(rst), .en(en), .x(in_valid), .y(step));
            hp_differ #(.WIDTH(H))
                sums (.clk(clk), .rst(rst), .en(en), .used((step & ~first_high) | take), .lanes(high.hi), .differ(differ[0]));
            if (DRAIN == 3) begin : three
                hp_differ #(.WIDTH(H))
                    results (.clk(clk), .rst(rst), .en(en), .used(out_valid), .lanes(high.results), .differ(differ[1]));
            end else begin : one
                assign differ[1] = 1'b0;
            end
            always @(posedge clk)
                if (rst) count <= 32'd0;
                else if (en) count <= count + {&differ, ^differ};
            assign votes = count;
        end else begin : silent
            assign votes = 32'd0;
        end
    endgenerate
endmodule
