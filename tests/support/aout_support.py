"""Small a.out programs and libraries, assembled here, for tests that need no genuine files."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.format import Aout, Header, Magic


@functools.cache
def assembler():
    keystone = pytest.importorskip("keystone", reason="needs keystone-engine")
    return keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_32)


def assemble(text: str, address: int = 0) -> bytes:
    """i386 assembler source, Intel syntax, a line or `;` each."""
    code, _ = assembler().asm(text, address)
    return bytes(code)


def program(path: Path, text: bytes, data: bytes = b"", magic: Magic = Magic.ZMAGIC, **fields: int) -> Path:
    """Writes an executable. Text is padded to whole pages where the format maps pages."""
    if magic is not Magic.OMAGIC:
        text = text.ljust(-(-max(len(text), 1) // 4096) * 4096, b"\0")
        data = data.ljust(-(-len(data) // 4096) * 4096, b"\0")
    header = Header(magic, 0, 0, **fields)
    path.write_bytes(aout.encode(Aout(header, text, data)))
    path.chmod(0o755)
    return path


def library(path: Path, base: int, functions: list[bytes], version: int = 0x4012F, **fields: int) -> Path:
    """Writes a library: version word, a slot for each function, the functions."""
    table = bytearray(version.to_bytes(4, "little") + bytes(4))
    at, body = 8 * (len(functions) + 1), bytearray()
    for number, code in enumerate(functions, 1):
        table += b"\xe9" + (at + len(body) - 8 * number - 5).to_bytes(4, "little", signed=True) + bytes(3)
        body += code
    return program(path, bytes(table + body), entry=base, **fields)
