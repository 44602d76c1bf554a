/* Ends what crti.o began, and the list of library names: linked last. */
    .section .init, "ax", @progbits
#ifdef __x86_64__
    add $8, %rsp
#else
    add $12, %esp
#endif
    ret
    .section .fini, "ax", @progbits
#ifdef __x86_64__
    add $8, %rsp
#else
    add $12, %esp
#endif
    ret
    .section .lib, "aR", @progbits
    .byte 0                     /* the empty name: no more libraries */
    .globl _SHARED_LIBRARIES_END
_SHARED_LIBRARIES_END:
    .section .note.GNU-stack, "", @progbits
