"""Images of linked COFF files: programs and target libraries of System V Release 3, for reports, traces and the inspector."""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.historical.coff import format as coff
from uselib.linker.image import EXEC, READ, WRITE, Image, ImageSymbol, Machine, Segment

_FLAGS = ((coff.STYP_TEXT, READ | EXEC), (coff.STYP_DATA, READ | WRITE), (coff.STYP_BSS, READ | WRITE))


def segments(file: coff.Coff) -> tuple[Segment, ...]:
    """The loaded segments: one for each section of text, data or bss."""
    found = []
    for section in file.sections:
        flags = next((flags for styp, flags in _FLAGS if section.flags & styp), 0)
        if flags and section.size and not section.flags & (coff.STYP_NOLOAD | coff.STYP_DSECT):
            in_file = 0 if section.flags & coff.STYP_BSS else section.size
            found.append(Segment(section.address, section.size, section.file_offset, in_file, flags, 4))
    return tuple(found)


def read_image(data: bytes, where: str) -> Image:
    """A linked file. Raises FormatError: an object, damaged, or with a `.lib` that the kernel refuses."""
    file = coff.decode(data, where)
    if not file.flags & coff.F_EXEC or file.optional is None:
        raise FormatError(Diagnostic(where, "is a COFF object, not a program", remedy="link it"))
    names = tuple(
        record.path
        for section in file.sections
        if section.flags & coff.STYP_LIB
        for record in coff.decode_libraries(section.content, where)
    )
    code = {n for n, section in enumerate(file.sections, 1) if section.flags & coff.STYP_TEXT}
    rows = sorted(
        (s for s in file.symbols if s.section > 0 and s.storage in (coff.C_EXT, coff.C_STAT)), key=lambda s: s.value
    )
    symbols = tuple(ImageSymbol(s.name, s.value, 0, s.section in code) for s in rows if not s.auxiliary)
    return Image(
        machine=Machine.I386,
        entry=file.optional.entry,
        segments=segments(file),
        tls=None,
        program_headers=(0, 0, 0),
        stack_executable=True,
        interpreter="",
        library=None,
        needs=(),
        library_names=names,
        library_path="",
        bindings=(),
        symbols=symbols,
        exports=(),
    )
