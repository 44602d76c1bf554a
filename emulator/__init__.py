"""Emulator: machine, Linux kernel interface, call tracer, gdb stub, and the Python API over a running program.

machine/    the CPU: Unicorn behind a thin layer
kernel/     system calls, files, signals
process/    one run put together, and what its parts know of each other
trace/      calls through slots: recorded, stored, shown
api/        programs and libraries driven from Python
gdb/        the remote protocol

option_table.py   command lines read by a table, without argparse
native_module.py  the package's shared objects, loaded with ctypes
"""
