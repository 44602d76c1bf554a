"""`uselib cc`: compiles with the system's C compiler and links with our linker, against a sysroot.

Options are those of cc. Options of linking go to the linker, in their order among the inputs;
all others go to the compiler, once for each source file.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from uselib.linker.command_line import expand_response_files
from uselib.linker.errors import Diagnostic, LinkError, UsageError
from uselib.linker.image import Machine

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
_WITH_WORD = frozenset(
    "-I -D -U -include -imacros -isystem -idirafter -iquote -iprefix -iwithprefix -isysroot -MF -MT -MQ -Xpreprocessor "
    "-Xassembler -Xclang -target -mllvm --param -aux-info -dumpbase -dumpdir".split()
)
# Options of the linker: with a joined or separate word, or alone.
_LINK_WITH_WORD = frozenset(("-L", "-l", "-u", "-z", "-T", "-e"))
_LINK_ALONE = frozenset(("-s",))
_LINK_IGNORED = frozenset(("-no-pie", "-nopie", "-static-libgcc", "-pipe", "-rdynamic", "-shared-libgcc"))
_REFUSED = {
    "-shared": "use `uselib mkshlib` for a fixed-address shared library",
    "-pie": "programs are linked at a fixed address",
    "-static-pie": "programs are linked at a fixed address",
    "-r": "give the objects themselves to the final link",
}
_ASK_COMPILER = tuple("-v --version -dumpmachine -dumpversion -dumpfullversion -print- --print- -### --help".split())


def _bad(option: str, message: str, remedy: str = "") -> UsageError:
    return UsageError(Diagnostic("cc", message, symbol=option, remedy=remedy))


@dataclass(frozen=True)
class LinkWord:
    """A linker argument: a word for it, or (source) a file to compile first, in language `language` if given."""

    text: str
    source: bool = False
    language: str = ""


@dataclass(frozen=True)
class Command:
    """A parsed command line."""

    sysroot: str = ""
    scheme: str = ""
    version_rule: str = ""
    output: str = ""
    stop: str = ""  # -c, -S, -E or empty
    machine: str = ""  # -m32, -m64
    start_files: bool = True
    default_libraries: bool = True
    ask: bool = False  # a question to the compiler: --version, -print-...
    help: bool = False
    compiler: list[str] = field(default_factory=list)
    items: list[LinkWord] = field(default_factory=list)


class _Parsing:
    """A command line that is being parsed. values: fields of Command."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.at = words, 0
        self.language = ""
        self.values: dict[str, str | bool] = {}
        self.compiler: list[str] = []
        self.items: list[LinkWord] = []

    def value(self, option: str) -> str:
        """The word that belongs to `option`, joined to it or following."""
        word = self.words[self.at]
        if len(word) > len(option):
            return word[len(option) :].removeprefix("=") if option.startswith("--") else word[len(option) :]
        if self.at + 1 >= len(self.words):
            raise _bad(option, "needs a value")
        self.at += 1
        return self.words[self.at]

    def input(self, word: str) -> None:
        suffix = os.path.splitext(word)[1]
        if suffix == ".so" or ".so." in os.path.basename(word):
            raise _bad(word, "is a dynamically linked library", "link with a stub library or an archive")
        if word == "-" and not self.language:
            raise _bad("-", "standard input needs a language", "give -x c")
        self.items.append(LinkWord(word, bool(self.language) or suffix in SOURCES, self.language))


def _own(parsing: _Parsing, word: str) -> None:
    option = word.split("=")[0]
    parsing.values[_OWN[option]] = parsing.value(option)


def _output(parsing: _Parsing, word: str) -> None:
    parsing.values["output"] = parsing.value("-o")


def _language(parsing: _Parsing, word: str) -> None:
    language = parsing.value("-x")
    parsing.language = "" if language == "none" else language


def _stop(parsing: _Parsing, word: str) -> None:
    parsing.values["stop"] = word


def _dependencies(parsing: _Parsing, word: str) -> None:
    parsing.values["stop"] = "-E"
    parsing.compiler.append(word)


def _machine(parsing: _Parsing, word: str) -> None:
    parsing.values["machine"] = word


def _static(parsing: _Parsing, word: str) -> None:
    parsing.values["scheme"] = parsing.values.get("scheme") or "static"


def _threads(parsing: _Parsing, word: str) -> None:
    parsing.compiler.append("-D_REENTRANT")


