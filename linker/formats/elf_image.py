"""Executables and target libraries, ELF: bytes -> uselib.linker.image.Image. Everything is checked here, so that users of an
`Image` need not; whatever the bytes are, only FormatError comes out.

Source: System V ABI, chapter 5; the checks on segments are those of Linux's load_elf_binary and load_elf_library.
"""

from __future__ import annotations

from uselib.linker.formats import elf, notes
from uselib.linker.formats.elf import (
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    PT_TLS,
    SHF_EXECINSTR,
    SHN_ABS,
    SHN_LORESERVE,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_SYMTAB,
    STB_LOCAL,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_OBJECT,
)
from uselib.linker.formats.elf import bad as _bad
from uselib.linker.formats.library_names import IMPLEMENTATION_SUFFIX, plain_name
from uselib.linker.image import (
    EXEC,
    PAGE,
    Binding,
    Export,
    ExportKind,
    Identity,
    Image,
    ImageSymbol,
    LibraryHeader,
    Machine,
    Segment,
)

_LIMIT = {Machine.I386: 1 << 32, Machine.X86_64: 1 << 47}
_MAX_HEADERS = 65536 // 56  # the kernel reads at most 64 KiB of program headers


def read_image(data: bytes, where: str, *, relative: bool = False) -> Image:
    """Reads an ET_EXEC file of either machine; relative: or an ET_DYN. Raises FormatError naming `where`."""
    file = elf.ElfFile(memoryview(data), where)
    if file.kind == elf.ET_DYN and not relative:
        raise _bad(
            where, "a position-independent or dynamic file, not a fixed-address one", "link with -static -no-pie"
        )
    if file.kind not in (elf.ET_EXEC, elf.ET_DYN):
        raise _bad(where, f"not an executable or target library (ELF type {file.kind})", "link it first")
    raw = _program_headers(file)
    segments = _segments(raw, file)
    if not any(s.address <= file.entry < s.end for s in segments) and file.entry:
        raise _bad(where, f"its entry point {file.entry:#x} lies in no segment")
    library, needs = _notes(raw, file)
    symbols, rows = _symbols(file)
    names = _library_names(file)
    return Image(
        machine=file.machine,
        entry=file.entry,
        segments=segments,
        tls=_tls(raw, segments, file),
        program_headers=_headers_in_memory(file, segments),
        stack_executable=all(flags & EXEC for kind, flags, *_ in raw if kind == PT_GNU_STACK),
        interpreter=_interpreter(raw, file),
        library=library,
        needs=needs,
        library_names=names,
        library_path=_text(file, segments, symbols, ".libpath", "_SHARED_LIBRARY_PATH") if names else "",
        bindings=_bindings(file),
        symbols=symbols,
        exports=_exports(library, rows) if library is not None else (),
        relative=file.kind == elf.ET_DYN,
        version_rule=_text(file, segments, symbols, ".librule", "_SHARED_LIBRARY_RULE") if names else "",
    )


def _program_headers(file: elf.ElfFile) -> list[elf.ProgramHeader]:
    at, size, count = file.program_headers
    record = file.elf_class.segment
    if not count:
        raise _bad(file.where, "it has no program headers: it cannot be loaded")
    if size != record.size or count > _MAX_HEADERS:
        raise _bad(file.where, f"{count} program headers of {size} bytes: damaged ELF header")
    if at + size * count > len(file.data):
        raise _bad(file.where, "truncated: the program headers lie beyond the end of the file")
    return file.elf_class.segments(file.data[at : at + size * count])


def _in_file(header: elf.ProgramHeader, file: elf.ElfFile, what: str) -> memoryview:
    _, _, offset, _, size, _, _ = header
    if offset + size > len(file.data):
        raise _bad(
            file.where, f"truncated: {what} ends at {offset + size:#x}, but the file has {len(file.data):#x} bytes"
        )
    return file.data[offset : offset + size]


