"""GNU ld's command line: what its options (option_table.py) ask for as one immutable `Options`.

Long options may be written with one or two dashes and be abbreviated, as in GNU ld, and `-o`-like single letters may be
joined with their value. An option that is not in the table is refused by name: to ignore it could change what a program does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from uselib.linker.errors import some
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
)
from uselib.linker.option_values import CommandLine, bad_option, take_flag, take_value
from uselib.linker.options import Options


def expand_response_files(arguments: list[str], depth: int = 0) -> list[str]:
    """Replaces each `@FILE` by the words in FILE (quotes and backslashes as in a shell), as GNU ld does."""
    result: list[str] = []
    for argument in arguments:
        if argument.startswith("@") and len(argument) > 1 and os.path.isfile(argument[1:]):
            if depth > 20:
                raise bad_option(argument, "response files include one another without end")
            import shlex  # only where there is a response file

            with open(argument[1:], encoding="utf-8", errors="surrogateescape") as file:
                try:
                    words = shlex.split(file.read())
                except ValueError as failure:
                    raise bad_option(argument, f"damaged response file: {failure}") from None
            result += expand_response_files(words, depth + 1)
        else:
            result.append(argument)
    return result


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
    raise bad_option(argument, "unknown option", _suggestion(name))


_SYMBOL = re.compile(r"[\w.$@]+")  # what may be joined to -e and -u: `-enable-new-dtag` is a mistyped option


def _long_name(name: str, argument: str) -> str:
    """The option that `name` is, or of which it is an unambiguous abbreviation; else empty. Raises UsageError."""
    if name in TABLE and len(name) > 1:
        return name
    if len(name) < 2:
        return ""
    found = [option for option in TABLE if option.startswith(name)]
    if len({TABLE[option] + ((option,) if TABLE[option][1] == "" else ()) for option in found}) > 1:
        raise bad_option(argument, "an ambiguous option", f"write {some(sorted(f'--{option}' for option in found))}")
    return found[0] if found else ""


def _suggestion(name: str) -> str:
    from difflib import get_close_matches  # only for an error

    near = get_close_matches(name, [option for option in TABLE if len(option) > 1], 1)
    return f"did you mean --{near[0]}?" if near else "`uselib ld --help` lists the options"


def _check(values: Mapping[str, object]) -> None:
    """Options that exclude one another. Raises UsageError."""
    if shape := values.get("shape"):
        if values.get("format", "elf") != "elf":
            words = (
                ("-r", "only ELF is linked partially")
                if shape == "relocatable"
                else (f"-{shape}", "only ELF has dynamic linking")
            )
            raise bad_option(words[0], "not supported for this format", words[1])
        if values.get("scheme"):
            text = "not supported with a scheme of fixed-address libraries"
            raise bad_option(f"-{shape}", text, "`uselib mkshlib` makes these; or leave out --scheme")
    if values.get("magic") and values.get("format") != "aout":
        raise bad_option(
            f"--{values['magic']}", "not supported", "segments are kept apart (W^X) here; -m i386linux makes a.out"
        )


def parse(arguments: list[str]) -> Options:
    """The options of an `ld` command line. Raises UsageError, naming the option."""
    words = expand_response_files(arguments)
    line = CommandLine()
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
            raise bad_option(word, "not supported", key)
        if kind in (VALUE, IGNORED_VALUE) and value is None:
            if position >= len(words):
                raise bad_option(word, "needs a value")
            value = words[position]
            position += 1
        if kind in (FLAG, IGNORED) and value is not None and name not in OPTIONAL_VALUE:
            raise bad_option(word, "takes no value")
        if kind == FLAG:
            take_flag(line, key, word, value)
        elif kind == VALUE:
            assert value is not None
            take_value(line, key, word.partition("=")[0] if word.startswith("--") else word, value)
    if line.group is not None:
        raise bad_option("--start-group", "has no --end-group")
    values = line.values | {key: tuple(items) for key, items in line.lists.items()}
    values["keywords"] = frozenset(line.keywords)
    if values.get("shape") == "relocatable":
        values.setdefault("entry", "")
    _check(values)
    return Options(inputs=tuple(line.inputs), **values)  # type: ignore[arg-type]
