"""What glibc's and musl's dynamic linkers do, by the environment and by dlopen: the same natively and under --root /."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.dynamic import KINDS, SOURCES, build, emulated, native

GLIBC = ("pie", "i386-pie")
LIBRARY = ("-shared", "-fPIC")


@dataclass(frozen=True)
class Files:
    kind: str
    folder: Path

    @property
    def command(self) -> tuple[Path, Path]:
        return self.folder / "features", self.folder / "plugin.so"

    def object(self, name: str, source: str, *options: str) -> Path:
        return build(self.kind, SOURCES / source, self.folder / name, *LIBRARY, *options)


@pytest.fixture(scope="module", params=["pie", "no-pie", "i386-pie", "musl"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A program with a library beside it, a plugin, and a library to be loaded before all others."""
    made = Files(request.param, tmp_path_factory.mktemp("features"))
    library = made.object("libfeatures.so", "features_library.c")
    made.object("plugin.so", "features_library.c", "-DPLUGIN", "-mtls-dialect=gnu2", "-fno-plt")
    made.object("preload.so", "features_library.c", "-DPRELOAD")
    rpath = f"-Wl,-rpath,{made.folder}"
    build(made.kind, SOURCES / "features.c", made.folder / "features", str(library), rpath, "-ldl")
    return made


def same(files: Files, variables: Mapping[str, str], *command: str | Path) -> subprocess.CompletedProcess[bytes]:
    words = command or files.command
    expected, found = native(*words, variables=variables), emulated(*words, variables=variables)
    assert (found.stdout, found.returncode) == (expected.stdout, expected.returncode), found.stderr
    return found


def test_features(files: Files) -> None:
    """IFUNC, thread-local data in both dialects, a copied datum, constructors, dlopen, dlsym, dladdr, dlmopen, dl_iterate_phdr."""
    done = same(files, {})
    assert b"library 41 41 7 2\n" in done.stdout and b"plugin 42 43\n" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, value",
    [
        ("LD_BIND_NOW", "1"),
        ("LD_PRELOAD", "{}/preload.so"),
        ("LD_PRELOAD", "/nosuch.so"),
        ("LD_LIBRARY_PATH", "/nosuch:{}"),
        ("LD_WARN", "1"),
        ("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=512"),
    ],
    ids=lambda value: value.strip("{}/"),
)
def test_environment(files: Files, name: str, value: str) -> None:
    done = same(files, {name: value.format(files.folder)})
    assert (b"preloaded 41 41" in done.stdout) == ("preload.so" in value)


def linker(files: Files) -> str:
    """The program's interpreter."""
    found = re.search(rb"/lib[^\0]*/ld-[^\0]+", (files.folder / "features").read_bytes())
    assert found is not None
    return found[0].decode()


@pytest.mark.slow
def test_the_dynamic_linker_itself(files: Files) -> None:
    """`ld.so PROG`: a static PIE whose program lies where mmap puts it."""
    same(files, {}, linker(files), *files.command)
    same(files, {}, linker(files), "/nosuch")
    if files.kind != "musl":
        same(
            files,
            {},
            linker(files),
            "--library-path",
            "/nosuch",
            "--preload",
            str(files.folder / "preload.so"),
            *files.command,
        )


def lines(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What a dynamic linker says of itself, without process numbers and addresses."""
    return [re.sub(r"^ +\d+:|0x[0-9a-f]+", "", line) for line in done.stderr.decode().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["bindings", "libs", "files", "versions", "symbols"])
def test_debug(files: Files, what: str) -> None:
    """LD_DEBUG, without the system's vDSO; the C library is mapped elsewhere, so it is not told where."""
    if files.kind not in GLIBC:
        pytest.skip("of glibc")
    runs = [run(*files.command, variables={"LD_DEBUG": what}) for run in (native, emulated)]
    expected, found = ([line for line in lines(run) if "vdso" not in line and "linux-gate" not in line] for run in runs)
    if what == "libs":  # subdirectories of the processor's level, which has no AVX here
        expected, found = (
            [line for line in run if "hwcaps" not in line and "search path" not in line] for run in (expected, found)
        )
    assert found == expected and len(found) > 10


def test_audit(files: Files) -> None:
    if files.kind not in GLIBC:
        pytest.skip("of glibc")
    audit = files.object("audit.so", "audit.c")
    runs = [run(*files.command, variables={"LD_AUDIT": str(audit)}) for run in (native, emulated)]
    assert runs[1].stdout == runs[0].stdout and runs[1].stderr == runs[0].stderr
    assert b"audit: count by dlsym\n" in runs[1].stderr


def test_ldd(files: Files) -> None:
    """ldd(1) sets LD_TRACE_LOADED_OBJECTS; musl's dynamic linker answers when it is called ldd."""
    if files.kind == "musl":
        pytest.skip("of glibc")
    runs = [run(files.folder / "features", variables={"LD_TRACE_LOADED_OBJECTS": "1"}) for run in (native, emulated)]
    expected, found = (re.sub(rb"\(0x[0-9a-f]+\)", b"", run.stdout).splitlines() for run in runs)
    assert found == [line for line in expected if b"vdso" not in line and b"linux-gate" not in line]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_library_is_missing(kind: str, tmp_path: Path) -> None:
    """What the dynamic linker says, and its status, are the program's."""
    if not KINDS[kind][1]:
        pytest.skip("static")
    library = build(kind, SOURCES / "features_library.c", tmp_path / "libfeatures.so", *LIBRARY)
    program = build(kind, SOURCES / "features.c", tmp_path / "p", str(library), f"-Wl,-rpath,{tmp_path}", "-ldl")
    content = library.read_bytes()
    for damage in (
        None,
        b"",
        content[:100],
        b"\x7fELF" + bytes(2000),
        content[:4] + b"\3" + content[5:],
        content[:3000],
    ):
        library.unlink(missing_ok=True)
        if damage is not None:
            library.write_bytes(damage)
        expected, found = native(program, "x"), emulated(program, "x")
        status = 128 - expected.returncode if expected.returncode < 0 else expected.returncode
        assert (found.stdout, found.returncode) == (expected.stdout, status)
        assert status > 128 or found.stderr == expected.stderr
