"""What each option of GNU ld's command line does (option_table.py has their names), collected in a `CommandLine`."""

from __future__ import annotations

from collections.abc import Callable

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.option_table import Z_IGNORED, Z_KEPT, Z_REFUSED
from uselib.linker.options import EMULATIONS, FORMATS, SCHEMES, InputArgument, InputGroup, PluginOptions
from uselib.linker.quick_dataclass import dataclass, field


def bad_option(option: str, message: str, remedy: str = "") -> UsageError:
    return UsageError(Diagnostic("ld", message, symbol=option, remedy=remedy))


def number(text: str, option: str, *, bare_hexadecimal: bool = False) -> int:
    """0x-prefixed hexadecimal, 0-prefixed octal, or decimal; -Ttext and its like read bare digits as hexadecimal."""
    try:
        lower = text.lower()
        if bare_hexadecimal or lower.startswith("0x"):
            value = int(lower, 16)
        else:
            value = int(lower, 8 if lower.startswith("0") and len(lower) > 1 else 10)
    except ValueError:
        raise bad_option(option, f"`{text}` is not a number") from None
    if not 0 <= value < 1 << 64:
        raise bad_option(option, f"`{text}` is out of range")
    return value


@dataclass
class CommandLine:
    """What the parser collects. `values` are keyword arguments of Options."""

    values: dict[str, object] = field(default_factory=dict)
    lists: dict[str, list[object]] = field(default_factory=dict)
    inputs: list[InputArgument | InputGroup] = field(default_factory=list)
    group: list[InputArgument] | None = None
    whole: bool = False
    dynamic: bool = True
    as_needed: bool = False
    lazy: bool = False
    pushed: list[tuple[bool, bool, bool]] = field(default_factory=list)
    keywords: set[str] = field(default_factory=set)

    def add(self, key: str, value: object) -> None:
        self.lists.setdefault(key, []).append(value)

    def input(self, name: str, library: bool = False) -> None:
        argument = InputArgument(name, library, self.whole, self.dynamic, self.as_needed, self.lazy)
        (self.inputs if self.group is None else self.group).append(argument)


def _begin_group(line: CommandLine, option: str) -> None:
    if line.group is not None:
        raise bad_option(option, "groups may not be nested")
    line.group = []


def _end_group(line: CommandLine, option: str) -> None:
    if line.group is None:
        raise bad_option(option, "there is no group to end")
    line.inputs.append(InputGroup(tuple(line.group)))
    line.group = None


def _begin_library(line: CommandLine, option: str) -> None:
    _begin_group(line, option)
    line.lazy = True


def _end_library(line: CommandLine, option: str) -> None:
    _end_group(line, option)
    line.lazy = False


def _push(line: CommandLine, _option: str) -> None:
    line.pushed.append((line.whole, line.dynamic, line.as_needed))


def _pop(line: CommandLine, option: str) -> None:
    if not line.pushed:
        raise bad_option(option, "no --push-state before it")
    line.whole, line.dynamic, line.as_needed = line.pushed.pop()


_MARKS: dict[str, Callable[[CommandLine, str], None]] = {
    "(": _begin_group,
    ")": _end_group,
    "lib(": _begin_library,
    "lib)": _end_library,
    "push": _push,
    "pop": _pop,
}


def take_flag(line: CommandLine, key: str, option: str, value: str | None) -> None:
    """An option without a value, or with an optional one."""
    if key in _MARKS:
        _MARKS[key](line, option)
    elif key.removeprefix("no ") in ("whole", "dynamic", "as_needed"):
        setattr(line, key.removeprefix("no "), not key.startswith("no "))
    elif key.startswith(("shape ", "symbolic ")):
        name, _, word = key.partition(" ")
        line.values[name] = word
    elif key.startswith("magic "):
        line.values["magic"] = key.removeprefix("magic ")
    elif key.startswith("list "):
        line.add("list_kinds", key.removeprefix("list "))
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
    raise bad_option(option, f"`{style}` is not a build-id style", "write sha1, md5, none or 0xHEXDIGITS")


def _emulation(line: CommandLine, option: str, value: str) -> None:
    if value not in EMULATIONS:
        raise bad_option(f"-m {value}", "no such emulation", f"there are {', '.join(EMULATIONS)}")
    line.values["machine"] = EMULATIONS[value]
    line.values["format"] = FORMATS.get(value, "elf")


def _script(line: CommandLine, option: str, value: str) -> None:
    raise bad_option(
        f"{option} {value}", "linker scripts with SECTIONS are not supported", "use -Ttext, -Tdata, --image-base"
    )


def _section_start(line: CommandLine, option: str, value: str) -> None:
    name, equals, address = value.partition("=")
    if not equals:
        raise bad_option(option, f"`{value}` should be SECTION=ADDRESS")
    line.add("section_starts", (name, number(address, option, bare_hexadecimal=True)))


def _base(line: CommandLine, option: str, value: str) -> None:
    line.values["base"] = number(value, option, bare_hexadecimal=option.lstrip("-").startswith("T"))


def _defsym(line: CommandLine, option: str, value: str) -> None:
    name, equals, expression = value.partition("=")
    if not equals or not name or not expression:
        raise bad_option(option, f"`{value}` should be SYMBOL=EXPRESSION")
    line.add("defsym", (name.strip(), expression.strip()))


def _scheme(line: CommandLine, option: str, value: str) -> None:
    if value not in SCHEMES:
        raise bad_option(option, f"`{value}` is not a scheme", f"write {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}")
    line.values["scheme"] = value


