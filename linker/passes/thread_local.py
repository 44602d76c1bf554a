"""Thread-local symbols: a file that takes one for an ordinary variable, or the other way round, would access other memory."""

from __future__ import annotations

from collections.abc import Iterator

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.elf import STT_TLS
from uselib.linker.passes.model import UNDEFINED, ObjectFile
from uselib.linker.passes.resolution import Resolution


def report_mismatches(resolution: Resolution) -> None:
    """Raises LinkError for each file whose symbol is thread-local where the definition is not, or the reverse (as GNU ld does)."""
    defined = any(symbol.type == STT_TLS for symbol in resolution.symbols.values())
    problems = [
        problem
        for file in resolution.files
        if file.stub is None and (defined or _has_any(file))
        for problem in _mismatches(file)
    ]
    if problems:
        raise LinkError(*problems)


def _has_any(file: ObjectFile) -> bool:
    return any(info & 15 == STT_TLS for info in set(file.infos(file.first_global, len(file.symbols))))


def _mismatches(file: ObjectFile) -> Iterator[Diagnostic]:
    infos = file.infos(file.first_global, len(file.symbols))
    for info, symbol in zip(infos, file.globals, strict=True):
        if (info & 15 == STT_TLS) != (symbol.type == STT_TLS) and symbol.rank != UNDEFINED and symbol.file is not file:
            where = symbol.file.where if symbol.file is not None else "the linker"
            kinds = ("an ordinary", "a thread-local")
            defined, used = (kinds[symbol.type == STT_TLS], kinds[info & 15 == STT_TLS])
            text = f"is used as {used} variable and defined as {defined} one in {where}"
            yield Diagnostic(file.where, text, symbol.name, "declare it alike (__thread, thread_local) in all files")
