/* Answers Unicorn's page lookups (UC_HOOK_TLB_FILL) without Python. Mirrored by emulator/machine/native_pages.py.
 *
 * The table holds a byte for each guest page of 4 KiB; Python keeps the policy (emulator/machine/pages.py) and writes the table. If a
 * page's byte is 0, or does not allow the access, `slow` is called (Python), which usually sets the byte for the next time. Bytes lie in
 * chunks of 512 pages, which are found by open addressing; a chunk is made when the first of its bytes is set.
 *
 * Unicorn's TLB begins with 256 entries. It doubles at a flush if more than 70 % of them were in use, and at no other time (QEMU's
 * accel/tcg/cputlb.c, tlb_mmu_resize_locked). So a program that walks more pages than that would miss at every access. Here the TLB is
 * flushed after a number of fills that nearly fills a table of the assumed size, so that it grows. The extra lookups form a geometric
 * series.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { READ = 1, WRITE = 2, FETCH = 4, RUNS = 8, LOOKED_UP = 16 }; /* RUNS: the page may be fetched from as things are */
enum { CHUNK = 512, PAGE_BITS = 12, CHUNK_BITS = 9 };
enum { MEM_READ = 16, MEM_WRITE = 17, MEM_FETCH = 18 };            /* uc_mem_type of a lookup */
enum { TLB_FIRST = 256, TLB_LAST = 1 << 22 };

typedef struct { uint64_t paddr; uint32_t perms; } Entry;          /* uc_tlb_entry */
typedef bool (*Fill)(void *uc, uint64_t page, int access, Entry *entry, void *data);
typedef int (*Control)(void *uc, int control, ...);                /* uc_ctl */
typedef void (*FlushPage)(void *cpu, uint64_t address);            /* tlb_flush_page of Unicorn's x86 target */

typedef struct { uint64_t first, end, shift; } Range;              /* pages whose physical address is another: + shift */
typedef struct { uint64_t number; uint8_t *bytes; } Chunk;         /* bytes: NULL for a free place */

typedef struct {
    Fill slow;
    Control control;
    uint64_t flush;         /* the control word of UC_CTL_TLB_FLUSH */
    FlushPage flush_page;   /* NULL: not to be had */
    void *cpu;              /* its first argument */
    const uint64_t *tlb_mask; /* (entries of the TLB - 1) << 6; NULL: not known, and tlb_size is a guess */
    uint64_t tlb_size;      /* entries that the TLB is taken to have */
    uint64_t fills;         /* lookups since the last flush */
    uint64_t asked;         /* lookups that went to Python, for tests and figures */
    uint64_t lost;          /* 1: memory ran out, so that not every page that was looked up is marked */
    Chunk *chunks;
    uint64_t mask, count;   /* of chunks: places - 1, used places */
    uint8_t *last;          /* the chunk found last */
    uint64_t last_number;
    Range *ranges;          /* by their first page */
    uint64_t range_count, range_room;
} Table;

#define EXPORT __attribute__((visibility("default")))
EXPORT const uint64_t uselib_page_sizes[] = {sizeof(Table), sizeof(Entry), CHUNK};

static Chunk *place_of(const Table *t, uint64_t number)
{
    uint64_t at = (number * 0x9E3779B97F4A7C15u >> 32) & t->mask;
    while (t->chunks[at].bytes && t->chunks[at].number != number) at = (at + 1) & t->mask;
    return &t->chunks[at];
}

static uint8_t *find(Table *t, uint64_t number)
{
    if (t->last && t->last_number == number) return t->last;
    uint8_t *bytes = place_of(t, number)->bytes;
    if (bytes) t->last = bytes, t->last_number = number;
    return bytes;
}

/* The chunk, made if it does not exist. NULL: out of memory; its pages are then left to Python. */
static uint8_t *make(Table *t, uint64_t number)
{
    uint8_t *bytes = find(t, number);
    if (bytes) return bytes;
    if (4 * t->count >= 3 * t->mask) {
        Table grown = *t;
        grown.mask = 2 * t->mask + 1;
        if (!(grown.chunks = calloc(grown.mask + 1, sizeof(Chunk)))) return NULL;
        for (uint64_t i = 0; i <= t->mask; i++)
            if (t->chunks[i].bytes) *place_of(&grown, t->chunks[i].number) = t->chunks[i];
        free(t->chunks);
        *t = grown;
    }
    if (!(bytes = calloc(1, CHUNK))) return NULL;
    *place_of(t, number) = (Chunk){number, bytes};
    t->count++;
    return bytes;
}

EXPORT Table *uselib_pages_new(Fill slow, Control control, uint64_t flush)
{
    Table *t = calloc(1, sizeof(Table));
    if (!t) return NULL;
    t->slow = slow, t->control = control, t->flush = flush, t->tlb_size = TLB_FIRST, t->mask = 63;
    if ((t->chunks = calloc(t->mask + 1, sizeof(Chunk)))) return t;
    free(t);
    return NULL;
}

EXPORT void uselib_pages_free(Table *t)
{
    for (uint64_t i = 0; i <= t->mask; i++) free(t->chunks[i].bytes);
    free(t->chunks);
    free(t->ranges);
    free(t);
}

/* The number of ranges that begin at or before a page. */
static uint64_t ranges_up_to(const Table *t, uint64_t page)
{
    uint64_t low = 0, high = t->range_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (t->ranges[middle].first <= page) low = middle + 1;
        else high = middle;
    }
    return low;
}

EXPORT uint64_t uselib_pages_shift(const Table *t, uint64_t page)
{
    uint64_t i = ranges_up_to(t, page);
    return i && page < t->ranges[i - 1].end ? t->ranges[i - 1].shift : 0;
}

