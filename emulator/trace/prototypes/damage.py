"""Debug information that is damaged, said to the user."""

from __future__ import annotations

import sys
from collections.abc import Callable

Warn = Callable[[str], None]
"""Takes a sentence, FILE: what is wrong."""


def unsaid(_: str) -> None:
    """For those who look at `DwarfPrototypes.damage` themselves."""


def said_once() -> Warn:
    """Prints each sentence on stderr, once, as one line."""
    said: set[str] = set()

    def warn(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            print(f"uselib: {sentence}; functions described there have no prototype", file=sys.stderr)

    return warn
