"""Headers -> one text without directives, its macros, and from which file and line each line of it is.

A C compiler's own preprocessor does this (`cc -E -dD`), so the text is what a program with these headers sees. Without a compiler, `#include
"..."` is followed, simple conditions are decided and object-like macros expanded; of system headers only the usual type names are known then
(`SYSTEM_TYPES`).
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from uselib.linker.c_types.directives import preprocessed, without_comments
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field
from uselib.linker.reading import read_file

_MARKER = re.compile(r'#\s*(?:line\s+)?(\d+)\s+"((?:[^"\\]|\\.)*)"([ \d]*)$')
_DEFINE = re.compile(r"#\s*(define|undef)\s+(\w+)(\(?)(.*)", re.DOTALL)
_PACK = re.compile(r"#\s*pragma\s+pack\s*\(([^)]*)\)")
_ERROR = re.compile(r"^(.*?):(\d+)(?::\d+)?:\s*(?:fatal )?error:\s*(.*)$", re.MULTILINE)
_INCLUDE = re.compile(r'\s*#\s*include\s*"([^"\n]+)"', re.DOTALL)
_DECORATION = re.compile(r"\b(?:__BEGIN_DECLS|__END_DECLS|__THROW|__THROWNL|__wur|G_BEGIN_DECLS|G_END_DECLS)\b")
_MARK = "uselib macro"
_MARKED = re.compile(rf'"{_MARK} (\d+)"')
_TIMEOUT = 120  # seconds; a header that includes itself without end stops at the compiler's own limit long before
_DEEPEST = 200  # nested includes, as gcc

SYSTEM_TYPES = """
typedef unsigned long size_t; typedef long ssize_t; typedef long ptrdiff_t; typedef long intptr_t; typedef unsigned long uintptr_t;
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
typedef long long intmax_t; typedef unsigned long long uintmax_t; typedef int wchar_t; typedef unsigned int wint_t;
typedef long time_t; typedef long off_t; typedef int pid_t; typedef unsigned int uid_t; typedef unsigned int gid_t;
typedef unsigned int mode_t; typedef struct _IO_FILE FILE; typedef _Bool bool; typedef __builtin_va_list va_list;
"""  # int64_t is `long` on x86-64, and has the size and representation of `long long`


class Macro(NamedTuple):
    """body None: function-like."""

    name: str
    body: str | None
    file: str
    line: int
    system: bool = False


@dataclass
class PreprocessedText:
    """The text. starts, places: the line (from 0) of `text` where a new run of lines begins, and the file, line and system flag
    of the first of them. packs: likewise, the limit of `#pragma pack` from there on, 0 none."""

    text: str
    starts: list[int] = field(default_factory=list)
    places: list[tuple[str, int, bool]] = field(default_factory=list)
    pack_starts: list[int] = field(default_factory=list)
    packs: list[int] = field(default_factory=list)
    macros: dict[str, Macro] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # what was preprocessed

    def place(self, line: int) -> tuple[str, int, bool]:
        """File, line (from 1) and whether it is a system header, of line `line` (from 0)."""
        index = bisect_right(self.starts, line) - 1
        if index < 0:
            return "", line + 1, True
        file, first, system = self.places[index]
        return file, first + line - self.starts[index], system

    def pack(self, line: int) -> int:
        index = bisect_right(self.pack_starts, line) - 1
        return self.packs[index] if index >= 0 else 0


@dataclass(frozen=True)
class Settings:
    """include_dirs: as -I; defines: NAME or NAME=VALUE, as -D; compiler: the command with what selects the machine, () none."""

    machine: Machine
    include_dirs: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    compiler: tuple[str, ...] = ()


class _Packs:
    """The stack of `#pragma pack` (gcc's and MSVC's rules)."""

    def __init__(self) -> None:
        self.now = 0
        self._stack: list[tuple[str, int]] = []

    def take(self, argument: str) -> None:
        words = [word.strip() for word in argument.split(",") if word.strip()]
        if words[:1] == ["push"]:
            self._stack.append((next((w for w in words[1:] if not w.isdigit()), ""), self.now))
            words = words[1:]
        elif words[:1] == ["pop"]:
            name = next((w for w in words[1:] if not w.isdigit()), "")
            while self._stack:
                label, self.now = self._stack.pop()
                if not name or label == name:
                    break
            words = words[1:]
        elif not words:
            self.now = 0
        for word in words:
            if word.isdigit():
                self.now = int(word)


def _unescaped(name: str) -> str:
    return name.replace('\\"', '"').replace("\\\\", "\\")


def scanned(output: str) -> PreprocessedText:
    """Reads the output of `cc -E -dD`."""
    source = PreprocessedText("")
    packs = _Packs()
    lines: list[str] = []
    for line in output.split("\n"):
        if not line.startswith("#"):
            lines.append(line)
            continue
        number = len(lines)
        lines.append("")
        if marker := _MARKER.match(line):
            source.starts.append(number + 1)
            source.places.append((_unescaped(marker[2]), int(marker[1]), "3" in marker[3].split()))
        elif define := _DEFINE.match(line):
            if define[1] == "undef":
                source.macros.pop(define[2], None)
            else:
                body = None if define[3] else define[4].strip()
                source.macros[define[2]] = Macro(define[2], body, *source.place(number))
        elif pack := _PACK.match(line):
            packs.take(pack[1])
            source.pack_starts.append(number)
            source.packs.append(packs.now)
    source.text = "\n".join(lines)
    return source


def _run(command: Sequence[str], directory: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": directory}
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=_TIMEOUT)
    except OSError as failure:
        raise FormatError(Diagnostic(command[0], f"cannot be run: {failure.strerror}")) from None
    except subprocess.TimeoutExpired:
        raise FormatError(Diagnostic(command[0], f"has not preprocessed the headers within {_TIMEOUT} s")) from None


def _command(files: Sequence[str], settings: Settings, directory: str) -> list[str]:
    """The preprocessor's command line without its input, an empty file behind all headers."""
    command = [*settings.compiler, "-E", "-x", "c", "-w"]
    command += [f"-I{name}" for name in settings.include_dirs]
    command += [f"-D{name}" for name in settings.defines]
    if settings.machine is Machine.I386:
        # A host without the 32-bit C library's package lacks one generated file that <features.h> asks for; this reader needs nothing of it.
        (Path(directory) / "gnu").mkdir()
        (Path(directory) / "gnu" / "stubs-32.h").touch()
        for folder in ("/usr/include/i386-linux-gnu", "/usr/include/x86_64-linux-gnu"):
            command += ["-idirafter", folder]
        command += ["-idirafter", directory]
    for name in files:
        command += ["-include", os.path.abspath(name)]
    return command


