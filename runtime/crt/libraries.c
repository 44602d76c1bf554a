/* Start-up of a program with static shared libraries: the start-up contract of ARCHITECTURE.md, in order.
 *
 *   1. read argv, the environment and the auxiliary vector
 *   2. find, check and map every library of `.lib`, then every library that those need   (find.h, map.h)
 *   3. set the pointers of interposable functions to the program's definitions
 *   4. __libc_start_main(__uselib_main, ...): libraries may be called from here on
 *   5. __uselib_main: initialisers of the libraries, dependencies first; the program's; main
 *
 * Initialisers run exactly once. Those of a library are listed in its header and run here, whatever the library;
 * __libc_start_main of a shared C library sees its own __init_array_start, where mkshlib leaves an empty array. */

#include "../include/uselib.h"
#include "system.h"
#include "directory.h"

/* As many as the table below has room for; a fixed table, because there is no allocator yet. */
#define MAXIMUM_LIBRARIES 64

struct library {
    const char *file_name;               /* as `.lib` or a library's header has it */
    const struct uselib_needs *needs;    /* what the program, or the first library that asked, was linked with */
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

/* `.lib`: crt1.o is linked first and defines the start, crtn.o last and adds the empty name and defines the end. */
__asm__(".section .lib, \"a\", @progbits\n"
        ".globl _SHARED_LIBRARIES\n"
        "_SHARED_LIBRARIES:\n"
        ".text\n");
/* For who reads the program's symbols: which scheme it is of. */
#if USELIB_SCHEME == SCHEME_USELIB
__asm__(".globl _SHARED_LIBRARY_SCHEME\n_SHARED_LIBRARY_SCHEME = 1\n");
#else
__asm__(".globl _SHARED_LIBRARY_SCHEME\n_SHARED_LIBRARY_SCHEME = 2\n");
#endif
extern const char _SHARED_LIBRARIES[];
extern const char _SHARED_LIBRARIES_END[] __attribute__((weak)); /* crtn.o */
extern const char _SHARED_LIBRARY_PATH[] __attribute__((weak));  /* our ld, for -rpath */
extern const char _SHARED_LIBRARY_RULE[] __attribute__((weak));  /* our ld, for --version-rule */

extern const struct uselib_interpose __start_uselib_interpose[] __attribute__((weak));
extern const struct uselib_interpose __stop_uselib_interpose[] __attribute__((weak));
extern const routine __preinit_array_start[] __attribute__((weak, visibility("hidden")));
extern const routine __preinit_array_end[] __attribute__((weak, visibility("hidden")));
extern const routine __init_array_start[] __attribute__((weak, visibility("hidden")));
extern const routine __init_array_end[] __attribute__((weak, visibility("hidden")));
extern const routine __fini_array_start[] __attribute__((weak, visibility("hidden")));
extern const routine __fini_array_end[] __attribute__((weak, visibility("hidden")));
void _init(void) __attribute__((weak));
void _fini(void) __attribute__((weak));
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

/* The next name of a list of NUL-terminated names, 0 at its end; a list that is not ended within `end` is fatal. */
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

/* A library is known by its name without version: a program's choice of version serves the libraries as well. */
static struct library *known_library(const char *file_name) {
    for (int i = 0; i < library_count; i++)
        if (names_library(file_name, libraries[i].needs->name)) return &libraries[i];
    return 0;
}

/* Dependencies that nobody asked for yet join the end of the table; check those that are there against the need. */
static void add_dependencies(const struct library *library) {
    const struct uselib_library *header = library->header;
    const char *name = (const char *)header + header->dependency_offset;
    for (unsigned i = 0; i < header->dependency_count; i++, name += string_length(name) + 1) {
        const struct uselib_needs *needs = needs_of_library(header, name);
        struct library *known = known_library(name);
        if (!known)
            add_library(name, needs);
        else if (known->header && needs)
            check_version(known->file_name, known->header, needs);
    }
}

static void map_libraries(const struct program_header *headers, word count, const struct search *search) {
    const char *position = _SHARED_LIBRARIES, *name;
    if (!_SHARED_LIBRARIES_END) refuse("", "Corrupt library list: crtn.o was not linked.");
    while ((name = next_name(&position, _SHARED_LIBRARIES_END))) {
        if (!known_library(name)) add_library(name, needs_of_program(headers, count, name));
    }
    for (int i = 0; i < library_count; i++) { /* library_count grows */
        map_library(&libraries[i], search);
        add_dependencies(&libraries[i]);
    }
    for (int i = 0; i < library_count; i++) add_dependencies(&libraries[i]); /* every need, now that all are mapped */
}

/* No arguments, not even a name, asks for the list of libraries instead of the program (the ldd mode of Linux a.out,
 * argc <= 0). Kernels since 5.18 turn an empty argument list into one empty string. */
static void list_libraries(const struct program_header *headers, word count) {
    const char *position = _SHARED_LIBRARIES, *name;
    if (!_SHARED_LIBRARIES_END) exit_now(0);
    while ((name = next_name(&position, _SHARED_LIBRARIES_END))) {
        const struct uselib_needs *needs = needs_of_program(headers, count, name);
        if (!needs) continue;
        put(1, "\t"), put(1, name), put(1, " ("), put_version(1, needs->major, needs->minor, needs->patch);
        put(1, ")\n");
    }
    flush(1);
    exit_now(0);
}

static void interpose(void) {
    for (const struct uselib_interpose *i = __start_uselib_interpose; i < __stop_uselib_interpose; i++)
        if (i->definition != i->slot) *i->pointer = i->definition;
}

static struct library *initialised[MAXIMUM_LIBRARIES];
static int initialised_count;

/* Depth first, so that what a library depends on is ready before it; a cycle is cut where it closes. */
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
    for (const routine *r = __fini_array_end; r > __fini_array_start;) (*--r)();
    if (_fini) _fini();
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
    for (const routine *r = __preinit_array_start; r < __preinit_array_end; r++) ((initialiser)*r)(argc, argv, envp);
    if (_init) _init();
    for (const routine *r = __init_array_start; r < __init_array_end; r++) ((initialiser)*r)(argc, argv, envp);
    return main(argc, argv, envp);
}

