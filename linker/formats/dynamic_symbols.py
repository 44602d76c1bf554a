"""The functions that a shared object or a dynamic program exports: .dynsym with its versions, as the dynamic linker sees it.

Source: System V ABI, chapter 5 (symbol table); LSB Core, "Symbol Versioning" (.gnu.version, .gnu.version_d).
"""

from __future__ import annotations

import struct
from collections.abc import Container
from typing import NamedTuple

from uselib.linker.formats import elf
from uselib.linker.formats.string_table import StringTable

_SHT_GNU_VERDEF, _SHT_GNU_VERSYM = 0x6FFFFFFD, 0x6FFFFFFF
_VERDEF = struct.Struct("<HHHHIII")  # vd_version, vd_flags, vd_ndx, vd_cnt, vd_hash, vd_aux, vd_next
_VERSION = 0x7FFF  # of a version index; the other bit: not the default
_VISIBLE = (0, 3)  # STV_DEFAULT, STV_PROTECTED
_BINDINGS = (elf.STB_GLOBAL, elf.STB_WEAK, 10)  # 10: STB_GNU_UNIQUE
_FUNCTIONS = (elf.STT_FUNC, elf.STT_GNU_IFUNC)


class ExportedFunction(NamedTuple):
    """name: with its version, `malloc@GLIBC_2.2.5`; address: as in the file; resolver: what is there is the resolver of an IFUNC."""

    address: int
    size: int
    name: str
    resolver: bool


def unversioned(name: str) -> str:
    """`malloc` of `malloc@GLIBC_2.2.5`."""
    return name.partition("@")[0]


class ObjectSymbols(NamedTuple):
    """exported: by address, then name; there may be several names of one address. imported: names without versions."""

    exported: tuple[ExportedFunction, ...]
    imported: frozenset[str]

    def chosen(self, wanted: Container[str]) -> list[ExportedFunction]:
        """One name an address. Of several: one that is wanted, then the one with the fewest leading underscores, the shortest, the first."""
        best: dict[int, tuple[tuple[bool, int, int, str], ExportedFunction]] = {}
        for function in self.exported:
            plain = unversioned(function.name)
            rank = plain not in wanted, len(plain) - len(plain.lstrip("_")), len(plain), function.name
            if function.address not in best or rank < best[function.address][0]:
                best[function.address] = rank, function
        return [function for _, function in best.values()]


NO_SYMBOLS = ObjectSymbols((), frozenset())


def dynamic_symbols(data: bytes, where: str) -> ObjectSymbols:
    """Raises FormatError."""
    file = elf.ElfFile(memoryview(data), where)
    index = next((n for n, section in enumerate(file.sections) if section.type == elf.SHT_DYNSYM), None)
    if index is None:
        return NO_SYMBOLS
    names, versions = file.strings(file.sections[index].link), _versions(file, index)
    exported, imported = [], set()
    code = [bool(section.flags & elf.SHF_EXECINSTR) for section in file.sections]
    for number, (name_at, info, other, section, value, size) in enumerate(file.symbols(index)):
        kind = info & 15
        if info >> 4 not in _BINDINGS or other & 3 not in _VISIBLE:
            continue
        if not section:
            imported.add(names[name_at])
        elif section < len(code) and value and (kind in _FUNCTIONS or (kind == elf.STT_NOTYPE and code[section])):
            version = versions[number] if number < len(versions) else ""
            name = names[name_at] + (f"@{version}" if version else "")
            exported.append(ExportedFunction(value, size, name, kind == elf.STT_GNU_IFUNC))
    return ObjectSymbols(tuple(sorted(exported)), frozenset(imported))


def _versions(file: elf.ElfFile, symbols: int) -> list[str]:
    """Of each symbol of .dynsym; empty where it has none. Damaged tables give none."""
    defined: dict[int, str] = {}
    numbers: tuple[int, ...] = ()
    for index, section in enumerate(file.sections):
        if section.type == _SHT_GNU_VERSYM and section.link == symbols:
            content = bytes(file.content(index))
            numbers = struct.unpack(f"<{len(content) // 2}H", content[: len(content) // 2 * 2])
        elif section.type == _SHT_GNU_VERDEF:
            defined = _definitions(bytes(file.content(index)), file.strings(section.link))
    return [defined.get(number & _VERSION, "") for number in numbers]


def _definitions(content: bytes, names: StringTable) -> dict[int, str]:
    """Version index -> name. Index 1 is the file itself, whose symbols have no version."""
    found: dict[int, str] = {}
    at = 0
    for _ in range(len(content) // _VERDEF.size):
        if at + _VERDEF.size > len(content):
            break
        _, flags, number, count, _, auxiliary, following = _VERDEF.unpack_from(content, at)
        if count and at + auxiliary + 4 <= len(content) and not flags & 1:  # VER_FLG_BASE
            found[number & _VERSION] = names[struct.unpack_from("<I", content, at + auxiliary)[0]]
        if not following:
            break
        at += following
    return found
