"""The schemes, one row for each: how program, library and stub are made. All are for i386, which every scheme supports.

One source is compiled for all: a library of one function and one variable, and a program that calls it N times. There is no C library, so only
the scheme is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uselib.linker.historical.aout.control import read_control
from uselib.linker.historical.aout.library import AoutLibrary
from uselib.linker.historical.aout.stub_writer import stub_archives
from uselib.linker.historical.coff.library import CoffLibrary, host_library
from uselib.linker.historical.coff.program import CoffProgram
from uselib.linker.historical.textbook.format import encode_library
from uselib.linker.historical.textbook.link import TextbookLibrary, TextbookProgram
from uselib.linker.image import Machine, Version
from uselib.linker.library import bsdos_table as shlib_table
from uselib.linker.library.make import LibraryRequest, build
from uselib.linker.library.specification import Specification, parse
from uselib.linker.link import LinkJob, link
from uselib.linker.options import InputArgument, Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.outputs.program import ProgramOutput
from uselib.linker.writing import write_atomically
from uselib.runtime.build import ROOT
from uselib.runtime.build import SCHEMES as STARTS
from uselib.runtime.compiler import Compiler, find_compiler

LIBRARY = "int total;\nint add(int a, int b) { total = b; return a + b; }\n"
PROGRAM = """
extern int total;
int add(int a, int b);
int main(int argc, char **argv) {
  volatile int calls = N;
  int sum = total;
  for (int n = calls, i = 0; i < n; i++) sum = add(sum, i);
  return sum & 0;
}
"""
# The functions of a C library that start-up code of ELF schemes calls.
ELF_START = r"""
static void end(int status) { __asm__ volatile("int $0x80" : : "a"(1), "b"(status)); }
int atexit(void (*f)(void)) { return 0; }
int __libc_start_main(int (*m)(int, char **, char **), int c, char **v) { end(m(c, v, v + c + 1)); return 0; }
"""
SVR3_START = r"""
__asm__(".section .init,\"ax\"\n.globl _init\n_init:\n.text\n.globl _start\n_start: xor %ebp, %ebp\ncall _init\nmov (%esp), %eax\n"
        "lea 4(%esp), %edx\npush %edx\npush %eax\ncall main\nmov %eax, %ebx\nmov $1, %eax\nint $0x80\n");
"""
SVR3_END = r"""__asm__(".section .init,\"ax\"\nret\n");"""

PARAMETERS = "Name=/libsum\nText=0x61000000\nData=0x61004000\nJump=0x1000\nGOT=0x1000\nVersion=1.0.0\n"
SPECIFICATION = (
    "#target /shlib/libsum_s\n#address .text 0xa4000000\n#address .data 0xa4400000\n#branch\n add 1\n#objects\n x\n"
)


@dataclass(frozen=True)
class Built:
    """A program in a tree of its own, which is the guest's `/`. library, stub: files, where the scheme has them."""

    root: Path
    library: Path | None
    stub: Path | None

    @property
    def program(self) -> Path:
        return self.root / "prog"


class Workshop:
    """Compiles for one scheme, in a folder of its own."""

    def __init__(self, folder: Path, calls: int, compiler: Compiler | None = None) -> None:
        self.folder, self.calls = folder, calls
        self.compiler = compiler or find_compiler()
        folder.mkdir(parents=True, exist_ok=True)
        self.root = folder / "root"
        for part in ("shlib", "lib"):
            (self.root / part).mkdir(parents=True, exist_ok=True)

    def compile(self, name: str, text: str | Path, *options: str) -> str:
        """An object; the text of a C source, or the path of one. Raises LinkError."""
        source = text if isinstance(text, Path) else self.folder / f"{name}.c"
        if not isinstance(text, Path):
            source.write_text(text)
        output = self.folder / f"{name}.o"
        flags = (
            *self.compiler.machine_flags(Machine.I386),
            *self.compiler.common_flags(),
            *self.compiler.freestanding_flags(),
        )
        self.compiler.run(
            (
                *flags,
                "-O1",
                "-w",
                "-fdata-sections",
                f"-DN={self.calls}",
                *options,
                "-c",
                str(source),
                "-o",
                str(output),
            ),
            name,
        )
        return str(output)

    def link(self, kind: OutputKind, *inputs: str, output: str = "root/prog", **options: object) -> OutputKind:
        """Links; returns the kind, with what it noted. Raises ToolError."""
        path = self.folder / output
        job = Options(
            inputs=tuple(InputArgument(item) for item in inputs),
            output=str(path),
            machine=Machine.I386,
            **options,  # type: ignore[arg-type]
        )
        write_atomically(str(path), link(LinkJob(job, kind)).image)
        return kind


def _static(shop: Workshop) -> Built:
    inputs = (
        _start(shop, "static"),
        shop.compile("prog", PROGRAM),
        shop.compile("sum", LIBRARY),
        shop.compile("libc", ELF_START),
    )
    shop.link(ProgramOutput(), *inputs)
    return Built(shop.root, None, None)


def _start(shop: Workshop, scheme: str) -> str:
    return shop.compile(f"crt1-{scheme}", ROOT / "crt" / "crt1.c", f"-DUSELIB_SCHEME={STARTS.index(scheme)}", "-O2")


