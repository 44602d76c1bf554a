"""A program and a library in many versions, for the tests of version rules: neither needs a C library."""

import atexit
import functools
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from support.programs import build, source
from uselib.cli import main
from uselib.linker.formats import notes
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import Image, Machine
from uselib.linker.versions import RULES
from uselib.loader.libraries.dependencies import Refusal, resolve
from uselib.loader.libraries.search import HostFiles, SearchPath

BASE = {"foo": 0x61000000, "bar": 0x61400000}
LINKED = "1.2.1"
RECORDED = ("r1", "r2/")  # relative: a test runs in a directory of its own

FOO = "int foo_value(void) { return 7; }\nint foo_more(void) { return 8; }\n"
BAR = "int foo_value(void);\nint bar_value(void) { return foo_value() + 1; }\n"
PROGRAM = """
int foo_value(void), bar_value(void);
void __attribute__((noreturn)) leave(int status);
__asm__(".globl leave\\nleave:\\n"
#ifdef __x86_64__
        "mov $231, %eax\\nsyscall\\n"
#else
        "mov 4(%esp), %ebx\\nmov $252, %eax\\nint $0x80\\n"
#endif
);
int main(int argc, char **argv, char **envp) { return 0; }
int __libc_start_main(void) { leave(USED()); }
int atexit(void (*f)(void)) { return 0; }
"""


def make_library(
    directory: Path, arch: str, name: str, text: str, version: str, *options: str | Path, base: int = 0
) -> Path:
    """libNAME_s.VERSION with its stub library under `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    build(directory / f"{name}.o", arch, "uselib", "-O1", "-c", source(directory / f"{name}.c", text))
    words = ["--name", name, "--version", version, "--text", hex(base or BASE[name]), "-o", directory, *options]
    assert main(["mkshlib", "-q", *map(str, words), str(directory / f"{name}.o")]) == 0
    return directory / "shlib" / f"lib{name}_s.{version}"


@dataclass(frozen=True)
class Kit:
    """directory/program uses libfoo_s 1.2.1, directory/both libbar_s 1.0.0 as well, which needs libfoo_s."""

    directory: Path
    arch: str
    scheme: str
    foo: Path
    bar: Path
    program: Path
    both: Path

    @property
    def machine(self) -> Machine:
        return {m.label: m for m in Machine}[self.arch]


@functools.cache
def kit(arch: str, scheme: str) -> Kit:
    directory = Path(tempfile.mkdtemp(prefix="uselib-versions-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    foo = make_library(directory, arch, "foo", FOO, LINKED)
    bar = make_library(directory, arch, "bar", BAR, "1.0.0", directory / "lib" / "libfoo_s.a")
    code = source(directory / "program.c", PROGRAM)
    common = ["-w", "-nodefaultlibs", "-fno-builtin", code, "-L", directory / "lib", f"-Wl,-rpath,{':'.join(RECORDED)}"]
    program = link(directory / "program", arch, scheme, "-DUSED=foo_value", *common, "-lfoo")
    both = link(directory / "both", arch, scheme, "-DUSED=bar_value", *common, "-lbar")
    return Kit(directory, arch, scheme, foo, bar, program, both)


def link(output: Path, arch: str, scheme: str, *words: str | Path) -> Path:
    return build(output, arch, scheme, *words)


def field_offsets(content: bytes) -> int:
    """Where the NT_LIBRARY descriptor begins."""
    return content.index(struct.pack("<I", notes.NT_LIBRARY) + notes.NOTE_NAME) + 12


def patched(content: bytes, version: str | None = None, **fields: int) -> bytes:
    """A library with other things in its header: version, slots, base, machine (formats/notes.py has the offsets)."""
    data = bytearray(content)
    at = field_offsets(content)
    if version is not None:
        struct.pack_into("<3H", data, at + 8, *(int(part) for part in version.split(".")))
    places = {"machine": ("<H", 14), "base": ("<Q", 16), "slots": ("<I", 52)}
    for name, value in fields.items():
        form, offset = places[name]
        struct.pack_into(form, data, at + offset, value)
    return bytes(data)


def start(program: Path, where: Path, **environment: str) -> tuple[int, str]:
    """Runs a program natively in directory `where`: its status and what it says, without its name."""
    ran = subprocess.run([str(program)], cwd=where, env=environment, capture_output=True, timeout=60)
    return ran.returncode, ran.stderr.decode().removeprefix(f"{program}: ")


def message(refusal: Refusal | None) -> str:
    return f"can't load library '{refusal.path}'\n\t{refusal.reason}\n" if refusal else ""


@functools.cache
def image(program: Path) -> Image:
    return read_image(program.read_bytes(), str(program))


def predicted(program: Path, where: Path, rule: str, scheme: str, library_path: str = "") -> str:
    """What loader/libraries/dependencies.py says start-up would say in `where`."""
    before = os.getcwd()
    os.chdir(where)
    try:
        search = SearchPath(library_path, image(program).library_path)
        return message(resolve(image(program), search, RULES[rule], HostFiles(), scheme).refusal)
    finally:
        os.chdir(before)


# -- directories of library files as hypothesis generates them: versions, links, odd names -----------------------------

VERSIONS = [f"{major}.{minor}.{patch}" for major in (1, 2) for minor in (1, 2, 3, 10) for patch in (0, 1, 2, 10)]
ODD = """
libfoo_s libfoo_s.1 libfoo_s.1.2 libfoo_s.2 libfoo_s.1.2.1.1 libfoo_s.1.02.1 libfoo_s.1.2.65536 libfoo_s.1.2.65535
libfoo_s.1.2.1~ libfoo_s.1.2.99999999999 libfoo_sx.1.2.1 xlibfoo_s.1.3.1 libfoo_s.1.2. libfoo_s.1..1 libfoo_s.-1.2.1
libfoo_s.1.2.\u0663 libfoo_s.1.2.+1 a.1.2.3
""".split()
NAMES = st.one_of(st.sampled_from([f"libfoo_s.{v}" for v in VERSIONS]), st.sampled_from(ODD))
KINDS = st.sampled_from(["file"] * 6 + ["link", "link", "dangling", "cycle", "directory", "fifo", "through a file"])
DIRECTORY = st.one_of(st.none(), st.just("file"), st.dictionaries(NAMES, KINDS, max_size=6))
PLACES = ("e1", "e2", "r1", "r2")
PATHS = st.sampled_from(
    ["", ":", "e1", "e1:e2", "e1/:nowhere:e2", ":e1", "e2:", "e1/../e2", "e1:e1:e2", "x" * 4090, "e1:" + "x" * 4090]
)
TREES = st.fixed_dictionaries(dict.fromkeys(PLACES, DIRECTORY))


def make_tree(where: Path, tree: dict[str, dict[str, str] | str | None], content: bytes = b"") -> None:
    for place, entries in tree.items():
        if isinstance(entries, dict):
            (where / place).mkdir()
            for name, kind in entries.items():
                _make_entry(where / place, name, kind, content)
        elif entries is not None:
            (where / place).write_bytes(b"")


def _make_entry(directory: Path, name: str, kind: str, content: bytes) -> None:
    path = directory / name
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("link", "dangling", "cycle", "through a file"):
        (directory / "real").write_bytes(content)
        path.symlink_to({"link": "real", "dangling": "gone", "cycle": name, "through a file": "real/x"}[kind])
    else:
        path.write_bytes(content)
