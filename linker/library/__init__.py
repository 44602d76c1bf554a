"""mkshlib: objects -> a target library at a fixed address, and its stub library.

The steps, with the data between them (make.py calls them in order):

    command line, specification file
        | request.py          LibraryRequest -> LibraryPlan: joined, checked, inputs told apart
        |   specification.py  the specification file -> Specification
        |   releases/         the release before, and what this one has to keep (see its __init__)
        |   registry.py       the address registry: which library owns which addresses
    LibraryPlan
        | output_kind.py      TargetLibrary, the OutputKind of the link: called by the linker's passes, in their order
        |   checks.py         errors and warnings
        |   exports.py        the exports, and the addresses that references to them get (SymbolPolicy)
        |   interpose.py      functions that a program may replace: thunks and pointers
        |   bootstrap.py, jump_table.py, retired_trap.py    machine code and bytes of linker-made sections
        |   layout.py         order and addresses of sections (LayoutPolicy)
        |   header.py         the header (note NT_LIBRARY)
        |   symbol_rows.py    the symbol table
        |   digest.py         the digest of the whole file
    the target library, exports
        | stub_from_link.py   from the finished link to StubContents
        | stub.py             StubContents -> archive or directory, and which library a stub library stands for
    the stub library
        | files.py            all files put in place together

bsdos_table.py makes BSD/OS's table of a program's libraries (`uselib shlicc`). The names of symbols and members are in
linker/formats/library_names.py.
"""
