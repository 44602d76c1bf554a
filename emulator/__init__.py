"""Emulator: machine, Linux kernel interface, call tracer, and the command line over everything."""
