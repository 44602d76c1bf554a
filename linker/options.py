"""GNU ld's command line: a table of options, and what they ask for as one immutable `Options`.

Long options may be written with one or two dashes, as in GNU ld, and `-o`-like single letters may be joined with their
value. An option that is not in the table is refused by name: silently ignoring it could change what a program does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.image import Machine


@dataclass(frozen=True)
class InputArgument:
    """A file, or (library) a -l name, in command-line order."""

    name: str
    library: bool = False
    whole: bool = False


@dataclass(frozen=True)
class InputGroup:
    """--start-group ... --end-group: searched again and again until nothing new is taken."""

    members: tuple[InputArgument, ...]


@dataclass(frozen=True)
class Options:
    """What to link and how. Addresses are None where the machine's default holds."""

    inputs: tuple[InputArgument | InputGroup, ...] = ()
    output: str = "a.out"
    machine: Machine | None = None  # None: that of the first object
    format: str = "elf"  # of the output: elf, aout, coff, textbook
    magic: str = ""  # a.out: omagic (-N), qmagic; "": ZMAGIC
    library_paths: tuple[str, ...] = ()
    sysroot: str = ""
    entry: str = "_start"
    base: int | None = None  # --image-base, -Ttext-segment
    section_starts: tuple[tuple[str, int], ...] = ()  # -Ttext, -Tdata, -Tbss, --section-start
    undefined: tuple[str, ...] = ()  # -u
    defsym: tuple[tuple[str, str], ...] = ()
    wrap: tuple[str, ...] = ()
    gc_sections: bool = False
    print_gc_sections: bool = False
    strip_all: bool = False
    strip_debug: bool = False
    discard_locals: bool = False
    eh_frame_hdr: bool = False
    build_id: str = ""  # "", "sha1", "md5", or hexadecimal digits
    map_file: str = ""
    print_map: bool = False
    trace: bool = False
    scheme: str = ""  # "" or one of SCHEMES
    interpreter: str = ""  # --dynamic-linker, which only scheme interp looks at
    rpath: tuple[str, ...] = ()
    version_rule: str = ""  # a name of uselib.linker.versions.RULES, or empty: none is recorded
    executable_stack: bool | None = None  # -z execstack, -z noexecstack
    stack_size: int = 0
    max_page_size: int = 0x1000
    separate_code: bool = True
    allow_multiple_definition: bool = False
    warn_common: bool = False
    fatal_warnings: bool = False
    no_warnings: bool = False
    unresolved_are_errors: bool = True
    help: bool = False
    version: bool = False
    trace_symbols: tuple[str, ...] = field(default=())


EMULATIONS = {
    "elf_i386": Machine.I386,
    "elf_x86_64": Machine.X86_64,
    "i386linux": Machine.I386,
    "i386coff": Machine.I386,
    "textbook": Machine.I386,
}
FORMATS = {"i386linux": "aout", "i386coff": "coff", "textbook": "textbook"}  # of the output; the others make ELF

# Who maps a program's libraries, and when (docs/formats.md, start-up contract); all but the first link with stub libraries.
SCHEMES = ("static", "uselib", "mmap", "kernel", "bsdos", "interp")

# Kinds of option: what follows the name, and what it does.
FLAG, VALUE, IGNORED, IGNORED_VALUE, REFUSED, REFUSED_VALUE = range(6)

