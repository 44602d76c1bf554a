"""`uselib mkshlib`: a fixed-address shared library and its stub library from objects and archives (linker/shlib.py)."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections.abc import Iterator, Sequence

from linker.errors import Diagnostic, UsageError
from linker.image import Version
from linker.spec import parse_address

_EPILOG = """\
Inputs are object files, archives (all their members), directories of objects, and stub libraries of other libraries
(archives or directories with a `LIBRARY NAME`), in any order; -l finds libNAME_s.a, then libNAME.a. Undefined symbols are
looked for in stub libraries and private archives only. Without #branch in a specification file the exported functions
get slots in byte order of their names.

Makes DIR/shlib/libN_s.X.Y.Z, DIR/lib/libN_s.a and DIR/lib/libN_s.X.Y.Z.a, or none of them."""


class _Later(argparse.Action):
    """An option that is planned: refused by name."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        raise UsageError(
            Diagnostic(
                "mkshlib",
                f"{option_string} is not available yet",
                remedy="fix the slots with #branch in a specification file",
            )
        )


class _Explain(argparse.Action):
    """--explain-spec: the description that stands in linker/spec.py."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        from linker import spec

        print((spec.__doc__ or "").strip())
        parser.exit()


def _address(text: str) -> int:
    try:
        return parse_address(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _version(text: str) -> Version:
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
    p.add_argument("-s", "--spec", metavar="SPEC", help="specification file, in the manner of SVR3's mkshlib")
    p.add_argument("--name", metavar="N", help="the library is libN_s")
    p.add_argument("--version", type=_version, metavar="X.Y.Z")
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
    p.add_argument("--format", choices=("archive", "directory", "both"), default="archive", help="of the stub library")
    p.add_argument("-S", "--strip-debug", action="store_true", help="leave out debugging information")
    p.add_argument("--strip-all", action="store_true", help="leave out debugging information and private symbols")
    p.add_argument("-M", "--print-map", action="store_true", help="print what went where")
    p.add_argument("-q", "--quiet", action="store_true", help="no summary")
    p.add_argument("--explain-spec", action=_Explain, nargs=0, help="describe the specification file, and exit")
    p.add_argument(
        "--previous", action=_Later, metavar="LIB", help="keep the slots of an earlier version (not available yet)"
    )
    return p


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """No cyclic garbage collection: a link makes a hundred thousand lasting objects, and looking through them for
    garbage takes a tenth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def run(argv: list[str]) -> int:
    """Runs `uselib mkshlib`. Returns the exit status. Raises ToolError."""
    from linker.shlib import Request, build

    options = parser().parse_intermixed_args(argv)
    request = Request(
        inputs=(*options.inputs, *options.objects),
        libraries=tuple(options.libraries),
        library_paths=tuple(options.paths),
        private_archives=tuple(options.private_archive),
        specification=options.spec or "",
        name=options.name or "",
        version=options.version,
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
    )
    with _no_collection():
        product = build(request, options.output, options.format)
    for warning in product.warnings:
        print(f"uselib: warning: {warning}", file=sys.stderr)
    if options.print_map:
        print(product.map)
    if not options.quiet:
        who = product.header.identity
        print(
            f"{who.file_name}: {who.base:#x}-{who.end - 1:#x}, {who.slot_count} slots, "
            f"{len(product.exports) - product.function_count} data, {product.member_count} members",
            file=sys.stderr,
        )
    return 0
