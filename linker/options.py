"""GNU ld's command line: what its options (option_table.py) ask for as one immutable `Options`.

Long options may be written with one or two dashes and be abbreviated, as in GNU ld, and `-o`-like single letters may be
joined with their value. An option that is not in the table is refused by name: to ignore it could change what a program does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from uselib.linker.errors import Diagnostic, UsageError, some
from uselib.linker.image import Machine
from uselib.linker.option_table import (
    FLAG,
    IGNORED,
    IGNORED_VALUE,
    JOINED,
    OPTIONAL_VALUE,
    REFUSED,
    REFUSED_VALUE,
    TABLE,
    VALUE,
    Z_IGNORED,
    Z_KEPT,
)
from uselib.linker.quick_dataclass import dataclass, field


@dataclass(frozen=True)
class InputArgument:
    """A file, or (library) a -l name, in command-line order."""

    name: str
    library: bool = False
    whole: bool = False
    dynamic: bool = True  # whether a -l name may be a shared object (-Bdynamic)
    as_needed: bool = False  # whether a shared object is left out of DT_NEEDED where nothing refers to it


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
    require_defined: tuple[str, ...] = ()
    defsym: tuple[tuple[str, str], ...] = ()
    wrap: tuple[str, ...] = ()
    gc_sections: bool = False
    print_gc_sections: bool = False
    strip_all: bool = False
    strip_debug: bool = False
    discard_locals: bool = False
    eh_frame_hdr: bool = False
    unique: tuple[str, ...] = ()  # patterns of --unique; "": sections that the layout does not know by name
    demangle: bool = True
    error_limit: int = 20  # errors of one kind that are shown; 0: all
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
    allow_multiple_definition: bool = False
    warn_common: bool = False
    fatal_warnings: bool = False
    no_warnings: bool = False
    unresolved_are_errors: bool = True
    help: bool = False
    version: bool = False
    trace_symbols: tuple[str, ...] = field(default=())
    shape: str = ""  # "shared", "pie", or empty: a program at fixed addresses
    soname: str = ""
    hash_style: str = "both"  # sysv, gnu, both
    export_dynamic: bool = False  # -E
    symbolic: str = ""  # -Bsymbolic: all; -Bsymbolic-functions: functions
    version_scripts: tuple[str, ...] = ()
    dynamic_lists: tuple[str, ...] = ()
    exclude_libs: tuple[str, ...] = ()
    no_undefined: bool = False  # also in shared objects
    old_dtags: bool = False  # DT_RPATH in place of DT_RUNPATH
    no_dynamic_linker: bool = False
    keywords: frozenset[str] = frozenset()  # of -z, those that the dynamic linker is told of; also norelro, notext


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
    dynamic: bool = True
    as_needed: bool = False
    pushed: list[tuple[bool, bool, bool]] = field(default_factory=list)
    keywords: set[str] = field(default_factory=set)

    def add(self, key: str, value: object) -> None:
        self.lists.setdefault(key, []).append(value)

    def input(self, name: str, library: bool = False) -> None:
        argument = InputArgument(name, library, self.whole, self.dynamic, self.as_needed)
        (self.inputs if self.group is None else self.group).append(argument)


def _split(argument: str) -> tuple[str, str | None]:
    """Option name and joined value of `-name`, `--name=value` or `-Lvalue`. Raises UsageError for an unknown or ambiguous name.

    As in GNU ld, a long option may have one dash and may be abbreviated, but `-o`, `-l` and `-L` always take what is joined to them.
    """
    single = not argument.startswith("--")
    body = argument[1:] if single else argument[2:]
    if single and (body[0] in "olL" or len(body) == 1) and body[0] in TABLE:
        return body[0], body[1:] or None
    name, equals, value = body.partition("=")
    found = _long_name(name, argument)
    if found:
        return found, value if equals else None
    if single and body[0] in JOINED and (body[0] not in "eu" or _SYMBOL.fullmatch(body[1:])):
        return body[0], body[1:]
    raise _bad(argument, "unknown option", _suggestion(name))


_SYMBOL = re.compile(r"[\w.$@]+")  # what may be joined to -e and -u: `-enable-new-dtag` is a mistyped option


def _long_name(name: str, argument: str) -> str:
    """The option that `name` is, or of which it is an unambiguous abbreviation; else empty. Raises UsageError."""
    if name in TABLE and len(name) > 1:
        return name
    if len(name) < 2:
        return ""
    found = [option for option in TABLE if option.startswith(name)]
    if len({TABLE[option] + ((option,) if TABLE[option][1] == "" else ()) for option in found}) > 1:
        raise _bad(argument, "an ambiguous option", f"write {some(sorted(f'--{option}' for option in found))}")
    return found[0] if found else ""


def _suggestion(name: str) -> str:
    from difflib import get_close_matches  # only for an error

    near = get_close_matches(name, [option for option in TABLE if len(option) > 1], 1)
    return f"did you mean --{near[0]}?" if near else "`uselib ld --help` lists the options"


def _flag(line: _CommandLine, key: str, option: str, value: str | None) -> None:
    if key == "(":
        if line.group is not None:
            raise _bad(option, "groups may not be nested")
        line.group = []
    elif key == ")":
        if line.group is None:
            raise _bad(option, "there is no group to end")
        line.inputs.append(InputGroup(tuple(line.group)))
        line.group = None
    elif key.removeprefix("no ") in ("whole", "dynamic", "as_needed"):
        setattr(line, key.removeprefix("no "), not key.startswith("no "))
    elif key == "push":
        line.pushed.append((line.whole, line.dynamic, line.as_needed))
    elif key == "pop":
        if not line.pushed:
            raise _bad(option, "no --push-state before it")
        line.whole, line.dynamic, line.as_needed = line.pushed.pop()
    elif key.startswith(("shape ", "symbolic ")):
        name, _, word = key.partition(" ")
        line.values[name] = word
    elif key.startswith("magic "):
        line.values["magic"] = key.removeprefix("magic ")
    elif key == "unique":
        line.add("unique", value or "")
    elif key == "build_id":
        line.values[key] = _build_id("sha1" if value is None else value, option)
    else:
        line.values[key.removeprefix("no ")] = not key.startswith("no ")


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
    raise _bad(option, f"`{style}` is not a build-id style", "write sha1, md5, none or 0xHEXDIGITS")


def _emulation(line: _CommandLine, option: str, value: str) -> None:
    if value not in EMULATIONS:
        raise _bad(f"-m {value}", "no such emulation", f"there are {', '.join(EMULATIONS)}")
    line.values["machine"] = EMULATIONS[value]
    line.values["format"] = FORMATS.get(value, "elf")


def _script(line: _CommandLine, option: str, value: str) -> None:
    raise _bad(f"-T {value}", "linker scripts with SECTIONS are not supported", "use -Ttext, -Tdata, --image-base")


def _section_start(line: _CommandLine, option: str, value: str) -> None:
    name, equals, address = value.partition("=")
    if not equals:
        raise _bad(option, f"`{value}` should be SECTION=ADDRESS")
    line.add("section_starts", (name, number(address, option, bare_hexadecimal=True)))


def _base(line: _CommandLine, option: str, value: str) -> None:
    line.values["base"] = number(value, option, bare_hexadecimal=option.lstrip("-").startswith("T"))


def _defsym(line: _CommandLine, option: str, value: str) -> None:
    name, equals, expression = value.partition("=")
    if not equals or not name or not expression:
        raise _bad(option, f"`{value}` should be SYMBOL=EXPRESSION")
    line.add("defsym", (name.strip(), expression.strip()))


def _scheme(line: _CommandLine, option: str, value: str) -> None:
    if value not in SCHEMES:
        raise _bad(option, f"`{value}` is not a scheme", f"write {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}")
    line.values["scheme"] = value


def _version_rule(line: _CommandLine, option: str, value: str) -> None:
    from uselib.linker.versions import rule_named  # only where it is asked for

    line.values["version_rule"] = rule_named(value, option).name


def _rpath(line: _CommandLine, option: str, value: str) -> None:
    for directory in value.split(":"):
        line.add("rpath", directory)


def _unresolved(line: _CommandLine, option: str, value: str) -> None:
    if value not in ("ignore-all", "report-all", "ignore-in-object-files", "ignore-in-shared-libs"):
        raise _bad(option, f"`{value}` is not a method")
    line.values["unresolved_are_errors"] = value in ("report-all", "ignore-in-shared-libs")


def _keyword(line: _CommandLine, option: str, word: str) -> None:
    """-z WORD."""
    name, _, value = word.partition("=")
    if name in ("execstack", "noexecstack"):
        line.values["executable_stack"] = name == "execstack"
    elif name == "muldefs":
        line.values["allow_multiple_definition"] = True
    elif name == "stack-size":
        line.values["stack_size"] = number(value, f"-z {word}")
    elif name in ("max-page-size", "common-page-size"):
        size = number(value, f"-z {word}")
        if size & (size - 1) or not size:
            raise _bad(f"-z {word}", "not a power of two")
        if name == "max-page-size":
            line.values["max_page_size"] = max(size, 0x1000)
    elif name in ("defs", "undefs"):
        line.values["no_undefined"] = name == "defs"
    elif name in Z_KEPT:
        line.keywords -= {Z_KEPT[name], name}
        line.keywords.add(name)
    elif name not in Z_IGNORED:
        raise _bad(f"-z {word}", "unknown keyword")


def _error_limit(line: _CommandLine, option: str, value: str) -> None:
    line.values["error_limit"] = number(value, option)


def _hash_style(line: _CommandLine, option: str, value: str) -> None:
    if value not in ("sysv", "gnu", "both"):
        raise _bad(option, f"`{value}` is not a hash style", "write sysv, gnu or both")
    line.values["hash_style"] = value


def _exclude_libs(line: _CommandLine, _option: str, value: str) -> None:
    for name in value.replace(":", ",").split(","):
        line.add("exclude_libs", name)


_HANDLERS: dict[str, Callable[[_CommandLine, str, str], None]] = {
    "library": lambda line, _, value: line.input(value, library=True),
    "emulation": _emulation,
    "script": _script,
    "section_start": _section_start,
    "base": _base,
    "defsym": _defsym,
    "scheme": _scheme,
    "version_rule": _version_rule,
    "rpath": _rpath,
    "keyword": _keyword,
    "error_limit": _error_limit,
    "hash_style": _hash_style,
    "exclude_libs": _exclude_libs,
    "unresolved": _unresolved,
    "start-text": lambda line, option, value: _section_start(line, option, f".text={value}"),
    "start-data": lambda line, option, value: _section_start(line, option, f".data={value}"),
    "start-bss": lambda line, option, value: _section_start(line, option, f".bss={value}"),
}
_LISTS = {
    "library_path": "library_paths",
    "undefined": "undefined",
    "require_defined": "require_defined",
    "wrap": "wrap",
    "trace_symbol": "trace_symbols",
    "version_script": "version_scripts",
    "dynamic_list": "dynamic_lists",
}


def _value(line: _CommandLine, key: str, option: str, value: str) -> None:
    if key in _HANDLERS:
        _HANDLERS[key](line, option, value)
    elif key in _LISTS:
        line.add(_LISTS[key], value)
    else:
        line.values[key] = value


def _check(values: Mapping[str, object]) -> None:
    """Options that exclude one another. Raises UsageError."""
    if shape := values.get("shape"):
        if values.get("format", "elf") != "elf":
            raise _bad(f"-{shape}", "not supported for this format", "only ELF has dynamic linking")
        if values.get("scheme"):
            text = "not supported with a scheme of fixed-address libraries"
            raise _bad(f"-{shape}", text, "`uselib mkshlib` makes these; or leave out --scheme")
    if values.get("magic") and values.get("format") != "aout":
        raise _bad(
            f"--{values['magic']}", "not supported", "segments are kept apart (W^X) here; -m i386linux makes a.out"
        )


def parse(arguments: list[str]) -> Options:
    """The options of an `ld` command line. Raises UsageError, naming the option."""
    words = expand_response_files(arguments)
    line = _CommandLine()
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-") or word == "-":
            line.input(word)
            continue
        name, value = _split(word)
        kind, key = TABLE[name]
        if kind in (REFUSED, REFUSED_VALUE):
            raise _bad(word, "not supported", key)
        if kind in (VALUE, IGNORED_VALUE) and value is None:
            if position >= len(words):
                raise _bad(word, "needs a value")
            value = words[position]
            position += 1
        if kind in (FLAG, IGNORED) and value is not None and name not in OPTIONAL_VALUE:
            raise _bad(word, "takes no value")
        if kind == FLAG:
            _flag(line, key, word, value)
        elif kind == VALUE:
            assert value is not None
            _value(line, key, word.partition("=")[0] if word.startswith("--") else word, value)
    if line.group is not None:
        raise _bad("--start-group", "has no --end-group")
    values = line.values | {key: tuple(items) for key, items in line.lists.items()}
    values["keywords"] = frozenset(line.keywords)
    _check(values)
    return Options(inputs=tuple(line.inputs), **values)  # type: ignore[arg-type]
