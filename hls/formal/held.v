// A processing element in a cycle that does not pass: whatever comes in, no register may change.
module held #(
    parameter M = 4,
    parameter N = 4,
    parameter W = 12,
    parameter B = 7,
    parameter REDUCED = 0,
    parameter OPERAND = 1,
    parameter DRAIN = 1
) (
    input wire clk,
    input wire bypass,
    input wire [3:0] flags_in,
    input wire [3*M-1:0] a_in,
    input wire [3*N-1:0] w_in,
    input wire shift_in,
    input wire [3*W-1:0] drain_in,
    output wire [3:0] flags_out,
    output wire [3*M-1:0] a_out,
    output wire [3*N-1:0] w_out,
    output wire [3*W-1:0] drain_out,
    output wire shift_out,
    output wire done
);
    hp_pe #(.M(M), .N(N), .W(W), .B(B), .REDUCED(REDUCED), .OPERAND(OPERAND), .DRAIN(DRAIN), .LATE(1))
        pe (.clk(clk), .rst(1'b0), .en(1'b0), .bypass(bypass), .flags_in(flags_in), .flags_out(flags_out), .a_in(a_in),
            .a_out(a_out), .w_in(w_in), .w_out(w_out), .shift_in(shift_in), .shift_out(shift_out), .done(done),
            .drain_in(drain_in), .drain_out(drain_out));
endmodule
