"""The facts of an object, an archive or a stub library."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from uselib.commands.inspect.records import Facts, identity_facts
from uselib.linker.errors import FormatError
from uselib.linker.formats import elf
from uselib.linker.formats.ar import Archive
from uselib.linker.library import stub
from uselib.linker.library.releases import previous
from uselib.linker.reading import read_file

_TYPES = {elf.STT_FUNC: "function", elf.STT_OBJECT: "data", elf.STT_TLS: "tls", elf.STT_GNU_IFUNC: "ifunc"}
_BINDINGS = {elf.STB_LOCAL: "local", elf.STB_GLOBAL: "global", elf.STB_WEAK: "weak"}


def object_facts(data: bytes | memoryview, where: str) -> Facts:
    """An ET_REL object: allocated sections and global symbols."""
    file = elf.ElfFile(memoryview(data), where)
    if file.kind != elf.ET_REL:
        raise elf.bad(where, "is not a relocatable object")
    symbols = []
    for index, section in enumerate(file.sections):
        if section.type != elf.SHT_SYMTAB:
            continue
        names = file.strings(section.link)
        for name, info, other, shndx, value, size in file.symbols(index):
            if info >> 4 == elf.STB_LOCAL or not name:
                continue
            place = {elf.SHN_UNDEF: "undefined", elf.SHN_ABS: "absolute", elf.SHN_COMMON: "common"}.get(
                shndx, "defined"
            )
            symbols.append(
                {
                    "name": names[name],
                    "binding": _BINDINGS.get(info >> 4, str(info >> 4)),
                    "type": _TYPES.get(info & 15, ""),
                    "place": place,
                    "value": value,
                    "size": size,
                    "hidden": other & 3 in (1, 2),
                }
            )
    return {
        "file": where,
        "kind": "object",
        "machine": file.machine.label,
        "sections": [
            {"name": file.names[s[0]], "size": s[5], "alignment": s[8]} for s in file.sections if s[2] & elf.SHF_ALLOC
        ],
        "symbols": symbols,
    }


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the members of an archive or of a library in directory format."""
    if os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            yield name, read_file(os.path.join(path, name))
        return
    data = read_file(path)
    for member in Archive(data, path).members():
        if member.path:
            yield member.name, read_file(member.path)
        else:
            yield member.name, data[member.start : member.start + member.size]


def archive_facts(path: str) -> Facts:
    facts: Facts = {"file": path, "kind": "archive"}
    if stub.is_stub(path):
        who = stub.read_identity(path)
        facts |= {
            "kind": "stub library",
            "machine": who.machine.label,
            "library": identity_facts(who.identity),
            "file_name": who.file_name,
            "dependencies": list(who.dependencies),
            "releases": [],
        }
        with contextlib.suppress(FormatError):  # one without a history is a stub library all the same
            facts["releases"] = [str(release) for release in previous.read(path).history.releases]
    members = []
    for name, content in _members(path):
        if content[:4] == elf.MAGIC:
            symbols = object_facts(content, f"{path}({name})")["symbols"]
            members.append({"name": name, "size": len(content), "symbols": symbols})
        else:
            members.append({"name": name, "size": len(content), "symbols": []})
    return facts | {"members": members}
