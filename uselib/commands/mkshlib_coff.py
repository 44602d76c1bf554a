"""`uselib mkshlib --format coff`: target and host library of System V Release 3, from a specification file (linker/library/specification.py)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.historical.coff.library import CoffLibrary, host_library
from uselib.linker.library import specification
from uselib.linker.library.request import beside
from uselib.linker.link import LinkJob, link, show_warnings
from uselib.linker.options import InputArgument, InputGroup, Options
from uselib.linker.writing import OutputFile, write_together


def make(options: argparse.Namespace) -> int:
    """Writes the target and the host library. Raises ToolError, OSError."""
    if not options.spec:
        raise UsageError(Diagnostic("mkshlib", "--format coff needs a specification file", remedy="give -s SPEC"))
    spec = specification.read(options.spec)
    if not spec.target:
        raise UsageError(Diagnostic(options.spec, "has no #target", remedy="programs record the path that it gives"))
    paths = [*options.inputs, *options.objects, *(beside(options.spec, path) for path in spec.objects)]
    if not paths:
        raise UsageError(Diagnostic(options.spec, "has no #objects", remedy="name them there or on the command line"))
    others = [
        InputArgument(path[2:], library=True) if path.startswith("-l") else InputArgument(beside(options.spec, path))
        for path in (*(f"-l{name}" for name in options.libraries), *spec.noload)
    ]
    own = [InputArgument(path, whole=True) for path in paths]
    name = os.path.basename(spec.target)
    kind = CoffLibrary(spec, spec.target)
    job = Options(
        inputs=(*own, InputGroup(tuple(others))),
        library_paths=tuple(options.paths),
        format="coff",
        entry="",
        output=name,
        strip_debug=True,
    )
    linked = link(LinkJob(job, kind))
    show_warnings(linked.warnings)
    folder = Path(options.output)
    host = Path(options.host) if options.host else folder / f"{Path(name).stem.removesuffix('_s')}.a"
    target = Path(options.target) if options.target else folder / name
    for path in (host, target):
        path.parent.mkdir(parents=True, exist_ok=True)
    files = [OutputFile(str(host), host_library(spec.target, kind.exported))]
    if not options.no_target:
        files.append(OutputFile(str(target), linked.image, 0o777))
    write_together(files)
    if not options.quiet:
        count = sum(len(part.symbols) for part in kind.exported)
        print(f"{target}: {spec.target} at {spec.text_address:#x}, {spec.slot_count} slots, {count} exports; {host}")
    return 0
