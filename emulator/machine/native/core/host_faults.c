/* SIGBUS and SIGSEGV of the host in guest memory: a mapped file that has been shortened has no page there any more, and only the access
 * shows that.
 *
 * In translated code and in functions that it calls, the handler raises a page fault of the guest's CPU (vector 14, which nothing else
 * raises here), records the address, and the run ends with the registers as they were before the instruction. Anywhere else (the process
 * itself reads or writes guest memory) it maps an anonymous page in the place and records that. The code that made the access checks for
 * this (uselib_core_lost), restores the mapping, and reports the fault.
 *
 * The guest's instruction is found from an address in the translated code: the processor's program counter; or the address that a slow
 * memory access gets as argument; or, in other functions, their return address. The return address lies below the stack frame of
 * translated code, whose distance from that of uselib_core_start is the same in each run; stores give that distance. Source:
 * sigaction(2); QEMU's accel/tcg/translate-all.c (cpu_restore_state), tcg/i386/tcg-target.inc.c (slow paths). */
#define _GNU_SOURCE
#include "core.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { VECTOR_PF = 14, ADJUSTMENT = 2, LOST = 64, WROTE = 2 };
enum { MEM_READ = 16, MEM_WRITE = 17, MEM_FETCH = 18 };

typedef struct { uint64_t host, size, guest; } GuestWindow;

static GuestWindow *windows;
static size_t window_count, window_room;
static uint64_t lost[LOST]; /* host addresses of pages that were replaced */
static size_t lost_count;
static struct { uint64_t address, access; } fault; /* the latest */

bool (*core_restore)(void *cpu, uintptr_t host_pc, bool will_exit);
bool core_translating;
sigjmp_buf core_copy_failed;
volatile bool core_copying;
static uintptr_t core_frame, block_distance;
uintptr_t core_access_pc;
static pthread_t running_thread;
static struct sigaction before[2];
static const int SIGNALS[2] = {SIGBUS, SIGSEGV};

void core_enter_faults(uintptr_t frame)
{
    core_frame = frame;
    core_translating = core_copying = false;
    core_access_pc = 0;
    running_thread = pthread_self();
}

static const GuestWindow *window_of(uint64_t host)
{
    for (size_t i = 0; i < window_count; i++)
        if (host - windows[i].host < windows[i].size) return &windows[i];
    return NULL;
}

static bool in_unicorn_or_here(uint64_t pc)
{
    Dl_info there, unicorn, here;
    if (!dladdr((void *)pc, &there) || !dladdr((void *)core_restore, &unicorn) || !dladdr((void *)window_of, &here)) return false;
    return there.dli_fbase == unicorn.dli_fbase || there.dli_fbase == here.dli_fbase;
}

/* Whether the CPU made the access; its state is then that before the instruction. */
static bool guest_made_it(uint64_t pc)
{
    char *cpu = (char *)core_running - CPU_ENV;
    if (core_restore(cpu, pc + ADJUSTMENT, true)) return true;
    if (!in_unicorn_or_here(pc)) return false;
    if (core_translating) return true; /* the block begins at the program counter */
    if (core_access_pc) return core_restore(cpu, core_access_pc, true);
    return block_distance && core_restore(cpu, ((uintptr_t *)(core_frame - block_distance))[-1], true);
}

/* Does what the handler before this one would do. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction *old = &before[number == SIGSEGV];
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(number, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(number);
    } else if (info->si_code > 0 || old->sa_handler == SIG_DFL) {
        signal(number, SIG_DFL); /* the access is made again */
        if (info->si_code <= 0) raise(number);
    }
}

/* The kernel resets the floating-point unit for handlers; the guest's rounding mode and flags are in it. */
static void restore_unit(const mcontext_t *machine) { __asm__ volatile("fxrstor64 %0" : : "m"(*machine->fpregs)); }

