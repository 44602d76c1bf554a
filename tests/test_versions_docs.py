"""docs/versions.md: the commands in it print what it says, and its table of rules is the table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from guest_build import NATIVE, ROOT

from linker.versions import RULES

TEXT = (ROOT / "docs" / "versions.md").read_text()
GREET = '#include <stdio.h>\nvoid greet(const char *who) { printf("greet " VERSION ": hello, %s\\n", who); }\n'
HELLO = 'void greet(const char *who);\nint main(void) { greet("world"); return 0; }\n'


def steps() -> list[tuple[str, str]]:
    """(command, output) of every command shown."""
    shown = "".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL))
    parts = re.split(r"^\$ (.*)\n", shown, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.skipif(not NATIVE, reason="runs programs natively")
def test_commands(tmp_path: Path) -> None:
    home = tmp_path.resolve() / "demo"
    home.mkdir()
    (home / "greet.c").write_text(GREET)
    (home / "hello.c").write_text(HELLO)
    variables = {
        name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "USELIB_VERSION_RULE")
    }
    script = f'uselib() {{ {sys.executable} -m emulator.cli "$@"; }}\n'
    found = steps()
    assert len(found) > 15
    for command, output in found:
        ran = subprocess.run(
            ["bash", "-c", script + command],
            cwd=home,
            env={**variables, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ran.stdout.replace(str(home), "/home/me/demo")
        if command.startswith(("uselib sysroot", "for ")):
            assert ran.returncode == 0, said
        else:
            assert said == output, command


def test_table() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*?\| (>=|=) \| ", TEXT, re.MULTILINE)
    assert rows == [(rule.name, "=" if rule.same_minor else ">=") for rule in RULES.values()]


def test_codes_of_reasons() -> None:
    """Every code that `ldd --json` can print is explained."""
    for module in ("loader/candidates.py", "linker/versions.py"):
        source = (ROOT / module).read_text()
        for code in re.findall(r'(?:Reason\(|: \()"([a-z-]+)",', source) + re.findall(
            r'^    "([a-z-]+)": "', source, re.M
        ):
            assert f"`{code}`" in TEXT or code in ("refused", "occupied"), code
