"""The examples of docs/python-api.md are run, for both machines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.api_support import COUNT, count_program, library
from support.guest_build import ARCHES, sysroot
from support.paths import ROOT

TEXT = (ROOT / "docs" / "python-api.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def test_the_program_is_the_documented_one() -> None:
    (shown,) = re.findall(r"^```c\n(.*?)^```", TEXT, re.M | re.S)
    assert shown.strip() == COUNT.strip()


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(arch: str, number: int, tmp_path: Path) -> None:
    root = sysroot(arch)
    names = {"LIBRARY": str(library(root)), "SYSROOT": str(root), "PROGRAM": str(count_program(tmp_path, arch))}
    exec(compile(EXAMPLES[number], f"docs/python-api.md, example {number}", "exec"), names)
