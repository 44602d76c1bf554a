/* Reads and writes of watched data pages, without Python (uselib/abi/dynamic/run/data_watch.py, which mirrors the structures below).
 *
 * The pages are device memory for the CPU: Unicorn calls uselib_data_read and uselib_data_write for each access to them and for no
 * other, so all other memory stays as fast as before. (A memory hook, even one with a range, makes every load and store of the program
 * slow.) The bytes themselves are in host memory and are read and written here.
 *
 * Accesses by the library's own code do not count. The basic block, which the recorder saves, tells which code makes an access; the
 * CPU's own program counter is sometimes that of the block and sometimes that of the instruction. Accesses are kept twice: the first
 * ones one by one (log), and all of them collapsed per block, object and kind (rows).
 */
#include <stdint.h>
#include <string.h>

typedef struct { uint64_t guest; char *host; } Page;
typedef struct { uint64_t start, end; } Range; /* an exported object; ascending */
typedef struct { uint64_t sequence, pc, address, value; uint32_t size, write; } Entry;
typedef struct { uint64_t pc, object, low, high, count, first, hash; uint32_t write, used; } Row;

typedef struct {
    const uint64_t *block;     /* where the block that runs begins: the recorder's */
    const uint64_t *sequence;  /* number of the latest event: likewise */
    const Page *pages;
    const Range *ranges;
    uint64_t range_count;
    uint64_t low, high;        /* the library: accesses from there do not count */
    Entry *log;
    uint64_t log_count, log_capacity;
    Row *rows;                 /* open addressing */
    uint64_t row_mask, row_count;
    uint64_t lost;             /* accesses that found no room in rows */
} Watch;

#define EXPORT __attribute__((visibility("default")))
EXPORT const uint64_t uselib_data_sizes[] = {sizeof(Watch), sizeof(Page), sizeof(Range), sizeof(Entry), sizeof(Row)};

/* The start of the object that contains an address; the address itself if none does. */
static uint64_t object_of(const Watch *w, uint64_t address)
{
    uint64_t low = 0, high = w->range_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (w->ranges[middle].end <= address) low = middle + 1;
        else high = middle;
    }
    return low < w->range_count && w->ranges[low].start <= address ? w->ranges[low].start : address;
}

static void note(Watch *w, uint64_t address, uint32_t size, uint32_t write, uint64_t value)
{
    uint64_t pc = *w->block;
    if (pc - w->low < w->high - w->low) return;
    uint64_t sequence = *w->sequence;
    if (w->log_count < w->log_capacity) {
        Entry *e = &w->log[w->log_count++];
        e->sequence = sequence;
        e->pc = pc;
        e->address = address;
        e->value = value;
        e->size = size;
        e->write = write;
    }
    uint64_t object = object_of(w, address);
    uint64_t i = (pc * 0x9E3779B97F4A7C15u ^ object * 0xD6E8FEB86659FD93u ^ write) >> 20 & w->row_mask;
    Row *r = &w->rows[i];
    while (r->used && (r->pc != pc || r->object != object || r->write != write)) {
        i = (i + 1) & w->row_mask;
        r = &w->rows[i];
    }
    if (!r->used) {
        if (2 * w->row_count > w->row_mask) {
            w->lost++;
            return;
        }
        w->row_count++;
        r->used = 1;
        r->pc = pc;
        r->object = object;
        r->write = write;
        r->low = address;
        r->high = address + size;
        r->first = sequence;
    }
    r->count++;
    if (address < r->low) r->low = address;
    if (address + size > r->high) r->high = address + size;
    r->hash = (r->hash ^ (address - object) ^ value) * 0x9E3779B97F4A7C15u;
    r->hash ^= r->hash >> 29;
}

EXPORT uint64_t uselib_data_read(void *uc, uint64_t offset, unsigned size, Watch *w)
{
    (void)uc;
    const Page *page = &w->pages[offset >> 12];
    uint64_t value = 0;
    memcpy(&value, page->host + (offset & 4095), size);
    note(w, page->guest + (offset & 4095), size, 0, value);
    return value;
}

EXPORT void uselib_data_write(void *uc, uint64_t offset, unsigned size, uint64_t value, Watch *w)
{
    (void)uc;
    const Page *page = &w->pages[offset >> 12];
    memcpy(page->host + (offset & 4095), &value, size);
    if (size < 8) value &= ((uint64_t)1 << 8 * size) - 1;
    note(w, page->guest + (offset & 4095), size, 1, value);
}

EXPORT void uselib_data_forget(Watch *w)
{
    w->log_count = w->row_count = w->lost = 0;
    memset(w->rows, 0, (w->row_mask + 1) * sizeof *w->rows);
}

/* -- digests (uselib/abi/dynamic/run/digest.py) -------------------------------------------------------------------------------- */

typedef struct { /* of calls, or of returns, of one function: which words of a record count */
    uint64_t first;      /* stands for the function */
    uint64_t masks[6];   /* columns 1 to 6: caller, stack pointer, four words */
    uint64_t more[7];    /* of a MORE record behind it */
    uint64_t count, known;
} Key;

typedef struct { uint64_t value, last, events; } Digest; /* last: key of the latest event */

EXPORT const uint64_t uselib_digest_sizes[] = {sizeof(Key), sizeof(Digest)};

static const uint64_t MIX[7] = {0x9E3779B97F4A7C15u, 0xD6E8FEB86659FD93u, 0xA0761D6478BD642Fu, 0xE7037ED1A0B428DBu,
                                0x8EBC6AF09C88C6E3u, 0x589965CC75374CC3u, 0x1D8E4E27C47D124Fu};

/* Adds records to a digest, up to the first whose key is not known yet; returns how many. */
EXPORT uint64_t uselib_digest(const uint64_t *records, uint64_t count, Key *keys, uint64_t key_count, Digest *d)
{
    enum { RETURN = 2, MORE = 8 };
    for (uint64_t i = 0; i < count; i++, records += 8) {
        uint64_t kind = records[7] >> 48 & 0xFF, sum, key = d->last;
        if (kind == MORE) {
            sum = kind;
            for (int c = 0; c < 7; c++) sum += (records[c] & keys[key].more[c]) * MIX[c];
        } else if (kind > RETURN) { /* a signal: that there was one */
            sum = kind;
        } else {
            key = 2 * (records[7] & 0xFFFFFFFFu) + (kind == RETURN);
            if (key >= key_count || !keys[key].known) return i;
            Key *k = &keys[key];
            sum = k->first;
            for (int c = 0; c < 6; c++) sum += (records[c + 1] & k->masks[c]) * MIX[c];
            k->count++;
            d->events++;
            d->last = key;
        }
        d->value = (d->value ^ sum) * 0xC2B2AE3D27D4EB4Fu;
        d->value ^= d->value >> 31;
    }
    return count;
}
