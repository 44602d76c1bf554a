"""Linker: object files and archives in, ELF executables and fixed-address shared libraries out.

link.py         the passes of a link in their order; passes/ has them, outputs/ what differs between kinds of output
partial_link.py ld -r
options.py      what a link is asked to do; command_line.py: GNU ld's command line, option_table.py: one row for each option,
                option_values.py: what each does
image.py        Image: what the linker gives the loader, and the machines
versions.py     version numbers, and the rules by which start-up chooses one
errors.py       how errors are worded and collected; demangling.py: names of C++ and Rust in them;
                reading.py, writing.py: whole files, checked and renamed

formats/        ELF, ar, notes: bytes <-> records
library/        mkshlib: target libraries and their stub libraries
historical/     formats of old systems, one folder for each
c_types/, dwarf/  types of C, from declarations and from debug information; source lines
cycle_collector.py, installation.py, package_version.py, quick_dataclass.py, quick_typing.py  garbage collection, paths, version, quick imports
"""
