// y = x + c, by parallel prefix instead of a carry chain: it vanishes where x is constant or sign-extended.
module hp_increment #(
    parameter WIDTH = 8
) (
    input wire [WIDTH-1:0] x,
    input wire c,
    output wire [WIDTH-1:0] y
);
    function [WIDTH-1:0] ones_below(input [WIDTH-1:0] v);   // bit k: all bits of v below k are set
        integer d;
        begin
            ones_below = {v, 1'b1};
            for (d = 1; d < WIDTH; d = d * 2)
                ones_below = ones_below & ~(~ones_below << d);
        end
    endfunction
    assign y = x ^ (ones_below(x) & {WIDTH{c}});
endmodule