def _elf(scheme: str) -> Callable[[Workshop], Built]:
    def make(shop: Workshop) -> Built:
        request = LibraryRequest(
            inputs=(shop.compile("sum", LIBRARY),),
            name="sum",
            version=Version(1, 0, 0),
            text_address=0x61000000,
        )
        build(request, shop.root)
        stub = shop.root / "lib" / "libsum_s.a"
        inputs = (
            _start(shop, scheme),
            shop.compile("crti", ROOT / "crt" / "crti.S"),
            shop.compile("prog", PROGRAM),
            shop.compile("libc", ELF_START),
            str(stub),
            shop.compile("crtn", ROOT / "crt" / "crtn.S"),
        )
        shop.link(ProgramOutput(), *inputs, scheme=scheme)
        return Built(shop.root, shop.root / "shlib" / "libsum_s.1.0.0", stub)

    return make


def _bsd(scheme: str) -> Callable[[Workshop], Built]:
    """The library is the C library, whose bootstrap would map the others; here there are none."""

    def make(shop: Workshop) -> Built:
        inputs = (
            shop.compile("sum", LIBRARY),
            shop.compile("libc", "char **environ;" + ELF_START),
            shop.compile("boot", ROOT / "crt" / "boot.c", "-O2"),
        )
        request = LibraryRequest(
            inputs=inputs,
            name="c",
            version=Version(1, 0, 0),
            text_address=0x61000000,
            bootstrap="__uselib_bootstrap",
            interpreter="__uselib_interpreter",
        )
        build(request, shop.root)
        stub = shop.root / "lib" / "libc_s.a"
        table = shop.folder / "table.s"
        place = shlib_table.MapEntry("/shlib/libc_s.1.0.0", 0x61000000, 1)
        table.write_text(shlib_table.source(Machine.I386, (place,), interpreter=scheme == "interp"))
        start = (
            _start(shop, scheme),
            shop.compile("crti", ROOT / "crt" / "crti.S"),
            shop.compile("table", table),
            shop.compile("prog", PROGRAM),
            str(stub),
            shop.compile("crtn", ROOT / "crt" / "crtn.S"),
        )
        shop.link(ProgramOutput(), *start, scheme=scheme)
        return Built(shop.root, shop.root / "shlib" / "libc_s.1.0.0", stub)

    return make


def _aout(shop: Workshop) -> Built:
    flag = "-fleading-underscore"
    for name, text in (("params", PARAMETERS), ("funcs", "0 T _add libsum sum\n"), ("vars", "4 D _total libsum sum\n")):
        (shop.folder / f"jump.{name}").write_text(text)
    control = read_control(shop.folder)
    kind = AoutLibrary(control)
    library = shop.root / "lib" / "libsum.so.1"
    shop.link(kind, shop.compile("sum", LIBRARY, flag), output="root/lib/libsum.so.1", entry="", format="aout")
    stub = shop.root / "lib" / "libsum.sa"
    stub.write_bytes(stub_archives(control, kind.word)["libsum"])
    from uselib.linker.historical.aout.program import AoutProgram

    start = shop.compile("crt0", ROOT / "crt" / "aout.c", flag)
    shop.link(AoutProgram(), start, shop.compile("prog", PROGRAM, flag), str(stub), format="aout")
    return Built(shop.root, library, stub)


def _svr3(shop: Workshop) -> Built:
    spec = parse(SPECIFICATION, "spec")
    kind = CoffLibrary(spec, spec.target)
    shop.link(kind, shop.compile("sum", LIBRARY), output="root/shlib/libsum_s", entry="", format="coff")
    stub = shop.root / "lib" / "libsum.a"
    stub.write_bytes(host_library(spec.target, kind.exported))
    inputs = (
        shop.compile("crt1", SVR3_START),
        shop.compile("prog", PROGRAM),
        str(stub),
        shop.compile("crtn", SVR3_END),
    )
    shop.link(CoffProgram(), *inputs, format="coff")
    return Built(shop.root, shop.root / "shlib" / "libsum_s", stub)


def _textbook(shop: Workshop) -> Built:
    kind = TextbookLibrary(0x61000000, Specification())
    shop.link(
        kind,
        shop.compile("sum", LIBRARY),
        output="root/shlib/libsum_s.1.0.0",
        entry="",
        format="textbook",
        base=0x61000000,
    )
    stub = shop.root / "lib" / "libsum_s.lib"
    stub.write_bytes(encode_library(kind.stub("libsum_s.1.0.0", ())))
    inputs = (shop.compile("crt", ROOT / "crt" / "textbook.c"), shop.compile("prog", PROGRAM), str(stub))
    shop.link(TextbookProgram(), *inputs, format="textbook")
    return Built(shop.root, shop.root / "shlib" / "libsum_s.1.0.0", stub)


@dataclass(frozen=True)
class Scheme:
    """name: on the command line; title: whose it is; mapped_by: who maps the library; native: it also runs on today's Linux."""

    name: str
    title: str
    mapped_by: str
    build: Callable[[Workshop], Built]
    native: bool = True


SCHEMES: tuple[Scheme, ...] = (
    Scheme("static", "no shared library", "exec", _static),
    Scheme("uselib", "Linux ELF: uselib(2)", "start-up, one call", _elf("uselib")),
    Scheme("mmap", "BSD/OS: mmap and a bootstrap", "the library itself", _elf("mmap")),
    Scheme("bsdos", "BSD/OS: table and C library", "the library itself", _bsd("bsdos")),
    Scheme("interp", "BSD/OS ELF: PT_INTERP", "exec", _bsd("interp")),
    Scheme("kernel", "ELF as System V Release 3", "exec", _elf("kernel"), native=False),
    Scheme("aout", "Linux a.out: DLL tools", "start-up, one call", _aout, native=False),
    Scheme("svr3", "System V Release 3 COFF", "exec", _svr3, native=False),
    Scheme("textbook", "Levine, projects 9-1 and 9-2", "start-up, one call", _textbook, native=False),
)
