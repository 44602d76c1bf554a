"""`uselib abi matrix`: programs x versions, one dynamic comparison for each cell (uselib/abi/dynamic/matrix/matrix.py)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from uselib.abi.dynamic.matrix import cache as cache_module
from uselib.abi.dynamic.matrix.config import read_config, split
from uselib.abi.dynamic.matrix.matrix import run_matrix
from uselib.abi.dynamic.matrix.spec import MatrixResult, MatrixSpec, ProgramSpec
from uselib.emulator.process.run_options import OPTIONS
from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.quick_dataclass import replace
from uselib.progress_bar import progress_bar

_LEFT_OUT = frozenset(("strace", "fault_report"))  # options of `uselib run` that show a single run
_LIMITS = frozenset(("max_instructions", "max_seconds"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uselib abi matrix",
        description="Runs every program against every version of a library and compares with the version it was linked with. "
        "Exit status: 0 all identical on these runs, 4 something diverged, 16 something is not comparable.",
        epilog="Options of `uselib run` hold for all programs given with --program.",
    )
    parser.add_argument(
        "--library", nargs="+", action="extend", default=[], metavar="LIB", help="versions of the library"
    )
    parser.add_argument(
        "--program", action="append", default=[], metavar="'PROG ARGS'", help="a program with its arguments"
    )
    parser.add_argument("--config", metavar="FILE", help="programs, versions and options as TOML")
    parser.add_argument(
        "--baseline", default="", metavar="V", help="compare with this version: a label as in the table, or a path"
    )
    parser.add_argument("--stdin", metavar="FILE", help="standard input of the programs given with --program")
    parser.add_argument(
        "--input", action="append", default=[], metavar="FILE", help="a file that the programs read (for the cache)"
    )
    parser.add_argument("--prototypes", action="append", default=[], metavar="FILE", help="C declarations")
    parser.add_argument("--ignore", action="append", default=[], metavar="GLOB", help="functions that are not compared")
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="cells at a time (default: processors)")
    parser.add_argument("--cache", metavar="DIR", help="where results are kept (default: $XDG_CACHE_HOME/uselib)")
    parser.add_argument("--no-cache", action="store_true", help="run every cell, do not use the cache")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--html", metavar="FILE", help="write a page")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    group = parser.add_argument_group("options of `uselib run`")
    for name, option in OPTIONS.items():
        key = option.key(name)
        if key in _LEFT_OUT:
            continue
        if option.read is None:
            group.add_argument(name, dest=f"run_{key}", action="store_true", help=option.help)
        else:
            group.add_argument(name, dest=f"run_{key}", action="append", metavar=option.metavar, help=option.help)
    return parser


def _jobs(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


_jobs.__name__ = "number of jobs"  # argparse names the type in its message


def _words(options: argparse.Namespace) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The options for `uselib run` as words, and the limits, which AbiRequest has of its own. Raises UsageError."""
    words: list[str] = []
    limits: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        key = option.key(name)
        given = getattr(options, f"run_{key}", None)
        if not given:
            continue
        if option.read is None:
            words.append(name)
            continue
        for text in given if option.many else given[-1:]:
            try:
                value = option.read(text)
            except ValueError:
                raise UsageError(Diagnostic(name, f"`{text}` is not a value for {option.metavar}")) from None
            if key in _LIMITS:
                limits[key] = value
            else:
                words += [name, text]
    return tuple(words), limits


def _spec(options: argparse.Namespace) -> MatrixSpec:
    """Raises UsageError, OSError."""
    spec = read_config(options.config) if options.config else MatrixSpec((), ())
    words, limits = _words(options)
    stdin = b""
    if options.stdin is not None:
        from uselib.linker.reading import read_file

        stdin = sys.stdin.buffer.read() if options.stdin == "-" else read_file(options.stdin)
    programs = []
    for text in options.program:
        command = split(text)
        if not command:
            raise UsageError(Diagnostic("--program", f"`{text}` is not a command line"))
        arguments = command[0], tuple(command[1:]), stdin, words, tuple(options.prototypes), tuple(options.ignore)
        programs.append(ProgramSpec(*arguments, inputs=tuple(options.input), **limits))
    return replace(
        spec,
        programs=(*spec.programs, *programs),
        versions=(*spec.versions, *options.library),
        baseline=options.baseline or spec.baseline,
    )


def _write(result: MatrixResult, options: argparse.Namespace) -> None:
    from uselib.linker.writing import write_atomically

    if options.html:
        from uselib.abi.dynamic.matrix.html import page

        write_atomically(options.html, page(result).encode("utf-8", "backslashreplace"), 0o666)
    if options.junit:
        from uselib.abi.dynamic.matrix.junit import document

        write_atomically(options.junit, document(result).encode("utf-8", "backslashreplace"), 0o666)


def run(argv: list[str]) -> int:
    """Runs `uselib abi matrix`. Returns the exit status. Raises ToolError, OSError."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:  # --help, or bad usage, which argparse has reported
        return int(stop.code or 0)
    spec = _spec(options)
    store = None if options.no_cache else cache_module.Cache(cache_module.directory(options.cache))
    with progress_bar("abi matrix") as progress:
        result = run_matrix(spec, None, progress, jobs=options.jobs, cache=store)
    if options.html or options.junit:
        _write(result, options)
    if options.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        from uselib.abi.dynamic.matrix.text import render

        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in render(result, colour):
            print(line.encode("utf-8", "backslashreplace").decode())
    return result.status
