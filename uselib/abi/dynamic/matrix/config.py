"""`--config matrix.toml` -> MatrixSpec. Paths are relative to the file's directory.

versions = ["old/libgreet_s.1.0.0", "new/libgreet_s.1.1.0"]   # or patterns: "versions/*/libgreet_s.*"
baseline = "1.0.0"             # optional: by default the version each program was linked with

[options]                      # for all programs: options of `uselib run` by name
sysroot = "sysroot"

[[program]]
run = "bin/greet --loud 3"     # or program = "bin/greet" and arguments = ["--loud", "3"]
name = "greet, loud"           # optional, as all below
stdin = "text"                 # or stdin-file = "FILE"
env = {LANG = "C"}
inputs = ["data.txt"]          # files that it reads
prototypes = ["greet.h"]
ignore = ["log_*"]
baseline = "1.0.0"
[program.options]
max-seconds = 5
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from uselib.abi.dynamic.matrix.spec import MatrixSpec, ProgramSpec
from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.reading import read_file

_PATHS = frozenset(("sysroot", "root", "readable", "writable", "library-path"))
_SWITCHES = frozenset(("realtime",))
_WORDS = frozenset(("env", "argv0", "max-memory", "max-files", "seed"))
_OPTIONS = _PATHS | _SWITCHES | _WORDS | {"max-instructions", "max-seconds"}
_TOP: dict[str, type[Any]] = {"versions": list, "baseline": str, "options": dict, "program": list}
_KINDS: dict[type[Any], str] = {str: "string", list: "list", dict: "table"}
# Keys of a program: strings, lists[], tables{}.
_PROGRAM_TEXT = """
    run program arguments[] name stdin stdin-file env{} inputs[] prototypes[] ignore[] baseline options{}"""
_PROGRAM: dict[str, type[Any]] = {
    word.rstrip("[]{}"): {"[]": list, "{}": dict}.get(word[-2:], str) for word in _PROGRAM_TEXT.split()
}


class _Reader:
    """Reads one file. All methods raise UsageError(FILE: what is wrong)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = os.path.dirname(os.path.abspath(path))

    def wrong(self, message: str, remedy: str = "") -> UsageError:
        return UsageError(Diagnostic(self.path, message, remedy=remedy))

    def read(self) -> MatrixSpec:
        try:
            table = tomllib.loads(read_file(self.path).decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise self.wrong(f"is not TOML: {failure}") from None
        self._check(table, _TOP, "")
        common = self._options(table.get("options", {}), "options")
        programs = []
        for number, row in enumerate(table.get("program", ()), 1):
            if not isinstance(row, dict):
                raise self.wrong("`program` is not a list of tables", "write [[program]]")
            programs.append(self._program(row, common, f"program {number}"))
        return MatrixSpec(tuple(programs), self._versions(table.get("versions", [])), self._baseline(table))

    def _check(self, table: Mapping[str, Any], known: Mapping[str, type[Any]], where: str) -> None:
        prefix = f"{where}: " if where else ""
        for key, value in table.items():
            if key not in known:
                raise self.wrong(f"{prefix}`{key}` is not a key", f"one of {', '.join(known)}")
            if not isinstance(value, known[key]):
                raise self.wrong(f"{prefix}`{key}` is not a {_KINDS[known[key]]}")
            if known[key] is list and key != "program" and not all(isinstance(item, str) for item in value):
                raise self.wrong(f"{prefix}`{key}` is not a list of strings")

    def _place(self, path: str) -> str:
        return os.path.join(self.folder, path)

    def _versions(self, patterns: Sequence[str]) -> tuple[str, ...]:
        found: list[str] = []
        for pattern in patterns:
            path = self._place(pattern)
            matches = [path] if os.path.exists(path) else sorted(filter(_own, glob.glob(path)), key=_natural)
            if not matches and glob.has_magic(pattern):
                raise self.wrong(f"versions: nothing matches `{pattern}`")
            found += matches or [path]
        return tuple(found)

    def _baseline(self, table: Mapping[str, Any]) -> str:
        """A version's label, or a path if there is such a file."""
        text = str(table.get("baseline", ""))
        return self._place(text) if text and os.path.exists(self._place(text)) else text

    def _program(self, row: dict[str, Any], common: dict[str, Any], where: str) -> ProgramSpec:
        self._check(row, _PROGRAM, where)
        if ("run" in row) == ("program" in row):
            raise self.wrong(f"{where}: give either `run` or `program`")
        words = self._words(row["run"], where) if "run" in row else [row["program"], *row.get("arguments", ())]
        if "run" in row and "arguments" in row:
            raise self.wrong(f"{where}: `arguments` goes with `program`, not with `run`")
        if "stdin" in row and "stdin-file" in row:
            raise self.wrong(f"{where}: give either `stdin` or `stdin-file`")
        stdin = read_file(self._place(row["stdin-file"])) if "stdin-file" in row else row.get("stdin", "").encode()
        options = {**common, **self._options(row.get("options", {}), where)}
        run_words = list(_run_words(options))
        for name, value in row.get("env", {}).items():
            run_words += ["--env", f"{name}={value}"]
        try:
            limits = _limits(options)
        except (ValueError, TypeError):
            raise self.wrong(f"{where}: a limit is not a positive number") from None
        return ProgramSpec(
            self._place(words[0]),
            tuple(words[1:]),
            stdin,
            tuple(run_words),
            tuple(map(self._place, row.get("prototypes", ()))),
            tuple(row.get("ignore", ())),
            *limits,
            tuple(map(self._place, row.get("inputs", ()))),
            self._baseline(row),
            row.get("name", ""),
        )

    def _words(self, text: str, where: str) -> list[str]:
        words = split(text)
        if not words:
            raise self.wrong(f"{where}: `{text}` is not a command line")
        return words

    def _options(self, table: dict[str, Any], where: str) -> dict[str, Any]:
        """The options of a table, paths made absolute."""
        result = {}
        for name, value in table.items():
            if name not in _OPTIONS:
                words = f"{where}: `{name}` is not an option of `uselib run` that can be given here"
                raise self.wrong(words, f"one of {', '.join(sorted(_OPTIONS))}")
            if (name in _SWITCHES) != isinstance(value, bool) or isinstance(value, dict):
                raise self.wrong(f"{where}: `{name}` has a value of the wrong kind")
            items = value if isinstance(value, list) else [value]
            result[name] = [self._place(str(item)) for item in items] if name in _PATHS else items
        return result


def _own(path: str) -> bool:
    """Whether it is a file of its own, not a link: installed libraries have links beside them."""
    return not os.path.islink(path)


def _natural(path: str) -> list[tuple[int, str]]:
    """A key that sorts 1.2.0 before 1.10.0."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def split(text: str) -> list[str]:
    """The words of a command line, split as by a shell. Empty if quotes do not close."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _run_words(options: Mapping[str, list[Any]]) -> list[str]:
    words = []
    for name, values in options.items():
        if name in _SWITCHES:
            words += [f"--{name}"] if values[0] else []
        elif name == "library-path":
            words += ["--library-path", ":".join(values)]
        elif name not in ("max-instructions", "max-seconds"):
            for value in values:
                words += [f"--{name}", str(value)]
    return words


def _limits(options: Mapping[str, list[Any]]) -> tuple[int | None, float | None]:
    """Raises ValueError."""
    from uselib.emulator.process.run_options import positive_count

    instructions = positive_count(str(options["max-instructions"][0])) if "max-instructions" in options else None
    seconds = float(options["max-seconds"][0]) if "max-seconds" in options else 60.0
    if not 0 < seconds < 1e9:
        raise ValueError
    return instructions, seconds


def read_config(path: str) -> MatrixSpec:
    """Raises UsageError; OSError for a file that cannot be read."""
    return _Reader(path).read()