def _version_rule(line: CommandLine, option: str, value: str) -> None:
    from uselib.linker.versions import rule_named  # only where it is asked for

    line.values["version_rule"] = rule_named(value, option).name


def _rpath(line: CommandLine, option: str, value: str) -> None:
    for directory in value.split(":"):
        if directory not in line.lists.get("rpath", ()):
            line.add("rpath", directory)


def _directories(line: CommandLine, _option: str, value: str) -> None:
    for directory in value.split(":"):
        line.add("rpath_link", directory)


def _compression(line: CommandLine, option: str, value: str) -> None:
    methods = {"none": "", "zlib": "zlib", "zlib-gabi": "zlib", "zstd": "zstd"}
    if value not in methods:
        raise bad_option(option, f"`{value}` is not a method", "write none, zlib or zstd")
    line.values["compress_debug"] = methods[value]


def _oformat(line: CommandLine, option: str, value: str) -> None:
    if value != "binary" and value not in _ELF_FORMATS:
        raise bad_option(option, f"`{value}` is not a format", "write binary or elf64-x86-64 or elf32-i386")
    line.values["oformat"] = "binary" if value == "binary" else ""


_ELF_FORMATS = ("elf64-x86-64", "elf32-i386", "elf")


def _unresolved(line: CommandLine, option: str, value: str) -> None:
    if value not in ("ignore-all", "report-all", "ignore-in-object-files", "ignore-in-shared-libs"):
        raise bad_option(option, f"`{value}` is not a method")
    line.values["unresolved"] = value


def _keyword(line: CommandLine, option: str, word: str) -> None:
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
            raise bad_option(f"-z {word}", "not a power of two")
        if name == "max-page-size":
            line.values["max_page_size"] = max(size, 0x1000)
    elif name == "start-stop-visibility":
        if value not in ("default", "internal", "hidden", "protected"):
            raise bad_option(f"-z {word}", "not a visibility", "write default, internal, hidden or protected")
        line.values["start_stop_visibility"] = value
    elif name in ("defs", "undefs"):
        line.values["no_undefined"] = name == "defs"
    elif name in Z_KEPT:
        line.keywords -= {Z_KEPT[name], name}
        line.keywords.add(name)
    elif name in Z_REFUSED:
        raise bad_option(f"-z {word}", "not supported", Z_REFUSED[name])
    elif name not in Z_IGNORED:
        raise bad_option(f"-z {word}", "unknown keyword")


def _error_limit(line: CommandLine, option: str, value: str) -> None:
    line.values["error_limit"] = number(value, option)


def _hash_style(line: CommandLine, option: str, value: str) -> None:
    if value not in ("sysv", "gnu", "both"):
        raise bad_option(option, f"`{value}` is not a hash style", "write sysv, gnu or both")
    line.values["hash_style"] = value


def _exclude_libs(line: CommandLine, _option: str, value: str) -> None:
    for name in value.replace(":", ",").split(","):
        line.add("exclude_libs", name)


def _plugin(line: CommandLine, _option: str, value: str) -> None:
    line.add("plugins", PluginOptions(value))


def _plugin_word(line: CommandLine, option: str, value: str) -> None:
    plugins = line.lists.get("plugins")
    last = plugins[-1] if plugins else None
    if plugins is None or not isinstance(last, PluginOptions):
        raise bad_option(option, "no -plugin before it")
    plugins[-1] = PluginOptions(last.path, (*last.options, value))


def _libraries_are(line: CommandLine, option: str, value: str) -> None:
    """-a archive, shared or default (HP/UX): as -Bstatic and -Bdynamic."""
    if value not in ("archive", "shared", "default"):
        raise bad_option(option, f"`{value}` is not a kind of library", "write archive, shared or default")
    line.dynamic = value != "archive"


def _orphans(line: CommandLine, option: str, value: str) -> None:
    if value != "place":
        raise bad_option(
            option, "not supported", "there is no linker script, and every section has its place: leave it out"
        )


_HANDLERS: dict[str, Callable[[CommandLine, str, str], None]] = {
    "libraries_are": _libraries_are,
    "orphans": _orphans,
    "spare_tags": lambda line, option, value: line.values.update(spare_tags=min(number(value, option), 4096)),
    "plugin": _plugin,
    "plugin_word": _plugin_word,
    "library": lambda line, _, value: line.input(value, library=True),
    "emulation": _emulation,
    "script": _script,
    "section_start": _section_start,
    "base": _base,
    "defsym": _defsym,
    "scheme": _scheme,
    "version_rule": _version_rule,
    "rpath": _rpath,
    "rpath_link": _directories,
    "compress_debug": _compression,
    "oformat": _oformat,
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
    "ignored_symbol": "ignored_symbols",
    "require_defined": "require_defined",
    "wrap": "wrap",
    "trace_symbol": "trace_symbols",
    "version_script": "version_scripts",
    "dynamic_list": "dynamic_lists",
    "export_symbol": "export_symbols",
    "export_list": "export_lists",
    "audit": "audit",
    "depaudit": "depaudit",
    "filter": "filters",
    "auxiliary": "auxiliary",
}


def take_value(line: CommandLine, key: str, option: str, value: str) -> None:
    if key in _HANDLERS:
        _HANDLERS[key](line, option, value)
    elif key in _LISTS:
        line.add(_LISTS[key], value)
    else:
        line.values[key] = value