# name -> (kind, key). For REFUSED the key is the remedy.
TABLE: dict[str, tuple[int, str]] = {
    "o": (VALUE, "output"), "output": (VALUE, "output"),
    "m": (VALUE, "emulation"),
    "L": (VALUE, "library_path"), "library-path": (VALUE, "library_path"),
    "l": (VALUE, "library"), "library": (VALUE, "library"),
    "e": (VALUE, "entry"), "entry": (VALUE, "entry"),
    "u": (VALUE, "undefined"), "undefined": (VALUE, "undefined"), "require-defined": (VALUE, "undefined"),
    "T": (VALUE, "script"), "script": (VALUE, "script"),
    "Ttext": (VALUE, "start .text"), "Tdata": (VALUE, "start .data"), "Tbss": (VALUE, "start .bss"),
    "section-start": (VALUE, "section_start"),
    "Ttext-segment": (VALUE, "base"), "image-base": (VALUE, "base"),
    "defsym": (VALUE, "defsym"), "wrap": (VALUE, "wrap"),
    "Map": (VALUE, "map_file"), "M": (FLAG, "print_map"), "print-map": (FLAG, "print_map"), "cref": (IGNORED, ""),
    "gc-sections": (FLAG, "gc_sections"), "no-gc-sections": (FLAG, "no gc_sections"),
    "print-gc-sections": (FLAG, "print_gc_sections"), "no-print-gc-sections": (FLAG, "no print_gc_sections"),
    "s": (FLAG, "strip_all"), "strip-all": (FLAG, "strip_all"),
    "S": (FLAG, "strip_debug"), "strip-debug": (FLAG, "strip_debug"),
    "x": (FLAG, "discard_locals"), "discard-all": (FLAG, "discard_locals"),
    "X": (IGNORED, ""), "discard-locals": (IGNORED, ""), "discard-none": (IGNORED, ""),
    "eh-frame-hdr": (FLAG, "eh_frame_hdr"), "no-eh-frame-hdr": (FLAG, "no eh_frame_hdr"),
    "z": (VALUE, "keyword"), "sysroot": (VALUE, "sysroot"), "scheme": (VALUE, "scheme"),
    "rpath": (VALUE, "rpath"), "R": (VALUE, "rpath"), "rpath-link": (IGNORED_VALUE, ""),
    "version-rule": (VALUE, "version_rule"),
    "t": (FLAG, "trace"), "trace": (FLAG, "trace"),
    "y": (VALUE, "trace_symbol"), "trace-symbol": (VALUE, "trace_symbol"),
    "allow-multiple-definition": (FLAG, "allow_multiple_definition"),
    "warn-common": (FLAG, "warn_common"), "no-warn-common": (FLAG, "no warn_common"),
    "fatal-warnings": (FLAG, "fatal_warnings"), "no-fatal-warnings": (FLAG, "no fatal_warnings"),
    "w": (FLAG, "no_warnings"), "no-warnings": (FLAG, "no_warnings"),
    "warn-unresolved-symbols": (FLAG, "no unresolved_are_errors"), "noinhibit-exec": (IGNORED, ""),
    "error-unresolved-symbols": (FLAG, "unresolved_are_errors"),
    "no-undefined": (IGNORED, ""), "unresolved-symbols": (VALUE, "unresolved"),
    "help": (FLAG, "help"), "version": (FLAG, "version"), "v": (FLAG, "version"), "V": (FLAG, "version"),
    "start-group": (FLAG, "("), "(": (FLAG, "("), "end-group": (FLAG, ")"), ")": (FLAG, ")"),
    "whole-archive": (FLAG, "whole"), "no-whole-archive": (FLAG, "no whole"),
    "push-state": (FLAG, "push"), "pop-state": (FLAG, "pop"),
    # accepted, because compilers pass them and a static link has nothing to do for them
    "static": (IGNORED, ""), "Bstatic": (IGNORED, ""), "dn": (IGNORED, ""), "non_shared": (IGNORED, ""),
    "Bdynamic": (IGNORED, ""), "dy": (IGNORED, ""), "call_shared": (IGNORED, ""), "nostdlib": (IGNORED, ""),
    "as-needed": (IGNORED, ""), "no-as-needed": (IGNORED, ""), "add-needed": (IGNORED, ""),
    "no-add-needed": (IGNORED, ""), "copy-dt-needed-entries": (IGNORED, ""), "no-copy-dt-needed-entries": (IGNORED, ""),
    "dynamic-linker": (VALUE, "interpreter"), "I": (VALUE, "interpreter"), "no-dynamic-linker": (IGNORED, ""),
    "no-pie": (IGNORED, ""), "hash-style": (IGNORED_VALUE, ""), "plugin": (IGNORED_VALUE, ""),
    "plugin-opt": (IGNORED_VALUE, ""), "O": (IGNORED_VALUE, ""), "G": (IGNORED_VALUE, ""), "A": (IGNORED_VALUE, ""),
    "export-dynamic": (IGNORED, ""), "E": (IGNORED, ""), "no-export-dynamic": (IGNORED, ""),
    "Bsymbolic": (IGNORED, ""), "Bsymbolic-functions": (IGNORED, ""), "relax": (IGNORED, ""), "no-relax": (IGNORED, ""),
    "n": (IGNORED, ""), "nmagic": (IGNORED, ""), "g": (IGNORED, ""), "d": (IGNORED, ""), "dc": (IGNORED, ""),
    "dp": (IGNORED, ""), "define-common": (IGNORED, ""), "no-define-common": (IGNORED, ""),
    "soname": (IGNORED_VALUE, ""), "h": (IGNORED_VALUE, ""), "sort-common": (IGNORED, ""),
    "sort-section": (IGNORED_VALUE, ""), "no-ld-generated-unwind-info": (IGNORED, ""),
    "ld-generated-unwind-info": (IGNORED, ""), "stats": (IGNORED, ""), "demangle": (IGNORED, ""),
    "no-demangle": (IGNORED, ""), "color-diagnostics": (IGNORED, ""), "no-color-diagnostics": (IGNORED, ""),
    "verbose": (IGNORED, ""), "no-omagic": (IGNORED, ""), "check-sections": (IGNORED, ""),
    "no-check-sections": (IGNORED, ""), "warn-once": (IGNORED, ""), "warn-execstack": (IGNORED, ""),
    "no-warn-execstack": (IGNORED, ""), "warn-rwx-segments": (IGNORED, ""), "no-warn-rwx-segments": (IGNORED, ""),
    "warn-section-align": (IGNORED, ""), "no-warn-mismatch": (IGNORED, ""), "no-warn-search-mismatch": (IGNORED, ""),
    "no-keep-memory": (IGNORED, ""), "reduce-memory-overheads": (IGNORED, ""), "threads": (IGNORED, ""),
    "no-threads": (IGNORED, ""), "version-script": (IGNORED_VALUE, ""), "dynamic-list": (IGNORED_VALUE, ""),
    "exclude-libs": (IGNORED_VALUE, ""), "build-id": (FLAG, "build_id"), "dependency-file": (IGNORED_VALUE, ""),
    "no-allow-shlib-undefined": (IGNORED, ""), "allow-shlib-undefined": (IGNORED, ""), "icf": (IGNORED_VALUE, ""),
    # refused: asking for another kind of output
    "shared": (REFUSED, "use `uselib mkshlib` for a fixed-address shared library"),
    "Bshareable": (REFUSED, "use `uselib mkshlib` for a fixed-address shared library"),
    "pie": (REFUSED, "link with -no-pie (and compile with -fno-pie)"),
    "pic-executable": (REFUSED, "link with -no-pie (and compile with -fno-pie)"),
    "static-pie": (REFUSED, "link with -static -no-pie"),
    "r": (REFUSED, "give the object files themselves to the final link"),
    "relocatable": (REFUSED, "give the object files themselves to the final link"),
    "i": (REFUSED, "give the object files themselves to the final link"),
    "N": (FLAG, "magic omagic"), "omagic": (FLAG, "magic omagic"), "qmagic": (FLAG, "magic qmagic"),
    "emit-relocs": (REFUSED, "the output has no relocations"), "q": (REFUSED, "the output has no relocations"),
    "oformat": (REFUSED_VALUE, "the output is ELF"), "b": (REFUSED_VALUE, "inputs are ELF"),
    "format": (REFUSED_VALUE, "inputs are ELF"),
}  # fmt: skip

