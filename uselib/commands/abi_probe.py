"""`uselib abi probe`: the same generated calls to one function of two versions, and the smallest that differs."""

from __future__ import annotations

import argparse
import json
import sys

from uselib.linker.errors import Diagnostic, UsageError

_EPILOG = """Exit status: 0 no difference was found in that many examples (which proves nothing beyond them), 4 a difference,
16 not comparable: no prototype, a callback, not in both versions, different libraries."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uselib abi probe",
        description="Calls a function of both versions with generated arguments.",
        epilog=_EPILOG,
    )
    parser.add_argument("old", metavar="LIB_OLD", help="a target library")
    parser.add_argument("new", metavar="LIB_NEW", help="another version of it")
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="names, or patterns such as 'str*'")
    parser.add_argument("--all", action="store_true", help="every function that both have")
    parser.add_argument(
        "--prototypes", action="append", default=[], metavar="FILE", help="a header with their declarations"
    )
    parser.add_argument("--library-path", default="", metavar="DIRS", help="where libraries that they depend on are")
    parser.add_argument("--range", action="append", default=[], metavar="PARAM=LO:HI", help="numbers that PARAM may be")
    parser.add_argument("--allow-null", action="store_true", help="pointers may be NULL")
    parser.add_argument("--state", action="store_true", help="sequences of calls that keep the state of the library")
    parser.add_argument("--no-errno", action="store_true", help="do not compare errno")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the generated examples (default 0)")
    parser.add_argument(
        "--examples", type=_count, default=500, metavar="N", help="calls of each function (default 500)"
    )
    parser.add_argument(
        "--max-instructions", type=_count, default=1_000_000, metavar="N", help="of one call (k, M; default 1M)"
    )
    parser.add_argument(
        "--write-test", metavar="FILE", help="write the smallest call as a C program (.c) or a pytest module (.py)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _count(text: str) -> int:
    from uselib.emulator.process.run_options import positive_count

    return positive_count(text)


_count.__name__ = "number"  # argparse names the type in its message


def _ranges(texts: list[str]) -> dict[str, tuple[float, float]]:
    """Raises UsageError."""
    found = {}
    for text in texts:
        name, equals, span = text.partition("=")
        low, colon, high = span.partition(":")
        try:
            if not (name and equals and colon):
                raise ValueError
            values = _number(low), _number(high)
            if not values[0] <= values[1]:
                raise ValueError
        except ValueError:
            raise UsageError(Diagnostic("--range", f"`{text}` is not PARAM=LO:HI")) from None
        found[name] = values
    return found


def _number(text: str) -> float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def _keep_files_out_of_here() -> None:
    """Puts the cache of hypothesis, which is ./.hypothesis by default, with the other caches."""
    import os

    from uselib.abi.dynamic.matrix.cache import directory
    from uselib.abi.dynamic.probe.probe import require_hypothesis

    require_hypothesis()
    from hypothesis.configuration import set_hypothesis_home_dir

    set_hypothesis_home_dir(os.path.join(directory(), "hypothesis"))


def run(argv: list[str]) -> int:
    """Runs `uselib abi probe`. Returns the exit status. Raises ToolError, OSError."""
    try:
        options = _parser().parse_intermixed_args(argv)
    except SystemExit as stop:  # --help, or bad usage, which argparse has reported
        return int(stop.code or 0)
    if not options.functions and not options.all:
        raise UsageError(Diagnostic("abi probe", "no function given", remedy="name one, or all with --all"))
    if options.write_test is not None and not options.write_test.endswith((".c", ".py")):
        raise UsageError(Diagnostic("--write-test", f"`{options.write_test}` is neither FILE.c nor FILE.py"))
    from uselib.abi.dynamic.probe.pair import LibrariesNotComparable
    from uselib.abi.dynamic.probe.probe import differing, probe
    from uselib.abi.dynamic.probe.spec import ProbeRequest
    from uselib.abi.dynamic.probe.text import render
    from uselib.abi.dynamic.probe.write import write_test
    from uselib.progress_bar import progress_bar

    request = ProbeRequest(
        options.old,
        options.new,
        ("*",) if options.all else tuple(options.functions),
        library_path=tuple(part for part in options.library_path.split(":") if part),
        prototypes=tuple(options.prototypes),
        ranges=_ranges(options.range),
        null=options.allow_null,
        errno=not options.no_errno,
        seed=options.seed,
        examples=options.examples,
        max_instructions=options.max_instructions,
        state=options.state,
    )
    _keep_files_out_of_here()
    try:
        with progress_bar("abi probe") as progress:
            result = probe(request, progress)
    except LibrariesNotComparable as failure:
        print(f"uselib: {failure}", file=sys.stderr)
        return 16
    if options.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        for line in render(result):
            print(line.encode("utf-8", "backslashreplace").decode())
    if options.write_test:
        found = next(differing(result), None)
        if found is None:
            print(f"uselib: {options.write_test}: not written: there is no difference to show", file=sys.stderr)
        else:
            write_test(options.write_test, found, request)
    return result.status
