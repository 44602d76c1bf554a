/* Start-up of a program with static shared libraries: the start-up contract of docs/formats.md, in order.
 *
 *   1. read argv, the environment and the auxiliary vector
 *   2. find, check and map every library of `.lib`, then every library that those need   (find.h, map.h)
 *   3. set the pointers of interposable functions to the program's definitions
 *   4. __libc_start_main(__uselib_main, ...): libraries may be called from here on
 *   5. __uselib_main: initialisers of the libraries, dependencies first; the program's; main
 *
 * In scheme `kernel` exec has mapped the libraries, and step 2 only checks them. In schemes `bsdos` and `interp` the program has
 * step 1 or nothing (bsd.h), and the rest is done by a second copy of this file in the C library (boot.c).
 *
 * Initialisers run exactly once. Those of a library are listed in its header and run here, whatever the library;
 * __libc_start_main of a shared C library sees its own __init_array_start, where mkshlib leaves an empty array. */

#if USELIB_SCHEME >= SCHEME_KERNEL /* each of these takes only part of what follows */
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include "../include/uselib.h"
#include "system.h"
#include "directory.h"

/* As many as the table below has room for; a fixed table, because there is no allocator yet. */
#define MAXIMUM_LIBRARIES 64

struct library {
    const char *file_name;               /* as `.lib` or a library's header has it */
    const struct uselib_needs *needs;    /* the version that the program, or the first library that asked, was linked with */
    const struct uselib_library *header; /* in the mapped library */
    int visited;                         /* by initialise() */
};

static struct library libraries[MAXIMUM_LIBRARIES];
static int library_count;
static const char *program_name;

#include "report.h"
#include "versions.h"
#include "find.h"
#include "map.h"

#if USELIB_SCHEME != SCHEME_BOOT
#include "program.h"
#endif
int atexit(routine);

/* A program's notes, through the program headers that the kernel points to (any linker writes PT_NOTE). */
static const struct uselib_needs *needs_of_program(const struct program_header *headers, word count, const char *name) {
    for (word i = 0; i < count; i++) {
        const struct uselib_needs *found;
        if (headers[i].type != SEGMENT_NOTE) continue;
        found = find_needs((const unsigned char *)headers[i].address, headers[i].memory_size, name);
        if (found) return found;
    }
    return 0;
}

/* The next name of a list of NUL-terminated names, 0 at its end; a list that does not end before `end` is fatal. */
static const char *next_name(const char **position, const char *end) {
    const char *name = *position, *p = name;
    while (p < end && *p) p++;
    if (p >= end) refuse("", "Corrupt library list.");
    *position = p + 1;
    return p == name ? 0 : name;
}

static struct library *add_library(const char *file_name, const struct uselib_needs *needs) {
    if (library_count == MAXIMUM_LIBRARIES) refuse(file_name, "Too many libraries.");
    if (!needs) refuse(file_name, "Version of library unknown: the note of the stub library is missing.");
    libraries[library_count].file_name = file_name;
    libraries[library_count].needs = needs;
    return &libraries[library_count++];
}

/* Libraries are compared by name without version: libraries get the version that the program was linked with. */
static struct library *known_library(const char *file_name) {
    for (int i = 0; i < library_count; i++)
        if (names_library(file_name, libraries[i].needs->name)) return &libraries[i];
    return 0;
}

/* The path of library `name` in the program's table, which has every library, also those that others depend on. Without a table, `name`
 * itself. */
static const char *tabled(const char *name, const struct uselib_needs *needs) {
    const struct uselib_place *place = PROGRAM->table;
    if (!place || !needs) return name;
    for (; place->name; place++) {
        if (!names_library(place->name, needs->name)) continue;
        if (place->address != needs->base) refuse(place->name, "Load address is not the one linked with.");
        return place->name;
    }
    return name;
}

/* Appends dependencies that are new to the table, and checks those that are in it against the need. */
static void add_dependencies(const struct library *library) {
    const struct uselib_library *header = library->header;
    const char *name = (const char *)header + header->dependency_offset;
    for (unsigned i = 0; i < header->dependency_count; i++, name += string_length(name) + 1) {
        const struct uselib_needs *needs = needs_of_library(header, name);
        struct library *known = known_library(name);
        if (!known)
            add_library(tabled(name, needs), needs);
        else if (known->header && needs)
            check_version(known->file_name, known->header, needs);
    }
}

/* The libraries that the program was linked with: its table of names and addresses if it has one, else `.lib`. */
static void list_needed(const struct program_header *headers, word count) {
    const char *position = PROGRAM->libraries, *name;
    if (PROGRAM->table) {
        for (const struct uselib_place *place = PROGRAM->table; place->name; place++) {
            const struct uselib_needs *needs = needs_of_program(headers, count, place->name);
            if (needs && !known_library(place->name)) add_library(tabled(place->name, needs), needs);
        } /* the others are unused, or a library depends on them and records their versions */
        return;
    }
    if (!PROGRAM->libraries_end) refuse("", "Corrupt library list: crtn.o was not linked.");
    while ((name = next_name(&position, PROGRAM->libraries_end))) {
        if (!known_library(name)) add_library(name, needs_of_program(headers, count, name));
    }
}

static void map_libraries(const struct program_header *headers, word count, const struct search *search) {
    list_needed(headers, count);
    for (int i = 0; i < library_count; i++) { /* library_count grows */
        map_library(&libraries[i], search);
        add_dependencies(&libraries[i]);
    }
    for (int i = 0; i < library_count; i++) add_dependencies(&libraries[i]); /* every need, now that all are mapped */
}

