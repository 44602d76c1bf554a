"""Programs that use static shared libraries: `.lib`, the recorded search path, the binding note, and link-time checks.

All of this concerns what stub libraries (archives whose first member is `LIBRARY NAME`) bring into a program.
"""

from __future__ import annotations

from itertools import pairwise

from uselib.linker.errors import Diagnostic, LinkError, error
from uselib.linker.formats import notes
from uselib.linker.formats.elf import SHF_ALLOC, SHT_NOTE, SHT_PROGBITS, STT_FUNC
from uselib.linker.image import Binding, ExportKind, Identity
from uselib.linker.options import Options
from uselib.linker.passes.definitions import define
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import UNDEFINED, InputSection, InputStub, ObjectFile, Symbol
from uselib.linker.passes.resolution import Resolution

LIBRARIES = "_SHARED_LIBRARIES"
PATH = "_SHARED_LIBRARY_PATH"
RULE = "_SHARED_LIBRARY_RULE"
INTERPOSE = "uselib_interpose"
INTERP, C_LIBRARY = ".interp", "libc_s"
EVERY_PROGRAM = frozenset((LIBRARIES, "_start", "_init", "_fini"))  # from start-up files: each has its own


def prepare(resolution: Resolution, options: Options) -> list[InputSection]:
    """Defines _SHARED_LIBRARIES, _SHARED_LIBRARY_PATH and _SHARED_LIBRARY_RULE where no input does, makes the sections that go with them, and
    reports names that a program and a library both define. Raises LinkError if libraries overlap in memory."""
    check_start_up(resolution, options)
    check_libraries(resolution)
    report_conflicts(resolution)
    result = library_list(resolution)
    result += text_for_start_up(resolution, PATH, ".libpath", ":".join(options.rpath))
    result += text_for_start_up(resolution, RULE, ".librule", options.version_rule)
    if options.scheme == "interp":
        result += interpreter(resolution, options)
    bindings = bindings_of(resolution)
    if bindings:
        note = notes.encode_bindings(bindings)
        result.append(InputSection(None, 0, notes.BINDINGS_SECTION, SHT_NOTE, 0, len(note), 4, 0, note))
    return result


def check_start_up(resolution: Resolution, options: Options) -> None:
    """Raises LinkError if the start-up code is that of an ordinary C library: it would call into libraries that nobody has mapped.

    Such code calls __libc_start_main, and ours refers to the list of libraries too. Start-up code of other kinds is the user's own
    affair, and in schemes `kernel` and `interp` the kernel maps libraries."""
    start = resolution.symbols.get(options.entry)
    if not resolution.stubs or options.scheme in ("kernel", "interp") or LIBRARIES in resolution.symbols:
        return
    if start is None or start.file is None or all(s.name != "__libc_start_main" for s in start.file.globals):
        return
    raise error(
        start.file.where,
        f"this start-up code maps no shared libraries, and the program uses {resolution.stubs[0].file_name}",
        remedy="link with `uselib cc`, whose start-up code does, or with the library's objects instead of its stub library",
    )


def interpreter(resolution: Resolution, options: Options) -> list[InputSection]:
    """`.interp`, which becomes PT_INTERP: the shared C library, which the kernel maps and enters.

    Nothing if an input has it. --dynamic-linker names another path than the first recorded directory. Raises LinkError."""
    if any(s is not None and s.name == INTERP for f in resolution.files for s in f.sections):
        return []
    path = options.interpreter
    if not path:
        libc = next((stub.file_name for stub in resolution.stubs if stub.name == C_LIBRARY), "")
        if not libc:
            text, remedy = (
                "no input is a shared C library, which the kernel must enter in this scheme",
                "link with -lc, or name it with --dynamic-linker PATH",
            )
            raise error("ld", text, symbol="--scheme interp", remedy=remedy)
        path = f"{options.rpath[0] if options.rpath else '/shlib'}/{libc}"
    content = path.encode("utf-8", "surrogateescape") + b"\0"
    return [InputSection(None, 0, INTERP, SHT_PROGBITS, SHF_ALLOC, len(content), 1, 0, content)]


def text_for_start_up(resolution: Resolution, name: str, section_name: str, text: str) -> list[InputSection]:
    """Defines `name` as a string that start-up finds (a weak reference), in a separate section for tools that read the file.

    Nothing for an empty text, or if an input defines it: any linker can record the same by such a definition."""
    symbol = resolution.symbols.get(name)
    if not text or (symbol is not None and symbol.rank != UNDEFINED):
        return []
    content = text.encode("utf-8", "surrogateescape") + b"\0"
    section = InputSection(None, 0, section_name, SHT_PROGBITS, SHF_ALLOC, len(content), 1, 0, content)
    if symbol is None:
        symbol = resolution.symbols[name] = Symbol(name)
    define(symbol, section, 0, len(content))
    return [section]


