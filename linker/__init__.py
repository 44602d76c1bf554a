"""Linker: object files and archives in, ELF executables and fixed-address shared libraries out."""
