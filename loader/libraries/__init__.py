"""Which library file is found, and which libraries depend on which: what start-up code in C decides, decided in Python.

search.py         where a library is (runtime/crt/find.h, directory.h)
library_check.py  what is checked before it is mapped (runtime/crt/map.h)
dependencies.py   every library that a program gets (runtime/crt/libraries.c)
lookup.py         which definition a name is bound to, by the rules of glibc's and musl's dynamic linkers

candidates.py     all files that could have been taken, and why they were not: `uselib ldd`
installed.py      the libraries of a directory, and whether they fit together
links.py          links to the newest versions: `uselib ldconfig`
"""
