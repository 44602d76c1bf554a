/* Registers and memory of the guest. Memory is read through the host mappings behind it; where the guest cannot read, nothing is read. */
#pragma once

#include "recorder.h"

/* General registers in the order of Trace.registers, and their numbers in Unicorn's x86.h */
enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9 };
static const int NUMBERS[2][10] = {{19, 22, 24, 21, 30, 20, 29, 23, 0, 0}, {35, 38, 40, 37, 44, 36, 43, 39, 106, 107}};
enum { R_ST0 = 114, R_XMM0 = 122 };

static inline uint64_t reg(Trace *t, void *uc, int which)
{
    int wide = t->bits == 64;
    uint64_t value = 0;
    if (t->registers) value = t->registers[which];
    else t->reg_read(uc, NUMBERS[wide][which], &value);
    return wide ? value : (uint32_t)value;
}

static const Mapping *find_mapping_slow(Trace *t, uint64_t address)
{
    for (uint32_t i = 0; i < t->mapping_count; i++)
        if (address - t->mappings[i].start < t->mappings[i].end - t->mappings[i].start) {
            if (i) { /* the one used last is looked at first */
                Mapping hit = t->mappings[i];
                t->mappings[i] = t->mappings[0];
                t->mappings[0] = hit;
            }
            return &t->mappings[0];
        }
    Mapping found;
    if (!t->resolve(address, &found)) return 0;
    uint32_t at = t->mapping_count < MAPPINGS ? t->mapping_count++ : 1 + t->mapping_next++ % (MAPPINGS - 1);
    t->mappings[at] = t->mappings[0];
    t->mappings[0] = found;
    return &t->mappings[0];
}

static inline const Mapping *find_mapping(Trace *t, uint64_t address)
{
    const Mapping *m = &t->mappings[0];
    if (t->mapping_count && address - m->start < m->end - m->start) return m;
    return find_mapping_slow(t, address);
}

/* Copies up to `size` bytes; returns how many could be read. */
static uint64_t copy_in(Trace *t, uint64_t address, void *to, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        const Mapping *m = find_mapping(t, address + done);
        if (!m) break;
        uint64_t part = m->end - (address + done);
        if (part > size - done) part = size - done;
        memcpy((char *)to + done, (const void *)(address + done + m->delta), part);
        done += part;
    }
    return done;
}

/* `count` words of the guest at `address`, zero where they cannot be read. */
static inline void read_words(Trace *t, uint64_t address, uint64_t *to, unsigned count)
{
    unsigned size = t->bits / 8;
    const Mapping *m = find_mapping(t, address);
    uint32_t small[WORDS + EXTRA + 1];
    if (m && m->end - address >= (uint64_t)count * size) {
        const char *host = (const char *)(address + m->delta);
        if (size == 8) {
            memcpy(to, host, 8 * count);
        } else {
            for (unsigned i = 0; i < count; i++) {
                uint32_t word;
                memcpy(&word, host + 4 * i, 4);
                to[i] = word;
            }
        }
        return;
    }
    memset(to, 0, 8 * count);
    if (size == 8) {
        copy_in(t, address, to, 8 * count);
    } else {
        memset(small, 0, sizeof small);
        copy_in(t, address, small, 4 * count);
        for (unsigned i = 0; i < count; i++) to[i] = small[i];
    }
}
