/* Guest memory for system calls: memory that the CPU itself may access, as host memory. */
#include "calls.h"

#include <string.h>

bool add_pieces(Env *env, Pieces *pieces, uint64_t address, uint64_t size, int access)
{
    if (size > MOST - pieces->size) return false;
    while (size) {
        uint64_t step = PAGE - address % PAGE;
        if (step > size) step = size;
        char *host = core_host_address(env, address, access, USER);
        if (!host) return false;
        struct iovec *last = pieces->parts + pieces->count - 1;
        if (pieces->count && (char *)last->iov_base + last->iov_len == host) {
            last->iov_len += step;
        } else {
            if (pieces->count == PIECES) return false;
            pieces->parts[pieces->count++] = (struct iovec){host, step};
        }
        pieces->size += step, address += step, size -= step;
    }
    return true;
}

static __attribute__((noinline)) void copy_all(const Pieces *pieces, char *buffer, bool store)
{
    for (const struct iovec *part = pieces->parts; part < pieces->parts + pieces->count; part++) {
        if (store) memcpy(part->iov_base, buffer, part->iov_len);
        else memcpy(buffer, part->iov_base, part->iov_len);
        buffer += part->iov_len;
    }
}

/* The host's pages may be missing if the mapped file has been shortened (host_faults.c). */
static bool copy(const Pieces *pieces, void *buffer, bool store)
{
    if (sigsetjmp(core_copy_failed, 0)) return false;
    core_copying = true;
    copy_all(pieces, buffer, store);
    core_copying = false;
    return true;
}

bool load_guest(Env *env, void *out, uint64_t address, size_t size)
{
    Pieces pieces = {.count = 0, .size = 0};
    return add_pieces(env, &pieces, address, size, LOAD) && copy(&pieces, out, false);
}

bool store_guest(Env *env, uint64_t address, const void *data, size_t size)
{
    Pieces pieces = {.count = 0, .size = 0};
    return add_pieces(env, &pieces, address, size, STORE) && copy(&pieces, (void *)data, true);
}
