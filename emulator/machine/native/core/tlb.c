/* The size of the TLB.
 *
 * Unicorn's begins with 256 entries, and each page has one place in it, so two of a program's few hot pages often share a place. Then
 * every access to either takes the slow path, and while the victim TLB (8 entries) has the other page nothing is filled and the TLB does
 * not grow. So it begins larger here, and a flush does not make it smaller than that. QEMU changes the size at a flush, by how many
 * entries were in use: more than 70 % doubles it, less than 30 % shrinks it (accel/tcg/cputlb.c, tlb_mmu_resize_locked). The numbers
 * that it takes for the use are set here. */
#include "core.h"

enum { CPU_TLB_DIRTY = 33216, CPU_TLB_MODES = 33248, ENTRY_BITS = 6 };
enum { LEAST = 4096, LEAST_BITS = 12, FIRST_BITS = 8 };

typedef struct {
    uint64_t large_address, large_mask;
    int64_t window_begin;
    uint64_t window_most, used, victim;
    uint8_t victims[8][64], victims_io[8][16];
    void *io;
} Mode;
_Static_assert(sizeof(Mode) == 696, "CPUTLBDesc");

static void (*unicorn_flush)(char *cpu, uint16_t modes);

static void flush(char *cpu, uint16_t modes)
{
    Mode *mode = (Mode *)(cpu + CPU_TLB_MODES) + USER;
    uint64_t size = (core_user_level(cpu)->mask >> ENTRY_BITS) + 1;
    if (size < LEAST) mode->used = size;
    else if (size == LEAST && 5 * mode->used < 2 * size) mode->used = 2 * size / 5;
    unicorn_flush(cpu, modes);
}

/* Gives a new CPU's TLB its least size. Returns the address of the size, (entries - 1) << 6. */
uint64_t *core_grow_tlb(char *cpu)
{
    for (int bits = FIRST_BITS; bits < LEAST_BITS; bits++) {
        *(uint16_t *)(cpu + CPU_TLB_DIRTY) |= 1 << USER; /* else there is nothing to flush */
        flush(cpu, 1 << USER);
    }
    return &core_user_level(cpu)->mask;
}

const Replacement uselib_tlb[] = {
    {"tlb_flush_by_mmuidx_x86_64", flush, (void **)&unicorn_flush},
    {NULL, NULL, NULL},
};
