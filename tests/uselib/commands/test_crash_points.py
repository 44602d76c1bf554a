"""Commands that are killed at each of their writes: an output file is as it was before, or complete; and the next run succeeds.

strace kills the command when it enters its Nth call of a kind (write, rename, ...), for every N that an undisturbed run has.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from support.command import environment
from support.programs import build, source, sysroot
from support.tools import needs, require

pytestmark = [needs("gcc"), pytest.mark.slow]

CALLS = (
    "write",
    "writev",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "unlink",
    "ftruncate",
    "fchmod",
)
TEMPORARY = re.compile(r"\.(.+)\.\d+\.[0-9a-f]+")
"""Files that a killed command may leave: hidden, with the number of the process (linker/writing.py)."""

MAKE = "mkshlib -q -s k.spec -o out lib.o"
COMMANDS = {
    "ld": "ld -o out/program -e one lib.o",
    "mkshlib": MAKE,
    "map": "map --file out/shlib.map add k 0x10000",
    "trace record": "trace record -o out/trace program",
    "ldconfig": "ldconfig out",
}
SPECIFICATION = "#name k\n#version 1.2.0\n#address .text 0x64000000\n#branch\n one 1\n two 2\n"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("strace")
    made = tmp_path_factory.mktemp("crash")
    source(made / "lib.c", "int one(void) { return 1; }\nint two(void) { return 2; }\n")
    (made / "k.spec").write_text(SPECIFICATION)
    done = _uselib(f"cc --sysroot {sysroot('x86_64')} -c lib.c", made)
    assert done.returncode == 0, done.stderr
    build(made / "program", "x86_64", "static", source(made / "main.c", "int main(void) { return 0; }\n"))
    return made


def _uselib(command: str, room: Path, *around: str) -> subprocess.CompletedProcess[str]:
    words = [*around, sys.executable, "-B", "-m", "uselib.cli", *command.split()]
    return subprocess.run(words, cwd=room, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)


def _fresh(room: Path, name: str) -> dict[str, bytes]:
    """The output folder as it is before the command. Returns its contents."""
    out = room / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if name == "ldconfig":
        for patch in (1, 2):
            spec = SPECIFICATION.replace("1.2.0", f"1.2.{patch}")
            (room / "other.spec").write_text(spec)
            assert _uselib("mkshlib -q -s other.spec -o made lib.o", room).returncode == 0
            shutil.copy(room / f"made/shlib/libk_s.1.2.{patch}", out)
    return _content(out)


def _content(out: Path) -> dict[str, bytes]:
    """Of all visible files; links by their targets."""
    files = [path for path in sorted(out.rglob("*")) if path.is_symlink() or path.is_file()]
    visible = [path for path in files if not TEMPORARY.fullmatch(path.name)]
    return {
        str(path.relative_to(out)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in visible
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_write(name: str, room: Path) -> None:
    command = COMMANDS[name]
    before = _fresh(room, name)
    log = room / "log"
    traced = _uselib(command, room, "strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    assert traced.returncode == 0, traced.stderr
    after = _content(room / "out")
    counts = Counter(match[1] for match in re.finditer(r"^\d+ +(\w+)\(", log.read_text(), re.M))
    points = [(call, number) for call, count in counts.items() for number in range(1, count + 1)]
    killed = 0
    for call, number in points:
        _fresh(room, name)
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        done = _uselib(command, room, "strace", "-f", "-qq", "-o", "/dev/null", *inject)
        killed += done.returncode in (-9, 137)
        found = _content(room / "out")
        for path, data in found.items():
            if name == "trace record":  # written while the program runs, and readable as far as it goes
                assert after[path].startswith(data[:-1]), (call, number)
                assert "Traceback" not in _uselib(f"trace summary out/{path}", room).stderr
            else:
                assert data in (before.get(path), after[path]), (call, number, path, len(data))
        assert before.keys() <= found.keys() or name == "ldconfig", (call, number)
        assert found == after or _uselib(command, room).returncode == 0
        assert _content(room / "out") == after, (call, number)
    assert killed == len(points) > 0
