"""`uselib mkshlib`: a fixed-address shared library and its stub library from objects and archives (linker/library/make.py)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.image import Version
from uselib.linker.library.specification import parse_address
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.linker.library.make import Product
    from uselib.linker.library.request import LibraryRequest

_EPILOG = """\
Inputs are object files, archives (all their members), directories of objects, and stub libraries of other libraries
(archives or directories with a `LIBRARY NAME`), in any order; -l finds libNAME_s.a, then libNAME.a. Undefined symbols are
looked for in stub libraries and private archives only. Without #branch in a specification file the exported functions
get slots in byte order of their names.

Makes DIR/shlib/libN_s.X.Y.Z, DIR/lib/libN_s.a and DIR/lib/libN_s.X.Y.Z.a, or none of them."""
_HISTORICAL = ("aout", "coff", "textbook")  # formats with a module mkshlib_FORMAT of their own
_FOLLOWING = """\
Slots and addresses of the release before are kept and new functions and data go behind them, so that programs linked with any
earlier release of the major version run on this one. What cannot be kept is refused, as is a version number that is too small
for the changes. The specification file may say #retire, #rename and #move-data instead. docs/evolving-a-library.md explains it."""


class _Explain(argparse.Action):
    """--explain-spec: the description that stands in linker/library/specification.py."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        from uselib.linker.library import specification as spec

        print((spec.__doc__ or "").strip())
        parser.exit()


def _address(text: str) -> int:
    try:
        return parse_address(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _version(text: str) -> Version | None:
    if text == "next":
        return None
    try:
        return Version.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _size(text: str) -> int:
    try:
        size = int(text, 0)
    except ValueError:
        size = -1
    if size < 0:
        raise argparse.ArgumentTypeError(f"`{text}` is not a size in bytes")
    return size


def _rename(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not old or not equals or not new:
        raise argparse.ArgumentTypeError(f"`{text}` is not OLD=NEW")
    return old, new


def _names(values: Sequence[str]) -> tuple[str, ...]:
    """`a,b` and repeated options as one list."""
    return tuple(dict.fromkeys(name for value in values for name in value.split(",") if name))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="uselib mkshlib",
        description="Make a fixed-address shared library and the stub library that programs are linked with.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("inputs", nargs="*", metavar="INPUT", help="objects, archives, directories, stub libraries")
    p.add_argument("-o", "--output", required=True, metavar="DIR", help="where shlib/ and lib/ go")
    p.add_argument("-s", "--spec", metavar="SPEC", help="specification file, in the form of SVR3's mkshlib")
    p.add_argument("--name", metavar="N", help="the library is libN_s")
    p.add_argument(
        "--version",
        type=_version,
        metavar="X.Y.Z",
        default=False,
        help="or `next`: the smallest that may follow --previous",
    )
    p.add_argument("--text", type=_address, metavar="ADDR", help="base address")
    p.add_argument("--data", type=_address, metavar="ADDR", help="data address; default: behind the text and a gap")
    p.add_argument(
        "--gap", type=_size, metavar="BYTES", help="room for the text to grow; default 25%%, at least two pages"
    )
    p.add_argument("--map", metavar="FILE", help="address registry: takes the base from it, or enters the library")
    p.add_argument(
        "--scheme", choices=("uselib", "mmap"), default="uselib", help="layout of the file (default: uselib)"
    )
    p.add_argument(
        "--interposable", action="append", default=[], metavar="LIST", help="functions that a program may replace"
    )
    p.add_argument("--hide", action="append", default=[], metavar="LIST", help="names or patterns not to export")
    p.add_argument("--export", action="append", default=[], metavar="LIST", help="exceptions from --hide")
    p.add_argument("--objects", nargs="+", action="extend", default=[], metavar="FILE", help="more inputs")
    p.add_argument(
        "--private-archive",
        action="append",
        default=[],
        metavar="FILE",
        help="members are taken as needed and not exported",
    )
    p.add_argument("-L", dest="paths", action="append", default=[], metavar="DIR", help="where -l looks")
    p.add_argument("-l", dest="libraries", action="append", default=[], metavar="NAME", help="a library")
    p.add_argument(
        "--format",
        choices=("archive", "directory", "both", *_HISTORICAL),
        default="archive",
        help="of the stub library; aout: an a.out library as Linux had until 1995, from --control; coff: target and "
        "host library of System V Release 3, from -s; textbook: as in projects 9-1 and 9-2",
    )
    p.add_argument("-t", "--target", metavar="FILE", help="with --format coff: where the target library goes")
    p.add_argument(
        "--host", metavar="FILE", help="with --format coff: where the host library goes (default: libN.a in DIR)"
    )
    p.add_argument("-n", "--no-target", action="store_true", help="with --format coff: make the host library only")
    p.add_argument(
        "--control", metavar="DIR", help="with --format aout: the folder of jump.params, jump.funcs, jump.vars"
    )
    p.add_argument("-S", "--strip-debug", action="store_true", help="leave out debugging information")
    p.add_argument("--strip-all", action="store_true", help="leave out debugging information and private symbols")
    p.add_argument("-M", "--print-map", action="store_true", help="print a map: sections, slots, data")
    p.add_argument("-q", "--quiet", action="store_true", help="no summary")
    p.add_argument("--explain-spec", action=_Explain, nargs=0, help="describe the specification file, and exit")
    p.add_argument(
        "--bootstrap",
        metavar="FUNCTION",
        help="of a C library, where its bootstrap goes on when all of it is mapped: it maps the other libraries",
    )
    p.add_argument(
        "--interpreter",
        metavar="FUNCTION",
        help="of a C library, where the kernel enters it if PT_INTERP of a program names it",
    )
    g = p.add_argument_group("a release that follows another one", _FOLLOWING)
    g.add_argument(
        "--previous", metavar="LIB", help="target or stub library of the release before: keep what its programs rely on"
    )
    g.add_argument(
        "--retire", action="append", default=[], metavar="LIST", help="functions or data that are gone on purpose"
    )
    g.add_argument(
        "--rename",
        action="append",
        default=[],
        type=_rename,
        metavar="OLD=NEW",
        help="another name for the same slot or address; the stub offers the new one",
    )
    g.add_argument("--keep-old-names", action="store_true", help="the stub goes on offering the names renamed now, too")
    g.add_argument(
        "--move-data",
        action="append",
        default=[],
        metavar="LIST",
        help="data that have grown and may move; programs linked before go on using the old place",
    )
    g.add_argument(
        "--renumber",
        action="store_true",
        help="start a new major version: slots and places of earlier releases are not kept",
    )
    return p


def _request(options: argparse.Namespace) -> LibraryRequest:
    from uselib.linker.library.request import LibraryRequest

    return LibraryRequest(
        inputs=(*options.inputs, *options.objects),
        libraries=tuple(options.libraries),
        library_paths=tuple(options.paths),
        private_archives=tuple(options.private_archive),
        specification=options.spec or "",
        name=options.name or "",
        version=options.version or None,
        next_version=options.version is None,
        text_address=options.text,
        data_address=options.data,
        gap=options.gap,
        registry=options.map or "",
        scheme=options.scheme,
        interposable=_names(options.interposable),
        hide=_names(options.hide),
        export=_names(options.export),
        strip_debug=options.strip_debug or options.strip_all,
        strip_all=options.strip_all,
        previous=options.previous or "",
        retire=_names(options.retire),
        rename=tuple(options.rename),
        move_data=_names(options.move_data),
        keep_old_names=options.keep_old_names,
        renumber=options.renumber,
        bootstrap=options.bootstrap or "",
        interpreter=options.interpreter or "",
    )


def _report(product: Product, options: argparse.Namespace) -> None:
    for warning in product.warnings:
        print(f"uselib: warning: {warning}", file=sys.stderr)
    if options.print_map:
        print(product.map)
    if options.quiet:
        return
    who = product.header.identity
    print(
        f"{who.file_name}: {who.base:#x}-{who.end - 1:#x}, {who.slot_count} slots, "
        f"{len(product.exports) - product.function_count} data, {product.member_count} members",
        file=sys.stderr,
    )
    if product.follows:
        print(f"{who.file_name}: {product.follows}", file=sys.stderr)
        print(f"{who.file_name}: room for {product.room}", file=sys.stderr)


def _make_elf(options: argparse.Namespace) -> int:
    from uselib.linker.cycle_collector import no_cycle_collection
    from uselib.linker.library.make import build

    with no_cycle_collection():  # the whole command: reading inputs and writing the stub make lasting objects too
        product = build(_request(options), options.output, options.format)
    _report(product, options)
    return 0


def run(argv: list[str]) -> int:
    """Runs `uselib mkshlib`. Returns the exit status. Raises ToolError."""
    options = parser().parse_intermixed_args(argv)
    if (options.format == "aout") != bool(options.control):
        raise UsageError(Diagnostic("mkshlib", "--format aout and --control DIR go together"))
    if options.format in _HISTORICAL:
        status: int = import_module(f"uselib.commands.mkshlib_{options.format}").make(options)
        return status
    return _make_elf(options)