_JOINED = frozenset("oLleumzTyRIhOGA")  # single letters whose value may follow without a space
_OPTIONAL_VALUE = frozenset(
    ("threads", "color-diagnostics", "build-id", "sort-common", "demangle", "unresolved-symbols")
)

_Z_IGNORED = frozenset(
    (
        "call-nop", "cet-report", "combreloc", "common", "defs", "dynamic-undefined-weak", "force-ibt", "global",
        "ibt", "ibtplt", "indirect-extern-access", "initfirst", "interpose", "keep-text-section-prefix", "lazy",
        "loadfltr", "nocombreloc", "nocommon", "nodelete", "nodlopen", "nodump", "nodynamic-undefined-weak",
        "noextern-prot-data", "noextern-protected-data", "nognustack", "noindirect-extern-access",
        "nokeep-text-section-prefix", "nopack-relative-relocs", "norelro", "noseparate-code", "nostart-stop-gc",
        "notext", "nounique-symbol", "now", "origin", "pack-relative-relocs", "relro", "report-relative-reloc",
        "rodynamic", "separate-code", "separate-loadable-segments", "shstk", "start-stop-gc", "text", "textoff",
        "undefs", "unique-symbol",
    )
)  # fmt: skip


def _bad(option: str, message: str, remedy: str = "") -> UsageError:
    return UsageError(Diagnostic("ld", message, symbol=option, remedy=remedy))


