/* Records of events, and the memory that arguments and results point to. */
#pragma once

#include "call_stacks.h"

static inline uint64_t now(const Trace *t) { return t->clock_blocks ? t->blocks : t->calls; }

/* Room for n records of one event; gives it its sequence number. */
static inline Record *reserve(Trace *t, unsigned n)
{
    if (UNLIKELY(t->count + n > t->capacity)) t->flush();
    t->sequence++;
    if (!t->count) t->first = t->sequence;
    Record *r = &t->records[t->count];
    t->count += n;
    return r;
}

/* Room for what one event may copy. */
static void payload_room(Trace *t)
{
    if (t->payload_used + 16 * (12 + 65535) > t->payload_capacity) t->flush();
}

static void more(Record *r, const uint64_t *words, unsigned n)
{
    memset(r, 0, sizeof *r);
    memcpy(r, words, 8 * n); /* the seven words are bytes 0..55 */
    r->function = n;
    r->kind = MORE;
}

static inline uint16_t clamp(uint32_t depth) { return depth > 0xFFFF ? 0xFFFF : (uint16_t)depth; }

/* Copies the memory that the words of a call point to, or (at_return) its result. Returns whether there is any. */
static int copy_wanted(Trace *t, void *uc, const Function *f, uint64_t sp, const uint64_t *words, unsigned count, int at_return)
{
    int any = 0;
    for (unsigned i = 0; i < f->wants; i++) {
        const Want *w = &t->wants[f->first_want + i];
        int string = w->kind == WANT_STRING || w->kind == WANT_RESULT_STRING;
        int pointed = w->kind != WANT_STACK && w->kind != WANT_VECTOR;
        if ((w->kind >= WANT_RESULT_STRING) != at_return) continue;
        if (pointed && (w->word >= count || !words[w->word])) continue;
        uint8_t *row = t->payload + t->payload_used; /* payload_room() was called */
        uint64_t size = 0, address = pointed ? words[w->word] : sp + t->bits / 8;
        uint8_t cut = 0;
        if (w->kind == WANT_VECTOR) {
            uint64_t wide[2] = {0, 0}, low[8];
            for (int n = 0; n < 8; n++) {
                t->reg_read(uc, R_XMM0 + n, wide);
                low[n] = wide[0];
            }
            size = w->size < sizeof low ? w->size : sizeof low;
            memcpy(row + 12, low, size);
        } else if (!string) {
            size = copy_in(t, address, row + 12, w->size);
        } else {
            while (size < w->size) { /* page by page: a string may end just before a hole */
                uint64_t part = 4096 - (address + size) % 4096;
                if (part > w->size - size) part = w->size - size;
                uint64_t got = copy_in(t, address + size, row + 12 + size, part);
                const uint8_t *end = memchr(row + 12 + size, 0, got);
                if (end) {
                    size = (uint64_t)(end - (row + 12));
                    goto whole;
                }
                size += got;
                if (got < part) break;
            }
            cut = 1;
        }
        if (!size) continue;
    whole:
        memcpy(row, &t->sequence, 8);
        row[8] = w->word;
        row[9] = cut;
        row[10] = (uint8_t)size;
        row[11] = (uint8_t)(size >> 8);
        t->payload_used += 12 + size;
        any = 1;
    }
    return any;
}

static int caller_wanted(const Trace *t, uint64_t caller)
{
    uint64_t low = 0, high = t->caller_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (t->caller_ranges[2 * middle + 1] <= caller) low = middle + 1;
        else high = middle;
    }
    return low < t->caller_count && t->caller_ranges[2 * low] <= caller;
}

/* The double that an 80-bit number rounds to; the same arithmetic as x87_double.py's. */
static uint64_t double_of_x87(const uint8_t *raw)
{
    uint64_t mantissa, bits;
    uint16_t top;
    memcpy(&mantissa, raw, 8);
    memcpy(&top, raw + 8, 2);
    uint64_t sign = (uint64_t)(top >> 15) << 63;
    int exponent = top & 0x7FFF;
    if (exponent == 0x7FFF) return sign | (mantissa << 1 ? 0x7FF8000000000000u : 0x7FF0000000000000u);
    if (!mantissa) return sign;
    double value = (double)mantissa; /* 2^63 <= value <= 2^64 for a normal number */
    memcpy(&bits, &value, 8);
    int64_t scaled = (int64_t)(bits >> 52) + exponent - 16383 - 63;
    if (scaled >= 0x7FF) return sign | 0x7FF0000000000000u;
    if (scaled <= 0) return sign; /* less than a normal double: 0 */
    return sign | (uint64_t)scaled << 52 | (bits & 0xFFFFFFFFFFFFFu);
}

static void returned(Trace *t, void *uc, const Frame *f, uint64_t sp, int late)
{
    const Function *function = &t->functions[f->function];
    if (!f->sequence || t->disabled) return;
    if (UNLIKELY(function->wants)) payload_room(t);
    Record *r = reserve(t, 1);
    r->time = now(t);
    r->caller = f->sequence == ~(uint64_t)0 ? 0 : f->sequence;
    r->sp = sp;
    r->words[0] = r->words[1] = r->words[2] = 0;
    if (!late) {
        uint8_t raw[16] = {0};
        r->words[0] = reg(t, uc, AX);
        r->words[1] = reg(t, uc, DX);
        t->reg_read(uc, t->bits == 64 ? R_XMM0 : R_ST0, raw);
        if (t->bits == 64) memcpy(&r->words[2], raw, 8);
        else r->words[2] = double_of_x87(raw);
    }
    r->words[3] = r->time - f->time;
    r->function = f->function;
    r->depth = clamp(f->depth);
    r->kind = function->flags & F_INNER ? INNER_RETURN : RETURN;
    r->flags = late ? LATE : 0;
    if (UNLIKELY(function->wants) && !late && copy_wanted(t, uc, function, sp, r->words, 1, 1)) r->flags |= HAS_PAYLOAD;
}
