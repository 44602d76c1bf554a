"""Damaged target libraries, stub libraries and programs: only ToolError comes out of the readers."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.mkshlib import compile_c, mkshlib
from support.tools import needs
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.readers.reading import read_any, read_program
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.image import Machine

pytestmark = needs("gcc")

LIBRARY = "struct s { int a; struct s *n; }; int datum = 3; int get(struct s *p) { return p->a + datum; } void gone(void) {}\n"
PROGRAM = (
    "struct s { int a; struct s *n; }; extern int datum; int get(struct s *); void _start(void) { get(0); datum++; }\n"
)


@functools.cache
def _files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        made = compile_c(directory, Machine.I386, "t", LIBRARY, "-g")
        common = ("--name", "t", "--text", "0x61000000", "-o", directory)
        mkshlib(*common, "--version", "1.0.0", "--interposable", "get", made)
        first = directory / "shlib" / "libt_s.1.0.0"
        less = compile_c(
            directory, Machine.I386, "u", LIBRARY.replace("void gone(void) {}", "int more(void) { return 1; }"), "-g"
        )
        mkshlib(*common, "--version", "1.1.0", "--interposable", "get", "--previous", first, "--retire", "gone", less)
        user = compile_c(directory, Machine.I386, "p", PROGRAM, "-g")
        assert (
            main(["ld", "-m", "elf_i386", "-o", str(directory / "p"), str(user), str(directory / "lib" / "libt_s.a")])
            == 0
        )
        paths = {
            "target": directory / "shlib" / "libt_s.1.1.0",
            "stub": directory / "lib" / "libt_s.1.1.0.a",
            "program": directory / "p",
        }
        return {kind: path.read_bytes() for kind, path in paths.items()}


def _read(data: bytes) -> Facts | None:
    found = None
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        for read in (read_any, read_program):
            try:
                result = read(file.name)
            except ToolError as problem:
                assert file.name in str(problem)
            else:
                found = result if isinstance(result, Facts) else found
    return found


_SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@given(
    st.sampled_from(["target", "stub", "program"]),
    st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), min_size=1, max_size=6),
)
@_SETTINGS
def test_changed_bytes(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(_files()[kind])
    for where, value in changes:
        # mostly in the headers and notes at the start, and in the tables at the end
        spread = (where % 4096, len(data) - 1 - where % 4096, where)[where % 3]
        data[spread % len(data)] = value
    facts = _read(bytes(data))
    if facts is not None and any(f.type is None and not f.retired for f in facts.functions.values()):
        assert facts.unknown


@given(st.sampled_from(["target", "stub", "program"]), st.integers(0, 1 << 30))
@_SETTINGS
def test_truncated(kind: str, where: int) -> None:
    data = _files()[kind]
    _read(data[: where % len(data)])


def test_whole_files_are_read() -> None:
    facts = _read(_files()["target"])
    assert facts is not None and facts.unknown == () and facts.functions["gone"].retired
    assert _read(_files()["stub"]) is not None
