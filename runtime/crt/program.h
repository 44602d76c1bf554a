/* The facts about the program that start-up needs, in one structure. Start-up code outside the program (the kernel's, scheme `kernel`;
 * the C library's, schemes `bsdos` and `interp`) finds it through the note NT_SCHEME. */

/* `.lib`: crt1.o is linked first and defines the start, crtn.o last and adds the empty name and defines the end. */
__asm__(".section .lib, \"a\", @progbits\n"
        ".globl _SHARED_LIBRARIES\n"
        "_SHARED_LIBRARIES:\n"
        ".text\n");
/* The program's scheme, for readers of its symbols. */
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
__asm__(".globl _SHARED_LIBRARY_SCHEME\n_SHARED_LIBRARY_SCHEME = " TEXT(USELIB_SCHEME) "\n");

extern const char _SHARED_LIBRARIES[];
extern const char _SHARED_LIBRARIES_END[] __attribute__((weak)); /* crtn.o */
extern const char _SHARED_LIBRARY_PATH[] __attribute__((weak));  /* our ld, for -rpath; shlicc */
extern const char _SHARED_LIBRARY_RULE[] __attribute__((weak));  /* our ld, for --version-rule */
extern const struct uselib_place _SHARED_LIBRARY_TABLE[] __attribute__((weak)); /* shlicc */

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

#if USELIB_SCHEME >= SCHEME_KERNEL
__asm__(".section .note.uselib, \"a\", @note\n"
        "    .balign 4\n"
        "    .long 7, 16, " TEXT(USELIB_NT_SCHEME) "\n"
        "    .asciz \"" USELIB_NOTE_NAME "\"\n"
        "    .byte 0\n"
        "    .long " TEXT(USELIB_FORMAT) ", " TEXT(USELIB_SCHEME) "\n"
#ifdef __x86_64__
        "    .quad __uselib_program\n"
#else
        "    .long __uselib_program, 0\n"
#endif
        ".text\n");
const struct uselib_program __uselib_program __attribute__((visibility("hidden"), used)) =
#else
static const struct uselib_program __uselib_program =
#endif
    {
        .path = _SHARED_LIBRARY_PATH,
        .rule = _SHARED_LIBRARY_RULE,
        .libraries = _SHARED_LIBRARIES,
        .libraries_end = _SHARED_LIBRARIES_END,
#if USELIB_SCHEME == SCHEME_BSDOS || USELIB_SCHEME == SCHEME_INTERP
        .table = _SHARED_LIBRARY_TABLE,
#endif
        .interpose = __start_uselib_interpose,
        .interpose_end = __stop_uselib_interpose,
        .preinit = __preinit_array_start,
        .preinit_end = __preinit_array_end,
        .init = __init_array_start,
        .init_end = __init_array_end,
        .fini = __fini_array_start,
        .fini_end = __fini_array_end,
        .first = _init,
        .last = _fini,
        .main = main,
};
#define PROGRAM (&__uselib_program)
