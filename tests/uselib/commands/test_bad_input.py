"""Bad input, whole commands: each case one clear line, the right exit status, and nothing half-written.

One table: what the command is given, a part of the line it must print, and its status. Readers, start-up and mkshlib have
tables of their own beside their tests (test_mkshlib_errors.py, test_runtime_startup.py, test_run_faults.py).
"""

from __future__ import annotations

import functools
import io
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from support.paths import ROOT
from support.programs import sysroot
from support.tools import ARCHES, needs
from uselib.linker.formats import notes

pytestmark = needs("gcc")

LIBRARY = """
int counter = 3; static int table[100];
int inc(int x) { table[x & 63]++; return counter += x; }
int twice(int x) { return inc(x) + inc(x); }
"""
PROGRAM = """
int inc(int), twice(int);
static int deep(int n) { volatile char b[4000]; b[0] = n; return deep(n + 1) + b[0]; }
int main(int c, char **v)
{
	switch (c > 1 ? v[1][0] : 0) {
	case 'e': ((void (*)(void))0x64000800)(); break;	/* slot 1, empty */
	case 'p': ((void (*)(void))0x64000803)(); break;	/* its padding */
	case 'u': ((void (*)(void))0x70000000)(); break;
	case 's': return deep(0);
	case 'i': for (;;); break;
	case 'w': *(volatile int *)0x64000808 = 1; break;	/* text of the library */
	}
	return inc(2) - 5;
}
"""
SPECIFICATION = "#name k\n#version 1.2.0\n#address .text 0x64000000\n#branch\n inc 2\n twice 3\n .empty_slot 1 later\n"


OTHER = {"i386": "x86_64", "x86_64": "i386"}


