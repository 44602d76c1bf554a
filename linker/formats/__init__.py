"""File formats: bytes to dataclasses and back; no policy and no I/O.

elf.py            ELF: constants, records, a reader that checks all it hands out
string_table.py   names by offset; rows.py: tables of many integers, made a column at a time
dynamic_symbols.py what a shared object or dynamic program exports and imports, with versions
dynamic_object.py what a dynamic linker sees: its dynamic section, symbols, relocations
elf_image.py      executables and target libraries -> Image
elf_object.py     small relocatable objects, written
shared_object.py  shared objects as inputs of a link; dynamic_tables.py: hash tables and versions, written
ar.py             archives
notes.py          the four notes of uselib
compressed_sections.py   SHF_COMPRESSED, decompressed; zstd.py: by the system's library
library_names.py  names that mkshlib gives, and every tool looks for
magic.py          the format of a file, by its first bytes
"""
