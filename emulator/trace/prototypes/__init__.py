"""What functions take and give, and how to show it.

    declarations  C declarations -> prototypes: user's files, and the standard C library's (libc.txt)
    sets          integers with named values
    simple        the lines of libc.txt, fast
    dwarf         DWARF -> prototypes
    damage        debug information that is damaged, said to the user
    from_graph    rows of the type graph -> value types (machine_types: the basic ones; type_views: their sizes, parts and text)
    sources       those in order of preference, cached
    conventions   where arguments and results are: i386 cdecl, x86-64 System V
    capture       what the recorder must copy at call time
    formats       printf and scanf conversions
    decode        words and copied bytes -> text

Types are read into the graph of linker/c_types, by it (C) and by linker/dwarf. Nothing is imported here: `uselib run` must not pay for
what only readers of traces use.
"""
