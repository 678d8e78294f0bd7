// Reduced-precision redundancy decides: the copies overrule the full sum where they agree and lie more than BOUND off it.
// A module of its own, so that it ends in one LUT.
(* keep_hierarchy = "yes" *)
module hp_decision #(
    parameter WIDTH = 10,
    parameter BOUND = 3       // the largest carry that the copies lack
) (
    input wire [3*WIDTH-1:0] all,   // the full sum's high columns, then the copies
    output wire overruled
);
    `include "hp_functions.vh"
    localparam LOW = hp_min(hp_max(hp_bits(BOUND), 1), WIDTH);   // bits that BOUND reaches
    localparam GROUPS = (WIDTH + 2) / 3;                         // of as many columns as fit a LUT
    wire [WIDTH-1:0] full = all[0 +: WIDTH], one = all[WIDTH +: WIDTH], two = all[2*WIDTH +: WIDTH];
    wire [3*GROUPS-1:0] apart = one ^ two;
    wire [GROUPS-1:0] same;
    wire agree, near, nearer;
    genvar g;
    generate
        for (g = 0; g < GROUPS; g = g + 1) begin : group
            assign same[g] = ~|apart[3*g +: 3];
        end
    endgenerate
    hp_all #(.WIDTH(GROUPS)) agreement (.x(same), .y(agree));
    hp_within #(.WIDTH(WIDTH), .LOW(LOW), .BOUND(BOUND), .BORROW(0)) plain (.x(full), .y(one), .holds(near));
    hp_within #(.WIDTH(WIDTH), .LOW(LOW), .BOUND(BOUND), .BORROW(1)) borrowed (.x(full), .y(one), .holds(nearer));
    assign overruled = agree & ~near & ~nearer;
endmodule
