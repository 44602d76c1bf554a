"""Program properties: the inputs' .note.gnu.property merged into the output's (x86-64 psABI, "Program Property"; GNU ld's rules).

    0xc0000002..7fff  a bit stays if every object has it       x86 features: IBT, SHSTK
    0xc0008000..ffff  a bit is there if any object has it      instruction sets and features that are needed
    0xc0010000..7fff  bits of all, if every object says any    instruction sets and features that are used

All code that the linker makes begins with ENDBR in an output that is marked for IBT (`wants_ibt`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import notes
from uselib.linker.formats.elf import SHF_ALLOC, SHT_NOTE
from uselib.linker.image import Machine
from uselib.linker.passes.model import InputSection, ObjectFile

NAME = ".note.gnu.property"
_NT_GNU_PROPERTY_TYPE_0 = 5
_FEATURE_1_AND, _ISA_1_NEEDED = 0xC0000002, 0xC0008002
_IBT = 1
_FEATURES = {"ibt": _IBT, "shstk": 2, "lam-u48": 4 | 8, "lam-u57": 8}  # -z: bits of _FEATURE_1_AND
_AND, _OR, _OR_AND = range(0xC0000002, 0xC0008000), range(0xC0008000, 0xC0010000), range(0xC0010000, 0xC0018000)
_LEVELS = {"x86-64-baseline": 1, "x86-64-v2": 2, "x86-64-v3": 4, "x86-64-v4": 8}

Properties = dict[int, int]
"""Bits by type of property."""


def property_section(files: Iterable[ObjectFile], machine: Machine, keywords: frozenset[str]) -> InputSection | None:
    """The output's note, or None if it has no property. keywords: of -z."""
    merged = _merged([_of_file(file) for file in files if file.stub is None])
    merged[_FEATURE_1_AND] = merged.get(_FEATURE_1_AND, 0)
    for feature in keywords & _FEATURES.keys():
        merged[_FEATURE_1_AND] |= _FEATURES[feature]
    merged[_ISA_1_NEEDED] = merged.get(_ISA_1_NEEDED, 0) | sum(_LEVELS.get(word, 0) for word in keywords)
    rows = [(kind, bits) for kind, bits in sorted(merged.items()) if bits]
    if not rows:
        return None
    word = machine.word
    descriptor = b"".join(struct.pack("<III", kind, 4, bits).ljust(8 + word, b"\0") for kind, bits in rows)
    content = struct.pack("<III", 4, len(descriptor), _NT_GNU_PROPERTY_TYPE_0) + b"GNU\0" + descriptor
    return InputSection(None, 0, NAME, SHT_NOTE, SHF_ALLOC, len(content), word, 0, content)


def wants_ibt(files: Iterable[ObjectFile], keywords: frozenset[str]) -> bool:
    """Whether indirect branches of the output may go to ENDBR only: by -z ibt or -z ibtplt, or since all objects have it so."""
    if keywords & {"ibt", "ibtplt"}:
        return True
    return bool(_merged([_of_file(file) for file in files if file.stub is None]).get(_FEATURE_1_AND, 0) & _IBT)


def _merged(files: list[Properties]) -> Properties:
    result: Properties = {}
    for kind in {kind for properties in files for kind in properties}:
        values = [properties.get(kind, 0) for properties in files]
        everywhere = all(kind in properties for properties in files)
        bits = values[0]
        for value in values[1:]:
            bits = bits & value if kind in _AND else bits | value
        if kind in _OR or everywhere:
            result[kind] = bits
    return result


def _of_file(file: ObjectFile) -> Properties:
    """The properties with 4 bytes of bits. Raises FormatError where the note is damaged."""
    found: Properties = {}
    for section in file.sections:
        if section is None or section.name != NAME:
            continue
        for note in notes.notes(bytes(section.content), section.where):
            if note.name == b"GNU\0" and note.type == _NT_GNU_PROPERTY_TYPE_0:
                for kind, bits in _properties(note.descriptor, file.elf.elf_class.word, section):
                    found[kind] = found.get(kind, 0) | bits
    return found


def _properties(data: bytes, word: int, section: InputSection) -> Iterable[tuple[int, int]]:
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if at + 8 + size > len(data):
            raise FormatError(Diagnostic(section.where, "a program property runs over the end of its note"))
        if size == 4 and any(kind in kinds for kinds in (_AND, _OR, _OR_AND)):
            yield kind, struct.unpack_from("<I", data, at + 8)[0]
        at += 8 + (size + word - 1 & -word)
