/* Selectors and far transfers of a program at privilege level 3: loads of segments, far JMP, CALL and RET, IRET, LAR, LSL, VERR, VERW.
 *
 * Unicorn's functions read a descriptor table in guest memory and know privilege levels, gates and tasks. A program of Linux has none of these:
 * its table is a fixed one with a few entries for thread-local storage, and every selector that it can load leads to level 3. So the table is
 * host memory here (cpu.py), and what is not a data segment or a code segment of level 3 is a fault. A transfer between the 64-bit and the
 * 32-bit code segment changes how code is executed from then on (HF_CS64); in an engine of i386 there is no 64-bit segment to go to.
 * Source: Intel SDM volume 2 (the page of each instruction), volume 3, 5.8 and 3.4.5; arch/x86/include/asm/segment.h of Linux. */
#include "core.h"

enum { ES, CS, SS, DS, FS, GS };
enum { ENTRIES = 16, CPL = 3, IN_LDT = 4 };
enum { VECTOR_NP = 11, VECTOR_SS = 12 };
enum { /* of a descriptor's second word */
    ACCESSED = 1 << 8, WRITABLE = 1 << 9, READABLE = 1 << 9, CONFORMING = 1 << 10, CODE = 1 << 11, NO_SYSTEM = 1 << 12, PRESENT = 1 << 15,
    LONG = 1 << 21, BIG = 1 << 22, PAGES = 1 << 23,
};
enum { HF_CS32 = 1 << 4, HF_SS32 = 1 << 5, HF_ADDSEG = 1 << 6, HF_LMA = 1 << 14, HF_CS64 = 1 << 15 };
enum { ARITHMETIC = 0x8D5, ZERO = 0x40, TF = 0x100, DIRECTION = 0x400, NT = 0x4000, RF = 0x10000, AC = 0x40000, ID = 0x200000, CC_EFLAGS = 1 };
enum { CANONICAL = 47 };

typedef struct { uint32_t low, high; } Descriptor;

uint32_t (*core_load32)(Env *, uint64_t, uintptr_t);

/* The table's host address lies in the register of the interrupt table, which a program does not have. */
void core_set_descriptors(Env *env, uint64_t host_address) { env->idt.base = host_address; }

static bool ours(const Env *env) { return env == core_running && env->idt.base; }


static bool find(const Env *env, uint16_t selector, Descriptor *d)
{
    if (selector & IN_LDT || selector >> 3 >= ENTRIES) return false;
    *d = ((const Descriptor *)env->idt.base)[selector >> 3];
    return true;
}

static unsigned level_of(Descriptor d) { return d.high >> 13 & 3; }
static bool null(uint16_t selector) { return !(selector & ~3); }

/* Puts a segment in place, and what follows from it for translation (cpu_x86_load_seg_cache). */
static void place(Env *env, int reg, uint16_t selector, Descriptor d)
{
    uint32_t limit = (d.low & 0xFFFF) | (d.high & 0xF0000), base = d.low >> 16 | (d.high & 0xFF) << 16 | (d.high & 0xFF000000);
    env->segs[reg] = (Segment){selector, base, d.high & PAGES ? limit << 12 | 0xFFF : limit, d.high};
    uint32_t flags = env->hflags;
    if (reg == CS) {
        flags &= ~(HF_CS32 | HF_CS64);
        if (flags & HF_LMA && d.high & LONG) flags |= HF_CS32 | HF_CS64;
        else if (d.high & BIG) flags |= HF_CS32;
    }
    flags &= ~(HF_SS32 | HF_ADDSEG);
    if (env->segs[SS].flags & BIG) flags |= HF_SS32;
    if (!(flags & HF_CS64) && (!(flags & HF_CS32) || env->segs[DS].base | env->segs[ES].base | env->segs[SS].base)) flags |= HF_ADDSEG;
    env->hflags = flags;
}

/* The descriptor for a load of SS; an error otherwise. */
static Descriptor stack_segment(Env *env, uint16_t selector, uintptr_t pc)
{
    Descriptor d;
    if (null(selector)) core_raise_error(env, VECTOR_GP, 0, pc);
    bool fits = find(env, selector, &d) && (selector & 3) == CPL && d.high & NO_SYSTEM && !(d.high & CODE) && d.high & WRITABLE && level_of(d) == CPL;
    if (!fits) core_raise_error(env, VECTOR_GP, selector & ~3, pc);
    if (!(d.high & PRESENT)) core_raise_error(env, VECTOR_SS, selector & ~3, pc);
    return d;
}

static void (*unicorn_load)(Env *, int, int);

static void load_segment(Env *env, int reg, int value)
{
    uint16_t selector = value;
    Descriptor d = {0, 0};
    if (!ours(env)) {
        unicorn_load(env, reg, value);
    } else if (reg == SS) {
        d = stack_segment(env, selector, HERE);
        place(env, reg, selector, d);
    } else {
        if (!null(selector)) {
            bool fits = find(env, selector, &d) && d.high & NO_SYSTEM && (!(d.high & CODE) || d.high & READABLE);
            if (!fits || ((d.high & (CODE | CONFORMING)) != (CODE | CONFORMING) && level_of(d) != CPL)) core_raise_error(env, VECTOR_GP, selector & ~3, HERE);
            if (!(d.high & PRESENT)) core_raise_error(env, VECTOR_NP, selector & ~3, HERE);
        }
        place(env, reg, selector, d);
    }
}

