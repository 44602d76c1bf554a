"""Stub archives (`libX.sa`) of a.out libraries, from their control files: the format is in stub.py.

One archive for each library that the control files' fourth column names (libc, libcurses, ... may be one image). In each, the first member
describes the image; there is one further member for each object of the fifth column, with the slots of its functions, and one for each variable,
so that a program may define a variable of its own and still use the functions beside it. The first member of a classic library's archive has
no conflict list, no slots and no cells.
"""

from __future__ import annotations

from uselib.linker.formats.ar import NewMember, write_bsd_archive
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.control import ControlFiles
from uselib.linker.historical.aout.format import (
    N_ABS,
    N_DATA,
    N_EXT,
    N_SETD,
    N_TEXT,
    Aout,
    AoutRelocation,
    AoutSymbol,
    ExecHeader,
    Magic,
    word,
)
from uselib.linker.historical.aout.program import CONFLICTS, LIBRARIES
from uselib.linker.historical.aout.stub import CELL_PREFIX, DUMMY, SLOT_PREFIX

_OBJECT = ExecHeader(Magic.OMAGIC, 0, 0)


def marker(control: ControlFiles) -> str:
    """`___libc_4_303`: the symbol that members of exactly this version refer to, so that the first member is linked."""
    version = control.version
    return f"___{control.library}_{version.major}_{version.minor * 100 + version.patch}"


def describing_member(control: ControlFiles, version_word: int) -> Aout:
    """struct libentry, the address of the conflict list, both in their set vectors, and every slot and cell."""
    version = control.version
    name = f"{control.name}.so.{version.major}".encode() + b"\0"
    kind = "Jump" if control.classic else "DLL Jump"
    text = name + f"{kind} {version.major}.{version.minor}pl{version.patch}".encode() + b"\0"
    text += bytes(-len(text) % 4)
    entry = len(text)
    data = word(0) + word(len(name)) + word(control.text) + word(version_word)
    needs = f"{NEEDS_PREFIX}{control.library}_{version.major}"
    symbols = [AoutSymbol(name, N_DATA | N_EXT, entry) for name in (marker(control), needs)]
    symbols.append(AoutSymbol(LIBRARIES, N_SETD | N_EXT, entry))
    # the two pointers of libentry lead into this member's text
    relocations = (AoutRelocation(0, N_TEXT, False), AoutRelocation(4, N_TEXT, False))
    if control.classic:
        return Aout(_OBJECT, text, data, (), relocations, tuple(symbols))
    data += word(control.cells)
    symbols.append(AoutSymbol(f"__{control.library}_CONFLICT_LIST", N_DATA, entry + 16))
    symbols.append(AoutSymbol(CONFLICTS, N_SETD | N_EXT, entry + 16))
    for number, line in enumerate(control.functions, 1):
        if line.type == "T" and line.symbol != DUMMY:
            symbols.append(AoutSymbol(f"{SLOT_PREFIX}{line.symbol}", N_ABS | N_EXT, control.slot(number)))
    for index, line in enumerate(control.variables):
        if line.symbol != DUMMY:
            symbols.append(AoutSymbol(f"{CELL_PREFIX}{line.symbol}", N_ABS | N_EXT, control.cell(index)))
    return Aout(_OBJECT, text, data, (), relocations, tuple(symbols))


def stub_archives(control: ControlFiles, version_word: int) -> dict[str, bytes]:
    """Library name of the control files -> archive."""
    places = control.places()
    groups: dict[str, dict[str, list[AoutSymbol]]] = {}  # library -> member's name -> symbols
    names_of: dict[tuple[str, str], str] = {}
    for number, line in enumerate(control.functions, 1):
        if line.type == "T" and line.symbol != DUMMY:
            library = line.library or control.library
            member = names_of.setdefault((library, line.object), f"__T{number:05}.o")
            symbol = AoutSymbol(line.symbol, N_ABS | N_EXT, control.slot(number))
            groups.setdefault(library, {}).setdefault(member, []).append(symbol)
    for number, line in enumerate(control.variables):
        if line.symbol != DUMMY:
            symbol = AoutSymbol(line.symbol, N_ABS | N_EXT, places[line.symbol])
            groups.setdefault(line.library or control.library, {})[f"__D{number:05}.o"] = [symbol]
    first = describing_member(control, version_word)
    names = tuple(s.name for s in first.symbols if s.external and s.kind in (N_DATA, N_ABS))
    described = NewMember(f"__{control.library}.o"[:15], aout.encode(first), names)
    found = {}
    for library, members in groups.items():
        listed = [described]
        for name, symbols in members.items():
            content = Aout(_OBJECT, b"", b"", symbols=(*symbols, AoutSymbol(marker(control), N_EXT)))
            listed.append(NewMember(name, aout.encode(content), tuple(s.name for s in symbols)))
        found[library] = write_bsd_archive(listed)
    return found