def _segments(raw: list[elf.ProgramHeader], file: elf.ElfFile) -> tuple[Segment, ...]:
    result: list[Segment] = []
    for number, header in enumerate(raw):
        kind, flags, offset, address, file_size, memory_size, alignment = header
        if kind != PT_LOAD:
            continue
        what = f"segment {number}"
        _in_file(header, file, what)
        if file_size > memory_size:
            raise _bad(
                file.where, f"{what} has more bytes in the file ({file_size:#x}) than in memory ({memory_size:#x})"
            )
        if address + memory_size > _LIMIT[file.machine]:
            raise _bad(file.where, f"{what} ends at {address + memory_size:#x}, beyond the address space")
        if file_size and address % PAGE != offset % PAGE:
            raise _bad(file.where, f"{what} is at {address:#x}, but its file offset {offset:#x} is not congruent")
        if alignment & (alignment - 1):
            raise _bad(file.where, f"{what} has alignment {alignment:#x}, which is not a power of two")
        if not memory_size:
            continue
        if result and address < result[-1].end:
            raise _bad(file.where, f"{what} at {address:#x} overlaps the one before, which ends at {result[-1].end:#x}")
        result.append(Segment(address, memory_size, offset, file_size, flags & 7, alignment or 1))
    if not result:
        raise _bad(file.where, "it has no loadable segment")
    return tuple(result)


def _tls(raw: list[elf.ProgramHeader], segments: tuple[Segment, ...], file: elf.ElfFile) -> Segment | None:
    for header in raw:
        kind, flags, offset, address, file_size, memory_size, alignment = header
        if kind == PT_TLS:
            _in_file(header, file, "the thread-local segment")
            if file_size > memory_size or alignment & (alignment - 1):
                raise _bad(file.where, "damaged thread-local segment")
            if file_size and not any(s.address <= address and address + file_size <= s.end for s in segments):
                raise _bad(file.where, f"the thread-local segment at {address:#x} lies in no segment")
            return Segment(address, memory_size, offset, file_size, flags & 7, alignment or 1)
    return None


def _headers_in_memory(file: elf.ElfFile, segments: tuple[Segment, ...]) -> tuple[int, int, int]:
    at, size, count = file.program_headers
    for segment in segments:
        if segment.offset <= at and at + size * count <= segment.offset + segment.file_size:
            return segment.address + at - segment.offset, size, count
    return 0, size, count


def _interpreter(raw: list[elf.ProgramHeader], file: elf.ElfFile) -> str:
    for header in raw:
        if header.type == PT_INTERP:
            text = bytes(_in_file(header, file, "the interpreter's name"))
            if not text.endswith(b"\0") or not 1 < len(text) <= 4096:
                raise _bad(file.where, "damaged interpreter name")
            return text.partition(b"\0")[0].decode("utf-8", "replace")
    return ""


def _notes(raw: list[elf.ProgramHeader], file: elf.ElfFile) -> tuple[LibraryHeader | None, tuple[Identity, ...]]:
    library: LibraryHeader | None = None
    needs: dict[str, Identity] = {}
    for header in raw:
        if header.type != PT_NOTE:
            continue
        content = bytes(_in_file(header, file, "a note segment"))
        for descriptor in notes.descriptors(content, file.where, notes.NT_LIBRARY):
            if library is not None:
                raise _bad(file.where, "it has two library notes")
            library = notes.decode_library(descriptor, file.where)
        for identity in notes.needs(content, file.where):
            needs.setdefault(identity.name, identity)
    if library is not None and library.machine is not file.machine:
        raise _bad(file.where, f"its note says {library.machine.label}, its ELF header {file.machine.label}")
    return library, tuple(needs.values())


def _section(file: elf.ElfFile, name: str) -> memoryview | None:
    for index, section in enumerate(file.sections):
        if section.type not in (0, SHT_NOBITS) and file.names[section.name] == name:
            return file.content(index)
    return None


