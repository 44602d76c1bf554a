"""`uselib cc`: compiles with the C compiler there is and links with our linker, against a sysroot; the shlicc of today.

Options are those of cc. What says how to link is taken out and given to the linker, in its order among the inputs;
everything else goes to the compiler, once for each source file.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from uselib.linker.errors import Diagnostic, LinkError, UsageError
from uselib.linker.image import Machine
from uselib.linker.options import expand_response_files

if TYPE_CHECKING:
    from uselib.runtime.compiler import Compiler
    from uselib.runtime.sysroot import Sysroot

USAGE = """usage: uselib cc --sysroot DIR [--scheme S] [OPTIONS] FILES -o PROGRAM

Compiles C (.c .i) and assembly (.S .s) and links them with objects and archives against the C library of a sysroot.
  --sysroot DIR     made by `uselib sysroot` (or the variable USELIB_SYSROOT)
  --scheme S        how the program gets its libraries: uselib, the call of Linux (default); mmap, the bootstrap of BSD/OS;
                    kernel, mapped by exec as in SVR3; interp, by the C library, that exec maps and enters; static, copied
                    into the program (-static asks for the same)
  --version-rule R  which version of a library the program takes: default, exact, sun, exact-minor, linux
Other options are cc's: -c -S -E -o -O -g -D -I -L -l -W... -f... -Wl,... -Wa,... -Wp,... -Xlinker -x -include -M... @FILE
-nostdlib, -nostartfiles and -nodefaultlibs leave out what they name. Compilers: USELIB_CC, else cc, gcc, clang, ziglang."""

SCHEMES = ("uselib", "mmap", "kernel", "interp", "static")
SOURCES = (".c", ".i", ".S", ".s", ".sx")

# Options of our own -> field of Command.
_OWN = {"--sysroot": "sysroot", "--scheme": "scheme", "--version-rule": "version_rule"}
# Options of the compiler with a word of their own behind them.
_WITH_WORD = frozenset((
    "-I", "-D", "-U", "-include", "-imacros", "-isystem", "-idirafter", "-iquote", "-iprefix", "-iwithprefix", "-isysroot",
    "-MF", "-MT", "-MQ", "-Xpreprocessor", "-Xassembler", "-Xclang", "-target", "-mllvm", "--param", "-aux-info",
    "-dumpbase", "-dumpdir",
))  # fmt: skip
# Options of the linker: with a joined or separate word, or alone.
_LINK_WITH_WORD = frozenset(("-L", "-l", "-u", "-z", "-T", "-e"))
_LINK_ALONE = frozenset(("-s", "-rdynamic"))
_LINK_IGNORED = frozenset(("-no-pie", "-nopie", "-static-libgcc", "-pipe", "-rdynamic", "-shared-libgcc"))
_REFUSED = {
    "-shared": "use `uselib mkshlib` for a fixed-address shared library",
    "-pie": "programs are linked at a fixed address",
    "-static-pie": "programs are linked at a fixed address",
    "-r": "give the objects themselves to the final link",
}
_ASK_COMPILER = (
    "-v",
    "--version",
    "-dumpmachine",
    "-dumpversion",
    "-dumpfullversion",
    "-print-",
    "--print-",
    "-###",
    "--help",
)


def _bad(option: str, message: str, remedy: str = "") -> UsageError:
    return UsageError(Diagnostic("cc", message, symbol=option, remedy=remedy))


@dataclass(frozen=True)
class Item:
    """A linker argument: a word for it, or (source) a file to compile first, in language `language` if given."""

    text: str
    source: bool = False
    language: str = ""


@dataclass
class Command:
    """A parsed command line."""

    sysroot: str = ""
    scheme: str = ""
    version_rule: str = ""
    output: str = ""
    stop: str = ""  # -c, -S, -E or empty
    machine: str = ""  # -m32, -m64
    compiler: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    start_files: bool = True
    default_libraries: bool = True
    ask: bool = False
    help: bool = False


def _value(arguments: list[str], position: int, option: str) -> tuple[str, int]:
    """The word that belongs to `option`, joined to it or following; and the position of the last word used."""
    word = arguments[position]
    if len(word) > len(option):
        return word[len(option) :].removeprefix("=") if option.startswith("--") else word[len(option) :], position
    if position + 1 >= len(arguments):
        raise _bad(option, "needs a value")
    return arguments[position + 1], position + 1


def parse(arguments: list[str]) -> Command:
    """Sorts a command line out. Raises UsageError."""
    command = Command(sysroot=os.environ.get("USELIB_SYSROOT", ""))
    words = expand_response_files(arguments)
    language = ""
    at = -1
    while (at := at + 1) < len(words):
        word = words[at]
        if not word.startswith("-") or word == "-":
            _input(command, word, language)
        elif word.split("=")[0] in _OWN:
            option = word.split("=")[0]
            value, at = _value(words, at, option)
            setattr(command, _OWN[option], value)
        elif word == "-o" or (word.startswith("-o") and not word.startswith("-object")):
            command.output, at = _value(words, at, "-o")
        elif word == "-x" or word.startswith("-x"):
            value, at = _value(words, at, "-x")
            language = "" if value == "none" else value
        elif word in ("-c", "-S", "-E"):
            command.stop = word
        elif word in ("-M", "-MM"):
            command.stop = "-E"
            command.compiler.append(word)
        elif word in ("-m32", "-m64"):
            command.machine = word
        elif word == "-static":
            command.scheme = command.scheme or "static"
        elif word == "-pthread":
            command.compiler.append("-D_REENTRANT")
        elif word in ("-nostdlib", "-nostartfiles", "-nodefaultlibs"):
            command.start_files = command.start_files and word == "-nodefaultlibs"
            command.default_libraries = command.default_libraries and word == "-nostartfiles"
        elif word.startswith("-Wl,"):
            command.items += [Item(part) for part in word[4:].split(",")]
        elif word == "-Xlinker":
            value, at = _value(words, at, word)
            command.items.append(Item(value))
        elif word in _REFUSED:
            raise _bad(word, "is not possible here", _REFUSED[word])
        elif word in _LINK_IGNORED:
            pass
        elif word in _LINK_ALONE:
            command.items.append(Item(word))
        elif word[:2] in _LINK_WITH_WORD and not word.startswith("--"):
            value, at = _value(words, at, word[:2])
            command.items.append(Item(word[:2] + value))
        elif word in _WITH_WORD:
            value, at = _value(words, at, word)
            command.compiler += [word, value]
        elif word.startswith(_ASK_COMPILER):
            command.ask = True
            command.help = command.help or word == "--help"
            command.compiler.append(word)
        else:
            command.compiler.append(word)
    if command.scheme not in ("", *SCHEMES):
        remedy = f"use {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
        remedy = "`uselib shlicc` makes such programs" if command.scheme == "bsdos" else remedy
        raise _bad("--scheme", f"`{command.scheme}` is not a scheme", remedy)
    return command


def _input(command: Command, word: str, language: str) -> None:
    suffix = os.path.splitext(word)[1]
    if suffix == ".so" or ".so." in os.path.basename(word):
        raise _bad(word, "is a dynamically linked library", "link with a stub library or an archive")
    if word == "-" and not language:
        raise _bad("-", "standard input needs a language", "give -x c")
    command.items.append(Item(word, bool(language) or suffix in SOURCES, language))


def _compile(compiler: Compiler, sysroot: Sysroot, command: Command, item: Item, mode: str, output: str) -> None:
    language = ["-x", item.language] if item.language else []
    headers = ["-nostdinc", "-isystem", str(sysroot.include), "-isystem", compiler.headers]
    arguments = [
        *compiler.command, *compiler.machine_flags(sysroot.machine), *compiler.common_flags(), *command.compiler, *headers,
        mode, *language, item.text, *(["-o", output] if output else []),
    ]  # fmt: skip
    status = subprocess.run(arguments).returncode
    if status:
        raise LinkError(Diagnostic("cc", f"compilation failed (status {status})", symbol=item.text))


def compile_sources(compiler: Compiler, sysroot: Sysroot, command: Command, directory: str) -> list[str]:
    """Compiles every source to an object in `directory`; returns the linker's words, objects in place of sources."""
    from uselib.runtime.compiler import side_by_side

    words = [item.text for item in command.items]
    jobs = []
    for position, item in enumerate(command.items):
        if item.source:
            stem = os.path.splitext(os.path.basename(item.text))[0]
            words[position] = os.path.join(directory, f"{position}-{stem}.o")
            jobs.append((item, words[position]))

    side_by_side(lambda job: _compile(compiler, sysroot, command, job[0], "-c", job[1]), jobs)
    return words


