"""`uselib shlicc`: the wrapper of BSD/OS. Links with an ordinary linker; a table of libraries and addresses is linked in.

Any linker can do this: stub libraries hold absolute symbols, start-up files and the table are ordinary objects.
linker/library/bsdos_table.py makes the table, runtime/crt/bsd.h and boot.c use it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uselib.commands import cc
from uselib.linker.errors import Diagnostic, LinkError, UsageError, error
from uselib.linker.image import PAGE, Machine
from uselib.linker.library import bsdos_table as shlib_table
from uselib.linker.library import stub

if TYPE_CHECKING:
    from uselib.runtime.compiler import Compiler
    from uselib.runtime.sysroot import Sysroot

USAGE = """usage: uselib shlicc --sysroot DIR [--interp] [--map FILE] [--ld LINKER] [OPTIONS] FILES -o PROGRAM
       uselib shlicc --print-map DIR...

Compiles as `uselib cc` does and links with the linker of the system (ld), as the wrapper shlicc of BSD/OS did: a table of the
program's shared libraries and their load addresses is assembled and linked in.
  --sysroot DIR     made by `uselib sysroot` (or the variable USELIB_SYSROOT)
  --map FILE        the libraries' paths and addresses; else the variable SHLIB_MAP, DIR/etc/shlib.map, /etc/shlib.map
  --interp          the ELF variant: PT_INTERP names the C library, which the kernel maps and enters
  --ld LINKER       command of the linker; else the variable LD, else ld, ld.lld, mold
  --print-map DIR   print a map of the target libraries in DIR
  --print-table     print the assembler file of the table, and do not link
Other options are those of `uselib cc`. -l NAME takes libNAME_s.a before libNAME.a."""

_LINKERS = ("ld", "ld.bfd", "ld.lld", "mold")
_SYSTEM_MAP = "/etc/shlib.map"


def _bad(option: str, message: str, remedy: str = "") -> UsageError:
    return UsageError(Diagnostic("shlicc", message, symbol=option, remedy=remedy))


@dataclass
class Wrapper:
    """The wrapper's own options."""

    map: str = ""
    linker: str = ""
    interpreter: bool = False
    print_table: bool = False


_VALUES = {"--map": "map", "--ld": "linker"}
_FLAGS = {"--interp": "interpreter", "--print-table": "print_table"}


def split(arguments: list[str]) -> tuple[Wrapper, list[str]]:
    """Our options, and the words for cc. Raises UsageError."""
    own, rest = Wrapper(), list[str]()
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--scheme":
            raise _bad("--scheme", "the wrapper makes programs of scheme bsdos", "or of scheme interp, with --interp")
        if name in _VALUES:
            value = value if equals else next(words, "")
            if not value:
                raise _bad(name, "needs a value")
            setattr(own, _VALUES[name], value)
        elif word in _FLAGS:
            setattr(own, _FLAGS[word], True)
        else:
            rest.append(word)
    return own, rest


def map_file(own: Wrapper, sysroot: Path) -> str:
    """The map of libraries to use."""
    named = own.map or os.environ.get("SHLIB_MAP", "")
    if named:
        return named
    local = sysroot / "etc" / "shlib.map"
    return str(local) if local.exists() else _SYSTEM_MAP


def linker_command(own: Wrapper) -> list[str]:
    """The system's linker. Raises LinkError."""
    named = own.linker or os.environ.get("LD", "")
    if named:
        return shlex.split(named)
    found = next((name for name in _LINKERS if shutil.which(name)), None)
    if found is None:
        raise error("shlicc", "there is no linker", remedy="install binutils, or name one with --ld")
    return [found]


def use_stubs(words: list[str], lib: Path) -> tuple[list[str], list[stub.StubIdentity]]:
    """The linker's words with stub libraries in place of -l names that have one, and what these stubs stand for. Raises LinkError."""
    directories = [word[2:] for word in words if word.startswith("-L")] + [str(lib)]
    result, found = [], dict[str, stub.StubIdentity]()
    for word in words:
        path = word
        if word.startswith("-l") and len(word) > 2:
            places = (os.path.join(directory, f"lib{word[2:]}_s.a") for directory in directories)
            path = next((place for place in places if os.path.exists(place)), word)
        if not path.startswith("-") and os.path.isfile(path) and stub.is_stub(path):
            identity = stub.read_identity(path)
            found.setdefault(identity.identity.name, identity)
        result.append(path)
    return result, list(found.values())


