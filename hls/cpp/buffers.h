// Strikes on the codes that a layer's on-chip memories hold: its weights, its inputs, its outputs.
//
// A code is struck as it is written into on-chip memory and stays so until the layer's end. Inputs are struck there;
// weights, of which each tile fetches its own, and outputs, which leave at once, where they lie in memory. All return
// whether a word's decoder gave up (builds with ECC: what it corrects does not come as a strike).
#ifndef HARDPOINT_BUFFERS_H
#define HARDPOINT_BUFFERS_H

#include "listed.h"

namespace hardpoint {

// Inputs by number of the code, a byte each; `unit_map` is the recompute unit's copy.
bool strike_inputs(const Word *strikes, const Span &span, Map &map, UnitMap &unit_map);

// The same where they lie in memory, from where a recompute unit without a copy of its own reads them. Done twice, everything
// is as before.
void strike_source(const Word *strikes, const Span &span, const Layer &layer, unsigned from, Word *source, Word *scratch);

// Outputs by number of the code. An image's result starts at word `from`.
bool strike_outputs(const Word *strikes, const Span &span, const Layer &layer, unsigned from, Word *result, Word *scratch);

// Weights by byte in the layer's rows of them; of a layer with listed neurons also those that the recompute unit takes
// from the program. Done twice, everything is as before.
bool strike_weights(const Word *strikes, const Span &span, const Layer &layer, Word *weights, Word *program);

}  // namespace hardpoint

#endif