def link_arguments(sysroot: Sysroot, scheme: str, words: list[str], output: str, command: Command) -> list[str]:
    """The linker's command line: start-up files around the inputs, the C library behind them."""
    emulation = "elf_i386" if sysroot.machine is Machine.I386 else "elf_x86_64"
    lib = str(sysroot.lib)
    result = ["-m", emulation, "--scheme", scheme, "-o", output]
    if command.start_files:
        result += [os.path.join(lib, f"crt1-{scheme}.o"), os.path.join(lib, "crti.o")]
    result += [*words, "-L", lib]
    if scheme != "static":
        result += ["-rpath", str(sysroot.shlib)]  # behind the user's own
    if command.version_rule:
        result += ["--version-rule", command.version_rule]
    if command.default_libraries:
        result += ["-lc", os.path.join(lib, "libbuiltins.a")]
    if command.start_files:
        result.append(os.path.join(lib, "crtn.o"))
    return result


def _stop_early(compiler: Compiler, sysroot: Sysroot, command: Command) -> int:
    """-c, -S and -E."""
    sources = [item for item in command.items if item.source]
    if command.output and len(sources) > 1:
        raise _bad("-o", f"cannot name one output for {len(sources)} files with {command.stop}")
    suffix = {"-c": ".o", "-S": ".s", "-E": ""}[command.stop]
    for item in sources:
        output = command.output
        if not output and suffix:
            output = os.path.splitext(os.path.basename(item.text))[0] + suffix
        _compile(compiler, sysroot, command, item, command.stop, output)
    return 0


