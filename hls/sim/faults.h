// Fault records as Python stores them, and their translation into strikes. For simulation only.
#ifndef HARDPOINT_SIM_FAULTS_H
#define HARDPOINT_SIM_FAULTS_H

#include <cstdint>
#include <vector>

#include "taps.h"

namespace hardpoint {
namespace sim {

#pragma pack(push, 1)
// hardpoint.faults.FAULT
struct Fault {
    std::uint32_t image;
    std::uint16_t layer;
    std::uint32_t tile, step;
    std::uint8_t row, col, site, copy, bit, effect;
    std::uint32_t end_image;
    std::uint16_t end_layer;
    std::uint32_t end_tile, end_step;
};
#pragma pack(pop)
static_assert(sizeof(Fault) == 34, "a fault record has 34 bytes");

// Strikes of a stream of `tiles` tiles of `steps` steps, in order of time; images and layers are ignored.
std::vector<StrikeWord> strikes(const Fault *faults, long count, long tiles, long steps);

}  // namespace sim
}  // namespace hardpoint

#endif
