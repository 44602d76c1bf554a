"""Makes a sysroot: a directory with everything that compiling, linking and running against shared libraries takes.

    DIR/uselib.sysroot   text: `arch: i386`, `libc: mini`, `version: 1.0.0`
    DIR/shlib            target libraries (layout `uselib`, which serves both schemes)
    DIR/lib              libc_s.a (stub), libc.a (static), crt1-SCHEME.o crti.o crtn.o, libbuiltins.a, empty libm.a ...
    DIR/include          headers

Built beside the destination and renamed into place, so a failure leaves nothing half made.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from uselib.linker.errors import error
from uselib.linker.formats.ar import write_archive
from uselib.linker.image import Machine, Version
from uselib.linker.reading import read_file
from uselib.runtime import build, musl
from uselib.runtime.compiler import Compiler, Job, compile_all, find_compiler

MARK = "uselib.sysroot"
LIBC_BASE = 0x60000000  # libc's address since 1993 (docs/historical-systems.md, Linux a.out)
MINI_VERSION = Version(1, 0, 0)
MINI_INTERPOSABLE = ("malloc", "calloc", "realloc", "free")

MACHINES: Mapping[str, Machine] = {machine.label: machine for machine in Machine}


@dataclass(frozen=True)
class Sysroot:
    """What DIR/uselib.sysroot says."""

    path: Path
    machine: Machine
    libc: str
    version: str

    @property
    def lib(self) -> Path:
        return self.path / "lib"

    @property
    def include(self) -> Path:
        return self.path / "include"

    @property
    def shlib(self) -> Path:
        return self.path / "shlib"


def read_sysroot(path: Path) -> Sysroot:
    """Reads DIR/uselib.sysroot. Raises LinkError if DIR is not a sysroot."""
    mark = path / MARK
    try:
        text = read_file(mark).decode()
    except (OSError, UnicodeDecodeError):
        raise error(
            str(path), f"is not a sysroot (it has no readable {MARK})", remedy="make one with `uselib sysroot`"
        ) from None
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if fields.get("arch") not in MACHINES:
        raise error(str(mark), f"names the machine `{fields.get('arch', '')}`, which is neither i386 nor x86_64")
    return Sysroot(path.resolve(), MACHINES[fields["arch"]], fields.get("libc", ""), fields.get("version", ""))


@dataclass(frozen=True)
class _Libc:
    """A C library in the making: what mkshlib gets."""

    inputs: tuple[Path, ...]
    version: Version
    interposable: tuple[str, ...]
    private_archives: tuple[Path, ...]
    hide: tuple[str, ...] = musl.HIDDEN


def _mini(compiler: Compiler, machine: Machine, root: Path, work: Path) -> _Libc:
    shutil.copytree(build.ROOT / "libmini" / "include", root / "include")
    build.write_syscall_header(machine, root / "include" / "sys" / "syscall.h")
    build.build_libmini(compiler, machine, work / "libmini", root / "include", root / "lib" / "libc.a")
    (root / "lib" / "libm.a").write_bytes(write_archive(()))
    return _Libc((root / "lib" / "libc.a",), MINI_VERSION, MINI_INTERPOSABLE, (root / "lib" / "libbuiltins.a",))


def _musl(compiler: Compiler, machine: Machine, root: Path, work: Path) -> _Libc:
    found = musl.find_musl(machine)
    musl.copy_headers(found, root / "include")
    (work / "musl").mkdir()
    helper = work / "musl" / "interposed.o"
    compile_all(compiler, machine, [Job(build.ROOT / "musl" / "interposed.c", helper)])
    lib = root / "lib"
    (lib / "libc.a").write_bytes(
        found.archives[0].read_bytes() if len(found.archives) == 1 else build.merge_archives(found.archives)
    )
    for name in musl.EMPTY_ARCHIVES:
        (lib / f"lib{name}.a").write_bytes(write_archive(()))
    private = (lib / "libbuiltins.a",)
    return _Libc((lib / "libc.a", helper), found.version, musl.INTERPOSABLE, private)


LIBCS: Mapping[str, Callable[[Compiler, Machine, Path, Path], _Libc]] = {"mini": _mini, "musl": _musl}


def _make_shared(libc: _Libc, root: Path, scheme: str) -> Sequence[str]:
    from uselib.linker.library import make as shlib

    request = shlib.LibraryRequest(
        inputs=tuple(str(path) for path in libc.inputs),
        private_archives=tuple(str(path) for path in libc.private_archives),
        name="c",
        version=libc.version,
        text_address=LIBC_BASE,
        scheme=scheme,
        interposable=libc.interposable,
        hide=libc.hide,
        bootstrap="__uselib_bootstrap",
        interpreter="__uselib_interpreter",
    )
    return [str(warning) for warning in shlib.build(request, str(root), "archive").warnings]


def _replace(made: Path, destination: Path) -> None:
    """Renames `made` to `destination`, which is absent, empty or a sysroot."""
    if not destination.exists():
        made.rename(destination)
        return
    with tempfile.TemporaryDirectory(prefix=".uselib-old-", dir=destination.parent) as old:
        destination.rename(Path(old, "old"))
        try:
            made.rename(destination)
        except OSError:
            Path(old, "old").rename(destination)
            raise


def make_sysroot(destination: Path, machine: Machine, libc: str, scheme: str = "uselib") -> Sequence[str]:
    """Makes a sysroot at `destination`, in place of one that is there. Returns warnings. Raises ToolError, OSError."""
    if destination.exists() and not (
        destination.is_dir() and ((destination / MARK).is_file() or not any(destination.iterdir()))
    ):
        raise error(str(destination), "exists and is not a sysroot", remedy="name a new directory")
    compiler = find_compiler()
    destination = destination.absolute()
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".uselib-", dir=destination.parent) as temporary:
        root, work = Path(temporary, "root"), Path(temporary, "work")
        for directory in (root, root / "lib", root / "shlib", work):
            directory.mkdir()
        build.build_startup(compiler, machine, root / "lib")
        build.build_builtins(compiler, machine, work / "builtins", root / "lib" / "libbuiltins.a")
        made = LIBCS[libc](compiler, machine, root, work)
        build.build_boot(compiler, machine, work / "boot.o")
        made = replace(made, inputs=(*made.inputs, work / "boot.o"))
        warnings = _make_shared(made, root, scheme)
        (root / MARK).write_text(f"arch: {machine.label}\nlibc: {libc}\nversion: {made.version}\n", encoding="utf-8")
        os.chmod(root, 0o755)
        _replace(root, destination)
    return warnings
