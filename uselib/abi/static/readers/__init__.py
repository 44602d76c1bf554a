"""A file of any kind -> facts (../model/facts.py).

    reading.py         what kind a file is; read_facts, read_program, read_any, kind_of
    target_facts.py    target libraries        stub_facts.py      stub libraries
    elf_facts.py       shared objects (.so), types from debug information      elf_dynamic.py   .dynsym, versions, relocations of a .so
    program_facts.py   what a program takes from libraries
    releases.py        what a library records of its earlier releases
    digests.py         digests of code and data that do not change when only addresses do

To add a file format: a reader here that makes Facts, and its kind in reading.py.
"""