/* The descriptor of the code segment that control goes to; an error otherwise. */
static Descriptor code_segment(Env *env, uint16_t selector, uintptr_t pc)
{
    Descriptor d;
    if (null(selector)) core_raise_error(env, VECTOR_GP, 0, pc);
    bool fits = find(env, selector, &d) && d.high & NO_SYSTEM && d.high & CODE && (d.high & CONFORMING || level_of(d) == CPL);
    if (!fits || (d.high & LONG && !(env->hflags & HF_LMA))) core_raise_error(env, VECTOR_GP, selector & ~3, pc);
    if (!(d.high & PRESENT)) core_raise_error(env, VECTOR_NP, selector & ~3, pc);
    return d;
}

static void must_be_inside(Env *env, Descriptor d, uint64_t target, uintptr_t pc)
{
    bool inside = d.high & LONG ? (int64_t)target >> CANONICAL == (int64_t)target >> 63 : target <= 0xFFFFFFFF;
    if (!inside) core_raise_error(env, VECTOR_GP, 0, pc);
}

static void enter(Env *env, uint16_t selector, Descriptor d, uint64_t target)
{
    place(env, CS, (selector & ~3) | CPL, d);
    env->eip = target;
}

/* CS and SS as sigreturn sets them. 0: the program may not have these. */
bool core_set_code(Env *env, uint16_t code, uint16_t stack)
{
    Descriptor c, s;
    if (!env->idt.base || !find(env, code, &c) || !find(env, stack, &s)) return false;
    bool fits = (c.high & (NO_SYSTEM | CODE)) == (NO_SYSTEM | CODE) && level_of(c) == CPL && (env->hflags & HF_LMA || !(c.high & LONG));
    if (!fits || (s.high & (NO_SYSTEM | CODE | WRITABLE)) != (NO_SYSTEM | WRITABLE) || level_of(s) != CPL) return false;
    place(env, CS, code | CPL, c);
    place(env, SS, stack | CPL, s);
    return true;
}

/* -- the stack -- */

static uint64_t stack_address(const Env *env, uint64_t pointer)
{
    if (env->hflags & HF_CS64) return pointer;
    return (uint32_t)(env->segs[SS].base + (env->hflags & HF_SS32 ? (uint32_t)pointer : (uint16_t)pointer));
}

static void set_pointer(Env *env, uint64_t pointer)
{
    if (env->hflags & HF_CS64) env->regs[RSP] = pointer;
    else if (env->hflags & HF_SS32) env->regs[RSP] = (uint32_t)pointer;
    else env->regs[RSP] = (env->regs[RSP] & ~0xFFFFull) | (pointer & 0xFFFF);
}

/* Element number `index` of what is to be popped. Which is read first shows in the address of a fault; processors begin with the last ones. */
static uint64_t element(Env *env, unsigned index, unsigned size, uintptr_t pc)
{
    uint64_t at = stack_address(env, env->regs[RSP] + index * size);
    core_check_alignment(env, at, size, pc);
    return size == 8 ? core_load64(env, at, pc) : size == 4 ? core_load32(env, at, pc) : core_load16(env, at, pc);
}

static void store(Env *env, uint64_t at, unsigned size, uint64_t value, uintptr_t pc)
{
    if (size == 8) core_store64(env, at, value, pc);
    else if (size == 4) core_store32(env, at, value, pc);
    else core_store16(env, at, value, pc);
}

/* -- transfers. shift: operands of 2 << shift bytes. -- */

static void (*unicorn_jump)(Env *, int, uint64_t, uint64_t);
static void (*unicorn_call)(Env *, int, uint64_t, int, uint64_t);
static void (*unicorn_return)(Env *, int, int);
static void (*unicorn_iret)(Env *, int, int);

static void far_jump(Env *env, int selector, uint64_t target, uint64_t next)
{
    if (!ours(env)) {
        unicorn_jump(env, selector, target, next);
        return;
    }
    Descriptor d = code_segment(env, selector, HERE);
    must_be_inside(env, d, target, HERE);
    enter(env, selector, d, target);
}

static void far_call(Env *env, int selector, uint64_t target, int shift, uint64_t next)
{
    if (!ours(env)) {
        unicorn_call(env, selector, target, shift, next);
        return;
    }
    unsigned size = 2 << shift;
    Descriptor d = code_segment(env, selector, HERE);
    uint64_t pointer = env->regs[RSP] - 2 * size, low = stack_address(env, pointer), high = stack_address(env, pointer + size);
    core_check_alignment(env, high, size, HERE);
    must_be_inside(env, d, target, HERE);
    store(env, high, size, env->segs[CS].selector, HERE);
    store(env, low, size, next, HERE);
    set_pointer(env, pointer);
    enter(env, selector, d, target);
}

