"""a.out of Linux, 1991 to 1995.

format.py       bytes <-> records
to_elf.py       objects as ELF; image.py: programs and libraries as Image
program.py      `ld -m i386linux`
library.py      `mkshlib --format aout`, from control files (control.py)
stub.py         stub archives, read; stub_writer.py: written
"""
