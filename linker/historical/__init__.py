"""Formats of old systems, a folder each: their files, objects as ELF, programs and libraries."""
