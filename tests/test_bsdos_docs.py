"""docs/bsdos.md: the commands in it print what it says, and its numbers are those of the code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from guest_build import NATIVE, ROOT

from loader.kernel_libraries import MAX_LIBRARIES

TEXT = (ROOT / "docs" / "bsdos.md").read_text()


def steps() -> list[tuple[str, str]]:
    """(command, output) of every command shown."""
    shown = "".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL))
    parts = re.split(r"^\$ (.*)\n", shown, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.slow
@pytest.mark.skipif(not NATIVE, reason="runs programs natively")
@pytest.mark.skipif(not (shutil.which("ld") and shutil.which("readelf")), reason="needs binutils")
def test_commands(tmp_path: Path) -> None:
    home = tmp_path.resolve() / "demo"
    home.mkdir()
    for name in ("area.c", "main.c"):
        shutil.copy(ROOT / "samples" / "bsdos" / name, home)
    hidden = ("LD_LIBRARY_PATH", "USELIB_VERSION_RULE", "SHLIB_MAP", "LD")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    script = f'uselib() {{ {sys.executable} -m emulator.cli "$@"; }}\n'
    found = steps()
    assert len(found) > 25
    for command, output in found:
        ran = subprocess.run(
            ["bash", "-c", script + command],
            cwd=home,
            env={**variables, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ran.stdout.replace(str(home), "/home/me/demo") == output, command


def test_numbers() -> None:
    assert f"more than {MAX_LIBRARIES} libraries" in TEXT
