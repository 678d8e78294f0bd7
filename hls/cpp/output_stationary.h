// Output-stationary dataflow: activations flow right, weights down; a PE keeps its sum and hands it to a drain register.
#ifndef HARDPOINT_OUTPUT_STATIONARY_H
#define HARDPOINT_OUTPUT_STATIONARY_H

#include "array.h"

namespace hardpoint {

// Where the stream of tiles stands: step `k` of tile `tile`, and drain step `d` of an earlier tile.
struct OutputStationary {
    ap_uint<48> when;
    ap_uint<32> tile, k, drained, d;
    bool draining;

    void start() {
#pragma HLS INLINE
        when = 0;
        tile = k = drained = d = 0;
        draining = false;
    }

    bool finished(const Shape &shape) const { return drained >= shape.tiles; }
    static ap_uint<48> rows_of_sums(const Shape &shape) { return ap_uint<48>(shape.tiles) * ROWS; }

    // One step of all PEs and of the drain registers. Counts beats taken and rows of sums left.
    void step(
        Array &array, const Shape &shape, hls::stream<Beat> &beats, hls::stream<Sums> &sums, Count votes[COLS],
        ap_uint<48> &fed, ap_uint<48> &left) {
#pragma HLS INLINE
        const bool computing = tile < shape.tiles && k < shape.steps;
        if ((computing && k != 0) || (draining && d == 0)) count(array, votes);
        if (draining) {
            drain(array, int(d));
            leave(array, sums, votes);
            ++left;
        }
        if (computing) {
            compute(array, operands_of(beats.read()), shape.sgn, k == 0);
            ++fed;
        }
        advance(shape.steps);
    }

private:
    void advance(const ap_uint<32> &steps) {
#pragma HLS INLINE
        ++when;
        if (draining) {
            if (d == ROWS - 1) {
                draining = false;
                ++drained;
            } else {
                ++d;
            }
        }
        const bool turn = k == period_of(steps) - 1;
        if (k + 1 == steps) {
            draining = true;
            d = 0;
        }
        tile += turn;
        k = turn ? ap_uint<32>(0) : ap_uint<32>(k + 1);
    }

    static void compute(Array &array, const Edge &edge, bool sgn, bool first) {
#pragma HLS INLINE
        for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
            for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
                pass_act(array, r, c, edge.act[r]);
                pass_wgt(array, r, c, edge.wgt[c]);
                const Acc own[3] = {array.pe[r][c].acc[0], array.pe[r][c].acc[1], array.pe[r][c].acc[2]};
                multiply(array, r, c, sgn, own, first, false);
            }
        }
    }

    // Drain step `by`: 0 hands the finished sums over, later ones shift them down by one row.
    static void drain(Array &array, int by) {
#pragma HLS INLINE
        for (int r = ROWS - 1; r >= 0; --r) {
#pragma HLS UNROLL
            for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
                Registers &pe = array.pe[r][c];
                const Acc three = DRAIN_COLUMNS[CLASS_OF[r][c]];
                if (by == 0) {
                    hand_over(array, r, c, three);
                    strike(pe, array.taps[r][c]);
                } else if (r >= by) {
                    pass_sum(array.pe[r - 1][c].drain, DRAIN_COLUMNS[CLASS_OF[r - 1][c]], three, pe.drain);
                    strike(pe, array.taps[r][c]);
                }
            }
        }
    }

    // A bypassed PE hands over zero.
    static void hand_over(Array &array, int r, int c, const Acc &three) {
#pragma HLS INLINE
        Registers &pe = array.pe[r][c];
        const Taps &taps = array.taps[r][c];
        Acc sent[3] = {0, 0, 0};
        switch (CLASS_OF[r][c]) {
            case 1: Pe<Guard1>::finished(pe.acc, taps, sent); break;
            case 2: Pe<Guard2>::finished(pe.acc, taps, sent); break;
            default: Pe<Guard0>::finished(pe.acc, taps, sent); break;
        }
        const bool none = array.bypassed[r][c];
        pe.drain[0] = none ? Acc(0) : sent[0];
        pe.drain[1] = none ? Acc(0) : Acc(sent[1] & three);
        pe.drain[2] = none ? Acc(0) : Acc(sent[2] & three);
    }

    static void strike(Registers &pe, const Taps &taps) {
#pragma HLS INLINE
        for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
            pe.drain[i] = struck(pe.drain[i], taps.at[DRAIN][i]) & Acc(ALL_COLUMNS);
        }
    }

    // What a drain register takes from the one above; `three_sent` and `three` are the columns with three lanes.
    static void pass_sum(const Acc sent[3], const Acc &three_sent, const Acc &three, Acc taken[3]) {
#pragma HLS INLINE
        const Acc voted = (majority(sent[0], sent[1], sent[2]) & three_sent) | (sent[0] & ~three_sent);
        Acc lanes[3];
        for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
            lanes[i] = ((sent[i] & three_sent) | (sent[0] & ~three_sent)) & three;
        }
        taken[0] = lanes[0] | (voted & ~three);
        taken[1] = lanes[1];
        taken[2] = lanes[2];
    }

    // A row of sums leaves at the array's lower edge, which votes whatever lanes there are.
    static void leave(const Array &array, hls::stream<Sums> &sums, Count votes[COLS]) {
#pragma HLS INLINE
        Sums row = 0;
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            const Acc *lanes = array.pe[ROWS - 1][c].drain;
            const Acc three = DRAIN_COLUMNS[CLASS_OF[ROWS - 1][c]];
            Acc sum[3];
            pass_sum(lanes, three, Acc(0), sum);
            row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS) = sum[0];
            votes[c] += (((lanes[0] ^ lanes[1]) | (lanes[0] ^ lanes[2])) & three) != 0;
        }
        sums.write(row);
    }

    // Votes of accumulators that disagree in this step.
    static void count(const Array &array, Count votes[COLS]) {
#pragma HLS INLINE
        for (int c = 0; c < COLS; ++c) {
#pragma HLS UNROLL
            int found = 0;
            for (int r = 0; r < ROWS; ++r) {
#pragma HLS UNROLL
                found += disagree(CLASS_OF[r][c], array.pe[r][c].acc);
            }
            votes[c] += found;
        }
    }
};

}  // namespace hardpoint

#endif
