"""RunOptions: what a run is told. The options that `uselib run` and `uselib trace` share, as a table; parsed without argparse, which
takes 10 ms to load."""

from __future__ import annotations

import os
from collections.abc import Mapping

from uselib.emulator.option_table import Option, option_rows, read_words
from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import Any


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
    max_processes: int = 256
    strace: bool = False
    realtime: bool = False
    seed: int = 0
    schedule: int | None = None
    aslr: int | None = None
    user: tuple[int, int] | None = None
    fault_report: bool = False
    no_sandbox: bool = False


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


def _user(text: str) -> tuple[int, int]:
    """UID or UID:GID; the group is the user's number where it is not said."""
    uid, colon, gid = text.partition(":")
    found = int(uid), int(gid if colon else uid)
    if not all(0 <= number < 0xFFFFFFFF for number in found):
        raise ValueError
    return found


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


OPTIONS: dict[str, Option] = {
    "--sysroot": Option("DIR", "look for absolute paths that do not exist under DIR (DIR/shlib)"),
    "--root": Option("DIR", "DIR is the program's `/`, read-only; / for dynamic programs of this system"),
    "--library-path": Option("DIRS", "LD_LIBRARY_PATH of the program", _paths),
    "--readable": Option("PATH", "let the program read PATH", many=True),
    "--writable": Option("DIR", "let the program write under DIR", many=True),
    "--env": Option("NAME=VALUE", "a variable of the program's environment", many=True, field="environment"),
    "--argv0": Option("NAME", "argument 0 instead of PROG"),
    "--max-instructions": Option("N", "end the program after N instructions (k, M, G)", positive_count),
    "--max-seconds": Option("S", "end the program after S seconds", _seconds),
    "--max-memory": Option(
        "SIZE",
        "end the program when it maps more (MiB, or k, M, G); without it: when it uses half of what is free",
        _size,
    ),
    "--max-files": Option("N", "open files at a time; at least 3", _file_count),
    "--max-processes": Option("N", "processes at a time (256)", positive_count),
    "--strace": Option("", "show every system call", None),
    "--realtime": Option("", "the host's clock and random bytes instead of reproducible ones", None),
    "--seed": Option("N", "for the reproducible random bytes", int),
    "--user": Option(
        "UID[:GID]", "who the program is (1000); 0 is root of its own tree, and nothing on the host", _user
    ),
    "--aslr": Option("SEED", "choose places in memory by chance: the same for the same SEED", int),
    "--schedule": Option("SEED", "another order of the program's threads, the same for the same SEED", int),
    "--no-sandbox": Option("", "do without the host's sandbox (Landlock, seccomp) around the emulator", None),
    "--fault-report": Option("", "when a signal kills the program: registers, code and mappings", None),
}


def help_text(usage: str, options: Mapping[str, Option]) -> str:
    return "\n".join([f"usage: {usage}", "", *option_rows(options, 24)])


def parse(
    usage: str, arguments: list[str], extra: Mapping[str, Option] | None = None
) -> tuple[RunOptions, dict[str, Any]] | int:
    """Options up to the first word that is not one; then PROG and its arguments. Returns RunOptions and the values of
    `extra` options, or an exit status if help was asked for. Raises UsageError."""
    extra = extra or {}
    table = {**OPTIONS, **extra}
    words = read_words(arguments, table, " ".join(usage.split()[:2]))
    if words is None:
        print(help_text(usage, table))
        return 0
    if not words.rest:
        raise UsageError(Diagnostic("", f"no program given; usage: {usage}"))
    values = words.values
    extras = {key: values.pop(key) for key in [option.key(name) for name, option in extra.items()] if key in values}
    for name in ("sysroot", "root"):
        if values.get(name) is not None and not os.path.isdir(values[name]):
            raise UsageError(Diagnostic(values[name], f"is not a directory (--{name})"))
    program, *rest = words.rest
    return RunOptions(program, tuple(rest), **values), extras
