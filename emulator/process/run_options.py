"""RunOptions: what a run is told. The options that `uselib run` and `uselib trace` share, as a table; parsed without argparse, which
takes 10 ms to load."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uselib.linker.errors import Diagnostic, UsageError


@dataclass(frozen=True)
class RunOptions:
    """What the command line says. Paths are the host's; sizes in bytes, times in seconds."""

    program: str
    arguments: tuple[str, ...] = ()
    argv0: str | None = None
    sysroot: str | None = None
    root: str | None = None
    library_path: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    max_instructions: int | None = None
    max_seconds: float | None = None
    max_memory: int | None = None
    max_files: int | None = None
    strace: bool = False
    realtime: bool = False
    seed: int = 0
    fault_report: bool = False


def _paths(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(":") if part)


def positive_count(text: str) -> int:
    """A positive number; k, M, G: thousands (for counts)."""
    factor = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}.get(text[-1:], 1)
    value = int(text[:-1] if factor > 1 else text) * factor
    if value <= 0:
        raise ValueError
    return value


def _file_count(text: str) -> int:
    """A positive number, and room for standard input, output and error."""
    if (value := positive_count(text)) < 3:
        raise ValueError
    return value


def _size(text: str) -> int:
    """Bytes; k, M, G: powers of 1024; without a letter: MiB."""
    factor = {"k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:])
    value = int(text) << 20 if factor is None else int(text[:-1]) * factor
    if value <= 0:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError
    return value


@dataclass(frozen=True)
class Option:
    """field: of RunOptions, or a key of the extra options. read: value from text (None: a switch). many: repeatable."""

    field: str
    metavar: str
    help: str
    read: Callable[[str], Any] | None = str
    many: bool = False


OPTIONS: dict[str, Option] = {
    "--sysroot": Option("sysroot", "DIR", "look for absolute paths that do not exist under DIR (DIR/shlib)"),
    "--root": Option("root", "DIR", "DIR is the program's `/`"),
    "--library-path": Option("library_path", "DIRS", "LD_LIBRARY_PATH of the program", _paths),
    "--readable": Option("readable", "PATH", "let the program read PATH", many=True),
    "--writable": Option("writable", "DIR", "let the program write under DIR", many=True),
    "--env": Option("environment", "NAME=VALUE", "a variable of the program's environment", many=True),
    "--argv0": Option("argv0", "NAME", "argument 0 instead of PROG"),
    "--max-instructions": Option("max_instructions", "N", "end the program after N instructions (k, M, G)", positive_count),
    "--max-seconds": Option("max_seconds", "S", "end the program after S seconds", _seconds),
    "--max-memory": Option("max_memory", "SIZE", "end the program when it maps more (MiB, or k, M, G)", _size),
    "--max-files": Option("max_files", "N", "open files at a time; at least 3", _file_count),
    "--strace": Option("strace", "", "show every system call", None),
    "--realtime": Option("realtime", "", "the host's clock and random bytes instead of reproducible ones", None),
    "--seed": Option("seed", "N", "for the reproducible random bytes", int),
    "--fault-report": Option("fault_report", "", "when a signal kills the program: registers, code and mappings", None),
}  # fmt: skip


def help_text(usage: str, options: Mapping[str, Option]) -> str:
    rows = [f"  {f'{name} {option.metavar}'.strip():<24} {option.help}" for name, option in options.items()]
    return "\n".join([f"usage: {usage}", "", *rows, f"  {'-h, --help':<24} this text"])


def parse(
    usage: str, arguments: list[str], extra: Mapping[str, Option] | None = None
) -> tuple[RunOptions, dict[str, Any]] | int:
    """Options up to the first word that is not one; then PROG and its arguments. Returns RunOptions and the values of
    `extra` options, or an exit status if help was asked for. Raises UsageError."""
    table = {**OPTIONS, **(extra or {})}
    values: dict[str, Any] = {}
    position = 0
    while position < len(arguments) and arguments[position].startswith("-") and arguments[position] != "-":
        word = arguments[position]
        position += 1
        if word == "--":
            break
        if word in ("-h", "--help"):
            print(help_text(usage, table))
            return 0
        name, equals, text = word.partition("=")
        option = table.get(name)
        if option is None:
            raise UsageError(Diagnostic(name, "no such option", remedy=f"see `{' '.join(usage.split()[:2])} --help`"))
        if option.read is None:
            if equals:
                raise UsageError(Diagnostic(name, "takes no value"))
            values[option.field] = True
            continue
        if not equals:
            if position == len(arguments):
                raise UsageError(Diagnostic(name, f"needs a value ({option.metavar})"))
            text = arguments[position]
            position += 1
        try:
            value = option.read(text)
        except ValueError:
            raise UsageError(Diagnostic(name, f"`{text}` is not a value for {option.metavar}")) from None
        values[option.field] = (*values.get(option.field, ()), value) if option.many else value
    if position == len(arguments):
        raise UsageError(Diagnostic("", f"no program given; usage: {usage}"))
    extras = {key: values.pop(key) for key in [option.field for option in (extra or {}).values()] if key in values}
    for name in ("sysroot", "root"):
        if values.get(name) is not None and not os.path.isdir(values[name]):
            raise UsageError(Diagnostic(values[name], f"is not a directory (--{name})"))
    return RunOptions(arguments[position], tuple(arguments[position + 1 :]), **values), extras
