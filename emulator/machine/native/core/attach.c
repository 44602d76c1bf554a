/* Puts the replacements in place, and wraps a run of the CPU. See core.h. */
#define _GNU_SOURCE
#include "core.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(offsetof(Env, hflags) == 176 && offsetof(Env, segs) == 184 && offsetof(Env, cr) == 424, "Env");
_Static_assert(offsetof(Env, efer) == 592 && offsetof(Env, top) == 604 && offsetof(Env, st) == 624, "Env");
_Static_assert(offsetof(Env, fp_status) == 776 && offsetof(Env, ft0) == 784 && offsetof(Env, sse_status) == 808, "Env");
_Static_assert(offsetof(Env, mxcsr) == 816 && offsetof(Env, xmm) == 824 && offsetof(Env, mmx_t0) == 2936, "Env");
_Static_assert(offsetof(Env, error_code) == 5384 && offsetof(Env, old_exception) == 5496, "Env");

RaiseFunction core_raise;
RaiseErrorFunction core_raise_error;
uint32_t (*core_read_byte)(Env *, uint64_t, uintptr_t);
void (*core_store_byte)(Env *, uint64_t, uint32_t, uintptr_t);

uint64_t core_until;
bool core_counting;
static int (*emu_start)(void *, uint64_t, uint64_t, uint64_t, size_t);

static const struct { const char *name; void *pointer; } IMPORTS[] = {
    {"raise_exception_ra_x86_64", &core_raise},
    {"raise_exception_err_ra_x86_64", &core_raise_error},
    {"cpu_ldub_data_ra_x86_64", &core_read_byte},
    {"cpu_lduw_data_ra_x86_64", &core_load16},
    {"cpu_ldl_data_ra_x86_64", &core_load32},
    {"cpu_ldq_data_ra_x86_64", &core_load64},
    {"cpu_stb_data_ra_x86_64", &core_store_byte},
    {"cpu_stw_data_ra_x86_64", &core_store16},
    {"cpu_stl_data_ra_x86_64", &core_store32},
    {"cpu_stq_data_ra_x86_64", &core_store64},
    {"probe_access_x86_64", &core_probe},
    {"tlb_vaddr_to_host_x86_64", &core_host_address},
    {"cpu_cc_compute_all_x86_64", &core_flags},
    {"tcg_gen_callN_x86_64", &core_gen_call},
    {"uc_emu_start", &emu_start},
    {"uc_emu_stop", &core_emu_stop},
    {"uc_context_save", &core_save_context},
    {"uc_context_restore", &core_restore_context},
    {"cpu_loop_exit_noexc_x86_64", &core_loop_exit},
    {"cpu_restore_state_x86_64", &core_restore},
    {"gen_new_label_x86_64", &core_new_label},
    {"tcg_temp_new_internal_x86_64", &core_new_temporary},
    {"tcg_gen_brcondi_i32_x86_64", &core_emit_branch},
    {"tcg_gen_op1_x86_64", &core_emit_one},
    {"tcg_gen_op3_x86_64", &core_emit_three},
    {"tcg_const_i64_x86_64", &core_constant},
    {"tcg_temp_free_internal_x86_64", &core_free_temporary},
};

static const Replacement *const *const TABLES = uselib_replacements;

/* The replacement for a symbol of the library, by its index in .dynsym. */
typedef struct { uint32_t symbol; const Replacement *row; } Wanted;

static int by_symbol(const void *a, const void *b)
{
    uint32_t x = ((const Wanted *)a)->symbol, y = ((const Wanted *)b)->symbol;
    return x < y ? -1 : x > y;
}

/* The entries of the library's dynamic section that are needed. */
typedef struct {
    const Elf64_Sym *symbols;
    const char *strings;
    const uint32_t *hash; /* DT_GNU_HASH */
    const Elf64_Rela *rela, *plt;
    size_t rela_count, plt_count, symbol_count;
} Dynamic;

