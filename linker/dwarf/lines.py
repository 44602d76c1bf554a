"""File names: what DW_AT_decl_file counts, from the header of a unit's line table (6.2.4 of the standard).

A name is given as the compiler saw it: relative to the directory of the compilation, with its own directory in front
if that is not the same. Version 5 counts from 0, earlier ones from 1.
"""

from __future__ import annotations

import struct

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Damage, FormSizes, uleb
from uselib.linker.dwarf.units import DAMAGE, Information, Unit

_PATH, _DIRECTORY = 1, 2  # DW_LNCT_*
_MOST = 1 << 16  # entries of a header that are believed


class LineTableFiles:
    """File names of each unit, read when the first is asked for. What is damaged has no names."""

    def __init__(self, information: Information) -> None:
        self._information = information
        self._known: dict[tuple[int, int], list[str]] = {}

    def name(self, unit: Unit, number: int) -> str:
        """File `number` of a unit; empty if it is not to be found."""
        at = unit.top.get(dw.STMT_LIST, -1)
        if at < 0:
            return ""
        names = self._known.get((at, unit.forms.version))
        if names is None:
            try:
                names = _names(self._information, at)
            except DAMAGE:
                names = []
            self._known[at, unit.forms.version] = names
        return names[number] if 0 <= number < len(names) else ""


def _names(information: Information, at: int) -> list[str]:
    data = information.sections.line
    (length,) = struct.unpack_from("<I", data, at)
    at += 4
    offset = 4
    if length == 0xFFFFFFFF:
        at, offset = at + 8, 8
    (version,) = struct.unpack_from("<H", data, at)
    at += 2
    if version >= 5:
        at += 2  # address size, segment selector size
    at += offset  # header length
    at += 5 if version >= 4 else 4  # minimum instruction length (and operations), default is_stmt, line base and range
    opcodes = data[at]
    at += opcodes  # the opcode base itself and a length for each opcode below it
    if version >= 5:
        forms = FormSizes(version, 8, offset)
        directories, at = _table(information, data, at, forms)
        files, at = _table(information, data, at, forms)
        return [_joined(directories, where, name) for name, where in files]
    return _old_names(data, at)


def _old_names(data: bytes, at: int) -> list[str]:
    directories: list[tuple[str, int]] = [("", 0)]
    while data[at]:
        end = data.index(0, at)
        directories.append((data[at:end].decode("utf-8", "replace"), 0))
        at = end + 1
    at += 1
    names = [""]
    while data[at]:
        end = data.index(0, at)
        name = data[at:end].decode("utf-8", "replace")
        where, at = uleb(data, end + 1)
        _, at = uleb(data, at)
        _, at = uleb(data, at)
        names.append(_joined(directories, where, name))
    return names


def _table(information: Information, data: bytes, at: int, forms: FormSizes) -> tuple[list[tuple[str, int]], int]:
    """A list of directories or files of version 5: (name, directory), and the offset behind it."""
    columns = []
    count, at = data[at], at + 1
    for _ in range(count):
        content, at = uleb(data, at)
        form, at = uleb(data, at)
        columns.append((content, form))
    rows, at = uleb(data, at)
    if rows > _MOST:
        raise Damage("a line table has too many files")
    result = []
    for _ in range(rows):
        name, where = "", 0
        for content, form in columns:
            value: object
            if form == dw.F_STRING:
                end = data.index(0, at)
                value, at = data[at:end].decode("utf-8", "replace"), end + 1
            elif form == dw.F_UDATA:
                value, at = uleb(data, at)
            else:
                size = forms.size(form)
                if size < 0:
                    raise Damage("a line table has a form that is not read")
                number = int.from_bytes(data[at : at + size], "little")
                at += size
                value = number
                if form in (dw.F_LINE_STRP, dw.F_STRP):
                    strings = information.sections.line_str if form == dw.F_LINE_STRP else information.sections.strings
                    end = strings.index(0, number)
                    value = strings[number:end].decode("utf-8", "replace")
            if content == _PATH:
                name = str(value)
            elif content == _DIRECTORY and isinstance(value, int):
                where = value
        result.append((name, where))
    return result, at


def _joined(directories: list[tuple[str, int]], where: int, name: str) -> str:
    if not where or name.startswith("/") or where >= len(directories):
        return name
    directory = directories[where][0]
    return f"{directory}/{name}" if directory else name
