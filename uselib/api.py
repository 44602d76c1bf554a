"""link, make_library and check: what `uselib ld`, `uselib mkshlib` and `uselib chkshlib` do, as functions.

Paths go in and a result object comes out. Nothing is printed and no process ends. Whatever a command would say on stderr is an
exception here (ToolError and its kinds, with `diagnostics`; OSError for a file that cannot be read or written) or stands in
`warnings` of the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from uselib.linker.errors import Diagnostic, LinkError, UsageError

if TYPE_CHECKING:
    from uselib.abi.static.comparison.files import HeaderOptions
    from uselib.abi.static.model.findings import Report
    from uselib.linker.image import Export, Version
    from uselib.linker.options import Options

PathName = str | os.PathLike[str]
PathNames = PathName | Iterable[PathName]  # one, or several


@dataclass(frozen=True)
class LinkedProgram:
    """What `link` made. path: the program; files: the inputs that it was made of, `FILE` or `FILE(MEMBER)`, in link order;
    libraries: the file names of its shared libraries; warnings: as ld would print them."""

    path: Path
    files: tuple[str, ...]
    libraries: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class MadeLibrary:
    """What `make_library` made. target: the library file; stub: the archive to link programs with (the directory, for
    stub_format `directory`); name: as in `libgreet_s`; base, size: of its address space, in bytes; exports: by name, with address,
    size and slot; map: what went where, as text; warnings: as mkshlib would print them."""

    target: Path
    stub: Path
    name: str
    version: str
    base: int
    size: int
    exports: Mapping[str, Export]
    map: str
    warnings: tuple[str, ...]


# -- link --------------------------------------------------------------------------------------------------------------

# Options of ld that ask for text on stdout, which a function does not write.
_PRINTING = ("help", "version", "print_map", "trace", "trace_symbols", "print_gc_sections")


def link(*words: PathName, output: PathName) -> LinkedProgram:
    """Links objects, archives and stub libraries into the program `output`.

    words: files and options of `uselib ld` (GNU ld's), in the order in which ld takes them:
    `link("crt1.o", "main.o", "-L", "lib", "-lc", "--scheme", "uselib", output="main")`. Options that print (-M, -t, -y, --help)
    are refused; `-Map FILE` writes the map to a file.
    Raises UsageError for words that ld does not take, other ToolErrors with all problems of the pass that failed, OSError.
    """
    from uselib.linker.command_line import parse
    from uselib.linker.link import LinkJob
    from uselib.linker.link import link as link_in_memory
    from uselib.linker.outputs.formats import kind_of
    from uselib.linker.writing import write_atomically

    options = parse([os.fspath(word) for word in words])
    _check_link_options(options)
    options = replace(options, output=os.fspath(output))
    linked = link_in_memory(LinkJob(options, kind_of(options)))
    if options.fatal_warnings and linked.warnings:
        raise LinkError(*linked.warnings)
    write_atomically(options.output, linked.image)
    if options.map_file:
        from uselib.linker.passes.mapfile import write_map

        write_map(linked, options)
    files = tuple(file.where for file in linked.resolution.files)
    libraries = tuple(stub.file_name for stub in linked.resolution.stubs)
    warnings = () if options.no_warnings else tuple(map(str, linked.warnings))
    return LinkedProgram(Path(output), files, libraries, warnings)


def _check_link_options(options: Options) -> None:
    if options.output != type(options).output:
        raise _usage("link", "-o is not a word of it", "give `output`")
    if options.map_file == "-" or any(getattr(options, name) for name in _PRINTING):
        raise _usage("link", "an option prints (-M, -t, -y, --help, --version, --print-gc-sections)", "use -Map FILE")


# -- make_library ------------------------------------------------------------------------------------------------------


def make_library(
    *inputs: PathName,
    output: PathName,
    specification: PathName | None = None,
    name: str = "",
    version: str = "",
    address: int | None = None,
    data_address: int | None = None,
    gap: int | None = None,
    registry: PathName | None = None,
    scheme: Literal["uselib", "mmap"] = "uselib",
    libraries: Iterable[str] = (),
    library_paths: PathNames = (),
    private_archives: PathNames = (),
    interposable: Iterable[str] = (),
    hide: Iterable[str] = (),
    export: Iterable[str] = (),
    strip: Literal["", "debug", "all"] = "",
    stub_format: Literal["archive", "directory", "both"] = "archive",
    previous: PathName | None = None,
    retire: Iterable[str] = (),
    rename: Mapping[str, str] | None = None,
    move_data: Iterable[str] = (),
    keep_old_names: bool = False,
    renumber: bool = False,
) -> MadeLibrary:
    """Makes a fixed-address shared library and its stub library from objects, archives and stub libraries of other libraries.

    output: the folder where shlib/NAME.VERSION, lib/NAME.a and lib/NAME.VERSION.a go, or none of them. name, version and address
    (of the first byte in memory) are needed unless the specification file, the registry of addresses or the previous release has
    them; version `next` is the smallest number that may follow `previous`. gap: bytes of room for the text to grow.
    The other arguments are the options of `uselib mkshlib` (docs/evolving-a-library.md: previous to renumber).
    Raises ToolError with all problems found, OSError; then nothing was written.
    """
    from uselib.linker.library.make import LibraryRequest, build

    request = LibraryRequest(
        inputs=_texts(inputs),
        libraries=tuple(libraries),
        library_paths=_texts(library_paths),
        private_archives=_texts(private_archives),
        specification=_text(specification),
        name=name,
        version=_version(version) if version not in ("", "next") else None,
        next_version=version == "next",
        text_address=address,
        data_address=data_address,
        gap=gap,
        registry=_text(registry),
        scheme=_one_of("scheme", scheme, ("uselib", "mmap")),
        interposable=tuple(interposable),
        hide=tuple(hide),
        export=tuple(export),
        strip_debug=_one_of("strip", strip, ("", "debug", "all")) != "",
        strip_all=strip == "all",
        previous=_text(previous),
        retire=tuple(retire),
        rename=tuple((rename or {}).items()),
        move_data=tuple(move_data),
        keep_old_names=keep_old_names,
        renumber=renumber,
    )
    form = _one_of("stub_format", stub_format, ("archive", "directory", "both"))
    from uselib.linker.cycle_collector import no_cycle_collection

    with no_cycle_collection():
        product = build(request, os.fspath(output), form)
    who, root = product.header.identity, Path(output)
    return MadeLibrary(
        target=root / "shlib" / who.file_name,
        stub=root / "lib" / (who.name if form == "directory" else f"{who.name}.a"),
        name=who.name,
        version=str(who.version),
        base=who.base,
        size=who.size,
        exports={one.name: one for one in product.exports},
        map=product.map,
        warnings=product.warnings,
    )


# -- check -------------------------------------------------------------------------------------------------------------


def check(
    old: PathName,
    new: PathName,
    *programs: PathName,
    headers: PathNames = (),
    old_headers: PathNames = (),
    new_headers: PathNames = (),
    include_paths: PathNames = (),
    defines: Iterable[str] = (),
) -> Report:
    """Whether programs that were linked with the library `old` can run with `new`: the static check, `uselib chkshlib OLD NEW`.

    old, new: target libraries, stub libraries or shared objects. programs: what the change means for each of them is in
    `programs` of the report. headers: C headers, or folders of them, of both versions; old_headers, new_headers: of one;
    include_paths, defines (`NAME` or `NAME=VALUE`): for reading them, which takes a C compiler's preprocessor.
    What cannot be compared is a report with the verdict NOT_COMPARABLE. Raises ToolError for files that are no libraries, OSError.
    """
    from uselib.abi.static.comparison.files import compare_files, is_program

    if is_program(os.fspath(old)):
        raise _usage(os.fspath(old), "is a program", "check(old, new, *programs) takes two versions of a library first")
    before, after = _texts(headers) + _texts(old_headers), _texts(headers) + _texts(new_headers)
    if bool(before) != bool(after):
        raise _usage("check", "headers of one version only", "give `headers` for both, or old_headers and new_headers")
    options = _header_options(before, after, _texts(include_paths), tuple(defines))
    return compare_files(os.fspath(old), os.fspath(new), _texts(programs), options).report


def _header_options(
    old: tuple[str, ...], new: tuple[str, ...], include_paths: tuple[str, ...], defines: tuple[str, ...]
) -> HeaderOptions:
    from uselib.abi.static.comparison.files import HeaderOptions

    if not old:
        return HeaderOptions()
    from uselib.runtime.compiler import preprocessors

    return HeaderOptions(old, new, include_paths, defines, preprocessors())


# -- arguments ---------------------------------------------------------------------------------------------------------


def _usage(where: str, message: str, remedy: str) -> UsageError:
    return UsageError(Diagnostic(where, message, remedy=remedy))


def _text(path: PathName | None) -> str:
    return "" if path is None else os.fspath(path)


def _texts(paths: PathNames) -> tuple[str, ...]:
    """One path or several, as text."""
    if isinstance(paths, str | os.PathLike):
        return (os.fspath(paths),)
    return tuple(os.fspath(path) for path in paths)


def _version(text: str) -> Version:
    from uselib.linker.image import Version

    try:
        return Version.parse(text)
    except ValueError as problem:
        raise _usage("version", str(problem), "give MAJOR.MINOR.PATCH, or `next`") from None


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise _usage(name, f"`{value}` is not one of {', '.join(map(repr, known))}", "see docs/python-api.md")
    return value
