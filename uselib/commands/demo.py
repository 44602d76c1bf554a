"""`uselib demo`: the main steps in a few seconds. Builds a library and a program, runs and traces the program, replaces the library by a
newer version with other code in another order, and runs the same program file again.

Every step is an ordinary command line, shown before it runs, so that a reader can repeat it.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uselib.linker.errors import UsageError, error

_HELP = """usage: uselib demo [--arch i386|x86_64] [--keep DIR]

Builds, runs, traces and upgrades a small fixed-address library. --keep DIR leaves the files there."""


def _samples() -> Path:
    """The folder samples/versions, which the package carries."""
    from uselib import runtime

    samples = Path(runtime.__file__ or ".").resolve().parent / "samples"
    if (samples / "versions").is_dir():
        return samples / "versions"
    raise error("demo", "the samples are not installed", remedy="run it from a checkout")


class Stage:
    """Runs and shows commands in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def say(self, text: str) -> None:
        bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(f"\n\033[1m{text}\033[0m" if bold else f"\n# {text}", flush=True)

    def run(self, command: str, environment: dict[str, str] | None = None) -> str:
        """Shows and runs a command line; `uselib` in it is this program. Returns its output. Raises LinkError if it fails."""
        shown = " ".join(f"{key}={value}" for key, value in (environment or {}).items())
        print(f"$ {shown + ' ' if shown else ''}{command}", flush=True)
        words = shlex.split(command)
        if words[0] == "uselib":
            words[0:1] = [sys.executable, "-m", "uselib.cli"]
        inherited = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        ran = subprocess.run(
            words,
            cwd=self.directory,
            env={**inherited, **(environment or {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        print(ran.stdout, end="", flush=True)
        if ran.returncode:
            raise error("demo", f"`{command}` ended with status {ran.returncode}")
        return ran.stdout


def _native(arch: str) -> bool:
    """Whether this host runs programs of that machine itself."""
    return sys.platform == "linux" and platform.machine() in ({"x86_64"} if arch == "x86_64" else {"x86_64", "i686"})


def play(stage: Stage, arch: str) -> None:
    """The demonstration, step by step."""
    stage.say(
        "A sysroot: our small C library as a fixed-address shared library, its stub library, start-up files and headers"
    )
    stage.run(f"uselib sysroot sysroot --arch {arch} --libc mini")
    stage.say("libgreet 1.0.0: two functions behind two slots, one exported variable")
    stage.run("uselib cc --sysroot sysroot -fdata-sections -c greet1.c")
    stage.run("uselib mkshlib -s greet1.spec -o old greet1.o")
    stage.run("uselib inspect old/shlib/libgreet_s.1.0.0")
    stage.say("A program, linked with the stub library: addresses only, no code of the library")
    stage.run("uselib cc --sysroot sysroot --scheme mmap main.c -L old/lib -lgreet_s -o main")
    first = stage.run("uselib run --sysroot sysroot --library-path old/shlib main")
    if _native(arch):
        stage.say("The same file runs natively: its start-up code maps the libraries itself")
        if stage.run("./main", {"LD_LIBRARY_PATH": "old/shlib"}) != first:
            raise error("demo", "native and emulated output differ")
    stage.say("Every call through a jump table")
    stage.run("uselib trace --sysroot sysroot --library-path old/shlib main")
    stage.say(
        "libgreet 1.1.0: longer code, another order, a new function and variable; --previous keeps old slots and data in place"
    )
    stage.run("uselib cc --sysroot sysroot -fdata-sections -c greet2.c")
    stage.run("uselib mkshlib -s greet2.spec --previous old/lib/libgreet_s.a -o new greet2.o")
    os.symlink("libgreet_s.1.1.0", stage.directory / "new/shlib/libgreet_s.1.0.0")
    stage.say("The old program file, unchanged, on the new library")
    second = stage.run("uselib run --sysroot sysroot --library-path new/shlib main")
    if "1.0.0" not in first or "1.1.0" not in second:
        raise error("demo", "the program did not see the library version it was given")
    if _native(arch) and stage.run("./main", {"LD_LIBRARY_PATH": "new/shlib"}) != second:
        raise error("demo", "native and emulated output differ")


def run(argv: list[str]) -> int:
    """The command. Exit status 0 if every step did what it should."""
    arch, keep = "x86_64", ""
    words = iter(argv)
    for word in words:
        if word in ("-h", "--help"):
            print(_HELP)
            return 0
        if word == "--arch" and (arch := next(words, "")) in ("i386", "x86_64"):
            continue
        if word == "--keep" and (keep := next(words, "")):
            continue
        raise UsageError(error("demo", f"`{word}` is not understood", remedy="see `uselib demo --help`").diagnostics[0])
    directory = Path(keep) if keep else Path(tempfile.mkdtemp(prefix="uselib-demo-"))
    try:
        shutil.copytree(_samples(), directory, dirs_exist_ok=True)
        play(Stage(directory), arch)
        print(f"\nAll of it is in {directory}" if keep else "")
        return 0
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
