"""`uselib mkshlib --format aout`: an a.out library of Linux's first years, from the control files of the DLL tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.historical.aout.control import read_control
from uselib.linker.historical.aout.library import AoutLibrary
from uselib.linker.historical.aout.stub import DUMMY
from uselib.linker.historical.aout.stub_writer import stub_archives
from uselib.linker.link import LinkJob, link, show_warnings
from uselib.linker.options import InputArgument, InputGroup, Options
from uselib.linker.writing import OutputFile, write_together


def make(options: argparse.Namespace) -> int:
    """Writes DIR/libN.so.X.Y.Z and DIR/libN.sa (one for each library that the control files name). Raises ToolError."""
    if options.previous or options.retire or options.rename or options.move_data or options.renumber:
        remedy = "the control files give each function and variable its address"
        raise UsageError(
            Diagnostic(
                "mkshlib", "--previous and the options that go with it are not for a.out libraries", remedy=remedy
            )
        )
    inputs = (*options.inputs, *options.objects)
    if not inputs:
        raise UsageError(Diagnostic("mkshlib", "no objects to make a library of", remedy="see `uselib mkshlib --help`"))
    control = read_control(options.control)
    own = (InputArgument(path, whole=True) for path in inputs)
    others = InputGroup(tuple(InputArgument(name, library=True) for name in options.libraries))
    lines = (*control.functions, *control.variables)
    job = Options(
        inputs=(*own, others),
        library_paths=tuple(options.paths),
        format="aout",
        entry="",
        base=control.text,
        undefined=tuple(line.symbol for line in lines if line.type != "U" and line.symbol != DUMMY),
        output=f"{control.library}.so.{control.version}",
    )
    kind = AoutLibrary(control)
    linked = link(LinkJob(job, kind))
    show_warnings(linked.warnings)
    stubs = stub_archives(control, kind.word)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / job.output
    stub_files = (OutputFile(str(folder / f"{name}.sa"), content) for name, content in stubs.items())
    write_together((*stub_files, OutputFile(str(target), linked.image, 0o777)))
    if not options.quiet:
        end = max(section.end for section in linked.layout.sections)
        names = ", ".join(f"{name}.sa" for name in stubs)
        print(
            f"{target.name}: {control.text:#x}-{end - 1:#x}, {len(control.functions)} slots, "
            f"{len(control.variables)} variables; {names}"
        )
    return 0
