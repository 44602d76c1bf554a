"""What differs between the kinds of output. Others: linker/library (target libraries), linker/historical (old formats).

kind.py              OutputKind: what the passes ask of a kind of output
formats.py           the kind of program for `ld -m`: one row for each format
program.py           programs; entry_point.py: where they begin; program_layout.py: where their sections go;
                     program_libraries.py: the libraries they use
dynamic.py           shared objects, position-independent programs, programs that use shared objects; dynamic_section.py: .dynsym,
                     versions, .dynamic; hash_tables.py: .gnu.hash and .hash
"""
