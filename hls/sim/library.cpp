// What a simulation library exports of the whole accelerator: registers, and the memory behind its AXI masters.
#include <cstdint>
#include <vector>

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

// Whether strikes are timed in cycles of the array, as the black box takes them, or in logical steps.
int hp_by_cycles(void) {
#ifdef HARDPOINT_ENGINE
    return 1;
#else
    return 0;
#endif
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

// Runs `images` images without registers or faults; returns the status.
std::uint32_t hp_infer(Word *program, Word *weights, Word *source, Word *result, Word *scratch, std::uint32_t images) {
    std::vector<Word> records(images * RECORD_WORDS);
    std::uint32_t status = 0, done = 0, design = 0;
    hardpoint_top(
        program, weights, source, result, scratch, scratch, records.data(), records.data(), images, 0, MODE_CHECK, &status,
        &done, &design);
    return status;
}

}  // extern "C"
