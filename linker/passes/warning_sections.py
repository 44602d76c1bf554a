"""`.gnu.warning.SYMBOL` sections: a text that the linker shows where SYMBOL is used. `.gnu.warning`: where the file is linked.

C libraries have them for dangerous functions (gets) and for what a static program cannot do (getpwnam of glibc).
"""

from __future__ import annotations

from collections.abc import Iterator

from uselib.linker.errors import Diagnostic
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.passes.relocations import MachineRelocations
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.undefined import MOST_PLACES, references

_NAME = ".gnu.warning"


def warnings_of_use(resolution: Resolution, machine: MachineRelocations) -> Iterator[Diagnostic]:
    """A warning for each symbol in use that has such a section, with the places that refer to it, and for each file that has one."""
    texts: dict[Symbol, str] = {}
    for file in resolution.files:
        for section in file.sections:
            if section is None or not section.name.startswith(_NAME):
                continue
            symbol = resolution.symbols.get(section.name.removeprefix(f"{_NAME}."))
            if section.name == _NAME:
                yield Diagnostic(file.where, _text(section))
            elif symbol is not None:
                texts.setdefault(symbol, _text(section))
    if not texts:
        return
    places = references(resolution.files, texts, machine)
    for symbol, text in texts.items():
        found = [(file, section, offset) for file, section, offset in places.get(symbol, ()) if file is not symbol.file]
        if found:
            file, section, offset = found[0]
            more = tuple(f"referenced by {f.place(s, o)}" for f, s, o in found[1:MOST_PLACES])
            yield Diagnostic(file.place(section, offset), text, symbol.name, places=more)


def _text(section: InputSection) -> str:
    return bytes(section.content).rstrip(b"\0\n").decode("utf-8", "replace")
