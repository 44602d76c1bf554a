"""docs/versions.md: the commands in it print what it says, and its table of rules is the table."""

import re
from pathlib import Path

from support.documents import spoken, steps
from support.paths import ROOT
from support.tools import native
from uselib.linker.versions import RULES

TEXT = (ROOT / "docs" / "versions.md").read_text()
GREET = '#include <stdio.h>\nvoid greet(const char *who) { printf("greet " VERSION ": hello, %s\\n", who); }\n'
HELLO = 'void greet(const char *who);\nint main(void) { greet("world"); return 0; }\n'


@native
def test_commands(tmp_path: Path) -> None:
    home = tmp_path.resolve() / "demo"
    home.mkdir()
    (home / "greet.c").write_text(GREET)
    (home / "hello.c").write_text(HELLO)
    found = steps(TEXT)
    assert len(found) > 15
    for command, output in found:
        ran = spoken(command, home, ("LD_LIBRARY_PATH", "USELIB_VERSION_RULE"))
        if command.startswith(("uselib sysroot", "for ")):
            assert ran.returncode == 0, ran.stdout
        else:
            assert ran.stdout == output, command


def test_table() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*?\| (>=|=) \| ", TEXT, re.MULTILINE)
    assert rows == [(rule.name, "=" if rule.same_minor else ">=") for rule in RULES.values()]


def test_codes_of_reasons() -> None:
    """Every code that `ldd --json` can print is explained."""
    for module in ("loader/libraries/candidates.py", "linker/versions.py"):
        source = (ROOT / module).read_text()
        for code in re.findall(r'(?:Reason\(|: \()"([a-z-]+)",', source) + re.findall(
            r'^    "([a-z-]+)": "', source, re.M
        ):
            assert f"`{code}`" in TEXT or code in ("refused", "occupied"), code
