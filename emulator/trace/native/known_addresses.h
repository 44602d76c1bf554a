/* Addresses that concern the recorder: entries of functions and return addresses of calls. A Bloom filter answers for most blocks. */
#pragma once

#include "recorder.h"

static inline uint64_t hash(uint64_t address) { return address * 0x9E3779B97F4A7C15u; }

static inline int in_bloom(const Trace *t, uint64_t address)
{
    uint64_t bit = hash(address) >> (64 - BLOOM_BITS);
    return t->bloom[bit >> 6] >> (bit & 63) & 1;
}

static inline void add_bloom(Trace *t, uint64_t address)
{
    uint64_t bit = hash(address) >> (64 - BLOOM_BITS);
    t->bloom[bit >> 6] |= (uint64_t)1 << (bit & 63);
}

/* The place of a return address in the table of them, or the free place where it belongs. */
static inline uint64_t find_site(const Trace *t, uint64_t address)
{
    uint64_t i = hash(address) >> 20 & (2 * MAX_SITES - 1);
    while (t->sites[i] && t->sites[i] != address) i = (i + 1) & (2 * MAX_SITES - 1);
    return i;
}

static inline void add_site(Trace *t, uint64_t address)
{
    uint64_t i = find_site(t, address);
    if (!address || t->sites[i] == address || t->site_count == MAX_SITES) return;
    t->sites[i] = address;
    t->site_count++;
    add_bloom(t, address);
}
