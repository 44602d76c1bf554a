"""`uselib abi run`: the command line of compare_runs."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from uselib.abi.dynamic.run.result import AbiRequest
from uselib.emulator.option_table import Option
from uselib.emulator.process.run_options import OPTIONS, help_text
from uselib.linker.errors import Diagnostic, UsageError

USAGE = "uselib abi run [OPTIONS] PROG [ARGUMENTS] --old LIB --new LIB"
_OWN: dict[str, Option] = {
    "--old": Option("LIB", "the version that the program was linked with, or runs with today"),
    "--new": Option("LIB", "the version to compare with it"),
    "--json": Option("", "the result for programs", None),
    "--prototypes": Option("FILE", "C declarations: what arguments and results are", many=True),
    "--ignore": Option("GLOB", "do not compare arguments and results of such functions", many=True),
    "--one-by-one": Option("", "not both sides at the same time", None),
}
_LEFT_OUT = frozenset(("--strace", "--fault-report"))
_ABOUT = (
    "\n\nRuns PROG against both versions and shows the first difference. Exit status: 0 identical on this run, 4 diverged,\n"
    "16 not comparable, 1 other errors, 2 bad usage. --old and --new may stand anywhere before `--`."
)
STDIN_LIMIT = 1 << 28


def run(arguments: list[str]) -> int:
    """Returns the exit status. Raises ToolError."""
    request, as_json = _request(arguments)
    if request is None:
        shown = {name: option for name, option in {**_OWN, **OPTIONS}.items() if name not in _LEFT_OUT}
        print(help_text(USAGE, shown) + _ABOUT)
        return 0
    from uselib.abi.dynamic.run.run import compare_runs

    result = compare_runs(request)
    if as_json:
        print(json.dumps(result.as_json(), indent=1))
    else:
        from uselib.abi.dynamic.run.render import render

        print(render(result))
    return result.status


def _request(arguments: list[str]) -> tuple[AbiRequest | None, bool]:
    """None: help was asked for. Raises UsageError."""
    rest, libraries = _take_libraries(arguments)
    values: dict[str, Any] = {}
    words: list[str] = []
    at = 0
    while at < len(rest) and rest[at].startswith("-") and rest[at] != "-":
        word = rest[at]
        at += 1
        if word == "--":
            break
        if word in ("-h", "--help"):
            return None, False
        name, equals, value = word.partition("=")
        option = {**OPTIONS, **_OWN}.get(name)
        if option is None or name in _LEFT_OUT:
            raise UsageError(Diagnostic(name, "no such option", remedy="see `uselib abi run --help`"))
        if option.read is not None and not equals:
            if at == len(rest):
                raise UsageError(Diagnostic(name, f"needs a value ({option.metavar})"))
            value = rest[at]
            at += 1
        elif option.read is None and equals:
            raise UsageError(Diagnostic(name, "takes no value"))
        if name in _OWN:
            key = option.key(name)
            values[key] = (*values.get(key, ()), value) if option.many else True
        else:
            words += [name] if option.read is None else [name, value]
    if at == len(rest):
        raise UsageError(Diagnostic("", f"no program given; usage: {USAGE}"))
    for name in ("old", "new"):
        if name not in libraries:
            raise UsageError(Diagnostic("abi run", f"no {name} version given", remedy=f"say which with `--{name} LIB`"))
    request = AbiRequest(
        rest[at],
        libraries["old"],
        libraries["new"],
        arguments=tuple(rest[at + 1 :]),
        stdin=_stdin(),
        run_words=tuple(words),
        prototypes=values.get("prototypes", ()),
        ignore=values.get("ignore", ()),
        parallel="one_by_one" not in values,
    )
    return request, "json" in values


def _take_libraries(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """--old and --new, wherever they stand before `--`, and the other words."""
    rest: list[str] = []
    found: dict[str, str] = {}
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word == "--":
            return rest + arguments[at:], found
        name, equals, value = word.partition("=")
        at += 1
        if name not in ("--old", "--new"):
            rest.append(word)
            continue
        if not equals:
            if at == len(arguments):
                raise UsageError(Diagnostic(name, "needs a value (LIB)"))
            value = arguments[at]
            at += 1
        if name[2:] in found:
            raise UsageError(Diagnostic(name, "given twice"))
        found[name[2:]] = value
    return rest, found


def _stdin() -> bytes:
    """All of standard input, read once for both sides; nothing from a terminal."""
    try:
        if os.isatty(0):
            return b""
        data = sys.stdin.buffer.read(STDIN_LIMIT + 1)
    except (OSError, AttributeError):
        return b""
    if len(data) > STDIN_LIMIT:
        raise UsageError(
            Diagnostic("standard input", f"more than {STDIN_LIMIT >> 20} MiB; both sides need a copy of it")
        )
    return data
