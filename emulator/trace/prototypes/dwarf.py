"""DWARF -> prototypes (DWARF 2 to 5, read by linker/dwarf). The names of a file's functions are read when the first is asked for;
types are read only for those asked for.

A trace does not depend on DWARF: where it is damaged the functions concerned have no prototype, and
`damage` says so.
"""

from __future__ import annotations

from uselib.emulator.trace.prototypes.damage import Warn, unsaid
from uselib.emulator.trace.prototypes.from_graph import TypeViews, UnreadableType
from uselib.emulator.trace.prototypes.type_views import Prototype, PrototypeParameter, guessed_format
from uselib.linker.dwarf import sections as debug_sections
from uselib.linker.dwarf.abbreviations import Damage
from uselib.linker.dwarf.functions import FoundFunction, FunctionLookup
from uselib.linker.dwarf.sections import Sections
from uselib.linker.dwarf.units import DAMAGE
from uselib.linker.errors import FormatError
from uselib.linker.formats import elf
from uselib.linker.image import Machine
from uselib.linker.reading import read_file

_MOST_PARAMETERS = 127


class DwarfPrototypes:
    """The functions that one file's .debug_info describes: definitions, and the declarations of what it calls.

    damage: the first sentence about what could not be read, FILE: ...; empty as long as there is none. warn: is told it too.
    """

    def __init__(self, sections: Sections, machine: Machine, warn: Warn = unsaid) -> None:
        self._sections, self._machine, self._warn = sections, machine, warn
        self._opened: tuple[FunctionLookup, TypeViews] | None = None
        self.damage = ""

    def find(self, name: str) -> Prototype | None:
        """The prototype of a function by its symbol's name, or None. Never raises."""
        lookup, types = self._open()
        try:
            found = lookup.find(name)
            return None if found is None else self._prototype(name, found, types)
        except (*DAMAGE, UnreadableType) as problem:
            told = isinstance(problem, Damage | UnreadableType)
            reason = str(problem) if told else f"an entry cannot be followed ({type(problem).__name__})"
            self._damaged(f"{self._sections.where}: the debug information of {name} is damaged: {reason}")
            return None

    def _open(self) -> tuple[FunctionLookup, TypeViews]:
        if self._opened is None:
            lookup = FunctionLookup(self._sections, self._machine.word)
            self._opened = lookup, TypeViews(lookup.graph.rows, lookup.graph.complete, self._machine)
            for sentence in lookup.problems[:1]:
                self._damaged(sentence)
        return self._opened

    def _damaged(self, sentence: str) -> None:
        if not self.damage:
            self.damage = sentence
            self._warn(sentence)

    def _prototype(self, name: str, found: FoundFunction, types: TypeViews) -> Prototype:
        function = found.type
        parameters = [PrototypeParameter(p.name, types.of(p.type)) for p in function.parameters[:_MOST_PARAMETERS]]
        variadic = function.variadic or (not function.prototyped and not parameters)
        index = guessed_format(parameters, variadic)
        result = types.of(function.result)
        where = self._sections.where
        return Prototype(name, result, tuple(parameters), variadic, index, "printf", where, found.noreturn)


def read_dwarf(path: str, machine: Machine, warn: Warn = unsaid, name: str = "") -> DwarfPrototypes | None:
    """The prototypes in an ELF file's DWARF; None if it has none, or is missing, not ELF, or of another machine. name: what to
    call the file, if not by its path."""
    try:
        file = elf.ElfFile(memoryview(read_file(path)), path)
        sections = debug_sections.own(file, name or path) if file.machine is machine else None
    except (FormatError, OSError):  # then there is no DWARF to be had
        return None
    return None if sections is None else DwarfPrototypes(sections, machine, warn)
