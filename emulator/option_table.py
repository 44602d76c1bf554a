"""Options of a command as a table, and the words of a command line read by it: argparse takes 10 ms to load, and a program that is run
has options of its own, which are not ours to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import Any


@dataclass(frozen=True)
class Option:
    """read: value from text, raises ValueError; None for a switch. many: repeatable, the value is a tuple. field: the key of its value,
    where that is not the option's name."""

    metavar: str
    help: str
    read: Callable[[str], Any] | None = str
    many: bool = False
    field: str = ""

    def key(self, name: str) -> str:
        """Of the value that option `name` gives: `library_path` for --library-path."""
        return self.field or name.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Words:
    """A command line. values: of the options given, by key; rest: the words that are no options."""

    values: dict[str, Any]
    rest: list[str]


def option_rows(table: Mapping[str, Option], width: int) -> list[str]:
    """The table as lines of a help text, with a column of `width` for the names."""
    rows = [f"  {f'{name} {option.metavar}'.strip():<{width}} {option.help}" for name, option in table.items()]
    return [*rows, f"  {'-h, --help':<{width}} this text"]


def read_words(
    arguments: Sequence[str], table: Mapping[str, Option], command: str, *, mixed: bool = False
) -> Words | None:
    """None: help is asked for. command: `uselib run`, for messages. mixed: options may stand behind other words; without it, the first
    word that is not an option ends them. `--` ends them in any case. Raises UsageError."""
    found = Words({}, [])
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            found.rest.append(word)
            if mixed:
                continue
            break
        if word in ("-h", "--help"):
            return None
        option = table.get(word.partition("=")[0])
        if option is None:
            raise UsageError(Diagnostic(word.partition("=")[0], "no such option", remedy=f"see `{command} --help`"))
        _read_option(word, option, left, found.values)
    found.rest.extend(left)
    return found


def _read_option(word: str, option: Option, left: list[str], values: dict[str, Any]) -> None:
    """Its value, which may be the next word. Raises UsageError."""
    name, equals, text = word.partition("=")
    key = option.key(name)
    if option.read is None:
        if equals:
            raise UsageError(Diagnostic(name, "takes no value"))
        values[key] = True
        return
    if not equals:
        if not left:
            raise UsageError(Diagnostic(name, f"needs a value ({option.metavar})"))
        text = left.pop(0)
    try:
        value = option.read(text)
    except ValueError:
        raise UsageError(Diagnostic(name, f"`{text}` is not a value for {option.metavar}")) from None
    values[key] = (*values.get(key, ()), value) if option.many else value


def without(arguments: Sequence[str], table: Mapping[str, Option], *names: str) -> list[str]:
    """The arguments, which read_words has accepted, without the options of these names."""
    left, kept = list(arguments), list[str]()
    while left and left[0].startswith("-") and left[0] not in ("-", "--"):
        name, equals, _ = left[0].partition("=")
        size = 1 if equals or table[name].read is None else 2
        kept += [] if name in names else left[:size]
        del left[:size]
    return kept + left
