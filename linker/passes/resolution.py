"""What symbol resolution finds out: the files and symbols of a link (resolve.py)."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.errors import Diagnostic
from uselib.linker.formats.elf import SHF_ALLOC
from uselib.linker.image import Machine
from uselib.linker.passes.model import InputSection, InputStub, ObjectFile, SharedInput, Symbol
from uselib.linker.quick_dataclass import dataclass, field

MANY = 1 << 17  # symbols and relocations: above it they are taken in columns (columns.py)


@dataclass
class Resolution:
    """The files and symbols of a link. Files in link order; symbols in order of first appearance."""

    machine: Machine
    files: list[ObjectFile]
    symbols: dict[str, Symbol]
    stubs: list[InputStub]  # those of which a member was taken
    conflicts: list[tuple[str, ObjectFile | None, InputStub]]  # defined by the program and by a stub library
    warnings: list[Diagnostic] = field(default_factory=list)
    traced: list[str] = field(default_factory=list)
    large: bool = False  # more than MANY symbols and relocations
    shared: list[SharedInput] = field(default_factory=list)  # shared objects, in the order of the command line
    version_scripts: list[tuple[str, str]] = field(default_factory=list)  # of linker scripts: text, place
    defsym: list[tuple[str, str]] = field(
        default_factory=list
    )  # --defsym and those of linker scripts: symbol, expression
    read: list[str] = field(default_factory=list)  # the files that were read, in order

    def allocated(self) -> list[InputSection]:
        """Live sections of the inputs that will be in memory."""
        return [s for f in self.files for s in f.sections if s is not None and s.live and s.flags & SHF_ALLOC]


def is_large(files: Iterable[ObjectFile]) -> bool:
    """Whether they have more than MANY symbols and relocations."""
    return sum(map(_records, files)) > MANY


def _records(file: ObjectFile) -> int:
    """How many symbols and relocations a file has, of those that take part."""
    headers, size = file.elf.sections, file.elf.elf_class.rel.size
    relocated = [index for section in file.sections if section is not None for index in section.relocated_by]
    return len(file.symbols) + sum(headers[index].size for index in relocated) // size
