"""Shared objects and programs in a folder, each linked by GNU ld or by ours, for a machine and a C library; run natively and emulated."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from support.command import uselib
from support.paths import PROGRAMS
from uselib.commands.ld_dir import directory as link_directory

SOURCES = PROGRAMS / "dynamic_links"
LINKERS = ("gnu", "ours")
_MUSL_I386 = "/usr/lib/i386-linux-musl/musl-gcc.specs"


class Target(NamedTuple):
    """A machine and a C library."""

    c: tuple[str, ...]
    cxx: tuple[str, ...]  # (): there is none
    interpreter: str
    library_path: str = ""  # where the dynamic linker's cache may name other files first


TARGETS = {
    "x86_64": Target(("gcc",), ("g++",), "/lib64/ld-linux-x86-64.so.2"),
    "i386": Target(
        ("i686-linux-gnu-gcc",), ("i686-linux-gnu-g++",), "/lib32/ld-linux.so.2", "/lib32:/usr/i686-linux-gnu/lib"
    ),
    "x86_64-musl": Target(("musl-gcc",), (), "/lib/ld-musl-x86_64.so.1"),
    "i386-musl": Target(("i686-linux-gnu-gcc", "-specs", _MUSL_I386), (), "/lib/ld-musl-i386.so.1"),
}


class LinkFolder:
    """Compiles and links in a folder, for one of TARGETS. Skips where its compiler or its dynamic linker is missing."""

    def __init__(self, folder: Path, arch: str) -> None:
        self.folder, self.arch, self.target = folder, arch, TARGETS[arch]
        self._require(self.target.c)

    def _require(self, command: tuple[str, ...]) -> None:
        interpreter = self.target.interpreter
        files = [interpreter, *(word for word in command if word.startswith("/"))]
        if not command or shutil.which(command[0]) is None or not all(map(os.path.exists, files)):
            pytest.skip(f"{self.arch} needs {command[0] if command else 'a C++ compiler'} and {interpreter}")

    def _compile(
        self, compiler: tuple[str, ...], linker: str, words: tuple[object, ...]
    ) -> subprocess.CompletedProcess[str]:
        ours = [f"-B{link_directory()}"] if linker == "ours" else []
        return subprocess.run([*compiler, *ours, *map(str, words)], cwd=self.folder, capture_output=True, text=True)

    def cc(self, linker: str, output: str, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Links by a linker; output and the words that are files lie in the folder."""
        done = self._compile(self.target.c, linker, ("-o", output, *words))
        assert (done.returncode != 0) == (status != 0), done.stderr
        return done

    def cxx(self, linker: str, output: str, *words: object) -> Path:
        """As `cc`, with the C++ compiler."""
        self._require(self.target.cxx)
        done = self._compile(self.target.cxx, linker, ("-o", output, *words))
        assert done.returncode == 0, done.stderr
        return self.folder / output

    def source(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    @property
    def program_words(self) -> tuple[str, ...]:
        """Options for programs: which dynamic linker, and that it finds libraries beside the program."""
        return f"-Wl,--dynamic-linker={self.target.interpreter}", "-Wl,-rpath,$ORIGIN"

    def program(self, linker: str, output: str, *words: object) -> Path:
        self.cc(linker, output, *words, *self.program_words)
        return self.folder / output

    def run(self, program: Path, *words: object, **variables: str) -> tuple[str, int]:
        """Natively. What it said, and its status."""
        path = {"LD_LIBRARY_PATH": self.target.library_path} if self.target.library_path else {}
        done = subprocess.run(
            [program, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **path, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout + done.stderr, done.returncode

    def run_emulated(self, program: Path, *words: object) -> tuple[str, int]:
        """Under `uselib run --root /`."""
        path = ("--env", f"LD_LIBRARY_PATH={self.target.library_path}") if self.target.library_path else ()
        done = uselib("run", "--root", "/", "--readable", self.folder, *path, program, *words)
        return done.stdout + done.stderr, done.returncode