def with_compiler(files: Sequence[str], settings: Settings) -> PreprocessedText:
    """Raises FormatError(FILE:LINE, the compiler's message) if a header is missing or stops the preprocessor."""
    with tempfile.TemporaryDirectory(prefix="uselib-headers-") as directory:
        done = _run([*_command(files, settings, directory), "-dD", os.devnull], directory)
    if done.returncode:
        text = done.stderr.decode("utf-8", "replace")
        found = _ERROR.search(text)
        where = f"{_shown(found[1])}:{found[2]}" if found else settings.compiler[0]
        said = found[3] if found else (text.strip().splitlines() or ["failed without a word"])[-1]
        raise FormatError(Diagnostic(where, said, remedy="-I DIR and -D NAME=VALUE tell the preprocessor more"))
    return scanned(done.stdout.decode("utf-8", "surrogateescape"))


def expansions(files: Sequence[str], settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """The expansions of macros behind all headers, function-like macros included, as the compiler makes them. {} without a compiler."""
    if not settings.compiler or not names:
        return {}
    with tempfile.TemporaryDirectory(prefix="uselib-headers-") as directory:
        source = Path(directory) / "names.c"
        source.write_text("".join(f'"{_MARK} {number}" {name}\n' for number, name in enumerate(names)))
        done = _run([*_command(files, settings, directory), "-P", str(source)], directory)
    parts = _MARKED.split(done.stdout.decode("utf-8", "surrogateescape"))[1:]
    return {names[int(number)]: text.strip() for number, text in zip(parts[::2], parts[1::2], strict=True)}


def _shown(path: str) -> str:
    """A path as the user would write it: below the working directory, relative."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def decoded(data: bytes) -> str:
    """UTF-8 or Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def without_compiler(files: Sequence[str], settings: Settings) -> PreprocessedText:
    """The text of the files and of those that they include by `#include "..."`, each once. Raises OSError, FormatError."""
    lines: list[str] = SYSTEM_TYPES.splitlines()
    source = PreprocessedText("", [0], [("<types>", 1, True)])
    seen: set[str] = set()

    def take(path: str, depth: int) -> None:
        real = os.path.realpath(path)
        if real in seen or depth > _DEEPEST:
            return
        seen.add(real)
        text = decoded(read_file(path))
        if "\0" in text:
            raise FormatError(Diagnostic(path, "not text; give C headers"))
        text = without_comments(text.replace("\r\n", "\n"))
        source.starts.append(len(lines))
        source.places.append((path, 1, False))
        for number, line in enumerate(text.split("\n")):
            included = _INCLUDE.match(line)
            found = _found(included[1], os.path.dirname(path), settings.include_dirs) if included else None
            if found is None:
                lines.append(line)
                continue
            take(found, depth + 1)
            source.starts.append(len(lines))
            source.places.append((path, number + 1, False))
            lines.append("")

    for path in files:
        take(path, 0)
    macros = {name.partition("=")[0]: name.partition("=")[2] or "1" for name in settings.defines}
    defined: list[tuple[int, str, str | None]] = []
    packs = _Packs()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#") and (pack := _PACK.match(line.lstrip())):
            packs.take(pack[1])
            source.pack_starts.append(number)
            source.packs.append(packs.now)
    source.text = _DECORATION.sub(" ", preprocessed("\n".join(lines), macros, defined))
    for number, name, body in defined:
        if name in macros:  # not undefined again
            source.macros[name] = Macro(name, body, *source.place(number))
    return source


def _found(name: str, directory: str, include_dirs: Sequence[str]) -> str | None:
    candidates = (os.path.join(folder, name) for folder in (directory, *include_dirs))
    return next((path for path in candidates if os.path.isfile(path)), None)


def preprocess(files: Sequence[str], settings: Settings) -> PreprocessedText:
    """One text of all headers, in their order. Raises FormatError(FILE:LINE: ...) and OSError."""
    for name in files:
        if "\0" in name:
            raise FormatError(Diagnostic(name, "is not a file name"))
    source = with_compiler(files, settings) if settings.compiler else without_compiler(files, settings)
    source.files = tuple(files)
    return source
