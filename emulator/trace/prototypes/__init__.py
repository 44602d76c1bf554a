"""What functions take and give, and how to show it.

    declarations  C declarations -> prototypes: user's files, and the standard C library's (libc.txt)
    simple        the lines of libc.txt, fast
    dwarf         DWARF -> prototypes
    sources       those in order of preference, cached
    conventions   where arguments and results are: i386 cdecl, x86-64 System V
    capture       what the recorder must copy at call time
    formats       printf and scanf conversions
    decode        words and copied bytes -> text

The type model, layout and the C text itself are in linker/cdecl. Nothing is imported here: `uselib run` must not pay for
what only readers of traces use.
"""
