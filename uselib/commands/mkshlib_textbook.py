"""`uselib mkshlib --format textbook`: a shared library and its stub library in the textbook's formats (linker/historical/textbook/link.py)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from uselib.linker.errors import Diagnostic, UsageError, error
from uselib.linker.historical.textbook.format import directory_files, encode_library
from uselib.linker.historical.textbook.link import TextbookLibrary
from uselib.linker.library import specification
from uselib.linker.library.request import identity_name
from uselib.linker.library.specification import Specification
from uselib.linker.link import LinkJob, link, show_warnings
from uselib.linker.options import InputArgument, InputGroup, Options
from uselib.linker.writing import OutputFile, write_together


def make(options: argparse.Namespace) -> int:
    """Writes DIR/shlib/libN_s.X.Y.Z, DIR/lib/libN_s.lib (file format) and DIR/lib/libN_s (directory format). Raises ToolError."""
    spec = specification.read(options.spec) if options.spec else Specification("mkshlib")
    name, version = options.name or spec.name, options.version or spec.version
    base = options.text if options.text is not None else spec.text_address
    inputs = [*options.inputs, *options.objects, *spec.objects]
    if not name or version is None or base is None or not inputs:
        what = "a library needs a name, a version, an address and objects"
        raise UsageError(Diagnostic("mkshlib", what, remedy="see `uselib mkshlib --help`"))
    name = identity_name(name)
    file_name = f"{name}.{version}"
    others = InputGroup(tuple(InputArgument(item, library=True) for item in options.libraries))
    job = Options(
        inputs=(*(InputArgument(path, whole=True) for path in inputs), others),
        library_paths=tuple(options.paths),
        format="textbook",
        entry="",
        base=base,
        output=file_name,
    )
    kind = TextbookLibrary(base, spec)
    linked = link(LinkJob(job, kind))
    show_warnings(linked.warnings)
    dependencies = tuple(dict.fromkeys(stub.file_name for stub in linked.resolution.stubs))
    stub = kind.stub(file_name, dependencies)
    folder = Path(options.output)
    for part in ("shlib", f"lib/{name}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    directory = folder / "lib" / name
    files = directory_files(stub)
    strangers = sorted(set(os.listdir(directory)) - files.keys())
    if strangers:
        raise error(
            str(directory), f"holds {strangers[0]}, not a module of this library", remedy="remove the directory"
        )
    stub_files = (OutputFile(str(directory / file), content) for file, content in files.items())
    whole = OutputFile(str(folder / "lib" / f"{name}.lib"), encode_library(stub))
    write_together((*stub_files, whole, OutputFile(str(folder / "shlib" / file_name), linked.image, 0o777)))
    if not options.quiet:
        print(f"{file_name}: {base:#x}, {len(kind.slots)} slots, {len(kind.data)} data, {len(stub.modules)} modules")
    return 0