def expand_response_files(arguments: list[str], depth: int = 0) -> list[str]:
    """Replaces each `@FILE` by the words in FILE (quotes and backslashes as in a shell), as GNU ld does."""
    result: list[str] = []
    for argument in arguments:
        if argument.startswith("@") and len(argument) > 1 and os.path.isfile(argument[1:]):
            if depth > 20:
                raise _bad(argument, "response files include one another without end")
            import shlex  # only where there is a response file

            with open(argument[1:], encoding="utf-8", errors="surrogateescape") as file:
                try:
                    words = shlex.split(file.read())
                except ValueError as failure:
                    raise _bad(argument, f"damaged response file: {failure}") from None
            result += expand_response_files(words, depth + 1)
        else:
            result.append(argument)
    return result


def number(text: str, option: str, *, bare_hexadecimal: bool = False) -> int:
    """0x-prefixed hexadecimal, 0-prefixed octal, or decimal; -Ttext and its like read bare digits as hexadecimal."""
    try:
        lower = text.lower()
        if bare_hexadecimal or lower.startswith("0x"):
            value = int(lower, 16)
        else:
            value = int(lower, 8 if lower.startswith("0") and len(lower) > 1 else 10)
    except ValueError:
        raise _bad(option, f"`{text}` is not a number") from None
    if not 0 <= value < 1 << 64:
        raise _bad(option, f"`{text}` is out of range")
    return value


@dataclass
class _CommandLine:
    """What the parser collects. `values` are keyword arguments of Options."""

    values: dict[str, object] = field(default_factory=dict)
    lists: dict[str, list[object]] = field(default_factory=dict)
    inputs: list[InputArgument | InputGroup] = field(default_factory=list)
    group: list[InputArgument] | None = None
    whole: bool = False
    pushed: list[bool] = field(default_factory=list)

    def add(self, key: str, value: object) -> None:
        self.lists.setdefault(key, []).append(value)

    def input(self, name: str, library: bool = False) -> None:
        argument = InputArgument(name, library, self.whole)
        (self.inputs if self.group is None else self.group).append(argument)


def _split(argument: str) -> tuple[str, str | None]:
    """Option name and joined value of `-name`, `--name=value` or `-Lvalue`."""
    body = argument[2:] if argument.startswith("--") else argument[1:]
    name, equals, value = body.partition("=")
    if name in TABLE and (len(name) > 1 or argument.startswith("--") or not equals):
        return name, value if equals else None
    if not argument.startswith("--") and body[:1] in _JOINED:
        return body[0], body[1:]
    if name in TABLE:
        return name, value
    return name, value if equals else None


def _flag(state: _CommandLine, key: str, option: str, value: str | None) -> None:
    if key == "(":
        if state.group is not None:
            raise _bad(option, "groups may not be nested")
        state.group = []
    elif key == ")":
        if state.group is None:
            raise _bad(option, "there is no group to end")
        state.inputs.append(InputGroup(tuple(state.group)))
        state.group = None
    elif key in ("whole", "no whole"):
        state.whole = key == "whole"
    elif key == "push":
        state.pushed.append(state.whole)
    elif key == "pop":
        if not state.pushed:
            raise _bad(option, "no --push-state before it")
        state.whole = state.pushed.pop()
    elif key.startswith("magic "):
        state.values["magic"] = key.removeprefix("magic ")
    elif key == "build_id":
        state.values[key] = _build_id("sha1" if value is None else value, option)
    else:
        state.values[key.removeprefix("no ")] = not key.startswith("no ")


def _build_id(style: str, option: str) -> str:
    if style in ("none", ""):
        return ""
    if style in ("sha1", "md5", "fast", "tree", "uuid"):  # uuid would be different each time: reproducible instead
        return "md5" if style == "md5" else "sha1"
    digits = style.lower().removeprefix("0x")
    if (
        style.lower().startswith("0x")
        and digits
        and not len(digits) % 2
        and all(c in "0123456789abcdef" for c in digits)
    ):
        return digits
    raise _bad(option, f"`{style}` is no build-id style", "write sha1, md5, none or 0xHEXDIGITS")


