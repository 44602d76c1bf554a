"""Common symbols (tentative definitions of C): what replaces them, and --warn-common."""

from __future__ import annotations

from uselib.linker.errors import Diagnostic
from uselib.linker.formats.elf import SHN_COMMON, SHN_UNDEF, STB_GLOBAL, STB_LOOS, STT_COMMON, STT_FUNC
from uselib.linker.passes.model import ObjectFile, Symbol


def _where(file: ObjectFile | None) -> str:
    return file.where if file is not None else "the command line"


def repeated(symbol: Symbol, file: ObjectFile, size: int) -> Diagnostic:
    """--warn-common: a further common symbol of a name, of `size` bytes."""
    text = f"multiple common symbols; the other is in {_where(symbol.file)}"
    if size != symbol.size:
        larger = "larger" if size > symbol.size else "smaller"
        text = f"common symbol of {size} bytes is {larger} than that of {symbol.size} bytes in {_where(symbol.file)}"
    return Diagnostic(file.where, text, symbol.name)


def overridden(name: str, common: ObjectFile | None, definition: ObjectFile | None) -> Diagnostic:
    """--warn-common: a definition replaces a common symbol."""
    return Diagnostic(_where(common), f"common symbol is overridden by the definition in {_where(definition)}", name)


def data_of(file: ObjectFile) -> frozenset[str]:
    """The names of the global data that a file defines; no commons, no weak ones."""
    names = file.strings
    return frozenset(
        names[name]
        for name, info, _, section, _, _ in file.symbol_rows(file.first_global)
        if section not in (SHN_UNDEF, SHN_COMMON)
        and (info >> 4 == STB_GLOBAL or info >> 4 >= STB_LOOS)
        and info & 15 not in (STT_FUNC, STT_COMMON)
    )
