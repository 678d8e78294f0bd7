// A place where faults strike: y = ((x ^ flip) & ~stuck0) | stuck1.
//
// The injection bus `inj` is {chosen, kind, copy, site, data}: `chosen` names this PE, kind is 0 flip, 1 stuck at 0, 2 stuck
// at 1, and bit b of data belongs to column b. Masks are loaded while `en` is low; a flip clears itself in the first cycle
// with `en` high, the one in which it acts.
module hp_tap #(
    parameter WIDTH = 8,   // bits of the site
    parameter LSB = 0,     // column of its lowest bit
    parameter SITE = 0,
    parameter COPY = 0,
    parameter MASK = 28,   // bits of a mask word
    parameter TAPS = 1     // 0: a wire
) (
    input wire clk,
    input wire rst,
    input wire en,
    input wire [MASK+7:0] inj,
    input wire [WIDTH-1:0] x,
    output wire [WIDTH-1:0] y
);
    generate
        if (TAPS != 0) begin : masks
            reg [WIDTH-1:0] flip, stuck0, stuck1;
            wire [WIDTH-1:0] data = inj[LSB +: WIDTH];
            wire chosen = inj[MASK+7] && inj[MASK +: 3] == SITE && inj[MASK+3 +: 2] == COPY;
            always @(posedge clk) begin
                if (rst || en) flip <= {WIDTH{1'b0}};
                else if (chosen && inj[MASK+5 +: 2] == 2'd0) flip <= data;
                if (rst) stuck0 <= {WIDTH{1'b0}};
                else if (chosen && inj[MASK+5 +: 2] == 2'd1) stuck0 <= data;
                if (rst) stuck1 <= {WIDTH{1'b0}};
                else if (chosen && inj[MASK+5 +: 2] == 2'd2) stuck1 <= data;
            end
            // ((x ^ flip) & ~stuck0) | stuck1, so that x, which may come late, passes two operations only.
            assign y = (x & ~(stuck0 | stuck1)) ^ (stuck1 | (flip & ~stuck0));
        end else begin : wires
            assign y = x;
        end
    endgenerate
endmodule
