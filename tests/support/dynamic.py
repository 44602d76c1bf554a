"""Programs for the system's dynamic linkers: made, run natively without randomisation of addresses, and run under --root /."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.paths import PROGRAMS, ROOT

SOURCES = PROGRAMS / "dynamic"
KINDS = {  # how a program is made; whether it has an interpreter
    "pie": (("gcc", "-pie", "-fPIE"), True),
    "no-pie": (("gcc", "-no-pie", "-fno-pie"), True),
    "static-pie": (("gcc", "-static-pie", "-fPIE"), False),
    "musl": (("musl-gcc",), True),
    "i386-pie": (("i686-linux-gnu-gcc", "-pie", "-fPIE", "-Wl,--dynamic-linker=/lib/ld-linux.so.2"), True),
    "i386-no-pie": (("i686-linux-gnu-gcc", "-no-pie", "-fno-pie", "-Wl,--dynamic-linker=/lib/ld-linux.so.2"), True),
    "i386-static-pie": (("i686-linux-gnu-gcc", "-static-pie", "-fPIE"), False),
}
WORDS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C"}


def build(kind: str, source: Path, output: Path, *options: str) -> Path:
    """Skips where the compiler, its library or its dynamic linker is missing."""
    command = [*KINDS[kind][0], "-O1", "-o", str(output), str(source), *options]
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and ("file not found" in done.stderr or "No such file" in done.stderr):
        pytest.skip(f"{command[0]} has no C library for this")
    assert done.returncode == 0, done.stderr
    if kind.startswith("i386") and KINDS[kind][1] and not os.path.exists("/lib/ld-linux.so.2"):
        pytest.skip("needs libc6-i386")
    return output


def emulated(
    *command: str | Path,
    cwd: Path | None = None,
    options: tuple[str, ...] = ("--root", "/"),
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """variables: of the program's environment, besides those that `uselib run` gives it."""
    for name, value in (variables or {}).items():
        options = (*options, "--env", f"{name}={value}")
    words = [sys.executable, "-m", "uselib.cli", "run", *options, *map(str, command)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, input=stdin, capture_output=True, timeout=60, env=environment, check=False)


def native(
    *command: str | Path, cwd: Path | None = None, stdin: bytes = b"", variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Without randomisation of addresses."""
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=60,
        env={**WORDS, **(variables or {})},
        preexec_fn=_fixed_addresses,
        check=False,
    )


def _fixed_addresses() -> None:
    ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE
