"""Small a.out programs and libraries, assembled or compiled here, for tests that need no genuine files."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from support.command import Ran, uselib
from support.paths import ROOT
from support.tools import PLAIN_C, require
from uselib.linker.formats import ar
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout.format import (
    N_ABS,
    N_DATA,
    N_EXT,
    N_TEXT,
    Aout,
    AoutRelocation,
    AoutSymbol,
    ExecHeader,
    Magic,
)


@functools.cache
def assembler():
    keystone = pytest.importorskip("keystone", reason="needs keystone-engine")
    return keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_32)


def assemble(text: str, address: int = 0) -> bytes:
    """i386 assembler source, Intel syntax, a line or `;` each."""
    code, _ = assembler().asm(text, address)
    return bytes(code)


def program(path: Path, text: bytes, data: bytes = b"", magic: Magic = Magic.ZMAGIC, **fields: int) -> Path:
    """Writes an executable. Text is padded to whole pages where the format maps pages."""
    if magic is not Magic.OMAGIC:
        text = text.ljust(-(-max(len(text), 1) // 4096) * 4096, b"\0")
        data = data.ljust(-(-len(data) // 4096) * 4096, b"\0")
    header = ExecHeader(magic, 0, 0, **fields)
    path.write_bytes(aout.encode(Aout(header, text, data)))
    path.chmod(0o755)
    return path


def library(path: Path, base: int, functions: list[bytes], version: int = 0x4012F, **fields: int) -> Path:
    """Writes a library: version word, a slot for each function, the functions."""
    table = bytearray(version.to_bytes(4, "little") + bytes(4))
    at, body = 8 * (len(functions) + 1), bytearray()
    for number, code in enumerate(functions, 1):
        table += b"\xe9" + (at + len(body) - 8 * number - 5).to_bytes(4, "little", signed=True) + bytes(3)
        body += code
    return program(path, bytes(table + body), entry=base, **fields)


def stub_archive(functions: dict[str, int], base: int = 0x60000000) -> bytes:
    """A stub archive as the DLL tools made it: the describing member, then one with absolute symbols."""
    names = b"/libx.so.1\0DLL Jump 1.2\0\0"
    entry = len(names)
    words = (0, names.index(b"DLL"), base, 1 << 16 | 203)
    text = names + b"\0" * (-len(names) % 4)
    entry = len(text)
    first = Aout(
        ExecHeader(Magic.OMAGIC, 0, 0),
        text,
        b"".join(word.to_bytes(4, "little") for word in words),
        (),
        (AoutRelocation(0, N_TEXT, False), AoutRelocation(4, N_TEXT, False)),
        (
            AoutSymbol("___libx_1_203", N_DATA | N_EXT, entry),
            AoutSymbol("__NEEDS_SHRLIB_libx_1", N_DATA | N_EXT, entry),
            *(AoutSymbol(f"__PLT__{name}", N_ABS | N_EXT, address) for name, address in functions.items()),
            AoutSymbol("__GOT__errno", N_ABS | N_EXT, base + 0x1000),
        ),
    )
    second = Aout(
        ExecHeader(Magic.OMAGIC, 0, 0),
        b"",
        b"",
        symbols=(
            *(AoutSymbol(f"_{name}", N_ABS | N_EXT, address) for name, address in functions.items()),
            AoutSymbol("_errno", N_ABS | N_EXT, base + 0x2000),
            AoutSymbol("___libx_1_203", N_EXT),
        ),
    )
    members = [ar.NewMember("__x.o", aout.encode(first)), ar.NewMember("_T1.o", aout.encode(second))]
    return ar.write_archive(members)


# -- a library made by mkshlib, and programs that use it ------------------------------------------------------------------

FLAGS = ["-m32", *PLAIN_C, "-fleading-underscore", "-fdata-sections"]
PARAMS = "Name=/libcount\nText=0x61000000\nData=0x61008000\nJump=0x1000\nGOT=0x1000\nVersion=1.2.3\n"
FUNCS = """\
00000000 T _count       libcount count
00000000 U __DUMMY__    libcount none
00000000 T _total       libcount count
00000000 T _double_it   libcount twice
00000000 t _kept        libcompat
"""
VARS = """\
00000010 K _name        libcount count
00000004 D _step        libcount count
00000004 D __DUMMY__    libcount none
00000008 D _history     libcount count
"""
LIBRARY = r"""
const char name[8] = "counter";
int step = 2, history[2], *where = &step;
static int sum;
__attribute__((noipa)) int double_it(int x) { return 2 * x; }
int kept(void) { return 1; }
int count(void) { history[0] = history[1]; history[1] = sum; return sum += double_it(step) / 2; }
int total(void) { return sum + *where * 100; }
"""
PRINT = r"""
static void put(int n) {
  char b[16]; int i = 15; unsigned u = n < 0 ? -n : n;
  b[i] = '\n';
  do b[--i] = '0' + u % 10; while (u /= 10);
  if (n < 0) b[--i] = '-';
  int r; __asm__ volatile("int $0x80" : "=a"(r) : "0"(4), "b"(1), "c"(b + i), "d"(16 - i) : "memory");
}
extern int step, history[2]; extern const char name[8];
int count(void), total(void), double_it(int);
"""


def compile_c(folder: Path, name: str, text: str) -> Path:
    source = folder / f"{name}.c"
    source.write_text(text)
    output = folder / f"{name}.o"
    require("gcc")  # -fleading-underscore
    subprocess.run(["gcc", *FLAGS, "-c", str(source), "-o", str(output)], check=True)
    return output


def control(folder: Path, **files: str) -> None:
    for name, text in ({"params": PARAMS, "funcs": FUNCS, "vars": VARS} | files).items():
        (folder / f"jump.{name}").write_text(text)


def make_library(folder: Path, *objects: Path) -> Ran:
    return uselib("mkshlib", "--format", "aout", "--control", folder, "-o", folder, *objects)


def link_counter(kit: Path, folder: Path, name: str, text: str, *options: str) -> Path:
    output = folder / name
    words = ["-o", output, kit / "crt0.o", compile_c(folder, name, PRINT + text), f"-L{kit}", "-lcount"]
    result = uselib("ld", "-m", "i386linux", *options, *words)
    assert (result.returncode, result.stderr) == (0, "")
    lib = folder / "lib"
    lib.mkdir(exist_ok=True)
    (lib / "libcount.so.1").write_bytes((kit / "libcount.so.1.2.3").read_bytes())
    return output


def run_below_root(path: Path, *arguments: str) -> Ran:
    """Runs a program with its own folder as the root."""
    return uselib("run", "--root", path.parent, f"/{path.name}", *arguments)


def make_kit(folder: Path, params: str = PARAMS) -> Path:
    """Fills a folder with the control files, the library, its stub and crt0.o."""
    control(folder, params=params)
    compile_c(folder, "crt0", (ROOT / "runtime" / "crt" / "aout.c").read_text())
    result = make_library(folder, compile_c(folder, "count", LIBRARY))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("libcount.so.1.2.3: 0x61000000-0x61008")
    return folder


def changed(path: Path, offset: int, value: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = value.to_bytes(4, "little")
    path.write_bytes(raw)


def refused(folder: Path, text: str = LIBRARY, **files: str) -> str:
    control(folder, **files)
    result = make_library(folder, compile_c(folder, "count", text))
    assert result.returncode == 1 and result.stdout == "" and not list(folder.glob("lib*"))
    return result.stderr
