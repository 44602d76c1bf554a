"""The inputs of one comparison of runs: the request's files, and the program's bindings."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from functools import cached_property

from uselib.abi.dynamic.run.bindings import (
    Bound,
    LibraryVersion,
    bound_names,
    check_pair,
    read_library,
    recorded_names,
)
from uselib.abi.dynamic.run.compared_words import Find
from uselib.abi.dynamic.run.result import AbiRequest
from uselib.abi.dynamic.run.static_findings import Findings
from uselib.abi.dynamic.run.static_findings import check_pair as check_pair_statically
from uselib.emulator.process.run_options import RunOptions, parse
from uselib.linker.errors import Diagnostic, ToolError, UsageError
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import Identity, Image, Machine
from uselib.linker.reading import read_file

_USAGE = "uselib abi run [OPTIONS] PROG [ARGUMENTS] --old LIB --new LIB"


class RunFailed(ToolError):
    """A side could not be run at all."""


@dataclass(frozen=True)
class RunInputs:
    """What is compared, with which options.

    linked: the identity that the program was linked with, None if only its libraries need it. find: prototype of a function, as the
    program knows it. names: file names by which start-up may look for the library.
    """

    request: AbiRequest
    options: RunOptions
    program: Image
    old: LibraryVersion
    new: LibraryVersion
    linked: Identity | None
    bound: Bound
    find: Find
    names: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        return self.program.machine

    @cached_property
    def findings(self) -> Findings:
        """Of the static check; asked for only if the runs differ."""
        return check_pair_statically(_program_path(self.options), self.old.path, self.new.path)


def read_inputs(request: AbiRequest) -> RunInputs:
    """Raises ToolError, RunsNotComparable."""
    options = _options(request)
    program = _program_path(options)
    image = read_image(bytes(_read(program)), program)
    old, new = read_library(request.old), read_library(request.new)
    linked = check_pair(image, request.program, old, new)
    find = _prototypes(image, program, request, old)
    names = _names(image, old, linked, options)
    return RunInputs(request, options, image, old, new, linked, bound_names(image, old), find, names)


def _read(path: str) -> bytes | memoryview:
    try:
        return read_file(path)
    except OSError as failure:
        raise RunFailed(Diagnostic(path, failure.strerror or str(failure))) from None


def _options(request: AbiRequest) -> RunOptions:
    """Raises UsageError for a word that is not an option of `uselib run`."""
    parsed = parse(_USAGE, [*request.run_words, "--", request.program, *request.arguments])
    if isinstance(parsed, int):
        raise UsageError(Diagnostic("abi run", "--help is not an option of a run"))
    options, _ = parsed
    if options.strace:
        raise UsageError(
            Diagnostic("--strace", "not with `abi run`", remedy="use `uselib run --strace` on one version")
        )
    if request.max_instructions is not None:
        options = replace(options, max_instructions=request.max_instructions)
    if options.max_seconds is None and request.max_seconds is not None:
        options = replace(options, max_seconds=request.max_seconds)
    return replace(options, argv0=options.argv0 if options.argv0 is not None else request.program)


def _program_path(options: RunOptions) -> str:
    """Where the program is on the host."""
    if options.root is not None and os.path.isabs(options.program):
        return os.path.join(options.root, options.program.lstrip("/"))
    return options.program


def _prototypes(image: Image, program: str, request: AbiRequest, old: LibraryVersion) -> Find:
    """The program's view of functions, for both sides: prototype files, its own DWARF, that of the old version, the C library's."""
    from uselib.emulator.trace.prototypes.sources import open_prototypes

    library = "mini" if any(identity.name.startswith("libmini") for identity in image.needs) else "musl"
    return open_prototypes(image.machine, [program, old.path], request.prototypes, library).find


def _names(image: Image, old: LibraryVersion, linked: Identity | None, options: RunOptions) -> tuple[str, ...]:
    """Every file name by which start-up may look for the library: the recorded ones, and those that lie where it looks."""
    name = old.identity.name
    seen = []
    folders = [*options.library_path, *(part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part)]
    folders += [os.path.join(options.sysroot, "shlib")] if options.sysroot else []
    for folder in folders:
        with contextlib.suppress(OSError):
            seen += sorted(os.listdir(folder))
    identity = linked or old.identity
    version = identity.version
    own = (identity.file_name, f"{name}.{version.major}.{version.minor}", f"{name}.{version.major}")
    return recorded_names(image, name, [*own, *seen])
