"""Headers of line tables (6.2.4 of the standard): file names, and how the line program behind them is to be read.

A name is given as the compiler saw it: relative to the directory of the compilation, with its own directory in front
if that is not the same. DW_AT_decl_file counts these names: version 5 from 0, earlier ones from 1.
"""

from __future__ import annotations

import struct

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Damage, FormSizes, uleb
from uselib.linker.dwarf.sections import Sections
from uselib.linker.dwarf.units import DAMAGE, Information, Unit
from uselib.linker.quick_dataclass import NamedTuple

_PATH, _DIRECTORY = 1, 2  # DW_LNCT_*
_MOST = 1 << 16  # a header with more entries counts as damaged


class LineHeader(NamedTuple):
    """names: of the files, with "" as number 0 before version 5. start, end: of the line program in .debug_line.

    step: bytes that one unit of an address advance means. A special opcode is `opcode_base` or more; it advances the line by
    `line_base` to `line_base + line_range - 1`. arguments: for each standard opcode, from 1 on, its LEB128 arguments.
    """

    names: tuple[str, ...]
    start: int
    end: int
    step: int
    line_base: int
    line_range: int
    opcode_base: int
    arguments: bytes


class LineTableFiles:
    """File names of each unit, read when the first is asked for. A damaged table has no names."""

    def __init__(self, information: Information) -> None:
        self._information = information
        self._known: dict[tuple[int, int], tuple[str, ...]] = {}

    def name(self, unit: Unit, number: int) -> str:
        """File `number` of a unit; empty if there is none."""
        at = unit.top.get(dw.STMT_LIST, -1)
        if at < 0:
            return ""
        names = self._known.get((at, unit.forms.version))
        if names is None:
            try:
                names = read_header(self._information.sections, at).names
            except DAMAGE:
                names = ()
            self._known[at, unit.forms.version] = names
        return names[number] if 0 <= number < len(names) else ""


def read_header(sections: Sections, at: int) -> LineHeader:
    """The header of the line table at offset `at` of .debug_line. Raises one of DAMAGE."""
    data = sections.line
    (length,) = struct.unpack_from("<I", data, at)
    at += 4
    offset = 4
    if length == 0xFFFFFFFF:
        (length,) = struct.unpack_from("<Q", data, at)
        at, offset = at + 8, 8
    end = at + length
    (version,) = struct.unpack_from("<H", data, at)
    at += 2
    if not 2 <= version <= 5:
        raise Damage(f"a line table has version {version}; 2 to 5 are read")
    if version >= 5:
        at += 2  # address size, segment selector size
    start = at + offset + int.from_bytes(data[at : at + offset], "little")
    at += offset
    step = data[at]
    at += (
        3 if version >= 4 else 2
    )  # behind it: operations an instruction (1 on x86; from version 4 on), default_is_stmt
    line_base, line_range, opcode_base = struct.unpack_from("<bBB", data, at)
    if not line_range:
        raise Damage("a line table has a range of no lines")
    arguments = data[at + 3 : at + 2 + opcode_base]
    at += 2 + opcode_base
    if version >= 5:
        forms = FormSizes(version, 8, offset)
        directories, at = _table(sections, data, at, forms)
        files, at = _table(sections, data, at, forms)
        names = [_joined(directories, where, name) for name, where in files]
    else:
        names = _old_names(data, at)
    return LineHeader(tuple(names), start, end, step, line_base, line_range, opcode_base, arguments)


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


def _table(sections: Sections, data: bytes, at: int, forms: FormSizes) -> tuple[list[tuple[str, int]], int]:
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
                    strings = sections.line_str if form == dw.F_LINE_STRP else sections.strings
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
