// The accelerator's top function. Registers: hardpoint.registers; words: hardpoint.program and hardpoint.strikes.
#ifndef HARDPOINT_SHELL_H
#define HARDPOINT_SHELL_H

#include "memory.h"

// Run `images` images through the network that `program` describes. Pointers are AXI masters; each argument
// is a register of the AXI-Lite slave `control`.
extern "C" void hardpoint_top(
    hardpoint::Word *program,
    hardpoint::Word *weights,
    hardpoint::Word *source,
    hardpoint::Word *result,
    const hardpoint::Word *scratch_in,
    hardpoint::Word *scratch_out,
    const hardpoint::Word *strikes,
    hardpoint::Word *records,
    unsigned images,
    unsigned first,
    unsigned mode,
    unsigned *status,
    unsigned *done_images,
    unsigned *design);

#endif
