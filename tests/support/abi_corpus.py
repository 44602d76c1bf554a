"""Pairs beyond the rules' own examples, as a maintainer would make them: abi_corpus/breaks.toml, abi_corpus/compatible.toml.

Breaks, and changes that look like breaks and are none; tests check with the program, linked with the old version, that they are. `bare`: a break
that shows without debug information and headers, by names, addresses and sizes alone.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from support.paths import PROGRAMS
from uselib.abi.static.rules import Example

DIRECTORY = PROGRAMS / "abi_corpus"


@dataclass(frozen=True)
class Case:
    name: str
    example: Example
    bare: bool = False
    breaks: bool = False
    maybe: bool = False  # what decides for the program is not recorded


def _read(name: str, verdict: str, runs: str) -> tuple[Case, ...]:
    cases = []
    for row in tomllib.loads((DIRECTORY / name).read_text())["case"]:
        title, bare, maybe = row.pop("name"), row.pop("bare", False), row.pop("maybe", False)
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        values.setdefault("new", values["old"])
        cases.append(
            Case(title, Example(subject="", verdict=verdict, runs=runs, **values), bare, verdict == "breaking", maybe)
        )
    return tuple(cases)


BREAKS = _read("breaks.toml", "breaking", "differs")
COMPATIBLE = _read("compatible.toml", "compatible", "same")