static bool read_dynamic(const struct link_map *map, Dynamic *d)
{
    for (const Elf64_Dyn *row = map->l_ld; row->d_tag != DT_NULL; row++) {
        const void *pointer = (const void *)row->d_un.d_ptr; /* the dynamic linker has added the base */
        switch (row->d_tag) {
        case DT_SYMTAB: d->symbols = pointer; break;
        case DT_STRTAB: d->strings = pointer; break;
        case DT_GNU_HASH: d->hash = pointer; break;
        case DT_RELA: d->rela = pointer; break;
        case DT_JMPREL: d->plt = pointer; break;
        case DT_RELASZ: d->rela_count = row->d_un.d_val / sizeof *d->rela; break;
        case DT_PLTRELSZ: d->plt_count = row->d_un.d_val / sizeof *d->plt; break;
        }
    }
    if (!d->symbols || !d->strings || !d->hash || !d->rela || !d->plt || (const char *)d->symbols >= d->strings) return false;
    d->symbol_count = (d->strings - (const char *)d->symbols) / sizeof *d->symbols; /* .dynstr follows .dynsym */
    return true;
}

/* Number of a defined symbol in .dynsym; 0: there is none. (dladdr would search the whole table for each.) */
static uint32_t look_up(const Dynamic *d, const char *name)
{
    uint32_t buckets = d->hash[0], first = d->hash[1], bloom = d->hash[2], hash = 5381;
    const uint32_t *bucket = d->hash + 4 + 2 * bloom, *chain = bucket + buckets;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) hash = 33 * hash + *p;
    for (uint32_t number = bucket[hash % buckets]; number >= first; number++) {
        uint32_t other = chain[number - first];
        if ((other | 1) == (hash | 1) && !strcmp(d->strings + d->symbols[number].st_name, name)) return number;
        if (other & 1) break;
    }
    return 0;
}

/* Makes the pages that the dynamic linker has made read-only (RELRO) writable in one call: one call for each written page would take a
 * millisecond. */
static bool open_tables(const struct link_map *map)
{
    const Elf64_Ehdr *header = (const void *)map->l_addr;
    const Elf64_Phdr *row = (const void *)(map->l_addr + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        if (row[i].p_type != PT_GNU_RELRO) continue;
        uint64_t begin = map->l_addr + row[i].p_vaddr, end = begin + row[i].p_memsz;
        begin &= -4096ull;
        if (mprotect((void *)begin, (end & -4096ull) - begin, PROT_READ | PROT_WRITE)) return false;
    }
    return true;
}

static uint64_t patch(const Elf64_Rela *rows, size_t count, uint64_t base, const Wanted *wanted, size_t wanted_count,
                      const uint8_t *known)
{
    uint64_t patched = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t symbol = ELF64_R_SYM(rows[i].r_info), kind = ELF64_R_TYPE(rows[i].r_info);
        if (!symbol || !(known[symbol >> 3] >> (symbol & 7) & 1)) continue;
        if (kind != R_X86_64_64 && kind != R_X86_64_GLOB_DAT && kind != R_X86_64_JUMP_SLOT) continue;
        Wanted key = {symbol, NULL}, *row = bsearch(&key, wanted, wanted_count, sizeof key, by_symbol);
        if (!row) continue;
        *(uint64_t *)(base + rows[i].r_offset) = (uint64_t)row->row->replacement;
        patched++;
    }
    return patched;
}

/* Replaces what the tables name in the loaded library, once a process. An engine that is initialised before has the old functions in a table of
 * its own, and cannot translate calls of new ones: so this comes before the first. Returns the number of words changed; -1: it cannot be done. */
EXPORT int64_t uselib_core_attach(void *library)
{
    static int64_t done;
    if (done) return done;
    struct link_map *map;
    if (!core_prepare_x87()) return done = -1;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map)) return done = -1;
    for (size_t i = 0; i < sizeof IMPORTS / sizeof *IMPORTS; i++) {
        void *found = dlsym(library, IMPORTS[i].name);
        if (!found) return done = -1;
        memcpy(IMPORTS[i].pointer, &found, sizeof found);
    }
    Dynamic d = {0};
    if (!read_dynamic(map, &d) || !open_tables(map)) return done = -1;
    size_t count = 0;
    for (const Replacement *const *table = TABLES; *table; table++)
        for (const Replacement *row = *table; row->name; row++) count++;
    Wanted *wanted = calloc(count ? count : 1, sizeof *wanted);
    uint8_t *known = calloc(d.symbol_count / 8 + 1, 1);
    if (!wanted || !known) return done = -1;
    count = 0;
    for (const Replacement *const *table = TABLES; *table; table++)
        for (const Replacement *row = *table; row->name; row++) {
            uint32_t number = look_up(&d, row->name);
            if (!number || number >= d.symbol_count) return done = -1;
            if (row->original) *row->original = (void *)(map->l_addr + d.symbols[number].st_value);
            wanted[count++] = (Wanted){number, row};
            known[number >> 3] |= 1 << (number & 7);
        }
    qsort(wanted, count, sizeof *wanted, by_symbol);
    for (size_t i = 1; i < count; i++)
        if (wanted[i].symbol == wanted[i - 1].symbol) return done = -1; /* two files replace the same function */
    int64_t patched = patch(d.rela, d.rela_count, map->l_addr, wanted, count, known);
    patched += patch(d.plt, d.plt_count, map->l_addr, wanted, count, known);
    free(wanted);
    free(known);
    return done = patched;
}

