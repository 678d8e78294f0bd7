// What the cores have in common: strikes that are loaded between steps, and streams left in order after a time-out.
#ifndef HARDPOINT_PLAY_H
#define HARDPOINT_PLAY_H

#include <hls_stream.h>

#include "taps.h"

namespace hardpoint {

// The next strike of a stream of `count`, sorted by time.
struct Player {
    Strike strike;
    bool loaded;   // `strike` waits for its time
    bool struck;   // strikes were loaded since the last step
    ap_uint<32> taken, count;

    void start(const ap_uint<32> &strikes) {
#pragma HLS INLINE
        loaded = struck = false;
        taken = 0;
        count = strikes;
    }

    // Whether `strike` is to be loaded before step `when` is taken.
    bool due(hls::stream<StrikeWord> &strikes, const ap_uint<48> &when) {
#pragma HLS INLINE
        if (!loaded && taken < count) {
            strike = unpack(strikes.read());
            loaded = true;
            ++taken;
        }
        if (!loaded || strike.when > when) return false;
        loaded = false;
        struck = true;
        return true;
    }
};

// Items that a core did not come to read, or to write: neighbours must not wait for them for ever.
template <class T>
void skip(hls::stream<T> &stream, ap_uint<48> count) {
    for (ap_uint<48> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=0 max=0
        stream.read();
    }
}

template <class T>
void pad(hls::stream<T> &stream, ap_uint<48> count) {
    for (ap_uint<48> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=0 max=0
        stream.write(0);
    }
}

}  // namespace hardpoint

#endif
