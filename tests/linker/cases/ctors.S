// Old-style constructor lists: sections of priorities first, each list backwards, into .init_array (compared with GNU ld).
//#Object: inputs/run_ctors.c
 .macro maker name, letter
 .text
\name:
#ifdef __x86_64__
 mov $\letter, %edi
 jmp log
#else
 push $\letter
 call log
 pop %eax
 ret
#endif
 .endm
 maker one, 'a'
 maker two, 'b'
 maker three, 'c'
 maker four, 'd'
#ifdef __x86_64__
#define POINTER .quad
#else
#define POINTER .long
#endif
 .section .ctors,"aw",@progbits
 POINTER one
 POINTER two
 .section .ctors.65000,"aw",@progbits
 POINTER three
 .section .init_array.00700,"aw",@init_array
 POINTER four
