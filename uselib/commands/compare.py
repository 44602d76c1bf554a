"""`uselib compare`: the same small program in every scheme, side by side."""

from __future__ import annotations

import sys

from uselib.linker.errors import Diagnostic, UsageError

USAGE = """usage: uselib compare [--json] [SCHEME...]

Builds a library of one function and a program that calls it, for i386, in every scheme (or those named), runs them in the emulator, and shows
file sizes, system calls and instructions of start-up, pages touched and shared, and what a call costs. Needs a C compiler."""


def run(arguments: list[str]) -> int:
    """Returns the exit status. Raises ToolError."""
    if "-h" in arguments or "--help" in arguments:
        print(USAGE)
        return 0
    from uselib.scheme_comparison.schemes import SCHEMES
    from uselib.scheme_comparison.table import as_json, as_text, compare

    names = [word for word in arguments if word != "--json"]
    known = [scheme.name for scheme in SCHEMES]
    for name in names:
        if name not in known:
            raise UsageError(Diagnostic(name, "is not a scheme", remedy=f"there are {', '.join(known)}"))

    def progress(name: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{name} ...", end="", file=sys.stderr, flush=True)

    rows = compare(names, progress)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(as_json(rows) if "--json" in arguments else as_text(rows))
    return 0
