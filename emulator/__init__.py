"""Emulator: machine, Linux kernel interface, call tracer, gdb stub, and the Python API over a running program."""
