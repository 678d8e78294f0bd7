// Listed neurons: which they are, what the recompute unit multiplies for them, and where its sums go.
#ifndef HARDPOINT_LISTED_H
#define HARDPOINT_LISTED_H

#include "gemm.h"
#include "recompute.h"

namespace hardpoint {

// The unit's own copy of a layer's inputs, written with the array's; without reuse it reads them from memory.
typedef Lanes<UNIT_REUSE ? MAP_BYTES : 8> UnitMap;

// Numbers of the listed neurons as the index memory holds them.
struct List {
    unsigned number[MAX_LISTED];
};

// A layer's inputs behind a port, as bytes at any address: of the image's own input, or between layers.
struct Port {
    const Word *source, *scratch;
    Tensor tensor;
    unsigned from;

    Word word(int i) const {
#pragma HLS INLINE
        return i >= 0 && i < tensor.words ? read_tensor(source, scratch, tensor, from, i) : 0;
    }

    Word read(int address) const {
#pragma HLS INLINE
        const int i = address >> 3, offset = address & 7;
        const Word low = word(i) >> (8 * offset);
        return offset == 0 ? low : low | word(i + 1) << (64 - 8 * offset);
    }

    unsigned char byte(int address) const {
#pragma HLS INLINE
        return static_cast<unsigned char>(read(address));
    }
};

// Fill the index memory from the list in the program; strikes act as it is read. Two processes read it: `names` is a copy.
void load_list(const Word *program, const Word *strikes, const Span &struck_by, const Layer &layer, List &list, List &names);

// What the unit multiplies, beat by beat: inputs from its copy on chip or through the port, weights from the program,
// where those of a channel lie side by side.
void operands(const UnitMap &map, const Port &port, const Word *program, const Layer &layer, const List &list, hls::stream<UnitBeat> &beats);

// The unit's sums overwrite the array's: the later of two that name one neuron wins.
void overwrite(const Layer &layer, const List &list, const Word channel[MAX_CHANNELS], hls::stream<UnitSum> &sums, Block &block);

}  // namespace hardpoint

#endif
