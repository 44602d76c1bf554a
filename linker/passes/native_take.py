"""The global symbols of a file into those of the link, in C: linker/native/symbols.c."""

from __future__ import annotations

from collections.abc import Callable, Container

from uselib.linker import _native
from uselib.linker.passes.model import DynamicBinding, ObjectFile, Symbol

LAYOUT = _native.layout(Symbol(""), DynamicBinding())
"""Where the attributes of symbols and of their bindings lie."""


def take(
    file: ObjectFile,
    table: memoryview,
    symbols: dict[str, Symbol],
    undefined: dict[str, None],
    offered: Container[str],
    left: Callable[[int], None],
) -> bool:
    """Adds the symbols of `table` that are not local to `symbols` and to the file's.

    undefined: strongly referenced and not defined. offered: names that shared objects define. left: adds the symbol of that number,
    where it is not a reference or a first definition in a section.

    False, and nothing was done, if a name lies outside the string table."""
    return _native.take(
        LAYOUT,
        table,
        file.elf.elf_class.word,
        file.first_global,
        file.strings.data,
        symbols,
        file.globals,
        file.sections,
        file,
        file.stub is None,
        undefined,
        offered,
        left,
    )
