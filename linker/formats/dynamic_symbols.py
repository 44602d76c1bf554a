"""The functions that a shared object or a dynamic program exports: .dynsym with its versions, as the dynamic linker sees it.

Source: System V ABI, chapter 5 (symbol table); LSB Core, "Symbol Versioning" (.gnu.version, .gnu.version_d, .gnu.version_r).
"""

from __future__ import annotations

import struct
from collections.abc import Container

from uselib.linker.formats import elf
from uselib.linker.formats.string_table import StringTable
from uselib.linker.quick_dataclass import NamedTuple

_SHT_GNU_VERDEF, _SHT_GNU_VERNEED, _SHT_GNU_VERSYM = 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_VERDEF = struct.Struct("<HHHHIII")  # vd_version, vd_flags, vd_ndx, vd_cnt, vd_hash, vd_aux, vd_next
_VERNEED = struct.Struct("<HHIII")  # vn_version, vn_cnt, vn_file, vn_aux, vn_next
_VERNAUX = struct.Struct("<IHHII")  # vna_hash, vna_flags, vna_other, vna_name, vna_next
_VERSION = 0x7FFF  # of a version index; the other bit: not the default
_VISIBLE = (0, 3)  # STV_DEFAULT, STV_PROTECTED
_BINDINGS = (elf.STB_GLOBAL, elf.STB_WEAK, 10)  # 10: STB_GNU_UNIQUE
_FUNCTIONS = (elf.STT_FUNC, elf.STT_GNU_IFUNC)


class ExportedFunction(NamedTuple):
    """name: with its version, `malloc@GLIBC_2.2.5`; address: as in the file; resolver: what is there is the resolver of an IFUNC;
    hidden: not the default version of the name."""

    address: int
    size: int
    name: str
    resolver: bool
    hidden: bool = False


def unversioned(name: str) -> str:
    """`malloc` of `malloc@GLIBC_2.2.5`."""
    return name.partition("@")[0]


class ObjectSymbols(NamedTuple):
    """exported: by address, then name; there may be several names of one address. imported: names without and with versions."""

    exported: tuple[ExportedFunction, ...]
    imported: frozenset[str]

    def chosen(self, wanted: Container[str]) -> list[ExportedFunction]:
        """One name an address. Of several: one that is wanted, in the version that is wanted, then the one with the fewest leading underscores,
        the shortest, the default version, the first."""
        best: dict[int, tuple[tuple[bool, bool, int, int, bool, str], ExportedFunction]] = {}
        for function in self.exported:
            plain = unversioned(function.name)
            shape = len(plain) - len(plain.lstrip("_")), len(plain), function.hidden, function.name
            rank = plain not in wanted, function.name not in wanted, *shape
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
    exported: list[ExportedFunction] = []
    imported: list[str] = []
    code = [bool(section.flags & elf.SHF_EXECINSTR) for section in file.sections]
    for number, (name_at, info, other, section, value, size) in enumerate(file.symbols(index)):
        kind = info & 15
        if info >> 4 not in _BINDINGS or other & 3 not in _VISIBLE:
            continue
        version, hidden = versions[number] if number < len(versions) else ("", False)
        name = names[name_at] + (f"@{version}" if version else "")
        if not section:
            imported += names[name_at], name
        elif section < len(code) and value and (kind in _FUNCTIONS or (kind == elf.STT_NOTYPE and code[section])):
            exported.append(ExportedFunction(value, size, name, kind == elf.STT_GNU_IFUNC, hidden))
    return ObjectSymbols(tuple(sorted(exported)), frozenset(imported))


def _versions(file: elf.ElfFile, symbols: int) -> list[tuple[str, bool]]:
    """Of each symbol of .dynsym; empty where it has none; and whether it is hidden. Damaged tables give none."""
    known: dict[int, str] = {}
    numbers: tuple[int, ...] = ()
    for index, section in enumerate(file.sections):
        if section.type == _SHT_GNU_VERSYM and section.link == symbols:
            content = bytes(file.content(index))
            numbers = struct.unpack(f"<{len(content) // 2}H", content[: len(content) // 2 * 2])
        elif section.type == _SHT_GNU_VERDEF:
            known |= _definitions(bytes(file.content(index)), file.strings(section.link))
        elif section.type == _SHT_GNU_VERNEED:
            known |= _references(bytes(file.content(index)), file.strings(section.link))
    return [(known.get(number & _VERSION, ""), number > _VERSION) for number in numbers]


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


def _references(content: bytes, names: StringTable) -> dict[int, str]:
    """Version index -> name, of the versions that the file asks others for."""
    found: dict[int, str] = {}
    at = 0
    for _ in range(len(content) // _VERNEED.size):
        if at + _VERNEED.size > len(content):
            break
        _, count, _, auxiliary, following = _VERNEED.unpack_from(content, at)
        row = at + auxiliary
        for _ in range(count):
            if row + _VERNAUX.size > len(content):
                break
            _, _, number, name, after = _VERNAUX.unpack_from(content, row)
            found[number & _VERSION] = names[name]
            row += after
            if not after:
                break
        if not following:
            break
        at += following
    return found
