"""What runs inside the guest (start-up code, bootstrap, a small C library) and the Python that builds it.

crt/          start-up code of each scheme; include/uselib.h: the notes as C structures
libmini/      a small C library: src/, include/
builtins/     what compilers leave to a library; musl/: what the whole of musl needs besides

compiler.py   which C compiler there is; build.py: compiles all this; musl.py: finds musl
sysroot.py    a directory with everything that programs are built with
"""
