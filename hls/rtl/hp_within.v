// Whether x - y is 0 .. BOUND modulo 2^WIDTH, of those differences whose low LOW bits need a borrow, or of those that do not.
//
// The low bits must be near enough; of the others, x = y without a borrow, x = y + 1 with it. No carry runs through any of
// this: x + ~y is zero if and only if each x_i ^ ~y_i is the carry that enters column i, x_(i-1) | ~y_(i-1). A module of its
// own, so that tools make it short for itself and not small together with its neighbours.
(* keep_hierarchy = "yes" *)
module hp_within #(
    parameter WIDTH = 10,
    parameter LOW = 2,
    parameter BOUND = 3,
    parameter BORROW = 0
) (
    input wire [WIDTH-1:0] x,
    input wire [WIDTH-1:0] y,
    output wire holds
);
    reg [LOW-1:0] off;
    reg [LOW:0] borrow;
    reg near;
    integer i;
    always @* begin
        borrow = {LOW+1{1'b0}};
        for (i = 0; i < LOW; i = i + 1) begin
            off[i] = x[i] ^ y[i] ^ borrow[i];
            borrow[i+1] = x[i] ^ y[i] ? y[i] : borrow[i];
        end
        near = 1'b0;
        for (i = 0; i <= BOUND; i = i + 1) near = near | (off == i);
    end
    wire low = near && borrow[LOW] == BORROW;

    localparam REST = WIDTH - LOW;
    localparam EACH = BORROW != 0 ? 2 : 3;       // columns whose condition fits a LUT
    localparam GROUPS = (REST + EACH - 1) / EACH;
    genvar g;
    generate
        if (REST > 0) begin : rest
            wire [REST-1:0] p = x[WIDTH-1:LOW], q = y[WIDTH-1:LOW], carries = (p | ~q) << 1;
            wire [REST-1:0] wrong = BORROW != 0 ? p ^ ~q ^ carries : p ^ q;
            wire [EACH*GROUPS-1:0] padded = wrong;
            wire [GROUPS-1:0] right;
            for (g = 0; g < GROUPS; g = g + 1) begin : group
                assign right[g] = ~|padded[EACH*g +: EACH];
            end
            hp_all #(.WIDTH(GROUPS + 1)) all (.x({low, right}), .y(holds));
        end else begin : no_rest
            assign holds = low;
        end
    endgenerate
endmodule
