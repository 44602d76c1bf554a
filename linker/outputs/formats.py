"""The kind of program for `ld -m`: one row for each format. The modules of old formats are imported only for their own outputs."""

from __future__ import annotations

from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.outputs.program import ProgramOutput


def kind_of(options: Options) -> OutputKind:
    """The kind of output for `Options.format`."""
    return _KINDS[options.format](options)


def _aout(options: Options) -> OutputKind:
    from uselib.linker.historical.aout.program import AoutProgram

    return AoutProgram(options.magic)


def _coff(options: Options) -> OutputKind:
    from uselib.linker.historical.coff.program import CoffProgram

    return CoffProgram()


def _textbook(options: Options) -> OutputKind:
    from uselib.linker.historical.textbook.link import TextbookProgram

    return TextbookProgram()


_KINDS = {"elf": lambda _: ProgramOutput(), "aout": _aout, "coff": _coff, "textbook": _textbook}
