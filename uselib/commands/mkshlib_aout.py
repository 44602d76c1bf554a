"""`uselib mkshlib --format aout`: an a.out library of Linux's first years, from the control files of the DLL tools."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.historical.aout.control import read_control
from uselib.linker.historical.aout.library import AoutLibrary
from uselib.linker.historical.aout.stub import DUMMY
from uselib.linker.historical.aout.stub_writer import stub_archives
from uselib.linker.link import LinkJob, link, show_warnings
from uselib.linker.options import InputArgument, InputGroup, Options
from uselib.linker.passes.writer import write_atomically


def make(
    control_folder: str, inputs: Sequence[str], libraries: Sequence[str], paths: Sequence[str], output: str,
    quiet: bool = False,
) -> int:  # fmt: skip
    """Writes OUTPUT/libN.so.X.Y.Z and OUTPUT/libN.sa (one for each library that the control files name). Raises ToolError."""
    if not inputs:
        raise UsageError(Diagnostic("mkshlib", "no objects to make a library of", remedy="see `uselib mkshlib --help`"))
    control = read_control(control_folder)
    own = [InputArgument(path, whole=True) for path in inputs]
    group = InputGroup(tuple(InputArgument(name, library=True) for name in libraries))
    wanted = tuple(
        line.symbol for line in (*control.functions, *control.variables) if line.type != "U" and line.symbol != DUMMY
    )
    options = Options(
        inputs=(*own, group), library_paths=tuple(paths), format="aout", entry="", base=control.text,
        undefined=wanted, output=f"{control.library}.so.{control.version}",
    )  # fmt: skip
    kind = AoutLibrary(control)
    linked = link(LinkJob(options, kind))
    show_warnings(linked.warnings)
    stubs = stub_archives(control, kind.word)
    os.makedirs(output, exist_ok=True)
    target = Path(output, options.output)
    for name, content in stubs.items():
        write_atomically(str(Path(output, f"{name}.sa")), content, 0o666)
    write_atomically(str(target), linked.image)
    if not quiet:
        end = max(section.end for section in linked.layout.sections)
        names = ", ".join(f"{name}.sa" for name in stubs)
        print(
            f"{target.name}: {control.text:#x}-{end - 1:#x}, {len(control.functions)} slots, "
            f"{len(control.variables)} variables; {names}"
        )
    return 0