def _value(state: _CommandLine, key: str, option: str, value: str) -> None:
    if key == "library":
        state.input(value, library=True)
    elif key == "emulation":
        if value not in EMULATIONS:
            raise _bad(f"-m {value}", "no such emulation", f"there are {', '.join(EMULATIONS)}")
        state.values["machine"] = EMULATIONS[value]
        state.values["format"] = FORMATS.get(value, "elf")
    elif key == "script":
        raise _bad(f"-T {value}", "linker scripts with SECTIONS are not supported", "use -Ttext, -Tdata, --image-base")
    elif key.startswith("start "):
        state.add("section_starts", (key[6:], number(value, option, bare_hexadecimal=True)))
    elif key == "section_start":
        name, equals, address = value.partition("=")
        if not equals:
            raise _bad(option, f"`{value}` should be SECTION=ADDRESS")
        state.add("section_starts", (name, number(address, option, bare_hexadecimal=True)))
    elif key == "base":
        state.values["base"] = number(value, option, bare_hexadecimal=option.lstrip("-").startswith("T"))
    elif key == "defsym":
        name, equals, expression = value.partition("=")
        if not equals or not name or not expression:
            raise _bad(option, f"`{value}` should be SYMBOL=EXPRESSION")
        state.add("defsym", (name.strip(), expression.strip()))
    elif key == "scheme":
        if value not in SCHEMES:
            raise _bad(option, f"`{value}` is no scheme", f"write {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}")
        state.values["scheme"] = value
    elif key == "version_rule":
        from uselib.linker.versions import rule_named  # only where it is asked for

        state.values[key] = rule_named(value, option).name
    elif key == "rpath":
        for directory in value.split(":"):
            state.add("rpath", directory)
    elif key == "keyword":
        _keyword(state, value)
    elif key == "unresolved":
        if value not in ("ignore-all", "report-all", "ignore-in-object-files", "ignore-in-shared-libs"):
            raise _bad(option, f"`{value}` is no method")
        state.values["unresolved_are_errors"] = value in ("report-all", "ignore-in-shared-libs")
    elif key in ("library_path", "undefined", "wrap", "trace_symbol"):
        state.add({"library_path": "library_paths", "trace_symbol": "trace_symbols"}.get(key, key), value)
    else:
        state.values[key] = value


def _keyword(state: _CommandLine, word: str) -> None:
    """-z WORD."""
    name, _, value = word.partition("=")
    if name in ("execstack", "noexecstack"):
        state.values["executable_stack"] = name == "execstack"
    elif name == "muldefs":
        state.values["allow_multiple_definition"] = True
    elif name == "stack-size":
        state.values["stack_size"] = number(value, f"-z {word}")
    elif name in ("max-page-size", "common-page-size"):
        size = number(value, f"-z {word}")
        if size & (size - 1) or not size:
            raise _bad(f"-z {word}", "not a power of two")
        if name == "max-page-size":
            state.values["max_page_size"] = max(size, 0x1000)
    elif name not in _Z_IGNORED:
        raise _bad(f"-z {word}", "unknown keyword")


def parse(arguments: list[str]) -> Options:
    """The options of an `ld` command line. Raises UsageError, naming the option."""
    words = expand_response_files(arguments)
    state = _CommandLine()
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-") or word == "-":
            state.input(word)
            continue
        name, value = _split(word)
        if name not in TABLE:
            raise _bad(word, "unknown option")
        kind, key = TABLE[name]
        if kind in (REFUSED, REFUSED_VALUE):
            raise _bad(word, "not supported", key)
        if kind in (VALUE, IGNORED_VALUE) and value is None:
            if position >= len(words):
                raise _bad(word, "needs a value")
            value = words[position]
            position += 1
        if kind in (FLAG, IGNORED) and value is not None and name not in _OPTIONAL_VALUE:
            raise _bad(word, "takes no value")
        if kind == FLAG:
            _flag(state, key, word, value)
        elif kind == VALUE:
            assert value is not None
            _value(state, key, word.partition("=")[0] if word.startswith("--") else word, value)
    if state.group is not None:
        raise _bad("--start-group", "has no --end-group")
    values = state.values | {key: tuple(items) for key, items in state.lists.items()}
    if values.get("magic") and values.get("format") != "aout":
        raise _bad(
            f"--{values['magic']}", "not supported", "segments are kept apart (W^X) here; -m i386linux makes a.out"
        )
    return Options(inputs=tuple(state.inputs), **values)  # type: ignore[arg-type]
