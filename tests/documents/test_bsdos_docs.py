"""docs/bsdos.md: the commands in it print what it says, and its numbers are those of the code."""

import shutil
from pathlib import Path

import pytest

from support.documents import spoken, steps
from support.paths import ROOT
from support.tools import native
from uselib.loader.programs.kernel_libraries import MAX_LIBRARIES

TEXT = (ROOT / "docs" / "bsdos.md").read_text()


@pytest.mark.slow
@native
@pytest.mark.skipif(not (shutil.which("ld") and shutil.which("readelf")), reason="needs binutils")
def test_commands(tmp_path: Path) -> None:
    home = tmp_path.resolve() / "demo"
    home.mkdir()
    for name in ("area.c", "main.c"):
        shutil.copy(ROOT / "samples" / "bsdos" / name, home)
    hidden = ("LD_LIBRARY_PATH", "USELIB_VERSION_RULE", "SHLIB_MAP", "LD")
    found = steps(TEXT)
    assert len(found) > 25
    for command, output in found:
        assert spoken(command, home, hidden).stdout == output, command


def test_numbers() -> None:
    assert f"more than {MAX_LIBRARIES} libraries" in TEXT
