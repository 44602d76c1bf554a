"""The examples of docs/python-api.md are run, for both machines; it describes every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import uselib
from support.paths import ROOT
from support.programs import COUNT, count_program, libc_library, source, sysroot
from uselib.commands import cc

TEXT = (ROOT / "docs" / "python-api.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
PROGRAM, *SOURCES = re.findall(r"^```c\n(.*?)^```", TEXT, re.M | re.S)


def objects(folder: Path, root: Path) -> Path:
    """The folder, with the objects of the sources that the document shows."""
    for text in SOURCES:
        (name,) = re.findall(r"^/\* (\w+)\.c, ", text)
        path = source(folder / f"{name}.c", text)
        assert cc.run(["--sysroot", str(root), "-c", str(path), "-o", str(path.with_suffix(".o"))]) == 0
    return folder


def test_the_program_is_the_documented_one() -> None:
    assert PROGRAM.strip() == COUNT.strip()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(arch: str, number: int, tmp_path: Path) -> None:
    root = sysroot(arch)
    names = {
        "LIBRARY": str(libc_library(root)),
        "SYSROOT": root,
        "PROGRAM": str(count_program(tmp_path, arch)),
        "FOLDER": objects(tmp_path, root) if "FOLDER" in EXAMPLES[number] else tmp_path,
    }
    exec(compile(EXAMPLES[number], f"docs/python-api.md, example {number}", "exec"), names)


@pytest.mark.parametrize("name", sorted(uselib.__all__))
def test_every_public_name_is_described(name: str) -> None:
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("|"))
    assert f"`{name}`" in table
    assert getattr(uselib, name).__doc__


def test_examples_import_the_public_api_only() -> None:
    imports = [line for example in EXAMPLES for line in example.splitlines() if re.match(r"\s*(from|import) ", line)]
    ours = [line.strip() for line in imports if "uselib" in line]
    assert ours
    for line in ours:
        (names,) = re.fullmatch(r"from uselib import (.*)", line).groups()
        assert set(names.split(", ")) <= set(uselib.__all__)