def link(
    compiler: Compiler,
    sysroot: Sysroot,
    own: Wrapper,
    words: list[str],
    output: str,
    command: cc.Command,
    directory: str,
) -> int:
    """Assembles the table and runs the linker. Raises ToolError."""
    lib = sysroot.lib
    if command.default_libraries:
        words = [*words, "-lc", str(lib / "libbuiltins.a")]
    words, stubs = use_stubs(words, lib)
    wrong = [s for s in stubs if s.machine is not sysroot.machine]
    if wrong:
        raise error(wrong[0].where, f"is for {wrong[0].machine.label}, and the sysroot is for {sysroot.machine.label}")
    book = shlib_table.read_map(map_file(own, sysroot.path))
    text = shlib_table.source(sysroot.machine, shlib_table.choose(book, stubs), interpreter=own.interpreter)
    if own.print_table:
        print(text, end="")
        return 0
    table = os.path.join(directory, "shlib_table")
    Path(table + ".s").write_text(text, encoding="utf-8", errors="surrogateescape")
    compiler.run([*compiler.machine_flags(sysroot.machine), "-c", table + ".s", "-o", table + ".o"], "the table")
    scheme = "interp" if own.interpreter else "bsdos"
    emulation = "elf_i386" if sysroot.machine is Machine.I386 else "elf_x86_64"
    start = [str(lib / f"crt1-{scheme}.o"), str(lib / "crti.o")] if command.start_files else []
    end = [str(lib / "crtn.o")] if command.start_files else []
    made = os.path.join(directory, "a.out")
    static = [] if own.interpreter else ["-static"]
    options = ["-m", emulation, *static, "-z", "noexecstack", "-o", made]
    arguments = [*linker_command(own), *options, *start, f"{table}.o", *words, f"-L{lib}", *end]
    try:
        status = subprocess.run(arguments).returncode
    except OSError as failure:
        raise error(arguments[0], f"cannot be run: {failure.strerror}", remedy="name a linker with --ld") from None
    if status:
        raise LinkError(Diagnostic("shlicc", f"linking failed (status {status})", symbol=arguments[0]))
    from uselib.linker.writing import write_atomically
    from uselib.loader.programs.headers import read_headers

    program = Path(made).read_bytes()
    if (
        own.interpreter and not read_headers(program, output).interpreter
    ):  # mold leaves it out of programs without libraries of its kind
        raise error(arguments[0], "makes no PT_INTERP of section .interp", remedy="name GNU ld or ld.lld with --ld")
    write_atomically(output, program)
    return 0


def print_map(directories: list[str]) -> int:
    """Lines for the target libraries in directories. Raises LinkError."""
    from uselib.loader.programs.headers import library_header

    if not directories:
        raise _bad("--print-map", "names no directory")
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except OSError as failure:
            raise error(directory, f"cannot be read: {failure.strerror}") from None
        for name in names:
            path = os.path.abspath(os.path.join(directory, name))
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                header = library_header(file.read(PAGE), path)
            if header is not None:
                print(f"{path}    {header.identity.base:#010x}")
    return 0


def run(arguments: list[str]) -> int:
    """Returns the exit status. Raises ToolError."""
    from uselib.runtime.compiler import find_compiler
    from uselib.runtime.sysroot import read_sysroot

    if not arguments or "--help" in arguments:
        print(USAGE)
        return 0 if arguments else 2
    if arguments[0] == "--print-map":
        return print_map(arguments[1:])
    own, rest = split(arguments)
    command = cc.parse(rest)
    if not command.sysroot:
        raise _bad("--sysroot", "is missing", "make one with `uselib sysroot DIR` and name it")
    if command.stop or command.ask:
        return cc.run(rest)
    if command.scheme == "static":
        raise _bad("-static", "makes no program with shared libraries", "use `uselib cc`")
    sysroot = read_sysroot(Path(command.sysroot))
    cc.check_inputs(command, sysroot)
    compiler = find_compiler()
    with tempfile.TemporaryDirectory(prefix="uselib-shlicc-") as directory:
        words = cc.compile_sources(compiler, sysroot, command, directory)
        return link(compiler, sysroot, own, words, command.output or "a.out", command, directory)
