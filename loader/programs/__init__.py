"""exec: a program file of any format -> an address space; uselib(2).

binfmt.py            the list of formats: a file of a new format gets its row there, and a module like these:
elf.py, aout.py, coff.py, textbook.py
exec.py              the program and its stack in an empty address space
headers.py           ELF headers, as the kernel's loaders read them
uselib.py            uselib(2) for ELF libraries
kernel_libraries.py  libraries that exec maps besides an ELF program
copied.py            files that are copied into memory instead of mapped

images.py            mapped files as Image, for those who name addresses; aout_names.py: names of a.out libraries' slots
"""
