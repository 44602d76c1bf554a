"""The Python API's Program and Library: run programs and call library functions from Python. Users import them from `uselib`.

program, library   what users have: a program to be run, stopped and looked into; a library whose functions are called
guest              what both share: memory, registers, breakpoints, replacements, calls
control            stops, steps and nested calls of one machine; gdb/ uses it too
session            a run that can be left and entered again
memory, symbols    guest memory and registers; names of what is mapped
values             Python values <-> C arguments and results
errors             what is raised
"""
