// Words, bytes and codes: how tensors lie in memory and on chip.
#ifndef HARDPOINT_MEMORY_H
#define HARDPOINT_MEMORY_H

#include "hardpoint_config.h"
#include "integers.h"

namespace hardpoint {

typedef unsigned long long Word;  // what an AXI master moves: eight bytes, the first in the low bits

// Up to eight bytes on their way.
struct Chunk {
    Word bytes;
    int count;
};

inline Word ones(int bytes) { return bytes >= 8 ? ~Word(0) : (Word(1) << (8 * bytes)) - 1; }

// Write neighbouring bytes into eight lanes of WORDS bytes each; what lies beyond them is left out.
template <int WORDS>
void write_bytes(unsigned char lane[8][WORDS], int address, const Chunk &chunk) {
#pragma HLS INLINE
    for (int l = 0; l < 8; ++l) {
#pragma HLS UNROLL
        const int offset = (l - address) & 7;
        const int index = (address + offset) >> 3;
        if (offset < chunk.count && index < WORDS) lane[l][index] = static_cast<unsigned char>(chunk.bytes >> (8 * offset));
    }
}

// Bytes in eight lanes, so that eight neighbours are read or written in one cycle at any alignment.
template <int BYTES>
struct Lanes {
    static_assert(BYTES % 8 == 0, "lanes hold whole words");
    unsigned char lane[8][BYTES / 8];

    Word read(int address) const {
#pragma HLS INLINE
        Word bytes = 0;
        for (int l = 0; l < 8; ++l) {
#pragma HLS UNROLL
            const int offset = (l - address) & 7;
            const int index = (address + offset) >> 3;
            if (index >= 0 && index < BYTES / 8) bytes |= Word(lane[l][index]) << (8 * offset);
        }
        return bytes;
    }

    void write(int address, const Chunk &chunk) {
#pragma HLS INLINE
        write_bytes<BYTES / 8>(lane, address, chunk);
    }

    unsigned char byte(int address) const {
#pragma HLS INLINE
        return lane[address & 7][address >> 3];
    }
};

// Code i of `bytes` bytes each in a word of several.
inline long long code_in(Word word, int i, int bytes, bool sgn) {
#pragma HLS INLINE
    const Word raw = (word >> (8 * bytes * i)) & ones(bytes);
    const bool negative = sgn && ((raw >> (8 * bytes - 1)) & 1) != 0;
    return static_cast<long long>(negative ? raw | ~ones(bytes) : raw);
}

// CRC-32 (IEEE 802.3, reflected) of a half-word after `crc`.
inline unsigned crc32(unsigned crc, unsigned half) {
#pragma HLS INLINE
    crc ^= half;
    for (int i = 0; i < 32; ++i) {
#pragma HLS UNROLL
        crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
    }
    return crc;
}

inline unsigned crc32_word(unsigned crc, Word word) {
#pragma HLS INLINE
    return crc32(crc32(crc, static_cast<unsigned>(word)), static_cast<unsigned>(word >> 32));
}

}  // namespace hardpoint

#endif
