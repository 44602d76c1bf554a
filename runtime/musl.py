"""musl, a real C library not written here: from Debian's package musl-dev, or from ziglang, which builds its own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uselib.linker.errors import error
from uselib.linker.formats.ar import Archive
from uselib.linker.image import Machine, Version
from uselib.runtime.build import has_thread_local_data

# What a program may replace; musl calls these through pointers then (linker/library/interpose.py).
INTERPOSABLE = tuple("malloc calloc realloc free memalign aligned_alloc posix_memalign malloc_usable_size".split())
# musl has all of libc in libc.a; these exist so that -lm and its like find something.
EMPTY_ARCHIVES = ("m", "pthread", "rt", "dl", "util", "crypt", "resolv", "xnet")
# A program's own start-up routines, and musl's way to find them: they must not get slots.
HIDDEN = ("_init", "_fini", "__libc_start_init", "__libc_exit_fini", "_start", "_start_c", "_dlstart", "_dlstart_c")


@dataclass(frozen=True)
class Musl:
    """The archives that make the library, header directories (earlier ones win), and the version."""

    archives: tuple[Path, ...]
    headers: tuple[Path, ...]
    version: Version


_TRIPLETS: Mapping[Machine, str] = {Machine.I386: "i386-linux-musl", Machine.X86_64: "x86_64-linux-musl"}
_ZIG_TARGETS: Mapping[Machine, str] = {Machine.I386: "x86-linux-musl", Machine.X86_64: "x86_64-linux-musl"}
_VERSION = re.compile(rb"(\d+\.\d+\.\d+)\0")


def _version_of(path: Path) -> Version:
    """musl has its version as a string in an object of its own, version.o."""
    archive = Archive(path.read_bytes(), str(path))
    for member in archive.members():
        if member.name.startswith("version."):
            found = _VERSION.search(archive.data[member.start : member.start + member.size])
            if found:
                return Version.parse(found[1].decode())
    return Version(1, 2, 0)


def _debian(machine: Machine) -> Musl | None:
    triplet = _TRIPLETS[machine]
    archive, headers = Path("/usr/lib", triplet, "libc.a"), Path("/usr/include", triplet)
    if not archive.is_file() or not (headers / "stdio.h").is_file():
        return None
    return Musl((archive,), (headers,), _version_of(archive))


def _zig(machine: Machine) -> Musl | None:
    """Links an empty program and reads from the link's command line which archives zig made."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    library = Path(spec.origin).resolve().parent / "lib"
    target = _ZIG_TARGETS[machine]
    with tempfile.TemporaryDirectory(prefix="uselib-") as work:
        source = Path(work, "empty.c")
        source.write_text("int main(void) { return 0; }\n")
        compiler = [sys.executable, "-m", "ziglang", "build-exe"]
        options = ["-target", target, "-lc", "-O", "ReleaseSmall", "--verbose-link"]
        done = subprocess.run(
            [*compiler, *options, "-femit-bin=" + os.path.join(work, "empty"), str(source)],
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    links = [line for line in done.stderr.splitlines() if line.startswith("ld.lld") and "libc.a" in line]
    if done.returncode or not links:
        return None
    found = {Path(word).name: Path(word) for word in links[-1].split() if word.endswith(".a")}
    own = tuple(found[name] for name in ("libc.a", "libzigc.a", "libcompiler_rt.a") if name in found)
    if any(has_thread_local_data(archive) for archive in own[1:]):
        raise error(
            "ziglang",
            "parts of its C library are not musl's any more and have thread-local data",
            remedy="install ziglang below 0.16, or Debian's musl-dev",
        )
    include = library / "libc" / "include"
    headers = tuple(
        directory
        for name in (target, "generic-musl", "x86-linux-any", "any-linux-any")
        if (directory := include / name).is_dir()
    )
    version = Version(1, 2, 5)
    stated = library / "libc" / "musl" / "src" / "internal" / "version.h"
    if stated.is_file() and (text := re.search(r"\d+\.\d+\.\d+", stated.read_text())):
        version = Version.parse(text[0])
    return Musl(own, headers, version)


def find_musl(machine: Machine) -> Musl:
    """Debian's musl if it is installed for the machine, else zig's. USELIB_MUSL=zig asks for zig's. Raises LinkError."""
    wanted = os.environ.get("USELIB_MUSL", "")
    sources = {"debian": (_debian,), "zig": (_zig,)}.get(wanted, (_debian, _zig))
    for source in sources:
        if (musl := source(machine)) is not None:
            return musl
    package = "musl-dev:i386" if machine is Machine.I386 else "musl-dev"
    raise error(
        "musl",
        f"no musl for {machine.label} found",
        remedy=f"install the Debian package {package}, or the extra `cc` (ziglang), or use --libc mini",
    )


def copy_headers(musl: Musl, output: Path) -> None:
    """Copies the headers; of two with one name that of the earlier directory stays."""
    for directory in reversed(musl.headers):
        shutil.copytree(directory, output, dirs_exist_ok=True, symlinks=False)
