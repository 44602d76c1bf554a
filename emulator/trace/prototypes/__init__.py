"""What functions take and give, and how to show it.

    types         the type model: frozen dataclasses, sizes already those of one machine
    layout        the data models of the two machines; structure layout
    headers       C text as people write it -> C that pycparser reads, and what was said beside C
    declarations  C declarations -> prototypes: user's files, and the standard C library's (libc.txt)
    simple        the lines of libc.txt, fast
    dwarf         DWARF -> prototypes
    sources       those in order of preference, cached
    syntax, constants   pycparser's trees: questions, constant expressions
    conventions   where arguments and results are: i386 cdecl, x86-64 System V
    capture       what the recorder must copy at call time
    formats       printf and scanf conversions
    decode        words and copied bytes -> text

Nothing is imported here: `uselib run` must not pay for what only readers of traces use.
"""
