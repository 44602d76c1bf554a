"""exec: a program file of any format -> an address space; uselib(2).

binfmt.py            the list of formats: a file of a new format gets its row there, and a module like these:
elf.py, aout.py, coff.py, textbook.py
exec.py              the stack a program starts with; scripts
headers.py           ELF headers, as the kernel's loaders read them
segments.py          ELF segments into an address space, and where a position-independent file goes
interpreter.py       PT_INTERP: the file that starts a program
uselib.py            uselib(2) for ELF libraries
kernel_libraries.py  libraries that exec maps besides an ELF program
copied.py            files that are copied into memory instead of mapped

images.py            mapped files as Image, for those who name addresses; aout_names.py: names of a.out libraries' slots
"""