/* Pages [first, first + count), which are in no range yet, lie elsewhere. false: out of memory. */
EXPORT bool uselib_pages_place(Table *t, uint64_t first, uint64_t count, uint64_t shift)
{
    if (t->range_count == t->range_room) {
        uint64_t room = t->range_room ? 2 * t->range_room : 16;
        Range *grown = realloc(t->ranges, room * sizeof *grown);
        if (!grown) return false;
        t->ranges = grown, t->range_room = room;
    }
    uint64_t i = ranges_up_to(t, first);
    memmove(t->ranges + i + 1, t->ranges + i, (t->range_count++ - i) * sizeof(Range));
    t->ranges[i] = (Range){first, first + count, shift};
    return true;
}

/* Pages [first, first + count) get `value`; those that have a value already keep it. */
EXPORT void uselib_pages_set(Table *t, uint64_t first, uint64_t count, uint8_t value)
{
    while (count) {
        uint64_t from = first % CHUNK, n = CHUNK - from < count ? CHUNK - from : count;
        uint8_t *bytes = make(t, first >> CHUNK_BITS);
        if (!bytes) return;
        for (uint64_t i = from; i < from + n; i++)
            if (!(bytes[i] & ~LOOKED_UP)) bytes[i] |= value;
        first += n, count -= n;
    }
}

/* One page gets `value`, whatever it had. */
EXPORT void uselib_pages_put(Table *t, uint64_t page, uint8_t value)
{
    uint8_t *bytes = make(t, page >> CHUNK_BITS);
    if (bytes) bytes[page % CHUNK] = value | (bytes[page % CHUNK] & LOOKED_UP);
}

EXPORT uint8_t uselib_pages_get(Table *t, uint64_t page)
{
    uint8_t *bytes = find(t, page >> CHUNK_BITS);
    return bytes ? bytes[page % CHUNK] : 0;
}

EXPORT void uselib_pages_flushed(Table *t)
{
    t->fills = 0;
    t->tlb_size = TLB_FIRST; /* a flush may have shrunk it */
}

enum { FEW = 64 }; /* pages that are flushed one by one */

static void clear_chunk(uint64_t number, uint8_t *bytes, uint64_t from, uint64_t n, uint64_t *dirty, uint64_t *count)
{
    for (uint64_t i = from; i < from + n; i++) {
        if (bytes[i] & LOOKED_UP) {
            if (*count < FEW) dirty[*count] = number << CHUNK_BITS | i;
            ++*count;
        }
        bytes[i] = 0;
    }
}

/* Pages [first, first + count) get 0, and what the TLB may hold of them is flushed. */
EXPORT void uselib_pages_clear(void *uc, Table *t, uint64_t first, uint64_t count)
{
    uint64_t dirty[FEW], dirty_count = 0, end = first + count;
    if (count >> CHUNK_BITS > t->mask) { /* fewer places than chunks in the range */
        for (uint64_t i = 0; i <= t->mask; i++) {
            Chunk *c = &t->chunks[i];
            uint64_t low = c->number << CHUNK_BITS;
            if (!c->bytes || low >= end || low + CHUNK <= first) continue;
            uint64_t from = first > low ? first - low : 0, to = end < low + CHUNK ? end - low : CHUNK;
            clear_chunk(c->number, c->bytes, from, to - from, dirty, &dirty_count);
        }
    } else {
        for (uint64_t page = first; page < end;) {
            uint64_t from = page % CHUNK, n = CHUNK - from < end - page ? CHUNK - from : end - page;
            uint8_t *bytes = find(t, page >> CHUNK_BITS);
            if (bytes) clear_chunk(page >> CHUNK_BITS, bytes, from, n, dirty, &dirty_count);
            page += n;
        }
    }
    if (t->flush_page && dirty_count <= FEW && !t->lost) {
        for (uint64_t i = 0; i < dirty_count; i++) t->flush_page(t->cpu, dirty[i] << PAGE_BITS);
    } else if (dirty_count || t->lost) {
        t->control(uc, (int)t->flush);
        uselib_pages_flushed(t);
    }
}

/* UC_HOOK_TLB_FILL. data: the Table. */
EXPORT bool uselib_pages_fill(void *uc, uint64_t address, int access, Entry *entry, void *data)
{
    Table *t = data;
    uint64_t page = address >> PAGE_BITS;
    if (t->tlb_mask) t->tlb_size = (*t->tlb_mask >> 6) + 1;
    if (++t->fills > t->tlb_size + t->tlb_size / 2 && t->tlb_size < TLB_LAST) {
        t->control(uc, (int)t->flush);
        t->tlb_size *= 2;
        t->fills = 0;
    }
    uint8_t *bytes = find(t, page >> CHUNK_BITS);
    uint8_t value = bytes ? bytes[page % CHUNK] : 0;
    uint8_t wanted = access == MEM_FETCH ? RUNS : access == MEM_WRITE ? WRITE : READ;
    if (value & wanted) {
        bytes[page % CHUNK] |= LOOKED_UP;
        entry->paddr = t->range_count ? address + uselib_pages_shift(t, page) : address;
        entry->perms = (value & (READ | WRITE)) | (value & RUNS ? FETCH : 0);
        return true;
    }
    t->asked++;
    if (!t->slow(uc, address, access, entry, NULL)) return false;
    bytes = make(t, page >> CHUNK_BITS);
    if (bytes) bytes[page % CHUNK] |= LOOKED_UP;
    else t->lost = 1;
    return true;
}
