"""--strace: system calls as strace(1) prints them.

strace.py      a call as a line
scalars.py     an argument that is a number or a string; values.py: one that points to memory
structures.py  a structure; sockets.py: an address
tables.py      names of flags; text.py: strings and numbers
effects.py     what a call changes, as one line, for the comparison of two runs
"""
