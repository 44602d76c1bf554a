"""What the texts of all views share: names that fit globs, numbers with their noun, colours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TextIO


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name fits one of the globs; any name does if there are none."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def plural(number: int, one: str, many: str = "") -> str:
    """`1 call`, `2,000 calls`; many: where it is not `one` and an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


class Colours:
    """ANSI colours, or nothing: not on a terminal, NO_COLOR set, TERM=dumb."""

    CODES: Mapping[str, str] = {
        "bold": "1",
        "dim": "2",
        "red": "31",
        "green": "32",
        "yellow": "33",
        "blue": "34",
        "magenta": "35",
        "cyan": "36",
    }

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, colour: str, text: str) -> str:
        return f"\033[{self.CODES[colour]}m{text}\033[0m" if self.on and text else text
