/* Prologues of _init and _fini, for objects that still have .init and .fini sections (both psABIs). */
    .section .init, "ax", @progbits
    .globl _init
    .type _init, @function
_init:
#ifdef __x86_64__
    sub $8, %rsp
#else
    sub $12, %esp
#endif
    .section .fini, "ax", @progbits
    .globl _fini
    .type _fini, @function
_fini:
#ifdef __x86_64__
    sub $8, %rsp
#else
    sub $12, %esp
#endif
    .section .note.GNU-stack, "", @progbits