static void no_routine(void) {}

void __uselib_start(long *stack) {
    int argc = (int)*stack;
    char **argv = (char **)(stack + 1), **envp, **end;
    const struct program_header *headers = 0;
    word auxiliary[32] = {0};
    struct search search;

    envp = argv + (argc > 0 ? argc : 0);
    while (*envp) envp++; /* with argc <= 0 a name may still follow */
    end = ++envp;
    while (*end) end++;
    for (const word *a = (const word *)(end + 1); a[0]; a += 2)
        if (a[0] < 32) auxiliary[a[0]] = a[1];
    headers = (const struct program_header *)auxiliary[AT_PHDR_];
    program_name = argv[0] ? argv[0] : "program";

    if (argc <= 0 || (argc == 1 && !argv[0][0])) list_libraries(headers, auxiliary[AT_PHNUM_]);
    search.environment = 0;
    version_rule = rule_named(_SHARED_LIBRARY_RULE);
    if (!auxiliary[AT_SECURE_] && auxiliary[AT_UID_] == auxiliary[AT_EUID_] && auxiliary[AT_GID_] == auxiliary[AT_EGID_]) {
        const char *rule = environment_value(envp, "USELIB_VERSION_RULE");
        if (rule && *rule) version_rule = rule_named(rule);
        search.environment = environment_value(envp, "LD_LIBRARY_PATH");
    }
    search.path = _SHARED_LIBRARY_PATH ? _SHARED_LIBRARY_PATH : "/shlib";
    map_libraries(headers, auxiliary[AT_PHNUM_], &search);
    interpose();
    __libc_start_main(__uselib_main, argc, argv, no_routine, no_routine, 0);
    for (;;) __builtin_trap();
}
