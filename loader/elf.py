"""ELF programs, as exec knows them."""

from __future__ import annotations

from loader.binfmt import Format
from loader.exec import start_program
from loader.headers import read_headers

FORMAT = Format("elf", lambda head: head.startswith(b"\x7fELF"), read_headers, start_program)
