/* The notes of uselib as C structures: the contract between linker, start-up code, bootstrap and loader.
 *
 * Little-endian, and alike on i386 and x86-64: every field stands at a natural offset, so no compiler inserts padding.
 * linker/formats/notes.py has the same layouts in Python. Needs no other header. */
#ifndef USELIB_H
#define USELIB_H

#define USELIB_NOTE_NAME "uselib" /* with its NUL: n_namesz is 7 */
#define USELIB_FORMAT 1
#define USELIB_NT_LIBRARY 1
#define USELIB_NT_NEEDS 2
#define USELIB_NT_BINDINGS 3
#define USELIB_NT_SCHEME 4
/* Schemes: the absolute symbol _SHARED_LIBRARY_SCHEME of a program, and the mark in its NT_SCHEME note. */
#define USELIB_SCHEME_KERNEL 3
#define USELIB_SCHEME_BSDOS 4
#define USELIB_SCHEME_INTERP 5
#define USELIB_SLOT_SIZE 8
#define USELIB_PAGE 4096

typedef unsigned char uselib_u8;
typedef unsigned short uselib_u16;
typedef unsigned int uselib_u32;
/* Every offset below is natural, but notes are aligned to 4 only, so the type's alignment must not be higher. */
typedef unsigned long long uselib_u64 __attribute__((aligned(4)));

/* A segment that the bootstrap maps. */
struct uselib_segment {
    uselib_u64 address;
    uselib_u64 offset;      /* in the file */
    uselib_u64 file_size;   /* bytes from the file; the rest of memory_size is zero */
    uselib_u64 memory_size;
    uselib_u32 prot;        /* PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4 */
    uselib_u32 checksum;    /* of the first segment: of the descriptor (linker/formats/notes.py). Of others 0 */
};

/* Descriptor of NT_LIBRARY: in a target library, on its first page. */
struct uselib_library {
    uselib_u32 format;
    uselib_u32 continuation; /* 0, or from base: a C library's second bootstrap, which goes on with all other libraries:
                                long continuation(long fd, const struct uselib_library *, struct uselib_call *) */
    uselib_u16 major, minor, patch, machine; /* machine: EM_386 3, EM_X86_64 62 */
    uselib_u64 base;       /* address of the ELF header in memory */
    uselib_u64 size;       /* bytes of address space from base, bss included, whole pages */
    uselib_u64 bootstrap;  /* its address; long bootstrap(long fd, const struct uselib_library *): 0 or -errno */
    uselib_u64 jump_table; /* address of slot 1 */
    uselib_u32 slot_size;
    uselib_u32 slot_count;
    uselib_u64 init_array; /* addresses of arrays of function pointers */
    uselib_u64 fini_array;
    uselib_u32 init_count;
    uselib_u32 fini_count;
    uselib_u32 segment_count;
    uselib_u32 name_offset;       /* of the NUL-terminated name, from the start of the descriptor */
    uselib_u32 dependency_offset; /* of the first of dependency_count file names, each with a NUL */
    uselib_u32 dependency_count;
    uselib_u8 digest[32];
    struct uselib_segment segments[]; /* segment_count of them, then the strings */
};

/* Descriptor of NT_NEEDS: in programs, and in libraries that refer to other libraries. */
struct uselib_needs {
    uselib_u32 format;
    uselib_u32 slot_count; /* when it was linked */
    uselib_u16 major, minor, patch, machine;
    uselib_u64 base;
    uselib_u64 size;
    uselib_u8 digest[32];
    char name[]; /* the library's name without its version, NUL */
};

/* One interposable function, in section uselib_interpose of a program. */
struct uselib_interpose {
    void **pointer;     /* the pointer in the library through which its thunk jumps */
    void *definition;   /* the program's definition if it has one, else the library's slot */
    void *slot;         /* the library's own slot */
};

/* One library of a program's table (scheme bsdos, written by `uselib shlicc`); an empty name ends it. */
struct uselib_place {
    const char *name;      /* its path */
    unsigned long address; /* where it is loaded */
};

/* Descriptor of NT_SCHEME: in programs whose libraries are mapped before or outside their own start-up code. */
struct uselib_scheme {
    uselib_u32 format;
    uselib_u32 scheme;  /* USELIB_SCHEME_* */
    uselib_u64 program; /* address of its struct uselib_program */
};

/* The facts about a program that start-up code outside of it, or the kernel, needs. Machine words; absent values are 0. */
struct uselib_program {
    const char *path;                         /* _SHARED_LIBRARY_PATH */
    const char *rule;                         /* _SHARED_LIBRARY_RULE */
    const char *libraries, *libraries_end;    /* `.lib` */
    const struct uselib_place *table;         /* scheme bsdos, instead of `.lib` */
    const struct uselib_interpose *interpose, *interpose_end;
    void (*const *preinit)(void), (*const *preinit_end)(void);
    void (*const *init)(void), (*const *init_end)(void);
    void (*const *fini)(void), (*const *fini_end)(void);
    void (*first)(void), (*last)(void);       /* _init, _fini */
    int (*main)(int, char **, char **);
};

/* The argument that a program's start-up passes to the bootstrap of the C library (scheme bsdos). */
struct uselib_call {
    const struct uselib_program *program;
    long *stack;                              /* as the kernel set it up: argc, argv, ... */
    int (*main)(int, char **, char **);       /* result: the function that __libc_start_main calls */
};

#define USELIB_AT(type, field, offset) \
    _Static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)
USELIB_AT(uselib_segment, offset, 8);
USELIB_AT(uselib_segment, file_size, 16);
USELIB_AT(uselib_segment, memory_size, 24);
USELIB_AT(uselib_segment, prot, 32);
_Static_assert(sizeof(struct uselib_segment) == 40, "uselib_segment");
USELIB_AT(uselib_library, continuation, 4);
USELIB_AT(uselib_library, major, 8);
USELIB_AT(uselib_library, machine, 14);
USELIB_AT(uselib_library, base, 16);
USELIB_AT(uselib_library, size, 24);
USELIB_AT(uselib_library, bootstrap, 32);
USELIB_AT(uselib_library, jump_table, 40);
USELIB_AT(uselib_library, slot_size, 48);
USELIB_AT(uselib_library, slot_count, 52);
USELIB_AT(uselib_library, init_array, 56);
USELIB_AT(uselib_library, fini_array, 64);
USELIB_AT(uselib_library, init_count, 72);
USELIB_AT(uselib_library, fini_count, 76);
USELIB_AT(uselib_library, segment_count, 80);
USELIB_AT(uselib_library, name_offset, 84);
USELIB_AT(uselib_library, dependency_offset, 88);
USELIB_AT(uselib_library, dependency_count, 92);
USELIB_AT(uselib_library, digest, 96);
USELIB_AT(uselib_library, segments, 128);
USELIB_AT(uselib_needs, slot_count, 4);
USELIB_AT(uselib_needs, major, 8);
USELIB_AT(uselib_needs, machine, 14);
USELIB_AT(uselib_needs, base, 16);
USELIB_AT(uselib_needs, size, 24);
USELIB_AT(uselib_needs, digest, 32);
USELIB_AT(uselib_needs, name, 64);
USELIB_AT(uselib_scheme, scheme, 4);
USELIB_AT(uselib_scheme, program, 8);
#undef USELIB_AT

#endif
