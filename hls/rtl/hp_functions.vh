// Constant functions: the geometry of partial products. All weights are columns of the accumulator.
// An "entry" is the bit (a_j & w_i) ^ c_ij of weight i + j; a part of the multiplier holds the entries of FROM <= i+j < TO.

function integer hp_min(input integer x, input integer y);
    hp_min = x < y ? x : y;
endfunction

function integer hp_max(input integer x, input integer y);
    hp_max = x > y ? x : y;
endfunction

// Bits that hold x.
function integer hp_bits(input [63:0] x);
    integer k;
    begin
        hp_bits = 0;
        for (k = 0; k < 64; k = k + 1)
            if (x[k]) hp_bits = k + 1;
    end
endfunction

// Whether the guard column falls between Baugh and Wooley's two constants 2^(n-1) and s 2^(m-1), which meet in column b - 1:
// then 2^(b-1) stays below for s = 0 and 2^b goes above for s = 1.
function integer hp_constants_meet(input integer m, input integer n, input integer b);
    hp_constants_meet = m == n && b == m;
endfunction

// Largest sum of rows i0 .. i1-1 in columns from .. to-1, constants included.
function [63:0] hp_part_max(input integer m, input integer n, input integer i0, input integer i1, input integer from, input integer to);
    integer i, j;
    begin
        hp_part_max = 0;
        for (i = i0; i < i1 && i < n; i = i + 1)
            for (j = 0; j < m; j = j + 1)
                if (i + j >= from && i + j < to) hp_part_max = hp_part_max + (64'd1 << (i + j));
        if (i0 == 0 && m - 1 >= from && m - 1 < to && !hp_constants_meet(m, n, to)) hp_part_max = hp_part_max + (64'd1 << (m - 1));
        if (i0 == 0 && hp_constants_meet(m, n, from)) hp_part_max = hp_part_max + (64'd1 << m);
        if (i0 < n && i1 >= n && n - 1 >= from && n - 1 < to) hp_part_max = hp_part_max + (64'd1 << (n - 1));
    end
endfunction

// Lowest column of those rows; `to` where they are empty.
function integer hp_part_low(input integer m, input integer n, input integer i0, input integer i1, input integer from, input integer to);
    integer i, j;
    begin
        hp_part_low = to;
        for (i = i0; i < i1 && i < n; i = i + 1)
            for (j = 0; j < m; j = j + 1)
                if (i + j >= from && i + j < hp_part_low) hp_part_low = i + j;
        if (i0 == 0 && hp_constants_meet(m, n, from)) hp_part_low = from;
    end
endfunction

// The largest carry t >> b of the low part t = lo + PL, both at their largest. PL is the sum of `lanes` products.
function integer hp_most_carry(input integer lanes, input integer m, input integer n, input integer b);
    integer i, j;
    reg [63:0] entries, mask, negative, k0, k1;
    begin
        entries = 0;
        for (i = 0; i < n; i = i + 1)
            for (j = 0; j < m; j = j + 1)
                if (i + j < b) entries = entries + (64'd1 << (i + j));
        mask = (64'd1 << b) - 64'd1;
        negative = (64'd1 << (n - 1)) - (64'd1 << (m + n - 1));
        k0 = negative & mask;
        k1 = (negative + (64'd1 << (m - 1))) & mask;
        hp_most_carry = (lanes * (entries + (k0 > k1 ? k0 : k1)) + mask) >> b;
    end
endfunction

// Its bits; 0 for b = 0 and b = w.
function integer hp_sum_carry_bits(input integer lanes, input integer m, input integer n, input integer b, input integer w);
    hp_sum_carry_bits = (b == 0 || b == w) ? 0 : hp_bits(hp_most_carry(lanes, m, n, b));
endfunction

// The same for a PE, which has one product.
function integer hp_carry_bits(input integer m, input integer n, input integer b, input integer w);
    hp_carry_bits = hp_sum_carry_bits(1, m, n, b, w);
endfunction