def _leave_out(parsing: _Parsing, word: str) -> None:
    if word != "-nodefaultlibs":
        parsing.values["start_files"] = False
    if word != "-nostartfiles":
        parsing.values["default_libraries"] = False


def _linker_words(parsing: _Parsing, word: str) -> None:
    parsing.items += [LinkWord(part) for part in word[4:].split(",")]


def _linker_word(parsing: _Parsing, word: str) -> None:
    parsing.items.append(LinkWord(parsing.value(word)))


def _refuse(parsing: _Parsing, word: str) -> None:
    raise _bad(word, "is not possible here", _REFUSED[word])


def _ignore(parsing: _Parsing, word: str) -> None:
    pass


def _link_alone(parsing: _Parsing, word: str) -> None:
    parsing.items.append(LinkWord(word))


def _link_with_word(parsing: _Parsing, word: str) -> None:
    parsing.items.append(LinkWord(word[:2] + parsing.value(word[:2])))


def _with_word(parsing: _Parsing, word: str) -> None:
    parsing.compiler += [word, parsing.value(word)]


def _ask(parsing: _Parsing, word: str) -> None:
    parsing.values["ask"] = True
    if word == "--help":
        parsing.values["help"] = True
    parsing.compiler.append(word)


# The first row whose test holds says what a word that begins with `-` means; a word that no row knows is the compiler's.
_ROWS: tuple[tuple[Callable[[str], bool], Callable[[_Parsing, str], None]], ...] = (
    (lambda word: word.split("=")[0] in _OWN, _own),
    (lambda word: word.startswith("-o") and not word.startswith("-object"), _output),
    (lambda word: word.startswith("-x"), _language),
    (frozenset(("-c", "-S", "-E")).__contains__, _stop),
    (frozenset(("-M", "-MM")).__contains__, _dependencies),
    (frozenset(("-m32", "-m64")).__contains__, _machine),
    (frozenset(("-static",)).__contains__, _static),
    (frozenset(("-pthread",)).__contains__, _threads),
    (frozenset(("-nostdlib", "-nostartfiles", "-nodefaultlibs")).__contains__, _leave_out),
    (lambda word: word.startswith("-Wl,"), _linker_words),
    (frozenset(("-Xlinker",)).__contains__, _linker_word),
    (_REFUSED.__contains__, _refuse),
    (_LINK_IGNORED.__contains__, _ignore),
    (_LINK_ALONE.__contains__, _link_alone),
    (lambda word: word[:2] in _LINK_WITH_WORD, _link_with_word),
    (_WITH_WORD.__contains__, _with_word),
    (lambda word: word.startswith(_ASK_COMPILER), _ask),
)


def parse(arguments: list[str]) -> Command:
    """Parses a command line. Raises UsageError."""
    parsing = _Parsing(expand_response_files(arguments))
    parsing.values["sysroot"] = os.environ.get("USELIB_SYSROOT", "")
    while parsing.at < len(parsing.words):
        word = parsing.words[parsing.at]
        if not word.startswith("-") or word == "-":
            parsing.input(word)
        else:
            take = next((take for test, take in _ROWS if test(word)), None)
            if take is not None:
                take(parsing, word)
            else:
                parsing.compiler.append(word)
        parsing.at += 1
    _check_scheme(str(parsing.values.get("scheme", "")))
    return Command(**parsing.values, compiler=parsing.compiler, items=parsing.items)  # type: ignore[arg-type]


def _check_scheme(scheme: str) -> None:
    if scheme not in ("", *SCHEMES):
        remedy = f"use {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
        remedy = "`uselib shlicc` makes such programs" if scheme == "bsdos" else remedy
        raise _bad("--scheme", f"`{scheme}` is not a scheme", remedy)


def _compile(compiler: Compiler, sysroot: Sysroot, command: Command, item: LinkWord, mode: str, output: str) -> None:
    language = ["-x", item.language] if item.language else []
    headers = ["-nostdinc", "-isystem", str(sysroot.include), "-isystem", compiler.headers]
    flags = [*compiler.machine_flags(sysroot.machine), *compiler.common_flags(), *command.compiler]
    target = ["-o", output] if output else []
    arguments = [*compiler.command, *flags, *headers, mode, *language, item.text, *target]
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


__all__ = ["Command", "LinkWord", "check_inputs", "compile_sources", "link_arguments", "parse", "run"]