def check_inputs(command: Command, sysroot: Sysroot) -> None:
    """There are inputs, and they are for the sysroot's machine. Raises UsageError."""
    if command.machine and (command.machine == "-m32") != (sysroot.machine is Machine.I386):
        raise _bad(command.machine, f"the sysroot {command.sysroot} is for {sysroot.machine.label}")
    if not any(item.source or not item.text.startswith("-") for item in command.items):
        raise _bad("cc", "no input files")


def run(arguments: list[str]) -> int:
    """Returns the exit status. Raises ToolError."""
    from uselib.runtime.compiler import find_compiler
    from uselib.runtime.sysroot import read_sysroot

    command = parse(arguments)
    if command.help or not arguments:
        print(USAGE)
        return 0 if command.help else 2
    compiler = find_compiler()
    if command.ask and not command.items:
        return subprocess.run([*compiler.command, *command.compiler]).returncode
    if not command.sysroot:
        raise _bad("--sysroot", "is missing", "make one with `uselib sysroot DIR` and name it")
    sysroot = read_sysroot(Path(command.sysroot))
    check_inputs(command, sysroot)
    if command.stop:
        return _stop_early(compiler, sysroot, command)
    scheme = command.scheme or "uselib"
    with tempfile.TemporaryDirectory(prefix="uselib-cc-") as directory:
        words = compile_sources(compiler, sysroot, command, directory)
        from uselib.commands import ld

        return ld.run(link_arguments(sysroot, scheme, words, command.output or "a.out", command))


__all__ = ["Command", "Item", "check_inputs", "compile_sources", "link_arguments", "parse", "run"]