def library_list(resolution: Resolution) -> list[InputSection]:
    """Start and end of `.lib`, if the start-up files have none: crt1.o's piece comes first, crtn.o's last."""
    pieces = [s for f in resolution.files for s in f.sections if s is not None and s.name == ".lib"]
    if not pieces:
        return []
    symbol = resolution.symbols.get(LIBRARIES)
    if symbol is not None and symbol.rank != UNDEFINED:
        ours = b"".join(bytes(piece.content) for piece in pieces)
        return [] if ours.endswith(b"\0\0") or ours == b"\0" else [_terminator()]
    if symbol is None:
        symbol = resolution.symbols[LIBRARIES] = Symbol(LIBRARIES)
    define(symbol, pieces[0], 0)
    return [_terminator()]


def _terminator() -> InputSection:
    return InputSection(None, 0, ".lib", SHT_PROGBITS, SHF_ALLOC, 1, 1, 0, b"\0")


def bindings_of(resolution: Resolution) -> tuple[Binding, ...]:
    """Every symbol that the program took from a stub library, in order of library and address."""
    order = {id(stub): number for number, stub in enumerate(resolution.stubs)}
    rows = []
    for symbol in resolution.symbols.values():
        file = symbol.file
        if file is None or file.stub is None or not symbol.referenced or symbol.rank == UNDEFINED:
            continue
        if symbol.section is None:
            kind = ExportKind.FUNCTION if symbol.type == STT_FUNC else ExportKind.DATA
            rows.append((order[id(file.stub)], symbol.value, symbol.name, kind, file.stub.name))
    rows.sort(key=lambda row: row[:3])
    return tuple(Binding(library, name, address, kind) for _, address, name, kind, library in rows)


def interposable(stub: InputStub, word: int) -> frozenset[str]:
    """The names in the stub's `uselib_interpose` triples {pointer, symbol, slot}: the program may define these."""
    names = set()
    for file in stub.objects:
        for section in file.sections:
            if section is not None and section.name == INTERPOSE:
                for offset, _, index, _ in section.relocation_rows():
                    if offset % (3 * word) == word:
                        names.add(file.symbol_name(index))
    return frozenset(names)


def report_conflicts(resolution: Resolution) -> None:
    """Warns of names that both the program and a library in use define: there are two copies (Levine, figure 9.5)."""
    allowed: dict[int, frozenset[str]] = {}
    for name, file, stub in resolution.conflicts:
        if id(stub) not in allowed:
            allowed[id(stub)] = interposable(stub, resolution.machine.word)
        if name in allowed[id(stub)] or name in EVERY_PROGRAM:
            continue
        where = file.where if file is not None else "the command line"
        resolution.warnings.append(
            Diagnostic(
                where,
                f"also defined in the shared library {stub.file_name} ({stub.where}), which continues to use its own copy",
                symbol=name,
                remedy="rename it or make it static, declare it `extern` to share the library's, or have the library "
                "built with it interposable",
            )
        )


def identities(stub: InputStub) -> list[tuple[ObjectFile, Identity]]:
    """The NT_NEEDS notes in the stub library's members."""
    return [(file, identity) for file in stub.objects for identity in notes.needs_of_object(file.elf)]


def check_libraries(resolution: Resolution) -> None:
    """Refuses libraries whose address ranges overlap."""
    spans = sorted(
        ((who.base, who.end, who.file_name, stub.where) for stub in resolution.stubs for _, who in identities(stub)),
    )
    problems = [
        Diagnostic(
            second[3],
            f"{second[2]} at {second[0]:#x} overlaps {first[2]} at {first[0]:#x}-{first[1]:#x} ({first[3]})",
            remedy="give one of them another address: `uselib map` finds a free one",
        )
        for first, second in pairwise(spans)
        if second[0] < first[1] and second[2] != first[2]
    ]
    if problems:
        raise LinkError(*problems)


def check_overlap(resolution: Resolution, layout: Layout) -> None:
    """Raises LinkError if the program overlaps one of its libraries."""
    loaded = [s for s in layout.sections if s.flags & SHF_ALLOC and s.size]
    if not loaded:
        return
    start = min(layout.base, *(s.address for s in loaded)) if len(loaded) > 1 else min(layout.base, loaded[0].address)
    problems = []
    for stub in resolution.stubs:
        for _, who in identities(stub):
            for section in loaded:
                if section.address < who.end and who.base < section.end:
                    problems.append(
                        Diagnostic(
                            stub.where,
                            f"the program's {section.name} at {section.address:#x} overlaps {who.file_name} "
                            f"at {who.base:#x}-{who.end:#x}",
                            remedy="link the program elsewhere with --image-base",
                        )
                    )
                    break
            else:
                if start < who.end and who.base < start + 1:
                    problems.append(Diagnostic(stub.where, f"the program's headers overlap {who.file_name}"))
    if problems:
        raise LinkError(*problems)
