"""A report in the formats that people and programs read: a table of renderers, each in a module that is imported when asked for.

text.py, json.py, sarif.py, junit.py, markdown.py   one format each; common.py: words that they share
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from uselib.abi.static.model.findings import Report

FORMATS: dict[str, str] = {  # name -> what it is for; the module has the same name
    "text": "for people",
    "json": "for programs (documented, versioned)",
    "sarif": "SARIF 2.1.0, for code scanning",
    "junit": "JUnit XML, for test reports: one test case a rule, and one a program",
    "markdown": "for a pull request",
}


@dataclass(frozen=True, slots=True)
class Style:
    """width: columns of text. colour: ANSI sequences. verbose: everything, not only what matters. tool: version of uselib."""

    width: int = 100
    colour: bool = False
    verbose: bool = False
    tool: str = ""


Renderer = Callable[[Report, Style], str]


def render(name: str, report: Report, style: Style = Style()) -> str:
    """The report in format `name` (of FORMATS), with a newline at the end."""
    module = importlib.import_module(f"uselib.abi.static.report.{name}")
    return cast(Renderer, module.render)(report, style)