/* No arguments, not even a name, asks for the list of libraries instead of the program (the ldd mode of Linux a.out,
 * argc <= 0). Kernels since 5.18 turn an empty argument list into one empty string. */
static void list_libraries(const struct program_header *headers, word count) {
    const char *position = PROGRAM->libraries, *name;
    if (!PROGRAM->libraries_end) exit_now(0);
    while ((name = next_name(&position, PROGRAM->libraries_end))) {
        const struct uselib_needs *needs = needs_of_program(headers, count, name);
        if (!needs) continue;
        put(1, "\t"), put(1, name), put(1, " ("), put_version(1, needs->major, needs->minor, needs->patch);
        put(1, ")\n");
    }
    flush(1);
    exit_now(0);
}

static void interpose(void) {
    for (const struct uselib_interpose *i = PROGRAM->interpose; i < PROGRAM->interpose_end; i++)
        if (i->definition != i->slot) *i->pointer = i->definition;
}

static struct library *initialised[MAXIMUM_LIBRARIES];
static int initialised_count;

/* Depth first, so that a library's dependencies are ready before it; a cycle ends where it closes. */
static void initialise(struct library *library) {
    const struct uselib_library *header = library->header;
    const char *name = (const char *)header + header->dependency_offset;
    const routine *init = (const routine *)(word)header->init_array;
    if (library->visited) return;
    library->visited = 1;
    for (unsigned i = 0; i < header->dependency_count; i++, name += string_length(name) + 1) {
        struct library *dependency = known_library(name);
        if (dependency) initialise(dependency);
    }
    initialised[initialised_count++] = library;
    for (unsigned i = 0; i < header->init_count; i++) init[i]();
}

/* Registered with atexit before any initialiser runs, so it runs after everything that those register. */
static void finalise(void) {
    for (const routine *r = PROGRAM->fini_end; r > PROGRAM->fini;) (*--r)();
    if (PROGRAM->last) PROGRAM->last();
    while (initialised_count > 0) {
        const struct uselib_library *header = initialised[--initialised_count]->header;
        const routine *fini = (const routine *)(word)header->fini_array;
        for (unsigned i = header->fini_count; i > 0;) fini[--i]();
    }
}

static int __uselib_main(int argc, char **argv, char **envp) {
    typedef void (*initialiser)(int, char **, char **);
    atexit(finalise);
    for (int i = 0; i < library_count; i++) initialise(&libraries[i]);
    for (const routine *r = PROGRAM->preinit; r < PROGRAM->preinit_end; r++) ((initialiser)*r)(argc, argv, envp);
    if (PROGRAM->first) PROGRAM->first();
    for (const routine *r = PROGRAM->init; r < PROGRAM->init_end; r++) ((initialiser)*r)(argc, argv, envp);
    return PROGRAM->main(argc, argv, envp);
}

static void no_routine(void) {}

/* What the kernel put on the stack. */
struct process {
    int argc;
    char **argv, **envp;
    word auxiliary[32];
    const struct program_header *headers;
    word header_count;
};

static void read_stack(struct process *process, long *stack) {
    char **end;
    process->argc = (int)*stack;
    process->argv = (char **)(stack + 1);
    process->envp = process->argv + (process->argc > 0 ? process->argc : 0);
    while (*process->envp) process->envp++; /* with argc <= 0 a name may still follow */
    end = ++process->envp;
    while (*end) end++;
    for (int i = 0; i < 32; i++) process->auxiliary[i] = 0;
    for (const word *a = (const word *)(end + 1); a[0]; a += 2)
        if (a[0] < 32) process->auxiliary[a[0]] = a[1];
    process->headers = (const struct program_header *)process->auxiliary[AT_PHDR_];
    process->header_count = process->auxiliary[AT_PHNUM_];
    program_name = process->argv[0] ? process->argv[0] : "program";
}

static int asks_for_list(const struct process *process) {
    return process->argc <= 0 || (process->argc == 1 && !process->argv[0][0]);
}

/* The search path and the version rule. */
static void set_search(struct search *search, const struct process *process) {
    const word *auxiliary = process->auxiliary;
    search->environment = 0;
    version_rule = rule_named(PROGRAM->rule);
    if (!auxiliary[AT_SECURE_] && auxiliary[AT_UID_] == auxiliary[AT_EUID_] && auxiliary[AT_GID_] == auxiliary[AT_EGID_]) {
        const char *rule = environment_value(process->envp, "USELIB_VERSION_RULE");
        if (rule && *rule) version_rule = rule_named(rule);
        search->environment = environment_value(process->envp, "LD_LIBRARY_PATH");
    }
    search->path = PROGRAM->path ? PROGRAM->path : "/shlib";
}

/* Steps 2 and 3. */
static void prepare(const struct process *process) {
    struct search search;
    set_search(&search, process);
    map_libraries(process->headers, process->header_count, &search);
    interpose();
}

#if USELIB_SCHEME == SCHEME_BSDOS || USELIB_SCHEME == SCHEME_INTERP
#include "bsd.h"
#elif USELIB_SCHEME != SCHEME_BOOT

void __uselib_start(long *stack) {
    struct process process;
    read_stack(&process, stack);
    if (asks_for_list(&process)) list_libraries(process.headers, process.header_count);
    prepare(&process);
    __libc_start_main(__uselib_main, process.argc, process.argv, no_routine, no_routine, 0);
    for (;;) __builtin_trap();
}

#endif