static Env *env_of(void *uc)
{
    return (Env *)(*(char **)((char *)uc + UC_CPU) + CPU_ENV);
}

/* Whether the engine's CPU has the layout in core.h. */
EXPORT int uselib_core_fits(void *uc)
{
    char *cpu = *(char **)((char *)uc + UC_CPU);
    Env *env = (Env *)(cpu + CPU_ENV);
    return *(void **)(cpu + CPU_UC) == uc && env->df == 1 && env->old_exception == -1 && env->gdt.base == 0;
}

/* Before the first run. Returns the address of the TLB's size, for page_table.c. */
EXPORT uint64_t *uselib_core_grow_tlb(void *uc) { return core_grow_tlb((char *)env_of(uc) - CPU_ENV); }

EXPORT Env *uselib_core_env(void *uc) { return env_of(uc); }

enum { ES, CS, SS, DS, FS, GS };
enum { CPL = 3, SS32 = 1 << 5, CS32 = 1 << 4, ADDSEG = 1 << 6 };

/* Privilege level 3 with Linux's selectors (arch/x86/include/asm/segment.h). bits: 32 or 64.
 * descriptors: host address of the table that they are in, 16 entries. Attributes as in a descriptor's second word: FB code, readable, accessed, DPL 3; F3 data; A/C: 4 KiB units, 64- or 32-bit. */
EXPORT void uselib_core_user_mode(void *uc, int bits, uint64_t descriptors)
{
    Env *env = env_of(uc);
    core_set_descriptors(env, descriptors);
    core_watch_alignment(*(void **)((char *)env - CPU_ENV + CPU_CLASS));
    Segment data = {0x2B, 0, 0xFFFFFFFF, 0x00CFF300}, none = {0, 0, 0, 0};
    env->segs[CS] = bits == 64 ? (Segment){0x33, 0, 0xFFFFFFFF, 0x00AFFB00} : (Segment){0x23, 0, 0xFFFFFFFF, 0x00CFFB00};
    env->segs[SS] = data;
    env->segs[DS] = env->segs[ES] = bits == 64 ? none : data;
    env->segs[FS] = env->segs[GS] = none;
    env->hflags |= CPL;
    if (bits == 32) env->hflags |= SS32 | CS32;
}

/* Selector of ES CS SS DS FS GS; whether code is executed as 64-bit code; CS and SS (0: a program may not have these). */
EXPORT uint32_t uselib_core_selector(void *uc, int segment) { return env_of(uc)->segs[segment].selector; }

EXPORT int uselib_core_wide(void *uc) { return env_of(uc)->hflags >> 15 & 1; }

EXPORT int uselib_core_set_code(void *uc, int code, int stack) { return core_set_code(env_of(uc), code, stack); }

/* uc_emu_start. The guest's kernel has handled an exception of an earlier run, so the next one is no double fault. calls: the calls that
 * may be answered within the run (../calls/calls.h); NULL: none, and hooks see all calls. */
EXPORT int uselib_core_start(void *uc, uint64_t pc, uint64_t until, int counting, void *calls)
{
    Env *env = env_of(uc);
    env->old_exception = -1;
    Env *outer = core_running;
    core_until = until;
    core_counting = counting;
    core_running = env;
    core_enter_faults((uintptr_t)__builtin_frame_address(0));
    core_clear_x87();
    core_enter_watch(uc);
    core_enter_calls(calls);
    core_enter_sse(env);
    int status = emu_start(uc, pc, until, 0, 0);
    core_leave_sse(env);
    core_running = outer;
    return status;
}
