"""Damaged files: the readers raise only ToolError, and report what is missing."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.c_types import compile_shared, written
from support.paths import PROGRAMS
from support.tools import needs
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.readers.reading import read_facts, read_program
from uselib.linker.errors import ToolError
from uselib.linker.formats import elf

RICH = (PROGRAMS / "abi_types" / "rich.c").read_text()
pytestmark = needs("gcc")
FORMS = ("-gdwarf-5 -O2", "-gdwarf-4 -fdebug-types-section", "-gdwarf-2 -m32", "-g -gz")


@functools.cache
def _good(options: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        return compile_shared(Path(directory), "rich", RICH, *options.split()).read_bytes()


@functools.cache
def _debug_ranges(options: str) -> tuple[tuple[int, int], ...]:
    file = elf.ElfFile(memoryview(_good(options)), "good")
    return tuple(
        (s[4], s[5]) for s in file.sections if file.names[s[0]] in (".debug_info", ".debug_abbrev", ".debug_types")
    )


def _read(data: bytes) -> Facts | None:
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(data)
        file.flush()
        for read in (read_program, read_facts):
            try:
                result = read(file.name)
            except ToolError as problem:
                assert file.name in str(problem)
                result = None
    return result if isinstance(result, Facts) else None


def _check(facts: Facts | None) -> None:
    """Names without types are reported, and no type contains itself."""
    if facts is None:
        return
    untyped = [f for f in (*facts.functions.values(), *facts.data.values()) if f.type is None]
    assert facts.unknown or not untyped
    if any(type(row).__name__ == "Unknown" for row in facts.types.rows):
        assert facts.unknown
    for function in facts.functions.values():
        if function.type is not None:
            written(facts.types, function.type)
    for row in range(len(facts.types.rows)):
        facts.types.plain(row)


_SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@given(
    st.sampled_from(FORMS), st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), min_size=1, max_size=8)
)
@_SETTINGS
def test_changed_bytes_of_debug_sections(options: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(_good(options))
    ranges = _debug_ranges(options)
    for where, value in changes:
        start, size = ranges[where % len(ranges)]
        data[start + where // 8 % size] = value
    _check(_read(bytes(data)))


@given(st.sampled_from(FORMS), st.integers(0, 1 << 30), st.integers(0, 7))
@_SETTINGS
def test_flipped_bits_anywhere(options: str, where: int, bit: int) -> None:
    data = bytearray(_good(options))
    data[where % len(data)] ^= 1 << bit
    _check(_read(bytes(data)))


@given(st.sampled_from(FORMS), st.integers(0, 1 << 30))
@_SETTINGS
def test_truncated_files(options: str, where: int) -> None:
    data = _good(options)
    assert _read(data[: where % len(data)]) is None


@pytest.mark.parametrize("options", FORMS[:3])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_section_that_ends_early_is_reported(options: str, part: float) -> None:
    """The unit's length then leads behind the section, so the unit is not read."""
    data = bytearray(_good(options))
    file = elf.ElfFile(memoryview(bytes(data)), "good")
    for index, section in enumerate(file.sections):
        if file.names[section.name] == ".debug_info":
            at = _header_at(file, data, index) + (32 if file.elf_class.word == 8 else 20)
            data[at : at + 4] = int(section.size * part).to_bytes(4, "little")
    facts = _read(bytes(data))
    assert facts is not None and facts.unknown
    assert all(row.type is None for row in facts.functions.values())


@pytest.mark.parametrize("options", FORMS[:3])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_hole_is_reported(options: str, part: float) -> None:
    data = bytearray(_good(options))
    start, size = _debug_ranges(options)[0]
    begin = start + int(size * part)
    data[begin : begin + 64] = bytes(64)
    facts = _read(bytes(data))
    assert facts is not None and facts.unknown
    _check(facts)


def test_messages_of_damage() -> None:
    data = bytearray(_good(FORMS[0]))
    start, _ = _debug_ranges(FORMS[0])[0]
    data[start + 4 : start + 6] = (9).to_bytes(2, "little")
    facts = _read(bytes(data))
    assert facts is not None
    assert "a unit has DWARF version 9; 2 to 5 are read" in facts.unknown[0]
    assert "types are not compared" in facts.unknown[-1]


def _header_at(file: elf.ElfFile, data: bytearray, index: int) -> int:
    header = file.elf_class.header.unpack_from(data)
    return int(header[6]) + index * file.elf_class.section.size
