"""`uselib sysroot`: a directory with shared C library, stub, start-up files and headers (runtime/sysroot.py)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from uselib.linker.errors import Diagnostic, UsageError


class _Parser(argparse.ArgumentParser):
    """Bad usage as an error for the user, like everywhere else."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(Diagnostic("sysroot", message, remedy="see `uselib sysroot --help`"))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = _Parser(
        prog="uselib sysroot",
        description="Make DIR/shlib (shared C library), DIR/lib (stub library, static library, start-up files) and DIR/include. "
        "A sysroot that is already there is replaced.",
        epilog="Compilers: USELIB_CC, else cc, gcc, clang, else the Python package ziglang. musl: Debian's musl-dev, else "
        "ziglang (USELIB_MUSL=debian|zig asks for one).",
    )
    p.add_argument("directory", type=Path, metavar="DIR")
    p.add_argument("--arch", choices=("i386", "x86_64"), default="x86_64", help="default: x86_64")
    p.add_argument("--libc", choices=("mini", "musl"), default="mini", help="default: mini, a small one of our own")
    p.add_argument(
        "--scheme",
        choices=("uselib", "mmap"),
        default="uselib",
        help="layout of the library file; `uselib`, the default, serves programs of both schemes",
    )
    return p


def run(argv: list[str]) -> int:
    """Returns the exit status. Raises ToolError."""
    from uselib.runtime.sysroot import MACHINES, make_sysroot

    options = parser().parse_args(argv)
    for warning in make_sysroot(options.directory, MACHINES[options.arch], options.libc, options.scheme):
        print(f"uselib: warning: {warning}", file=sys.stderr)
    return 0