def run(*words: object, cwd: Path, limit: int = 0, around: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs the command. limit: no file may become larger (a full disk); around: a command that starts it."""

    def before() -> None:
        if limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("LD_LIBRARY_PATH", None)
    return subprocess.run(
        [*around, sys.executable, "-m", "uselib.cli", *map(str, words)],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        preexec_fn=before,
    )


@dataclass(frozen=True)
class Shop:
    """A library with an empty slot, its programs, and files to damage, for one machine."""

    path: Path
    arch: str

    @property
    def sysroot(self) -> Path:
        return sysroot(self.arch)

    @property
    def library(self) -> Path:
        return self.path / "shlib" / "libk_s.1.2.0"

    def fill(self, word: str, cwd: Path) -> str:
        """{name} in a command: a file of the shop; {sr} the sysroot, {cwd} the directory of the case."""
        return word.format(
            sr=self.sysroot,
            shop=self.path,
            lib=self.library,
            stub=self.path / "lib/libk_s.a",
            cwd=cwd,
            obj=self.path / "lib.o",
            main=self.path / "main.o",
            uselib=self.path / "p-uselib",
            mmap=self.path / "p-mmap",
            crt=self.sysroot / "lib/crt1-mmap.o",
            path=f"{self.path}/shlib:{self.sysroot}/shlib",
            here=f"{cwd}:{self.sysroot}/shlib",
            other=OTHER[self.arch],
            otherobj=self.path.parent / OTHER[self.arch] / "lib.o",
        )


@functools.cache
def shop(arch: str, root: Path) -> Shop:
    made = Shop(root / arch, arch)
    made.path.mkdir()
    for name, text in (("lib.c", LIBRARY), ("main.c", PROGRAM), ("k.spec", SPECIFICATION)):
        (made.path / name).write_text(text)
    cc = ("cc", "--sysroot", made.sysroot, "-w")
    commands: list[tuple[object, ...]] = [
        (*cc, "-c", "-fdata-sections", "lib.c"),
        (*cc, "-c", "main.c"),
        ("mkshlib", "-q", "-s", "k.spec", "-o", ".", "lib.o"),
        *((*cc, "--scheme", scheme, "main.o", "-Llib", "-lk", "-o", f"p-{scheme}") for scheme in ("uselib", "mmap")),
    ]
    for command in commands:
        done = run(*command, cwd=made.path)
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("bad")
    shop.cache_clear()


# -- ways to damage a copy of a file -----------------------------------------------------------------------------------

Change = Callable[[bytes], bytes]


def cut(size: int) -> Change:
    return lambda data: data[:size]


def put(offset: int, value: bytes) -> Change:
    return lambda data: data[:offset] + value + data[offset + len(value) :]


def unterminated(data: bytes) -> bytes:
    """`.lib` without the empty name at its end."""
    at = data.index(b"libk_s.1.2.0\0")
    end = data.index(b"\0\0", at)
    return put(end, b"xx")(data)


def version_2(data: bytes) -> bytes:
    """NT_LIBRARY with another major version."""
    at = data.index(notes.NOTE_NAME) + 8
    assert struct.unpack_from("<HHH", data, at + 8) == (1, 2, 0)
    return put(at + 8, struct.pack("<H", 2))(data)


def other_machine(data: bytes) -> bytes:
    return put(18, b"\x03\0" if data[18:20] == b"\x3e\0" else b"\x3e\0")(data)


def far_symbol(data: bytes) -> bytes:
    """`counter` with a value near the end of the address space."""
    word, row, value = (4, 16, 4) if data[4] == 1 else (8, 24, 8)
    table = ELFFile(io.BytesIO(data)).get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    index = next(i for i, s in enumerate(table.iter_symbols()) if s.name == "counter")
    return put(table["sh_offset"] + index * row + value, b"\xf0" + b"\xff" * (word - 1))(data)


@dataclass(frozen=True)
class Case:
    """A command with {names} (Shop.fill), what it says, its status; `source` damaged by `change` becomes cwd/`name`."""

    what: str
    command: str
    says: str
    status: int = 1
    source: str = ""
    change: Change = bytes
    name: str = "bad"


MAKE = "mkshlib -q --name z --version 1.0.0 --text 0x65000000 -o {cwd}/out"
RUN = "run --sysroot {sr} --library-path {path} --max-seconds 20"
HERE = "run --sysroot {sr} --library-path {here}"

CASES = [
    # files that are none
    *(
        Case(f"{kind}: {command.split()[0]}", f"{command} {name}", says, status, name=kind, source=source)
        for kind, name, source in (
            ("empty", "empty", "-"),
            ("fifo", "fifo", ""),
            ("dir", "dir", ""),
            ("zero", "/dev/zero", ""),
        )
        for command, says, status in (
            ("ld -o {cwd}/out", f"uselib: {name}: ", 1),
            (MAKE, f"uselib: {name}: ", 1),
            ("inspect", f"uselib: {name}: ", 1),
            ("run", f"uselib: {name}: Permission denied", 1),
            ("cc --sysroot {sr} -o {cwd}/out", f"uselib: {name}: ", 1),
        )
    ),
    Case("registry is a device", "map --file /dev/zero list", "/dev/zero: is not a regular file"),
    Case("specification is a device", "mkshlib -s /dev/zero -o {cwd}/out {obj}", "/dev/zero: is not a regular file"),
    Case("sysroot is none", "cc --sysroot {shop} -o {cwd}/out {main}", "is not a sysroot"),
    Case("control characters in names", "ld -o {cwd}/out a\nb\x1b[31m", "uselib: a\\x0ab\\x1b[31m: cannot be read"),
    Case("no such command", "no\nthing", "uselib: no\\x0athing: no such command", 2),
    # damaged files
    Case("object cut: ld", "ld -o {cwd}/out bad", "uselib: bad: truncated", source="{obj}", change=cut(200)),
    Case("object cut: mkshlib", MAKE + " bad", "uselib: bad: truncated", source="{obj}", change=cut(200)),
    Case(
        "symbol outside its section",
        MAKE + " bad",
        "bad: counter: lies outside its section",
        source="{obj}",
        change=far_symbol,
    ),
    Case("stub cut: ld", "ld -o {cwd}/out {main} bad", "uselib: bad", source="{stub}", change=cut(300)),
    Case("library cut: inspect", "inspect bad", "uselib: bad: ", source="{lib}", change=cut(300)),
    Case(
        "library cut: map", "map --file m check bad", "uselib: m: no such registry", 2, source="{lib}", change=cut(300)
    ),
    Case("program cut: run", "run bad", "uselib: bad: ", source="{mmap}", change=cut(100)),
    Case("huge section table", "inspect bad", "uselib: bad: ", source="{lib}", change=put(48, b"\xff" * 12)),
    Case("huge segment table", "run bad", "uselib: bad: ", source="{mmap}", change=put(44, b"\xff" * 14)),
    # the wrong thing
    Case(
        "object of another machine: ld",
        "ld -o {cwd}/out {main} {otherobj}",
        "lib.o: an object for {other} in a link for",
    ),
    Case(
        "object of another machine: mkshlib", MAKE + " {obj} {otherobj}", "lib.o: an object for {other} in a link for"
    ),
    Case("library as program", "run {lib}", "is a library; run a program that was linked with it"),
    Case("library as input", "ld -o {cwd}/out {main} {lib}", "libk_s.1.2.0: "),
    Case(
        "missing -l",
        "ld -o {cwd}/out {main} -lnothing",
        "-lnothing: no libnothing.so or libnothing.a in the library directories",
    ),
    Case("undefined symbol", "ld -e main -o {cwd}/out {main}", "main.o: undefined symbol: inc"),
    Case(
        "program over library",
        "ld --scheme mmap -o {cwd}/out --image-base 0x64000000 {crt} {main} {stub} -L{sr}/lib -lc "
        "{sr}/lib/libbuiltins.a {sr}/lib/crtn.o",
        "overlaps libk_s.1.2.0 at 0x64000000",
    ),
    Case(
        "library over library",
        "mkshlib -q --name z --version 1.0.0 --text 0x64001000 -o {cwd}/out {main} {stub}",
        "overlaps libk_s.1.2.0",
    ),
    Case("output is a directory", "ld -e main -o {cwd} {obj}", "cannot be written: Is a directory"),
    Case("output with a slash", "ld -e inc -o {cwd}/out/ {obj}", "out/: cannot be written: Is a directory"),
    Case(
        "output to a full device",
        "ld -e inc -o /dev/full {obj}",
        "/dev/full: cannot be written: No space left on device",
    ),
    # libraries at start-up
    *(
        Case(
            f"{what}: {scheme}",
            f"{HERE} {{{scheme}}}",
            says,
            128,
            "{lib}" if change is not None else "",
            change or bytes,
            "libk_s.1.2.0",
        )
        for scheme in ("uselib", "mmap")
        for what, change, says in (
            ("missing", None, "/shlib/libk_s.1.2.0'\n\tNo such library.\n"),
            ("empty", cut(0), "\n\tExec format error."),
            ("short", cut(5000), "\n\tFile is shorter than its header says."),
            ("machine", other_machine, "\n\tWrong machine."),
            ("version", version_2, "\n\tIncompatible version. (is 2.2.0, needs 1.2.0)"),
        )
    ),
    *(
        Case(f"list without end: {s}", RUN + " bad", "\n\tCorrupt library list.", 128, f"{{{s}}}", unterminated)
        for s in ("uselib", "mmap")
    ),
    # faults and limits
    Case(
        "empty slot",
        RUN + " {mmap} e",
        "killed by SIGILL: call of empty slot 1 of libk_s 1.2.0 (later), called from main+",
        132,
    ),
    Case(
        "padding",
        RUN + " {uselib} p",
        "killed by SIGTRAP: call of empty slot 1 of libk_s 1.2.0 (later), called from main+",
        133,
    ),
    Case(
        "unmapped", RUN + " {mmap} u", "killed by SIGSEGV: jump to unmapped address 0x70000000, called from main+", 139
    ),
    Case("stack", RUN + " {uselib} s", "killed by SIGSEGV: stack overflow at deep+", 139),
    Case(
        "text of a library", RUN + " {mmap} w", "killed by SIGSEGV: write to protected address 0x64000808 at main+", 139
    ),
    Case(
        "instructions",
        RUN + " --max-instructions 1M {mmap} i",
        "ended: the limit of 1000000 instructions is used up",
        137,
    ),
    Case("seconds", RUN + " --max-seconds 0.2 {mmap} i", "ended: the limit of 0.2 s is used up", 137),
    Case("few files", RUN + " --max-files 2 {mmap}", "--max-files: `2` is not a value for N", 2),
    Case("trace: empty slot", "trace" + RUN[3:] + " {uselib} e", "call of empty slot 1 of libk_s 1.2.0 (later)", 132),
    Case("trace: unmapped", "trace" + RUN[3:] + " {mmap} u", "jump to unmapped address 0x70000000", 139),
]


BOTH = [(case, arch) for case in CASES for arch in ARCHES if arch == "x86_64" or case.source or case.status >= 128]


def prepare(case: Case, made: Shop, folder: Path) -> None:
    """Makes the file that a case reads."""
    kind = case.what.split(":")[0]
    if kind == "fifo":
        os.mkfifo(folder / "fifo")
    elif kind == "dir":
        (folder / "dir").mkdir()
    elif case.source == "-":
        (folder / case.name).touch()
    elif case.source:
        damaged = folder / case.name
        damaged.write_bytes(case.change(Path(made.fill(case.source, folder)).read_bytes()))
        damaged.chmod(0o755)


@pytest.mark.parametrize(("case", "arch"), BOTH, ids=[f"{case.what}-{arch}" for case, arch in BOTH])
def test_case(case: Case, arch: str, root: Path, tmp_path: Path) -> None:
    made = shop(arch, root)
    if "{other" in case.command:
        shop(OTHER[arch], root)
    prepare(case, made, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = run(*(made.fill(word, tmp_path) for word in case.command.split(" ")), cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert made.fill(case.says, tmp_path) in done.stderr
    assert done.returncode == case.status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    if case.command.startswith("trace"):
        assert sum(line.startswith("uselib: ") for line in lines) == 1
    elif case.status == 128:
        assert len(lines) == 2  # the historical message has two
    else:
        assert len([line for line in lines if not line.startswith("  >>> ")]) in (1, 2)
        assert all(line.startswith(("uselib: ", "  >>> ")) for line in lines)
    after = [path for path in sorted(tmp_path.rglob("*")) if not path.is_dir() or path in before]
    assert after == before  # directories may be left, files not


# -- outputs that cannot be written ------------------------------------------------------------------------------------

WRITERS = {
    "ld": "ld -e inc -o {cwd}/out {obj} {crt} --unresolved-symbols=ignore-all",
    "cc": "cc --sysroot {sr} --scheme mmap -o {cwd}/out {main} {stub}",
    "mkshlib": MAKE.replace("{cwd}/out", "{cwd}") + " {obj}",
    "sysroot": "sysroot {cwd}/sr",
    "map": "map --file {cwd}/shlib.map add libz_s 0x400000",
}


@pytest.mark.parametrize("command", ["ld", "cc", "mkshlib", "sysroot"])
def test_full_disk(command: str, root: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it."""
    made = shop("x86_64", root)
    done = run(
        *(made.fill(word, tmp_path) for word in WRITERS[command].split()),
        cwd=tmp_path,
        limit=70_000 if command == "sysroot" else 1024,  # crt1 as assembly is smaller, the C library larger
    )
    assert done.returncode == 1, done.stderr
    assert "uselib: " in done.stderr and "File too large" in done.stderr and "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("command", WRITERS)
def test_read_only_directory(command: str, root: Path, tmp_path: Path) -> None:
    made = shop("x86_64", root)
    there = tmp_path / "there"
    there.mkdir(0o555)
    around: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root without the capability that lets it write anywhere
        if shutil.which("setpriv") is None:
            pytest.skip("root may write anywhere, and there is no setpriv to change that")
        around = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
    done = run(*(made.fill(word, there) for word in WRITERS[command].split()), cwd=tmp_path, around=around)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("uselib: ") and "Permission denied" in done.stderr
    assert not list(there.iterdir())


# -- random damage -----------------------------------------------------------------------------------------------------


def damage(data: bytes, chance: random.Random) -> bytes:
    """Cuts, flips bits, or overwrites a field with a value that readers trip over; mostly in the headers."""
    kind = chance.random()
    if kind < 0.2:
        return data[: chance.randrange(len(data))]
    changed = bytearray(data)
    span = min(len(data) - 8, chance.choice((64, 200, 0x300, len(data))))
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(span)
        if kind < 0.6:
            changed[at] ^= 1 << chance.randrange(8)
        else:
            size = chance.choice((2, 4, 8))
            at -= at % size
            value = chance.choice((0, 1, (1 << 8 * size) - 1, 1 << 8 * size - 1, (1 << 8 * size - 1) - 1))
            changed[at : at + size] = value.to_bytes(size, "little")
    return bytes(changed)


DAMAGED = {
    "ld": ("{obj}", "ld -e inc -o {cwd}/out bad"),
    "mkshlib": ("{obj}", MAKE + " bad"),
    "stub": ("{stub}", "cc --sysroot {sr} --scheme mmap -o {cwd}/out {main} bad"),
    "inspect": ("{lib}", "inspect bad"),
    "run uselib": ("{uselib}", RUN + " --max-memory 200 bad"),
    "run mmap": ("{mmap}", RUN + " --max-memory 200 bad"),
    "library": ("{lib}", HERE + " --max-memory 200 --max-seconds 5 {mmap}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", DAMAGED)
def test_random_damage(what: str, arch: str, root: Path, tmp_path: Path) -> None:
    """Whatever is wrong with a file: success, or lines for the user and no output; never a traceback or a hang."""
    made = shop(arch, root)
    chance = random.Random(f"{what} {arch}")
    source, command = DAMAGED[what]
    good = Path(made.fill(source, tmp_path)).read_bytes()
    bad = tmp_path / ("libk_s.1.2.0" if what == "library" else "bad")
    for _ in range(40):
        bad.write_bytes(damage(good, chance))
        bad.chmod(0o755)
        done = run(*(made.fill(word, tmp_path) for word in command.split(" ")), cwd=tmp_path)
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
        assert done.returncode >= 0
        if done.returncode == 1 and what not in ("run uselib", "run mmap", "library"):
            assert done.stderr.startswith("uselib: ")
            assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != bad]
        for path in tmp_path.rglob("*"):
            if path.is_file() and path != bad:
                path.unlink()