static void handle(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    uint64_t at = (uint64_t)info->si_addr;
    const GuestWindow *window = info->si_code > 0 ? window_of(at) : NULL;
    if (!window) {
        pass_on(number, info, context);
        return;
    }
    bool here = core_running && pthread_equal(running_thread, pthread_self());
    if (here && core_copying) {
        core_copying = false;
        restore_unit(machine);
        siglongjmp(core_copy_failed, 1);
    }
    if (here && guest_made_it(machine->gregs[REG_RIP])) {
        fault.address = at - window->host + window->guest;
        fault.access = core_translating ? MEM_FETCH : machine->gregs[REG_ERR] & WROTE ? MEM_WRITE : MEM_READ;
        core_access_pc = 0;
        restore_unit(machine);
        core_raise_error(core_running, VECTOR_PF, 0, 0);
    }
    void *page = (void *)(at & -(uint64_t)PAGE);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (lost_count == LOST || mmap(page, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) pass_on(number, info, context);
    else lost[lost_count++] = (uint64_t)page;
}

/* Installs the handlers if they are not in place. Python's signal.signal may have replaced them. */
static int install(void)
{
    struct sigaction ours = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK}, now;
    for (int i = 0; i < 2; i++) {
        if (sigaction(SIGNALS[i], NULL, &now)) return -1;
        if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == handle) continue;
        before[i] = now;
        if (sigaction(SIGNALS[i], &ours, NULL)) return -1;
    }
    return 0;
}

/* Guest addresses [guest, guest + size) are host memory at `host`. -1: out of memory. */
EXPORT int uselib_core_window(uint64_t host, uint64_t size, uint64_t guest)
{
    if (window_count == window_room) {
        size_t room = window_room ? 2 * window_room : 8;
        GuestWindow *grown = realloc(windows, room * sizeof *grown);
        if (!grown) return -1;
        windows = grown, window_room = room;
    }
    windows[window_count++] = (GuestWindow){host, size, guest};
    return install();
}

/* The window is no longer guest memory; after the last one the handlers are those from before. */
EXPORT void uselib_core_no_window(uint64_t host)
{
    struct sigaction now;
    for (size_t i = 0; i < window_count; i++)
        if (windows[i].host == host) windows[i--] = windows[--window_count];
    if (window_count) return;
    for (int i = 0; i < 2; i++)
        if (!sigaction(SIGNALS[i], NULL, &now) && now.sa_flags & SA_SIGINFO && now.sa_sigaction == handle) sigaction(SIGNALS[i], &before[i], NULL);
}

/* The fault that ended the last run: guest address, kind of access (uc_mem_type). */
EXPORT void uselib_core_fault(uint64_t *out) { memcpy(out, &fault, sizeof fault); }

/* A host page that was replaced since the last question; 0: none. */
EXPORT uint64_t uselib_core_lost(void) { return lost_count ? lost[--lost_count] : 0; }

/* Slow memory accesses: how, of what size, where from. */
#define LOAD(name, type) \
    static type (*unicorn_##name)(Env *, uint64_t, uint32_t, uintptr_t); \
    static type name(Env *env, uint64_t address, uint32_t how, uintptr_t host_pc) \
    { \
        uintptr_t outer = core_access_pc; \
        core_access_pc = host_pc; \
        type value = unicorn_##name(env, address, how, host_pc); \
        core_access_pc = outer; \
        return value; \
    }
#define STORE(name, type) \
    static void (*unicorn_##name)(Env *, uint64_t, type, uint32_t, uintptr_t); \
    static void name(Env *env, uint64_t address, type value, uint32_t how, uintptr_t host_pc) \
    { \
        uintptr_t outer = core_access_pc; \
        if ((uintptr_t)__builtin_return_address(0) == host_pc) block_distance = core_frame - (uintptr_t)__builtin_frame_address(0) - 16; \
        core_access_pc = host_pc; \
        unicorn_##name(env, address, value, how, host_pc); \
        core_access_pc = outer; \
    }
LOAD(ret_ldub, uintptr_t) LOAD(le_lduw, uintptr_t) LOAD(le_ldul, uintptr_t) LOAD(le_ldq, uint64_t)
LOAD(be_lduw, uintptr_t) LOAD(be_ldul, uintptr_t) LOAD(be_ldq, uint64_t)
STORE(ret_stb, uint8_t) STORE(le_stw, uint16_t) STORE(le_stl, uint32_t) STORE(le_stq, uint64_t)
STORE(be_stw, uint16_t) STORE(be_stl, uint32_t) STORE(be_stq, uint64_t)

#define SLOW(name) {"helper_" #name "_mmu_x86_64", name, (void **)&unicorn_##name}

const Replacement uselib_host_faults[] = {
    SLOW(ret_ldub), SLOW(le_lduw), SLOW(le_ldul), SLOW(le_ldq), SLOW(be_lduw), SLOW(be_ldul), SLOW(be_ldq),
    SLOW(ret_stb), SLOW(le_stw), SLOW(le_stl), SLOW(le_stq), SLOW(be_stw), SLOW(be_stl), SLOW(be_stq),
    {NULL, NULL, NULL},
};
