"""Start-up: which libraries are mapped, in which order things run, and how it refuses what is wrong.

Natively and in the emulator, on both machines and schemes, with our linker and with others.
"""

import atexit
import functools
import os
import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.programs import build, run, source, sysroot
from support.tools import ARCHES, NATIVE, SCHEMES, SHARED, WAYS, native, require
from uselib.cli import main
from uselib.linker.formats import notes
from uselib.runtime.build import build_startup
from uselib.runtime.compiler import find_compiler
from uselib.runtime.sysroot import MACHINES

OUTER = """
#include <stdio.h>
int inner_value(void), outer_count = 10;
__attribute__((constructor)) static void begin(void) { printf("outer init %d\\n", inner_value()); }
__attribute__((destructor)) static void end(void) { printf("outer fini\\n"); }
int outer_value(void) { return inner_value() + outer_count; }
"""
INNER = """
#include <stdio.h>
#include <stdlib.h>
static int value;
static void registered(void) { printf("inner atexit\\n"); }
__attribute__((constructor)) static void begin(void) { value = 5; printf("inner init\\n"); atexit(registered); }
__attribute__((destructor)) static void end(void) { printf("inner fini\\n"); }
int inner_value(void) { return value; }
"""
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
int outer_value(void);
extern int outer_count;
static void registered(void) { printf("program atexit\\n"); }
static void early(int argc, char **argv) { printf("preinit %d\\n", argc); }
__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **) = early;
__attribute__((constructor(101))) static void first(void) { printf("program init 1\\n"); }
__attribute__((constructor)) static void begin(void) { printf("program init 2\\n"); }
__attribute__((destructor)) static void end(void) { printf("program fini\\n"); }
int main(void) { atexit(registered); outer_count = 100; printf("main %d\\n", outer_value()); return 7; }
"""
ORDER = """inner init
outer init 5
preinit 1
program init 1
program init 2
main 105
program atexit
inner atexit
program fini
outer fini
inner fini
"""


def library(
    directory: Path, arch: str, name: str, text: str, base: int, *options: str | Path, version: str = "1.0.0"
) -> Path:
    """Makes libNAME_s in `directory`; returns the target library."""
    directory.mkdir(exist_ok=True)
    code = source(directory / f"{name}.c", text)
    build(directory / f"{name}.o", arch, "uselib", "-w", "-O1", "-c", code)
    arguments = [
        "--name",
        name,
        "--version",
        version,
        "--text",
        hex(base),
        "-o",
        directory,
        *options,
        directory / f"{name}.o",
    ]
    assert main(["mkshlib", "-q", *map(str, arguments), str(sysroot(arch) / "lib" / "libc_s.a")]) == 0
    return directory / "shlib" / f"lib{name}_s.{version}"


@dataclass(frozen=True)
class Pair:
    """A program and two libraries, one of which needs the other."""

    directory: Path
    arch: str
    scheme: str
    program: Path
    outer: Path
    inner: Path

    def run(self, way: str, **keywords: object) -> subprocess.CompletedProcess[bytes]:
        keywords.setdefault("environment", {"LD_LIBRARY_PATH": str(self.directory / "shlib")})
        return run(way, self.program, **keywords)  # type: ignore[arg-type]


@pytest.fixture(params=[(a, s) for a in ARCHES for s in SHARED], ids=lambda p: "-".join(p))
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    return make_pair(tmp_path, *request.param)


def make_pair(directory: Path, arch: str, scheme: str) -> Pair:
    """A copy of the pair, which is built once: nothing in it depends on where it is."""
    made = built_pair(arch, scheme)
    shutil.copytree(made.directory, directory, dirs_exist_ok=True)
    inner, outer = directory / "shlib" / made.inner.name, directory / "shlib" / made.outer.name
    return Pair(directory, arch, scheme, directory / "program", outer, inner)


def whole_program(pair: Pair, lib: Path) -> list[str | Path]:
    """A linker's words for the program of a pair: output, start-up code, stub libraries."""
    first = [lib / f"crt1-{pair.scheme}.o", lib / "crti.o", pair.directory / "main.o"]
    libraries = ["-L", pair.directory / "lib", "-louter_s", "-L", lib, "-lc_s", lib / "libbuiltins.a"]
    return ["-o", pair.program, *first, *libraries, lib / "crtn.o"]


