// Weight-stationary dataflow: weights stay for a tile, activations flow right, sums flow down into a row of accumulators.
#ifndef HARDPOINT_WEIGHT_STATIONARY_H
#define HARDPOINT_WEIGHT_STATIONARY_H

#include "array.h"

namespace hardpoint {

// Where the stream of tiles stands: step `at` of tile `tile`, which is pass `pass` of its sums. Steps below ROWS load
// weights, step ROWS + i takes pixel i.
struct WeightStationary {
    ap_uint<48> when;
    ap_uint<32> tile, at, pass;
    Acc word[COLS][3][DEPTH];  // the accumulators' memory

    void start() {
#pragma HLS INLINE
#pragma HLS ARRAY_PARTITION variable=word complete dim=1
#pragma HLS ARRAY_PARTITION variable=word complete dim=2
        when = 0;
        tile = at = pass = 0;
    }

    bool finished(const Shape &shape) const { return tile >= shape.tiles; }
    static ap_uint<48> rows_of_sums(const Shape &shape) {
        return ap_uint<48>(shape.tiles / shape.passes) * (shape.steps - ROWS);
    }

    // One step of all PEs and of the accumulator row. Counts beats taken and rows of sums left.
    void step(
        Array &array, const Shape &shape, hls::stream<Beat> &beats, hls::stream<Sums> &sums, Count votes[COLS],
        ap_uint<48> &fed, ap_uint<48> &left) {
#pragma HLS INLINE
        const bool loading = at < ROWS, last = pass + 1 == shape.passes;
        operands(array, operands_of(beats.read()), loading, loading ? ROWS - 1 - int(at) : -1);
        ++fed;
        if (!loading) {
            multiply_down(array, shape.sgn, votes);
            accumulate(array, int(at) - ROWS, last, sums, votes);
            left += last;
        }
        ++when;
        const bool turn = at + 1 == shape.steps;
        at = turn ? ap_uint<32>(0) : ap_uint<32>(at + 1);
        tile += turn;
        if (turn) pass = last ? ap_uint<32>(0) : ap_uint<32>(pass + 1);
    }

private:
    // Rows 0 .. `deepest` take weights from above, the others keep theirs; activations enter once weights are loaded.
    static void operands(Array &array, const Edge &edge, bool loading, int deepest) {
#pragma HLS INLINE
        for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
            for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
                Registers &pe = array.pe[r][c];
                if (r <= deepest) {
                    pass_wgt(array, r, c, edge.wgt[c]);
                } else {
                    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
                        pe.w[i] = struck(pe.w[i], array.taps[r][c].at[WGT][i]) & Wgt((1 << WGT_BITS) - 1);
                    }
                }
                if (loading) pe.a[0] = pe.a[1] = pe.a[2] = 0;
                else pass_act(array, r, c, edge.act[r]);
            }
        }
    }

    // Every PE adds its product to what the one above wrote in this step; sums start above row 0.
    static void multiply_down(Array &array, bool sgn, Count votes[COLS]) {
#pragma HLS INLINE
        for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
            for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
                const Registers &above = array.pe[r == 0 ? 0 : r - 1][c];
                const Acc from[3] = {above.acc[0], above.acc[1], above.acc[2]};
                multiply(array, r, c, sgn, from, r == 0, array.bypassed[r][c]);
                votes[c] += disagree(CLASS_OF[r][c], array.pe[r][c].acc);
            }
        }
    }

    // The accumulator row: what leaves row ROWS - 1 is added to word `i`; the sums of the last pass leave.
    void accumulate(const Array &array, int i, bool last, hls::stream<Sums> &sums, Count votes[COLS]) {
#pragma HLS INLINE
        Sums row = 0;
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            const Acc *from = array.pe[ROWS - 1][c].acc;
            const Taps &taps = array.taps[SITE_ROWS - 1][c];
            const int guard = CLASS_OF[ROWS - 1][c];
            const Acc old[3] = {word[c][0][i], word[c][1][i], word[c][2][i]};
            Acc sum[3] = {0, 0, 0}, value = 0;
            switch (guard) {
                case 1: add<Guard1>(from, old, taps, sum, value); break;
                case 2: add<Guard2>(from, old, taps, sum, value); break;
                default: add<Guard0>(from, old, taps, sum, value); break;
            }
            votes[c] += (pass != 0 && disagree(guard, old)) + (last && disagree(guard, sum));
            for (int copy = 0; copy < 3; ++copy) {
#pragma HLS UNROLL
                word[c][copy][i] = sum[copy];
            }
            row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS) = value;
        }
        if (last) sums.write(row);
    }

    template <class Guard>
    void add(const Acc from[3], const Acc old[3], const Taps &taps, Acc sum[3], Acc &value) const {
#pragma HLS INLINE
        Pe<Guard>::accumulate(from, old, pass == 0, taps, sum);
        value = Pe<Guard>::value(sum);
    }
};

}  // namespace hardpoint

#endif
