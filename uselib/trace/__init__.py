"""Trace files, read: what `uselib trace show`, `summary`, `graph`, `diff`, `report`, `export` and `tui` print of them.

reading/      a trace file as arrays, and the views of it
tui/          a trace on the terminal

The files are written by emulator/trace. A view runs no program.
"""