@functools.cache
def built_pair(arch: str, scheme: str) -> Pair:
    directory = Path(tempfile.mkdtemp(prefix="uselib-pair-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    inner = library(directory, arch, "inner", INNER, 0x61000000)
    outer = library(directory, arch, "outer", OUTER, 0x61400000, directory / "lib" / "libinner_s.a")
    program = build(
        directory / "program",
        arch,
        scheme,
        "-w",
        source(directory / "program.c", PROGRAM),
        "-L",
        directory / "lib",
        "-louter",
    )
    return Pair(directory, arch, scheme, program, outer, inner)


@pytest.mark.parametrize("way", WAYS)
def test_order(pair: Pair, way: str) -> None:
    """Dependencies first; the program's list does not name libinner_s, start-up finds it through libouter_s."""
    ran = pair.run(way)
    assert (ran.stdout.decode(), ran.stderr, ran.returncode) == (ORDER, b"", 7)


OTHER_LINKERS = {
    "ld.bfd": [],
    "ld.lld": [],
    "mold": ["--no-gc-sections"],
    "ld.bfd gc": ["--gc-sections"],
    "ld.lld gc": ["--gc-sections"],
}


@pytest.mark.parametrize("linker", OTHER_LINKERS)
def test_other_linkers(pair: Pair, linker: str) -> None:
    """Nothing but stub libraries and start-up files makes the program: any linker will do."""
    name = linker.split()[0]
    require(name)
    lib = sysroot(pair.arch) / "lib"
    build(pair.directory / "main.o", pair.arch, pair.scheme, "-w", "-c", pair.directory / "program.c")
    emulation = "elf_i386" if pair.arch == "i386" else "elf_x86_64"
    subprocess.run([name, "-m", emulation, "-static", *OTHER_LINKERS[linker], *whole_program(pair, lib)], check=True)
    ran = pair.run("native", environment={"LD_LIBRARY_PATH": f"{pair.directory}/shlib:{sysroot(pair.arch)}/shlib"})
    assert (ran.stdout.decode(), ran.stderr, ran.returncode) == (ORDER, b"", 7)


# -- where libraries are looked for ------------------------------------------------------------------------------------


def test_search(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "x86_64", "mmap")
    other = tmp_path / "other"
    other.mkdir()
    ran = pair.run("native", environment={})
    missing = f"{sysroot('x86_64')}/shlib/libouter_s.1.0.0"
    assert ran.stderr.decode() == f"{pair.program}: can't load library '{missing}'\n\tNo such library.\n"
    assert ran.returncode == 128
    for path in (f"{other}:{tmp_path}/shlib", f"/nowhere::{tmp_path}/shlib/", f"{tmp_path}/program:{tmp_path}/shlib"):
        assert pair.run("native", environment={"LD_LIBRARY_PATH": path}).returncode == 7, path
    ran = pair.run("native", environment={"LD_LIBRARY_PATH": ""}, cwd=tmp_path / "shlib")  # empty: not the directory
    assert ran.returncode == 128
    ran = pair.run("native", environment={"LD_LIBRARY_PATH": ":"}, cwd=tmp_path / "shlib")  # an empty entry is
    assert ran.returncode == 7
    build(
        tmp_path / "recorded",
        "x86_64",
        "mmap",
        "-w",
        tmp_path / "program.c",
        "-L",
        tmp_path / "lib",
        "-louter",
        f"-Wl,-rpath,{tmp_path}/shlib",
    )
    assert run("native", tmp_path / "recorded").returncode == 7
    assert run("native", tmp_path / "recorded", environment={"LD_LIBRARY_PATH": str(other)}).returncode == 7


def test_secure_mode_ignores_the_environment(tmp_path: Path) -> None:
    """A set-user-ID program must not be led to somebody's libraries (AT_SECURE)."""
    if os.geteuid() != 0 or not NATIVE:
        pytest.skip("only root can make a set-user-ID program of another user")
    pair = make_pair(tmp_path, "x86_64", "mmap")
    os.chown(pair.program, 65534, 65534)
    pair.program.chmod(0o4755)
    for directory in (tmp_path, *tmp_path.parents):
        if os.stat(directory).st_mode & 0o5 != 0o5:
            os.chmod(directory, os.stat(directory).st_mode | 0o5) if directory != Path("/") else None
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("the file system has no set-user-ID programs")
    ran = pair.run("native")
    assert b"No such library." in ran.stderr and ran.returncode == 128


# -- refusals ----------------------------------------------------------------------------------------------------------


def patch(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def note_field(pair: Pair, offset: int, data: bytes) -> None:
    """Overwrites a field of libouter_s's NT_LIBRARY descriptor (formats/notes.py)."""
    content = pair.outer.read_bytes()
    at = content.index(struct.pack("<III", 7, 0, notes.NT_LIBRARY)[:4], 52 if pair.arch == "i386" else 64)
    while content[at + 12 : at + 19] != notes.NOTE_NAME:
        at = content.index(struct.pack("<I", 7), at + 1)
    patch(pair.outer, at + 20 + offset, data)


def other_machine(pair: Pair) -> None:
    arch = "i386" if pair.arch == "x86_64" else "x86_64"
    made = library(pair.directory / "other", arch, "outer", OUTER.replace("inner_value()", "5"), 0x61400000)
    shutil.copy(made, pair.outer)


def wrong_base(pair: Pair) -> None:
    made = library(pair.directory / "other", pair.arch, "outer", OUTER.replace("inner_value()", "5"), 0x61800000)
    shutil.copy(made, pair.outer)


def another_version(version: str) -> Callable[[Pair], None]:
    def change(pair: Pair) -> None:
        text = OUTER.replace("inner_value()", "5")
        made = library(pair.directory / "other", pair.arch, "outer", text, 0x61400000, version=version)
        shutil.copy(made, pair.outer)

    return change


def two_names(pair: Pair) -> None:
    shutil.copy(pair.inner, pair.outer)


REFUSALS: dict[str, tuple[Callable[[Pair], object], str]] = {
    "missing": (lambda p: p.outer.unlink(), "No such library."),
    "missing dependency": (lambda p: p.inner.unlink(), "No such library."),
    "empty": (lambda p: p.outer.write_bytes(b""), "Exec format error."),
    "text": (lambda p: p.outer.write_bytes(b"not a library\n"), "Exec format error."),
    "a program": (lambda p: shutil.copy(p.program, p.outer), "Exec format error: not a shared library."),
    "cut in the header": (lambda p: os.truncate(p.outer, 60), "Exec format error: not a shared library."),
    "cut in the note": (lambda p: os.truncate(p.outer, 200), "File is shorter than its header says."),
    "short": (lambda p: os.truncate(p.outer, 5000), "File is shorter than its header says."),
    "other machine": (other_machine, "Wrong machine."),
    "another library": (two_names, "Exec format error: another library has this name."),
    "other base": (wrong_base, "Wrong address: the library was made for another base. (is 1.0.0, needs 1.0.0)"),
    "other major": (another_version("2.0.0"), "Incompatible version. (is 2.0.0, needs 1.0.0)"),
    "fewer slots": (
        lambda p: note_field(p, 52, b"\0\0\0\0"),
        "Incompatible version: it has fewer functions. (is 1.0.0, needs 1.0.0)",
    ),
    "newer format": (lambda p: note_field(p, 0, b"\2\0\0\0"), "Exec format error: not a shared library."),
    "many segments": (lambda p: note_field(p, 80, b"\xff\xff\xff\x7f"), "Exec format error: not a shared library."),
    "far strings": (lambda p: note_field(p, 84, b"\xff\xff\xff\x7f"), "Exec format error: not a shared library."),
    "many dependencies": (lambda p: note_field(p, 92, b"\xff\xff\xff\x7f"), "Exec format error: not a shared library."),
    "too large": (lambda p: note_field(p, 24, b"\0\0\0\0\xff\xff\xff\xff"), "Exec format error."),
    "segment outside": (lambda p: note_field(p, 128, b"\0\0\0\x10"), "Exec format error."),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", REFUSALS)
def test_refusal(what: str, way: str, pair: Pair) -> None:
    if way == "emulated" and (pair.arch == "i386") is (pair.scheme == "mmap"):
        pytest.skip("the emulator runs each refusal once in each scheme and on each machine")
    change, reason = REFUSALS[what]
    change(pair)
    ran = pair.run(way)
    name = pair.inner if what == "missing dependency" else pair.outer
    if what.startswith("missing"):  # the last place that was tried
        name = sysroot(pair.arch) / "shlib" / name.name
    assert ran.stdout == b""
    shown = ran.stderr.decode()
    assert shown == f"{pair.program}: can't load library '{name}'\n\t{reason}\n"
    assert ran.returncode == 128


# Fields of NT_LIBRARY that only the linker can get right: addresses of code and arrays, the number of dependencies.
UNCHECKED = (*range(32, 40), *range(56, 80), *range(92, 96))


@native
def test_flipped_bits(pair: Pair) -> None:
    """Whatever bit of a library's headers is wrong, start-up refuses it or the program runs; it never crashes."""
    good = pair.outer.read_bytes()
    descriptor = good.index(notes.NOTE_NAME) + 8
    flips = random.Random(3)
    for _ in range(250):
        position, bit = flips.randrange(0, descriptor + 128), flips.randrange(8)
        if position - descriptor in UNCHECKED:
            continue
        patch(pair.outer, 0, good)
        patch(pair.outer, position, bytes([good[position] ^ 1 << bit]))
        ran = pair.run("native")
        assert ran.returncode in (7, 128), (position, bit, ran.returncode)
        assert ran.stdout.decode() == (ORDER if ran.returncode == 7 else "")


@pytest.mark.parametrize("version", ["1.0.7", "1.4.0"])
def test_newer_versions_serve(version: str, pair: Pair) -> None:
    """Installed under the name that the program was linked with, as Linux did it with symbolic links."""
    another_version(version)(pair)
    ran = pair.run("native")
    assert b"main 105\n" in ran.stdout and ran.returncode == 7


def test_lower_minor_is_refused(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "i386", "mmap")
    library(tmp_path, "i386", "outer", OUTER, 0x61400000, tmp_path / "lib" / "libinner_s.a", version="1.2.0")
    build(pair.program, "i386", "mmap", "-w", tmp_path / "program.c", "-L", tmp_path / "lib", "-louter")
    shutil.copy(pair.outer, tmp_path / "shlib" / "libouter_s.1.2.0")
    ran = pair.run("native")
    assert b"\n\tIncompatible version. (is 1.0.0, needs 1.2.0)\n" in ran.stderr and ran.returncode == 128


def test_occupied_address(pair: Pair) -> None:
    """A library is never mapped over something: here the program's own data lies where libouter_s belongs."""
    build(
        pair.program,
        pair.arch,
        pair.scheme,
        "-w",
        pair.directory / "program.c",
        "-L",
        pair.directory / "lib",
        "-louter",
    )
    lib = sysroot(pair.arch) / "lib"
    build(pair.directory / "main.o", pair.arch, pair.scheme, "-w", "-c", pair.directory / "program.c")
    require("ld.bfd")
    emulation = "elf_i386" if pair.arch == "i386" else "elf_x86_64"
    subprocess.run(["ld.bfd", "-m", emulation, "-static", "-Tdata=0x61400000", *whole_program(pair, lib)], check=True)
    ran = pair.run("native", environment={"LD_LIBRARY_PATH": f"{pair.directory}/shlib:{sysroot(pair.arch)}/shlib"})
    assert ran.stderr.decode().endswith("\n\tAddress range is occupied.\n") and ran.returncode == 128


def test_mmap_layout_is_refused_by_scheme_uselib(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "i386", "uselib")
    library(tmp_path, "i386", "outer", OUTER, 0x61400000, tmp_path / "lib" / "libinner_s.a", "--scheme", "mmap")
    ran = pair.run("native")
    assert b"\n\tExec format error.\n" in ran.stderr and ran.returncode == 128


@pytest.mark.parametrize("way", WAYS)
def test_damaged_list(arch: str, way: str, tmp_path: Path) -> None:
    """`.lib` without the empty name at its end: refused, and nothing behind it is read."""
    pair = make_pair(tmp_path, arch, "mmap")
    content = pair.program.read_bytes()
    at = content.index(b"libc_s.1.0.0\0\0" if b"libc_s.1.0.0\0\0" in content else b"libouter_s.1.0.0\0\0")
    end = content.index(b"\0\0", at)
    patch(pair.program, end, b"xx")
    ran = pair.run(way)
    assert ran.stderr.decode().endswith(": can't load library ''\n\tCorrupt library list.\n") and ran.returncode == 128


def test_too_many_libraries(tmp_path: Path) -> None:
    """64 libraries are the limit; the list of a program is data, so a program with 70 names is easily made."""
    names = b"".join(b"lib%02d_s.1.0.0\0" % n for n in range(70))
    assembly = '.section .lib, "a", @progbits\n' + "".join(f'.asciz "lib{n:02d}_s.1.0.0"\n' for n in range(70))
    assembly += '.section .note.uselib, "a", @note\n'
    for n in range(70):
        name = f"lib{n:02d}_s"
        assembly += (
            f'.balign 4\n.long 7, {64 + len(name) + 1}, 2\n.asciz "uselib"\n.balign 4\n.long 1, 0\n.short 1, 0, 0, 62\n'
        )
        assembly += f'.quad {0x62000000 + n * 0x100000}, 0x10000\n.zero 32\n.asciz "{name}"\n'
    code = source(tmp_path / "many.s", assembly)
    program = build(
        tmp_path / "many", "x86_64", "mmap", code, source(tmp_path / "main.c", "int main(void) { return 0; }\n")
    )
    assert names in program.read_bytes()
    ran = run("native", program)
    assert b"\n\tToo many libraries.\n" in ran.stderr and ran.returncode == 128


@pytest.mark.parametrize("way", WAYS)
def test_list_of_libraries(way: str, pair: Pair) -> None:
    """Started without even a name the program prints what it needs and does not run (ldd of Linux a.out)."""
    text = (
        "#include <unistd.h>\nint main(int c, char **v) { char *none[] = {0}; execve(v[1], none, none); return 1; }\n"
    )
    starter = build(pair.directory / "starter", pair.arch, "static", source(pair.directory / "s.c", text))
    ran = run(way, starter, "./program")
    assert ran.stdout == b"\tlibouter_s.1.0.0 (1.0.0)\n\tlibc_s.1.0.0 (1.0.0)\n"
    assert (ran.stderr, ran.returncode) == (b"", 0)


# -- interposition -----------------------------------------------------------------------------------------------------

MALLOC = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char arena[1 << 20] __attribute__((aligned(16)));
static size_t used;
static int allocated, freed, foreign;
void *malloc(size_t n) {
    size_t *p = (size_t *)(arena + used);
    used += (n + 31) & ~(size_t)15;
    if (used > sizeof arena) return 0;
    allocated++;
    p[0] = n;
    return (char *)p + 16;
}
void free(void *p) {
    if (!p) return;
    if ((char *)p < arena || (char *)p >= arena + sizeof arena) foreign++;
    else freed++;
}
#ifdef ALL
void *calloc(size_t n, size_t m) { void *p = malloc(n * m); return p ? memset(p, 0, n * m) : 0; }
void *realloc(void *p, size_t n) {
    void *q = malloc(n);
    if (p && q) { size_t old = *(size_t *)((char *)p - 16); memcpy(q, p, old < n ? old : n); free(p); }
    return q;
}
#endif
int main(void) {
    int before = allocated;
    char *copy = strdup("by the library");
    FILE *f;
    printf("strdup %d\\n", allocated - before);
    free(copy);
    before = allocated;
    f = fopen("/dev/null", "w");
    printf("fopen %d\\n", allocated > before);
    before = freed;
    fclose(f);
    printf("fclose %d\\n", freed > before);
    { char *p = calloc(100, 10); int sum = 0; for (int i = 0; i < 1000; i++) sum += p[i]; printf("calloc %d\\n", sum); free(p); }
    printf("%d\\n", foreign);
    return 0;
}
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("libc", ["mini", "musl"])
@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize("options", [["-DALL"], []], ids=["all", "two"])
def test_interposed_malloc(options: list[str], scheme: str, arch: str, libc: str, way: str, tmp_path: Path) -> None:
    """The library's own calls of malloc and free reach the program's definitions."""
    if way == "emulated" and (arch == "i386") is (scheme == "mmap"):
        pytest.skip("the emulator runs each in one scheme only")
    code = source(tmp_path / "m.c", MALLOC)
    program = build(tmp_path / "m", arch, scheme, "-O1", "-fno-builtin", *options, code, libc=libc)
    ran = run(way, program)
    assert ran.stdout.decode() == "strdup 1\nfopen 1\nfclose 1\ncalloc 0\n0\n"
    assert (ran.stderr, ran.returncode) == (b"", 0)


TLS = """
#include <errno.h>
#include <stdio.h>
#include <string.h>
__thread int counted = 40;
static __thread char text[100];
static __thread double aligned __attribute__((aligned(64)));
int main(void) {
    if ((unsigned long)&aligned % 64 || aligned != 0) return 1;
    counted += 2; strcpy(text, "thread"); errno = 3;
    printf("%d %s %d\\n", counted, text, errno);
    return 0;
}
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("libc", ["mini", "musl"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_thread_local_data_of_the_program(arch: str, scheme: str, libc: str, way: str, tmp_path: Path) -> None:
    """A C library in a shared library finds the program's PT_TLS by AT_PHDR."""
    program = build(tmp_path / "t", arch, scheme, source(tmp_path / "t.c", TLS), libc=libc)
    ran = run(way, program)
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"42 thread 3\n", b"", 0)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_start_up_calls_nothing(arch: str, compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler may put a call of memcpy or the like into crt1: no library is mapped yet."""
    if shutil.which(compiler) is None or shutil.which("nm") is None:
        pytest.skip(f"no {compiler} or nm")
    monkeypatch.setenv("USELIB_CC", compiler)
    build_startup(find_compiler(), MACHINES[arch], tmp_path)
    for scheme in ("uselib", "mmap", "static"):
        listed = subprocess.run(
            ["nm", "-u", tmp_path / f"crt1-{scheme}.o"], capture_output=True, text=True, check=True
        ).stdout
        strong = {line.split()[1] for line in listed.splitlines() if line.split()[0] == "U"}
        assert strong == {"main", "__libc_start_main"} | ({"atexit"} if scheme != "static" else set())