def _text(
    file: elf.ElfFile, segments: tuple[Segment, ...], symbols: tuple[ImageSymbol, ...], section: str, symbol: str
) -> str:
    """A string for start-up, in a section that our ld makes or where the program defines it. Empty if there is none.
    Only files with a `.lib` are asked."""
    content: bytes | memoryview | None = _section(file, section)
    if content is None:
        address = next((s.address for s in symbols if s.name == symbol), 0)
        for s in segments:
            if s.address <= address < s.address + s.file_size:
                content = file.data[s.offset + address - s.address : s.offset + s.file_size]
    return bytes(content).partition(b"\0")[0].decode("utf-8", "surrogateescape") if content is not None else ""


def _library_names(file: elf.ElfFile) -> tuple[str, ...]:
    """`.lib`: names, a NUL after each, and an empty name as the end."""
    content = _section(file, ".lib")
    if content is None or not len(content):
        return ()
    data = bytes(content)
    names: list[str] = []
    position = 0
    while True:
        end = data.find(b"\0", position)
        if end < 0:
            raise _bad(file.where, "its .lib section has no end (two NULs): the list of libraries is damaged")
        if end == position:
            return tuple(names)
        names.append(data[position:end].decode("utf-8", "replace"))
        position = end + 1


def _bindings(file: elf.ElfFile) -> tuple[Binding, ...]:
    content = _section(file, notes.BINDINGS_SECTION)
    if content is None:
        return ()
    descriptor = next(notes.descriptors(bytes(content), file.where, notes.NT_BINDINGS), None)
    return notes.decode_bindings(descriptor, file.where) if descriptor is not None else ()


_KINDS = frozenset((STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_GNU_IFUNC))
_Row = tuple[str, int, int, int, int]  # name, address, size, type, binding


def _symbols(file: elf.ElfFile) -> tuple[tuple[ImageSymbol, ...], list[_Row]]:
    symbols: list[ImageSymbol] = []
    rows: list[_Row] = []
    kinds = [section.type for section in file.sections]
    wanted = (
        SHT_SYMTAB if SHT_SYMTAB in kinds or file.kind != elf.ET_DYN else SHT_DYNSYM
    )  # a stripped library has no other
    for index, section in enumerate(file.sections):
        if section.type != wanted:
            continue
        names = file.strings(section.link)
        code = [bool(s[2] & SHF_EXECINSTR) for s in file.sections]
        for name_at, info, _, shndx, value, size in file.symbols(index):
            kind = info & 15
            if not name_at or not shndx or kind not in _KINDS:
                continue
            if SHN_LORESERVE <= shndx != SHN_ABS:
                continue
            if shndx < SHN_LORESERVE and shndx >= len(code):
                raise _bad(file.where, f"a symbol lies in section {shndx} of {len(code)}")
            name = names[name_at]
            absolute = shndx == SHN_ABS
            function = kind in (STT_FUNC, STT_GNU_IFUNC) or (kind == STT_NOTYPE and not absolute and code[shndx])
            symbols.append(ImageSymbol(name, value, size, function, absolute))
            if not absolute:
                rows.append((name, value, size, kind, info >> 4))
        break
    return tuple(symbols), rows


def _exports(library: LibraryHeader, rows: list[_Row]) -> tuple[Export, ...]:
    """A function's slot has the plain name, its real entry NAME$impl; data are the other global objects."""
    real = {plain_name(name): (value, size) for name, value, size, *_ in rows if name.endswith(IMPLEMENTATION_SUFFIX)}
    table, end = library.jump_table, library.slot_address(library.identity.slot_count + 1)
    functions: list[Export] = []
    data: list[Export] = []
    for name, value, size, kind, binding in rows:
        if binding == STB_LOCAL or name.endswith(IMPLEMENTATION_SUFFIX):
            continue
        if table <= value < end and kind == STT_FUNC and library.slot_size and not (value - table) % library.slot_size:
            slot = (value - table) // library.slot_size + 1
            implementation, real_size = real.get(name, (0, size))
            functions.append(Export(name, ExportKind.FUNCTION, value, real_size, slot, implementation))
        elif kind == STT_OBJECT:
            data.append(Export(name, ExportKind.DATA, value, size))
    functions.sort(key=lambda export: (export.slot, export.name))
    data.sort(key=lambda export: (export.address, export.name))
    return tuple(functions + data)
