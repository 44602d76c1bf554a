"""Real programs, not written here: fetched as source packages, built with `uselib cc`, run with their own inputs.

    lua     Lua 5.4, with a script that exercises what it takes from the C library
    bzip2   with the samples of its own `make test`: the compressed files are known byte for byte
    zlib    libz as a static shared library that depends on libc_s; its own test program and minigzip are linked with it
    sqlite  SQLite's one-file library, likewise; a small driver runs a file of SQL on a database

Sources come from `apt-get source --download-only`, SQLite's from `npm pack better-sqlite3`, which carries it, into a cache
outside the repository (USELIB_SOURCES, else ~/.cache/uselib/sources); nothing of them is committed.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from support.paths import PROGRAMS, ROOT
from uselib.commands import cc
from uselib.linker.image import Version
from uselib.linker.library import make as shlib
from uselib.linker.library.request import LibraryRequest
from uselib.runtime.build import write_objects

GUEST = PROGRAMS / "guest"
LIBZ_BASE, SQLITE_BASE = 0x60800000, 0x60C00000


@dataclass(frozen=True)
class Package:
    """A source archive: what its file is called, and the command that fetches it into the current directory."""

    pattern: str
    fetch: tuple[str, ...]


def _debian(name: str) -> Package:
    return Package(re.escape(name) + r"_.*\.orig\.tar\.\w+$", ("apt-get", "source", "--download-only", "-q", name))


PACKAGES = {
    "lua": _debian("lua5.4"),
    "bzip2": _debian("bzip2"),
    "zlib": _debian("zlib"),
    "sqlite": Package(r"better-sqlite3-[\d.]+\.tgz$", ("npm", "pack", "--silent", "better-sqlite3")),
}


class Unavailable(Exception):
    """The source packages cannot be had here; says why."""


def cache() -> Path:
    chosen = os.environ.get("USELIB_SOURCES")
    return (
        Path(chosen)
        if chosen
        else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uselib" / "sources"
    )


def _tarball(name: str) -> Path:
    directory, package = cache(), PACKAGES[name]

    def found() -> Path | None:
        if not directory.is_dir():
            return None
        return next((path for path in sorted(directory.iterdir()) if re.match(package.pattern, path.name)), None)

    if (path := found()) is not None:
        return path
    if shutil.which(package.fetch[0]) is None:
        raise Unavailable(f"no {package.fetch[0]} to fetch the sources of {name} with")
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(package.fetch, cwd=directory, capture_output=True, text=True, timeout=300)
    if (path := found()) is None:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"`{' '.join(package.fetch)}` did not work here: {last}")
    return path


@functools.cache
def sources(name: str, into: Path) -> Path:
    """The unpacked source tree. Raises Unavailable."""
    target = into / name
    if not target.is_dir():
        with tarfile.open(_tarball(name)) as archive:
            archive.extractall(target, filter="data")
    return next(path for path in target.iterdir() if path.is_dir())


def _cc(sysroot: Path, *words: str | Path) -> None:
    assert cc.run(["--sysroot", str(sysroot), *map(str, words)]) == 0


def _objects(sysroot: Path, files: Iterable[Path], into: Path, *options: str) -> list[Path]:
    into.mkdir(parents=True, exist_ok=True)
    jobs = [(path, into / f"{path.stem}.o") for path in files]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(lambda job: _cc(sysroot, "-O2", "-w", *options, "-c", job[0], "-o", job[1]), jobs))
    return [output for _, output in jobs]


def _named(directory: Path, names: str) -> list[Path]:
    return [directory / f"{name}.c" for name in names.split()]


@dataclass(frozen=True)
class Site:
    """Where programs for one machine are built: sysroot, sources, and the directory that holds everything made."""

    sysroot: Path
    sources: Path
    directory: Path

    def program(self, name: str, scheme: str) -> Path:
        return self.directory / scheme / name


def _build_lua(site: Site, schemes: Iterable[str]) -> None:
    source = sources("lua", site.sources) / "src"
    files = sorted(path for path in source.glob("*.c") if path.name != "luac.c")
    made = _objects(site.sysroot, files, site.directory / "lua", "-DLUA_USE_POSIX", "-DLUA_COMPAT_5_3")
    for scheme in schemes:
        _cc(site.sysroot, "--scheme", scheme, *made, "-lm", "-o", site.program("lua", scheme))


def build_lua(sysroot: Path, directory: Path) -> Path:
    """The static Lua interpreter, built in a directory. Raises Unavailable."""
    (directory / "static").mkdir(parents=True, exist_ok=True)
    site = Site(sysroot, directory / "sources", directory)
    _build_lua(site, ("static",))
    return site.program("lua", "static")


def _build_bzip2(site: Site, schemes: Iterable[str]) -> None:
    source = sources("bzip2", site.sources)
    files = _named(source, "blocksort huffman crctable randtable compress decompress bzlib bzip2")
    made = _objects(site.sysroot, files, site.directory / "bzip2", "-D_FILE_OFFSET_BITS=64")
    for scheme in schemes:
        _cc(site.sysroot, "--scheme", scheme, *made, "-o", site.program("bzip2", scheme))


def _shared_library(site: Site, name: str, made: list[Path], header: Path, version: str, base: int) -> None:
    """A static shared library with libc_s for its dependency, and the ordinary archive for scheme `static`."""
    found = re.search(version, header.read_text())
    assert found is not None
    request = LibraryRequest(
        inputs=(*map(str, made), str(site.sysroot / "lib" / "libc_s.a")),
        private_archives=(str(site.sysroot / "lib" / "libbuiltins.a"),),
        name=name,
        version=Version.parse(found[1]),
        text_address=base,
    )
    shlib.build(request, str(site.directory), "archive")
    write_objects(made, site.directory / "lib" / f"lib{name}.a")


def _build_zlib(site: Site, schemes: Iterable[str]) -> None:
    source = sources("zlib", site.sources)
    files = _named(
        source,
        "adler32 compress crc32 deflate gzclose gzlib gzread gzwrite infback inffast inflate inftrees trees uncompr zutil",
    )
    made = _objects(site.sysroot, files, site.directory / "zlib", "-DHAVE_UNISTD_H")
    _shared_library(site, "z", made, source / "zlib.h", r'ZLIB_VERSION "(\d+\.\d+\.\d+)', LIBZ_BASE)
    for name in ("example", "minigzip"):
        (main,) = _objects(
            site.sysroot, [source / "test" / f"{name}.c"], site.directory / "zlib", "-DHAVE_UNISTD_H", f"-I{source}"
        )
        for scheme in schemes:
            _cc(
                site.sysroot,
                "--scheme",
                scheme,
                main,
                f"-L{site.directory}/lib",
                "-lz",
                f"-Wl,-rpath,{site.directory}/shlib",
                "-o",
                site.program(name, scheme),
            )


def _build_sqlite(site: Site, schemes: Iterable[str]) -> None:
    source = sources("sqlite", site.sources) / "deps" / "sqlite3"
    options = ("-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION")
    made = _objects(site.sysroot, [source / "sqlite3.c"], site.directory / "sqlite", "-O1", *options)
    _shared_library(site, "sqlite3", made, source / "sqlite3.h", r'SQLITE_VERSION\s+"(\d+\.\d+\.\d+)', SQLITE_BASE)
    (main,) = _objects(site.sysroot, [GUEST / "sqlite.c"], site.directory / "sqlite", f"-I{source}")
    for scheme in schemes:
        _cc(
            site.sysroot,
            "--scheme",
            scheme,
            main,
            f"-L{site.directory}/lib",
            "-lsqlite3",
            f"-Wl,-rpath,{site.directory}/shlib",
            "-o",
            site.program("sqlite", scheme),
        )


BUILDERS: dict[str, Callable[[Site, Iterable[str]], None]] = {
    "lua": _build_lua,
    "bzip2": _build_bzip2,
    "zlib": _build_zlib,
    "sqlite": _build_sqlite,
}


@dataclass(frozen=True)
class Case:
    """A run: standard input and arguments, where `{name}` stands for an input file; files whose content counts too."""

    name: str
    package: str
    program: str
    arguments: tuple[str, ...]
    stdin: str = ""
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = field(default=())  # files of the source tree, copied beside the program's run
    expected: str = ""  # a file of the source tree that standard output must equal


CASES = (
    Case("Lua script", "lua", "lua", ("conformance.lua", "scratch")),
    Case("Lua -v -e", "lua", "lua", ("-v", "-e", "print(#package.path > 0, string.format('%5.1f', 3.14159), 10 // 3)")),
    Case("bzip2 -1", "bzip2", "bzip2", ("-1",), "sample1.ref", (), ("sample1.ref",), "sample1.bz2"),
    Case("bzip2 -2", "bzip2", "bzip2", ("-2",), "sample2.ref", (), ("sample2.ref",), "sample2.bz2"),
    Case("bzip2 -3", "bzip2", "bzip2", ("-3",), "sample3.ref", (), ("sample3.ref",), "sample3.bz2"),
    Case("bzip2 -d", "bzip2", "bzip2", ("-d",), "sample1.bz2", (), ("sample1.bz2",), "sample1.ref"),
    Case("bzip2 -ds", "bzip2", "bzip2", ("-ds",), "sample3.bz2", (), ("sample3.bz2",), "sample3.ref"),
    Case("bzip2 file", "bzip2", "bzip2", ("-kv9", "bzlib.c"), "", ("bzlib.c.bz2",), ("bzlib.c",)),
    Case("zlib example", "zlib", "example", ("foo.gz",), "", ("foo.gz",)),
    Case("minigzip", "zlib", "minigzip", ("-9",), "deflate.c", (), ("deflate.c",)),
    Case("SQLite", "sqlite", "sqlite", ("test.db", "sqlite.sql"), "", ("test.db",)),
    Case("SQLite memory", "sqlite", "sqlite", (":memory:", "sqlite.sql")),
    Case("minigzip file", "zlib", "minigzip", ("-6", "inflate.c"), "", ("inflate.c.gz",), ("inflate.c",)),
)


@dataclass(frozen=True)
class Outcome:
    """What a run did, as far as it must be the same everywhere."""

    status: int
    stdout: bytes
    stderr: bytes
    files: tuple[bytes, ...]


def run_case(case: Case, site: Site, scheme: str, emulated: bool, directory: Path) -> Outcome:
    """Runs a case in a fresh `directory`."""
    directory.mkdir(parents=True)
    tree = sources(case.package, site.sources)
    for name in case.inputs:
        shutil.copy(tree / name, directory / name)
    for name in ("conformance.lua", "sqlite.sql"):
        shutil.copy(GUEST / name, directory)
    program = site.program(case.program, scheme)
    command = [case.program, *case.arguments]
    environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC"}
    if emulated:
        emulator = [sys.executable, "-m", "uselib.cli", "run", "--argv0", case.program, "--writable", str(directory)]
        emulator += ["--readable", str(site.directory), "--readable", str(site.sysroot), "--env", "TZ=UTC"]
        command = [*emulator, str(program), *case.arguments]
        environment["PYTHONPATH"] = str(ROOT)
    with open(directory / case.stdin if case.stdin else os.devnull, "rb") as stdin:
        done = subprocess.run(
            command,
            executable=None if emulated else program,
            cwd=directory,
            stdin=stdin,
            capture_output=True,
            timeout=300,
            env=environment,
        )
    files = tuple(
        (directory / name).read_bytes() if (directory / name).exists() else b"(missing)" for name in case.outputs
    )
    return Outcome(done.returncode, done.stdout, done.stderr, files)


def expected_output(case: Case, site: Site) -> bytes | None:
    """What the package itself says the standard output must be."""
    if not case.expected:
        return None
    return (sources(case.package, site.sources) / case.expected).read_bytes()
