// What a simulation library exports: the core alone, and the whole accelerator behind registers and memory.
#include <cstring>
#include <vector>

#include "core.h"
#include "faults.h"
#include "hardpoint_registers.h"
#include "shell.h"

using namespace hardpoint;

namespace {

// The accelerator as its bus sees it: a register file, and a stretch of memory at a physical address.
struct Device {
    std::uint32_t control;
    std::uint32_t words[REGISTER_BYTES / 4];
    std::uint8_t *memory;
    std::uint64_t base, size;

    std::uint64_t pointer_register(std::uint32_t offset) const {
        return words[offset / 4] | std::uint64_t(words[offset / 4 + 1]) << 32;
    }

    // The host address behind a pointer register; null where it lies outside the memory.
    Word *pointer(std::uint32_t offset) const {
        const std::uint64_t address = pointer_register(offset);
        if (address < base || address >= base + size || address % 8 != 0) return nullptr;
        return reinterpret_cast<Word *>(memory + (address - base));
    }
};

bool run(Device &device) {
    const std::uint32_t offsets[] = {PROGRAM, WEIGHTS, SOURCE, RESULT, SCRATCH_IN, SCRATCH_OUT, STRIKES, RECORDS};
    Word *at[8];
    for (int i = 0; i < 8; ++i) {
        at[i] = device.pointer(offsets[i]);
        if (at[i] == nullptr) return false;
    }
    hardpoint_top(
        at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], device.words[IMAGES / 4], device.words[FIRST / 4],
        device.words[MODE / 4], &device.words[STATUS / 4], &device.words[DONE_IMAGES / 4], &device.words[DESIGN_WORD / 4]);
    return true;
}

}  // namespace

extern "C" {

void *hp_open(void) {
    Device *device = new Device();
    device->control = CONTROL_IDLE;
    return device;
}

void hp_close(void *handle) { delete static_cast<Device *>(handle); }

// The memory that the AXI masters see: `size` bytes at physical address `base`.
void hp_attach(void *handle, std::uint8_t *memory, std::uint64_t base, std::uint64_t size) {
    Device *device = static_cast<Device *>(handle);
    device->memory = memory;
    device->base = base;
    device->size = size;
}

std::uint32_t hp_read(void *handle, std::uint32_t offset) {
    Device *device = static_cast<Device *>(handle);
    if (offset == 0) {
        const std::uint32_t value = device->control;
        device->control &= ~CONTROL_DONE;
        return value;
    }
    return offset < REGISTER_BYTES ? device->words[offset / 4] : 0;
}

// A write of the start bit runs the batch; a pointer outside the memory hangs the accelerator, as a bus would.
void hp_write(void *handle, std::uint32_t offset, std::uint32_t value) {
    Device *device = static_cast<Device *>(handle);
    if (offset == 0) {
        if ((value & CONTROL_START) == 0 || (device->control & CONTROL_IDLE) == 0) return;
        device->control = run(*device) ? CONTROL_IDLE | CONTROL_DONE : 0;
    } else if (offset < REGISTER_BYTES) {
        device->words[offset / 4] = value;
    }
}

// One stream of tiles through the core: a (tiles, k, ROWS), w (tiles, k, COLS), out (tiles, ROWS, COLS),
// stats: cycles, then disagreeing votes in all. Returns 0, or 1 where the core ran into its limit.
long hp_gemm(
    void *,
    const std::int32_t *a,
    const std::int32_t *w,
    long tiles,
    long k,
    int sgn,
    const sim::Fault *faults,
    long fault_count,
    std::int64_t *out,
    std::int64_t *stats) {
    hls::stream<Beat> beats("beats");
    hls::stream<StrikeWord> strikes("strikes");
    hls::stream<Sums> sums("sums");
    hls::stream<Count> counts("counts");
    for (long i = 0; i < tiles * k; ++i) {
        Beat beat = 0;
        for (int r = 0; r < ROWS; ++r) beat.range((r + 1) * ACT_BITS - 1, r * ACT_BITS) = a[i * ROWS + r];
        for (int c = 0; c < COLS; ++c) {
            const int low = ROWS * ACT_BITS + c * WGT_BITS;
            beat.range(low + WGT_BITS - 1, low) = w[i * COLS + c];
        }
        beats.write(beat);
    }
    const std::vector<StrikeWord> words = sim::strikes(faults, fault_count, tiles, k);
    for (const StrikeWord &word : words) strikes.write(word);
    hardpoint_core(beats, strikes, sums, counts, tiles, k, sgn, words.size(), ~0u);
    for (long tile = 0; tile < tiles; ++tile) {
        for (int r = ROWS - 1; r >= 0; --r) {
            const Sums row = sums.read();
            for (int c = 0; c < COLS; ++c) {
                const ap_int<ACC_BITS> sum = row.range((c + 1) * ACC_BITS - 1, c * ACC_BITS);
                out[(tile * ROWS + r) * COLS + c] = sum.to_int64();
            }
        }
    }
    stats[0] = counts.read().to_uint();
    const bool hung = counts.read() != 0;
    stats[1] = 0;
    for (int c = 0; c < COLS; ++c) stats[1] += counts.read().to_uint();
    return hung;
}

}  // extern "C"
