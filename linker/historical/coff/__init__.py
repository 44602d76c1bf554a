"""COFF of System V Release 3.

format.py       bytes <-> records
to_elf.py       objects as ELF; image.py: programs and target libraries as Image
program.py      `ld -m i386coff`
library.py      `mkshlib --format coff`: target and host library
check.py        chkshlib, with System V's verdicts
"""