static void far_return(Env *env, int shift, int more)
{
    if (!ours(env)) {
        unicorn_return(env, shift, more);
        return;
    }
    unsigned size = 2 << shift;
    uint16_t selector = element(env, 1, size, HERE);
    uint64_t target = element(env, 0, size, HERE);
    if (!null(selector) && (selector & 3) != CPL) core_raise_error(env, VECTOR_GP, selector & ~3, HERE);
    Descriptor d = code_segment(env, selector, HERE);
    must_be_inside(env, d, target, HERE);
    set_pointer(env, env->regs[RSP] + 2 * size + (uint16_t)more);
    enter(env, selector, d, target);
}

static void interrupt_return(Env *env, int shift, int next)
{
    if (!ours(env)) {
        unicorn_iret(env, shift, next);
        return;
    }
    unsigned size = 2 << shift;
    bool wide = env->hflags & HF_CS64;
    if (env->eflags & NT) core_raise_error(env, VECTOR_GP, 0, HERE); /* a 64-bit kernel has no tasks to return to */
    uint64_t flags = element(env, 2, size, HERE), new_pointer = 0;
    uint16_t selector = element(env, 1, size, HERE), stack_selector = 0;
    uint64_t target = element(env, 0, size, HERE);
    if (wide) {
        new_pointer = element(env, 3, size, HERE);
        stack_selector = element(env, 4, size, HERE);
    }
    if (!null(selector) && (selector & 3) != CPL) core_raise_error(env, VECTOR_GP, selector & ~3, HERE);
    Descriptor d = code_segment(env, selector, HERE), s = {0, 0};
    if (wide) s = stack_segment(env, stack_selector, HERE);
    must_be_inside(env, d, target, HERE);
    if (!wide) set_pointer(env, env->regs[RSP] + 3 * size);
    enter(env, selector, d, target);
    if (wide) {
        place(env, SS, stack_selector, s);
        env->regs[RSP] = new_pointer;
    }
    uint64_t changes = (TF | NT | RF | AC | ID) & (size == 2 ? 0xFFFF : ~0u);
    env->cc_src = flags & ARITHMETIC;
    env->cc_op = CC_EFLAGS;
    env->df = flags & DIRECTION ? -1 : 1;
    env->eflags = (env->eflags & ~changes) | (flags & changes) | 2;
}

/* -- questions -- */

static uint64_t (*unicorn_lar)(Env *, uint64_t), (*unicorn_lsl)(Env *, uint64_t);
static void (*unicorn_verr)(Env *, uint64_t), (*unicorn_verw)(Env *, uint64_t);

static void answer(Env *env, bool yes) { env->cc_src = (core_flags(env, env->cc_op) & ~ZERO) | (yes ? ZERO : 0); }

/* A segment that level 3 may see; its selector may have any RPL then. System descriptors are for level 0. */
static bool visible(Env *env, uint16_t selector, Descriptor *d)
{
    return !null(selector) && find(env, selector, d) && d->high & NO_SYSTEM && (level_of(*d) == CPL || (d->high & (CODE | CONFORMING)) == (CODE | CONFORMING));
}

static uint64_t lar(Env *env, uint64_t selector)
{
    if (!ours(env)) return unicorn_lar(env, selector);
    Descriptor d = {0, 0};
    bool seen = visible(env, selector, &d);
    answer(env, seen);
    return seen ? d.high & 0x00FFFF00 : 0;
}

static uint64_t lsl(Env *env, uint64_t selector)
{
    if (!ours(env)) return unicorn_lsl(env, selector);
    Descriptor d = {0, 0};
    bool seen = visible(env, selector, &d);
    answer(env, seen);
    uint32_t limit = (d.low & 0xFFFF) | (d.high & 0xF0000);
    return d.high & PAGES ? limit << 12 | 0xFFF : limit;
}

static void verr(Env *env, uint64_t selector)
{
    if (!ours(env)) {
        unicorn_verr(env, selector);
        return;
    }
    Descriptor d;
    answer(env, visible(env, selector, &d) && (!(d.high & CODE) || d.high & READABLE));
}

static void verw(Env *env, uint64_t selector)
{
    if (!ours(env)) {
        unicorn_verw(env, selector);
        return;
    }
    Descriptor d;
    answer(env, visible(env, selector, &d) && !(d.high & CODE) && d.high & WRITABLE);
}

const Replacement uselib_segments[] = {
    {"helper_load_seg_x86_64", load_segment, (void **)&unicorn_load},
    {"helper_ljmp_protected_x86_64", far_jump, (void **)&unicorn_jump},
    {"helper_lcall_protected_x86_64", far_call, (void **)&unicorn_call},
    {"helper_lret_protected_x86_64", far_return, (void **)&unicorn_return},
    {"helper_iret_protected_x86_64", interrupt_return, (void **)&unicorn_iret},
    {"helper_lar_x86_64", lar, (void **)&unicorn_lar},
    {"helper_lsl_x86_64", lsl, (void **)&unicorn_lsl},
    {"helper_verr_x86_64", verr, (void **)&unicorn_verr},
    {"helper_verw_x86_64", verw, (void **)&unicorn_verw},
    {NULL, NULL, NULL},
};
