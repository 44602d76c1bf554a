"""`uselib compare`: the same small program and library in every scheme, built, run and measured side by side.

schemes.py   the table of schemes: how each is built, and how to run it
measure.py   one run: system calls, instructions, pages
table.py     the measurements as text and JSON
"""
