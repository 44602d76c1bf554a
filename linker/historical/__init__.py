"""Formats of old systems, one folder for each: aout (Linux, 1991 to 1995), coff (System V Release 3), textbook (Levine's projects).

In each folder: format.py (bytes <-> records), to_elf.py (its objects as ELF), image.py (linked files as Image), modules that link
programs and libraries. symbol_table.py: symbols of a finished link, with section numbers as in these formats.
"""
