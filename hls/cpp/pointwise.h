// Layers without weights: pooling, residual addition, rescaling.
#ifndef HARDPOINT_POINTWISE_H
#define HARDPOINT_POINTWISE_H

#include <hls_stream.h>

#include "gemm.h"

namespace hardpoint {

// Maximum, or sum and shift, over windows; a window takes only what lies inside the image.
void pool(const Map &map, const Layer &layer, hls::stream<Chunk> &out);

// One tensor or the sum of two, aligned and requantised, element by element.
void sum(const Map &map, const Layer &layer, hls::stream<Chunk> &out);

}  // namespace hardpoint

#endif
